/* SPDX-License-Identifier: MIT */
/*
 * check_bits.c - bits.h against loops that look at one bit at a time.
 */
#include "bits.h"

#include "support/suite.h"

enum { WORDS = 4000 };

/* Sparse, even and dense words in turn. */
static uint64_t any_word(struct rng *rng, unsigned round)
{
    uint64_t word = rng_next(rng);

    switch (round % 5) {
    case 0: return word;
    case 1: return word & rng_next(rng) & rng_next(rng);
    case 2: return word | rng_next(rng) | rng_next(rng);
    case 3: return word >> rng_below(rng, 64);
    default: return ~(word & rng_next(rng) & rng_next(rng) & rng_next(rng));
    }
}

static bool bit(uint64_t word, unsigned index)
{
    return (word >> index & 1) != 0;
}

static void compare_counts(uint64_t word)
{
    unsigned count = 0, lowest = 64, highest = 64;

    for (unsigned i = 0; i < 64; i++) {
        if (!bit(word, i))
            continue;
        count++;
        highest = i;
        if (lowest == 64)
            lowest = i;
    }
    if (bits_count(word) != count)
        ck_abort_msg("count of %#llx", (unsigned long long)word);
    if (word != 0 && bits_lowest(word) != lowest)
        ck_abort_msg("lowest of %#llx", (unsigned long long)word);
    if (word != 0 && bits_highest(word) != highest)
        ck_abort_msg("highest of %#llx", (unsigned long long)word);
}

START_TEST(lowest_highest_and_count)
{
    struct rng rng = rng_make(1);

    compare_counts(0);
    compare_counts(UINT64_MAX);
    for (unsigned i = 0; i < 64; i++) {
        for (unsigned j = 0; j < 64; j++)
            compare_counts(UINT64_C(1) << i | UINT64_C(1) << j);
    }
    for (unsigned round = 0; round < WORDS; round++)
        compare_counts(any_word(&rng, round));
}
END_TEST

START_TEST(run_of_every_place_and_length)
{
    for (unsigned first = 0; first < 64; first++) {
        for (unsigned count = 1; first + count <= 64; count++) {
            uint64_t expected = 0;
            for (unsigned i = first; i < first + count; i++)
                expected |= UINT64_C(1) << i;
            if (bits_run(first, count) != expected)
                ck_abort_msg("run of %u from %u", count, first);
        }
    }
}
END_TEST

START_TEST(rounds_up_to_a_power)
{
    size_t power = 1;

    for (size_t value = 1; value <= 1 << 18; value++) {
        while (power < value)
            power *= 2;
        if (bits_round_up_power(value) != power)
            ck_abort_msg("%zu rounds to %zu", value,
                         bits_round_up_power(value));
    }
    for (power = 4; power != 0; power *= 2) {
        ck_assert_uint_eq(bits_round_up_power(power), power);
        ck_assert_uint_eq(bits_round_up_power(power - 1), power);
        ck_assert_uint_eq(bits_round_up_power(power / 2 + 1), power);
    }
}
END_TEST

static void compare_runs(uint64_t word, unsigned count)
{
    uint64_t expected = 0;

    for (unsigned first = 0; first < 64; first += count) {
        bool whole = true;
        for (unsigned i = first; i < first + count; i++)
            whole = whole && bit(word, i);
        if (whole)
            expected |= UINT64_C(1) << first;
    }
    if (bits_aligned_runs(word, count) != expected)
        ck_abort_msg("runs of %u in %#llx: %#llx, expected %#llx", count,
                     (unsigned long long)word,
                     (unsigned long long)bits_aligned_runs(word, count),
                     (unsigned long long)expected);
}

START_TEST(aligned_runs)
{
    struct rng rng = rng_make(2);

    /* The example of bits.h; the comment there must be right. */
    ck_assert_uint_eq(bits_aligned_runs(0xf3, 2), 0x51);
    for (unsigned count = 1; count <= 64; count *= 2) {
        compare_runs(0, count);
        compare_runs(UINT64_MAX, count);
        /* One run, whole, lacking a bit, and in the wrong place. */
        for (unsigned first = 0; first + count <= 64; first++) {
            compare_runs(bits_run(first, count), count);
            for (unsigned i = 0; i < count; i++)
                compare_runs(bits_run(first, count)
                             & ~(UINT64_C(1) << (first + i)), count);
        }
        for (unsigned round = 0; round < WORDS; round++)
            compare_runs(any_word(&rng, round), count);
    }
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("bits");
    TCase *words = tcase_create("words");
    tcase_add_test(words, lowest_highest_and_count);
    tcase_add_test(words, run_of_every_place_and_length);
    tcase_add_test(words, rounds_up_to_a_power);
    tcase_add_test(words, aligned_runs);
    suite_add_tcase(suite, words);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
