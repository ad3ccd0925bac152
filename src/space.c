/* SPDX-License-Identifier: MIT */
/*
 * space.c - reserving and growing. layout.h says where the metadata of an
 * arena lies.
 */
#include "space.h"

#include "entropy.h"
#include "options.h"
#include "os.h"
#include "sizeclass.h"

enum {
    /* A part of an arena never gets smaller than this many words. */
    WORDS_MIN = 2,
    SAMPLE_SHARE = 32,
    /* Under RLIMIT_AS it is what cannot be given back once it is in use. */
    SAMPLE_BYTES_MAX = 32 << 20,
    /* Granules of a part of which only used words are dumped. */
    DUMP_SINGLY = 64 * GRANULES_WORD,
};

/* Terabytes, where there are 47 bits; else an eighth of a gigabyte. */
#define ARENA_BYTES_WANTED                                                   \
    (sizeof(size_t) == 8 ? UINT64_C(1) << 41 : UINT64_C(1) << 27)

/* The largest slab alignment: bases of arenas are multiples of it. */
static const size_t arena_alignment =
    (size_t)SLAB_GRANULES_MAX << GRANULE_SHIFT;

/* What the program's address space is limited to. */
static size_t limit_bytes = SIZE_MAX;

void space_limit(size_t bytes)
{
    /* Relaxed: a size to go by. */
    __atomic_store_n(&limit_bytes, bytes, __ATOMIC_RELAXED);
}

size_t space_limit_bytes(void)
{
    return __atomic_load_n(&limit_bytes, __ATOMIC_RELAXED);
}

