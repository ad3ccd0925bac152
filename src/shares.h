/* SPDX-License-Identifier: MIT */
/*
 * shares.h - which free slots of a slab are handed out next, and in which
 * order.
 *
 * Nothing is stored in a free slot. The idea: free slots are *gathered* into
 * one of four shares, which rests until the heap took `delay` further slots of
 * the class, and is then handed out in random order. What is freed meanwhile
 * belongs to the next gathering. So a freed slot waits for at least `delay`
 * allocations. Of the shares that rested enough the youngest comes first: who
 * allocates and frees in turn goes round in few slots, and what was freed
 * before he began is left alone.
 *
 * A slot that was live at an earlier gathering, or when fresh slots were taken,
 * has *settled*. When it is freed it is a *sleeper*: it is not gathered until
 * so many wait that it would be a waste. So who frees an object that lived
 * long does not see its address again by allocating and freeing, however
 * often he does.
 *
 * Where slots are many, the shares are quarters of the slab's addresses, and
 * what is free of a quarter is read off the state bits, into a second array of
 * bits, the batch. Where they are few (sizeclass.h), one word has a bit for
 * each slot that was freed, and gathering takes the word as it is.
 *
 * Slots that were never handed out are in no share: those beyond `fresh`, or,
 * where each is a page or more, those in a word of their own.
 *
 * Invariants:
 * - A bit of the batch stands for a slot that is free and not in a stock;
 *   left[i] is the number of them in share i.
 * - Only the slab's owner calls anything here.
 */
#ifndef MERLON_SHARES_H
#define MERLON_SHARES_H

#include "die.h"
#include "exact.h"
#include "order.h"
#include "sizeclass.h"

/* Where slots are put: byte offsets in the slab, XORed with the pad. */
struct hand {
    uint32_t *slots;
    uint32_t count, room;
    uint32_t pad;
    struct stream *stream;
    union order_noise noise;
};

static ALWAYS_INLINE bool shares_few(uint32_t slot_bytes)
{
    return SLOT_MAP && slot_bytes >= CLASS_FEW_BYTES;
}

/* Slots of a page and more: an untouched one costs nothing, so that fresh ones
   are taken from all over the slab. */
static inline bool shares_large(const struct record *slab)
{
    return RANDOM_ORDER && slab->slot_bytes >= CLASS_LARGE_BYTES
        && shares_few(slab->slot_bytes);
}

/* Bits of the slots that were never handed out; large slots. */
uint64_t shares_virgins(const struct record *slab);

/* Few slots: this one is free. Its state bit was cleared before, so that a
   fork in between loses it at worst. */
static inline void shares_add_few(struct record *slab, size_t unit)
{
    record_shares(slab)->freed |=
        UINT64_C(1) << class_slot_index(record_class(slab), unit);
}

/* Nothing is gathered, and all slots are fresh. */
void shares_open(struct record *slab);

/* Gather what waits, if there is a share for it; all rest from `now` on, or
   have rested enough. */
void shares_rest(struct record *slab, uint32_t now, bool rested);

/* Forget everything: the slab's memory is to be used otherwise. */
void shares_clear(struct record *slab);

/* The class is hardly used: verify what was freed of a slab of few slots, and
   give its whole pages back. True: there were any. */
bool shares_purge(struct record *slab, struct die_call call);

/*
 * So many slots are a hand. While they are handed out, half a slab rests, and
 * what was freed meanwhile finds a share. Of large slots it is but a few: those
 * that go round are resident.
 */
uint32_t shares_hand(const struct record *slab, uint32_t room);

/* Slots that are gathered. */
uint32_t shares_left(struct record *slab);

/*
 * Add slots that have rested for `delay` allocations to the hand, gathering
 * anew on the way if `least` slots or more wait for it. `now` counts the slots
 * that the heap took of this class.
 */
void shares_take(struct record *slab, struct hand *hand, uint32_t now,
                 uint32_t delay, uint32_t least, struct die_call call);

/* Add `count` slots that were never handed out to the hand; there are so many,
   and there is room. */
void shares_take_fresh(struct record *slab, struct hand *hand,
                       uint32_t count);

/*
 * In a short hand two neighbours would often come one after the other: then the
 * second changes its place with another one, drawn at random. What the hand has
 * below `from` was seen to before.
 */
void shares_part(const struct record *slab, struct hand *hand, uint32_t from);

#endif
