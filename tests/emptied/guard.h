/* SPDX-License-Identifier: MIT */
/*
 * guard.h, emptied: no page faults. See tests/emptied.sh.
 */
#ifndef MERLON_GUARD_H
#define MERLON_GUARD_H

#include "os.h"
#include "policy.h"

enum { GUARD_SPAN_PAGES_MAX = 0 };

static inline size_t guard_slab_bytes(void)
{
    return 0;
}

static inline void guard_slab(uintptr_t base, size_t bytes)
{
    (void)base, (void)bytes;
}

static inline void guard_slab_end(uintptr_t base, size_t bytes)
{
    (void)base, (void)bytes;
}

static inline size_t guard_span_pages(uint64_t random)
{
    (void)random;
    return 0;
}

#endif
