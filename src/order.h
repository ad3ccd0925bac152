/* SPDX-License-Identifier: MIT */
/*
 * order.h - slots are handed out in random order.
 *
 * A Fisher-Yates shuffle over a stretch of slots, with numbers of the heap's
 * ChaCha20 stream: every permutation is as likely as any other, up to a bias
 * below 2^-14 in each draw, and each refill draws afresh.
 */
#ifndef MERLON_ORDER_H
#define MERLON_ORDER_H

#include "entropy.h"
#include "policy.h"

enum { ORDER_DRAW_BITS = 21, ORDER_DRAWS = 3 }; /* from each number */

static inline void order_shuffle(uint32_t *slots, uint32_t count,
                                 struct stream *stream)
{
    uint64_t random = 0;
    unsigned draws = 0;

    if (!RANDOM_ORDER)
        return;
    for (uint32_t i = count; i > 1; i--) {
        if (draws-- == 0) {
            random = stream_draw(stream);
            draws = ORDER_DRAWS - 1;
        }
        uint64_t draw = random & ((1U << ORDER_DRAW_BITS) - 1);
        uint32_t j = (uint32_t)((draw * i) >> ORDER_DRAW_BITS);
        random >>= ORDER_DRAW_BITS;
        uint32_t swapped = slots[i - 1];
        slots[i - 1] = slots[j];
        slots[j] = swapped;
    }
}

#endif
