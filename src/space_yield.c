/* SPDX-License-Identifier: MIT */
/*
 * space_yield.c - giving back address space.
 *
 * The parts of an arena and their metadata are cut behind what is claimed
 * (extent.h), the bounds of the pointer checks come down, and then the memory
 * is unmapped. So no thread claims what was cut, no thread looks up a record
 * that is gone, and what the program maps there later is foreign to us. A page
 * is left on both sides of each hole: no mapping of the program's lies next to
 * memory of ours.
 */
#include "os.h"
#include "space.h"

enum {
    /* Holes among used granules: the shortest run that is worth one at first,
       and how many there may be. */
    HOLE_GRANULES = 16,
    HOLE_COUNT_MAX = 4000,
    /* Under a limit arena 0 may go on growing by a share of it, and at most
       by so much: 32 MiB in all. */
    SPARE_SLABS_SHARE = 8,
    SPARE_SLABS_MAX = 16 << 20,
    SPARE_REST_SHARE = 32,
    SPARE_REST_MAX = 8 << 20,
};

/* An array with elements of a size, or the memory itself. */
struct area {
    uintptr_t begin, end; /* as reserved */
    size_t bytes;         /* of an element */
};

static struct area area_of(const void *begin, const void *end, size_t bytes)
{
    return (struct area){ (uintptr_t)begin, (uintptr_t)end, bytes };
}

/* Where the hole begins when so many elements are kept. */
static uintptr_t hole(const struct area *area, size_t elements)
{
    uintptr_t page = os_page_bytes();
    uintptr_t last = align_down(area->end, page) - page;
    uintptr_t begin;

    if (__builtin_mul_overflow(elements, area->bytes, &begin)
        || begin >= last - area->begin)
        return last;
    begin = align_up(area->begin + begin, page) + page;
    return begin < last ? begin : last;
}

/* Keep `kept` elements. An earlier cut has kept `old`: what lies beyond may be
   the program's by now. */
static void cut(struct area area, size_t kept, size_t old)
{
    uintptr_t begin = hole(&area, kept), end = hole(&area, old);

    if (begin < end)
        os_release((void *)begin, end - begin);
}

/* What lies before the memory for the sake of a random base, once. */
static void cut_head(struct reservation *range, const void *memory)
{
    cut(area_of((void *)range->begin, memory, 1), 0, SIZE_MAX);
    range->begin = (uintptr_t)memory;
}

/* What lies behind all of it, for the same reason, once. */
static void cut_tail(const struct arena *arena, bool first)
{
    uintptr_t meta = (uintptr_t)arena->sample_table
        + (SAMPLING && first ? LAYOUT_SAMPLE_TABLE_BYTES : 0);
    uintptr_t user = MAP->sample_base + MAP->sample_bytes;

    cut(area_of((void *)meta, (void *)arena->meta.end, 1), 0, SIZE_MAX);
    if (first && MAP->sample_bytes != 0)
        cut(area_of((void *)user, (void *)arena->user.end, 1), 0, SIZE_MAX);
}

static void yield_slabs(struct arena *arena, size_t old, size_t kept)
{
    void *spans = (void *)(arena->base + arena->span_offset);
    size_t bits = BIT_WORDS_PER_GRANULE * sizeof(uint64_t);

    cut(area_of((void *)arena->base, spans, GRANULE_BYTES), kept, old);
    cut(area_of(arena->slabs.words, arena->spans.words,
                sizeof(struct granule_word)),
        kept / GRANULES_WORD, old / GRANULES_WORD);
    cut(area_of(arena->records, arena->records + arena_span_index(arena),
                sizeof(struct record)), kept, old);
    if (SLOT_MAP) {
        cut(area_of(arena->state, arena->batch, bits), kept, old);
        cut(area_of(arena->batch, arena->pending, BATCH_PARTS * bits), kept,
            old);
    }
    if (STRICT_REMOTE)
        cut(area_of(arena->pending, arena->heaps, bits), kept, old);
}

/* Behind the spans there may be the places of samples. */
static uintptr_t spans_end(const struct arena *arena, bool first)
{
    return first && MAP->sample_bytes != 0 ? MAP->sample_base
        : arena->user.end;
}

static void yield_spans(struct arena *arena, size_t old, size_t kept,
                        bool first)
{
    void *spans = (void *)(arena->base + arena->span_offset);

    cut(area_of(spans, (void *)spans_end(arena, first), GRANULE_BYTES),
        kept, old);
    cut(area_of(arena->spans.words, arena->records,
                sizeof(struct granule_word)),
        kept / GRANULES_WORD, old / GRANULES_WORD);
    cut(area_of(arena->records + arena_span_index(arena), arena->state,
                sizeof(struct record)), kept, old);
}

static void yield_heaps(struct arena *arena, size_t old, size_t spare)
{
    size_t kept = extent_cut(&arena->heaps_extent, spare / os_page_bytes());

    __atomic_store_n(&arena->heaps_bytes, kept * os_page_bytes(),
                     __ATOMIC_RELAXED);
    cut(area_of(arena->heaps, arena->sample_table, os_page_bytes()),
        kept, old);
}

static bool unseal(void)
{
    return !SEALED_STATE || os_commit(&merlon_sealed_page,
                                      sizeof merlon_sealed_page);
}

static void seal(void)
{
    if (SEALED_STATE)
        os_protect_read(&merlon_sealed_page, sizeof merlon_sealed_page);
}

void space_drop_samples(void)
{
    if (!unseal())
        return;
    __atomic_store_n(&MAP->sample_bytes, 0, __ATOMIC_RELAXED);
    seal();
}

