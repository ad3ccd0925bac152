/* SPDX-License-Identifier: MIT */
/*
 * guard.h - pages that fault.
 *
 * One at the end of each slab, and around each span a random number of them.
 */
#ifndef MERLON_GUARD_H
#define MERLON_GUARD_H

#include "os.h"
#include "policy.h"

enum { GUARD_SPAN_PAGES_MAX = 8 };

/* Bytes at the end of a slab that no slot uses. */
static inline size_t guard_slab_bytes(void)
{
    return GUARD_PAGES ? os_page_bytes() : 0;
}

static inline void guard_slab(uintptr_t base, size_t bytes)
{
    if (GUARD_PAGES)
        os_guard((void *)(base + bytes - os_page_bytes()), os_page_bytes());
}

/* The addresses are to be used otherwise; under isolation they never are. */
static inline void guard_slab_end(uintptr_t base, size_t bytes)
{
    if (GUARD_PAGES && !CLASS_ISOLATION)
        os_unguard((void *)(base + bytes - os_page_bytes()), os_page_bytes());
}

/* Pages in front of a span, 1 to the maximum; 0 without guards. */
static inline size_t guard_span_pages(uint64_t random)
{
    return GUARD_PAGES ? 1 + (size_t)(random % GUARD_SPAN_PAGES_MAX) : 0;
}

#endif
