/* SPDX-License-Identifier: MIT */
/*
 * order.h - slots are handed out in random order.
 *
 * A Fisher-Yates shuffle over a stretch of slots, with numbers of the heap's
 * ChaCha20 stream: every permutation is as likely as any other (up to a bias
 * of 2^-25 in each draw), and each refill draws afresh.
 */
#ifndef MERLON_ORDER_H
#define MERLON_ORDER_H

#include "entropy.h"
#include "policy.h"

static inline void order_shuffle(uint32_t *slots, uint32_t count,
                                 struct stream *stream)
{
    uint64_t random = 0;
    bool half = false;

    if (!RANDOM_ORDER)
        return;
    for (uint32_t i = count; i > 1; i--) {
        /* Two draws from each number. */
        random = half ? random >> 32 : stream_draw(stream);
        half = !half;
        uint32_t j = stream_below((uint32_t)random, i);
        uint32_t swapped = slots[i - 1];
        slots[i - 1] = slots[j];
        slots[j] = swapped;
    }
}

#endif
