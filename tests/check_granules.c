/* SPDX-License-Identifier: MIT */
/*
 * check_granules.c - the bits of granules.h against a map of bytes.
 *
 * No arena and no memory: the words are an ordinary array, the window is set
 * by hand, purging is a line of the model.
 */
#include "granules.h"

#include <stdlib.h>
#include <string.h>

#include "support/suite.h"

enum { WORDS = 8, COUNT = WORDS * GRANULES_WORD, ROUNDS = 100000 };

/* What should be true of each granule. */
static struct {
    bool used, dirty, aged;
} shadow[COUNT];

static struct {
    size_t index, count;
} held[COUNT];
static size_t held_count;

static struct granules g;

static void start(size_t window_words)
{
    g.words = calloc(WORDS, sizeof *g.words);
    ck_assert_ptr_nonnull(g.words);
    extent_open(&g.extent, COUNT);
    g.window = window_words * GRANULES_WORD;
}

static bool all_free(size_t index, size_t count)
{
    for (size_t i = index; i < index + count; i++) {
        if (shadow[i].used)
            return false;
    }
    return true;
}

/* A run was taken: it was free, in its place, and `clean` is the truth. */
static void took(size_t index, size_t count, bool clean)
{
    bool was_clean = true;

    if (index + count > g.window || !all_free(index, count))
        ck_abort_msg("%zu at %zu overlaps", count, index);
    for (size_t i = index; i < index + count; i++) {
        was_clean = was_clean && !shadow[i].dirty;
        shadow[i].used = true;
        shadow[i].dirty = shadow[i].aged = false;
    }
    if (clean != was_clean)
        ck_abort_msg("%zu at %zu: clean is %d", count, index, clean);
    held[held_count].index = index;
    held[held_count++].count = count;
}

static void give_one(struct rng *rng)
{
    size_t i = rng_below(rng, held_count);
    bool dirty = rng_below(rng, 2) != 0;

    granules_give(&g, held[i].index, held[i].count, dirty);
    for (size_t k = held[i].index; k < held[i].index + held[i].count; k++) {
        shadow[k].used = false;
        shadow[k].dirty = dirty;
    }
    held[i] = held[--held_count];
}

/* Is there a run for granules_take? */
static bool has_run(size_t count)
{
    size_t step = count < GRANULES_WORD ? count : GRANULES_WORD;

    for (size_t at = 0; at + count <= g.window; at += step) {
        if (all_free(at, count))
            return true;
    }
    return false;
}

static void take_one(struct rng *rng)
{
    unsigned kind = (unsigned)rng_below(rng, 9); /* 1 to 64, 128, 192 */
    size_t count = kind < 7 ? (size_t)1 << kind : (kind - 5) * GRANULES_WORD;
    bool clean = false;
    size_t index = granules_take(&g, count, rng_next(rng), &clean);

    if ((index != GRANULES_NONE) != has_run(count))
        ck_abort_msg("run of %zu: %s", count,
                     index == GRANULES_NONE ? "missed" : "invented");
    if (index == GRANULES_NONE)
        return;
    if (index % (count < GRANULES_WORD ? count : GRANULES_WORD) != 0)
        ck_abort_msg("%zu at %zu is misplaced", count, index);
    took(index, count, clean);
}

static void take_one_at(struct rng *rng)
{
    size_t index = rng_below(rng, COUNT);
    size_t count = 1 + rng_below(rng, rng_below(rng, 4) ? 8 : 150);
    bool fits = index + count <= g.window && all_free(index, count);
    bool clean = false;

    if (index + count > COUNT)
        return;
    if (granules_take_at(&g, index, count, &clean) != fits)
        ck_abort_msg("%zu at %zu: should be %d", count, index, fits);
    if (fits)
        took(index, count, clean);
}

static void tick(struct rng *rng)
{
    size_t word = rng_below(rng, g.window / GRANULES_WORD);
    bool now = rng_below(rng, 8) == 0, success = rng_below(rng, 8) != 0;
    uint64_t ripe = granules_claim_ripe(&g, word, now);

    for (unsigned i = 0; i < GRANULES_WORD; i++) {
        size_t k = word * GRANULES_WORD + i;
        bool free_dirty = shadow[k].dirty && !shadow[k].used;
        bool expected = free_dirty && (now || shadow[k].aged);
        if ((ripe >> i & 1) != expected)
            ck_abort_msg("granule %zu: ripe should be %d", k, expected);
        shadow[k].aged = free_dirty && !expected;
        if (expected)
            shadow[k].dirty = !success;
    }
    granules_purged(&g, word, ripe, success);
}

static void compare_all(void)
{
    size_t used = 0;

    for (size_t k = 0; k < COUNT; k++) {
        struct granule_word *w = &g.words[k / GRANULES_WORD];
        unsigned bit = k % GRANULES_WORD;
        if ((w->used >> bit & 1) != shadow[k].used
            || (w->dirty >> bit & 1) != shadow[k].dirty
            || (w->aged >> bit & 1) != shadow[k].aged)
            ck_abort_msg("granule %zu differs from the model", k);
        used += shadow[k].used;
    }
    ck_assert_uint_eq(g.taken, used);
}

