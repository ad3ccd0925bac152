/* SPDX-License-Identifier: MIT */
/*
 * fuzz_place.c - the window, its lanes and its places; see fuzz_place.h.
 */
#include "fuzz_place.h"

#include <string.h>

#include "bits.h"
#include "os.h"

enum {
    /* Bare places become guarded ones in runs of this many pages. */
    GUARD_STEP_PAGES = 128,
    /* From here on protecting is cheaper than guarding page by page. */
    LARGE_PAGES = 128,
    /* The table becomes writable in steps of this many records. */
    TABLE_STEP = 1024,
    BASE_TRIES = 16,
};

#define WINDOW_BYTES_MIN ((size_t)16 << 20)

struct window fuzz_window;

/* --- the table ---------------------------------------------------------- */

static bool commit_part(void *table, size_t element, size_t from, size_t to)
{
    size_t page = fuzz_window.page_bytes;
    uintptr_t start = align_down((uintptr_t)table + from * element, page);
    uintptr_t end = align_up((uintptr_t)table + to * element, page);

    return os_commit((void *)start, end - start);
}

/* Records of the lane exist up to and with this page. */
static bool cover(struct lane *lane, size_t page)
{
    size_t to;

    if (likely(page < lane->committed))
        return true;
    to = size_min(align_down(page, TABLE_STEP) + TABLE_STEP, lane->last + 1);
    if (!commit_part(fuzz_window.table, sizeof(struct place),
                     lane->committed, to))
        return false;
    if (fuzz_window.stacks
        && !commit_part(fuzz_window.stacks, 2 * sizeof(struct stack),
                        lane->committed / 2, to / 2 + 1))
        return false;
    /* Release: who sees the bound may read the records. */
    __atomic_store_n(&lane->committed, to, __ATOMIC_RELEASE);
    return true;
}

static bool has_record(const struct lane *lane, size_t page)
{
    return page >= lane->first
        && page < __atomic_load_n(&lane->committed, __ATOMIC_ACQUIRE);
}

struct place *place_of_page(size_t page)
{
    return has_record(lane_of_page(page), page) ? fuzz_window.table + page
        : NULL;
}

struct place *place_around(uintptr_t p)
{
    size_t page = window_page(p), at;
    const struct lane *lane = lane_of_page(page);
    size_t committed = __atomic_load_n(&lane->committed, __ATOMIC_ACQUIRE);

    if (page < lane->first || committed == 0)
        return NULL;
    for (at = size_min(page, committed - 1); at > lane->first; at--) {
        if (fuzz_window.table[at].pages != 0)
            break;
    }
    struct place *place = fuzz_window.table + at;
    return place->pages > page - at ? place : NULL;
}

struct place *place_next(const struct place *place)
{
    size_t page = place_index(place) + place->pages;

    if (place->pages == 0 || page >= lane_of_page(place_index(place))->end)
        return NULL;
    return place_of_page(page);
}

struct stack *place_stacks(const struct place *place)
{
    return fuzz_window.stacks
        ? fuzz_window.stacks + 2 * (place_index(place) / 2) : NULL;
}

/* --- lanes -------------------------------------------------------------- */

/* `pages` more at the end of the lane. */
static bool append(struct lane *lane, size_t pages)
{
    if (pages > lane->last - lane->end || !cover(lane, lane->end))
        return false;
    struct place *place = fuzz_window.table + lane->end;
    *place = (struct place){ .pages = (uint32_t)pages, .bare = true };
    lane->end += pages;
    lane->limit = lane->end;
    return true;
}

void place_mark(struct lane *lane)
{
    struct lane_mark *mark = &lane->mark;
    size_t round = fuzz_window.budget_pages;

    lane->floor = lane->hand;
    if (lane->end - lane->floor < round)
        append(lane, size_min(round - (lane->end - lane->floor),
                              lane->last - lane->end));
    lane->limit = lane->end;
    mark->hand = lane->hand;
    mark->floor = lane->floor;
    mark->limit = lane->limit;
    mark->operations = lane->operations;
    mark->stream = lane->stream;
}

