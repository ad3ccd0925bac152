/* SPDX-License-Identifier: MIT */
/*
 * order.h, emptied: slots stay in their order. See tests/emptied.sh.
 */
#ifndef MERLON_ORDER_H
#define MERLON_ORDER_H

#include "entropy.h"
#include "policy.h"

static inline void order_shuffle(uint32_t *slots, uint32_t count,
                                 struct stream *stream)
{
    (void)slots, (void)count, (void)stream;
}

#endif
