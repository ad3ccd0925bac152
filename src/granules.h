/* SPDX-License-Identifier: MIT */
/*
 * granules.h - which granules of a part of an arena are taken.
 *
 * The idea: three bits for each granule, in words of 64 granules, changed by
 * single atomic operations. There is no lock: a fork may copy the words at any
 * instant, and the worst that the child sees is a granule that nobody uses.
 *
 *   used   somebody has it
 *   dirty  free, but its pages hold memory
 *   aged   was dirty at the last tick: at the next one it is purged
 *
 * The window is the committed beginning of the part; nothing outside it is
 * ever taken. This file makes no system call: growing the window and purging
 * are the caller's business (arena.c).
 */
#ifndef MERLON_GRANULES_H
#define MERLON_GRANULES_H

#include "bits.h"
#include "extent.h"
#include "policy.h"

enum { GRANULES_WORD = 64 };

struct granule_word {
    uint64_t used, dirty, aged;
    uint64_t dumped; /* not 0: cores have these granules; see space.h */
};

struct granules {
    struct granule_word *words;
    struct extent extent; /* granules in the part, multiples of 64 */
    size_t window; /* committed ones, a multiple of 64; only grows */
    size_t taken;  /* used ones, about */
    size_t dirty;  /* free ones whose pages hold memory */
    size_t lost;   /* in the window, but their addresses were given back */
    size_t hint;   /* no free granule below this word, about */
    size_t group;  /* RANDOM_ORDER: the word where short runs go just now */
};

#define GRANULES_NONE SIZE_MAX

/* May `count` more be free with their pages in them? With them it is no more
   than what is taken, or than `least_bytes`. Relaxed: a budget. */
static inline bool granules_may_wait(const struct granules *g, size_t count,
                                     size_t least_bytes)
{
    size_t dirty = __atomic_load_n(&g->dirty, __ATOMIC_RELAXED);
    size_t taken = __atomic_load_n(&g->taken, __ATOMIC_RELAXED);

    return dirty + count <= size_max(least_bytes >> GRANULE_SHIFT, taken);
}

/*
 * Take `count` granules: a power of two up to 64 at a multiple of itself, or a
 * multiple of 64. With RANDOM_ORDER at a random place drawn from `random`
 * (short runs at a random place of one word while that has room, then of
 * another random word: their metadata share pages), else at the lowest. *clean:
 * none of them was dirty. GRANULES_NONE: the window has no such run.
 */
size_t granules_take(struct granules *g, size_t count, uint64_t random,
                     bool *clean);

/* Take exactly these, if all are free. */
bool granules_take_at(struct granules *g, size_t index, size_t count,
                      bool *clean);

/* Give back; `dirty` says that their pages hold memory. */
void granules_give(struct granules *g, size_t index, size_t count,
                   bool dirty);

/*
 * One word's turn of the decay: claims the granules that were dirty and free
 * for a whole period (all dirty ones with `now`) and ages the others. The
 * caller purges what the result names and calls granules_purged.
 */
uint64_t granules_claim_ripe(struct granules *g, size_t word, bool now);
void granules_purged(struct granules *g, size_t word, uint64_t mask,
                     bool success);

#endif
