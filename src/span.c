/* SPDX-License-Identifier: MIT */
/*
 * span.c - allocating, freeing and resizing spans.
 *
 * Layout of a span's range of granules:
 *   guards | pages of the object | guards | unused
 * Without GUARD_PAGES the object begins at the range, so that it can grow in
 * place to the range's end.
 */
#include "span.h"

#include "arena.h"
#include "guard.h"
#include "os.h"
#include "ring.h"
#include "space.h"

size_t span_live_bytes, span_born_count, span_freed_count;

/* Freed ranges under GUARD_PAGES: inaccessible until they leave the ring. In
   address space they take at most a share of the first arena. */
static struct ring quarantine;
size_t span_quarantine_bytes, span_quarantine_count;

enum {
    /* Of the spans' part so much may wait with its pages in it, or, where that
       is more, as much as is taken. */
    DIRTY_BYTES_MAX = 64 << 20,
    QUARANTINE_SHARE = 4,
    /* Each may cost two mappings. */
    QUARANTINE_COUNT_MAX = 64,
    /* Spans from this size on are huge, */
    HUGE_BYTES = 4 << 20,
    HUGE_PAGE_BYTES = 2 << 20,
    /* and have huge pages once so many of them were freed. */
    HUGE_FREED_MIN = 8,
};

/* Huge spans that were ever freed, about; it stays at the minimum. */
static unsigned huge_freed;

static uintptr_t range_base(const struct record *span)
{
    struct arena *arena = arena_at(span->arena);

    return arena->base + (span->span_index << GRANULE_SHIFT);
}

static uintptr_t range_end(const struct record *span)
{
    return range_base(span) + (span->span_granules << GRANULE_SHIFT);
}

struct record *span_of(struct record *record, uintptr_t p)
{
    /* Acquire: the fields of a live span are complete. */
    if (__atomic_load_n(&record->kind, __ATOMIC_ACQUIRE) != RECORD_SPAN
        || record->base != p)
        return NULL;
    return record;
}

/* The guards behind the object: up to eight pages, if the range has them. */
static void guard_behind(struct record *span)
{
    if (!GUARD_PAGES)
        return;
    uintptr_t at = span->base + span->span_bytes;
    size_t bytes = size_min(range_end(span) - at,
                            GUARD_SPAN_PAGES_MAX * os_page_bytes());

    span->span_guarded = bytes;
    if (bytes != 0)
        os_guard((void *)at, bytes);
}

static void guard_before(struct record *span)
{
    if (!GUARD_PAGES)
        return;
    size_t bytes = size_min(span->base - range_base(span),
                            GUARD_SPAN_PAGES_MAX * os_page_bytes());

    if (bytes != 0)
        os_guard((void *)(span->base - bytes), bytes);
}

static void *publish(struct record *span, size_t bytes)
{
    span->span_bytes = bytes;
    guard_before(span);
    guard_behind(span);
    return span_publish(span, bytes);
}

/* Nobody uses the range any more: back to the arena. `dirty`: its pages still
   hold memory. */
static void release_range(struct record *span, bool dirty)
{
    unsigned arena = span->arena;
    size_t index = span->span_index, granules = span->span_granules;

    span->base = 0;
    __atomic_store_n(&span->kind, RECORD_NONE, __ATOMIC_RELEASE);
    arena_give_span(arena, index, granules, dirty);
}

/* Purge the range, of which an earlier object may have used more than the last
   one, and give it back. */
static void release(struct record *span)
{
    uintptr_t begin = range_base(span);
    bool purged = os_purge((void *)begin, range_end(span) - begin);

    release_range(span, !purged);
}

/*
 * Back to the arena, with its pages if not too many wait there already: the
 * next span has them without a fault. They decay with the arena.
 */
static void release_warm(struct record *span)
{
    if (granules_may_wait(&arena_at(span->arena)->spans, span->span_granules,
                          DIRTY_BYTES_MAX))
        release_range(span, true);
    else
        release(span);
}

bool span_cache_decay(struct span_cache *cache, uint64_t now, bool all)
{
    uint64_t since = all ? UINT64_MAX : now - SPAN_CACHE_MS;
    struct record *span;
    bool any = false;

    if (GUARD_PAGES)
        return false;
    cache->now_ms[0] = now;
    if (!all && now < SPAN_CACHE_MS)
        return false;
    for (unsigned i = 0; i < SPAN_CACHE_ROWS; i++) {
        struct span_row *row = cache->row;
        while ((span = span_cache_expire(cache, row + i, since))) {
            release(span);
            any = true;
        }
    }
    return any;
}

