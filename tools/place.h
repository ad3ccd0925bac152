/* SPDX-License-Identifier: MIT */
/*
 * place.h - what an address is to merlon.
 *
 * The state of a slot comes from the exact state, one bit for each unit of an
 * arena, which no program can overwrite; only a build without it is told by
 * its free lists, and then `sure` is false.
 */
#ifndef MERLON_PLACE_H
#define MERLON_PLACE_H

#include "published.h"

enum place_state {
    PLACE_FOREIGN, /* not merlon's */
    PLACE_LIVE,
    PLACE_FREE,
    PLACE_QUARANTINE, /* free, and kept back from reuse */
    PLACE_GUARD,
    PLACE_METADATA,
    PLACE_UNUSED, /* merlon's, and nothing is there */
    PLACE_STATES
};

extern const char *const place_state_text[PLACE_STATES];

struct place {
    enum place_state state;
    bool sure;
    const char *detail; /* constant text */
    /* Of the slot or the large object; 0: there is none. */
    uint64_t object, object_bytes, usable_bytes;
    uint64_t slab, slot_index; /* only of a slot: object_bytes is its class */
};

void place_find(uint64_t address, struct place *place);

#endif
