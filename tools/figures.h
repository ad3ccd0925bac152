/* SPDX-License-Identifier: MIT */
/*
 * figures.h - what a process has allocated, counted from its records.
 *
 * The process goes on while it is read: each number was true a moment ago,
 * their sums need not be.
 */
#ifndef MERLON_FIGURES_H
#define MERLON_FIGURES_H

#include "published.h"

struct row {
    uint64_t slot_bytes, slabs, slots, used, stocked, waiting;
};

extern struct figures {
    uint64_t live_objects, live_bytes, served;
    uint64_t span_objects, span_bytes, spans_served;
    uint64_t sample_objects, samples_served;
    uint64_t slabs, slab_bytes, committed_bytes, purgeable_bytes;
    uint64_t waiting, waiting_bytes; /* freed slots that are not yet reused */
    uint64_t retired, retired_bytes; /* emptied slabs whose addresses wait */
    uint64_t quarantined, quarantined_bytes; /* freed spans */
    uint64_t guards, guard_mappings;
    uint64_t arenas, heaps, heaps_used;
    uint64_t mismatches, detections;
    struct row row[CLASS_COUNT_MAX];
} figures;

void figures_gather(void);

#endif
