/* SPDX-License-Identifier: MIT */
/*
 * guard.h, emptied: no page faults. See tests/emptied.sh.
 */
#ifndef MERLON_GUARD_H
#define MERLON_GUARD_H

#include "os.h"
#include "policy.h"

enum { GUARD_SPAN_PAGES_MAX = 0, GUARD_WHOLE_BYTES_MAX = 0 };

static inline size_t guard_slab_bytes(void)
{
    return 0;
}

static inline void guard_slab(uintptr_t base, size_t bytes)
{
    (void)base, (void)bytes;
}

static inline void guard_lock(uintptr_t at, size_t bytes)
{
    (void)at, (void)bytes;
}

static inline bool guard_unlock(uintptr_t at, size_t bytes, bool guards)
{
    (void)at, (void)bytes, (void)guards;
    return true;
}

static inline bool guard_slab_end(uintptr_t base, size_t bytes)
{
    (void)base, (void)bytes;
    return true;
}

static inline size_t guard_span_pages(uint64_t random)
{
    (void)random;
    return 0;
}

#endif
