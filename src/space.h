/* SPDX-License-Identifier: MIT */
/*
 * space.h - the address space of arenas: reserving it, using more of it, and
 * giving back what is not used.
 *
 * An arena is two reservations: the range for slabs and spans, and, at an
 * unrelated random base, what we know of it. Under RLIMIT_AS both are small,
 * and a program that lowers the limit while it runs gets back what it was
 * never going to use.
 */
#ifndef MERLON_SPACE_H
#define MERLON_SPACE_H

#include "arena.h"

/*
 * Reserve an arena whose span part has at least `span_bytes`. Nothing of it is
 * committed. False: no address space, and nothing is kept.
 */
bool space_open(struct arena *arena, size_t span_bytes, bool first);

/* How large an arena would be that is opened now: terabytes, or a share of what
   the limit leaves. */
size_t space_wanted_bytes(void);

/* Address space for sampled allocations, behind the spans of arena 0. */
size_t space_sample_bytes(size_t slab_bytes, bool first);

/* Make the first `to` granules of a part usable; idempotent. False: refused,
   or the part is not so large. */
bool space_grow(struct arena *arena, struct granules *g, size_t to);

/*
 * These granules of a part were taken: a core is to have them. A window is
 * larger than what is taken of it, and gcore writes untouched pages as well, so
 * of a small window only words of granules that were ever used are dumped. Of
 * a large one all: each run of them may cost a mapping.
 */
void space_dump(const struct arena *arena, const struct granules *g,
                size_t index, size_t count);

/* Make the first bytes of the memory for heaps writable; idempotent. */
bool space_grow_heaps(struct arena *arena, size_t bytes);

/*
 * The program limits its address space to `bytes` (SIZE_MAX: not any more):
 * arenas opened later are of a size to match, and those that are open give
 * back what nobody uses, but for a little that `first` may grow into. Call it
 * from one thread at a time; others may allocate meanwhile.
 */
void space_limit(size_t bytes);
size_t space_limit_bytes(void);
void space_yield(struct arena *arena, bool first);

/* The same for free granules among used ones, until so many bytes were given
   back: what was, in bytes. They are lost to the arena, each run of them may
   cost a mapping, and a younger arena may come to lie there. */
size_t space_yield_holes(struct arena *arena, size_t bytes);

/* Nothing will be sampled: space_yield gives back what was kept for it. */
void space_drop_samples(void);

/* Bytes of address space of this arena that no slab and no span uses. */
size_t space_idle_bytes(const struct arena *arena);

#endif
