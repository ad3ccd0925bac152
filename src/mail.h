/* SPDX-License-Identifier: MIT */
/*
 * mail.h - the word of a slab that other threads write: who owns it, and what
 * was freed from afar.
 *
 * One 64-bit word, changed only by compare-and-swap, is the authority on
 * ownership, so that owning, sending and letting go exclude each other
 * without a lock:
 *
 *   owner 20 | head 24 | count 17 | pooled 1 | loose 1 | noted 1
 *
 *   owner  number of the heap that owns the slab; 0: nobody does, and whoever
 *          frees into it may claim it
 *   head   first slot of the chain of remote frees (in units, plus one)
 *   count  slots in that chain
 *   noted  the slab stands in exactly one inbox, or is in the hands of the
 *          thread that puts it in or takes it out
 *   loose  strict mode: pending bits were set while nobody owned the slab
 *
 *   pooled the slab stands in the pool of its class (pool.h)
 *
 * In strict mode there is no chain. The bits of head and count are one number
 * instead: it counts the beginnings and ends of intakes, and is odd while one
 * goes on. So a sender can tell whether his message was taken in.
 *
 * noted and pooled outlive the slab's lives: an inbox or the pool may still
 * hold the record. The granules of no slab belong to MAIL_ARENA, so that nobody
 * can claim them.
 *
 * What travels: without STRICT_REMOTE the freed slots themselves, chained
 * through their first words. With it, bits outside user memory: a slot's bit
 * in the pending words, set by one atomic operation that also tells whether
 * it was set before; then the chain is not used.
 */
#ifndef MERLON_MAIL_H
#define MERLON_MAIL_H

#include "exact.h"
#include "link.h"
#include "record.h"

enum {
    MAIL_COUNT_SHIFT = 3,
    MAIL_HEAD_SHIFT = 20,
    MAIL_OWNER_SHIFT = 44,
    MAIL_COUNT_BITS = MAIL_HEAD_SHIFT - MAIL_COUNT_SHIFT,
    MAIL_HEAD_BITS = MAIL_OWNER_SHIFT - MAIL_HEAD_SHIFT,
    MAIL_ARENA = (1 << 20) - 1,
    MAIL_OWNERS_MAX = MAIL_ARENA - 1,
};

#define MAIL_NOTED UINT64_C(1)
#define MAIL_LOOSE UINT64_C(2)
#define MAIL_POOLED UINT64_C(4)
#define MAIL_OWNER_MASK (~UINT64_C(0) << MAIL_OWNER_SHIFT)
#define MAIL_CHAIN_MASK                                                      \
    ((~UINT64_C(0) << MAIL_COUNT_SHIFT) & ~MAIL_OWNER_MASK)

#define MAIL_INTAKES (STRICT_REMOTE ? MAIL_CHAIN_MASK : 0)

static inline uint64_t mail_load(const struct record *slab)
{
    /* Acquire: what the owner wrote before it let go is visible to whoever
       sees the slab without an owner. */
    return __atomic_load_n(&slab->mail, __ATOMIC_ACQUIRE);
}

static inline uint32_t mail_owner(uint64_t mail)
{
    return (uint32_t)(mail >> MAIL_OWNER_SHIFT);
}

static inline uint32_t mail_count(uint64_t mail)
{
    return (uint32_t)(mail >> MAIL_COUNT_SHIFT)
        & ((1U << MAIL_COUNT_BITS) - 1);
}

static inline uint32_t mail_head(uint64_t mail)
{
    return (uint32_t)(mail >> MAIL_HEAD_SHIFT) & ((1U << MAIL_HEAD_BITS) - 1);
}

static inline bool mail_has_post(uint64_t mail)
{
    return (mail & (STRICT_REMOTE ? MAIL_LOOSE : MAIL_CHAIN_MASK)) != 0;
}

/* The same for who claims a slab: strict post may have been noted to the heap
   that had it before. */
static inline bool mail_may_have_post(uint64_t mail)
{
    return mail_has_post(mail) || (STRICT_REMOTE && (mail & MAIL_NOTED));
}

