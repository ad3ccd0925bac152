/* SPDX-License-Identifier: MIT */
/*
 * check_sleep.c - memory whose owner will never look at its messages again.
 *
 * Objects are chained through their own first word: an array of pointers to
 * them would itself be a good part of the memory that is measured.
 *
 * MERLON_TEST_FULL=1 takes 1 GiB and asks for less than 64 MiB within 2 s.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/suite.h"

struct object {
    struct object *next;
    char rest[];
};

static size_t total_bytes(void)
{
    return (size_t)(suite_full() ? 1024 : 256) * MIB;
}

static size_t limit_bytes(void)
{
    return (size_t)(suite_full() ? 64 : 24) * MIB;
}

static struct object *make_chain(size_t count, size_t bytes)
{
    struct object *chain = NULL;
    for (size_t i = 0; i < count; i++) {
        struct object *object = m.malloc(bytes);
        /* Check writes to a pipe at each assertion: not a million times. */
        if (object == NULL)
            ck_abort_msg("no memory for %zu bytes", bytes);
        memset(object, 1, bytes);
        object->next = chain;
        chain = object;
    }
    return chain;
}

static void free_chain(struct object *chain)
{
    while (chain != NULL) {
        struct object *next = chain->next;
        m.free(chain);
        chain = next;
    }
}

/* Free every hundredth object, return the others. */
static struct object *thin_out(struct object *chain)
{
    struct object *kept = NULL;
    for (size_t i = 0; chain != NULL; i++) {
        struct object *next = chain->next;
        if (i % 100 == 7) {
            m.free(chain);
        } else {
            chain->next = kept;
            kept = chain;
        }
        chain = next;
    }
    return kept;
}

/* ---- A allocates, and then sleeps for ever or ends ---- */

static _Atomic(struct object *) handed;
static bool owner_thins_out, owner_ends;

static void *own(void *arg)
{
    (void)arg;
    struct object *chain = make_chain(total_bytes() / 64, 64);
    if (owner_thins_out)
        chain = thin_out(chain);
    atomic_store(&handed, chain);
    while (!owner_ends)
        suite_sleep_ms(100000);
    return NULL;
}

/* B goes on allocating small objects; how long until memory is given back? */
static double seconds_until_low(size_t limit)
{
    void *kept[64] = {NULL};
    double start = suite_seconds(), now = start;
    size_t rss = 0;
    for (size_t i = 0; now < start + 2.0; i++) {
        m.free(kept[i % 64]);
        kept[i % 64] = m.malloc(16 + i % 200);
        if (i % 1024 != 0)
            continue;
        rss = suite_rss_bytes();
        now = suite_seconds();
        if (rss < limit)
            break;
    }
    for (int i = 0; i < 64; i++)
        m.free(kept[i]);
    rss = suite_rss_bytes();
    printf("# %zu MiB resident after %.2f s, limit %zu\n", rss / MIB,
           now - start, limit / MIB);
    fflush(stdout);
    return rss < limit ? now - start : 99;
}

static void run_owner(bool thins_out, bool ends)
{
    owner_thins_out = thins_out;
    owner_ends = ends;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, own, NULL), 0);
    while (atomic_load(&handed) == NULL)
        suite_sleep_ms(5);
    if (ends)
        pthread_join(thread, NULL);
    ck_assert_uint_gt(suite_rss_bytes(), total_bytes() * 9 / 10);
    free_chain(atomic_load(&handed));
    double seconds = seconds_until_low(limit_bytes());
    ck_assert_msg(seconds <= 2.0, "%zu MiB are still resident",
                  suite_rss_bytes() / MIB);
}

START_TEST(owner_sleeps)
{
    run_owner(false, false);
}
END_TEST

START_TEST(owner_ended)
{
    run_owner(false, true);
}
END_TEST

START_TEST(owner_thinned_out_and_sleeps)
{
    run_owner(true, false);
}
END_TEST

