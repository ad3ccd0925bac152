/* SPDX-License-Identifier: MIT */
/*
 * scrub.h - freed slots are zero, and what should be zero is verified.
 *
 * Slots are zeroed at free, canary included, by wide stores. Before a slot is
 * handed out again it is read: whole up to 256 bytes, above that its first and
 * last 64 bytes and one line between them that the caller draws. Slots are
 * multiples of 16 bytes and 16-byte aligned.
 */
#ifndef MERLON_SCRUB_H
#define MERLON_SCRUB_H

#include "policy.h"

typedef uint64_t MAY_ALIAS scrub_pair
    __attribute__((vector_size(UNIT_BYTES)));

enum {
    SCRUB_INLINE_BYTES = 512, /* longer ones by memset */
    SCRUB_WHOLE_BYTES = 256,
    SCRUB_LINE_BYTES = 64,
};

static ALWAYS_INLINE void scrub(uintptr_t slot, size_t slot_bytes)
{
    if (!SCRUB)
        return;
    if (slot_bytes > SCRUB_INLINE_BYTES) {
        __builtin_memset((void *)slot, 0, slot_bytes);
        return;
    }
    scrub_pair *pair = (scrub_pair *)slot;
    scrub_pair *end = (scrub_pair *)(slot + slot_bytes);
    do
        *pair = (scrub_pair){ 0, 0 };
    while (++pair != end);
}

static ALWAYS_INLINE bool scrub_range_is_zero(uintptr_t slot, size_t bytes)
{
    const scrub_pair *pair = (const scrub_pair *)slot;
    const scrub_pair *end = (const scrub_pair *)(slot + bytes);
    scrub_pair sum = { 0, 0 };

    do
        sum |= *pair;
    while (++pair != end);
    return (sum[0] | sum[1]) == 0;
}

/* Is a slot that was scrubbed still zero? `random` draws the line. */
static ALWAYS_INLINE bool scrub_is_whole(uintptr_t slot, size_t slot_bytes,
                                         uint32_t random)
{
    if (!WRITE_CHECK)
        return true;
    if (likely(slot_bytes <= SCRUB_WHOLE_BYTES))
        return scrub_range_is_zero(slot, slot_bytes);
    size_t lines = slot_bytes / SCRUB_LINE_BYTES;
    size_t line = (size_t)(((uint64_t)random * lines) >> 32);

    return scrub_range_is_zero(slot, SCRUB_LINE_BYTES)
        && scrub_range_is_zero(slot + line * SCRUB_LINE_BYTES,
                               SCRUB_LINE_BYTES)
        && scrub_range_is_zero(slot + slot_bytes - SCRUB_LINE_BYTES,
                               SCRUB_LINE_BYTES);
}

#endif
