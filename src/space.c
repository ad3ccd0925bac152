/* SPDX-License-Identifier: MIT */
/*
 * space.c - reserving, growing and giving back address space.
 *
 * Layout of the metadata of an arena, each part on pages of its own:
 *   slab words | span words | records | state bits | pending bits | heaps
 * Parts are readable from the start (an untouched page is the kernel's page of
 * zeros: "nothing starts here") and become writable as the windows grow.
 *
 * Giving back: the parts of an arena and their metadata are cut behind what is
 * claimed (extent.h), the bounds of the pointer checks come down, and then the
 * memory is unmapped. So no thread claims what was cut, no thread looks up a
 * record that is gone, and what the program maps there later is foreign to us.
 * A page is left on both sides of each hole: no mapping of the program's lies
 * next to memory of ours.
 */
#include "space.h"

#include "entropy.h"
#include "options.h"
#include "os.h"
#include "sizeclass.h"

enum {
    /* A part of an arena never gets smaller than this many words. */
    WORDS_MIN = 2,
    WINDOW_FIRST = GRANULES_WORD,
    HEAPS_SHARE = 64, /* of the slab part, for heaps */
    BIT_WORDS_PER_GRANULE = 1 << (GRANULE_SHIFT - UNIT_SHIFT - 6),
    /* Holes among used granules: the shortest run that is worth one at first,
       and how many there may be. */
    HOLE_GRANULES = 16,
    HOLE_COUNT_MAX = 4000,
    /* Under a limit arena 0 may go on growing by a share of it, and at most
       by so much: 48 MiB in all. */
    SPARE_SLABS_SHARE = 8,
    SPARE_SLABS_MAX = 32 << 20,
    SPARE_REST_SHARE = 32,
    SPARE_REST_MAX = 8 << 20,
};

/* Terabytes, where there are 47 bits; else an eighth of a gigabyte. */
#define ARENA_BYTES_WANTED                                                   \
    (sizeof(size_t) == 8 ? UINT64_C(1) << 41 : UINT64_C(1) << 27)

/* The largest slab alignment: bases of arenas are multiples of it. */
static const size_t arena_alignment =
    (size_t)SLAB_GRANULES_MAX << GRANULE_SHIFT;

/* What the program's address space is limited to. */
static size_t limit_bytes = SIZE_MAX;

void space_start(void)
{
    limit_bytes = os_address_space_limit();
}

void space_limit(size_t bytes)
{
    /* Relaxed: a size to go by. */
    __atomic_store_n(&limit_bytes, bytes, __ATOMIC_RELAXED);
}

/* A random multiple of `step` below `bound` bytes. */
static size_t random_offset(size_t bound, size_t step)
{
    uint64_t random = 0;

    if (bound < step)
        return 0;
    entropy_fill(&random, sizeof random);
    return (size_t)(random % (bound / step)) * step;
}

/* The sizes of the metadata's parts, in order. */
struct layout {
    size_t slab_words, span_words, records, state, pending, heaps, total;
};

static size_t pages(size_t bytes)
{
    return align_up(bytes, os_page_bytes());
}

static void lay_out(struct layout *l, size_t slab_bytes, size_t span_bytes,
                    bool first)
{
    size_t slab_granules = slab_bytes >> GRANULE_SHIFT;
    size_t span_granules = span_bytes >> GRANULE_SHIFT;
    size_t bits = slab_granules * BIT_WORDS_PER_GRANULE * sizeof(uint64_t);

    l->slab_words = pages(slab_granules / GRANULES_WORD
                          * sizeof(struct granule_word));
    l->span_words = pages(span_granules / GRANULES_WORD
                          * sizeof(struct granule_word));
    l->records = pages((slab_granules + span_granules)
                       * sizeof(struct record));
    l->state = EXACT_STATE ? pages(bits) : 0;
    l->pending = STRICT_REMOTE ? pages(bits) : 0;
    /* Small arenas need room for a few hundred heaps all the same. */
    l->heaps = !first ? 0
        : pages(slab_bytes / (slab_bytes >> 30 ? HEAPS_SHARE : 4));
    l->total = l->slab_words + l->span_words + l->records + l->state
        + l->pending + l->heaps;
}

static void place(struct arena *arena, const struct layout *l, uint8_t *at)
{
    arena->slabs.words = (struct granule_word *)at;
    at += l->slab_words;
    arena->spans.words = (struct granule_word *)at;
    at += l->span_words;
    arena->records = (struct record *)at;
    at += l->records;
    arena->state = (uint64_t *)at;
    at += l->state;
    arena->pending = (uint64_t *)at;
    at += l->pending;
    arena->heaps = at;
    extent_open(&arena->heaps_extent, l->heaps / os_page_bytes());
}

