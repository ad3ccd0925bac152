/* SPDX-License-Identifier: MIT */
/*
 * arena.c - the table of arenas, and runs of granules taken from them.
 */
#include "arena.h"

#include "os.h"
#include "retire.h"
#include "sizeclass.h"
#include "space.h"

struct arena arenas[ARENA_COUNT_MAX];
EARLY unsigned arenas_open; /* published ones */
static EARLY unsigned next_arena; /* claimed slots of the table */

/* The smallest window, and the step in which it grows when nothing larger can
   be had. */
enum {
    WINDOW_MIN = GRANULES_WORD,
    /* So much may wait with its pages, whatever is in use. */
    SLABS_DIRTY_BYTES_MAX = 1 << 20,
};

unsigned arena_count(void)
{
    /* Acquire: the fields of a published arena are complete. */
    return __atomic_load_n(&arenas_open, __ATOMIC_ACQUIRE);
}

static void publish_map(const struct arena *arena)
{
    MAP->base = arena->base;
    MAP->slab_granules = arena->slab_bytes >> GRANULE_SHIFT;
    MAP->slab_units = arena->slab_bytes >> UNIT_SHIFT;
    MAP->records = arena->records;
    MAP->state = arena->state;
    MAP->sample_base = arena->base + arena->slab_bytes + arena->span_bytes;
    MAP->sample_bytes = space_sample_bytes(arena->slab_bytes, true);
}

bool arena_start(void)
{
    /* Once, though the start may be repeated: what follows can be refused. */
    if (arena_count() == 0 && !space_open(&arenas[0], 0, true))
        return false;
    publish_map(&arenas[0]);
    next_arena = 1;
    /* Release: readers of the count see the arena's fields. */
    __atomic_store_n(&arenas_open, 1, __ATOMIC_RELEASE);
    return true;
}

/*
 * A further arena. Slots of the table are claimed and published in order; who
 * does not get the next one gives up, as if memory were out: it nearly is.
 */
