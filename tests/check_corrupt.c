/* SPDX-License-Identifier: MIT */
/*
 * check_corrupt.c - a program whose freed memory is written to all the time,
 * by one thread and by many.
 *
 * The attacker knows the address of everything that was ever freed and writes
 * there: anything, anywhere, whenever he likes, also while the owner of the
 * slab takes slots out of it. With on_error=report the program goes on. What
 * must hold: nothing but reports, no wild access inside merlon (it would end
 * the child by a signal), and no object that overlaps another: every object is
 * filled, and must be whole when it is freed.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "die.h"
#include "policy.h"

#include "support/drives.h"
#include "support/fault.h"
#include "support/pattern.h"
#include "support/shadow.h"
#include "support/suite.h"

enum {
    THREADS_MAX = 6,
    TABLE = 1 << 12,  /* objects of all threads, by place */
    STALE = 1 << 10,
    HEAD_BYTES = 16,  /* of a freed object are written to */
    SIZE_TOP = 14,
    WRITES_SHARE = 32, /* one in so many operations */
    REPORTS_MAX = 300000, /* each leaks a slot */
};

/* A place is locked by whoever looks at it; p is NULL where none lives. */
static struct place {
    unsigned char lock;
    uint32_t bytes;
    uint64_t tag;
    unsigned char *p;
} table[TABLE];

/* Freed objects, and how large they were: written and read by all threads. */
static struct {
    unsigned char *p;
    size_t bytes;
} stale[STALE];
static unsigned stale_next;

static double end_seconds;
static unsigned long operations, writes, refusals;

