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

/* Rounded up. The inverse of one unit would need 33 bits; nobody asks. */
#define INVERSE(units)                                                       \
    ((uint32_t)((units) == 1 ? 0                                             \
                : ((UINT64_C(1) << 32) + (units) - 1) / (units)))
#define INVERSES(step)                                                       \
    INVERSE(9ULL << (step)), INVERSE(10ULL << (step)),                       \
        INVERSE(11ULL << (step)), INVERSE(12ULL << (step)),                  \
        INVERSE(13ULL << (step)), INVERSE(14ULL << (step)),                  \
        INVERSE(15ULL << (step)), INVERSE(16ULL << (step))

const uint32_t class_inverse[CLASS_COUNT] = {
    INVERSE(1), INVERSE(2), INVERSE(3), INVERSE(4),
    INVERSE(5), INVERSE(6), INVERSE(7), INVERSE(8),
    INVERSES(0), INVERSES(1), INVERSES(2), INVERSES(3), INVERSES(4),
    INVERSES(5), INVERSES(6), INVERSES(7), INVERSES(8), INVERSES(9),
    INVERSES(10),
};
_Static_assert(CLASS_DOUBLINGS == 11, "a row of inverses for each doubling");

unsigned class_slab_granules(unsigned class)
{
    size_t slot_bytes = class_slot_bytes(class);
    size_t slots = RANDOM_ORDER ? CLASS_SLOTS_WANTED : CLASS_SLOTS_LEAST;
    size_t granules = bits_round_up_power(slots * slot_bytes) >> GRANULE_SHIFT;

    return granules == 0 ? 1 : (unsigned)size_min(granules, SLAB_GRANULES_MAX);
}

unsigned class_slab_slots(unsigned class, size_t guard_bytes)
{
    size_t bytes = (size_t)class_slab_granules(class) << GRANULE_SHIFT;
    size_t slot_bytes = class_slot_bytes(class);
    size_t slots = (bytes - guard_bytes) / slot_bytes;

    if (RANDOM_ORDER && slot_bytes >= CLASS_CAPPED_BYTES)
        slots = size_min(slots, CLASS_CAPPED_SLOTS);
    if (slot_bytes >= CLASS_FEW_BYTES)
        slots = size_min(slots, CLASS_FEW_SLOTS_MAX);
    return (unsigned)size_min(slots, UINT16_MAX);
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
