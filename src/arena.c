/* SPDX-License-Identifier: MIT */
/*
 * arena.c - reserving, growing and finding arenas.
 *
 * layout.h says where the metadata of an arena lies.
 */
#include "arena.h"

#include "entropy.h"
#include "layout.h"
#include "options.h"
#include "os.h"
#include "retire.h"
#include "sizeclass.h"

HIDDEN union map_page merlon_map_page;

struct arena arenas[ARENA_COUNT_MAX];
unsigned arenas_open; /* published ones */
static unsigned next_arena; /* claimed slots of the table */

enum {
    /* An arena never gets smaller than this many words of granules. */
    WORDS_MIN = 2,
    WINDOW_MIN = GRANULES_WORD,
    SAMPLE_SHARE = 32,
    SAMPLE_BYTES_MAX = 256 << 20,
};

/* Terabytes, where there are 47 bits; else an eighth of a gigabyte. */
#define ARENA_BYTES_WANTED                                                   \
    (sizeof(size_t) == 8 ? UINT64_C(1) << 41 : UINT64_C(1) << 27)

/* The largest slab alignment: bases of arenas are multiples of it. */
static const size_t arena_alignment =
    (size_t)SLAB_GRANULES_MAX << GRANULE_SHIFT;

unsigned arena_count(void)
{
    /* Acquire: the fields of a published arena are complete. */
    return __atomic_load_n(&arenas_open, __ATOMIC_ACQUIRE);
}

/* A random multiple of `step` below `bound` bytes. */
static size_t random_offset(size_t bound, size_t step)
{
    uint64_t random = 0;

    if (step == 0 || bound < step)
        return 0;
    entropy_fill(&random, sizeof random);
    return (size_t)(random % (bound / step)) * step;
}

static size_t pages(size_t bytes)
{
    return align_up(bytes, os_page_bytes());
}

static void place(struct arena *arena, uint8_t *part[PART_COUNT])
{
    arena->slabs.words = (struct granule_word *)part[PART_SLAB_WORDS];
    arena->spans.words = (struct granule_word *)part[PART_SPAN_WORDS];
    arena->records = (struct record *)part[PART_RECORDS];
    arena->state = (uint64_t *)part[PART_STATE];
    arena->batch = (uint64_t *)part[PART_BATCH];
    arena->pending = (uint64_t *)part[PART_PENDING];
    arena->heaps = part[PART_HEAPS];
    arena->sample_table = part[PART_SAMPLES];
}

/* Make a part of an array writable, and let cores have it. */
static bool commit_range(void *array, size_t from_bytes, size_t to_bytes)
{
    uintptr_t page = os_page_bytes();
    uintptr_t begin = align_down((uintptr_t)array + from_bytes, page);
    uintptr_t end = align_up((uintptr_t)array + to_bytes, page);

    return begin == end || (os_commit((void *)begin, end - begin)
                            && os_dump((void *)begin, end - begin));
}

static bool commit_words(struct granules *g, size_t from, size_t to)
{
    size_t size = sizeof(struct granule_word);

    return commit_range(g->words, from / GRANULES_WORD * size,
                        to / GRANULES_WORD * size);
}

/* Grow a window to `to` granules: commit first, then publish. */
static bool grow(struct arena *arena, struct granules *g, size_t to)
{
    size_t from = __atomic_load_n(&g->window, __ATOMIC_ACQUIRE);
    bool spans = g == &arena->spans;
    size_t skip = spans ? arena->slab_bytes >> GRANULE_SHIFT : 0;
    size_t size = sizeof(struct record);
    size_t bit_bytes = BIT_WORDS_PER_GRANULE * sizeof(uint64_t);
    size_t first = from * bit_bytes, end = to * bit_bytes;

    if (to <= from)
        return true;
    if (!commit_range((void *)arena->base, (skip + from) << GRANULE_SHIFT,
                      (skip + to) << GRANULE_SHIFT)
        || !commit_words(g, from, to)
        || !commit_range(arena->records, (skip + from) * size,
                         (skip + to) * size))
        return false;
    if (SLOT_MAP && !spans
        && (!commit_range(arena->state, first, end)
            || !commit_range(arena->batch, first, end)))
        return false;
    if (STRICT_REMOTE && !spans && !commit_range(arena->pending, first, end))
        return false;
    /* Release: whoever sees the new window may write to all of it. */
    while (from < to
           && !__atomic_compare_exchange_n(&g->window, &from, to, false,
                                           __ATOMIC_ACQ_REL,
                                           __ATOMIC_ACQUIRE))
        ;
    return true;
}

/* Address space for sampled allocations, behind the spans of arena 0. */
static size_t sample_bytes(size_t slab_bytes, bool first)
{
    if (!SAMPLING || !first)
        return 0;
    return size_min(SAMPLE_BYTES_MAX, slab_bytes / SAMPLE_SHARE);
}

