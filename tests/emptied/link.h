/* SPDX-License-Identifier: MIT */
/*
 * link.h, emptied: what links are without encoded-links. See tests/emptied.sh.
 */
#ifndef MERLON_LINK_H
#define MERLON_LINK_H

#include "entropy.h"
#include "record.h"

static inline uint32_t link_draw_pad(struct stream *stream)
{
    (void)stream;
    return 0;
}

static ALWAYS_INLINE uint64_t link_encode(const struct slab_key *key,
                                          uint32_t place, uint32_t use,
                                          uint32_t next)
{
    (void)key, (void)place, (void)use;
    return next >> UNIT_SHIFT;
}

static ALWAYS_INLINE bool link_decode(const struct slab_key *key,
                                      uint32_t place, uint32_t use,
                                      uint64_t word, uint32_t *next)
{
    (void)key, (void)place, (void)use;
    *next = (uint32_t)(word << UNIT_SHIFT);
    return true;
}

#endif
