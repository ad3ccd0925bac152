/* SPDX-License-Identifier: MIT */
/*
 * canary.h - a keyed word behind the usable bytes of a slot.
 *
 * The value mixes the slot's address with the slab's secret: one copied from a
 * neighbour does not pass. Both factors of a product depend on the slot: what
 * differs between the slots of a slab is at the lower end of one and at the
 * upper end of the other, so that both halves of the product vary in all of
 * their bits, and their XOR is no sum of differences. 55 bits of it are
 * compared. In memory its first byte is never zero (a string's
 * terminator that runs over must change it) and its second byte is zero (a
 * string that is read over the end stops there).
 *
 * In slots up to 256 bytes the canary is written once and stays when the slot
 * is freed; in larger ones, whose last page may be untouched, it is written at
 * each allocation.
 *
 * An object that another thread has freed, and whose owner has not heard of it
 * yet, has a mark instead: the canary XORed with the number of that thread. So
 * the owner notices if he frees it too, and no overflow looks like it, unless
 * it puts back all bytes of the canary but the mark's three.
 */
#ifndef MERLON_CANARY_H
#define MERLON_CANARY_H

#include "record.h"

enum {
    CANARY_STAYS_BYTES = 256,
    CANARY_TURN = 16, /* what differs within a slab comes to the top */

    /* A mark is in the third to fifth byte. */
    CANARY_MARK_SHIFT = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 16 : 24,
    CANARY_MARK_BITS = 24,
};

/* Is the canary of a free slot there already? */
static ALWAYS_INLINE bool canary_stays(size_t slot_bytes)
{
    return slot_bytes <= CANARY_STAYS_BYTES;
}

static ALWAYS_INLINE uint64_t canary_value(const struct slab_key *key,
                                           uintptr_t slot)
{
    uint64_t place = slot;
    uint64_t turned = place << (64 - CANARY_TURN) | place >> CANARY_TURN;
    uint64_t value = fold_product(place ^ key->word[1],
                                  turned ^ key->word[0]);

    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
        return (value & ~UINT64_C(0xff00)) | 1;
    return (value & ~(UINT64_C(0xff) << 48)) | (UINT64_C(1) << 56);
}

static ALWAYS_INLINE user_word *canary_place(uintptr_t slot, size_t slot_bytes)
{
    return (user_word *)(slot + slot_bytes - CANARY_BYTES);
}

static ALWAYS_INLINE void canary_write(const struct slab_key *key,
                                       uintptr_t slot, size_t slot_bytes)
{
    if (CANARY)
        *canary_place(slot, slot_bytes) = canary_value(key, slot);
}

static ALWAYS_INLINE void canary_clear(uintptr_t slot, size_t slot_bytes)
{
    if (CANARY)
        *canary_place(slot, slot_bytes) = 0;
}

/* The canary was found whole: make it the mark of a thread, whose number is not
   zero. */
static ALWAYS_INLINE void canary_mark(uintptr_t slot, size_t slot_bytes,
                                      uint32_t thread)
{
    if (CANARY)
        *canary_place(slot, slot_bytes) ^=
            (uint64_t)thread << CANARY_MARK_SHIFT;
}

/* Whose mark it is; zero: it is none. */
static inline uint32_t canary_marked_by(const struct slab_key *key,
                                        uintptr_t slot, size_t slot_bytes)
{
    uint64_t mark = CANARY
        ? *canary_place(slot, slot_bytes) ^ canary_value(key, slot) : 0;
    uint64_t thread = mark >> CANARY_MARK_SHIFT
        & ((1U << CANARY_MARK_BITS) - 1);

    return mark == thread << CANARY_MARK_SHIFT ? (uint32_t)thread : 0;
}

/* Is its place as zero as that of a slot that never was handed out? */
static ALWAYS_INLINE bool canary_is_clear(uintptr_t slot, size_t slot_bytes)
{
    return !CANARY || *canary_place(slot, slot_bytes) == 0;
}

static ALWAYS_INLINE bool canary_is_whole(const struct slab_key *key,
                                          uintptr_t slot, size_t slot_bytes)
{
    return !CANARY
        || *canary_place(slot, slot_bytes) == canary_value(key, slot);
}

#endif
