/* SPDX-License-Identifier: MIT */
/*
 * workload.h - a little of everything that an allocator does, for places where
 * it is hard to live: sandboxes, limits, calls that fail.
 *
 * It makes no system call of its own, but those of a condition variable when
 * it has a partner, and write and exit_group when something is wrong.
 */
#ifndef MERLON_TEST_WORKLOAD_H
#define MERLON_TEST_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>

/* What to call. */
struct workload {
    void *(*malloc)(size_t bytes);
    void *(*calloc)(size_t count, size_t bytes);
    void *(*realloc)(void *p, size_t bytes);
    void (*free)(void *p);
    int (*trim)(size_t pad);
    bool may_fail; /* NULL and ENOMEM are an answer */
};

enum { WORKLOAD_FAILED = 98 };

/* Start a thread that frees what this one allocates, and allocates what this
   one frees. False: no thread. */
bool workload_start_partner(const struct workload *calls);

/* Some rounds of it. Whatever is wrong ends the process with WORKLOAD_FAILED.
   How many allocations there were, but not those that failed. */
size_t workload_run(const struct workload *calls, unsigned rounds);

#endif
