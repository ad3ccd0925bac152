/* SPDX-License-Identifier: MIT */
/*
 * outbox.h - the sender's grouping of remote frees by slab.
 *
 * A parcel is a chain of slots of one slab, linked through their first words;
 * posting it is one compare-and-swap, however long it is. The outbox keeps
 * a few open parcels, found by a hash of the slab, and a budget of bytes: a
 * thread that only frees must not hoard.
 *
 * With STRICT_REMOTE nothing is grouped and the outbox is empty.
 */
#ifndef MERLON_OUTBOX_H
#define MERLON_OUTBOX_H

#include "mail.h"
#include "record.h"

enum {
    OUTBOX_SHIFT = 4,
    OUTBOX_PARCELS = 1 << OUTBOX_SHIFT,
    OUTBOX_BYTES_MAX = 32 * 1024,
};

struct parcel {
    struct record *slab; /* NULL: not open */
    uint32_t head;       /* byte offsets */
    uint32_t tail;
    uint32_t count;
};

struct outbox {
    struct parcel parcel[STRICT_REMOTE ? 0 : OUTBOX_PARCELS];
    size_t bytes[STRICT_REMOTE ? 0 : 1];
};

static inline struct parcel *outbox_place(struct outbox *outbox,
                                          const struct record *slab)
{
    uint32_t number = (uint32_t)((uintptr_t)slab >> RECORD_SHIFT);

    return &outbox->parcel[(number * 2654435769U) >> (32 - OUTBOX_SHIFT)];
}

/* Add a freed slot of the parcel's slab. */
static inline void parcel_add(struct parcel *parcel, uint32_t offset)
{
    uint32_t link = parcel->count ? (parcel->head >> UNIT_SHIFT) + 1 : 0;

    chain_write(parcel->slab, offset, link);
    if (parcel->count == 0)
        parcel->tail = offset;
    parcel->head = offset;
    /* Last: a fork at this instant loses the slot. */
    compiler_fence();
    parcel->count++;
}

/*
 * List mode: add a slot to the open parcel of its slab; false: there is none,
 * or the budget is spent. Whoever owns the slab by now will be found when it is
 * posted.
 */
static ALWAYS_INLINE bool outbox_add(struct outbox *outbox,
                                     struct record *slab, uintptr_t p)
{
    struct parcel *parcel = outbox_place(outbox, slab);
    size_t *bytes = outbox->bytes;

    if (SLOT_MAP || STRICT_REMOTE || parcel->slab != slab
        || *bytes > OUTBOX_BYTES_MAX)
        return false;
    *bytes += slab->slot_bytes;
    parcel_add(parcel, (uint32_t)(p - slab->base));
    return true;
}

#endif
