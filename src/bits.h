/* SPDX-License-Identifier: MIT */
/*
 * bits.h - counting and finding bits.
 *
 * All functions are total on the domains their comments name.
 */
#ifndef MERLON_BITS_H
#define MERLON_BITS_H

#include "base.h"

/* Index of the lowest set bit; word != 0. */
static ALWAYS_INLINE unsigned bits_lowest(uint64_t word)
{
    return (unsigned)__builtin_ctzll(word);
}

/* Index of the highest set bit; word != 0. */
static ALWAYS_INLINE unsigned bits_highest(uint64_t word)
{
    return 63U ^ (unsigned)__builtin_clzll(word);
}

/* The baseline of x86-64 has no instruction for it, and the compiler would call
   a function: sums of neighbouring bits, pairs, and fours. */
static ALWAYS_INLINE unsigned bits_count(uint64_t word)
{
#if defined __x86_64__ && !defined __POPCNT__
    const uint64_t ones = ~UINT64_C(0);

    word -= word >> 1 & ones / 3;
    word = (word & ones / 5) + (word >> 2 & ones / 5);
    word = (word + (word >> 4)) & ones / 17;
    return (unsigned)((word * (ones / 255)) >> 56);
#else
    return (unsigned)__builtin_popcountll(word);
#endif
}

/* `count` ones from bit `first` on; 1 <= count, first + count <= 64. */
static ALWAYS_INLINE uint64_t bits_run(unsigned first, unsigned count)
{
    return (~UINT64_C(0) >> (64U - count)) << first;
}

/* The lowest run of ones in a word that is not zero: its mask. */
static inline uint64_t bits_lowest_run(uint64_t word, unsigned *first,
                                       unsigned *count)
{
    *first = bits_lowest(word);
    uint64_t rest = ~(word >> *first);

    *count = rest == 0 ? 64 - *first : bits_lowest(rest);
    return bits_run(*first, *count);
}

/* The smallest power of two >= value; 1 <= value <= SIZE_MAX/2 + 1. */
static ALWAYS_INLINE size_t bits_round_up_power(size_t value)
{
    if (value <= 1)
        return 1;
    return (size_t)(UINT64_C(1) << (bits_highest(value - 1) + 1));
}

/*
 * Starts of runs of `count` set bits at multiples of `count`; count is a
 * power of two <= 64. Example: word 0b11110011, count 2 -> 0b01010001.
 */
static inline uint64_t bits_aligned_runs(uint64_t word, unsigned count)
{
    uint64_t starts = ~UINT64_C(0);

    for (unsigned width = 1; width < count; width *= 2)
        word &= word >> width;
    if (count == 64)
        return word & 1;
    /* One bit in every `count`: all ones divided by the run's value. */
    starts /= (UINT64_C(1) << count) - 1;
    return word & starts;
}

#endif
