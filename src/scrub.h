/* SPDX-License-Identifier: MIT */
/*
 * scrub.h - freed slots are zero, and what should be zero is verified.
 *
 * The usable bytes of a slot are zeroed at free by wide stores. Before a slot
 * is handed out again they are read: whole up to 256 bytes, above that the
 * first and last 64 bytes and one drawn line between them. Usable sizes are
 * multiples of 8 and at least 8; slots are 16-byte aligned.
 */
#ifndef MERLON_SCRUB_H
#define MERLON_SCRUB_H

#include "os.h"
#include "policy.h"

/* 16 bytes, at any address. */
typedef uint64_t MAY_ALIAS scrub_pair
    __attribute__((vector_size(UNIT_BYTES), aligned(8)));

/* The same, aligned: one instruction reads and adds it. */
typedef uint64_t MAY_ALIAS scrub_unit
    __attribute__((vector_size(UNIT_BYTES), aligned(UNIT_BYTES)));

enum {
    SCRUB_WHOLE_BYTES = 256,
    SCRUB_SHORT_BYTES = 128, /* up to here without a call */
    SCRUB_CHECK_BYTES = 80,  /* the same for the check */
    SCRUB_LINE_BYTES = 64,
    SCRUB_COLD_BYTES = 8 << 10, /* by giving pages back, in a cold class */
    SCRUB_PURGE_BYTES = 128 << 10, /* the same in any class */
    SCRUB_CLEAR_BYTES = 16 << 10, /* calloc looks first */
    SCRUB_PIECE_BYTES = 4096,
    SCRUB_WORD_BYTES = 8,
};

static ALWAYS_INLINE void scrub_store(uintptr_t at, unsigned pairs)
{
    for (unsigned i = 0; i < pairs; i++)
        ((scrub_pair *)at)[i] = (scrub_pair){ 0, 0 };
}

/*
 * What rests is resident, and is to be little: the pages of large slots go
 * back, and so do those of smaller ones, if the class is `cold`: few of it are
 * used. Else zeros are written, as they must be under mlockall, where the
 * kernel refuses.
 */
static inline void scrub_large(uintptr_t slot, size_t usable, bool cold)
{
    uintptr_t end = slot + usable;

    if (!SCRUB)
        return;
    if (usable >= SCRUB_PURGE_BYTES - CANARY_BYTES
        || (cold && usable >= SCRUB_COLD_BYTES)) {
        uintptr_t from = align_up(slot, os_page_bytes());
        uintptr_t to = align_down(end, os_page_bytes());
        if (from < to && os_purge((void *)from, to - from)) {
            __builtin_memset((void *)slot, 0, from - slot);
            slot = to;
        }
    }
    __builtin_memset((void *)slot, 0, end - slot);
}

/*
 * Up to 128 bytes the stores overlap in the middle instead of looping: (32, 64]
 * bytes are four stores, (64, 80] five, (80, 128] eight. False: the slot has
 * more, and nothing was done. All that depends on the slot's size is compared
 * with constants, so that the usable size is never computed.
 */
static ALWAYS_INLINE bool scrub_short(uintptr_t slot, size_t slot_bytes)
{
    uintptr_t end = slot + slot_bytes - CANARY_BYTES;

    if (!SCRUB)
        return true;
    if (slot_bytes <= 2 * UNIT_BYTES + CANARY_BYTES) {
        if (slot_bytes < UNIT_BYTES + CANARY_BYTES) {
            *(user_word *)slot = 0;
            return true;
        }
        scrub_store(slot, 1);
        scrub_store(end - UNIT_BYTES, 1);
    } else if (slot_bytes <= 4 * UNIT_BYTES + CANARY_BYTES) {
        scrub_store(slot, 2);
        scrub_store(end - 2 * UNIT_BYTES, 2);
    } else if (slot_bytes <= 5 * UNIT_BYTES + CANARY_BYTES) {
        scrub_store(slot, 3);
        scrub_store(end - 2 * UNIT_BYTES, 2);
    } else if (slot_bytes <= SCRUB_SHORT_BYTES + CANARY_BYTES) {
        scrub_store(slot, 4);
        scrub_store(end - 4 * UNIT_BYTES, 4);
    } else {
        return false;
    }
    return true;
}

static ALWAYS_INLINE void scrub(uintptr_t slot, size_t slot_bytes)
{
    if (!scrub_short(slot, slot_bytes))
        scrub_large(slot, slot_bytes - CANARY_BYTES, false);
}

/* One to five words from here on, in one sum; `words` is constant. Written out,
   for no compiler unrolls it. */
static ALWAYS_INLINE uint64_t scrub_words(uintptr_t at, unsigned words)
{
    const user_word *word = (const user_word *)at;
    uint64_t sum = word[0];

    if (words > 1)
        sum |= word[1];
    if (words > 2)
        sum |= word[2] | word[3];
    if (words > 4)
        sum |= word[4];
    return sum;
}

