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
 * Without, freed spans wait in a small cache of the heap (span_cache.h), or in
 * the arena with their pages, and decay.
 */
#ifndef MERLON_SPAN_H
#define MERLON_SPAN_H

#include "arena.h"
#include "die.h"
#include "entropy.h"
#include "os.h"
#include "record.h"
#include "span_cache.h"

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

/* Give back what waited in the cache for SPAN_CACHE_MS, or all. */
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

static ALWAYS_INLINE void span_count(size_t bytes, bool born)
{
    /* Relaxed: statistics. */
    if (born) {
        __atomic_fetch_add(&span_live_bytes, bytes, __ATOMIC_RELAXED);
        __atomic_fetch_add(&span_born_count, 1, __ATOMIC_RELAXED);
    } else {
        __atomic_fetch_sub(&span_live_bytes, bytes, __ATOMIC_RELAXED);
        __atomic_fetch_add(&span_freed_count, 1, __ATOMIC_RELAXED);
    }
}

/* It is complete: from now on it lives. */
static ALWAYS_INLINE void *span_publish(struct record *span, size_t bytes)
{
    span->span_bytes = bytes;
    span_count(bytes, true);
    /* Release: whoever finds it live sees its fields. */
    __atomic_store_n(&span->kind, RECORD_SPAN, __ATOMIC_RELEASE);
    return (void *)span->base;
}

/* Of two racing frees one wins. Acquire and release: the loser's and the next
   owner's view of the fields. */
static ALWAYS_INLINE bool span_claim(struct record *span)
{
    uint8_t expected = RECORD_SPAN;

    return __atomic_compare_exchange_n(&span->kind, &expected,
                                       RECORD_SPAN_FREE, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* An object out of the cache, or NULL: span_allocate must do it. */
static ALWAYS_INLINE void *span_retake(struct span_cache *cache, size_t bytes)
{
    if (GUARD_PAGES || bytes - 1 >= SPAN_CACHE_RANGE_MAX << GRANULE_SHIFT)
        return NULL;
    size_t usable = align_up(bytes, os_page_bytes());
    struct record *span = span_cache_take(cache, usable);
    return span ? span_publish(span, usable) : NULL;
}

/* Free what fits into the cache. False: span_free must look. */
static ALWAYS_INLINE bool span_put_away(struct span_cache *cache, uintptr_t p)
{
    const struct arena *arena = arena_at(0);
    uintptr_t offset = p - arena->base;

    if (GUARD_PAGES || CHECKED
        || offset - arena->span_offset >= arena->span_bytes)
        return false;
    struct record *span = &arena->records[offset >> GRANULE_SHIFT];
    if (span->base != p
        /* Acquire: the fields of a live span are complete. */
        || __atomic_load_n(&span->kind, __ATOMIC_ACQUIRE) != RECORD_SPAN
        || !span_cache_has_room(cache, span) || !span_claim(span))
        return false;
    span_count(span->span_bytes, false);
    span_cache_put(cache, span);
    return true;
}

#endif
