/* SPDX-License-Identifier: MIT */
/*
 * ring.h - a queue of records, first in first out, that forgets its oldest
 * when it is full.
 *
 * Places are exchanged one by one: no lock, no link in the record, no ABA. A
 * record may be lost by a thread that stops between two steps; whoever uses a
 * ring must be able to live with that.
 */
#ifndef MERLON_RING_H
#define MERLON_RING_H

#include "record.h"

enum { RING_COUNT = 256 }; /* two rings touch a page */

struct ring {
    uint32_t head, tail; /* count up for ever; places are modulo the size */
    struct record *place[RING_COUNT];
};

/* Put at the end; returns the record that had to leave, or NULL. */
static inline struct record *ring_put(struct ring *ring, struct record *record)
{
    uint32_t tail = __atomic_fetch_add(&ring->tail, 1, __ATOMIC_RELAXED);

    /* Acquire and release: the record's fields travel with it. */
    return __atomic_exchange_n(&ring->place[tail % RING_COUNT], record,
                               __ATOMIC_ACQ_REL);
}

/* About how many are in it. */
static inline uint32_t ring_length(const struct ring *ring)
{
    uint32_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
    uint32_t length = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED) - head;

    return length < RING_COUNT ? length : RING_COUNT;
}

/* The oldest, or NULL. */
static inline struct record *ring_take(struct ring *ring)
{
    uint32_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);

    for (;;) {
        uint32_t tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);
        /* The tail was read last, and the head never passes it. */
        if (tail == head)
            return NULL;
        /* Places that were overwritten hold younger records: skip them. */
        uint32_t at = tail - head > RING_COUNT ? tail - RING_COUNT : head;
        if (!__atomic_compare_exchange_n(&ring->head, &head, at + 1, true,
                                         __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            continue;
        struct record *record = __atomic_exchange_n(
            &ring->place[at % RING_COUNT], NULL, __ATOMIC_ACQ_REL);
        if (record)
            return record;
        head = at + 1;
    }
}

#endif