/* The same of 64 bytes, where a unit begins. */
static ALWAYS_INLINE scrub_unit scrub_line(uintptr_t at)
{
    const scrub_unit *pair = (const scrub_unit *)at;

    return pair[0] | pair[1] | pair[2] | pair[3];
}

/*
 * On a page that nobody has touched, a look and then the first write would be
 * two faults, one for the page of zeros and one for a page of one's own. An
 * empty write comes first. It changes nothing that was there.
 */
static ALWAYS_INLINE void scrub_touch(uintptr_t at)
{
    __atomic_fetch_or((uint8_t *)at, 0, __ATOMIC_RELAXED);
}

/* Any multiple of 8 bytes. */
static inline bool scrub_range_is_zero(uintptr_t slot, size_t bytes)
{
    uint64_t sum = 0;

    for (uintptr_t at = slot; at != slot + bytes; at += SCRUB_WORD_BYTES)
        sum |= *(const user_word *)at;
    return sum == 0;
}

/* Whole up to 256 bytes; above, the ends and a line that `*draw` chooses. It
   is secret and changes each time. A last word that begins no unit is read by
   itself. */
static inline uint64_t scrub_long_sum(uintptr_t slot, size_t usable,
                                      uint32_t *draw)
{
    uintptr_t end = slot + align_down(usable, UNIT_BYTES);
    uint64_t last = *(const user_word *)(slot + usable - SCRUB_WORD_BYTES);
    scrub_unit sum = scrub_line(slot) | scrub_line(end - SCRUB_LINE_BYTES);

    if (usable > SCRUB_WHOLE_BYTES) {
        size_t lines = usable / SCRUB_LINE_BYTES;
        *draw = *draw * 1664525U + 1013904223U;
        size_t line = (size_t)(((uint64_t)*draw * lines) >> 32);
        sum |= scrub_line(slot + line * SCRUB_LINE_BYTES);
    } else if (usable > 2 * SCRUB_LINE_BYTES) {
        sum |= scrub_line(slot + SCRUB_LINE_BYTES)
            | scrub_line(end - (size_t)2 * SCRUB_LINE_BYTES);
    }
    return sum[0] | sum[1] | last;
}

/*
 * Zero an object of any size. The pages of a large one are zero already, unless
 * something was written after a free: they are looked at first, so that those
 * that nobody touched stay untouched.
 */
static inline void scrub_clear(uintptr_t at, size_t bytes)
{
    uintptr_t end = at + bytes, page = SCRUB_PIECE_BYTES;

    if (SCRUB && bytes >= SCRUB_CLEAR_BYTES) {
        __builtin_memset((void *)at, 0, align_up(at, page) - at);
        for (at = align_up(at, page); at + page <= end; at += page) {
            scrub_unit sum = { 0 };
            for (uintptr_t line = 0; line < page; line += SCRUB_LINE_BYTES)
                sum |= scrub_line(at + line);
            if (unlikely((sum[0] | sum[1]) != 0))
                __builtin_memset((void *)at, 0, page);
        }
    }
    __builtin_memset((void *)at, 0, end - at);
}

/* Zero, if slots of up to 80 usable bytes are zero still. *large: the slot has
   more, and was not looked at. */
static ALWAYS_INLINE uint64_t scrub_short_sum(uintptr_t slot,
                                              size_t slot_bytes, bool *large)
{
    uintptr_t end = slot + slot_bytes - CANARY_BYTES;

    *large = false;
    if (!WRITE_CHECK)
        return 0;
    if (slot_bytes <= UNIT_BYTES + CANARY_BYTES)
        return scrub_words(slot, 1) | scrub_words(end - SCRUB_WORD_BYTES, 1);
    if (slot_bytes <= 2 * UNIT_BYTES + CANARY_BYTES)
        return scrub_words(slot, 2)
            | scrub_words(end - 2 * SCRUB_WORD_BYTES, 2);
    if (slot_bytes <= 4 * UNIT_BYTES + CANARY_BYTES)
        return scrub_words(slot, 4)
            | scrub_words(end - 4 * SCRUB_WORD_BYTES, 4);
    if (slot_bytes <= SCRUB_CHECK_BYTES + CANARY_BYTES)
        return scrub_words(slot, 5)
            | scrub_words(end - 5 * SCRUB_WORD_BYTES, 5);
    *large = true;
    return 0;
}

/* Are the usable bytes of a slot that was scrubbed still zero? */
static ALWAYS_INLINE bool scrub_is_whole(uintptr_t slot, size_t slot_bytes,
                                         uint32_t *draw)
{
    bool large;
    uint64_t sum = scrub_short_sum(slot, slot_bytes, &large);

    if (large)
        sum = scrub_long_sum(slot, slot_bytes - CANARY_BYTES, draw);
    return sum == 0;
}

#endif
