/* SPDX-License-Identifier: MIT */
/*
 * fuzz_place.h - where libmerlon-fuzz puts objects: the window, its lanes and
 * its places.
 *
 * The window is one mapping, at an address that follows from the seed. It is
 * cut into lanes; the first call of each thread takes the next one, so that
 * what a thread gets depends on what that thread does, not on the scheduler. A
 * lane is a row of places, each some data pages and a guard page behind them.
 * All that no object uses is inaccessible.
 *
 * A hand goes round the lane: from where it stands it takes the next run of
 * free places that is long enough. So freed addresses come back only after the
 * hand went all the way, which is the budget.
 *
 * Pages are closed by MADV_GUARD_INSTALL, which costs no mapping. Places of
 * LARGE_PAGES and more, and all places where the kernel has no such guards,
 * are closed by PROT_NONE (`bare`).
 *
 * What is known of a place stands in the window's table, at the index of its
 * first page, far from user memory.
 *
 * Invariants:
 *  - From `first` to `end` of a lane every place follows the last one.
 *  - Whoever has claimed a lane cuts and joins its free places, and nobody
 *    else. A live place is freed by one compare-and-swap of its state, by any
 *    thread.
 */
#ifndef MERLON_FUZZ_PLACE_H
#define MERLON_FUZZ_PLACE_H

#include "entropy.h"
#include "stack.h"

enum place_state {
    PLACE_FREE,
    PLACE_LIVE,
    PLACE_CHECKING, /* live, and its slack is just being read */
    PLACE_DOOMED,   /* freed while it was: the reader closes it */
    PLACE_CLOSING,  /* freed just now */
    PLACE_LOST,     /* freed, but could not be closed: never used again */
};

/* One place. The heap floor fills in what concerns the object. */
struct place {
    uint32_t pages;    /* with the guard; 0: no place begins here */
    uint8_t state;     /* enum place_state, atomic */
    bool bare;         /* some of it may be closed by PROT_NONE */
    uint8_t born_lane, freed_lane;
    uint32_t born_thread, freed_thread;
    uint64_t born, freed; /* operations of the lanes named above */
    uintptr_t born_site, freed_site; /* the calls in the program */
    uintptr_t object;  /* the one that is or was here */
    size_t bytes;      /* its size */
};

enum { LANE_COUNT_MAX = 64 };

/* What a return to a mark brings back. */
struct lane_mark {
    size_t hand, floor, limit;
    uint64_t operations;
    struct stream stream;
};

struct lane {
    uint32_t claim;    /* 0, or the epoch in which it was claimed; atomic */
    uint32_t number;
    uint32_t thread;   /* of the operation for which it is claimed */
    size_t first, end; /* pages of the window; end: all places lie before */
    size_t last;       /* the lane may grow up to here */
    size_t committed;  /* its part of the table is writable up to here */
    size_t hand;       /* a place begins here, or it is `limit` */
    size_t floor;      /* the hand goes round from here ... */
    size_t limit;      /* ... to here; the mark's limit, or `end` */
    size_t live_pages; /* atomic: others free */
    uint64_t operations;
    struct stream stream;
    struct lane_mark mark;
};

struct window {
    uintptr_t base;
    size_t pages;
    size_t budget_pages;
    unsigned page_shift;
    size_t page_bytes;
    struct place *table;
    struct stack *stacks; /* two for every two pages, or NULL */
    uint64_t key;         /* for canaries */
    uint32_t seed;
    uint32_t epoch;       /* counts forks, from 1 */
    size_t lane_pages;
    uint32_t lane_count;
    struct lane lane[LANE_COUNT_MAX];
};
extern struct window fuzz_window;

/* Open the window. False: no address space. *moved: it is not where the seed
   wants it. */
bool place_start(uint32_t seed, size_t budget_bytes, bool stacks, bool *moved);

/*
 * Claim a lane, which somebody else may have: another thread, or this one
 * when a signal interrupted it. Claims of another epoch were made by threads
 * that a fork left behind.
 */
bool lane_claim(struct lane *lane);
void lane_release(struct lane *lane);

/* A place for `bytes` whose first data page is a multiple of `alignment` (a
   power of two). Its data pages are open and zero, its state is still free.
   NULL: no room. The lane must be claimed. */
struct place *place_take(struct lane *lane, size_t bytes, size_t alignment);

/* Make the pages inaccessible, after the state went from live to closing (or
   doomed). What cannot be closed is filled and lost. */
void place_close(struct place *place, uint8_t free_fill);

/* Remember the lane's state; go back to it. The lane must be claimed. */
void place_mark(struct lane *lane);
void place_reset(struct lane *lane);

static inline size_t place_index(const struct place *place)
{
    return (size_t)(place - fuzz_window.table);
}

static inline uintptr_t page_address(size_t page)
{
    return fuzz_window.base + (page << fuzz_window.page_shift);
}

static inline uintptr_t place_start_address(const struct place *place)
{
    return page_address(place_index(place));
}

static inline size_t place_data_pages(size_t bytes)
{
    return (bytes >> fuzz_window.page_shift)
        + ((bytes & (fuzz_window.page_bytes - 1)) != 0);
}

static inline uintptr_t place_end_address(const struct place *place)
{
    return page_address(place_index(place) + place_data_pages(place->bytes));
}

static inline bool window_has(uintptr_t p)
{
    return p - fuzz_window.base
        < (uintptr_t)fuzz_window.pages << fuzz_window.page_shift;
}

static inline size_t window_page(uintptr_t p)
{
    return (p - fuzz_window.base) >> fuzz_window.page_shift;
}

static inline struct lane *lane_of_page(size_t page)
{
    return &fuzz_window.lane[page / fuzz_window.lane_pages];
}

/* The record of this page, or NULL when there is none yet. */
struct place *place_of_page(size_t page);

/* The nearest place at or before an address whose pages cover it, or NULL. */
struct place *place_around(uintptr_t p);

/* The place behind, or NULL at the end of the lane. */
struct place *place_next(const struct place *place);

/* The two call stacks of a place, or NULL: at its birth, at its end. Two places
   share them only if one has a single page, and that never holds an object. */
struct stack *place_stacks(const struct place *place);

static inline enum place_state place_state(const struct place *place)
{
    /* Acquire: what was written before the state was set. */
    return (enum place_state)__atomic_load_n(&place->state, __ATOMIC_ACQUIRE);
}

/* From one state to another; false when it was not the one. */
static inline bool place_change(struct place *place, enum place_state from,
                                enum place_state to)
{
    uint8_t seen = from;

    /* Both: facts written before, facts read after. */
    return __atomic_compare_exchange_n(&place->state, &seen, (uint8_t)to, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

#endif