START_TEST(owner_thinned_out_and_ended)
{
    run_owner(true, true);
}
END_TEST

/* ---- a thread that only frees must not hoard ---- */

static _Atomic(struct object *) mailbox;
static atomic_int eaten_count;
static atomic_bool eater_done;

/* It never allocates, and after the last parcel it sleeps. */
static void *eat(void *arg)
{
    (void)arg;
    while (!atomic_load(&eater_done)) {
        struct object *chain = atomic_exchange(&mailbox, NULL);
        if (chain != NULL) {
            free_chain(chain);
            atomic_fetch_add(&eaten_count, 1);
        }
        suite_sleep_ms(1);
    }
    for (;;)
        suite_sleep_ms(100000);
    return NULL;
}

static const size_t eaten_bytes[] = {64, KIB, 16 * KIB, 128 * KIB, 512 * KIB};

/*
 * The main thread sends 24 MiB at a time and waits until they are freed: what
 * the eater keeps to itself would have to be allocated anew.
 */
START_TEST(eater_does_not_hoard)
{
    enum { PARCEL = 24 * MIB };
    size_t bytes = eaten_bytes[_i], before = suite_rss_bytes(), highest = 0;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, eat, NULL), 0);
    for (int round = 0; round < 12; round++) {
        struct object *chain = make_chain(PARCEL / bytes, bytes);
        size_t rss = suite_rss_bytes();
        highest = rss > highest ? rss : highest;
        atomic_store(&mailbox, chain);
        while (atomic_load(&eaten_count) <= round)
            suite_sleep_ms(1);
    }
    printf("# objects of %zu bytes: 24 MiB live, %zu MiB resident at most\n",
           bytes, (highest - before) / MIB);
    ck_assert_uint_lt(highest - before, PARCEL / 2 * 5);
    atomic_store(&eater_done, true);
    double seconds = seconds_until_low(before + 12 * MIB);
    ck_assert_msg(seconds <= 2.0, "%zu MiB are still resident",
                  (suite_rss_bytes() - before) / MIB);
}
END_TEST

/* ---- a few frees in an outbox, and then nothing more ---- */

static atomic_int few_done;

static void *eat_few(void *arg)
{
    free_chain(arg);
    atomic_fetch_add(&few_done, 1);
    for (;;)
        suite_sleep_ms(100000);
    return NULL;
}

/*
 * 100 threads free a chain of large slots each and sleep with whatever their
 * outboxes hold: that must be little.
 */
START_TEST(outboxes_of_sleepers_are_small)
{
    enum { THREADS = 100, EACH = 8 * 64 * KIB };
    size_t before = suite_rss_bytes();
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        struct object *chain = make_chain(EACH / (64 * KIB), 64 * KIB);
        ck_assert_int_eq(pthread_create(&thread, NULL, eat_few, chain), 0);
        while (atomic_load(&few_done) <= i)
            suite_sleep_ms(1);
    }
    /* Of 50 MiB in all. */
    double seconds = seconds_until_low(before + 16 * MIB);
    ck_assert_msg(seconds <= 2.0, "%zu MiB are still resident",
                  (suite_rss_bytes() - before) / MIB);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("sleep");
    TCase *sleeper = tcase_create("sleeping owner");
    tcase_set_timeout(sleeper, 120);
    tcase_add_test(sleeper, owner_sleeps);
    tcase_add_test(sleeper, owner_ended);
    tcase_add_test(sleeper, owner_thinned_out_and_sleeps);
    tcase_add_test(sleeper, owner_thinned_out_and_ended);
    suite_add_tcase(suite, sleeper);
    TCase *eater = tcase_create("only frees");
    tcase_set_timeout(eater, 60);
    tcase_add_loop_test(eater, eater_does_not_hoard, 0,
                        sizeof eaten_bytes / sizeof *eaten_bytes);
    tcase_add_test(eater, outboxes_of_sleepers_are_small);
    suite_add_tcase(suite, eater);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
