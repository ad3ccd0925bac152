/* SPDX-License-Identifier: MIT */
/*
 * check_ring.c - first in, first out; the oldest leaves; nothing comes twice.
 *
 * The ring never looks into a record: addresses in an array will do.
 */
#include "ring.h"

#include <pthread.h>

#include "support/suite.h"

enum { RECORDS = 4 * RING_COUNT, THREADS = 4, OWN = 200, ROUNDS = 30000 };

static struct record records[RECORDS];
static struct ring ring;

/* Where the counters begin: at zero, in the middle, and before they wrap. */
static const uint32_t starts[] = {
    0, 1, RING_COUNT - 1, INT32_MAX - 2, UINT32_MAX - RING_COUNT,
    UINT32_MAX - 100, UINT32_MAX - 1, UINT32_MAX,
};
enum { STARTS = sizeof starts / sizeof *starts };

START_TEST(empty_gives_null)
{
    ring.head = ring.tail = starts[_i];
    ck_assert_ptr_null(ring_take(&ring));
    ck_assert_ptr_null(ring_put(&ring, &records[0]));
    ck_assert_ptr_eq(ring_take(&ring), &records[0]);
    for (int i = 0; i < 3; i++)
        ck_assert_ptr_null(ring_take(&ring));
    ck_assert_uint_eq(ring.head, ring.tail);
}
END_TEST

/* Against a queue of two counters; the mix fills, overflows and empties. */
START_TEST(order_is_kept)
{
    struct rng rng = rng_make((uint64_t)_i);
    size_t put = 0, taken = 0; /* how many, for ever */

    ring.head = ring.tail = starts[_i];
    for (unsigned round = 0; round < 20000; round++) {
        unsigned puts_of_8 = round / 2500 % 2 ? 2 : 6;
        struct record *expected = NULL, *got;
        if (rng_below(&rng, 8) < puts_of_8) {
            if (put - taken == RING_COUNT)
                expected = &records[taken++ % RECORDS];
            got = ring_put(&ring, &records[put++ % RECORDS]);
        } else {
            if (taken < put)
                expected = &records[taken++ % RECORDS];
            got = ring_take(&ring);
        }
        if (got != expected)
            ck_abort_msg("round %u: record %td, expected %td", round,
                         got ? got - records : -1,
                         expected ? expected - records : -1);
    }
}
END_TEST

START_TEST(full_evicts_the_oldest)
{
    ring.head = ring.tail = starts[_i];
    for (size_t i = 0; i < RECORDS; i++) {
        struct record *left = ring_put(&ring, &records[i]);
        ck_assert_ptr_eq(left, i < RING_COUNT ? NULL
                                              : &records[i - RING_COUNT]);
    }
    for (size_t i = RECORDS - RING_COUNT; i < RECORDS; i++)
        ck_assert_ptr_eq(ring_take(&ring), &records[i]);
    ck_assert_ptr_null(ring_take(&ring));
}
END_TEST

/* ---- threads: a record is in the ring or with one thread, never both ---- */

static bool held[RECORDS];
static unsigned twice, strange;

/* Ours now: nobody else may have it. */
static void hold(struct record **mine, unsigned *count, struct record *record)
{
    if (record == NULL)
        return;
    if (record < records || record >= records + THREADS * OWN)
        __atomic_fetch_add(&strange, 1, __ATOMIC_RELAXED);
    else if (__atomic_exchange_n(&held[record - records], true,
                                 __ATOMIC_RELAXED))
        __atomic_fetch_add(&twice, 1, __ATOMIC_RELAXED);
    else
        mine[(*count)++] = record;
}

static void *put_and_take(void *argument)
{
    unsigned number = *(unsigned *)argument, count = 0;
    struct rng rng = rng_make(1000 + number);
    struct record *mine[THREADS * OWN];

    for (size_t i = 0; i < OWN; i++)
        hold(mine, &count, &records[number * OWN + i]);
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (count == 0 || rng_below(&rng, 8) < 3) {
            hold(mine, &count, ring_take(&ring));
        } else {
            struct record *record = mine[--count];
            __atomic_store_n(&held[record - records], false,
                             __ATOMIC_RELAXED);
            hold(mine, &count, ring_put(&ring, record));
        }
    }
    return NULL;
}

START_TEST(threads_never_share)
{
    pthread_t thread[THREADS];
    unsigned number[THREADS], in_ring = 0, lost = 0;

    (void)suite_seed(); /* before there are threads */
    ring.head = ring.tail = starts[_i];
    for (unsigned i = 0; i < THREADS; i++) {
        number[i] = i;
        ck_assert_int_eq(pthread_create(&thread[i], NULL, put_and_take,
                                        &number[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    ck_assert_uint_eq(strange, 0);
    ck_assert_uint_eq(twice, 0);
    /* The rest is in the ring's places, once. */
    for (unsigned i = 0; i < RING_COUNT; i++) {
        if (ring.place[i] == NULL)
            continue;
        ck_assert(!held[ring.place[i] - records]);
        held[ring.place[i] - records] = true;
        in_ring++;
    }
    for (unsigned i = 0; i < THREADS * OWN; i++)
        lost += !held[i];
    ck_assert_uint_le(in_ring, RING_COUNT);
    ck_assert_uint_eq(lost, 0);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("ring");
    TCase *single = tcase_create("one thread");
    tcase_add_loop_test(single, empty_gives_null, 0, STARTS);
    tcase_add_loop_test(single, order_is_kept, 0, STARTS);
    tcase_add_loop_test(single, full_evicts_the_oldest, 0, STARTS);
    suite_add_tcase(suite, single);

    TCase *threads = tcase_create("threads");
    tcase_set_timeout(threads, 30);
    tcase_add_loop_test(threads, threads_never_share, 0, STARTS);
    suite_add_tcase(suite, threads);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
