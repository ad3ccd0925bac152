/* SPDX-License-Identifier: MIT */
/*
 * exact.h - the exact state: one bit for every 16 bytes of a slab, set only
 * where a live object starts.
 *
 * One test settles double free, interior, misaligned, tail and never
 * allocated pointers alike. The bits are also what says which slots are free
 * (shares.h), so they are kept by every build with SLOT_MAP; EXACT_STATE is
 * the test at free. Words are never shared between slabs; only the owner of
 * the slab writes them. Another thread may read a bit of an object that it
 * holds.
 *
 * A unit is 16 bytes; `unit` counts from where the words do.
 */
#ifndef MERLON_EXACT_H
#define MERLON_EXACT_H

#include "record.h"

static ALWAYS_INLINE uint64_t exact_bit(size_t unit)
{
    return UINT64_C(1) << (unit & 63);
}

static ALWAYS_INLINE size_t exact_word(size_t unit)
{
    return unit >> 6;
}

/* The word of a slot. Relaxed: only the owner writes; what other threads read
   serves checks. */
static ALWAYS_INLINE uint64_t exact_load(const uint64_t *words, size_t unit)
{
    if (!SLOT_MAP)
        return 0;
    return __atomic_load_n(&words[exact_word(unit)], __ATOMIC_RELAXED);
}

/* Does a live object start at this unit, by its word? */
static ALWAYS_INLINE bool exact_says_live(uint64_t word, size_t unit)
{
    return !EXACT_STATE || (word >> (unit & 63) & 1) != 0;
}

/* An object starts here from now on. */
static ALWAYS_INLINE void exact_open(uint64_t *words, uint64_t word,
                                     size_t unit)
{
    if (SLOT_MAP)
        __atomic_store_n(&words[exact_word(unit)], word | exact_bit(unit),
                         __ATOMIC_RELAXED);
}

/*
 * The word when the object that starts here has ended: the bit flipped, or
 * without EXACT_STATE cleared. Larger than before if there was none.
 */
static ALWAYS_INLINE uint64_t exact_closed(uint64_t word, size_t unit)
{
    return EXACT_STATE ? word ^ exact_bit(unit) : word & ~exact_bit(unit);
}

static ALWAYS_INLINE void exact_store(uint64_t *words, uint64_t word,
                                      size_t unit)
{
    if (SLOT_MAP)
        __atomic_store_n(&words[exact_word(unit)], word, __ATOMIC_RELAXED);
}

/* Does a live object start at this byte? */
static ALWAYS_INLINE bool exact_is_live(const uint64_t *words, size_t offset)
{
    size_t unit = offset >> UNIT_SHIFT;

    return !EXACT_STATE
        || ((offset & (UNIT_BYTES - 1)) == 0
            && exact_says_live(exact_load(words, unit), unit));
}

#endif
