/* SPDX-License-Identifier: MIT */
/*
 * retire.h - emptied slabs under class isolation.
 *
 * The addresses of a slab belong to its size class for ever, so an emptied
 * slab waits here for a heap that needs one of the same class: first in, first
 * out, in a ring for each class. What does not fit into the ring is purged
 * and retired: its addresses come back only when nothing else is left.
 *
 * Lock-free: a ring's places are exchanged one by one. Any thread may call.
 */
#ifndef MERLON_RETIRE_H
#define MERLON_RETIRE_H

#include "record.h"

/* The slab is empty and nobody's; its granules stay taken. */
void retire_give(struct record *record);

/* The slab of this class that waits longest, if `behind` or more wait behind
   it, or NULL. */
struct record *retire_take(unsigned class, uint32_t behind);

/* What was emptied a moment ago is not used again at once: this many must be
   emptied after it. */
enum { RETIRE_BEHIND = 2 };

/* Any retired slab of this class, by searching; for the end of memory. */
struct record *retire_search(unsigned class);

/* Purge waiting slabs that are dirty since a whole period, or all. */
bool retire_purge(bool now);

#endif
