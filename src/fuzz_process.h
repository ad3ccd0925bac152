/* SPDX-License-Identifier: MIT */
/*
 * fuzz_process.h - start, threads and fork of libmerlon-fuzz.
 *
 * The first call of any thread starts it. Threads get lanes in the order of
 * their first calls. Nothing is drawn anew in the child of a fork: a fork
 * server's children are all alike.
 */
#ifndef MERLON_FUZZ_PROCESS_H
#define MERLON_FUZZ_PROCESS_H

#include "fuzz_heap.h"

/*
 * The lane for one operation of this thread: its own, or, when a signal has
 * interrupted it there, another. NULL: merlon could not start.
 */
struct lane *fuzz_enter(void);
void fuzz_leave(struct lane *lane);

#endif
