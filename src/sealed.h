/* SPDX-License-Identifier: MIT */
/*
 * sealed.h - the page that is read-only after start: the map of arena 0, for
 * the fast paths, and the options. One page, because each one is a page fault
 * and a system call of every start.
 */
#ifndef MERLON_SEALED_H
#define MERLON_SEALED_H

#include "options.h"

struct record;

struct map {
    uintptr_t base;         /* of arena 0 */
    size_t slab_granules;   /* its slab part begins at the base */
    size_t slab_units;
    struct record *records; /* one for each granule */
    uint64_t *state;        /* exact state, one bit for each unit */
    uintptr_t sample_base;  /* where sampled allocations are: sample.h */
    size_t sample_bytes;
};

union sealed_page {
    struct {
        struct map map;
        struct options options;
    };
    uint8_t page[ABI_PAGE_BYTES];
} __attribute__((aligned(ABI_PAGE_BYTES)));

/* In options.c. */
extern HIDDEN union sealed_page merlon_sealed_page;
#define MAP (&merlon_sealed_page.map)

#endif