START_TEST(agrees_with_a_map_of_bytes)
{
    struct rng rng = rng_make(1);

    start(3);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned gives = round / 5000 % 2 ? 6 : 4; /* fill, then empty */
        unsigned what = (unsigned)rng_below(&rng, 12);
        if (what < gives && held_count > 0)
            give_one(&rng);
        else if (what < 9)
            take_one(&rng);
        else if (what < 11)
            take_one_at(&rng);
        else
            tick(&rng);
        if (round % 100 == 0)
            compare_all();
        if (round % 16000 == 15999 && g.window < COUNT)
            g.window += GRANULES_WORD;
    }
    while (held_count > 0)
        give_one(&rng);
    compare_all();
    free(g.words);
}
END_TEST

/* Every granule is found, whatever the random number; then there are none. */
START_TEST(full_window)
{
    size_t count = (size_t)1 << _i, index;
    struct rng rng = rng_make(2);
    bool clean = false;

    start(5);
    for (size_t n = 0; n < g.window / count; n++) {
        index = granules_take(&g, count, rng_next(&rng), &clean);
        ck_assert_uint_ne(index, GRANULES_NONE);
        ck_assert(RANDOM_ORDER || index == n * count);
        ck_assert_uint_eq(index % count, 0);
        took(index, count, clean);
    }
    for (size_t n = 1; n <= 128; n *= 2)
        ck_assert_uint_eq(granules_take(&g, n, rng_next(&rng), &clean),
                          GRANULES_NONE);
    granules_give(&g, count, count, true);
    ck_assert_uint_eq(granules_take(&g, count, rng_next(&rng), &clean), count);
    ck_assert(!clean);
    ck_assert(!granules_take_at(&g, g.window, 1, &clean));
    g.window += GRANULES_WORD;
    index = granules_take(&g, count, 0, &clean);
    ck_assert_uint_ge(index, g.window - GRANULES_WORD);
    ck_assert(clean);
    free(g.words);
}
END_TEST

START_TEST(long_runs)
{
    bool clean = false;

    start(WORDS);
    ck_assert_uint_eq(granules_take(&g, COUNT + GRANULES_WORD, 1, &clean),
                      GRANULES_NONE);
    ck_assert_uint_eq(granules_take(&g, COUNT, 1, &clean), 0);
    granules_give(&g, 0, COUNT, false);
    /* One granule in the midst: four words before it, three behind. */
    ck_assert(granules_take_at(&g, 4 * 64 + 17, 1, &clean));
    ck_assert_uint_eq(granules_take(&g, 5 * 64, 1, &clean), GRANULES_NONE);
    ck_assert(!granules_take_at(&g, 4 * 64, 128, &clean));
    ck_assert_uint_eq(g.words[4].used, UINT64_C(1) << 17); /* undone */
    ck_assert_uint_eq(g.words[5].used, 0);
    ck_assert_uint_eq(granules_take(&g, 4 * 64, 1, &clean), 0);
    ck_assert_uint_eq(granules_take(&g, 3 * 64, 1, &clean), 5 * 64);
    ck_assert_uint_eq(g.taken, 7 * 64 + 1);
    free(g.words);
}
END_TEST

/* Dirty, aged at the first tick, claimed at the second, clean after it. */
START_TEST(ages_in_two_ticks)
{
    uint64_t mask = bits_run(8, 4);
    bool clean = false;

    start(1);
    ck_assert(granules_take_at(&g, 8, 4, &clean) && clean);
    granules_give(&g, 8, 4, true);
    ck_assert_uint_eq(granules_claim_ripe(&g, 0, false), 0);
    /* Used in between: younger than its neighbours. */
    ck_assert(granules_take_at(&g, 9, 1, &clean) && !clean);
    granules_give(&g, 9, 1, true);
    ck_assert_uint_eq(granules_claim_ripe(&g, 0, false), mask & ~0x200U);
    /* While it is purged nobody can take it. */
    ck_assert(!granules_take_at(&g, 8, 1, &clean));
    granules_purged(&g, 0, mask & ~0x200U, true);
    ck_assert(granules_take_at(&g, 8, 1, &clean) && clean);
    ck_assert_uint_eq(granules_claim_ripe(&g, 0, false), 0x200);
    granules_purged(&g, 0, 0x200, false); /* it failed: dirty again */
    ck_assert(granules_take_at(&g, 9, 1, &clean) && !clean);
    granules_give(&g, 9, 1, true);
    ck_assert_uint_eq(granules_claim_ripe(&g, 0, true), 0x200);
    granules_purged(&g, 0, 0x200, true);
    ck_assert_uint_eq(granules_claim_ripe(&g, 0, true), 0);
    free(g.words);
}
END_TEST

/* A word that is full only while it is purged must be found again. */
START_TEST(purged_is_found_again)
{
    bool clean = false;

    start(1);
    ck_assert(granules_take_at(&g, 0, 64, &clean));
    granules_give(&g, 5, 1, true);
    ck_assert_uint_eq(granules_claim_ripe(&g, 0, true), 0x20);
    ck_assert_uint_eq(granules_take(&g, 1, 7, &clean), GRANULES_NONE);
    granules_purged(&g, 0, 0x20, true);
    ck_assert_uint_eq(granules_take(&g, 1, 7, &clean), 5);
    ck_assert(clean);
    free(g.words);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("granules");
    TCase *take = tcase_create("take and give");
    tcase_set_timeout(take, 30);
    tcase_add_test(take, agrees_with_a_map_of_bytes);
    tcase_add_loop_test(take, full_window, 0, 7);
    tcase_add_test(take, long_runs);
    suite_add_tcase(suite, take);

    TCase *decay = tcase_create("decay");
    tcase_add_test(decay, ages_in_two_ticks);
    tcase_add_test(decay, purged_is_found_again);
    suite_add_tcase(suite, decay);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