/*
 * Replace *expected by `desired`; *expected is refreshed on failure. What was
 * written before is visible to who sees the new word. And one order for all
 * (seq_cst) where two words are concerned: whoever sets a pending bit, or puts
 * a slab into an inbox, looks at the mail word after; whoever takes a note or
 * the ownership out of it looks at the bits, or the inbox, after. One of the
 * two must see the other. It costs nothing over acq_rel on x86 and arm64.
 */
static inline bool mail_swap(struct record *slab, uint64_t *expected,
                             uint64_t desired)
{
    return __atomic_compare_exchange_n(&slab->mail, expected, desired, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* The word, after something else was written: see mail_swap. */
static inline uint64_t mail_look(const struct record *slab)
{
    return __atomic_load_n(&slab->mail, __ATOMIC_SEQ_CST);
}

/* Become the owner of a slab that nobody owns. Post in it stays. */
static inline bool mail_claim(struct record *slab, uint32_t owner)
{
    uint64_t mail = mail_load(slab);

    while (mail_owner(mail) == 0) {
        if (mail_swap(slab, &mail, mail | (uint64_t)owner << MAIL_OWNER_SHIFT))
            return true;
    }
    return false;
}

enum mail_leave { MAIL_KEPT, MAIL_LEFT, MAIL_LEFT_TO_POOL };

/*
 * Hand the slab to `next` (0 or MAIL_ARENA), if no post has come; the owner
 * only. With `pool` the slab is to stand in the pool: LEFT_TO_POOL says that
 * the caller must put it there. A noted slab stays: while it stands in our
 * inbox its next owner would hear of nothing. Who will take in all of its
 * inbox before it sleeps may leave it `noted` all the same.
 */
static inline enum mail_leave mail_let_go(struct record *slab, uint32_t next,
                                          bool pool, bool noted)
{
    uint64_t mail = mail_load(slab);
    uint64_t left;

    do {
        if (mail_has_post(mail) || (!noted && (mail & MAIL_NOTED)))
            return MAIL_KEPT;
        left = (mail & ~MAIL_OWNER_MASK)
            | (uint64_t)next << MAIL_OWNER_SHIFT | (pool ? MAIL_POOLED : 0);
    } while (!mail_swap(slab, &mail, left));
    return left & ~mail & MAIL_POOLED ? MAIL_LEFT_TO_POOL : MAIL_LEFT;
}

/* The slab is out of the pool: from now on it may be put there again. */
static inline void mail_unpool(struct record *slab)
{
    __atomic_fetch_and(&slab->mail, ~MAIL_POOLED, __ATOMIC_ACQ_REL);
}

/* Own granules that come from the arena; only their taker calls this. */
static inline void mail_open(struct record *slab, uint32_t owner)
{
    uint64_t mail = mail_load(slab);

    /* Only the two bits can change under us. */
    while (!mail_swap(slab, &mail, (mail & (MAIL_NOTED | MAIL_POOLED
                                            | MAIL_INTAKES))
                      | (uint64_t)owner << MAIL_OWNER_SHIFT))
        ;
}

enum mail_result {
    MAIL_NOBODY, /* not sent: nobody owns the slab */
    MAIL_SENT,   /* the owner knows already */
    MAIL_NOTIFY, /* put the slab into the owner's inbox */
    MAIL_GONE,   /* not sent: it is no slab any more */
};

/*
 * A slot's word in a chain: `link` is the unit of the next slot plus one; 0
 * ends the chain. In map mode keyed links; in list mode addresses, so that the
 * owner can take a chain over as a list without reading it.
 */
static inline void chain_write(const struct record *slab, uint32_t at,
                               uint32_t link)
{
    user_word *word = (user_word *)(slab->base + at);

    if (SLOT_MAP)
        *word = link_encode(&slab->key, at, 0, link << UNIT_SHIFT);
    else
        *(uintptr_t MAY_ALIAS *)word = link == 0 ? 0
            : slab->base + ((uintptr_t)(link - 1) << UNIT_SHIFT);
}

static inline bool chain_read(const struct record *slab, uint32_t at,
                              uint32_t *link)
{
    const user_word *word = (const user_word *)(slab->base + at);

    if (SLOT_MAP) {
        bool sound = link_decode(&slab->key, at, 0, *word, link);
        *link >>= UNIT_SHIFT;
        return sound;
    }
    uintptr_t next = *(const uintptr_t MAY_ALIAS *)word;
    *link = next == 0 ? 0 : (uint32_t)((next - slab->base) >> UNIT_SHIFT) + 1;
    return true;
}

/*
 * Add a chain of `count` slots from byte offset `head` to `tail`. The chain is
 * ours until it is sent; its last link is written here.
 */
static inline enum mail_result mail_send_chain(struct record *slab,
                                               uint32_t head, uint32_t tail,
                                               uint32_t count, bool loose,
                                               uint64_t *sent)
{
    uint64_t mail = mail_load(slab);
    uint64_t unit = (head >> UNIT_SHIFT) + 1;

    do {
        if (mail_owner(mail) == 0 && !loose)
            return MAIL_NOBODY;
        if (mail_owner(mail) == MAIL_ARENA)
            return MAIL_GONE;
        chain_write(slab, tail, mail_head(mail));
        *sent = (mail & ~MAIL_CHAIN_MASK) | unit << MAIL_HEAD_SHIFT
            | (uint64_t)(mail_count(mail) + count) << MAIL_COUNT_SHIFT;
        if (mail_owner(mail) != 0)
            *sent |= MAIL_NOTED;
    } while (!mail_swap(slab, &mail, *sent));
    return (*sent & ~mail & MAIL_NOTED) ? MAIL_NOTIFY : MAIL_SENT;
}

/* Strict mode: after the pending bit was set. */
static inline enum mail_result mail_note(struct record *slab, bool loose,
                                         uint64_t *sent)
{
    uint64_t mail = mail_look(slab);

    do {
        if (mail_owner(mail) == 0 && !loose)
            return MAIL_NOBODY;
        if (mail_owner(mail) == MAIL_ARENA)
            return MAIL_GONE;
        if (mail & MAIL_NOTED)
            return MAIL_SENT;
        *sent = mail | (mail_owner(mail) ? MAIL_NOTED : MAIL_LOOSE);
        if (*sent == mail)
            return MAIL_SENT;
    } while (!mail_swap(slab, &mail, *sent));
    return mail_owner(*sent) ? MAIL_NOTIFY : MAIL_SENT;
}

/* The word with the next odd number of intakes, or the next even one. The child
   of a fork may find an intake that nobody will end. */
static inline uint64_t mail_count_intake(uint64_t mail, bool begins)
{
    uint64_t number = (mail & MAIL_INTAKES) >> MAIL_COUNT_SHIFT;

    number = begins ? (number + 1) | 1 : (number + 1) & ~UINT64_C(1);
    return (mail & ~MAIL_INTAKES)
        | (number << MAIL_COUNT_SHIFT & MAIL_INTAKES);
}

static inline bool mail_is_taken_in(uint64_t mail)
{
    return (mail & MAIL_INTAKES) >> MAIL_COUNT_SHIFT & 1;
}

/* Take the post out; returns the word as it was. The owner only, who says
   mail_taken when he is done. */
static inline uint64_t mail_take(struct record *slab)
{
    if (!STRICT_REMOTE)
        return __atomic_fetch_and(&slab->mail,
                                  ~(MAIL_CHAIN_MASK | MAIL_LOOSE),
                                  __ATOMIC_SEQ_CST);
    uint64_t mail = mail_load(slab);
    while (!mail_swap(slab, &mail, mail_count_intake(mail, true)
                      & ~MAIL_LOOSE))
        ;
    /* Who sees a state bit that is cleared from now on, and takes a fence, sees
       that the intake has begun. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    return mail;
}

static inline void mail_taken(struct record *slab)
{
    uint64_t mail = mail_load(slab);

    while (STRICT_REMOTE
           && !mail_swap(slab, &mail, mail_count_intake(mail, false)))
        ;
}

/* The slab is out of the inbox: from now on it may be noted again. */
static inline uint64_t mail_unnote(struct record *slab)
{
    return __atomic_fetch_and(&slab->mail, ~MAIL_NOTED, __ATOMIC_SEQ_CST);
}

#endif
