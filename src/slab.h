/* SPDX-License-Identifier: MIT */
/*
 * slab.h - one slab: open, take slots, put slots back.
 *
 * A slab is a naturally aligned power-of-two run of slots of one size class.
 * Its free slots are either a plain list (SLOT_QUEUE off) or a queue, first
 * in first out, whose links are keyed. Slots that were never handed out need
 * no link: they lie beyond `fresh` and are touched only when their turn comes.
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
#include "link.h"
#include "record.h"
#include "scrub.h"
#include "sizeclass.h"

enum slab_state { SLAB_CURRENT, SLAB_READY, SLAB_ASLEEP, SLAB_FULL, SLAB_IDLE };

/* Make a slab of the granules that this record is the first of. The caller
   is not yet its owner: slab_own does that. */
void slab_open(struct record *slab, unsigned class, struct stream *stream);

/* Write the owner (or NULL) into every granule's record. */
void slab_own(struct record *slab, struct heap *owner);

/* No object lives here: verify the links of all slots and make them zero, so
   that nothing written after a free goes unnoticed when the slab is opened
   anew. */
void slab_verify(struct record *slab, struct die_call call);

/* No object lives here: forget everything, ready for arena_give_slab. */
void slab_close(struct record *slab);

/* Added to `until`, and taken from `rest`, it keeps frees from being events:
   the current slab of a class has none. Arithmetic is modulo 2^32. */
#define SLAB_NO_EVENT (UINT32_C(1) << 30)

/* Slots that are handed out, or in the stock. */
static ALWAYS_INLINE uint32_t slab_used(const struct record *slab)
{
    return slab->until + slab->rest;
}

/*
 * The end of a queue: how many slots it has, and the byte offset of the last.
 * One word, so that a fork sees both change or neither.
 */
static ALWAYS_INLINE uint64_t slab_queue_word(uint32_t queued, uint32_t tail)
{
    return (uint64_t)queued << 32 | tail;
}

static ALWAYS_INLINE uint32_t slab_tail(const struct record *slab)
{
    return (uint32_t)slab->queue;
}

/* Freed slots that wait in the queue or list. */
static ALWAYS_INLINE uint32_t slab_queued(const struct record *slab)
{
    return SLOT_QUEUE ? (uint32_t)(slab->queue >> 32)
        : slab->fresh - slab_used(slab);
}

/* Slots that a refill could take now. `reserve` of the queue stay behind. */
static inline uint32_t slab_available(const struct record *slab,
                                      uint32_t reserve)
{
    uint32_t queued = slab_queued(slab);

    queued = queued > reserve ? queued - reserve : 0;
    return queued + slab->slots - slab->fresh;
}

/* Is a refill worth its while? What was never touched is taken to the end. */
static inline bool slab_is_ready(const struct record *slab, uint32_t reserve)
{
    return slab->fresh < slab->slots
        || slab_available(slab, reserve) >= slab->wake;
}

/* How many freed slots wait behind others, so that none comes back soon. */
uint32_t slab_reserve(const struct record *slab, bool alone);

/* Words of the exact state of the slab. */
uint64_t *slab_state_words(const struct record *slab);
uint64_t *slab_pending_words(const struct record *slab);

/*
 * Move up to `room` free slots into `slots` as byte offsets; queue mode.
 * Links are verified on the way; a broken one is reported, and the rest of
 * the queue is given up. Returns how many.
 */
uint32_t slab_take_queue(struct record *slab, uint32_t *slots, uint32_t room,
                         uint32_t reserve, struct die_call call);

/* Move all free slots (a stretch of fresh ones, if none was freed) out as a
   list; list mode. */
user_word *slab_take_list(struct record *slab, uint32_t *count);

/* A slot back to the end of the queue, or the front of the list. It was
   checked and scrubbed. True: `until` has come to zero. */
static ALWAYS_INLINE bool slab_put_list(struct record *slab, user_word *slot)
{
    *(user_word **)slot = slab->list;
    slab->list = slot;
    return unlikely(--slab->until == 0);
}

/* `site`: who called the function that this is in, when it is a fast path. */
COLD void slab_report_tail(struct record *slab, const void *site);

static ALWAYS_INLINE bool slab_put_queue(struct record *slab, uint32_t offset)
{
    uint32_t queued = slab_queued(slab);
    uint32_t tail = slab_tail(slab);

    if (likely(queued != 0)) {
        user_word *last = (user_word *)(slab->base + tail);
        /* The last slot of a queue is still zero. */
        if (WRITE_CHECK && unlikely(*last != 0))
            slab_report_tail(slab, __builtin_return_address(0));
        *last = link_encode(&slab->key, tail, slab->use + queued - 1, offset);
    } else {
        slab->head = offset;
    }
    slab->queue = slab_queue_word(queued + 1, offset);
    return unlikely(--slab->until == 0);
}

/* In the child of a fork: a thread that is not here any more may have stopped
   between writing a link and counting it. */
static inline void slab_mend(struct record *slab)
{
    if (SLOT_QUEUE && WRITE_CHECK && slab_queued(slab) != 0)
        *(user_word *)(slab->base + slab_tail(slab)) = 0;
}

static ALWAYS_INLINE bool slab_put(struct record *slab, uintptr_t slot)
{
    if (SLOT_QUEUE)
        return slab_put_queue(slab, (uint32_t)(slot - slab->base));
    return slab_put_list(slab, (user_word *)slot);
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