/* Reserve both ranges of an arena of this size; nothing is kept on failure. */
static bool reserve(struct arena *arena, size_t slab_bytes, size_t span_bytes,
                    size_t slack, bool first)
{
    struct layout l;
    uint8_t *part[PART_COUNT];
    size_t user = slab_bytes + span_bytes + sample_bytes(slab_bytes, first)
        + arena_alignment + slack;

    layout_make(&l, slab_bytes, span_bytes, first);
    size_t more = slack / 16 + 2 * os_page_bytes(), meta = l.total + more;
    size_t offset = pages(random_offset(slack / 16, os_page_bytes()) + 1);
    uint8_t *memory = os_reserve(user);
    uint8_t *records = memory ? layout_reserve(&l, more) : NULL;

    if (!records || !layout_place(&l, records + offset, part)) {
        if (records)
            os_release(records, meta);
        if (memory)
            os_release(memory, user);
        return false;
    }
    arena->base = align_up((uintptr_t)memory
                           + random_offset(slack, arena_alignment),
                           arena_alignment);
    arena->slab_bytes = slab_bytes;
    arena->span_bytes = span_bytes;
    arena->slabs.count = slab_bytes >> GRANULE_SHIFT;
    arena->spans.count = span_bytes >> GRANULE_SHIFT;
    place(arena, part);
    arena->heaps_bytes = l.bytes[PART_HEAPS];
    if (GUARD_PAGES || RANDOM_ORDER) {
        os_no_huge_pages((void *)arena->base, slab_bytes);
        os_no_huge_pages(records, meta);
    }
    bool grown = grow(arena, &arena->slabs, WINDOW_MIN);
    if (!grown && os_release(memory, user))
        os_release(records, meta);
    return grown;
}

/* The size to ask for: terabytes, or a share of what the limit leaves. */
static size_t wanted_bytes(size_t least)
{
    size_t left = os_address_space_left();
    size_t wanted = (size_t)ARENA_BYTES_WANTED;

    if (options_get()->arena_bytes != 0)
        wanted = align_up(options_get()->arena_bytes, 2 * arena_alignment);
    if (left != SIZE_MAX || sizeof(size_t) == 4) {
        /* Whole words of granules in each half. */
        wanted = size_min(wanted, left / 4);
        wanted = align_down(wanted, 2 * arena_alignment);
    }
    return size_max(wanted, size_max(least, 2 * WORDS_MIN * arena_alignment));
}

/* Open an arena whose span part has at least `span_bytes`. */
static bool open_arena(struct arena *arena, size_t span_bytes, bool first)
{
    size_t least = align_up(span_bytes, arena_alignment) * 2;
    size_t wanted = wanted_bytes(least);

    for (;; wanted = align_down(wanted / 2, 2 * arena_alignment)) {
        /* Where there is plenty, the base is random beyond what the kernel
           does. */
        size_t slack = wanted == (size_t)ARENA_BYTES_WANTED
            && sizeof(size_t) == 8 ? wanted / 4 : 0;
        wanted = size_max(wanted, size_max(least, 2 * arena_alignment));
        /* One that is opened for a span has little room for slabs. */
        size_t slabs = span_bytes == 0 ? wanted / 2
            : WORDS_MIN * arena_alignment;
        if (reserve(arena, slabs, wanted / 2, slack, first))
            return true;
        if (wanted <= size_max(least, 2 * arena_alignment))
            return false;
    }
}

static void publish_map(const struct arena *arena)
{
    MAP->base = arena->base;
    MAP->slab_bytes = arena->slab_bytes;
    MAP->slab_units = arena->slab_bytes >> UNIT_SHIFT;
    MAP->records = arena->records;
    MAP->state = arena->state;
    MAP->sample_base = arena->base + arena->slab_bytes + arena->span_bytes;
    MAP->sample_bytes = sample_bytes(arena->slab_bytes, true);
}

bool arena_start(void)
{
    /* Once, though the start may be repeated: what follows can be refused. */
    if (arena_count() == 0 && !open_arena(&arenas[0], 0, true))
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
    if (!open_arena(&arenas[index], span_bytes, false)) {
        __atomic_store_n(&next_arena, index, __ATOMIC_RELEASE);
        return false;
    }
    __atomic_store_n(&arenas_open, index + 1, __ATOMIC_RELEASE);
    return true;
}

struct record *arena_record(uintptr_t address)
{
    unsigned count = arena_count();

    for (unsigned i = 0; i < count; i++) {
        uintptr_t offset = address - arenas[i].base;
        if (offset < arenas[i].slab_bytes + arenas[i].span_bytes)
            return &arenas[i].records[offset >> GRANULE_SHIFT];
    }
    return NULL;
}

