/* SPDX-License-Identifier: MIT */
/*
 * stress.c - threads that come and go, sleep, fork, are interrupted and free
 * each other's memory; afterwards every byte must be accounted for.
 *
 * Each test ends with settle(): no object is alive by the records, nothing is
 * under way, and what is resident has come back to a bound that is stated.
 * Bounded by counts; MERLON_TEST_FULL=1 for the long ones.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "face.h"

#include "../support/block.h"

enum {
    TABLE = 4096,
    THREADS = 4,
    SLEEPERS = 16,
    CHILD_SECONDS = 20,
    /* What may stay resident beyond the start: an empty slab and a cached
       span of each class in this thread's heap, and tables. */
    RESIDENT = 12 * MIB,
};

static _Atomic(struct block *) table[TABLE];
static atomic_uint salt;
static atomic_bool stop;
static size_t resident_before;

static struct rng thread_rng(void)
{
    return rng_make(1000 + atomic_fetch_add(&salt, 1));
}

static void start(pthread_t *thread, void *(*run)(void *), void *arg)
{
    int error;

    while ((error = pthread_create(thread, NULL, run, arg)) == EAGAIN)
        suite_sleep_ms(1);
    ck_assert_int_eq(error, 0);
}

static void end_block(struct block *block)
{
    if (!block_end(block)) {
        fprintf(stderr, "a block was overwritten\n");
        abort();
    }
}

/* Put a new block, or none, in a random place of the table; end what was
   there, whoever made it. */
static void exchange_one(struct rng *rng, unsigned top)
{
    struct block *block = NULL;

    if (rng_below(rng, 100) < 60)
        block = block_make(rng, rng_size(rng, top));
    end_block(atomic_exchange(&table[rng_below(rng, TABLE)], block));
}

static void clear_table(void)
{
    for (int i = 0; i < TABLE; i++)
        end_block(atomic_exchange(&table[i], NULL));
}

static size_t live_objects(void)
{
    struct face_stats stats;

    face_gather(&stats, NULL);
    return stats.live_count;
}

static void setup(void)
{
    m.free(m.malloc(1));
    face_trim();
    resident_before = suite_rss_bytes();
    atomic_store(&stop, false);
}

/* Nothing is alive, and pages have gone back. */
static void settle(void)
{
    clear_table();
    face_trim();
    ck_assert_uint_eq(live_objects(), 0);
    /* Twice: what was given to the arena by the first is purged now. */
    face_trim();
    size_t now = suite_rss_bytes();
    ck_assert_msg(now <= resident_before + RESIDENT, "%zu KiB stay resident",
                  (now - resident_before) / KIB);
}

/* ---- a hundred thousand threads ---- */

static void *short_life(void *arg)
{
    struct rng rng = thread_rng();

    (void)arg;
    for (int i = 0; i < 30; i++)
        exchange_one(&rng, 11);
    return NULL;
}

START_TEST(thread_churn)
{
    unsigned rounds = (suite_full() ? 100000 : 2000) / THREADS;
    pthread_t thread[THREADS];

    for (unsigned round = 0; round < rounds; round++) {
        for (int i = 0; i < THREADS; i++)
            start(&thread[i], short_life, NULL);
        for (int i = 0; i < THREADS; i++)
            pthread_join(thread[i], NULL);
    }
    settle();
}
END_TEST

/* ---- owners that sleep for ever ---- */

static pthread_barrier_t line;
static struct block *owned[SLEEPERS][TABLE];

static void *own_and_sleep(void *arg)
{
    struct rng rng = thread_rng();
    size_t which = (size_t)(uintptr_t)arg;
    static const size_t sizes[] = {64, 500, 3000};

    for (int i = 0; i < TABLE; i++)
        owned[which][i] = block_make(&rng, sizes[i % 3]);
    pthread_barrier_wait(&line);
    pthread_barrier_wait(&line); /* sleeps here */
    return NULL;
}

