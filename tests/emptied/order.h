/* SPDX-License-Identifier: MIT */
/*
 * order.h, emptied: slots stay in their order. See tests/emptied.sh.
 */
#ifndef MERLON_ORDER_H
#define MERLON_ORDER_H

#include "entropy.h"
#include "policy.h"

enum { ORDER_SLOTS_MAX = 118 };

union order_noise {
    uint8_t byte[1];
};

static inline uint32_t order_draw(union order_noise *noise, uint32_t count,
                                  uint32_t more, struct stream *stream)
{
    (void)noise, (void)count, (void)more, (void)stream;
    return 0;
}

static ALWAYS_INLINE void order_insert(uint32_t *slots, uint32_t count,
                                       uint32_t value,
                                       const uint8_t *noise)
{
    (void)noise;
    slots[count] = value;
}

static inline void order_shuffle(uint32_t *slots, uint32_t count,
                                 struct stream *stream)
{
    (void)slots, (void)count, (void)stream;
}

#endif
