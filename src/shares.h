/* SPDX-License-Identifier: MIT */
/*
 * shares.h - which free slots of a slab come next.
 *
 * What is free is said by the state bits alone (exact.h); nothing of ours is
 * in a free slot but zeros and its canary. The slots of a slab are divided
 * into four shares: quarters of its addresses where there are many slots, else
 * four sets that a random mask chooses. A share is gathered: what is free of
 * it at that moment gets a bit in a second array, the batch. It rests until
 * `delay` further slots of the class were taken by the heap, and is then handed
 * out in random order. What is freed meanwhile belongs to the next gathering.
 * So a freed slot waits for at least `delay` allocations, while the other
 * shares serve.
 *
 * Slots that were never handed out lie beyond `fresh` and are in no share yet.
 *
 * Invariants:
 * - A bit of the batch is set only at the start of a slot that is free and not
 *   in a stock; left[i] is the number of them in share i.
 * - Only the slab's owner calls anything here.
 */
#ifndef MERLON_SHARES_H
#define MERLON_SHARES_H

#include "die.h"
#include "exact.h"
#include "order.h"

enum {
    SHARES_LARGE_BYTES = 4096,
    SHARES_STEP_SHIFT = 48, /* the step is in the high bits of the mask */
};

/* Where slots are put: byte offsets in the slab, XORed with the pad. */
struct hand {
    uint32_t *slots;
    uint32_t count, room;
    uint32_t pad;
    struct stream *stream;
    union order_noise noise;
};

/* The slot that makes the hand one more than `count`. */
static ALWAYS_INLINE void hand_put(const struct hand *hand, uint32_t count,
                                   uint32_t offset)
{
    order_insert(hand->slots, count, offset ^ hand->pad, &hand->noise);
}

/* Slots of a page and more: an untouched one costs nothing. */
static inline bool shares_large(const struct record *slab)
{
    return SLOT_MAP && slab->slot_bytes >= SHARES_LARGE_BYTES;
}

/*
 * Where the slot lies that is number `i` of the order in which fresh slots are
 * handed out. Large ones are taken from all over the slab: by steps that have
 * no divisor in common with their number.
 */
static inline uint32_t shares_place(struct record *slab, uint32_t i)
{
    if (!RANDOM_ORDER || !shares_large(slab))
        return i;
    return i * (uint32_t)(record_shares(slab)->mask >> SHARES_STEP_SHIFT)
        % slab->slots;
}

/* Nothing is gathered; `mask` is random. */
void shares_open(struct record *slab, uint64_t mask);

/* Gather every share that has nothing left; all rest from `now` on, or have
   rested enough. */
void shares_rest(struct record *slab, uint32_t now, bool rested);

/* Forget the batch: the slab's memory is to be used otherwise. */
void shares_clear(struct record *slab);

/* Slots that are gathered. */
uint32_t shares_left(struct record *slab);

/*
 * Add slots that have rested for `delay` allocations to the hand, gathering
 * anew on the way if `least` slots or more wait for it. `now` counts the slots
 * that the heap took of this class.
 */
void shares_take(struct record *slab, struct hand *hand, uint32_t now,
                 uint32_t delay, uint32_t least, struct die_call call);

#endif
