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

enum {
    GUARD_SPAN_PAGES_MAX = 8,
    /* Above this, pages are closed by protecting them, which costs mappings;
       below by guards, which cost 40 ns for each page. */
    GUARD_WHOLE_BYTES_MAX = 256 << 10,
};

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

/* Make pages inaccessible and free them. */
static inline void guard_lock(uintptr_t at, size_t bytes)
{
    void *p = (void *)at;

    if (bytes <= GUARD_WHOLE_BYTES_MAX && os_guards_are_cheap()
        && os_guard(p, bytes))
        return;
    /* Where the kernel keeps the pages (mlockall), nothing may be readable
       when the addresses are used again. */
    if (!os_purge(p, bytes))
        __builtin_memset(p, 0, bytes);
    os_close(p, bytes);
}

/* Guards first, where there are any, then protection. */
static inline bool guard_unlock(uintptr_t at, size_t bytes, bool guards)
{
    if (bytes == 0)
        return true;
    if (guards && !os_unguard((void *)at, bytes))
        return false;
    return os_commit((void *)at, bytes);
}

/* The addresses are to be used otherwise; under isolation they never are.
   False: the kernel refuses, and the guard may still be there. */
static inline bool guard_slab_end(uintptr_t base, size_t bytes)
{
    return !GUARD_PAGES || CLASS_ISOLATION
        || os_unguard((void *)(base + bytes - os_page_bytes()),
                      os_page_bytes());
}

/* Pages in front of a span, 1 to the maximum; 0 without guards. */
static inline size_t guard_span_pages(uint64_t random)
{
    return GUARD_PAGES ? 1 + (size_t)(random % GUARD_SPAN_PAGES_MAX) : 0;
}

#endif
