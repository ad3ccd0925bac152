/* SPDX-License-Identifier: MIT */
/*
 * layout.h - where the parts of an arena's metadata lie in their reservation.
 *
 *   slab words | span words | records | state, batch, pending bits | heaps |
 *   samples
 *
 * Each part becomes writable from its beginning, as the windows grow; the rest
 * is inaccessible. Of the records alone the rest is readable, so that a wild
 * pointer can be looked up (an untouched page is the kernel's page of zeros:
 * "nothing starts here"): whoever reads another part has found a record that
 * says so. With GUARD_PAGES inaccessible pages stand in front of, between and
 * behind the parts: what overruns one part faults, however much of it is in
 * use.
 */
#ifndef MERLON_LAYOUT_H
#define MERLON_LAYOUT_H

#include "granules.h"
#include "policy.h"

enum {
    BIT_WORDS_PER_GRANULE = 1 << (GRANULE_SHIFT - UNIT_SHIFT - 6),

    /* Room for what is known of sampled allocations: sample.h. */
    LAYOUT_SAMPLE_TABLE_BYTES = 192 << 10,

    LAYOUT_GUARD_PAGES = GUARD_PAGES ? 4 : 0,
};

/* For each bit of the state one of the batch, and one more that says which
   slots have settled. */
enum { BATCH_PARTS = DELAYED_REUSE ? 2 : 1 };

enum layout_part {
    PART_SLAB_WORDS,
    PART_SPAN_WORDS,
    PART_RECORDS,
    PART_STATE,   /* exact state of the slabs */
    PART_BATCH,   /* free slots that come next */
    PART_PENDING, /* strict remote frees */
    PART_HEAPS,   /* arena 0 */
    PART_SAMPLES, /* arena 0 */
    PART_COUNT
};

struct layout {
    size_t bytes[PART_COUNT]; /* whole pages; 0: there is no such part */
    size_t total;             /* all of it, guards included */
};

/* The layout for an arena with so many bytes; `first`: arena 0. */
void layout_make(struct layout *layout, size_t slab_bytes, size_t span_bytes,
                 bool first);

/* Where the parts lie, when the layout begins at `at` in its reservation; the
   records are readable then. False: refused. */
bool layout_place(const struct layout *layout, uint8_t *at,
                  uint8_t *part[PART_COUNT]);

#endif
