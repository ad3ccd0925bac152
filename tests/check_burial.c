/* SPDX-License-Identifier: MIT */
/*
 * check_burial.c - after a fork the heaps of threads that are not there are
 * given away, and no other: not that of the thread that forked, even if it
 * sleeps from then on, nor those of threads that the child has made since.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"
#include "thread.h"

#include "support/block.h"

enum { KEPT = 400, ROUNDS = 3000, OTHERS = 4, FAILED = 90 };

static struct block *kept[KEPT];
static pthread_barrier_t line;

/* Slow calls enough for every burial there can be. */
static void *make_slow_calls(void *arg)
{
    struct rng rng = rng_make((uintptr_t)arg + 1);
    struct block *block[64] = {NULL};

    for (int i = 0; i < ROUNDS * 64; i++) {
        size_t at = rng_below(&rng, 64);
        if (!block_end(block[at]))
            _exit(FAILED + 1);
        block[at] = block_make(&rng, 1 + rng_below(&rng, 30 * KIB));
    }
    for (int i = 0; i < 64; i++)
        block_end(block[i]);
    return NULL;
}

static void run_threads(void *(*run)(void *), unsigned count)
{
    pthread_t thread[OTHERS];

    for (uintptr_t i = 0; i < count; i++) {
        if (pthread_create(&thread[i], NULL, run, (void *)i) != 0)
            _exit(FAILED + 2);
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(thread[i], NULL);
}

static int status_of(pid_t pid)
{
    int status;

    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void fill_kept(struct rng *rng)
{
    for (int i = 0; i < KEPT; i++) {
        kept[i] = block_make(rng, 1 + rng_below(rng, 2000));
        if (!kept[i])
            _exit(FAILED + 3);
    }
}

static void end_kept(void)
{
    for (int i = 0; i < KEPT; i++) {
        if (!block_end(kept[i]))
            _exit(FAILED + 4);
    }
}

/* In the child: the thread that forked makes no slow call, another many. */
static void sleep_while_another_works(void)
{
    struct heap *mine = thread_heap();

    run_threads(make_slow_calls, 1);
    if (thread_heap() != mine || mine->generation == 0)
        _exit(FAILED + 5);
    /* Had it been given away, somebody else would open it now. */
    for (int i = 0; i < OTHERS; i++) {
        if (heap_open() == mine)
            _exit(FAILED + 6);
    }
    end_kept();
    _exit(0);
}

START_TEST(the_thread_that_forked_keeps_its_heap)
{
    struct rng rng = rng_make(1);

    fill_kept(&rng);
    pid_t pid = _i == 0 ? fork() : _Fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        sleep_while_another_works();
    ck_assert_int_eq(status_of(pid), 0);
    end_kept();
}
END_TEST

/* Threads of the child that notice the fork all at once. */
static void *meet_and_work(void *arg)
{
    pthread_barrier_wait(&line);
    return make_slow_calls(arg);
}

START_TEST(threads_that_notice_a_fork_at_once_agree)
{
    struct rng rng = rng_make(2);
    uint64_t before = process_generation();

    fill_kept(&rng);
    pthread_barrier_init(&line, NULL, OTHERS);
    pid_t pid = _i == 0 ? fork() : _Fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        run_threads(meet_and_work, OTHERS);
        end_kept();
        _exit(process_generation() > before ? 0 : FAILED + 7);
    }
    ck_assert_int_eq(status_of(pid), 0);
    end_kept();
}
END_TEST

/* A parent's threads, with memory, that the child does not have. */
static void *hold_and_wait(void *arg)
{
    struct rng rng = rng_make((uintptr_t)arg + 50);
    struct block *block[100];

    for (int i = 0; i < 100; i++)
        block[i] = block_make(&rng, 1 + rng_below(&rng, 5000));
    pthread_barrier_wait(&line);
    pthread_barrier_wait(&line);
    for (int i = 0; i < 100; i++)
        ck_assert(block_end(block[i]));
    return NULL;
}

static void bury_the_others(void)
{
    unsigned old = 0;
    uint64_t before = process_generation();

    make_slow_calls(NULL);
    for (uint32_t id = 1; id <= heap_count(); id++) {
        struct heap *heap = heap_of_id(id);
        old += heap->generation != 0 && heap->generation < before;
    }
    end_kept();
    _exit(old == 0 ? 0 : FAILED + 8);
}

START_TEST(heaps_of_threads_that_are_not_there_are_buried)
{
    struct rng rng = rng_make(3);
    pthread_t thread[OTHERS];

    fill_kept(&rng);
    pthread_barrier_init(&line, NULL, OTHERS + 1);
    for (uintptr_t i = 0; i < OTHERS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, hold_and_wait,
                                        (void *)i), 0);
    pthread_barrier_wait(&line);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        bury_the_others();
    pthread_barrier_wait(&line);
    for (int i = 0; i < OTHERS; i++)
        pthread_join(thread[i], NULL);
    ck_assert_int_eq(status_of(pid), 0);
    end_kept();
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("burial");
    TCase *fork_case = tcase_create("fork");
    tcase_set_timeout(fork_case, 120);
    /* 0: fork with its handlers; 1: the bare system call. */
    tcase_add_loop_test(fork_case, the_thread_that_forked_keeps_its_heap, 0, 2);
    tcase_add_loop_test(fork_case, threads_that_notice_a_fork_at_once_agree,
                        0, 2);
    tcase_add_test(fork_case, heaps_of_threads_that_are_not_there_are_buried);
    suite_add_tcase(suite, fork_case);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
