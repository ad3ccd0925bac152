/* SPDX-License-Identifier: MIT */
/*
 * span_cache.h - freed spans that a heap keeps for its next large requests.
 *
 * Only without GUARD_PAGES. A small stack for each power of two that a range
 * may have: any span of the stack fits, so taking and putting look at one of
 * them only, the one that was freed last. What finds no room here, and what is
 * larger, goes to the arena with its pages in it (granules.h: dirty), where
 * other sizes and other threads find it.
 *
 * A cached span has kind RECORD_SPAN_FREE and begins where its range begins.
 */
#ifndef MERLON_SPAN_CACHE_H
#define MERLON_SPAN_CACHE_H

#include "bits.h"
#include "record.h"
#include "sizeclass.h"

enum {
    SPAN_CACHE_RANGE_MAX = 64, /* granules */
    /* The first row is for what is just larger than a slot. */
    SPAN_CACHE_SKIPPED = GRANULE_SHIFT == 16 ? 3 : 0,
    SPAN_CACHE_ROWS = 7 - SPAN_CACHE_SKIPPED,
    SPAN_CACHE_DEPTH = 4,
    SPAN_CACHE_BYTES_MAX = 16 << 20, /* of ranges, in one heap */
    SPAN_CACHE_MS = 1000,
};

_Static_assert(GRANULE_SHIFT != 16
               || CLASS_SLOT_BYTES_MAX == GRANULE_BYTES << 2,
               "the smallest span has a range of eight granules");

struct span_row {
    struct record *span[SPAN_CACHE_DEPTH]; /* the oldest first */
    uint32_t count;
};

struct span_cache {
    struct span_row row[GUARD_PAGES ? 0 : SPAN_CACHE_ROWS];
    size_t bytes[GUARD_PAGES ? 0 : 1];    /* of the ranges */
    uint64_t now_ms[GUARD_PAGES ? 0 : 1]; /* the clock, at the last tick */
};

/* The row of ranges of so many granules, or of the next power of two; one to
   the maximum. */
static ALWAYS_INLINE struct span_row *span_cache_row(struct span_cache *cache,
                                                     size_t granules)
{
    /* Signed: where granules are large, no row is left out. */
    int shift = granules > 1 ? (int)bits_highest(granules - 1) + 1 : 0;
    struct span_row *first = cache->row;

    return first + (shift < SPAN_CACHE_SKIPPED ? 0
                    : shift - SPAN_CACHE_SKIPPED);
}

/* A span of which `bytes` can be used, or NULL. */
static ALWAYS_INLINE struct record *span_cache_take(struct span_cache *cache,
                                                    size_t bytes)
{
    size_t granules = (bytes + GRANULE_BYTES - 1) >> GRANULE_SHIFT;

    if (GUARD_PAGES || granules > SPAN_CACHE_RANGE_MAX)
        return NULL;
    struct span_row *row = span_cache_row(cache, granules);
    if (row->count == 0)
        return NULL;
    /* First it leaves: a fork at this instant loses it. */
    struct record *span = row->span[--row->count];
    compiler_fence();
    cache->bytes[0] -= span->span_granules << GRANULE_SHIFT;
    return span;
}

/* May this span be put here? Of a power of two that is a row's, whole, and
   there is room. */
static ALWAYS_INLINE bool span_cache_has_room(struct span_cache *cache,
                                              const struct record *span)
{
    size_t granules = span->span_granules;
    size_t bytes = granules << GRANULE_SHIFT;

    return !GUARD_PAGES && granules - 1 < SPAN_CACHE_RANGE_MAX
        && (granules & (granules - 1)) == 0
        && granules >> SPAN_CACHE_SKIPPED != 0
        && (span->base & (bytes - 1)) == 0
        && cache->bytes[0] + bytes <= SPAN_CACHE_BYTES_MAX
        && span_cache_row(cache, granules)->count < SPAN_CACHE_DEPTH;
}

/* Keep a span that was just freed; there is room. */
static ALWAYS_INLINE void span_cache_put(struct span_cache *cache,
                                         struct record *span)
{
    struct span_row *row = span_cache_row(cache, span->span_granules);

    span->span_freed_ms = cache->now_ms[0];
    cache->bytes[0] += span->span_granules << GRANULE_SHIFT;
    row->span[row->count] = span;
    compiler_fence();
    row->count++;
}

/* The oldest span of the row, if it has been here since before `since`. */
static inline struct record *span_cache_expire(struct span_cache *cache,
                                               struct span_row *row,
                                               uint64_t since)
{
    struct record *span = row->span[0];

    if (row->count == 0 || span->span_freed_ms > since)
        return NULL;
    for (uint32_t i = 1; i < row->count; i++)
        row->span[i - 1] = row->span[i];
    row->count--;
    cache->bytes[0] -= span->span_granules << GRANULE_SHIFT;
    return span;
}

#endif
