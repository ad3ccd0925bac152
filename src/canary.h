/* SPDX-License-Identifier: MIT */
/*
 * canary.h - a keyed word behind the usable bytes of a slot.
 *
 * The value mixes the slot's address with the slab's secret: one copied from a
 * neighbour does not pass. In memory its first byte is never zero (a string's
 * terminator that runs over must change it) and its second byte is zero (a
 * string that is read over the end stops there).
 */
#ifndef MERLON_CANARY_H
#define MERLON_CANARY_H

#include "record.h"

static ALWAYS_INLINE uint64_t canary_value(const struct slab_key *key,
                                           uintptr_t slot)
{
    uint64_t value = fold_product(slot ^ key->word[1], key->word[0]);

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

static ALWAYS_INLINE bool canary_is_whole(const struct slab_key *key,
                                          uintptr_t slot, size_t slot_bytes)
{
    return !CANARY
        || *canary_place(slot, slot_bytes) == canary_value(key, slot);
}

#endif
