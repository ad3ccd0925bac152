/* SPDX-License-Identifier: MIT */
/*
 * retire.h - emptied slabs under class isolation.
 *
 * The addresses of a slab belong to its size class for ever, so an emptied
 * slab waits here for a heap that needs one of the same class: first in, first
 * out, in two rings for each class. In the first it waits as it was left, and
 * is used again when RETIRE_BEHIND others wait behind it. What nobody took for
 * a whole period is verified and purged, and goes to the second: there it costs
 * no memory but a little of the tables, and waits until RETIRE_BYTES of the
 * class's slabs (less one) wait behind it, or few if RETIRE_ALL_BYTES wait in
 * all. What does not fit there is found by searching when there is too much of
 * it.
 *
 * Lock-free: a ring's places are exchanged one by one. Any thread may call.
 */
#ifndef MERLON_RETIRE_H
#define MERLON_RETIRE_H

#include "record.h"

enum {
    RETIRE_BEHIND = 2,
    RETIRE_BYTES = 16 << 20,
    RETIRE_ALL_BYTES = 128 << 20,
};

/* Called for a slab before its pages are given back, which would hide what was
   written to it. */
typedef void retire_check(struct record *record);

/* The slab is empty and nobody's; its granules stay taken. */
void retire_give(struct record *record, retire_check *check);

/* The slab of this class that waited longest, if it waited long enough, or,
   with `any`, no matter how long; or NULL. */
struct record *retire_take(unsigned class, bool any);

/* Purge waiting slabs that are dirty since a whole period, or all. */
bool retire_purge(bool now, retire_check *check);

#endif
