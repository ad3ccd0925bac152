/* SPDX-License-Identifier: MIT */
/*
 * scrub.h, emptied: nothing is zeroed, and nothing is verified. See
 * tests/emptied.sh.
 */
#ifndef MERLON_SCRUB_H
#define MERLON_SCRUB_H

#include "policy.h"

enum {
    SCRUB_WHOLE_BYTES = 256,
    SCRUB_LINE_BYTES = 0,
    SCRUB_SHORT_BYTES = 128,
};

static ALWAYS_INLINE bool scrub_short(uintptr_t slot, size_t slot_bytes)
{
    (void)slot, (void)slot_bytes;
    return true;
}

static ALWAYS_INLINE void scrub_large(uintptr_t slot, size_t usable,
                                      bool cold)
{
    (void)slot, (void)usable, (void)cold;
}

static ALWAYS_INLINE void scrub(uintptr_t slot, size_t slot_bytes)
{
    (void)slot, (void)slot_bytes;
}

static inline bool scrub_range_is_zero(uintptr_t slot, size_t bytes)
{
    (void)slot, (void)bytes;
    return true;
}

static inline void scrub_clear(uintptr_t at, size_t bytes)
{
    __builtin_memset((void *)at, 0, bytes);
}

static ALWAYS_INLINE uint64_t scrub_short_sum(uintptr_t slot,
                                              size_t slot_bytes, bool *large)
{
    (void)slot, (void)slot_bytes;
    *large = false;
    return 0;
}

static inline uint64_t scrub_long_sum(uintptr_t slot, size_t usable,
                                      uint32_t *draw)
{
    (void)slot, (void)usable, (void)draw;
    return 0;
}

static ALWAYS_INLINE bool scrub_is_whole(uintptr_t slot, size_t slot_bytes,
                                         uint32_t *draw)
{
    (void)slot, (void)slot_bytes, (void)draw;
    return true;
}

static ALWAYS_INLINE void scrub_touch(uintptr_t at)
{
    (void)at;
}

#endif
