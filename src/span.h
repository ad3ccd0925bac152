/* SPDX-License-Identifier: MIT */
/*
 * span.h - large objects: a run of granules of its own for each.
 *
 * A span is freed by the thread that frees it, never mailed. Its state is the
 * `kind` of the record of the granule its address lies in, changed by one
 * compare-and-swap: of two racing frees one wins and the other is reported.
 * An interior pointer finds a record of another kind, or another base.
 *
 * With GUARD_PAGES a random number of guard pages stands in front and one
 * behind; a freed span is inaccessible and its addresses wait in a quarantine.
 * Without, freed spans wait in a small cache of the heap, and decay.
 */
#ifndef MERLON_SPAN_H
#define MERLON_SPAN_H

#include "die.h"
#include "entropy.h"
#include "record.h"

enum {
    SPAN_CACHE_COUNT = 8,
    SPAN_CACHE_BYTES_MAX = 64 << 20,
    SPAN_CACHE_MS = 1000,
};

/* Freed spans that a heap keeps for its next large requests. */
struct span_cache {
    struct record *span[GUARD_PAGES ? 0 : SPAN_CACHE_COUNT];
    size_t bytes[GUARD_PAGES ? 0 : 1];
    uint64_t now_ms[GUARD_PAGES ? 0 : 1]; /* the clock, at the last tick */
};

/*
 * An object of `bytes` > 0 at a multiple of `alignment` (a power of two, at
 * least the page size). *zeroed: it reads as zeros. NULL: no memory. The
 * stream may be NULL in builds without RANDOM_STREAM.
 */
void *span_allocate(size_t bytes, size_t alignment, struct stream *stream,
                    struct span_cache *cache, bool *zeroed);

/* The live span that starts at p, or NULL. */
struct record *span_of(struct record *record, uintptr_t p);

/* Free; reports a second free. `cache` may be NULL. */
void span_free(struct record *span, struct span_cache *cache,
               struct die_call call);

/* Change the size in place; false if that is not possible. */
bool span_resize(struct record *span, size_t bytes);

/* Give back what waited longer than SPAN_CACHE_MS, or all. */
bool span_cache_decay(struct span_cache *cache, uint64_t now, bool all);

/* Figures of the process. Two counts that only grow tell how many live and how
   many there ever were, at the price of one. */
extern size_t span_live_bytes, span_born_count, span_freed_count;

/* Freed ranges that wait, under GUARD_PAGES: address space, and how many. */
extern size_t span_quarantine_bytes, span_quarantine_count;

static inline size_t span_live_count(void)
{
    /* Acquire: in this order, so that it is hardly ever below zero. */
    size_t freed = __atomic_load_n(&span_freed_count, __ATOMIC_ACQUIRE);

    return __atomic_load_n(&span_born_count, __ATOMIC_RELAXED) - freed;
}

#endif
