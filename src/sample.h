/* SPDX-License-Identifier: MIT */
/*
 * sample.h - sampled guarding: now and then an allocation stands on pages of
 * its own.
 *
 * The idea (GWP-ASan's): such an object ends where a guard page begins, its
 * pages are inaccessible before and after its life, and its addresses are
 * used for nothing else for long. So an overrun or a use after free faults at
 * the very instruction; and what is known of the object, its size, who
 * allocated and who freed it and from where, makes the report. Whether an
 * allocation is sampled is decided in the slow path of malloc (heap_sample.c);
 * no fast path knows of all this.
 *
 * A region of its own behind the spans of arena 0 is divided into places; a
 * table in the metadata says what is known of each.
 *
 *   place:  guards | zeros, the object, slack | guard page
 *
 * The slack is what alignment leaves behind the object: it holds a pattern,
 * which is verified at free, as are the zeros in front.
 *
 * Invariants:
 * - A place changes its state by one compare-and-swap: of two racing frees
 *   one wins, and the other is reported.
 * - A place at rest is wholly inaccessible.
 * - A freed place is not used again before a quarter as many others were freed
 *   as there are places.
 *
 * Any thread may call anything here. Layout of the table: publish.h.
 */
#ifndef MERLON_SAMPLE_H
#define MERLON_SAMPLE_H

#include "die.h"
#include "record.h"
#include "stack.h"

enum {
    SAMPLE_PLACES = 512,
    SAMPLE_LIVE_SHARE = 2, /* half of the places may be live at once */
    SAMPLE_HOLD_SHARE = 4, /* so many frees, of the places, until reuse */
};

enum sample_status {
    SAMPLE_NEVER, /* nothing was ever here */
    SAMPLE_BUSY,  /* a thread is changing it; or lost, or given up */
    SAMPLE_LIVE,
    SAMPLE_FREED,
};

enum sample_closure {
    CLOSED_FROM_START, /* reserved, never opened */
    CLOSED_BY_GUARDS,  /* writable but for guards, which cost no mapping */
    CLOSED_BY_PROTECTION,
};

struct sample {
    uint64_t state;         /* count of frees when freed << 8 | status */
    uintptr_t object;
    size_t bytes;           /* as requested */
    uint32_t allocated_by;  /* thread number */
    uint32_t freed_by;
    uint32_t pattern;       /* of each byte of the slack */
    uint8_t closed_by;      /* enum sample_closure: how its pages rest */
    uint8_t spoilt;         /* a guard was opened after a report */
    struct stack allocation;
    struct stack release;
};

/* Is this address in the region? Arithmetic alone. */
static ALWAYS_INLINE bool sample_has(const void *p)
{
    return SAMPLING && (uintptr_t)p - MAP->sample_base < MAP->sample_bytes;
}

/*
 * An object of `bytes`, all zero, at a multiple of `alignment`, a power of
 * two. `random` is drawn for it. NULL: there is no room for one now, or it is
 * too large; take an ordinary one.
 */
void *sample_allocate(size_t bytes, size_t alignment, uint64_t random,
                      struct die_call call);

/* Free p, for which sample_has holds. All that is wrong is reported. */
void sample_free(void *p, struct die_call call);

/* The size of the live object at p, for which sample_has holds; SIZE_MAX after
   a report if there is none. */
size_t sample_size(void *p, struct die_call call);

/*
 * From now on an access that faults here is reported; option guard_signals.
 * With on_error=report it goes through after that, and the place is given up.
 * Start only.
 */
void sample_catch_faults(void);

/* Figures: as in span.h. */
extern size_t sample_live_bytes, sample_born_count, sample_freed_count;

static inline size_t sample_live_count(void)
{
    /* Acquire: in this order, so that it is hardly ever below zero. */
    size_t freed = __atomic_load_n(&sample_freed_count, __ATOMIC_ACQUIRE);

    return __atomic_load_n(&sample_born_count, __ATOMIC_RELAXED) - freed;
}

/* There was no sample so far, and there will be none: true once. The addresses
   for samples are nobody's then. */
bool sample_give_up(void);

#endif