/* It is in the quarantine no more. */
static void discount(const struct record *span)
{
    __atomic_fetch_sub(&span_quarantine_bytes,
                       range_end(span) - range_base(span), __ATOMIC_RELAXED);
    __atomic_fetch_sub(&span_quarantine_count, 1, __ATOMIC_RELAXED);
}

/*
 * Nothing of a freed span's range can be read or written. A new mapping does it
 * by one call: pages, page tables, guards, and whether there were huge pages
 * are forgotten. Where guards are mappings of their own, these are counted, and
 * stay as they are.
 */
static void close_range(struct record *span)
{
    uintptr_t begin = range_base(span);

    span->span_closed = os_guards_are_cheap()
        && os_decommit((void *)begin, range_end(span) - begin);
    if (!span->span_closed)
        guard_lock(span->base, span->span_bytes);
}

static bool open_range(const struct record *span)
{
    uintptr_t begin = range_base(span);
    size_t front = size_min(span->base - begin,
                            GUARD_SPAN_PAGES_MAX * os_page_bytes());

    if (span->span_closed)
        return os_commit((void *)begin, range_end(span) - begin);
    return guard_unlock(span->base, span->span_bytes,
                        span->span_bytes <= GUARD_WHOLE_BYTES_MAX)
        && guard_unlock(span->base - front, front, true)
        && guard_unlock(span->base + span->span_bytes, span->span_guarded,
                        true);
}

/* The oldest span of the quarantine leaves it. False: the kernel refuses (it is
   out of mappings), and the span waits for another time. */
static bool let_out(struct record *span)
{
    if (open_range(span)) {
        discount(span);
        release_range(span, false);
        return true;
    }
    struct record *displaced = ring_put(&quarantine, span);
    if (displaced)
        discount(displaced); /* too many wait: its addresses are given up */
    return false;
}

static void enter_quarantine(struct record *span)
{
    size_t bytes = range_end(span) - range_base(span);
    size_t limit = arena_at(0)->span_bytes / QUARANTINE_SHARE;
    /* Relaxed: a budget. */
    size_t sum = __atomic_add_fetch(&span_quarantine_bytes, bytes,
                                    __ATOMIC_RELAXED);
    size_t count = __atomic_add_fetch(&span_quarantine_count, 1,
                                      __ATOMIC_RELAXED);
    struct record *oldest = ring_put(&quarantine, span);

    if (oldest)
        let_out(oldest);
    while ((sum > limit || count > QUARANTINE_COUNT_MAX)
           && (oldest = ring_take(&quarantine)) && let_out(oldest)) {
        sum = __atomic_load_n(&span_quarantine_bytes, __ATOMIC_RELAXED);
        count = __atomic_load_n(&span_quarantine_count, __ATOMIC_RELAXED);
    }
}

/* Address space is short: the whole quarantine ends early. */
static bool end_quarantine(void)
{
    struct record *span;
    bool any = false;

    while (GUARD_PAGES && (span = ring_take(&quarantine)) && let_out(span))
        any = true;
    return any;
}

/*
 * Each span has fresh pages. Who allocates and frees huge spans again and again
 * pays more for a fault on every page than for all that he does with them. With
 * huge pages it is a third. Who has but a few keeps to what he touches. Without
 * guards pages are not fresh: freed spans keep theirs.
 */
static bool wants_huge_pages(size_t bytes)
{
    /* Relaxed: a preference. */
    return GUARD_PAGES && bytes >= HUGE_BYTES && sizeof(size_t) == 8
        && __atomic_load_n(&huge_freed, __ATOMIC_RELAXED) >= HUGE_FREED_MIN;
}

/* Where huge pages begin, if the object still ends before `end`; those that lie
   in it are asked for. */
static uintptr_t huge_place(uintptr_t user, size_t bytes, uintptr_t end)
{
    uintptr_t from = align_up(user, HUGE_PAGE_BYTES);

    if (from + bytes <= end)
        user = from;
    os_huge_pages((void *)from,
                  align_down(user + bytes, HUGE_PAGE_BYTES) - from);
    return user;
}

static void count_huge(const struct record *span)
{
    if (GUARD_PAGES && span->span_bytes >= HUGE_BYTES
        && __atomic_load_n(&huge_freed, __ATOMIC_RELAXED) < HUGE_FREED_MIN)
        __atomic_fetch_add(&huge_freed, 1, __ATOMIC_RELAXED);
}

