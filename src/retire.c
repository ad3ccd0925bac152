/* SPDX-License-Identifier: MIT */
/*
 * retire.c - rings of emptied slabs, two for each class: as they were left,
 * and purged.
 *
 * A waiting slab's record says in `until` how it is: dirty, dirty since the
 * last tick, or purged. Whoever exchanges a record out of its place owns it.
 */
#include "retire.h"

#include "arena.h"
#include "os.h"
#include "ring.h"
#include "sizeclass.h"

enum retired { RETIRED_DIRTY, RETIRED_AGED, RETIRED_PURGED, RETIRED_FOR_GOOD };

enum { SEARCH_LEAST = 64 };

static struct ring dirty_rings[CLASS_COUNT], purged_rings[CLASS_COUNT];

/* Those that are in no ring, and where the search for one goes on: arena and
   index of a granule. All relaxed: numbers to go by. */
static uint32_t for_good[CLASS_COUNT];
static uint64_t cursor[CLASS_COUNT];

static size_t retired_bytes; /* of purged slabs */

static size_t slab_bytes(const struct record *record)
{
    return (size_t)class_slab_granules(record_class(record)) << GRANULE_SHIFT;
}

static bool purge(struct record *record, retire_check *check)
{
    /* The guard at the end is left as it is. */
    size_t bytes = slab_bytes(record) - (GUARD_PAGES ? os_page_bytes() : 0);

    check(record);
    record->zeroed = os_purge((void *)record->base, bytes);
    return record->zeroed;
}

/* To the end of the purged ones; what stood in that place leaves the ring. */
static void append_purged(struct record *record)
{
    unsigned class = record_class(record);
    struct record *evicted;

    record->until = RETIRED_PURGED;
    __atomic_fetch_add(&retired_bytes, slab_bytes(record), __ATOMIC_RELAXED);
    evicted = ring_put(&purged_rings[class], record);
    if (!evicted)
        return;
    __atomic_fetch_add(&for_good[class], 1, __ATOMIC_RELAXED);
    /* Release: the purge is over before retire_search can find it. */
    __atomic_store_n(&evicted->until, RETIRED_FOR_GOOD, __ATOMIC_RELEASE);
}

/* To the end of the dirty ones; what stood in that place is purged. */
static void append(struct record *record, retire_check *check)
{
    struct record *evicted = ring_put(&dirty_rings[record_class(record)],
                                      record);

    if (!evicted)
        return;
    purge(evicted, check);
    append_purged(evicted);
}

void retire_give(struct record *record, retire_check *check)
{
    record->zeroed = false;
    record->until = RETIRED_DIRTY;
    append(record, check);
}

/* Take a record that was retired for good; false if another was faster. */
static bool take_retired(struct record *record, unsigned class)
{
    uint32_t expected = RETIRED_FOR_GOOD;

    return record->kind == RECORD_NONE && record->tenant == class + 1
        && record->slab == record
        && __atomic_compare_exchange_n(&record->until, &expected,
                                       RETIRED_PURGED, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Any slab that is in no ring, from the cursor on and round. */
static struct record *search(unsigned class)
{
    size_t step = class_slab_granules(class);
    unsigned count = arena_count();
    uint64_t begin = __atomic_load_n(&cursor[class], __ATOMIC_RELAXED);
    size_t from = (uint32_t)begin;

    /* The first arena comes twice: from the cursor on, and up to it. */
    for (unsigned i = 0; i <= count; i++) {
        uint64_t at = ((begin >> 32) + i) % count;
        struct arena *arena = arena_at((unsigned)at);
        size_t end = __atomic_load_n(&arena->slabs.window, __ATOMIC_ACQUIRE);
        if (i == count)
            end = size_min(end, from);
        for (size_t index = i == 0 ? from : 0; index < end; index += step) {
            if (!take_retired(&arena->records[index], class))
                continue;
            __atomic_fetch_sub(&for_good[class], 1, __ATOMIC_RELAXED);
            __atomic_store_n(&cursor[class], at << 32 | index,
                             __ATOMIC_RELAXED);
            return &arena->records[index];
        }
    }
    /* A thread of a fork's parent may have lost some. */
    __atomic_store_n(&for_good[class], 0, __ATOMIC_RELAXED);
    return NULL;
}

/* How many purged slabs of this class wait before the oldest is used. */
static uint32_t purged_wait(unsigned class)
{
    size_t bytes = (size_t)class_slab_granules(class) << GRANULE_SHIFT;

    if (__atomic_load_n(&retired_bytes, __ATOMIC_RELAXED) > RETIRE_ALL_BYTES)
        return RETIRE_BEHIND;
    /* One less than there is room for: else none would ever leave. */
    return (uint32_t)size_min(size_max(RETIRE_BYTES / bytes, RETIRE_BEHIND),
                              RING_COUNT - 1);
}

static struct record *take_purged(unsigned class, bool any)
{
    struct record *record = NULL;
    uint32_t wait = any ? 0 : purged_wait(class);
    uint32_t gone = __atomic_load_n(&for_good[class], __ATOMIC_RELAXED);

    /* The search is worth its while where there are many. */
    if (any || (int32_t)gone > (int32_t)(wait + SEARCH_LEAST))
        record = search(class);
    if (!record && ring_length(&purged_rings[class]) > wait)
        record = ring_take(&purged_rings[class]);
    if (record)
        __atomic_fetch_sub(&retired_bytes, slab_bytes(record),
                           __ATOMIC_RELAXED);
    return record;
}

struct record *retire_take(unsigned class, bool any)
{
    struct record *record = NULL;

    if (ring_length(&dirty_rings[class]) > (any ? 0 : RETIRE_BEHIND))
        record = ring_take(&dirty_rings[class]);
    return record ? record : take_purged(class, any);
}

/* One place's turn: out, look, purge if it is time, back in. */
static bool purge_place(struct record **place, bool now, retire_check *check)
{
    struct record *record = __atomic_exchange_n(place, NULL, __ATOMIC_ACQ_REL);
    struct record *empty = NULL;

    if (!record)
        return false;
    if ((now || record->until == RETIRED_AGED) && purge(record, check)) {
        append_purged(record);
        return true;
    }
    record->until = RETIRED_AGED;
    /* If the place was filled meanwhile, go to the end of the queue. */
    if (!__atomic_compare_exchange_n(place, &empty, record, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        append(record, check);
    return false;
}

bool retire_purge(bool now, retire_check *check)
{
    bool any = false;

    for (unsigned class = 0; class < CLASS_COUNT; class++) {
        struct ring *ring = &dirty_rings[class];
        uint32_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
        uint32_t tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);
        if ((int32_t)(tail - head) > RING_COUNT)
            head = tail - RING_COUNT;
        for (; (int32_t)(tail - head) > 0; head++)
            any |= purge_place(&ring->place[head % RING_COUNT], now, check);
    }
    return any;
}
