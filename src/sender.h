/* SPDX-License-Identifier: MIT */
/*
 * sender.h - whose messages are under way, for reports.
 *
 * A message is a bit, or a slot in a chain, and does not say who sent it. So a
 * sender writes the number of its thread into the slab's record before it
 * sends; if another one's stands there, it adds that there are several. Who
 * has taken the post in wipes the number out. It costs a sender one comparison
 * as long as it is the only one.
 *
 * A hint: if a sender stops between signing and sending while the owner takes
 * other post in, its message will say that the sender is unknown, or name who
 * sent after it. The mark in the freed slot itself (canary.h) is exact, as long
 * as nobody writes over it.
 */
#ifndef MERLON_SENDER_H
#define MERLON_SENDER_H

#include "die.h"
#include "record.h"

/* Relaxed: the message itself orders it. */
static NOINLINE void sender_add(struct record *slab, uint32_t seen,
                                uint32_t thread)
{
    while (seen != thread && !(seen & DIE_SENDER_SEVERAL)) {
        uint32_t now = seen ? seen | DIE_SENDER_SEVERAL : thread;
        if (__atomic_compare_exchange_n(&slab->sender, &seen, now, true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return;
    }
}

/* Before a message to the slab is sent. */
static inline void sender_sign(struct record *slab, uint32_t thread)
{
    if (!CHECKED)
        return;
    uint32_t seen = __atomic_load_n(&slab->sender, __ATOMIC_RELAXED);
    if (unlikely(seen != thread && !(seen & DIE_SENDER_SEVERAL)))
        sender_add(slab, seen, thread);
}

static inline uint32_t sender_load(const struct record *slab)
{
    return CHECKED ? __atomic_load_n(&slab->sender, __ATOMIC_RELAXED) : 0;
}

/* All that was sent when `seen` was loaded has been taken in. Who signed since
   stays. */
static inline void sender_forget(struct record *slab, uint32_t seen)
{
    if (seen != 0)
        __atomic_compare_exchange_n(&slab->sender, &seen, 0, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* What a report says. */
static inline uint32_t sender_of(const struct record *slab)
{
    uint32_t sender = sender_load(slab);

    return sender ? sender : DIE_SENDER_UNKNOWN;
}

#endif
