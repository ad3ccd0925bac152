/* SPDX-License-Identifier: MIT */
/*
 * exact.h - the exact state: one bit for every 16 bytes of a slab, set only
 * where a live object starts.
 *
 * One test settles double free, interior, misaligned, tail and never
 * allocated pointers alike. Words are never shared between slabs; only the
 * owner of the slab writes them. Another thread may read a bit of an object
 * that it holds.
 */
#ifndef MERLON_EXACT_H
#define MERLON_EXACT_H

#include "record.h"

static ALWAYS_INLINE uint64_t exact_bit(size_t offset)
{
    return UINT64_C(1) << ((offset >> UNIT_SHIFT) & 63);
}

static ALWAYS_INLINE size_t exact_word(size_t offset)
{
    return offset >> (UNIT_SHIFT + 6);
}

/* Does a live object start here? `offset` counts from where the words do. */
static ALWAYS_INLINE bool exact_is_live(const uint64_t *words, size_t offset)
{
    if (!EXACT_STATE)
        return true;
    return (offset & (UNIT_BYTES - 1)) == 0
        && (__atomic_load_n(&words[exact_word(offset)], __ATOMIC_RELAXED)
            & exact_bit(offset)) != 0;
}

/* An object starts here from now on; false if one did already. */
static ALWAYS_INLINE bool exact_open(uint64_t *words, size_t offset)
{
    if (!EXACT_STATE)
        return true;
    uint64_t *word = &words[exact_word(offset)];
    uint64_t value = *word;

    if (unlikely(value & exact_bit(offset)))
        return false;
    /* Relaxed: only the owner writes; other threads' reads are checks. */
    __atomic_store_n(word, value | exact_bit(offset), __ATOMIC_RELAXED);
    return true;
}

/* The object that starts here ends; false if none did. */
static ALWAYS_INLINE bool exact_close(uint64_t *words, size_t offset)
{
    if (!EXACT_STATE)
        return true;
    uint64_t *word = &words[exact_word(offset)];
    uint64_t value = *word;

    if (unlikely((offset & (UNIT_BYTES - 1)) != 0
                 || (value & exact_bit(offset)) == 0))
        return false;
    __atomic_store_n(word, value & ~exact_bit(offset), __ATOMIC_RELAXED);
    return true;
}

#endif
