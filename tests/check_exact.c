/* SPDX-License-Identifier: MIT */
/*
 * check_exact.c - one bit for every 16 bytes, against a plain array.
 */
#include <string.h>

#include "exact.h"
#include "support/suite.h"

enum {
    SLAB_BYTES = 64 * KIB,
    UNITS = SLAB_BYTES / UNIT_BYTES,
    WORDS = UNITS / 64,
    STEPS = 200000,
};

/* A word in front and one behind belong to other slabs. */
static uint64_t memory[WORDS + 2];
static uint64_t *const words = memory + 1;
static bool shadow[UNITS];

static void open_slot(size_t unit)
{
    exact_open(words, exact_load(words, unit), unit);
    shadow[unit] = true;
}

/* What is closed already says so, and must stay as it is. */
static void close_slot(size_t unit)
{
    uint64_t word = exact_load(words, unit);
    uint64_t closed = exact_closed(word, unit);

    if ((closed < word) != shadow[unit])
        ck_abort_msg("unit %zu: closed %d", unit, shadow[unit]);
    if (closed < word)
        exact_store(words, closed, unit);
    shadow[unit] = false;
}

static void compare_all(void)
{
    for (size_t offset = 0; offset < SLAB_BYTES; offset++) {
        size_t unit = offset / UNIT_BYTES;
        uint64_t word = exact_load(words, unit);
        bool aligned = offset % UNIT_BYTES == 0;
        bool live = aligned && shadow[unit];
        if (exact_is_live(words, offset) != live
            || exact_says_live(word, unit) != shadow[unit])
            ck_abort_msg("offset %zx: live should be %d", offset, live);
    }
    ck_assert(memory[0] == ~UINT64_C(0) && memory[WORDS + 1] == 0);
}

static void setup(void)
{
    memset(memory, 0, sizeof memory);
    memset(shadow, 0, sizeof shadow);
    memory[0] = ~UINT64_C(0);
}

/* One slot at a time, alone among free ones, then free among live ones. */
START_TEST(each_alone)
{
    if (!EXACT_STATE)
        return;
    compare_all();
    for (size_t unit = 0; unit < UNITS; unit++) {
        open_slot(unit);
        uint64_t sum = 0;
        for (size_t i = 0; i < WORDS; i++)
            sum += (uint64_t)__builtin_popcountll(words[i]);
        if (sum != 1 || !exact_is_live(words, unit * UNIT_BYTES))
            ck_abort_msg("unit %zu opens %d", unit, (int)sum);
        close_slot(unit);
        if (exact_is_live(words, unit * UNIT_BYTES))
            ck_abort_msg("unit %zu does not close", unit);
    }
    compare_all();
    for (size_t unit = 0; unit < UNITS; unit++)
        open_slot(unit);
    compare_all();
    for (size_t unit = 0; unit < UNITS; unit++) {
        close_slot(unit);
        bool before = unit == 0
            || exact_is_live(words, (unit - 1) * UNIT_BYTES);
        bool after = unit == UNITS - 1
            || exact_is_live(words, (unit + 1) * UNIT_BYTES);
        if (!before || !after)
            ck_abort_msg("a neighbour of unit %zu closed too", unit);
        open_slot(unit);
    }
    compare_all();
}
END_TEST

START_TEST(random_steps)
{
    struct rng rng = rng_make(1);

    if (!EXACT_STATE)
        return;
    for (int i = 0; i < STEPS; i++) {
        size_t unit = rng_below(&rng, UNITS);
        if (exact_is_live(words, unit * UNIT_BYTES) != shadow[unit])
            ck_abort_msg("step %d: unit %zu", i, unit);
        if (rng_below(&rng, 2) == 0)
            open_slot(unit);
        else
            close_slot(unit);
        if (i % (STEPS / 16) == 0)
            compare_all();
    }
    compare_all();
}
END_TEST

/* Opening what is open, and closing what is closed, changes nothing. */
START_TEST(twice_is_once)
{
    if (!EXACT_STATE)
        return;
    for (int i = 0; i < 2; i++)
        for (size_t unit = 0; unit < UNITS; unit += 3)
            open_slot(unit);
    compare_all();
    for (int i = 0; i < 2; i++)
        for (size_t unit = 0; unit < UNITS; unit += 6)
            close_slot(unit);
    compare_all();
}
END_TEST

/* Without the test everything passes; in list mode nothing is written. */
START_TEST(off_is_off)
{
    if (EXACT_STATE)
        return;
    exact_open(words, exact_load(words, 5), 5);
    ck_assert_uint_eq(words[0], SLOT_MAP ? 32 : 0);
    ck_assert(exact_is_live(words, 80) && exact_is_live(words, 81)
              && exact_is_live(words, 96));
    exact_store(words, exact_closed(exact_load(words, 5), 5), 5);
    ck_assert_uint_eq(words[0], 0);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("exact");
    TCase *all = tcase_create("exact");

    tcase_add_checked_fixture(all, setup, NULL);
    tcase_add_test(all, each_alone);
    tcase_add_test(all, random_steps);
    tcase_add_test(all, twice_is_once);
    tcase_add_test(all, off_is_off);
    suite_add_tcase(suite, all);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