/* A random multiple of `step` below `bound` bytes. */
static size_t random_offset(size_t bound, size_t step)
{
    uint64_t random = 0;
    size_t places = step == 0 ? 0 : bound / step;

    if (places == 0)
        return 0;
    entropy_derive(&random, sizeof random);
    return (size_t)(random % places) * step;
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

/* Where these granules of a part lie. */
static uint8_t *memory_of(const struct arena *arena, const struct granules *g,
                          size_t index)
{
    size_t skip = g == &arena->spans ? arena_span_index(arena) : 0;

    return (uint8_t *)(arena->base + ((skip + index) << GRANULE_SHIFT));
}

void space_dump(const struct arena *arena, const struct granules *g,
                size_t index, size_t count)
{
    size_t word = index / GRANULES_WORD;
    size_t end = size_min(index + count, DUMP_SINGLY);

    /* Relaxed: if two threads do it, nothing is lost. */
    for (; word * GRANULES_WORD < end; word++) {
        uint64_t *dumped = &g->words[word].dumped;
        if (likely(__atomic_load_n(dumped, __ATOMIC_RELAXED)))
            continue;
        os_dump(memory_of(arena, g, word * GRANULES_WORD),
                (size_t)GRANULES_WORD << GRANULE_SHIFT);
        __atomic_store_n(dumped, 1, __ATOMIC_RELAXED);
    }
}

static bool commit_memory(const struct arena *arena, const struct granules *g,
                          size_t from, size_t to)
{
    size_t first = size_max(from, DUMP_SINGLY);

    return os_commit(memory_of(arena, g, from), (to - from) << GRANULE_SHIFT)
        && (first >= to || os_dump(memory_of(arena, g, first),
                                   (to - first) << GRANULE_SHIFT));
}

static bool commit_words(struct granules *g, size_t from, size_t to)
{
    size_t size = sizeof(struct granule_word);

    return commit_range(g->words, from / GRANULES_WORD * size,
                        to / GRANULES_WORD * size);
}

/* Sparse memory would be blown up by huge pages. Not at start, for the sake of
   those that start and never allocate. The metadata lie just before the slabs,
   unless address space was given back. */
static void begin_slabs(const struct arena *arena)
{
    if (!GUARD_PAGES && !RANDOM_ORDER)
        return;
    if (arena->meta.end == arena->user.begin) {
        os_no_huge_pages((void *)arena->meta.begin,
                         arena->base + arena->slab_bytes - arena->meta.begin);
        return;
    }
    os_no_huge_pages((void *)arena->base, arena->slab_bytes);
    os_no_huge_pages((void *)arena->meta.begin,
                     arena->meta.end - arena->meta.begin);
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
    if (from == 0 && !spans)
        begin_slabs(arena);
    if (!extent_claim(&g->extent, to)
        || !commit_memory(arena, g, from, to)
        || !commit_words(g, from, to)
        || !commit_range(arena->records, (skip + from) * size,
                         (skip + to) * size))
        return false;
    if (SLOT_MAP && !spans
        && (!commit_range(arena->state, from * bit_bytes, to * bit_bytes)
            || !commit_range(arena->batch, from * BATCH_PARTS * bit_bytes,
                             to * BATCH_PARTS * bit_bytes)))
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

size_t space_sample_bytes(size_t slab_bytes, bool first)
{
    if (!SAMPLING || !first)
        return 0;
    return size_min(SAMPLE_BYTES_MAX, slab_bytes / SAMPLE_SHARE);
}

/* Reserve both ranges of an arena of this size, by one call: the metadata
   first. Nothing is kept on failure. */
static bool reserve(struct arena *arena, size_t slab_bytes, size_t span_bytes,
                    size_t slack, bool first)
{
    struct layout l;
    uint8_t *part[PART_COUNT];
    size_t user = slab_bytes + span_bytes
        + space_sample_bytes(slab_bytes, first) + arena_alignment + slack;

    layout_make(&l, slab_bytes, span_bytes, first);
    size_t meta = l.total + slack / 16 + 2 * os_page_bytes();
    size_t offset = pages(random_offset(slack / 16, os_page_bytes()) + 1);
    uint8_t *all = os_reserve(meta + user);

    if (!all || !layout_place(&l, all + offset, part)) {
        if (all)
            os_release(all, meta + user);
        return false;
    }
    uintptr_t memory = (uintptr_t)all + meta;
    arena->base = align_up(memory + random_offset(slack, arena_alignment),
                           arena_alignment);
    arena->user = (struct reservation){ memory, memory + user };
    arena->meta = (struct reservation){ (uintptr_t)all, memory };
    arena->slab_bytes = arena->span_offset = slab_bytes;
    arena->span_bytes = span_bytes;
    extent_open(&arena->slabs.extent, slab_bytes >> GRANULE_SHIFT);
    extent_open(&arena->spans.extent, span_bytes >> GRANULE_SHIFT);
    place(arena, part);
    arena->heaps_bytes = l.bytes[PART_HEAPS];
    extent_open(&arena->heaps_extent, arena->heaps_bytes / os_page_bytes());
    return true;
}

size_t space_wanted_bytes(void)
{
    size_t limit = space_limit_bytes();
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

/*
 * A further arena that cannot hold what it is opened for is given back: each
 * attempt would cost terabytes of addresses. The first one stays as it is, for
 * the sake of those that never allocate.
 */
static bool begin(struct arena *arena, size_t span_bytes)
{
    struct granules *g = span_bytes != 0 ? &arena->spans : &arena->slabs;
    size_t least = align_up(size_max(span_bytes >> GRANULE_SHIFT, 1),
                            GRANULES_WORD);

    if (space_grow(arena, g, least))
        return true;
    if (os_release((void *)arena->user.begin,
                   arena->user.end - arena->user.begin))
        os_release((void *)arena->meta.begin,
                   arena->meta.end - arena->meta.begin);
    return false;
}

/* At start only: later a sandbox may kill for the question. */
static void ask_limit(void)
{
    static bool asked;

    if (!asked)
        limit_bytes = os_address_space_limit();
    asked = true;
}

bool space_open(struct arena *arena, size_t span_bytes, bool first)
{
    size_t slabs, spans, smallest;

    divide(0, span_bytes, first, &slabs, &spans);
    smallest = slabs + spans;
    for (size_t wanted = space_wanted_bytes();;
         wanted = size_min(space_wanted_bytes(),
                           align_down(wanted / 2, 2 * arena_alignment))) {
        /* Where there is plenty, the base is random beyond what the kernel
           does. */
        size_t slack = wanted == (size_t)ARENA_BYTES_WANTED
            && sizeof(size_t) == 8 ? wanted / 4 : 0;
        divide(wanted, span_bytes, first, &slabs, &spans);
        if (reserve(arena, slabs, spans, slack, first)
            && (first || begin(arena, span_bytes)))
            break;
        if (slabs + spans == smallest)
            return false;
        /* Is it for a limit? Who has none is not asked. */
        if (first)
            ask_limit();
    }
    return true;
}
