/* SPDX-License-Identifier: MIT */
/*
 * process.h - start order and fork, over all floors.
 *
 * The first call of any thread starts merlon, thousands of calls before any
 * constructor may run. Nothing is torn down at exit. Fork needs no handler and
 * holds no lock: the child notices at its first slow path that a word which
 * the kernel wipes at fork is zero.
 */
#ifndef MERLON_PROCESS_H
#define MERLON_PROCESS_H

#include "heap.h"

/* True when merlon runs; starts it at the first call. False: no memory. */
bool process_start(void);

/* How many forks lie between the first process and this one, as far as it has
   noticed. Call it at the start of slow operations. */
uint64_t process_generation(void);

/* In a child of fork: give away the heap of one thread that is not here any
   more, if there is one. */
void process_bury_one(struct heap *heap);

#endif
