/* SPDX-License-Identifier: MIT */
/*
 * check_scrub.c - zeroing slots of every size, and seeing what was written
 * into them afterwards.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "scrub.h"
#include "sizeclass.h"
#include "support/suite.h"

enum { FILL = 0xa5, AROUND = 256, LINE = 64, DRAWS = 20000 };

static unsigned char *buffer;
static size_t front; /* bytes of the buffer before the slot's first page */
static size_t total;

static void setup(void)
{
    front = os_page_bytes();
    total = CLASS_SLOT_BYTES_MAX + 3 * front;
    buffer = mmap(NULL, total, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(buffer != MAP_FAILED);
}

static void teardown(void)
{
    munmap(buffer, total);
}

static void expect_bytes(const unsigned char *at, size_t count, int value,
                         const char *what, size_t slot_bytes)
{
    for (size_t i = 0; i < count; i++)
        if (at[i] != value)
            ck_abort_msg("%s of slot size %zu: byte %zu is %02x", what,
                         slot_bytes, i, at[i]);
}

static void scrub_at(unsigned char *slot, size_t bytes)
{
    memset(buffer, FILL, total);
    scrub((uintptr_t)slot, bytes);
    expect_bytes(slot, bytes - CANARY_BYTES, SCRUB ? 0 : FILL, "inside",
                 bytes);
    expect_bytes(slot + bytes - CANARY_BYTES, CANARY_BYTES, FILL, "canary",
                 bytes);
    expect_bytes(buffer, (size_t)(slot - buffer), FILL, "before", bytes);
    expect_bytes(slot + bytes, (size_t)(buffer + total - slot) - bytes, FILL,
                 "behind", bytes);
}

START_TEST(all_is_zero_and_no_more)
{
    for (unsigned class = 0; class < CLASS_COUNT; class++) {
        size_t bytes = class_slot_bytes(class);
        scrub_at(buffer + front, bytes);
        /* Slots whose pages could be given back are always page aligned. */
        if (bytes < SCRUB_COLD_BYTES)
            scrub_at(buffer + front + 3 * UNIT_BYTES, bytes);
    }
}
END_TEST

/* Change one byte; it must (or must not) be seen. */
static void poke(unsigned char *slot, size_t bytes, size_t at, uint32_t *draw)
{
    static const unsigned char with[] = { 1, 0x80, 0xff };

    for (size_t i = 0; i < sizeof with; i++) {
        slot[at] = with[i];
        if (scrub_is_whole((uintptr_t)slot, bytes, draw) == WRITE_CHECK)
            ck_abort_msg("size %zu: byte %zu = %02x", bytes, at, with[i]);
        slot[at] = 0;
    }
}

START_TEST(changes_are_seen)
{
    struct rng rng = rng_make(1);
    uint32_t draw = (uint32_t)rng_next(&rng);

    for (unsigned class = 0; class < CLASS_COUNT; class++) {
        size_t bytes = class_slot_bytes(class);
        unsigned char *slot = buffer + front + UNIT_BYTES;
        /* What is beside the slot is nobody's business. */
        memset(slot - UNIT_BYTES, FILL, UNIT_BYTES);
        memset(slot, 0, bytes);
        memset(slot + bytes - CANARY_BYTES, FILL, AROUND + CANARY_BYTES);
        for (int i = 0; i < 64; i++)
            if (!scrub_is_whole((uintptr_t)slot, bytes, &draw))
                ck_abort_msg("size %zu is whole", bytes);
        size_t usable = bytes - CANARY_BYTES;
        for (size_t at = 0; at < usable; at++)
            if (usable <= SCRUB_WHOLE_BYTES || at < LINE
                || at >= usable - LINE)
                poke(slot, bytes, at, &draw);
    }
}
END_TEST

/* The drawn line comes to every place in the end. */
START_TEST(every_line_is_drawn)
{
    enum { BYTES = 4096 };
    struct rng rng = rng_make(2);
    uint32_t draw = (uint32_t)rng_next(&rng);
    unsigned char *slot = buffer + front;

    if (!WRITE_CHECK)
        return;
    for (size_t at = LINE; at < BYTES - 2 * LINE; at += LINE) {
        int seen = 0;
        slot[at + at / LINE] = 1;
        for (int i = 0; i < DRAWS; i++)
            seen += !scrub_is_whole((uintptr_t)slot, BYTES, &draw);
        slot[at + at / LINE] = 0;
        /* One in 64 is 312 on the average. */
        ck_assert_msg(seen > 150 && seen < 600, "line at %zu: %d of %d", at,
                      seen, DRAWS);
    }
}
END_TEST

START_TEST(ranges)
{
    unsigned char *slot = buffer + front;

    for (size_t bytes = 0; bytes <= 1024; bytes += SCRUB_WORD_BYTES) {
        slot[bytes] = 1;
        ck_assert(scrub_range_is_zero((uintptr_t)slot, bytes));
        slot[bytes] = 0;
        for (size_t at = 0; at < bytes; at++) {
            slot[at] = 4;
            if (scrub_range_is_zero((uintptr_t)slot, bytes))
                ck_abort_msg("%zu bytes: byte %zu is not seen", bytes, at);
            slot[at] = 0;
        }
    }
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("scrub");
    TCase *all = tcase_create("scrub");

    tcase_set_timeout(all, 30);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, all_is_zero_and_no_more);
    tcase_add_test(all, changes_are_seen);
    tcase_add_test(all, every_line_is_drawn);
    tcase_add_test(all, ranges);
    suite_add_tcase(suite, all);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
