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

/* True when merlon has stepped aside (aside.h); decides it if need be. */
#define PROCESS_RUNNING UINT32_MAX
extern HIDDEN uint32_t process_state;
COLD bool process_find_aside(void);

static ALWAYS_INLINE bool process_is_aside(void)
{
    /* Relaxed: what follows from RUNNING is ordered by process_start. */
    return unlikely(__atomic_load_n(&process_state, __ATOMIC_RELAXED)
                    != PROCESS_RUNNING) && process_find_aside();
}

/* Before the first heap is opened: forks are to be noticed from now on. */
void process_watch_forks(void);

/* How many forks lie between the first process and this one, as far as it has
   noticed. Call it at the start of slow operations. */
uint64_t process_generation(void);

/* In a child of fork: give away the heap of one thread that is not here any
   more, if there is one. */
void process_bury_one(struct heap *heap);

#endif