/* At the first claim: most programs have a thread or two. */
static bool lane_open(struct lane *lane)
{
    size_t page = lane->number * fuzz_window.lane_pages;

    /* The page before the first place is nobody's: a guard. */
    lane->first = lane->floor = lane->hand = lane->end = page + 1;
    lane->last = page + fuzz_window.lane_pages;
    lane->committed = lane->first;
    if (!append(lane, size_min(fuzz_window.budget_pages,
                               lane->last - lane->first)))
        return false;
    place_mark(lane);
    return true;
}

bool lane_claim(struct lane *lane)
{
    uint32_t epoch = fuzz_window.epoch;
    uint32_t seen = __atomic_load_n(&lane->claim, __ATOMIC_RELAXED);

    /* Acquire: what its last owner did. */
    if (seen == epoch
        || !__atomic_compare_exchange_n(&lane->claim, &seen, epoch, false,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return false;
    if (likely(lane->end != 0) || lane_open(lane))
        return true;
    lane->end = 0;
    lane_release(lane);
    return false;
}

void lane_release(struct lane *lane)
{
    __atomic_store_n(&lane->claim, 0, __ATOMIC_RELEASE);
}

void place_reset(struct lane *lane)
{
    const struct lane_mark *mark = &lane->mark;

    lane->hand = mark->hand;
    lane->floor = mark->floor;
    lane->limit = mark->limit;
    lane->operations = mark->operations;
    lane->stream = mark->stream;
}

/* --- runs of free places ------------------------------------------------ */

/* Nothing crosses the mark's limit, so that it stays a boundary. */
static size_t ceiling(const struct lane *lane)
{
    return lane->hand < lane->mark.limit ? lane->mark.limit : lane->limit;
}

/* Shorten a free place; what is left of it is a place behind. */
static struct place *cut(struct lane *lane, struct place *place, size_t pages)
{
    struct place *rest = place + pages;

    if (place->pages == pages || !cover(lane, place_index(rest)))
        return NULL;
    /* It still tells what was there, if it may hold an object. */
    *rest = *place;
    rest->pages = place->pages - (uint32_t)pages;
    if (rest->pages < 2)
        rest->object = 0;
    else if (place->object && place_stacks(place))
        memcpy(place_stacks(rest), place_stacks(place),
               2 * sizeof(struct stack));
    /* Release: in any order of stores the row of places is whole. */
    __atomic_store_n(&place->pages, (uint32_t)pages, __ATOMIC_RELEASE);
    return rest;
}

/* Join free places behind until it is long enough. */
static bool join(struct place *place, size_t pages, size_t end)
{
    while (place->pages < pages) {
        struct place *next = place + place->pages;
        if (place_index(next) >= end || place_state(next) != PLACE_FREE)
            return false;
        place->bare |= next->bare;
        __atomic_store_n(&place->pages, place->pages + next->pages,
                         __ATOMIC_RELEASE);
        next->pages = 0;
        next->object = 0;
    }
    return true;
}

/* The hand has come to the end: is another round better than more room? */
static bool round_is_worth_it(const struct lane *lane, size_t pages)
{
    size_t round = lane->limit - lane->floor;
    size_t live = __atomic_load_n(&lane->live_pages, __ATOMIC_RELAXED);

    return live <= round / 2 && pages <= round / 4;
}

static bool grow(struct lane *lane, size_t pages)
{
    size_t more = size_max(lane->limit - lane->floor, pages);

    if (lane->limit < lane->end) { /* it had grown before the reset */
        lane->hand = lane->limit;
        lane->limit = lane->end;
        return true;
    }
    more = size_min(more, lane->last - lane->end);
    if (more < pages)
        return false;
    lane->hand = lane->end;
    return append(lane, more);
}

static struct place *find_run(struct lane *lane, size_t pages)
{
    bool round = false; /* has the hand gone round in this call? */

    for (;;) {
        size_t top = ceiling(lane);
        if (lane->hand < top && pages <= top - lane->hand) {
            struct place *place = fuzz_window.table + lane->hand;
            if (place_state(place) == PLACE_FREE && join(place, pages, top))
                return place;
            lane->hand += place->pages;
            continue;
        }
        if (top < lane->limit) {
            lane->hand = top;
            continue;
        }
        if ((round || !round_is_worth_it(lane, pages)) && grow(lane, pages))
            continue;
        if (round)
            return NULL;
        round = true;
        lane->hand = lane->floor;
    }
}

/* --- open and close ----------------------------------------------------- */

static bool is_protected(size_t data_pages)
{
    return data_pages >= LARGE_PAGES || !os_guards_are_cheap();
}

/* Bare pages become writable ones with guards all over. */
static void guard_run(struct lane *lane, struct place *place, size_t pages)
{
    size_t run = size_min(place->pages, size_max(pages, GUARD_STEP_PAGES));
    void *start = (void *)place_start_address(place);
    size_t bytes;

    cut(lane, place, run);
    bytes = (size_t)place->pages << fuzz_window.page_shift;
    if (!os_commit(start, bytes))
        return;
    if (!os_guard(start, bytes))
        os_decommit(start, bytes);
    place->bare = !os_guards_are_cheap();
}

static bool open_pages(struct lane *lane, struct place *place,
                       size_t data_pages)
{
    void *start = (void *)place_start_address(place);
    size_t bytes = data_pages << fuzz_window.page_shift;

    if (!is_protected(data_pages) && place->bare)
        guard_run(lane, place, data_pages + 2);
    if (data_pages == 0)
        return true;
    if (is_protected(data_pages)) {
        place->bare = true;
        if (!os_commit(start, bytes))
            return false;
        os_unguard(start, bytes);
        return true;
    }
    return !place->bare && os_unguard(start, bytes);
}

struct place *place_take(struct lane *lane, size_t bytes, size_t alignment)
{
    unsigned shift = fuzz_window.page_shift;
    size_t page_bytes = fuzz_window.page_bytes, most = lane->last - lane->first;
    size_t data = place_data_pages(bytes);
    size_t spare = alignment > page_bytes ? (alignment >> shift) - 1 : 0;

    /* Two pages at least: see place_stacks. */
    size_t behind = data == 0 ? 2 : 1;

    if (data >= most - 1 || spare >= most - data)
        return NULL;
    struct place *place = find_run(lane, data + behind + spare);
    if (!place)
        return NULL;
    uintptr_t start = place_start_address(place);
    size_t lead = spare ? (align_up(start, alignment) - start) >> shift : 0;
    if (lead != 0)
        place = cut(lane, place, lead);
    if (!place || !open_pages(lane, place, data))
        return NULL;
    cut(lane, place, data + behind);
    place->bytes = bytes;
    lane->hand = place_index(place) + place->pages;
    __atomic_fetch_add(&lane->live_pages, place->pages, __ATOMIC_RELAXED);
    return place;
}

void place_close(struct place *place, uint8_t free_fill)
{
    struct lane *lane = lane_of_page(place_index(place));
    void *start = (void *)place_start_address(place);
    size_t pages = place_data_pages(place->bytes);
    size_t bytes = pages << fuzz_window.page_shift;
    bool closed = true;

    if (bytes != 0 && is_protected(pages))
        closed = os_decommit(start, bytes);
    else if (bytes != 0)
        closed = os_guard(start, bytes);
    if (is_protected(pages))
        place->bare = true;
    __atomic_fetch_sub(&lane->live_pages, place->pages, __ATOMIC_RELAXED);
    if (!closed)
        memset(start, free_fill, bytes);
    /* Release: the lane may use it from now on. */
    __atomic_store_n(&place->state, closed ? PLACE_FREE : PLACE_LOST,
                     __ATOMIC_RELEASE);
}

/* --- start -------------------------------------------------------------- */

/* Bytes of user address space, as far as the place of the stack tells. */
static uintptr_t address_space(void)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    unsigned top = bits_highest(here);

    return top >= 8 * sizeof(uintptr_t) - 1 ? UINTPTR_MAX / 2 + 1
        : (uintptr_t)2 << top;
}

/*
 * From an eighth of the address space on, where neither programs nor libraries
 * nor stacks are put: those begin at a quarter, and randomisation does not
 * bring them down here.
 */
static bool reserve(struct stream *stream, size_t bytes, bool *moved)
{
    uintptr_t space = address_space();
    size_t grain = (size_t)2 << 20;

    *moved = false;
    for (unsigned i = 0; i < BASE_TRIES; i++) {
        uintptr_t places = space / 16 / grain;
        uintptr_t at = space / 8 + stream_draw(stream) % places * grain;
        if (os_reserve_at((void *)at, bytes)) {
            fuzz_window.base = at;
            return true;
        }
    }
    *moved = true;
    fuzz_window.base = (uintptr_t)os_reserve(bytes);
    return fuzz_window.base != 0;
}

static bool reserve_tables(bool stacks)
{
    size_t pages = fuzz_window.pages + 2;
    size_t page = fuzz_window.page_bytes;
    size_t bytes = align_up(pages * sizeof(struct place), page);

    fuzz_window.table = os_reserve(bytes);
    if (!fuzz_window.table)
        return false;
    if (!stacks)
        return true;
    fuzz_window.stacks = os_reserve(align_up(pages * sizeof(struct stack),
                                             page));
    if (!fuzz_window.stacks)
        os_release(fuzz_window.table, bytes);
    return fuzz_window.stacks;
}

static void seed_stream(struct stream *stream, uint32_t seed, uint64_t number)
{
    stream_reset(stream);
    memset(stream->key, 0, sizeof stream->key);
    memcpy(stream->key, &seed, sizeof seed);
    memcpy(stream->key + sizeof seed, &number, sizeof number);
    stream->keyed = true;
}

/* Few lanes where there is little room: objects must fit in one. */
static void divide(void)
{
    size_t bytes = fuzz_window.pages << fuzz_window.page_shift;
    uint32_t count = LANE_COUNT_MAX;

    while (count > 1 && bytes / count < (size_t)256 << 20)
        count /= 2;
    fuzz_window.lane_count = count;
    fuzz_window.lane_pages = fuzz_window.pages / count;
}

bool place_start(uint32_t seed, size_t budget_bytes, bool stacks, bool *moved)
{
    static struct stream stream;
    size_t bytes = (size_t)(address_space() / 16);
    size_t left = os_address_space_limit();

    fuzz_window.page_bytes = os_page_bytes();
    fuzz_window.page_shift = bits_lowest(fuzz_window.page_bytes);
    if (left != SIZE_MAX)
        bytes = bits_round_up_power(size_max(left / 4, 1));
    for (;; bytes /= 2) {
        if (bytes < WINDOW_BYTES_MIN)
            return false;
        /* Each try begins at the same draw. */
        seed_stream(&stream, seed, UINT64_MAX);
        fuzz_window.pages = bytes >> fuzz_window.page_shift;
        if (!reserve(&stream, bytes, moved))
            continue;
        if (reserve_tables(stacks))
            break;
        os_release((void *)fuzz_window.base, bytes);
    }
    os_no_huge_pages((void *)fuzz_window.base, bytes);
    fuzz_window.key = stream_draw(&stream);
    fuzz_window.seed = seed;
    fuzz_window.epoch = 1;
    fuzz_window.budget_pages = size_max(budget_bytes >> fuzz_window.page_shift,
                                        4);
    divide();
    for (uint32_t i = 0; i < fuzz_window.lane_count; i++) {
        fuzz_window.lane[i].number = i;
        seed_stream(&fuzz_window.lane[i].stream, seed, i);
    }
    return true;
}
