/* SPDX-License-Identifier: MIT */
/*
 * drives.h - what a feed can drive. Each drive takes any bytes at all, ends in
 * bounded time, leaves nothing behind, and ends the process by a signal if
 * something is wrong. Tests feed them random numbers, fuzz/ feeds them what
 * fuzzers find and the seeds that were kept.
 */
#ifndef MERLON_TEST_DRIVES_H
#define MERLON_TEST_DRIVES_H

#include <stddef.h>
#include <stdint.h>

typedef void drive_fn(const uint8_t *bytes, size_t count);

drive_fn drive_api;     /* every public function, one thread */
drive_fn drive_heaps;   /* several threads' heaps, messages in any order */
drive_fn drive_corrupt; /* the same, and the program misuses its memory */
drive_fn drive_sizes;   /* arguments from the whole range of size_t */
drive_fn drive_options; /* texts of MERLON_OPTIONS and merlon.conf */
drive_fn drive_backend; /* granules, spans, purge, a kernel that refuses */
drive_fn drive_ends;    /* forks at any point, threads that end */

/* Of drive_options, what begins with '!': a process of its own. */
drive_fn drive_fresh;

/* The first thing that main does: a process that drive_fresh has started does
   what it is to do, and does not come back. */
void drives_child(void);

enum { DRIVE_COUNT = 7 };

struct drive_entry {
    const char *name;
    drive_fn *run;
    const char *skip; /* why this build cannot run it, or NULL */
};
extern const struct drive_entry drives[DRIVE_COUNT];

#endif
