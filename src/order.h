/* SPDX-License-Identifier: MIT */
/*
 * order.h - slots are handed out in random order.
 *
 * A Fisher-Yates shuffle with numbers of the heap's ChaCha20 stream, done while
 * the slots are gathered ("inside out"): every permutation can come. Each draw
 * reads 16 bits, one byte further on for each: the high byte is fresh, the low
 * one only refines it. A draw is biased by less than 2^-8 of its probability.
 */
#ifndef MERLON_ORDER_H
#define MERLON_ORDER_H

#include "entropy.h"
#include "policy.h"

enum { ORDER_SLOTS_MAX = 118 };

/* A byte for each draw, and one more. */
union order_noise {
    uint64_t word[ORDER_SLOTS_MAX / 8 + 1];
    uint8_t byte[(ORDER_SLOTS_MAX / 8 + 1) * 8];
};

/* For `more` draws beyond the first `count`; a number to spare is returned. */
static inline uint32_t order_draw(union order_noise *noise, uint32_t count,
                                  uint32_t more, struct stream *stream)
{
    if (!RANDOM_ORDER)
        return 0;
    for (uint32_t i = count / 8; i <= (count + more) / 8; i++)
        noise->word[i] = stream_draw(stream);
    return (uint32_t)stream_draw(stream);
}

/* Put `value` at a random place among slots[0 .. count], of which the first
   `count` are filled; the noise is that of order_draw. */
static ALWAYS_INLINE void order_insert(uint32_t *slots, uint32_t count,
                                       uint32_t value,
                                       const uint8_t *noise)
{
    if (RANDOM_ORDER) {
        uint16_t random;
        __builtin_memcpy(&random, noise + count, sizeof random);
        uint32_t at = (random * (count + 1)) >> 16;
        slots[count] = slots[at];
        slots[at] = value;
    } else {
        slots[count] = value;
    }
}

/* Shuffle afresh what was drawn already. */
static inline void order_shuffle(uint32_t *slots, uint32_t count,
                                 struct stream *stream)
{
    union order_noise noise;

    if (!RANDOM_ORDER)
        return;
    order_draw(&noise, 0, count, stream);
    for (uint32_t i = 0; i < count; i++)
        order_insert(slots, i, slots[i], noise.byte);
}

#endif
