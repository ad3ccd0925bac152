/* SPDX-License-Identifier: MIT */
/*
 * exact.h, emptied: without exact-state every pointer is right, and in list
 * mode there are no bits. See tests/emptied.sh.
 */
#ifndef MERLON_EXACT_H
#define MERLON_EXACT_H

#include "record.h"

static ALWAYS_INLINE uint64_t exact_bit(size_t unit)
{
    (void)unit;
    return 0;
}

static ALWAYS_INLINE size_t exact_word(size_t unit)
{
    (void)unit;
    return 0;
}

static ALWAYS_INLINE uint64_t exact_load(const uint64_t *words, size_t unit)
{
    (void)words, (void)unit;
    return 0;
}

static ALWAYS_INLINE bool exact_says_live(uint64_t word, size_t unit)
{
    (void)word, (void)unit;
    return true;
}

static ALWAYS_INLINE void exact_open(uint64_t *words, uint64_t word,
                                     size_t unit)
{
    (void)words, (void)word, (void)unit;
}

static ALWAYS_INLINE uint64_t exact_closed(uint64_t word, size_t unit)
{
    (void)unit;
    return word;
}

static ALWAYS_INLINE void exact_store(uint64_t *words, uint64_t word,
                                      size_t unit)
{
    (void)words, (void)word, (void)unit;
}

static ALWAYS_INLINE bool exact_is_live(const uint64_t *words, size_t offset)
{
    (void)words, (void)offset;
    return true;
}

#endif
