/* SPDX-License-Identifier: MIT */
/*
 * check_link.c - the word of a free slot: what was encoded is decoded, and
 * with ENCODED_LINKS nothing else verifies. A check has 40 bits, so that a
 * test by chance is wrong once in more runs than there will ever be.
 */
#include <stdlib.h>
#include <string.h>

#include "link.h"
#include "sizeclass.h"
#include "support/suite.h"

enum {
    SLAB_BYTES = SLAB_GRANULES_MAX * GRANULE_BYTES,
    SMALL_BYTES = 64 * KIB,
    TRIES = 4096,
};

static struct slab_key key_make(struct rng *rng)
{
    uint64_t word[2] = { rng_next(rng), rng_next(rng) };
    struct slab_key key;

    memcpy(&key, word, sizeof key);
    return key;
}

static uint32_t any_place(struct rng *rng)
{
    return (uint32_t)rng_below(rng, SLAB_BYTES / UNIT_BYTES) * UNIT_BYTES;
}

static void round_trip(const struct slab_key *key, uint32_t place,
                       uint32_t use, uint32_t next)
{
    uint32_t found = ~UINT32_C(0);
    uint64_t word = link_encode(key, place, use, next);

    if (!link_decode(key, place, use, word, &found) || found != next)
        ck_abort_msg("place %x, use %u: %x became %x", place, use, next,
                     found);
}

/* Every slot of a small slab names every other. */
START_TEST(all_pairs)
{
    struct rng rng = rng_make(1);
    struct slab_key key = key_make(&rng);

    for (uint32_t place = 0; place < SMALL_BYTES; place += 64)
        for (uint32_t next = 0; next < SMALL_BYTES; next += 64)
            round_trip(&key, place, place ^ next, next);
}
END_TEST

/* Every unit of the largest slab, once as the holder, once as the named. */
START_TEST(all_units)
{
    struct rng rng = rng_make(2);
    struct slab_key key = key_make(&rng);

    for (uint32_t at = 0; at < SLAB_BYTES; at += UNIT_BYTES) {
        uint32_t use = (uint32_t)rng_next(&rng), other = any_place(&rng);
        round_trip(&key, at, use, other);
        round_trip(&key, other, use, at);
    }
    /* The numbers of links wrap. */
    round_trip(&key, 0, ~UINT32_C(0), SLAB_BYTES - UNIT_BYTES);
    round_trip(&key, SLAB_BYTES - UNIT_BYTES, 0, 0);
}
END_TEST

static void expect_broken(const struct slab_key *key, uint32_t place,
                          uint32_t use, uint64_t word, const char *what)
{
    uint32_t next;

    if (link_decode(key, place, use, word, &next))
        ck_abort_msg("wrong %s verifies (place %x, use %u)", what, place, use);
}

START_TEST(nothing_else_verifies)
{
    struct rng rng = rng_make(3);

    if (!ENCODED_LINKS)
        return;
    for (int i = 0; i < TRIES; i++) {
        struct slab_key key = key_make(&rng), other = key_make(&rng);
        uint32_t place = any_place(&rng), use = (uint32_t)rng_next(&rng);
        uint32_t next = any_place(&rng);
        uint64_t word = link_encode(&key, place, use, next);
        expect_broken(&other, place, use, word, "key");
        expect_broken(&key, place, use + 1, word, "use");
        expect_broken(&key, place, use - 1, word, "use");
        expect_broken(&key, place ^ UNIT_BYTES, use, word, "place");
        expect_broken(&key, place, use, next >> UNIT_SHIFT, "bare word");
        expect_broken(&key, place, use, 0, "zero");
        for (unsigned bit = 0; bit < 64; bit++) {
            expect_broken(&key, place, use, word ^ UINT64_C(1) << bit, "bit");
            if (bit < 32)
                expect_broken(&key, place, use ^ UINT32_C(1) << bit, word,
                              "use");
        }
        /* Two known words do not give a third: the pads do not cancel. */
        uint32_t third = any_place(&rng), fourth = any_place(&rng);
        if (third != next && third != fourth && fourth != next)
            expect_broken(&key, place, use,
                          word ^ link_encode(&key, place, use, third)
                              ^ link_encode(&key, place, use, fourth),
                          "sum");
    }
}
END_TEST

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void expect_distinct(uint64_t *words, const char *what)
{
    qsort(words, TRIES, sizeof *words, compare);
    for (int i = 1; i < TRIES; i++)
        if (words[i] == words[i - 1])
            ck_abort_msg("the same word for two %s", what);
}

START_TEST(words_differ)
{
    static uint64_t words[TRIES];
    struct rng rng = rng_make(4);
    struct slab_key key = key_make(&rng);

    if (!ENCODED_LINKS)
        return;
    for (uint32_t i = 0; i < TRIES; i++)
        words[i] = link_encode(&key, 4096, i, 8192);
    expect_distinct(words, "uses");
    for (uint32_t i = 0; i < TRIES; i++)
        words[i] = link_encode(&key, i * UNIT_BYTES, 7, 8192);
    expect_distinct(words, "places");
    for (uint32_t i = 0; i < TRIES; i++) {
        struct slab_key other = key_make(&rng);
        words[i] = link_encode(&other, 4096, 7, 8192);
    }
    expect_distinct(words, "keys");
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("link");
    TCase *all = tcase_create("link");

    tcase_add_test(all, all_pairs);
    tcase_add_test(all, all_units);
    tcase_add_test(all, nothing_else_verifies);
    tcase_add_test(all, words_differ);
    suite_add_tcase(suite, all);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