static bool open_another(size_t span_bytes)
{
    unsigned index = arena_count();
    unsigned expected = index;

    if (index >= ARENA_COUNT_MAX
        || !__atomic_compare_exchange_n(&next_arena, &expected, index + 1,
                                        false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
        return arena_count() > index;
    if (!space_open(&arenas[index], span_bytes, false)) {
        __atomic_store_n(&next_arena, index, __ATOMIC_RELEASE);
        return false;
    }
    __atomic_store_n(&arenas_open, index + 1, __ATOMIC_RELEASE);
    return true;
}

struct record *arena_record(uintptr_t address)
{
    /* The youngest first: it may lie in a hole of an older one (space.h). */
    for (unsigned i = arena_count(); i-- > 0;) {
        uintptr_t offset = address - arenas[i].base;
        if (offset < arenas[i].slab_bytes
            || offset - arenas[i].span_offset < arenas[i].span_bytes)
            return &arenas[i].records[offset >> GRANULE_SHIFT];
    }
    return NULL;
}

/* A run from the window, which grows as it fills, by a quarter: with a random
   order it is kept at twice what is taken, and a quarter more. What is in it is
   counted by limits. */
static size_t find(struct arena *arena, struct granules *g, size_t count,
                   uint64_t random, bool *clean)
{
    for (;;) {
        size_t most = extent_size(&g->extent);
        size_t window = __atomic_load_n(&g->window, __ATOMIC_ACQUIRE);
        size_t taken = __atomic_load_n(&g->taken, __ATOMIC_RELAXED);
        bool crowded = RANDOM_ORDER && (taken + count) * 2 > window;

        if (window != 0 && (!crowded || window == most)) {
            size_t index = granules_take(g, count, random, clean);
            if (index != GRANULES_NONE || window == most)
                return index;
        }
        /* Its address space was given back before it was ever used. */
        if (most == 0)
            return GRANULES_NONE;
        size_t wanted = window + align_up(size_max(window / 4, WINDOW_MIN),
                                          GRANULES_WORD);
        while (wanted < count && wanted < most)
            wanted *= 2;
        wanted = size_min(wanted, most);
        if (!space_grow(arena, g, wanted)) {
            /* The kernel refuses: make do with what there is. */
            size_t least = align_up(count, GRANULES_WORD);
            if (window != 0) {
                size_t index = granules_take(g, count, random, clean);
                if (index != GRANULES_NONE)
                    return index;
            }
            if (least > most - window || !space_grow(arena, g, window + least))
                return GRANULES_NONE;
        }
    }
}

static size_t take(struct arena *arena, struct granules *g, size_t count,
                   uint64_t random, bool *clean)
{
    size_t index = find(arena, g, count, random, clean);

    if (index != GRANULES_NONE)
        space_dump(arena, g, index, count);
    return index;
}

static struct record *first_record(unsigned arena, size_t index)
{
    struct record *record = &arenas[arena].records[index];

    record->base = arenas[arena].base + (index << GRANULE_SHIFT);
    /* Once: a slab of an earlier life may be on its way into the pool. */
    if (record->arena != arena)
        record->arena = (uint8_t)arena;
    return record;
}

struct record *arena_take_slab(unsigned class, uint64_t random)
{
    size_t granules = class_slab_granules(class);

    if (CLASS_ISOLATION) {
        struct record *record = retire_take(class, false);
        if (record)
            return record;
    }
    for (;;) {
        unsigned count = arena_count();
        for (unsigned i = count; i-- > 0;) {
            bool clean;
            size_t index = take(&arenas[i], &arenas[i].slabs, granules,
                                random, &clean);
            if (index != GRANULES_NONE) {
                struct record *record = first_record(i, index);
                record->zeroed = clean;
                return record;
            }
        }
        if (CLASS_ISOLATION) {
            struct record *record = retire_take(class, true);
            if (record)
                return record;
        }
        if (!open_another(0))
            return NULL;
    }
}

void arena_give_slab(struct record *record, unsigned granules,
                     retire_check *check)
{
    struct granules *slabs = &arenas[record->arena].slabs;

    if (CLASS_ISOLATION) {
        retire_give(record, check);
        return;
    }
    /* In a random order the next slab is seldom where the last one was. */
    bool purged = RANDOM_ORDER
        && !granules_may_wait(slabs, granules, SLABS_DIRTY_BYTES_MAX)
        && os_purge((void *)record->base, (size_t)granules << GRANULE_SHIFT);
    granules_give(slabs, record_index(record), granules, !purged);
}

/* Spans take a power of two up to one word, then whole words. */
static size_t span_run(size_t granules)
{
    if (granules <= GRANULES_WORD)
        return bits_round_up_power(granules);
    return align_up(granules, GRANULES_WORD);
}

struct record *arena_take_span(size_t granules, uint64_t random,
                               size_t *taken, bool *clean)
{
    size_t run = span_run(granules);

    for (;;) {
        unsigned count = arena_count();
        for (unsigned i = count; i-- > 0;) {
            struct arena *arena = &arenas[i];
            size_t index;
            if (run > extent_size(&arena->spans.extent))
                continue;
            index = take(arena, &arena->spans, run, random, clean);
            if (index != GRANULES_NONE) {
                *taken = run;
                return first_record(i, index
                                    + arena_span_index(arena));
            }
        }
        if (run > SIZE_MAX / 4 >> GRANULE_SHIFT
            || !open_another(run << GRANULE_SHIFT))
            return NULL;
    }
}

bool arena_extend_span(struct record *record, size_t index, size_t from,
                       size_t to)
{
    struct arena *arena = &arenas[record->arena];
    size_t skip = arena_span_index(arena);
    bool clean;

    if (!granules_take_at(&arena->spans, index - skip + from, to - from,
                          &clean))
        return false;
    space_dump(arena, &arena->spans, index - skip + from, to - from);
    return true;
}

void arena_give_span(unsigned index, size_t first, size_t granules, bool dirty)
{
    struct arena *arena = &arenas[index];

    granules_give(&arena->spans, first - arena_span_index(arena), granules,
                  dirty);
}

/* Purge the runs that `mask` names in one word of granules. */
static bool purge_runs(uintptr_t base, uint64_t mask)
{
    bool success = true;

    while (mask != 0) {
        unsigned first, length;
        uint64_t run = bits_lowest_run(mask, &first, &length);
        if (!os_purge((void *)(base + ((uintptr_t)first << GRANULE_SHIFT)),
                      (size_t)length << GRANULE_SHIFT))
            success = false;
        mask &= ~run;
    }
    return success;
}

static bool purge_part(struct granules *g, uintptr_t base, bool now)
{
    size_t words = __atomic_load_n(&g->window, __ATOMIC_ACQUIRE)
        / GRANULES_WORD;
    bool any = false;

    for (size_t word = 0; word < words; word++) {
        uint64_t ripe = granules_claim_ripe(g, word, now);
        if (ripe == 0)
            continue;
        bool success = purge_runs(base + (word * GRANULES_WORD
                                          << GRANULE_SHIFT), ripe);
        granules_purged(g, word, ripe, success);
        any |= success;
    }
    return any;
}

bool arena_purge(bool now, retire_check *check)
{
    unsigned count = arena_count();
    bool any = false;

    for (unsigned i = 0; i < count; i++) {
        struct arena *arena = &arenas[i];
        any |= purge_part(&arena->slabs, arena->base, now);
        any |= purge_part(&arena->spans, arena->base + arena->span_offset, now);
    }
    if (CLASS_ISOLATION)
        any |= retire_purge(now, check);
    return any;
}

bool arena_commit_heaps(size_t bytes)
{
    return space_grow_heaps(&arenas[0], bytes);
}

static size_t idle_bytes(unsigned count)
{
    size_t idle = 0;

    for (unsigned i = 0; i < count; i++)
        idle += space_idle_bytes(&arenas[i]);
    return idle;
}

size_t arena_limit(size_t bytes, size_t most, bool samples)
{
    static bool busy;
    unsigned count = arena_count();
    size_t idle;

    /* Nobody waits. Acquire and release: one call after the other. */
    if (!__atomic_exchange_n(&busy, true, __ATOMIC_ACQUIRE)) {
        space_limit(bytes);
        if (samples)
            space_drop_samples();
        for (unsigned i = 0; bytes != SIZE_MAX && i < count; i++)
            space_yield(&arenas[i], i == 0);
        idle = idle_bytes(count);
        for (unsigned i = 0; i < count && idle > most; i++)
            idle -= space_yield_holes(&arenas[i], idle - most);
        __atomic_store_n(&busy, false, __ATOMIC_RELEASE);
    }
    return size_min(idle_bytes(count), most);
}

static void gather_part(const struct granules *g, struct arena_figures *f,
                        size_t *taken)
{
    size_t words = g->window / GRANULES_WORD;
    size_t dirty = 0;

    for (size_t i = 0; i < words; i++)
        dirty += bits_count(g->words[i].dirty & ~g->words[i].used);
    f->committed_bytes += (g->window - g->lost) << GRANULE_SHIFT;
    f->dirty_bytes += dirty << GRANULE_SHIFT;
    *taken += g->taken << GRANULE_SHIFT;
}

void arena_gather(struct arena_figures *figures)
{
    unsigned count = arena_count();

    *figures = (struct arena_figures){ 0 };
    for (unsigned i = 0; i < count; i++) {
        gather_part(&arenas[i].slabs, figures, &figures->slab_bytes);
        gather_part(&arenas[i].spans, figures, &figures->span_bytes);
    }
}
