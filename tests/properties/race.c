/* SPDX-License-Identifier: MIT */
/*
 * race.c - two threads free the same object at once, over and over.
 *
 * With on_error=report the program goes on, so reports can be counted: one for
 * each round, and none lost. Both threads allocate and free others right after,
 * so that slots are used again while the frees are under way; no object may
 * ever have two owners.
 */
#include "properties.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { OBJECTS = 6000, OTHERS = 6, BYTES = 56 };

static char *object[OBJECTS];
static atomic_uint arrived;
static atomic_size_t doubles;
static size_t rounds;

/* Both leave at the same instant, as far as there are two processors. */
static void meet(unsigned round)
{
    atomic_fetch_add(&arrived, 1);
    for (unsigned spins = 0; atomic_load(&arrived) < 2 * (round + 1); spins++)
        if (spins % 256 == 255)
            sched_yield();
}

/* Fewer than a slot rests for: the raced object cannot be among them. */
static void use_others(struct rng *rng, uintptr_t me)
{
    char *p[OTHERS];
    size_t count = rng_below(rng, OTHERS);
    for (size_t i = 0; i < count; i++) {
        p[i] = m.malloc(BYTES);
        memcpy(p[i], &me, sizeof me);
    }
    for (size_t i = 0; i < count; i++) {
        doubles += memcmp(p[i], &me, sizeof me) != 0;
        m.free(p[i]);
    }
}

static void *race(void *arg)
{
    uintptr_t me = (uintptr_t)arg;
    struct rng rng = rng_make(130 + me);
    for (unsigned round = 0; round < rounds; round++) {
        meet(round);
        for (size_t pause = rng_below(&rng, 64); pause > 0; pause--)
            __asm__ volatile("");
        if (rng_below(&rng, 4) == 0)
            use_others(&rng, me);
        m.free(object[round]);
        use_others(&rng, me);
    }
    return NULL;
}

/* Let all messages arrive and every slot have its turn. */
static void settle(void)
{
    static char *p[40000];
    for (int times = 0; times < 3; times++) {
        for (size_t i = 0; i < sizeof p / sizeof *p; i++)
            p[i] = m.malloc(BYTES);
        for (size_t i = 0; i < sizeof p / sizeof *p; i++)
            m.free(p[i]);
    }
}

/* 0: the objects are of one of the two threads, who is `here`; 1: of a third
   one, which has ended; 2: of a third one, which lives. */
static void *make_objects(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < rounds; i++)
        object[i] = m.malloc(BYTES);
    return NULL;
}

START_TEST(two_frees_at_once)
{
    static const char *const owners[] = {"one of the two", "ended", "a third"};
    pthread_t thread[2], owner;
    PROPERTY_SKIP(!STRICT_REMOTE, "strict-remote");
    rounds = suite_full() ? OBJECTS : 2000;
    property_report_only();
    if (_i == 1) {
        pthread_create(&owner, NULL, make_objects, NULL);
        pthread_join(owner, NULL);
    } else {
        make_objects(NULL);
    }
    /* Its slabs are in use: it goes on as the one, or looks on as a third. */
    int first = _i == 0 ? 1 : 0;
    for (uintptr_t i = (uintptr_t)first; i < 2; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, race, (void *)i), 0);
    if (first == 1)
        race((void *)0);
    for (int i = first; i < 2; i++)
        pthread_join(thread[i], NULL);
    unsigned long at_once = property_reports();
    settle();
    unsigned long found = property_reports();
    PROPERTY_SAY("two frees at once, owner %s: %zu rounds, %lu reports, %lu of "
                 "them when it was over\n", owners[_i], rounds, found,
                 found - at_once);
    ck_assert_uint_eq(found, rounds);
    ck_assert_uint_eq(doubles, 0);
}
END_TEST

TCase *race_case(void)
{
    TCase *tcase = tcase_create("race");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, two_frees_at_once, 0, 3);
    return tcase;
}