void *span_allocate(size_t bytes, size_t alignment, struct stream *stream,
                    struct span_cache *cache, bool *zeroed)
{
    size_t page = os_page_bytes();
    bool huge = wants_huge_pages(bytes);
    uint64_t random = RANDOM_STREAM ? stream_draw(stream) : 0;
    size_t front = align_up(guard_span_pages(random) * page, alignment);
    size_t usable = align_up(bytes, page);
    size_t total = front + usable + (GUARD_PAGES ? page : 0);
    size_t granules, taken;

    if (usable > PTRDIFF_MAX || front > PTRDIFF_MAX - usable - page)
        return NULL;
    if (!GUARD_PAGES && cache && alignment <= GRANULE_BYTES) {
        void *cached = span_retake(cache, bytes);
        if (cached) {
            *zeroed = false;
            return cached;
        }
    }
    if (alignment > GRANULE_BYTES)
        total += alignment; /* runs are aligned to at most their size */
    if (huge && space_limit_bytes() == SIZE_MAX)
        total += HUGE_PAGE_BYTES;
    granules = (total + GRANULE_BYTES - 1) >> GRANULE_SHIFT;
    struct record *first = arena_take_span(granules, random, &taken, zeroed);
    if (!first && end_quarantine())
        first = arena_take_span(granules, random, &taken, zeroed);
    if (!first)
        return NULL;
    size_t index = record_index(first);
    uintptr_t user = align_up(first->base + guard_span_pages(random) * page,
                              alignment);
    if (huge)
        user = huge_place(user, usable, first->base
                              + (taken << GRANULE_SHIFT) - page);
    struct record *span = arena_record(user);
    span->arena = first->arena;
    span->base = user;
    span->span_index = index;
    span->span_granules = taken;
    return publish(span, usable);
}

/* What the record says of a span, before pages are closed and given back: it
   lies in its range, and the range in the arena's part for spans. */
static bool is_sane(const struct record *span)
{
    const struct arena *arena = arena_at(span->arena);
    size_t count = extent_size(&arena->spans.extent);
    size_t index = span->span_index - arena_span_index(arena);

    return span->arena < arena_count() && index < count
        && span->span_granules <= count - index
        && span->base >= range_base(span) && span->base < range_end(span)
        && span->span_bytes <= range_end(span) - span->base
        && span->span_guarded <= range_end(span) - span->base
               - span->span_bytes;
}

void span_free(struct record *span, struct span_cache *cache,
               struct die_call call)
{
    if (!span_claim(span)) {
        struct die_facts facts = { .call = call,
                                   .pointer = (void *)span->base };
        die(DIE_DOUBLE_FREE, &facts);
        return;
    }
    if (CHECKED && unlikely(!is_sane(span))) {
        struct die_facts facts = { .call = call, .pointer = (void *)span,
                                   .detail = "record of a span" };
        die(DIE_METADATA, &facts);
        return;
    }
    span_count(span->span_bytes, false);
    count_huge(span);
    if (GUARD_PAGES) {
        close_range(span);
        enter_quarantine(span);
    } else if (cache && span_cache_has_room(cache, span)) {
        span_cache_put(cache, span);
    } else {
        release_warm(span);
    }
}

static void shrink(struct record *span, size_t bytes)
{
    uintptr_t at = span->base + bytes;
    size_t tail = span->span_bytes - bytes;

    span->span_bytes = bytes;
    if (GUARD_PAGES) {
        guard_lock(at, tail);
        span->span_guarded += tail;
    } else {
        os_purge((void *)at, tail);
    }
}

static bool grow(struct record *span, size_t bytes)
{
    size_t need = span->base - range_base(span) + bytes
        + (GUARD_PAGES ? os_page_bytes() : 0);
    size_t granules = (need + GRANULE_BYTES - 1) >> GRANULE_SHIFT;

    if (granules > span->span_granules) {
        if (!arena_extend_span(span, span->span_index, span->span_granules,
                               granules))
            return false;
        span->span_granules = granules;
    }
    uintptr_t at = span->base + span->span_bytes;
    /* All guards behind, then new ones. */
    if (GUARD_PAGES && !guard_unlock(at, span->span_guarded, true))
        return false;
    span->span_bytes = bytes;
    guard_behind(span);
    return true;
}

bool span_resize(struct record *span, size_t bytes)
{
    size_t old = span->span_bytes;
    size_t wanted = align_up(bytes, os_page_bytes());

    if (wanted < bytes || wanted > PTRDIFF_MAX)
        return false;
    if (wanted < old)
        shrink(span, wanted);
    else if (wanted > old && !grow(span, wanted))
        return false;
    /* Relaxed: statistics; unsigned arithmetic wraps to the difference. */
    __atomic_fetch_add(&span_live_bytes, wanted - old, __ATOMIC_RELAXED);
    return true;
}
