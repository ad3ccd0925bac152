/* SPDX-License-Identifier: MIT */
/*
 * face.h - what the public functions share with each other.
 *
 * The faces are thin: they check arguments as the standards demand, set
 * errno, and call the process floor. Everything here is internal; the public
 * contract is include/merlon/merlon.h.
 *
 * Invariant: a successful call, and every free, leaves errno as it was.
 */
#ifndef MERLON_FACE_H
#define MERLON_FACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "merlon/merlon.h"

/*
 * Allocate with an alignment. `alignment` is a power of two (any size). NULL
 * and errno ENOMEM when there is no memory or bytes > PTRDIFF_MAX. bytes may
 * be 0.
 */
void *face_allocate_aligned(size_t alignment, size_t bytes);

/*
 * free() that was told a size (and maybe an alignment, else 0) by the program.
 * The hint never serves to find the object; a mismatch is counted and
 * reported according to the options, then the object is freed normally.
 * `fixed`: realloc cannot have changed the size, for new knows none.
 */
void face_free_sized(void *p, size_t bytes, size_t alignment, bool fixed);

/* How many sized frees had a wrong size. */
unsigned long face_mismatches(void);
extern unsigned long face_mismatch_count; /* for publish.c */

/* Set errno to ENOMEM and return NULL: the tail of every failure. */
void *face_no_memory(void);

/* Figures of the whole process, gathered without stopping anybody. */
struct face_stats {
    size_t live_bytes;        /* handed out, in slots and spans */
    size_t live_count;        /* objects handed out */
    size_t span_bytes;        /* of live_bytes, in spans */
    size_t span_count;        /* of live_count, spans */
    size_t committed_bytes;   /* writable arena memory */
    size_t slab_bytes;        /* arena memory that slabs hold */
    size_t free_bytes;        /* slab_bytes that no object uses */
    size_t purgeable_bytes;   /* dirty and unused: malloc_trim gives it back */
    size_t heap_count;        /* heaps ever opened */
    size_t mismatch_count;    /* sized frees with a wrong size */
    size_t detection_count;   /* reports of all kinds */
    size_t quarantine_bytes;  /* addresses of freed large objects */
};

/* The same for one size class. */
struct face_row {
    size_t slot_bytes, slabs, slots;
    size_t used; /* by objects, or at hand in a heap */
};

/* `rows`: CLASS_COUNT of them, or NULL. */
void face_gather(struct face_stats *stats, struct face_row *rows);

/* The figures in plain lines, as malloc_stats prints them, no NUL at the end;
   returns how many bytes they took. */
size_t face_describe(char *to, size_t room);

/* Small allocations ever, of all threads. */
size_t face_allocations(void);

/* Give every unused page back now. True when anything was given back. */
bool face_trim(void);

/* Write text to what was descriptor 2 at start, with write(2) only. */
void face_print(const char *text, size_t bytes);

#endif
