/* SPDX-License-Identifier: MIT */
/*
 * slab.h - one slab: open, take slots, put slots back.
 *
 * A slab is a naturally aligned power-of-two run of slots of one size class.
 * Its free slots are either a plain list (SLOT_MAP off), or they are known by
 * bits outside user memory alone (shares.h). Slots that were never handed out
 * lie beyond `fresh` and are touched only when their turn comes.
 *
 * Only the owner may call anything here but slab_class and its kin. A slab is
 * in one of these states, which the heap keeps:
 *
 *   CURRENT  a bin hands out its slots
 *   READY    enough slots are free for a refill
 *   ASLEEP   some are free, too few to be worth it
 *   FULL     none is free; the slab belongs to nobody (see mail.h)
 *   IDLE     nobody's slab, with free slots: its heap has ended
 *
 * used = until + rest. `until` counts the frees to the next change of state,
 * so that a free tests one number only.
 */
#ifndef MERLON_SLAB_H
#define MERLON_SLAB_H

#include "canary.h"
#include "die.h"
#include "entropy.h"
#include "exact.h"
#include "record.h"
#include "scrub.h"
#include "shares.h"
#include "sizeclass.h"

enum slab_state { SLAB_CURRENT, SLAB_READY, SLAB_ASLEEP, SLAB_FULL, SLAB_IDLE };

/* Make a slab of the granules that this record is the first of. The caller
   is not yet its owner: slab_own does that. */
void slab_open(struct record *slab, unsigned class, struct stream *stream);

/* Write the owner (or NULL) into every granule's record. */
void slab_own(struct record *slab, struct heap *owner);

/*
 * No object lives here: see that nothing was written after a free, and with
 * `wipe` make the slab all zeros, canaries too, for whoever gets its memory.
 */
void slab_verify(struct record *slab, bool wipe, struct die_call call);

/* The same, before the pages of an emptied slab are given back. */
void slab_verify_left(struct record *slab);

/* No object lives here: forget everything, ready for arena_give_slab. */
void slab_close(struct record *slab);

/* Added to `until`, and taken from `rest`, it keeps frees of the current slab
   from being events. In list mode so many are one: who never needs a refill
   looks at the clock all the same. Arithmetic is modulo 2^32. */
#define SLAB_NO_EVENT (UINT32_C(1) << (SLOT_MAP ? 30 : 14))

/* Slots that are handed out, or in the stock. Of a current slab in list mode:
   less those taken since it was settled, and so perhaps below zero (heap.h). */
static ALWAYS_INLINE uint32_t slab_used(const struct record *slab)
{
    return slab->until + slab->rest;
}

/* Freed slots, that wait or could be handed out. */
static ALWAYS_INLINE uint32_t slab_queued(const struct record *slab)
{
    return slab->fresh - slab_used(slab);
}

/* Is a refill worth its while? What was never touched is taken to the end. */
static inline bool slab_is_ready(const struct record *slab)
{
    return slab->fresh < slab->slots || slab_queued(slab) >= slab->wake;
}

/* Was the slot of this number never handed out? */
bool slab_never_had(const struct record *slab, size_t number);

/* For how many allocations of its class a freed slot rests. */
uint32_t slab_delay(const struct record *slab);

/* Words of the exact state of the slab. */
uint64_t *slab_state_words(const struct record *slab);
uint64_t *slab_pending_words(const struct record *slab);

/* What is gathered, and behind it which slots have settled: shares.h. */
uint64_t *slab_batch_words(const struct record *slab);
uint64_t *slab_settled_words(const struct record *slab);

/*
 * Fill the hand with free slots that rested long enough, or with a stretch of
 * fresh ones; map mode. `patient`: false when memory is out, and even what
 * should rest longer must do. `grows`: the class needs ever more slots, so a
 * stretch may be as long as the hand. May come back empty-handed.
 */
void slab_take(struct record *slab, struct hand *hand, uint32_t now,
               bool patient, bool grows, struct die_call call);

/* The list is empty: put a stretch of fresh slots into it; list mode. False:
   there are none. */
bool slab_fill_list(struct record *slab);

/* List mode: how many free slots are at hand. */
static inline uint32_t slab_list_length(const struct record *slab)
{
    uint32_t length = 0;

    for (user_word *slot = slab->list; slot; slot = *(user_word **)slot)
        length++;
    return length;
}

/* A slot back. It was checked, scrubbed, and its state closed; `short_only`: it
   is none of few. True: `until` has come to zero. */
static ALWAYS_INLINE bool slab_put(struct record *slab, uintptr_t slot,
                                   bool short_only)
{
    if (!SLOT_MAP) {
        *(user_word **)slot = slab->list;
        slab->list = (user_word *)slot;
    } else if (!short_only && shares_few(slab->slot_bytes)) {
        shares_add_few(slab, (slot - slab->base) >> UNIT_SHIFT);
    }
    return unlikely(--slab->until == 0);
}

/* What a report says of a slot. */
static inline struct die_facts slab_facts(const struct record *slab,
                                          uintptr_t slot, struct die_call call)
{
    return (struct die_facts){ .call = call, .pointer = (void *)slot,
                               .slot_bytes = slab->slot_bytes,
                               .slab = slab->base };
}

#endif