/* Make the metadata of granules [from, to) of a part writable. */
static bool commit_range(void *array, size_t from_bytes, size_t to_bytes)
{
    uintptr_t page = os_page_bytes();
    uintptr_t begin = align_down((uintptr_t)array + from_bytes, page);
    uintptr_t end = align_up((uintptr_t)array + to_bytes, page);

    return begin == end || os_commit((void *)begin, end - begin);
}

static bool commit_words(struct granules *g, size_t from, size_t to)
{
    size_t size = sizeof(struct granule_word);

    return commit_range(g->words, from / GRANULES_WORD * size,
                        to / GRANULES_WORD * size);
}

/* Claim first, then commit, then publish. */
bool space_grow(struct arena *arena, struct granules *g, size_t to)
{
    size_t from = __atomic_load_n(&g->window, __ATOMIC_ACQUIRE);
    bool spans = g == &arena->spans;
    size_t skip = spans ? arena_span_index(arena) : 0;
    size_t size = sizeof(struct record);
    size_t bit_bytes = BIT_WORDS_PER_GRANULE * sizeof(uint64_t);

    if (to <= from)
        return true;
    if (!extent_claim(&g->extent, to)
        || !os_commit((void *)(arena->base + ((skip + from) << GRANULE_SHIFT)),
                   (to - from) << GRANULE_SHIFT)
        || !commit_words(g, from, to)
        || !commit_range(arena->records, (skip + from) * size,
                         (skip + to) * size))
        return false;
    if (EXACT_STATE && !spans
        && !commit_range(arena->state, from * bit_bytes, to * bit_bytes))
        return false;
    if (STRICT_REMOTE && !spans
        && !commit_range(arena->pending, from * bit_bytes, to * bit_bytes))
        return false;
    /* Release: whoever sees the new window may write to all of it. */
    while (from < to
           && !__atomic_compare_exchange_n(&g->window, &from, to, false,
                                           __ATOMIC_ACQ_REL,
                                           __ATOMIC_ACQUIRE))
        ;
    return true;
}

bool space_grow_heaps(struct arena *arena, size_t bytes)
{
    return extent_claim(&arena->heaps_extent,
                        pages(bytes) / os_page_bytes())
        && commit_range(arena->heaps, 0, bytes);
}

/* Reserve both ranges of an arena of this size; nothing is kept on failure. */
static bool reserve(struct arena *arena, size_t slab_bytes, size_t span_bytes,
                    size_t slack, bool first)
{
    struct layout l;
    size_t user = slab_bytes + span_bytes + arena_alignment + slack;

    lay_out(&l, slab_bytes, span_bytes, first);
    size_t meta = l.total + slack / 16 + 2 * os_page_bytes();
    uint8_t *memory = os_reserve(user);
    uint8_t *records = memory ? os_reserve_readable(meta) : NULL;

    if (!records) {
        if (memory)
            os_release(memory, user);
        return false;
    }
    os_no_dump(records, meta);
    arena->base = align_up((uintptr_t)memory
                           + random_offset(slack, arena_alignment),
                           arena_alignment);
    arena->user = (struct reservation){ (uintptr_t)memory,
                                        (uintptr_t)memory + user };
    arena->meta = (struct reservation){ (uintptr_t)records,
                                        (uintptr_t)records + meta };
    arena->slab_bytes = arena->span_offset = slab_bytes;
    arena->span_bytes = span_bytes;
    extent_open(&arena->slabs.extent, slab_bytes >> GRANULE_SHIFT);
    extent_open(&arena->spans.extent, span_bytes >> GRANULE_SHIFT);
    place(arena, &l, records + pages(random_offset(slack / 16,
                                                   os_page_bytes()) + 1));
    if (GUARD_PAGES || RANDOM_ORDER) {
        os_no_huge_pages((void *)arena->base, slab_bytes);
        os_no_huge_pages(records, meta);
    }
    return true;
}

/* The size to ask for: terabytes, or a share of what the limit leaves. */
static size_t wanted_bytes(void)
{
    /* Relaxed: a size to go by. */
    size_t limit = __atomic_load_n(&limit_bytes, __ATOMIC_RELAXED);
    size_t wanted = (size_t)ARENA_BYTES_WANTED;

    if (options_get()->arena_bytes != 0)
        wanted = align_up(options_get()->arena_bytes, 2 * arena_alignment);
    if (limit != SIZE_MAX || sizeof(size_t) == 4) {
        wanted = size_min(wanted, limit / 4);
        wanted = align_down(wanted, 2 * arena_alignment);
    }
    return wanted;
}

