/* SPDX-License-Identifier: MIT */
/*
 * check_entropy.c - streams of random numbers, and the order they make.
 *
 * Libsodium is trusted; what is tested is that no number is used twice and
 * that numbers are spread evenly. There are 381 bounds of six standard
 * deviations: by chance one run in a million fails.
 */
#include "order.h"

#include <stdlib.h>
#include <string.h>

#include "support/suite.h"

enum { BATCHES = 20, DRAWS = BATCHES * STREAM_BATCH_COUNT };

static struct stream stream, other;

static void start_entropy(void)
{
    ck_assert(entropy_start());
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* 64-bit numbers: among a few thousand no two are equal. */
static void all_differ(uint64_t *numbers, size_t count)
{
    qsort(numbers, count, sizeof *numbers, by_value);
    for (size_t i = 1; i < count; i++)
        ck_assert_uint_ne(numbers[i - 1], numbers[i]);
}

START_TEST(no_number_comes_twice)
{
    static uint64_t drawn[2 * DRAWS];

    for (size_t i = 0; i < DRAWS; i++) {
        drawn[2 * i] = stream_draw(&stream);
        drawn[2 * i + 1] = stream_draw(&other);
    }
    all_differ(drawn, 2 * DRAWS);
}
END_TEST

START_TEST(a_refill_replaces_key_and_batch)
{
    uint64_t batch[STREAM_BATCH_COUNT];
    uint8_t key[STREAM_KEY_BYTES];

    for (int round = 0; round < BATCHES; round++) {
        stream_refill(&stream);
        ck_assert_uint_eq(stream.left, STREAM_BATCH_COUNT);
        if (round > 0) {
            ck_assert_mem_ne(key, stream.key, sizeof key);
            ck_assert_mem_ne(batch, stream.batch, sizeof batch);
        }
        memcpy(key, stream.key, sizeof key);
        memcpy(batch, stream.batch, sizeof batch);
        /* What was drawn is no longer there. */
        for (unsigned left = STREAM_BATCH_COUNT; left-- > 0;) {
            ck_assert_uint_eq(stream_draw(&stream), batch[left]);
            ck_assert_uint_eq(stream.batch[left], 0);
        }
        ck_assert_uint_eq(stream.left, 0);
    }
}
END_TEST

/* As after fork: two copies of one stream go different ways. */
START_TEST(a_reset_stream_goes_its_own_way)
{
    static uint64_t drawn[2 * DRAWS];

    (void)stream_draw(&stream);
    other = stream;
    ck_assert_uint_eq(stream_draw(&stream), stream_draw(&other));
    stream_reset(&other);
    ck_assert_uint_eq(other.left, 0);
    for (size_t i = 0; i < DRAWS; i++) {
        drawn[2 * i] = stream_draw(&stream);
        drawn[2 * i + 1] = stream_draw(&other);
    }
    all_differ(drawn, 2 * DRAWS);
}
END_TEST

/* Is `seen` within `sigmas` of a binomial with probability 1 / n? */
static void near(double seen, double trials, double n, double sigmas)
{
    double expected = trials / n, off = seen - expected;

    ck_assert_msg(off * off <= sigmas * sigmas * expected * (1 - 1 / n),
                  "seen %.0f of %.0f, expected %.0f", seen, trials, expected);
}

START_TEST(every_bit_is_even)
{
    enum { TRIALS = 40000 };
    unsigned ones[64] = {0};

    for (unsigned i = 0; i < TRIALS; i++) {
        uint64_t number = stream_draw(&stream);
        for (unsigned bit = 0; bit < 64; bit++)
            ones[bit] += number >> bit & 1;
    }
    for (unsigned bit = 0; bit < 64; bit++)
        near(ones[bit], TRIALS, 2, 6);
}
END_TEST

START_TEST(below_is_bounded)
{
    static const uint32_t bounds[] = {1, 2, 3, 7, 64, 1000, 65537,
                                      INT32_MAX, UINT32_MAX};
    struct rng rng = rng_make(1);

    for (unsigned b = 0; b < sizeof bounds / sizeof *bounds; b++) {
        ck_assert_uint_eq(stream_below(0, bounds[b]), 0);
        ck_assert_uint_eq(stream_below(UINT32_MAX, bounds[b]), bounds[b] - 1);
        for (int i = 0; i < 10000; i++) {
            if (stream_below((uint32_t)rng_next(&rng), bounds[b])
                >= bounds[b])
                ck_abort_msg("not below %u", bounds[b]);
        }
    }
}
END_TEST

START_TEST(below_is_even)
{
    enum { TRIALS = 60000, BOUND = 37 };
    unsigned seen[BOUND] = {0};

    for (unsigned i = 0; i < TRIALS; i++)
        seen[stream_below((uint32_t)stream_draw(&stream), BOUND)]++;
    for (unsigned i = 0; i < BOUND; i++)
        near(seen[i], TRIALS, BOUND, 6);
}
END_TEST

START_TEST(a_shuffle_is_a_permutation)
{
    enum { MOST = ORDER_SLOTS_MAX };
    uint32_t slots[MOST + 1];

    for (uint32_t count = 0; count <= MOST; count++) {
        bool seen[MOST] = {false};
        for (uint32_t i = 0; i <= MOST; i++)
            slots[i] = i;
        order_shuffle(slots, count, &stream);
        for (uint32_t i = 0; i < count; i++) {
            if (slots[i] >= count || seen[slots[i]])
                ck_abort_msg("%u slots: %u is wrong", count, slots[i]);
            seen[slots[i]] = true;
        }
        for (uint32_t i = count; i <= MOST; i++)
            ck_assert_uint_eq(slots[i], i);
    }
}
END_TEST

/* Every slot comes to every place equally often. */
START_TEST(a_shuffle_is_even)
{
    enum { COUNT = 16, TRIALS = 40000 };
    static unsigned seen[COUNT][COUNT];

    for (unsigned trial = 0; trial < TRIALS; trial++) {
        uint32_t slots[COUNT];
        for (uint32_t i = 0; i < COUNT; i++)
            slots[i] = i;
        order_shuffle(slots, COUNT, &stream);
        for (uint32_t i = 0; i < COUNT; i++)
            seen[i][slots[i]]++;
    }
    for (unsigned i = 0; i < COUNT * COUNT; i++)
        near(seen[i / COUNT][i % COUNT], TRIALS, COUNT, 6);
}
END_TEST

/* All 24 orders of four slots, not only all places. */
START_TEST(every_order_is_as_likely)
{
    enum { TRIALS = 48000 };
    static unsigned seen[256];
    unsigned orders = 0;

    for (unsigned trial = 0; trial < TRIALS; trial++) {
        uint32_t s[4] = {0, 1, 2, 3};
        order_shuffle(s, 4, &stream);
        seen[s[0] << 6 | s[1] << 4 | s[2] << 2 | s[3]]++;
    }
    for (unsigned i = 0; i < 256; i++) {
        if (seen[i] == 0)
            continue;
        near(seen[i], TRIALS, 24, 6);
        orders++;
    }
    ck_assert_uint_eq(orders, 24);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("entropy");
    TCase *numbers = tcase_create("numbers");
    tcase_add_test(numbers, below_is_bounded);
    if (RANDOM_STREAM) {
        tcase_add_checked_fixture(numbers, start_entropy, NULL);
        tcase_add_test(numbers, no_number_comes_twice);
        tcase_add_test(numbers, a_refill_replaces_key_and_batch);
        tcase_add_test(numbers, a_reset_stream_goes_its_own_way);
        tcase_add_test(numbers, every_bit_is_even);
        tcase_add_test(numbers, below_is_even);
    }
    suite_add_tcase(suite, numbers);

    TCase *order = tcase_create("order");
    if (RANDOM_ORDER) {
        tcase_add_checked_fixture(order, start_entropy, NULL);
        tcase_add_test(order, a_shuffle_is_a_permutation);
        tcase_add_test(order, a_shuffle_is_even);
        tcase_add_test(order, every_order_is_as_likely);
    }
    suite_add_tcase(suite, order);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
