/* SPDX-License-Identifier: MIT */
/*
 * sizeclass.c - the table of small classes and the geometry of slabs.
 */
#include "sizeclass.h"

/* Class of a request of n bytes, as a constant expression. */
#define UNITS(n) (((n) + CANARY_BYTES + 15) / 16 + ((n) + CANARY_BYTES == 0))
#define SLOT(n) (UNITS(n) * 16 - 1)
/* The class inside the doubling that begins at 1 << top. */
#define STEP(n, top)                                                         \
    (CLASS_LINEAR_COUNT + ((top) - 7) * CLASS_STEPS                          \
     + ((SLOT(n) >> ((top) - 3)) & 7))
#define CLASS(n)                                                             \
    (SLOT(n) >= 1024 ? STEP(n, 10) : SLOT(n) >= 512 ? STEP(n, 9)             \
     : SLOT(n) >= 256 ? STEP(n, 8) : SLOT(n) >= 128 ? STEP(n, 7)             \
     : UNITS(n) - 1)
#define ROW4(n) CLASS(n), CLASS(n + 1), CLASS(n + 2), CLASS(n + 3)
#define ROW16(n) ROW4(n), ROW4(n + 4), ROW4(n + 8), ROW4(n + 12)
#define ROW64(n) ROW16(n), ROW16(n + 16), ROW16(n + 32), ROW16(n + 48)
#define ROW256(n) ROW64(n), ROW64(n + 64), ROW64(n + 128), ROW64(n + 192)

const uint8_t class_table[CLASS_TABLE_COUNT] = {
    ROW256(0), ROW256(256), ROW256(512), ROW256(768), CLASS(1024),
};

unsigned class_slab_granules(unsigned class)
{
    size_t slot_bytes = class_slot_bytes(class);
    bool many = RANDOM_ORDER && slot_bytes <= CLASS_SLOTS_WANTED_BYTES;
    size_t slots = many ? CLASS_SLOTS_WANTED : 8;
    size_t granules = bits_round_up_power(slots * slot_bytes) >> GRANULE_SHIFT;

    return granules == 0 ? 1 : (unsigned)size_min(granules, SLAB_GRANULES_MAX);
}

unsigned class_slab_slots(unsigned class, size_t guard_bytes)
{
    size_t bytes = (size_t)class_slab_granules(class) << GRANULE_SHIFT;
    size_t slot_bytes = class_slot_bytes(class);
    size_t slots = (bytes - guard_bytes) / slot_bytes;

    if (RANDOM_ORDER && slot_bytes >= CLASS_SLOTS_MANY_BYTES)
        slots = size_min(slots, CLASS_SLOTS_WANTED);
    return (unsigned)slots;
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