/* How large the two parts are: arena 0 is for both alike. A further one is
   opened because the others are full of either, and has little of the other. */
static void divide(size_t wanted, size_t span_bytes, bool first,
                   size_t *slabs, size_t *spans)
{
    /* Whole words of granules. */
    size_t least = WORDS_MIN * arena_alignment;
    size_t rest = wanted > 2 * least ? wanted - least : least;
    size_t need = align_up(span_bytes, arena_alignment);

    *slabs = first ? size_max(wanted / 2, least)
        : span_bytes == 0 ? rest : least;
    *spans = first ? *slabs
        : span_bytes == 0 ? least : size_max(rest, need);
}

bool space_open(struct arena *arena, size_t span_bytes, bool first)
{
    size_t slabs, spans, smallest;

    divide(0, span_bytes, first, &slabs, &spans);
    smallest = slabs + spans;
    for (size_t wanted = wanted_bytes();;
         wanted = align_down(wanted / 2, 2 * arena_alignment)) {
        /* Where there is plenty, the base is random beyond what the kernel
           does. */
        size_t slack = wanted == (size_t)ARENA_BYTES_WANTED
            && sizeof(size_t) == 8 ? wanted / 4 : 0;
        divide(wanted, span_bytes, first, &slabs, &spans);
        if (reserve(arena, slabs, spans, slack, first))
            break;
        if (slabs + spans == smallest)
            return false;
    }
    return space_grow(arena, &arena->slabs, WINDOW_FIRST);
}

/* ---- giving back -------------------------------------------------------- */

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
    if (EXACT_STATE)
        cut(area_of(arena->state, arena->pending, bits), kept, old);
    if (STRICT_REMOTE)
        cut(area_of(arena->pending, arena->heaps, bits), kept, old);
}

static void yield_spans(struct arena *arena, size_t old, size_t kept)
{
    void *spans = (void *)(arena->base + arena->span_offset);

    cut(area_of(spans, (void *)arena->user.end, GRANULE_BYTES), kept, old);
    cut(area_of(arena->spans.words, arena->records,
                sizeof(struct granule_word)),
        kept / GRANULES_WORD, old / GRANULES_WORD);
    cut(area_of(arena->records + arena_span_index(arena), arena->state,
                sizeof(struct record)), kept, old);
}

static void yield_heaps(struct arena *arena, size_t old, size_t spare)
{
    size_t kept = extent_cut(&arena->heaps_extent, spare / os_page_bytes());

    cut(area_of(arena->heaps, (void *)arena->meta.end, os_page_bytes()),
        kept, old);
}

/* From now on a wild pointer into what is given back is foreign. */
static bool lower_bounds(struct arena *arena, size_t slabs, size_t spans,
                         bool first)
{
    size_t page = align_up(sizeof merlon_map_page, os_page_bytes());

    if (first && SEALED_STATE && !os_commit(&merlon_map_page, page))
        return false;
    __atomic_store_n(&arena->slab_bytes, slabs, __ATOMIC_RELAXED);
    __atomic_store_n(&arena->span_bytes, spans, __ATOMIC_RELAXED);
    if (first)
        __atomic_store_n(&MAP->slab_bytes, slabs, __ATOMIC_RELAXED);
    if (first && SEALED_STATE)
        os_protect_read(&merlon_map_page, page);
    /* Before anything is unmapped. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return true;
}

/* A share of the limit, but not much, in granules and whole words of them. */
static size_t spare_granules(size_t share, size_t most)
{
    size_t bytes = size_min(__atomic_load_n(&limit_bytes, __ATOMIC_RELAXED)
                            / share, most);

    return align_down(bytes >> GRANULE_SHIFT, GRANULES_WORD);
}

void space_yield(struct arena *arena, bool first)
{
    /* No larger than one that would be opened now. */
    if (arena->user.end - arena->user.begin <= wanted_bytes())
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
    }
    yield_slabs(arena, whole ? SIZE_MAX : old_slabs, slabs);
    yield_spans(arena, whole ? SIZE_MAX : old_spans, spans);
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
        * sizeof(uint64_t) * (size_t)(EXACT_STATE + STRICT_REMOTE);

    return (idle << GRANULE_SHIFT) + granules * meta
        + extent_size(&arena->heaps_extent) * os_page_bytes();
}
