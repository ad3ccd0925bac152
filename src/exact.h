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

static ALWAYS_INLINE unsigned exact_shift(size_t offset)
{
    return (unsigned)(offset >> UNIT_SHIFT) & 63;
}

static ALWAYS_INLINE uint64_t exact_bit(size_t offset)
{
    return UINT64_C(1) << exact_shift(offset);
}

static ALWAYS_INLINE size_t exact_word(size_t offset)
{
    return offset >> (UNIT_SHIFT + 6);
}

/* The word of a slot; `offset` counts from where the words do. Relaxed: only
   the owner writes; what other threads read serves checks. */
static ALWAYS_INLINE uint64_t exact_load(const uint64_t *words, size_t offset)
{
    if (!EXACT_STATE)
        return 0;
    return __atomic_load_n(&words[exact_word(offset)], __ATOMIC_RELAXED);
}

/* Does a live object start at `offset`, by its word? */
static ALWAYS_INLINE bool exact_says_live(uint64_t word, size_t offset)
{
    return !EXACT_STATE || ((offset & (UNIT_BYTES - 1)) == 0
                            && (word >> exact_shift(offset) & 1) != 0);
}

/* Is the slot at `offset`, a multiple of the unit, free? */
static ALWAYS_INLINE bool exact_says_free(uint64_t word, size_t offset)
{
    return !EXACT_STATE || (word >> exact_shift(offset) & 1) == 0;
}

/* An object starts here from now on. */
static ALWAYS_INLINE void exact_open(uint64_t *words, uint64_t word,
                                     size_t offset)
{
    if (EXACT_STATE)
        __atomic_store_n(&words[exact_word(offset)],
                         word | exact_bit(offset), __ATOMIC_RELAXED);
}

/* The object that starts here ends. */
static ALWAYS_INLINE void exact_close(uint64_t *words, uint64_t word,
                                      size_t offset)
{
    if (EXACT_STATE)
        __atomic_store_n(&words[exact_word(offset)],
                         word & ~exact_bit(offset), __ATOMIC_RELAXED);
}

static ALWAYS_INLINE bool exact_is_live(const uint64_t *words, size_t offset)
{
    return exact_says_live(exact_load(words, offset), offset);
}

#endif