/* From now on a wild pointer into what is given back is foreign. */
static bool lower_bounds(struct arena *arena, size_t slabs, size_t spans,
                         bool first)
{
    if (first && !unseal())
        return false;
    __atomic_store_n(&arena->slab_bytes, slabs, __ATOMIC_RELAXED);
    __atomic_store_n(&arena->span_bytes, spans, __ATOMIC_RELAXED);
    if (first) {
        __atomic_store_n(&MAP->slab_granules, slabs >> GRANULE_SHIFT,
                         __ATOMIC_RELAXED);
        __atomic_store_n(&MAP->slab_units, slabs >> UNIT_SHIFT,
                         __ATOMIC_RELAXED);
    }
    if (first)
        seal();
    /* Before anything is unmapped. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return true;
}

/* A share of the limit, but not much, in granules and whole words of them. */
static size_t spare_granules(size_t share, size_t most)
{
    size_t bytes = size_min(space_limit_bytes() / share, most);

    return align_down(bytes >> GRANULE_SHIFT, GRANULES_WORD);
}

void space_yield(struct arena *arena, bool first)
{
    /* No larger than one that would be opened now. */
    if (arena->user.end - arena->user.begin <= space_wanted_bytes())
        return;
    /* Nothing was cut yet: the ends of the parts are those reserved. */
    bool whole = arena->user.begin != arena->base;
    size_t old_slabs = arena->slab_bytes >> GRANULE_SHIFT;
    size_t old_spans = arena->span_bytes >> GRANULE_SHIFT;
    size_t rest = first ? spare_granules(SPARE_REST_SHARE, SPARE_REST_MAX) : 0;
    size_t slabs = extent_cut(&arena->slabs.extent, !first ? 0
                              : spare_granules(SPARE_SLABS_SHARE,
                                               SPARE_SLABS_MAX));
    size_t spans = extent_cut(&arena->spans.extent, rest);

    if (!lower_bounds(arena, slabs << GRANULE_SHIFT, spans << GRANULE_SHIFT,
                      first))
        return;
    if (whole) {
        cut_head(&arena->user, (void *)arena->base);
        cut_head(&arena->meta, arena->slabs.words);
        cut_tail(arena, first);
    }
    yield_slabs(arena, whole ? SIZE_MAX : old_slabs, slabs);
    yield_spans(arena, whole ? SIZE_MAX : old_spans, spans, first);
    yield_heaps(arena, whole ? SIZE_MAX : extent_size(&arena->heaps_extent),
                rest << GRANULE_SHIFT);
}

/* Give back the addresses of a free run that is taken for ever. */
static bool lose(struct granules *g, uintptr_t base, size_t index,
                 size_t count)
{
    bool clean;

    if (!granules_take_at(g, index, count, &clean))
        return false;
    if (!os_release((void *)(base + (index << GRANULE_SHIFT)),
                    count << GRANULE_SHIFT)) {
        granules_give(g, index, count, !clean);
        return false;
    }
    /* Relaxed: figures. */
    __atomic_fetch_sub(&g->taken, count, __ATOMIC_RELAXED);
    __atomic_fetch_add(&g->lost, count, __ATOMIC_RELAXED);
    return true;
}

/* Runs of at least `least` free granules, within words. */
static size_t lose_runs(struct granules *g, uintptr_t base, size_t least,
                        size_t wanted, unsigned *budget)
{
    size_t words = __atomic_load_n(&g->window, __ATOMIC_ACQUIRE)
        / GRANULES_WORD;
    size_t lost = 0;

    for (size_t word = words; word-- > 0;) {
        uint64_t used = __atomic_load_n(&g->words[word].used,
                                        __ATOMIC_RELAXED);
        for (size_t at = 0; at < GRANULES_WORD; at++) {
            uint64_t rest = used >> at;
            size_t run = size_min(rest == 0 ? GRANULES_WORD
                                  : bits_lowest(rest), GRANULES_WORD - at);
            if (lost >= wanted || *budget == 0)
                return lost;
            if (run >= least && lose(g, base, word * GRANULES_WORD + at,
                                     run)) {
                lost += run;
                --*budget;
            }
            at += run;
        }
    }
    return lost;
}

size_t space_yield_holes(struct arena *arena, size_t bytes)
{
    size_t wanted = (bytes >> GRANULE_SHIFT) + 1;
    size_t lost = 0;
    unsigned budget = HOLE_COUNT_MAX;

    for (size_t least = HOLE_GRANULES; least != 0 && lost < wanted;
         least /= 4) {
        lost += lose_runs(&arena->spans, arena->base + arena->span_offset,
                          least, wanted - lost, &budget);
        lost += lose_runs(&arena->slabs, arena->base, least,
                          lost < wanted ? wanted - lost : 0, &budget);
    }
    return size_min(lost << GRANULE_SHIFT, bytes);
}

size_t space_idle_bytes(const struct arena *arena)
{
    size_t granules = extent_size(&arena->slabs.extent)
        + extent_size(&arena->spans.extent);
    /* Relaxed: a figure. */
    size_t taken = __atomic_load_n(&arena->slabs.taken, __ATOMIC_RELAXED)
        + __atomic_load_n(&arena->spans.taken, __ATOMIC_RELAXED)
        + __atomic_load_n(&arena->slabs.lost, __ATOMIC_RELAXED)
        + __atomic_load_n(&arena->spans.lost, __ATOMIC_RELAXED);
    size_t idle = granules > taken ? granules - taken : 0;
    size_t meta = sizeof(struct record) + BIT_WORDS_PER_GRANULE
        * sizeof(uint64_t)
        * (size_t)((1 + BATCH_PARTS) * SLOT_MAP + STRICT_REMOTE);

    return (idle << GRANULE_SHIFT) + granules * meta
        + (arena == arena_at(0) ? MAP->sample_bytes : 0)
        + extent_size(&arena->heaps_extent) * os_page_bytes();
}
