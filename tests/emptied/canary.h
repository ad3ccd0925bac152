/* SPDX-License-Identifier: MIT */
/*
 * canary.h, emptied: without canaries each is whole. See tests/emptied.sh.
 */
#ifndef MERLON_CANARY_H
#define MERLON_CANARY_H

#include "record.h"

static ALWAYS_INLINE bool canary_stays(size_t slot_bytes)
{
    (void)slot_bytes;
    return true;
}

static ALWAYS_INLINE void canary_write(const struct slab_key *key,
                                       uintptr_t slot, size_t slot_bytes)
{
    (void)key, (void)slot, (void)slot_bytes;
}

static ALWAYS_INLINE void canary_clear(uintptr_t slot, size_t slot_bytes)
{
    (void)slot, (void)slot_bytes;
}

static ALWAYS_INLINE void canary_mark(uintptr_t slot, size_t slot_bytes,
                                      uint32_t thread)
{
    (void)slot, (void)slot_bytes, (void)thread;
}

static inline uint32_t canary_marked_by(const struct slab_key *key,
                                        uintptr_t slot, size_t slot_bytes)
{
    (void)key, (void)slot, (void)slot_bytes;
    return 0;
}

static ALWAYS_INLINE bool canary_is_clear(uintptr_t slot, size_t slot_bytes)
{
    (void)slot, (void)slot_bytes;
    return true;
}

static ALWAYS_INLINE bool canary_is_whole(const struct slab_key *key,
                                          uintptr_t slot, size_t slot_bytes)
{
    (void)key, (void)slot, (void)slot_bytes;
    return true;
}

#endif