/* A run from the window, which grows as it fills: with a random order it is
   kept at two to four times of what is taken. */
static size_t take(struct arena *arena, struct granules *g, size_t count,
                   uint64_t random, bool *clean)
{
    for (;;) {
        size_t window = __atomic_load_n(&g->window, __ATOMIC_ACQUIRE);
        size_t taken = __atomic_load_n(&g->taken, __ATOMIC_RELAXED);
        bool crowded = RANDOM_ORDER && (taken + count) * 2 > window;

        if (window != 0 && (!crowded || window == g->count)) {
            size_t index = granules_take(g, count, random, clean);
            if (index != GRANULES_NONE || window == g->count)
                return index;
        }
        size_t wanted = size_max(window * 2, WINDOW_MIN);
        while (wanted < count && wanted < g->count)
            wanted *= 2;
        wanted = size_min(wanted, g->count);
        if (!grow(arena, g, wanted)) {
            /* The kernel refuses: make do with what there is. */
            size_t least = align_up(count, GRANULES_WORD);
            if (window != 0) {
                size_t index = granules_take(g, count, random, clean);
                if (index != GRANULES_NONE)
                    return index;
            }
            if (least > g->count - window || !grow(arena, g, window + least))
                return GRANULES_NONE;
        }
    }
}

static struct record *first_record(unsigned arena, size_t index)
{
    struct record *record = &arenas[arena].records[index];

    record->base = arenas[arena].base + (index << GRANULE_SHIFT);
    record->arena = (uint8_t)arena;
    return record;
}

struct record *arena_take_slab(unsigned class, uint64_t random)
{
    size_t granules = class_slab_granules(class);

    if (CLASS_ISOLATION) {
        struct record *record = retire_take(class, RETIRE_BEHIND);
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
            struct record *record = retire_take(class, 0);
            if (!record)
                record = retire_search(class);
            if (record)
                return record;
        }
        if (!open_another(0))
            return NULL;
    }
}

void arena_give_slab(struct record *record, unsigned granules)
{
    if (CLASS_ISOLATION)
        retire_give(record);
    else
        granules_give(&arenas[record->arena].slabs, record_index(record),
                      granules, true);
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
            if (run > arena->spans.count)
                continue;
            index = take(arena, &arena->spans, run, random, clean);
            if (index != GRANULES_NONE) {
                *taken = run;
                return first_record(i, index
                                    + (arena->slab_bytes >> GRANULE_SHIFT));
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
    size_t skip = arena->slab_bytes >> GRANULE_SHIFT;
    bool clean;

    return granules_take_at(&arena->spans, index - skip + from, to - from,
                            &clean);
}

void arena_give_span(unsigned arena, size_t index, size_t granules, bool dirty)
{
    struct arena *a = &arenas[arena];

    granules_give(&a->spans, index - (a->slab_bytes >> GRANULE_SHIFT),
                  granules, dirty);
}

/* Purge the runs that `mask` names in one word of granules. */
static bool purge_runs(uintptr_t base, uint64_t mask)
{
    bool success = true;

    while (mask != 0) {
        unsigned first = bits_lowest(mask);
        uint64_t rest = ~(mask >> first);
        unsigned length = rest == 0 ? 64 - first : bits_lowest(rest);
        if (!os_purge((void *)(base + ((uintptr_t)first << GRANULE_SHIFT)),
                      (size_t)length << GRANULE_SHIFT))
            success = false;
        mask &= ~bits_run(first, length);
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
        bool success = purge_runs(base + word * arena_alignment, ripe);
        granules_purged(g, word, ripe, success);
        any |= success;
    }
    return any;
}

bool arena_purge(bool now)
{
    unsigned count = arena_count();
    bool any = false;

    for (unsigned i = 0; i < count; i++) {
        struct arena *arena = &arenas[i];
        any |= purge_part(&arena->slabs, arena->base, now);
        any |= purge_part(&arena->spans, arena->base + arena->slab_bytes, now);
    }
    if (CLASS_ISOLATION)
        any |= retire_purge(now);
    return any;
}

bool arena_commit_heaps(size_t bytes)
{
    return bytes <= arenas[0].heaps_bytes
        && commit_range(arenas[0].heaps, 0, bytes);
}

static void gather_part(const struct granules *g, struct arena_figures *f,
                        size_t *taken)
{
    size_t words = g->window / GRANULES_WORD;
    size_t dirty = 0;

    for (size_t i = 0; i < words; i++)
        dirty += bits_count(g->words[i].dirty & ~g->words[i].used);
    f->committed_bytes += g->window << GRANULE_SHIFT;
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
