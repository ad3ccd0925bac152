/* SPDX-License-Identifier: MIT */
/*
 * scrub.h - freed slots are zero, and what should be zero is verified.
 *
 * Slots are zeroed at free, canary included, by wide stores. Before a slot is
 * handed out again it is read: whole up to 256 bytes, above that its first and
 * last 64 bytes and one drawn line between them. Slots are multiples of 16
 * bytes and 16-byte aligned.
 */
#ifndef MERLON_SCRUB_H
#define MERLON_SCRUB_H

#include "os.h"
#include "policy.h"

typedef uint64_t MAY_ALIAS scrub_pair
    __attribute__((vector_size(UNIT_BYTES)));

enum {
    SCRUB_WHOLE_BYTES = 256,
    SCRUB_LINE_BYTES = 64,
    SCRUB_PURGE_BYTES = 128 << 10, /* from here on by giving pages back */
};

/*
 * Up to 128 bytes the stores overlap in the middle instead of looping: slots of
 * (32, 64] bytes are four stores, of (64, 128] eight.
 */
static ALWAYS_INLINE void scrub_store(uintptr_t at, unsigned pairs)
{
    for (unsigned i = 0; i < pairs; i++)
        ((scrub_pair *)at)[i] = (scrub_pair){ 0, 0 };
}

/* Large slots wait long for their reuse: their pages go back meanwhile. Under
   mlockall the kernel refuses; then zeros must be written. */
static NOINLINE void scrub_large(uintptr_t slot, size_t slot_bytes)
{
    if (slot_bytes < SCRUB_PURGE_BYTES || slot_bytes % os_page_bytes() != 0
        || !os_purge((void *)slot, slot_bytes))
        __builtin_memset((void *)slot, 0, slot_bytes);
}

static ALWAYS_INLINE void scrub(uintptr_t slot, size_t slot_bytes)
{
    if (!SCRUB)
        return;
    uintptr_t end = slot + slot_bytes;
    if (slot_bytes <= 2 * UNIT_BYTES) {
        scrub_store(slot, 1);
        scrub_store(end - UNIT_BYTES, 1);
    } else if (slot_bytes <= 4 * UNIT_BYTES) {
        scrub_store(slot, 2);
        scrub_store(end - 2 * UNIT_BYTES, 2);
    } else if (slot_bytes <= 8 * UNIT_BYTES) {
        scrub_store(slot, 4);
        scrub_store(end - 4 * UNIT_BYTES, 4);
    } else {
        scrub_large(slot, slot_bytes);
    }
}

static ALWAYS_INLINE scrub_pair scrub_sum(uintptr_t at, unsigned pairs)
{
    scrub_pair sum = { 0, 0 };

    for (unsigned i = 0; i < pairs; i++)
        sum |= ((const scrub_pair *)at)[i];
    return sum;
}

static ALWAYS_INLINE bool scrub_is_zero(scrub_pair sum)
{
    return (sum[0] | sum[1]) == 0;
}

/* Any multiple of 16 bytes. */
static inline bool scrub_range_is_zero(uintptr_t slot, size_t bytes)
{
    scrub_pair sum = { 0, 0 };

    for (uintptr_t at = slot; at != slot + bytes; at += UNIT_BYTES)
        sum |= *(const scrub_pair *)at;
    return scrub_is_zero(sum);
}

/* Whole up to 256 bytes; above, the ends and a line that `*draw` chooses. It
   is secret and changes each time. */
static inline bool scrub_is_long_whole(uintptr_t slot, size_t slot_bytes,
                                       uint32_t *draw)
{
    uintptr_t end = slot + slot_bytes;

    if (slot_bytes <= SCRUB_WHOLE_BYTES)
        return scrub_is_zero(scrub_sum(slot, 8)
                             | scrub_sum(end - 8 * UNIT_BYTES, 8));
    size_t lines = slot_bytes / SCRUB_LINE_BYTES;
    *draw = *draw * 1664525U + 1013904223U;
    size_t line = (size_t)(((uint64_t)*draw * lines) >> 32);
    return scrub_is_zero(scrub_sum(slot, 4)
                         | scrub_sum(slot + line * SCRUB_LINE_BYTES, 4)
                         | scrub_sum(end - 4 * UNIT_BYTES, 4));
}

/* Is a slot that was scrubbed still zero? */
static ALWAYS_INLINE bool scrub_is_whole(uintptr_t slot, size_t slot_bytes,
                                         uint32_t *draw)
{
    uintptr_t end = slot + slot_bytes;

    if (!WRITE_CHECK)
        return true;
    if (slot_bytes <= 2 * UNIT_BYTES)
        return scrub_is_zero(scrub_sum(slot, 1)
                             | scrub_sum(end - UNIT_BYTES, 1));
    if (slot_bytes <= 4 * UNIT_BYTES)
        return scrub_is_zero(scrub_sum(slot, 2)
                             | scrub_sum(end - 2 * UNIT_BYTES, 2));
    if (slot_bytes <= 8 * UNIT_BYTES)
        return scrub_is_zero(scrub_sum(slot, 4)
                             | scrub_sum(end - 4 * UNIT_BYTES, 4));
    return scrub_is_long_whole(slot, slot_bytes, draw);
}

#endif
