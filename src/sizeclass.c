/* SPDX-License-Identifier: MIT */
/*
 * sizeclass.c - the table of small classes and the geometry of slabs.
 */
#include "sizeclass.h"

/* Rows of sixteen units: 256 bytes each. */
const uint8_t class_table[CLASS_TABLE_COUNT] = {
    0,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14,
    15, 16, 16, 17, 17, 18, 18, 19, 19, 20, 20, 21, 21, 22, 22, 23,
    23, 24, 24, 24, 24, 25, 25, 25, 25, 26, 26, 26, 26, 27, 27, 27,
    27, 28, 28, 28, 28, 29, 29, 29, 29, 30, 30, 30, 30, 31, 31, 31,
    31,
};

unsigned class_slab_granules(unsigned class)
{
    size_t slot_bytes = class_slot_bytes(class);
    /* A random order needs enough slots to choose among. */
    size_t slots = !RANDOM_ORDER ? 8 : slot_bytes <= 64 * 1024 ? 32 : 16;
    size_t granules = bits_round_up_power(slots * slot_bytes) >> GRANULE_SHIFT;

    return granules == 0 ? 1 : (unsigned)size_min(granules, SLAB_GRANULES_MAX);
}

unsigned class_slab_slots(unsigned class, size_t guard_bytes)
{
    size_t bytes = (size_t)class_slab_granules(class) << GRANULE_SHIFT;

    return (unsigned)((bytes - guard_bytes) / class_slot_bytes(class));
}

unsigned class_of_aligned(size_t request, size_t alignment)
{
    size_t bytes = request + CANARY_BYTES;

    if (bytes < alignment)
        bytes = alignment;
    if (bytes > CLASS_SLOT_BYTES_MAX)
        return CLASS_COUNT;
    /* At most eight steps: a power of two is always met. */
    unsigned class = class_of_request(bytes - CANARY_BYTES);
    while (class < CLASS_COUNT
           && (class_slot_bytes(class) & (alignment - 1)) != 0)
        class++;
    return class;
}
