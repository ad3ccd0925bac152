/* SPDX-License-Identifier: MIT */
/*
 * granules.c - taking and giving granules by atomic bit operations.
 *
 * Order: a giver marks dirty before it clears used, so that whoever takes the
 * granule afterwards sees that it is dirty.
 */
#include "granules.h"

#include "die.h"

enum {
    PROBES = 12,
    GROUP_PROBES = 32, /* a group becomes quite full */
    GROUP_RUN_MAX = 4, /* runs up to here are grouped */
    GROUP_GRANULES = GRANULES_WORD * 7 / 8, /* so many in a word */
};

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* Set `mask` in used if all of it is clear. Acquire: what the giver wrote to
   the granules and to their records happened before. */
static bool claim(struct granule_word *word, uint64_t mask)
{
    uint64_t used = load(&word->used);

    while ((used & mask) == 0) {
        if (__atomic_compare_exchange_n(&word->used, &used, used | mask, true,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

/* Release: our writes to the granules happen before the next taker's. */
static void unclaim(struct granule_word *word, uint64_t mask)
{
    uint64_t used = __atomic_fetch_and(&word->used, ~mask, __ATOMIC_RELEASE);

    /* Only what was claimed is given back, and by who claimed it. */
    if (CHECKED && unlikely((used & mask) != mask)) {
        struct die_facts facts = { .pointer = word,
                                   .detail = "granules given back twice" };
        die(DIE_METADATA, &facts);
    }
}

/* Something in this word is free again. */
static void lower_hint(struct granules *g, size_t word)
{
    size_t hint = __atomic_load_n(&g->hint, __ATOMIC_RELAXED);

    while (hint > word
           && !__atomic_compare_exchange_n(&g->hint, &hint, word, true,
                                           __ATOMIC_RELAXED,
                                           __ATOMIC_RELAXED))
        ;
}

/* Forget that granules which are now ours were dirty; were none of them? */
static bool take_clean(struct granules *g, struct granule_word *word,
                       uint64_t mask)
{
    uint64_t dirty = load(&word->dirty) & mask;

    if (dirty == 0)
        return true;
    /* Relaxed: the bits of used granules are the owner's alone. */
    __atomic_fetch_and(&word->dirty, ~mask, __ATOMIC_RELAXED);
    __atomic_fetch_and(&word->aged, ~mask, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&g->dirty, bits_count(dirty), __ATOMIC_RELAXED);
    return false;
}

/* The mask of the part of [index, index + count) that lies in one word. */
static uint64_t mask_in_word(size_t index, size_t count, size_t word)
{
    size_t first = size_max(index, word * GRANULES_WORD);
    size_t end = size_min(index + count, (word + 1) * GRANULES_WORD);

    return bits_run((unsigned)(first % GRANULES_WORD), (unsigned)(end - first));
}

bool granules_take_at(struct granules *g, size_t index, size_t count,
                      bool *clean)
{
    size_t first = index / GRANULES_WORD;
    size_t last = (index + count - 1) / GRANULES_WORD;
    size_t word = first;

    if (index + count > __atomic_load_n(&g->window, __ATOMIC_ACQUIRE))
        return false;
    while (word <= last && claim(&g->words[word],
                                 mask_in_word(index, count, word)))
        word++;
    if (word <= last) {
        while (word-- > first)
            unclaim(&g->words[word], mask_in_word(index, count, word));
        lower_hint(g, first);
        return false;
    }
    *clean = true;
    for (word = first; word <= last; word++) {
        if (!take_clean(g, &g->words[word],
                        mask_in_word(index, count, word)))
            *clean = false;
    }
    __atomic_fetch_add(&g->taken, count, __ATOMIC_RELAXED);
    return true;
}

/* Any run of `count` <= 64 inside one word, at a multiple of count. */
static size_t take_in_word(struct granules *g, size_t word, unsigned count,
                           bool *clean)
{
    uint64_t starts;

    while ((starts = bits_aligned_runs(~load(&g->words[word].used), count))) {
        size_t index = word * GRANULES_WORD + bits_lowest(starts);
        if (granules_take_at(g, index, count, clean))
            return index;
    }
    return GRANULES_NONE;
}

/* A run of whole words, first fit from `from` on. */
static size_t take_words(struct granules *g, size_t from, size_t end,
                         size_t count, bool *clean)
{
    size_t length = count / GRANULES_WORD;
    size_t run = 0;

    for (size_t word = from; word < end; word++) {
        run = load(&g->words[word].used) == 0 ? run + 1 : 0;
        if (run >= length) {
            size_t index = (word + 1 - length) * GRANULES_WORD;
            if (granules_take_at(g, index, count, clean))
                return index;
            run = 0;
        }
    }
    return GRANULES_NONE;
}

static size_t sweep(struct granules *g, size_t from, size_t end, size_t count,
                    bool *clean)
{
    if (count > GRANULES_WORD)
        return take_words(g, from, end, count, clean);
    for (size_t word = from; word < end; word++) {
        size_t index = take_in_word(g, word, (unsigned)count, clean);
        if (index != GRANULES_NONE)
            return index;
    }
    return GRANULES_NONE;
}

static uint64_t next(uint64_t random)
{
    return random * UINT64_C(0x9E3779B97F4A7C15) + 1;
}

/* Below `bound`, by the upper half. */
static size_t below(uint64_t random, size_t bound)
{
    return (size_t)(((random >> 32) * bound) >> 32);
}

/* Tries at random places of [first, first + places * count). */
static size_t probe(struct granules *g, unsigned tries, size_t first,
                    size_t places, size_t count, uint64_t *random, bool *clean)
{
    for (unsigned i = 0; i < tries; i++) {
        size_t index = first + below(*random, places) * count;
        *random = next(*random);
        if (granules_take_at(g, index, count, clean))
            return index;
    }
    return GRANULES_NONE;
}

/* A word for short runs: the one in use, while it has room, or another one that
   nobody is in. None: as many words as there are. */
static size_t find_group(struct granules *g, size_t words, uint64_t *random)
{
    /* Relaxed: a preference; what it leads to is claimed. */
    size_t group = __atomic_load_n(&g->group, __ATOMIC_RELAXED);

    if (group < words
        && bits_count(load(&g->words[group].used)) < GROUP_GRANULES)
        return group;
    for (unsigned i = 0; i < PROBES; i++) {
        group = below(*random, words);
        *random = next(*random);
        if (load(&g->words[group].used) == 0) {
            __atomic_store_n(&g->group, group, __ATOMIC_RELAXED);
            return group;
        }
    }
    return words;
}

static size_t take_random(struct granules *g, size_t window, size_t count,
                          uint64_t random, bool *clean)
{
    size_t words = window / GRANULES_WORD;
    size_t index = GRANULES_NONE;

    if (window < count)
        return GRANULES_NONE;
    if (count <= GROUP_RUN_MAX) {
        size_t group = find_group(g, words, &random);
        if (group < words)
            index = probe(g, GROUP_PROBES, group * GRANULES_WORD,
                          GRANULES_WORD / count, count, &random, clean);
    }
    if (index == GRANULES_NONE)
        index = probe(g, PROBES, 0, window / count, count, &random, clean);
    if (index != GRANULES_NONE)
        return index;
    size_t from = below(random, words);
    index = sweep(g, from, words, count, clean);

    if (index == GRANULES_NONE)
        index = sweep(g, 0, words, count, clean);
    return index;
}

size_t granules_take(struct granules *g, size_t count, uint64_t random,
                     bool *clean)
{
    size_t window = __atomic_load_n(&g->window, __ATOMIC_ACQUIRE);

    if (RANDOM_ORDER)
        return take_random(g, window, count, random, clean);

    size_t words = window / GRANULES_WORD;
    size_t hint = __atomic_load_n(&g->hint, __ATOMIC_RELAXED);
    size_t seen = hint;
    while (hint < words && load(&g->words[hint].used) == ~UINT64_C(0))
        hint++;
    /* Relaxed: only a hint. If a giver has lowered it meanwhile, it stays. */
    __atomic_compare_exchange_n(&g->hint, &seen, hint, false,
                                __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return sweep(g, hint, words, count, clean);
}

void granules_give(struct granules *g, size_t index, size_t count, bool dirty)
{
    size_t first = index / GRANULES_WORD;
    size_t last = (index + count - 1) / GRANULES_WORD;

    /* First: a taker subtracts what it finds. */
    if (dirty)
        __atomic_fetch_add(&g->dirty, count, __ATOMIC_RELAXED);
    for (size_t word = first; word <= last; word++) {
        uint64_t mask = mask_in_word(index, count, word);
        if (dirty)
            __atomic_fetch_or(&g->words[word].dirty, mask, __ATOMIC_RELAXED);
        unclaim(&g->words[word], mask);
    }
    __atomic_fetch_sub(&g->taken, count, __ATOMIC_RELAXED);
    lower_hint(g, first);
}

uint64_t granules_claim_ripe(struct granules *g, size_t word, bool now)
{
    struct granule_word *w = &g->words[word];
    uint64_t dirty = load(&w->dirty) & ~load(&w->used);
    uint64_t ripe = now ? dirty : dirty & load(&w->aged);
    uint64_t claimed = 0;

    if (dirty == 0)
        return 0;
    while (ripe != 0) {
        uint64_t bit = ripe & -ripe;
        if (claim(w, bit))
            claimed |= bit;
        ripe &= ripe - 1;
    }
    /* Somebody may have taken and cleaned one in between. */
    uint64_t still = claimed & load(&w->dirty);
    if (still != claimed) {
        unclaim(w, claimed & ~still);
        lower_hint(g, word);
    }
    __atomic_fetch_or(&w->aged, dirty & ~still, __ATOMIC_RELAXED);
    __atomic_fetch_and(&w->aged, ~still, __ATOMIC_RELAXED);
    __atomic_fetch_and(&w->dirty, ~still, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&g->dirty, bits_count(still), __ATOMIC_RELAXED);
    return still;
}

void granules_purged(struct granules *g, size_t word, uint64_t mask,
                     bool success)
{
    if (!success) {
        __atomic_fetch_add(&g->dirty, bits_count(mask), __ATOMIC_RELAXED);
        __atomic_fetch_or(&g->words[word].dirty, mask, __ATOMIC_RELAXED);
    }
    unclaim(&g->words[word], mask);
    lower_hint(g, word);
}
