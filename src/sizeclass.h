/* SPDX-License-Identifier: MIT */
/*
 * sizeclass.h - size to class and back; the geometry of slabs.
 *
 * Classes are 16 bytes apart up to 128, then eight to each doubling up to
 * 256 KiB, so that at most one eighth is wasted above 128 bytes. A class's
 * size is a multiple of 16; slabs are naturally aligned, so a slot is aligned
 * to the largest power of two that divides its class's size.
 *
 * Everything is arithmetic, but for the small sizes a table of bytes.
 */
#ifndef MERLON_SIZECLASS_H
#define MERLON_SIZECLASS_H

#include "bits.h"
#include "policy.h"

enum {
    CLASS_LINEAR_COUNT = 8,   /* 16, 32, ... 128 */
    CLASS_STEPS = 8,          /* classes in each doubling above */
    CLASS_DOUBLINGS = 11,     /* 128 to 262,144 */
    CLASS_COUNT = CLASS_LINEAR_COUNT + CLASS_STEPS * CLASS_DOUBLINGS,
    CLASS_SLOT_BYTES_MAX = 128 << CLASS_DOUBLINGS,

    /* The largest request that a slab serves. */
    CLASS_REQUEST_MAX = CLASS_SLOT_BYTES_MAX - CANARY_BYTES,

    /* Requests up to here are looked up in the table. */
    CLASS_TABLE_COUNT = 1024 + 1,

    SLAB_GRANULES_MAX = 64,

    /* With a random order a slab has at least this many slots, if it can: half
       of them rest while the others serve, at least 16 (shares.h). */
    CLASS_SLOTS_WANTED = 34, /* 32, and what the guard takes */
    CLASS_SLOTS_LEAST = 8,
    /* Slots up to here have slabs of one granule: sizeclass.c. */
    CLASS_SINGLE_BYTES = GRANULE_BYTES
        / (RANDOM_ORDER ? CLASS_SLOTS_WANTED : CLASS_SLOTS_LEAST),
    /* Slots from here on are few: one bit for each fits into a word. */
    CLASS_FEW_BYTES = GRANULE_BYTES / 64,
    CLASS_FEW_SLOTS_MAX = 64,
    /* Slots of a page and more: an untouched one costs nothing. */
    CLASS_LARGE_BYTES = 4096,
    /* Of these a slab has no more slots than need be: half of them rest, and
       what rests is resident. */
    CLASS_CAPPED_BYTES = 2048,
    CLASS_CAPPED_SLOTS = 32,
};

/*
 * Class of every small request, by the byte: one load, where rounding up to
 * units would cost two instructions more in every malloc.
 */
extern const uint8_t class_table[CLASS_TABLE_COUNT];

/* Bytes of a slot of this class. */
static ALWAYS_INLINE size_t class_slot_bytes(unsigned class)
{
    if (class < CLASS_LINEAR_COUNT)
        return ((size_t)class + 1) << UNIT_SHIFT;
    unsigned step = class - CLASS_LINEAR_COUNT;
    return (size_t)(CLASS_STEPS + 1 + step % CLASS_STEPS)
        << (step / CLASS_STEPS + UNIT_SHIFT);
}

/* Smallest class with slots of at least `bytes`; 128 < bytes <= the max. */
static ALWAYS_INLINE unsigned class_by_arithmetic(size_t bytes)
{
    /* Example: 129 -> 128 has its highest bit at 7, next three bits 0. */
    unsigned top = bits_highest(bytes - 1);
    unsigned step = (unsigned)((bytes - 1) >> (top - 3)) & 7U;

    return CLASS_LINEAR_COUNT + (top - 7) * CLASS_STEPS + step;
}

/* Is the request one that the table answers? */
static ALWAYS_INLINE bool class_is_tabled(size_t request)
{
    return request < CLASS_TABLE_COUNT;
}

static ALWAYS_INLINE unsigned class_from_table(size_t request)
{
    return class_table[request];
}

/* Class of a request <= CLASS_REQUEST_MAX. */
static ALWAYS_INLINE unsigned class_of_request(size_t request)
{
    if (likely(class_is_tabled(request)))
        return class_from_table(request);
    return class_by_arithmetic(request + CANARY_BYTES);
}

/* Granules of a slab of this class: a power of two <= SLAB_GRANULES_MAX. */
unsigned class_slab_granules(unsigned class);

/* Units of a slot of this class, inverted: for class_slot_index. */
extern const uint32_t class_inverse[CLASS_COUNT];

/* The number of the slot that begins at this unit of a slab of the class. Not
   for slots of a single unit; exact where a slot begins. */
static ALWAYS_INLINE unsigned class_slot_index(unsigned class, size_t unit)
{
    return (unsigned)((uint64_t)unit * class_inverse[class] >> 32);
}

/* Slots of a slab of this class; the guard at its end is left out. */
unsigned class_slab_slots(unsigned class, size_t guard_bytes);

/*
 * Smallest class whose slots hold `request` bytes and are aligned to
 * `alignment` (a power of two <= GRANULE_BYTES); CLASS_COUNT if there is none.
 */
unsigned class_of_aligned(size_t request, size_t alignment);

#endif
