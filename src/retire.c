/* SPDX-License-Identifier: MIT */
/*
 * retire.c - rings of emptied slabs, one for each class.
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

static struct ring rings[CLASS_COUNT];

static size_t slab_bytes(const struct record *record)
{
    return (size_t)class_slab_granules(record_class(record)) << GRANULE_SHIFT;
}

static bool purge(struct record *record)
{
    /* The guard at the end is left as it is. */
    size_t bytes = slab_bytes(record) - (GUARD_PAGES ? os_page_bytes() : 0);

    record->zeroed = os_purge((void *)record->base, bytes);
    return record->zeroed;
}

/* To the end of the queue; what stood in that place is retired for good. */
static void append(struct ring *ring, struct record *record)
{
    struct record *evicted = ring_put(ring, record);

    if (!evicted)
        return;
    if (evicted->until != RETIRED_PURGED)
        purge(evicted);
    /* Release: the purge is over before retire_search can find it. */
    __atomic_store_n(&evicted->until, RETIRED_FOR_GOOD, __ATOMIC_RELEASE);
}

void retire_give(struct record *record)
{
    record->zeroed = false;
    record->until = RETIRED_DIRTY;
    append(&rings[record_class(record)], record);
}

struct record *retire_take(unsigned class, uint32_t behind)
{
    if (ring_length(&rings[class]) <= behind)
        return NULL;
    return ring_take(&rings[class]);
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

struct record *retire_search(unsigned class)
{
    size_t step = class_slab_granules(class);
    unsigned count = arena_count();

    for (unsigned i = 0; i < count; i++) {
        struct arena *arena = arena_at(i);
        size_t end = __atomic_load_n(&arena->slabs.window, __ATOMIC_ACQUIRE);
        for (size_t index = 0; index < end; index += step) {
            if (take_retired(&arena->records[index], class))
                return &arena->records[index];
        }
    }
    return NULL;
}

/* One place's turn: out, look, purge if it is time, back in. */
static bool purge_place(struct ring *ring, struct record **place, bool now)
{
    struct record *record = __atomic_exchange_n(place, NULL, __ATOMIC_ACQ_REL);
    struct record *empty = NULL;
    bool purged = false;

    if (!record)
        return false;
    if (record->until == RETIRED_AGED
        || (now && record->until == RETIRED_DIRTY)) {
        purged = purge(record);
        if (purged)
            record->until = RETIRED_PURGED;
    } else if (record->until == RETIRED_DIRTY) {
        record->until = RETIRED_AGED;
    }
    /* If the place was filled meanwhile, go to the end of the queue. */
    if (!__atomic_compare_exchange_n(place, &empty, record, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        append(ring, record);
    return purged;
}

bool retire_purge(bool now)
{
    bool any = false;

    for (unsigned class = 0; class < CLASS_COUNT; class++) {
        struct ring *ring = &rings[class];
        uint32_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
        uint32_t tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);
        if ((int32_t)(tail - head) > RING_COUNT)
            head = tail - RING_COUNT;
        for (; (int32_t)(tail - head) > 0; head++)
            any |= purge_place(ring, &ring->place[head % RING_COUNT], now);
    }
    return any;
}
