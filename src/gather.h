/* SPDX-License-Identifier: MIT */
/*
 * gather.h - what gathering and handing out free slots have in common, whether
 * a slab has many slots (quarters.c) or few (few.c). shares.h says why.
 *
 * Only shares.c and these two include it.
 */
#ifndef MERLON_GATHER_H
#define MERLON_GATHER_H

#include "shares.h"

#include "slab.h"

enum { WORD_UNITS = 64 };

/* Local copies: nothing that is written in a loop can be an alias of them. */
struct dealer {
    uint32_t *slots;
    const uint8_t *noise;
    uint32_t count;
};

static ALWAYS_INLINE void deal(struct dealer *dealer, uint32_t value)
{
    order_insert(dealer->slots, dealer->count, value, dealer->noise);
    dealer->count++;
}

static struct dealer dealer_of(const struct hand *hand)
{
    return (struct dealer){ hand->slots, hand->noise.byte, hand->count };
}

/* What a gathering found. */
struct found {
    uint32_t left, asleep;
};

/* The bits of one word: what is free of it, but for the sleepers. */
static ALWAYS_INLINE uint64_t gather_word(uint64_t free_bits, uint64_t live,
                                          uint64_t *settled, bool all,
                                          struct found *found)
{
    uint64_t kept = DELAYED_REUSE && !all ? free_bits & *settled : 0;

    if (DELAYED_REUSE)
        *settled = kept | live;
    if (kept != 0)
        found->asleep += bits_count(kept);
    free_bits ^= kept;
    if (free_bits != 0)
        found->left += bits_count(free_bits);
    return free_bits;
}

/* Strict mode: these free slots of a word of state are under way. */
COLD void gather_report(struct record *slab, uint64_t bits, size_t word,
                        struct die_call call);

/* Of these free slots of a word of state, those that are under way. They are
   reported, and given up. */
static ALWAYS_INLINE uint64_t gather_late(struct record *slab,
                                          const uint64_t *pending,
                                          size_t word, uint64_t bits,
                                          const struct die_call *call)
{
    if (!STRICT_REMOTE)
        return 0;
    bits &= __atomic_load_n(&pending[word], __ATOMIC_RELAXED);
    if (unlikely(bits != 0))
        gather_report(slab, bits, word, *call);
    return bits;
}

/* --- quarters.c -------------------------------------------------------- */

/* Gather one quarter: of the sleepers only if `all`. */
struct found quarters_gather(struct record *slab, unsigned share, bool all);

/* Add to the hand what is gathered of the quarter, from a random word on.
   Returns how many slots are given up. */
uint32_t quarters_take(struct record *slab, unsigned share, struct hand *hand,
                       uint32_t place, const struct die_call *call);

/* What is live now has settled. */
void quarters_settle(struct record *slab);

/* --- few.c ------------------------------------------------------------- */

void few_open(struct record *slab);
void few_clear(struct record *slab);
struct found few_gather(struct record *slab, unsigned share, bool all);
uint32_t few_take(struct record *slab, unsigned share, struct hand *hand,
                  const struct die_call *call);
void few_settle(struct record *slab);
bool few_purge(struct record *slab, struct die_call call);

/* A random one of the slots that were never handed out: its number. */
uint32_t few_draw_virgin(struct record *slab, uint32_t random);

#endif