START_TEST(owners_that_sleep)
{
    pthread_t thread[SLEEPERS];

    pthread_barrier_init(&line, NULL, SLEEPERS + 1);
    for (uintptr_t i = 0; i < SLEEPERS; i++)
        start(&thread[i], own_and_sleep, (void *)i);
    pthread_barrier_wait(&line);
    size_t full = suite_rss_bytes();
    for (int i = 0; i < SLEEPERS; i++) {
        for (int j = 0; j < TABLE; j++)
            end_block(owned[i][j]);
    }
    face_trim();
    face_trim();
    /* What sleepers hold is their current slabs; the rest came back. */
    size_t now = suite_rss_bytes();
    ck_assert_msg(now == 0 || now - resident_before
                  < (full - resident_before) / 4,
                  "%zu of %zu KiB", (now - resident_before) / KIB,
                  (full - resident_before) / KIB);
    pthread_barrier_wait(&line);
    for (int i = 0; i < SLEEPERS; i++)
        pthread_join(thread[i], NULL);
    settle();
}
END_TEST

/* ---- heaps that end, and are opened again, while messages arrive ---- */

static void *free_for_ever(void *arg)
{
    struct rng rng = thread_rng();

    (void)arg;
    while (!atomic_load(&stop))
        end_block(atomic_exchange(&table[rng_below(&rng, TABLE)], NULL));
    return NULL;
}

static void *fill_and_end(void *arg)
{
    struct rng rng = thread_rng();

    (void)arg;
    for (int i = 0; i < 400; i++) {
        size_t at = rng_below(&rng, TABLE);
        end_block(atomic_exchange(&table[at],
                                  block_make(&rng, rng_size(&rng, 9))));
    }
    return NULL;
}

START_TEST(heaps_end_while_messages_arrive)
{
    unsigned rounds = suite_full() ? 40000 : 1500;
    pthread_t eater[2], owner[2];

    for (int i = 0; i < 2; i++)
        start(&eater[i], free_for_ever, NULL);
    for (unsigned round = 0; round < rounds; round++) {
        for (int i = 0; i < 2; i++)
            start(&owner[i], fill_and_end, NULL);
        for (int i = 0; i < 2; i++)
            pthread_join(owner[i], NULL);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(eater[i], NULL);
    settle();
}
END_TEST

/* ---- n to one, one to n ---- */

static void *produce(void *arg)
{
    size_t count = (size_t)(uintptr_t)arg;
    struct rng rng = thread_rng();

    for (size_t i = 0; i < count;) {
        struct block *block = block_make(&rng, rng_size(&rng, 9));
        struct block *none = NULL;
        while (!atomic_compare_exchange_weak(&table[rng_below(&rng, TABLE)],
                                             &none, block))
            none = NULL;
        i++;
    }
    return NULL;
}

START_TEST(producers_and_eaters)
{
    static const unsigned shape[][2] = { {3, 1}, {1, 3}, {2, 2} };
    size_t total = suite_full() ? 6000000 : 200000;
    pthread_t maker[3], eater[3];

    for (unsigned i = 0; i < shape[_i][1]; i++)
        start(&eater[i], free_for_ever, NULL);
    for (unsigned i = 0; i < shape[_i][0]; i++)
        start(&maker[i], produce, (void *)(total / shape[_i][0]));
    for (unsigned i = 0; i < shape[_i][0]; i++)
        pthread_join(maker[i], NULL);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < shape[_i][1]; i++)
        pthread_join(eater[i], NULL);
    settle();
}
END_TEST

/* ---- fork, exit and signals amid all this ---- */

static void *churn_for_ever(void *arg)
{
    struct rng rng = thread_rng();

    (void)arg;
    while (!atomic_load(&stop))
        exchange_one(&rng, 12);
    return NULL;
}

static void start_churning(pthread_t *thread)
{
    for (int i = 0; i < THREADS; i++)
        start(&thread[i], churn_for_ever, NULL);
}

static void end_churning(const pthread_t *thread)
{
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}

static void expect_exit(pid_t pid, int wanted)
{
    int status;

    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == wanted,
                  "a child ended with %#x", (unsigned)status);
}

