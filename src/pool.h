/* SPDX-License-Identifier: MIT */
/*
 * pool.h - slabs of nobody that have free slots, by class.
 *
 * Heaps that own too many half-empty slabs, and heaps that end, leave them
 * here; whoever needs a slab of the class looks here first. So what one thread
 * has freed serves another, and a thread that sleeps for ever holds little.
 *
 * A stack by compare-and-swap with a tag against ABA. A slab that stands here
 * may be claimed by a free into it all the same; then it is found owned when
 * it is taken out, and is passed over. The bit `pooled` of its mail word
 * keeps it from standing here twice.
 */
#ifndef MERLON_POOL_H
#define MERLON_POOL_H

#include "arena.h"
#include "mail.h"

struct pool {
    uint64_t top; /* tag 32 | place 32, as in record_place */
};

static inline void pool_put(struct pool *pool, struct record *slab)
{
    uint64_t top = __atomic_load_n(&pool->top, __ATOMIC_RELAXED);
    uint64_t pushed;

    do {
        __atomic_store_n(&slab->pool_next, (uint32_t)top, __ATOMIC_RELAXED);
        pushed = ((top >> 32) + 1) << 32 | record_place(slab);
    /* Release: the link is written before the slab can be taken out. */
    } while (!__atomic_compare_exchange_n(&pool->top, &top, pushed, true,
                                          __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
}

/* The slab that was put here last, or NULL. It may be owned by now. */
static inline struct record *pool_take(struct pool *pool)
{
    uint64_t top = __atomic_load_n(&pool->top, __ATOMIC_ACQUIRE);

    while ((uint32_t)top != 0) {
        struct record *slab = record_at_place((uint32_t)top);
        uint32_t next = __atomic_load_n(&slab->pool_next, __ATOMIC_RELAXED);
        /* The tag changes with every put: a stale `next` cannot be used. */
        if (__atomic_compare_exchange_n(&pool->top, &top,
                                        (top & ~UINT64_C(0xffffffff)) | next,
                                        true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_ACQUIRE)) {
            mail_unpool(slab);
            return slab;
        }
    }
    return NULL;
}

#endif
