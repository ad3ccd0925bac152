/* SPDX-License-Identifier: MIT */
/*
 * inbox.h - a heap's queue of slabs in which others have freed.
 *
 * Many producers push records, a consumer takes all of them at once: a stack
 * by compare-and-swap, emptied by one exchange, so there is no ABA. The
 * bit `noted` of a slab's mail word says that it stands in an inbox; it can
 * stand in one only, so one link in the record is enough, and free needs no
 * memory. An inbox outlives its heap's thread.
 */
#ifndef MERLON_INBOX_H
#define MERLON_INBOX_H

#include "arena.h"

struct inbox {
    struct record *first;
};

static inline void inbox_push(struct inbox *inbox, struct record *slab)
{
    struct record *first = __atomic_load_n(&inbox->first, __ATOMIC_RELAXED);

    do
        slab->mail_next = first ? record_place(first) : 0;
    /* Release: the link is written before the slab can be taken out. And
       seq_cst: the pusher looks at the owner after; see mail_swap. */
    while (!__atomic_compare_exchange_n(&inbox->first, &first, slab, true,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
}

/* The slab that was pushed before this one. Once the note is taken out of the
   slab another push may write it. */
static inline struct record *inbox_next(const struct record *slab)
{
    return record_at_place(slab->mail_next);
}

static inline bool inbox_is_empty(const struct inbox *inbox)
{
    /* seq_cst: who let go of a slab sees what was pushed, or the pusher sees
       that it was let go; see mail_swap. */
    return __atomic_load_n(&inbox->first, __ATOMIC_SEQ_CST) == NULL;
}

static inline struct record *inbox_take_all(struct inbox *inbox)
{
    /* Acquire: pairs with the release of every push. */
    return __atomic_exchange_n(&inbox->first, NULL, __ATOMIC_ACQUIRE);
}

#endif