/* The child frees what it can see, makes threads, forks once more. */
static void child_life(bool forks)
{
    struct rng rng = rng_make((uint64_t)getpid());
    pthread_t thread;
    int status = 1;
    pid_t pid;

    alarm(CHILD_SECONDS);
    for (int i = 0; i < 300; i++)
        exchange_one(&rng, 12);
    if (pthread_create(&thread, NULL, short_life, NULL) == 0)
        pthread_join(thread, NULL);
    if (!forks || (pid = fork()) == 0)
        _exit(0);
    _exit(waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 2);
}

START_TEST(fork_storm)
{
    unsigned forks = suite_full() ? 5000 : 150;
    pthread_t thread[THREADS];

    start_churning(thread);
    for (unsigned i = 0; i < forks; i++) {
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
            child_life(i % 3 == 0);
        expect_exit(pid, 0);
    }
    end_churning(thread);
    settle();
}
END_TEST

/* exit() runs handlers and flushes streams while others allocate and free. */
static void at_exit(void)
{
    for (int i = 0; i < 200; i++)
        m.free(m.malloc((size_t)i * 37));
}

START_TEST(exit_while_others_free)
{
    unsigned rounds = suite_full() ? 2000 : 80;

    for (unsigned i = 0; i < rounds; i++) {
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            pthread_t thread[THREADS];
            alarm(CHILD_SECONDS);
            atexit(at_exit);
            start_churning(thread);
            usleep(i % 7 * 300);
            exit(7);
        }
        expect_exit(pid, 7);
    }
    settle();
}
END_TEST

/*
 * malloc is none of the functions that a signal handler may call, fork is one.
 * The child, which stands in the middle of whatever was interrupted, allocates
 * and frees, and does not return.
 */
static atomic_uint handled;

static void on_signal(int number)
{
    int saved = errno;

    (void)number;
    if (atomic_fetch_add(&handled, 1) % 16 == 0 && fork() == 0) {
        struct rng rng = rng_make((uint64_t)getpid());
        alarm(CHILD_SECONDS);
        for (int i = 0; i < 100; i++)
            exchange_one(&rng, 12);
        _exit(0);
    }
    errno = saved;
}

/* Waits for children of the handlers; how many did not end well. */
static unsigned bury_children(int flags)
{
    unsigned bad = 0;
    int status;

    while (waitpid(-1, &status, flags) > 0)
        bad += status != 0;
    return bad;
}

START_TEST(signals_arrive_in_the_allocator)
{
    double seconds = suite_full() ? 60 : 2, until = suite_seconds() + seconds;
    struct sigaction action = { .sa_handler = on_signal,
                                .sa_flags = SA_RESTART };
    pthread_t thread[THREADS];
    unsigned long sent = 0;
    unsigned bad = 0;

    sigaction(SIGUSR1, &action, NULL);
    for (int i = 0; i < THREADS; i++)
        start(&thread[i], churn_for_ever, NULL);
    while (suite_seconds() < until) {
        pthread_kill(thread[sent++ % THREADS], SIGUSR1);
        bad += bury_children(WNOHANG);
        usleep(50);
    }
    end_churning(thread);
    bad += bury_children(0);
    printf("# %u signals handled\n", atomic_load(&handled));
    ck_assert_uint_eq(bad, 0);
    settle();
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("stress");
    TCase *threads = tcase_create("threads");
    TCase *process = tcase_create("process");

    tcase_add_checked_fixture(threads, setup, NULL);
    tcase_set_timeout(threads, suite_full() ? 1200 : 120);
    tcase_add_test(threads, thread_churn);
    tcase_add_test(threads, owners_that_sleep);
    tcase_add_test(threads, heaps_end_while_messages_arrive);
    tcase_add_loop_test(threads, producers_and_eaters, 0, 3);
    tcase_add_checked_fixture(process, setup, NULL);
    tcase_set_timeout(process, suite_full() ? 1200 : 120);
    tcase_add_test(process, fork_storm);
    tcase_add_test(process, exit_while_others_free);
    tcase_add_test(process, signals_arrive_in_the_allocator);
    suite_add_tcase(suite, threads);
    suite_add_tcase(suite, process);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
