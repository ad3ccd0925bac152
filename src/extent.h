/* SPDX-License-Identifier: MIT */
/*
 * extent.h - how large a reserved range is, and how far it is claimed.
 *
 * The idea: a range is used from its beginning on, and may lose its end when
 * address space is given back. Whoever wants to use more of it claims that
 * first; whoever cuts the range keeps all that is claimed. Both are
 * compare-and-swaps on the one word that holds both numbers, so nobody makes
 * memory writable that was given back a moment ago, and may be somebody
 * else's by now. A fork may copy the word at any instant.
 *
 * The unit is the user's: granules or pages.
 */
#ifndef MERLON_EXTENT_H
#define MERLON_EXTENT_H

#include "base.h"

struct extent {
    uint64_t word; /* size in the upper half, claimed in the lower */
};

static inline void extent_open(struct extent *extent, size_t size)
{
    extent->word = (uint64_t)size << 32;
}

static inline size_t extent_size(const struct extent *extent)
{
    /* Relaxed: a bound; to use what lies below it is for extent_claim. */
    return (size_t)(__atomic_load_n(&extent->word, __ATOMIC_RELAXED) >> 32);
}

/* From now on [0, to) stays in the range. False: it is not so large. */
static inline bool extent_claim(struct extent *extent, size_t to)
{
    uint64_t word = __atomic_load_n(&extent->word, __ATOMIC_RELAXED);

    do {
        if (to > word >> 32)
            return false;
        if (to <= (uint32_t)word)
            return true;
        /* Relaxed: the memory itself is ordered by who publishes it. */
    } while (!__atomic_compare_exchange_n(&extent->word, &word,
                                          word >> 32 << 32 | to, true,
                                          __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return true;
}

/* Cut the range behind what is claimed and `spare` more. The new size. */
static inline size_t extent_cut(struct extent *extent, size_t spare)
{
    uint64_t word = __atomic_load_n(&extent->word, __ATOMIC_RELAXED);
    uint64_t size;

    do {
        size = (uint32_t)word + (uint64_t)spare;
        if (size > word >> 32)
            size = word >> 32;
    } while (!__atomic_compare_exchange_n(&extent->word, &word,
                                          size << 32 | (uint32_t)word, true,
                                          __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return (size_t)size;
}

#endif