static void lock(struct place *place)
{
    while (__atomic_test_and_set(&place->lock, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void unlock(struct place *place)
{
    __atomic_clear(&place->lock, __ATOMIC_RELEASE);
}

/*
 * With many threads nobody can tell which live object a late write has hit. So
 * the writers keep to the first bytes of what was freed, and live objects keep
 * nothing there: isolation sees to it that a slot's address begins a slot for
 * ever. Without it only several_heaps, which knows what was hit, can judge.
 */
static bool has_body(const struct place *place)
{
    return CLASS_ISOLATION && place->bytes > HEAD_BYTES;
}

static void fill(const struct place *place)
{
    if (has_body(place))
        pattern_fill(place->p + HEAD_BYTES, place->bytes - HEAD_BYTES,
                     place->tag);
}

static bool is_whole(const struct place *place)
{
    return !has_body(place)
        || pattern_holds(place->p + HEAD_BYTES, place->bytes - HEAD_BYTES,
                         place->tag);
}

/* ---- the program ---- */

static void end_object(struct place *place)
{
    unsigned char *p = place->p;

    if (!is_whole(place))
        shadow_fail("%u bytes at %p were written over", place->bytes,
                    (void *)p);
    unsigned at = __atomic_fetch_add(&stale_next, 1, __ATOMIC_RELAXED);
    place->p = NULL;
    m.free(p);
    __atomic_store_n(&stale[at % STALE].bytes, place->bytes,
                     __ATOMIC_RELAXED);
    __atomic_store_n(&stale[at % STALE].p, p, __ATOMIC_RELEASE);
}

static void make_object(struct place *place, struct rng *rng)
{
    size_t bytes = rng_size(rng, SIZE_TOP);

    place->bytes = (uint32_t)bytes;
    place->tag = rng_next(rng);
    place->p = rng_below(rng, 4) ? m.malloc(bytes) : m.calloc(1, bytes);
    if (place->p)
        fill(place);
    else
        __atomic_fetch_add(&refusals, 1, __ATOMIC_RELAXED);
}

/* ---- the attacker ---- */

static void write_somewhere(struct rng *rng)
{
    unsigned at = (unsigned)rng_below(rng, STALE);
    unsigned char *p = __atomic_load_n(&stale[at].p, __ATOMIC_ACQUIRE);
    size_t bytes = __atomic_load_n(&stale[at].bytes, __ATOMIC_RELAXED);
    uint64_t word = rng_next(rng);

    if (p == NULL || bytes < HEAD_BYTES)
        return;
    switch (rng_below(rng, 6)) {
    case 0: /* one bit */
        p[word % 16] ^= (unsigned char)(1 << word / 16 % 8);
        break;
    case 1: /* a pointer to another freed object */
        word = (uint64_t)(uintptr_t)stale[word % STALE].p;
        memcpy(p, &word, sizeof word);
        break;
    case 2: /* what stands in another freed slot: a link of somebody else's */
        if (stale[word % STALE].p)
            memcpy(p, stale[word % STALE].p, 8);
        break;
    case 3:
        memset(p, 0, 8 + word % 8);
        break;
    case 4:
        p[8 + word % 8] = (unsigned char)(word >> 8);
        break;
    default:
        memcpy(p, &word, sizeof word);
    }
    __atomic_fetch_add(&writes, 1, __ATOMIC_RELAXED);
}

static unsigned long reports(void)
{
    unsigned long sum = 0;

    for (int kind = 0; kind < DIE_KIND_COUNT; kind++)
        sum += die_count(kind);
    return sum;
}

static bool is_time(void)
{
    return suite_seconds() >= end_seconds || reports() > REPORTS_MAX;
}

static void *run(void *argument)
{
    struct rng rng = rng_make(200 + (uintptr_t)argument);
    unsigned long count = 0;

    while (count % 256 != 0 || !is_time()) {
        struct place *place = &table[rng_below(&rng, TABLE)];
        lock(place);
        if (place->p)
            end_object(place);
        else
            make_object(place, &rng);
        unlock(place);
        if (rng_below(&rng, WRITES_SHARE) == 0)
            write_somewhere(&rng);
        count++;
    }
    __atomic_fetch_add(&operations, count, __ATOMIC_RELAXED);
    return NULL;
}

static void attack(unsigned count, double seconds)
{
    pthread_t thread[THREADS_MAX];

    die_configure(true, -1);
    end_seconds = suite_seconds() + seconds;
    for (uintptr_t i = 1; i < count; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, run, (void *)i), 0);
    run(NULL);
    for (unsigned i = 1; i < count; i++)
        pthread_join(thread[i], NULL);
    printf("# %u threads: %lu operations, %lu writes into freed memory, %lu "
           "reports, %lu times NULL\n", count, operations, writes, reports(),
           refusals);
    fflush(stdout);
    ck_assert_uint_gt(writes, 0);
    /* Who does not look at freed memory has nothing to report. */
    if (WRITE_CHECK)
        ck_assert_uint_gt(reports(), 0);
    ck_assert_uint_eq(refusals, 0);
}

static double share(void)
{
    return suite_full() ? 120 : 2;
}

START_TEST(one_thread)
{
    attack(1, share());
}
END_TEST

START_TEST(many_threads)
{
    attack(THREADS_MAX, share());
}
END_TEST

/* The same with every crime there is, and exact knowledge of what was hit. */
START_TEST(several_heaps)
{
    static uint8_t bytes[8000];
    struct rng rng = rng_make(300);
    double end = suite_seconds() + share();
    unsigned long count = 0;

    fault_fix_random(suite_seed());
    do {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)rng_next(&rng);
        drive_corrupt(bytes, sizeof bytes);
        count++;
    } while (suite_seconds() < end);
    printf("# several heaps: %lu runs\n", count);
    fflush(stdout);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("corrupt");
    TCase *freed = tcase_create("freed");
    tcase_set_timeout(freed, suite_full() ? 400 : 60);
    if (MERLON_HARDENING && EXACT_STATE) {
        tcase_add_test(freed, one_thread);
        tcase_add_test(freed, many_threads);
        tcase_add_test(freed, several_heaps);
    } else {
        puts("# SKIP: this build promises nothing to who corrupts memory");
    }
    suite_add_tcase(suite, freed);
    return suite;
}

/* A sampled object faults when it is touched after its end, which is its
   purpose and would be ours. Options are read at start. */
static void without_samples(char **argv)
{
    const char *options = getenv("MERLON_OPTIONS");
    char text[256];

    if (options && strstr(options, "sample="))
        return;
    snprintf(text, sizeof text, "%s%ssample=0", options ? options : "",
             options ? "," : "");
    setenv("MERLON_OPTIONS", text, 1);
    execv("/proc/self/exe", argv);
    exit(1);
}

int main(int argc, char **argv)
{
    without_samples(argv);
    return suite_main(argc, argv, make);
}
