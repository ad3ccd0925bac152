/* SPDX-License-Identifier: MIT */
/*
 * fuzz_heap.h - the objects of libmerlon-fuzz.
 *
 * Each object has a place of its own (fuzz_place.h). Every operation is
 * numbered in the lane of the thread that makes it; all that is decided by
 * chance (the side, injected failures) is drawn from that lane's stream. So the
 * same calls give the same addresses and the same decisions.
 *
 * A lane that is passed here has been claimed by the caller.
 */
#ifndef MERLON_FUZZ_HEAP_H
#define MERLON_FUZZ_HEAP_H

#include "fuzz_place.h"
#include "fuzz_report.h"

/* Live objects of the process, and those of them that are large. */
struct fuzz_figures {
    size_t count, bytes, large_count, large_bytes;
};
struct fuzz_figures fuzz_figures(void);

/* Count the operation: at the chosen one the debugger is called, at every
   n-th all slack is verified. Once for each call of the program. */
void fuzz_count(struct lane *lane, struct fuzz_call call);

/*
 * An object of exactly `bytes` bytes, filled, or zero on request. `alignment`
 * is a power of two; the option's alignment is the least. NULL: no memory, a
 * limit, or a failure that was asked for.
 */
void *fuzz_allocate(struct lane *lane, size_t bytes, size_t alignment,
                    bool zero, struct fuzz_call call);

/* Free p, which is not NULL; report whatever is wrong with it. */
void fuzz_free(struct lane *lane, void *p, struct fuzz_call call);

/* Always at another address. NULL: as above, and `old` is as it was. */
void *fuzz_reallocate(struct lane *lane, void *old, size_t bytes,
                      struct fuzz_call call);

/* The place of a live object; reports and returns NULL when p is none. */
struct place *fuzz_find(const struct lane *lane, void *p,
                        struct fuzz_call call);

/* Verify the slack of all objects. The number of live ones. `lane` may be
   NULL. */
size_t fuzz_verify(const struct lane *lane, struct fuzz_call call);

/* Explain an access that faulted, if it was to the window. False: let it take
   its course. */
bool fuzz_explain(const struct os_fault *fault);

/* Every lane goes back to its mark. Objects that were allocated since, and
   live, are freed if `drop`; their number is returned. */
size_t fuzz_return(struct lane *lane, bool drop, struct fuzz_call call);

/* Every lane is marked as it is. */
void fuzz_mark(void);

/* List what lives. */
void fuzz_list_leaks(void);

#endif
