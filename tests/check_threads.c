/* SPDX-License-Identifier: MIT */
/*
 * check_threads.c - threads that free each other's memory, die and are reborn.
 *
 * Every block says at its start how large it is and then carries a pattern, so
 * whoever frees it can tell that it is whole. Where a test says that memory
 * must not grow, it looks at the resident pages of the process.
 *
 * check_sleep.c has the tests of memory sent to threads that never wake.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/block.h"

enum { MAX_THREADS = 8 };

static struct block *make_block(struct rng *rng, size_t bytes)
{
    struct block *block = block_make(rng, bytes);
    ck_assert_msg(block != NULL, "no memory for %zu bytes", bytes);
    return block;
}

static void end_block(struct block *block)
{
    size_t bytes = block != NULL ? block->bytes : 0;
    ck_assert_msg(block_end(block), "broken block of %zu bytes", bytes);
}

static void start(pthread_t *thread, void *(*run)(void *), void *arg)
{
    int error = pthread_create(thread, NULL, run, arg);
    ck_assert_msg(error == 0, "pthread_create: %d", error);
}

static void run_all(unsigned count, void *(*run)(void *))
{
    pthread_t thread[MAX_THREADS];
    for (uintptr_t i = 0; i < count; i++)
        start(&thread[i], run, (void *)i);
    for (unsigned i = 0; i < count; i++)
        pthread_join(thread[i], NULL);
}

/* ---- a table of blocks that all threads exchange ---- */

enum { SHARED = 4096 };
static _Atomic(struct block *) shared[SHARED];
static size_t churn_steps;
static unsigned churn_top;
static atomic_uint churn_salt;

static void *churn(void *arg)
{
    (void)arg;
    struct rng rng = rng_make(100 + atomic_fetch_add(&churn_salt, 1));
    for (size_t i = 0; i < churn_steps; i++) {
        struct block *block = NULL;
        size_t dice = rng_below(&rng, 100);
        if (dice < 60)
            block = make_block(&rng, rng_size(&rng, churn_top));
        block = atomic_exchange(&shared[rng_below(&rng, SHARED)], block);
        if (block != NULL && dice % 10 == 0) {
            ck_assert(block_is_whole(block));
            size_t old = block->bytes;
            struct block *moved = m.realloc(block, old + dice * 3);
            ck_assert_ptr_nonnull(moved);
            ck_assert_uint_eq(moved->bytes, old);
            block = moved;
        }
        end_block(block);
    }
    return NULL;
}

static void shared_clear(void)
{
    for (int i = 0; i < SHARED; i++)
        end_block(atomic_exchange(&shared[i], NULL));
}

START_TEST(random_churn)
{
    churn_steps = suite_full() ? 3000000 : 200000;
    churn_top = 9;
    run_all(4, churn);
    shared_clear();
}
END_TEST

START_TEST(random_churn_of_all_sizes)
{
    churn_steps = suite_full() ? 300000 : 12000;
    churn_top = 17;
    run_all(4, churn);
    churn_steps /= 20;
    churn_top = 22;
    run_all(3, churn);
    shared_clear();
}
END_TEST

/* Threads that end with blocks alive, and new ones that free those. */
START_TEST(threads_die_and_are_reborn)
{
    size_t highest = 0;
    unsigned rounds = suite_full() ? 3000 : 200;
    churn_steps = 500;
    churn_top = 10;
    for (unsigned round = 0; round < rounds; round++) {
        run_all(4, churn);
        if (round == rounds / 4)
            highest = suite_rss_bytes();
    }
    ck_assert_uint_lt(suite_rss_bytes(), highest + highest / 2 + 8 * MIB);
    shared_clear();
}
END_TEST

/* ---- rings from n producers to n consumers ---- */

enum { RING = 1024 };
struct ring {
    pthread_mutex_t lock;
    sem_t filled, empty;
    unsigned head, tail;
    struct block *slot[RING];
};
static struct ring ring;
static size_t produce_count, consume_count;
static size_t block_bytes;

static void ring_init(void)
{
    pthread_mutex_init(&ring.lock, NULL);
    sem_init(&ring.filled, 0, 0);
    sem_init(&ring.empty, 0, RING);
    ring.head = ring.tail = 0;
}

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) != 0)
        ck_assert_int_eq(errno, EINTR);
}

static void *produce(void *arg)
{
    struct rng rng = rng_make(200 + (uintptr_t)arg);
    for (size_t i = 0; i < produce_count; i++) {
        size_t bytes = block_bytes ? block_bytes : rng_size(&rng, 10);
        struct block *block = make_block(&rng, bytes);
        wait_for(&ring.empty);
        pthread_mutex_lock(&ring.lock);
        ring.slot[ring.head++ % RING] = block;
        pthread_mutex_unlock(&ring.lock);
        sem_post(&ring.filled);
    }
    return NULL;
}

static void *consume(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < consume_count; i++) {
        wait_for(&ring.filled);
        pthread_mutex_lock(&ring.lock);
        struct block *block = ring.slot[ring.tail++ % RING];
        pthread_mutex_unlock(&ring.lock);
        sem_post(&ring.empty);
        end_block(block);
    }
    return NULL;
}

static const struct {
    unsigned producers, consumers;
    size_t bytes;
} shapes[] = {
    {1, 1, 64}, {1, 1, 0}, {4, 1, 0}, {1, 4, 0}, {3, 3, 0}, {1, 1, 20 * KIB},
};

START_TEST(producers_and_consumers)
{
    unsigned producers = shapes[_i].producers, consumers = shapes[_i].consumers;
    size_t total = suite_full() ? 2400000 : 72000;
    block_bytes = shapes[_i].bytes;
    if (block_bytes > KIB)
        total /= 4;
    produce_count = total / producers;
    consume_count = total / consumers;
    ring_init();
    size_t before = suite_rss_bytes();
    pthread_t thread[2 * MAX_THREADS];
    for (uintptr_t i = 0; i < producers; i++)
        start(&thread[i], produce, (void *)i);
    for (uintptr_t i = 0; i < consumers; i++)
        start(&thread[producers + i], consume, (void *)i);
    for (unsigned i = 0; i < producers + consumers; i++)
        pthread_join(thread[i], NULL);
    /* At most RING blocks were alive: up to 20 MiB of them. */
    size_t live = RING * (block_bytes ? block_bytes : KIB);
    ck_assert_uint_lt(suite_rss_bytes(), before + 3 * live + 24 * MIB);
}
END_TEST

/* ---- a thread that ends with frees on their way ---- */

enum { PENDING = 20000 };
static struct block *pending[PENDING];
static size_t pending_count;

static void *free_some_and_end(void *arg)
{
    size_t part = (size_t)(uintptr_t)arg;
    for (size_t i = part; i < pending_count; i += 3)
        end_block(pending[i]);
    return NULL;
}

START_TEST(exit_with_pending_frees)
{
    struct rng rng = rng_make(300);
    size_t highest = 0;
    for (int round = 0; round < 40; round++) {
        /* Few, so that no batch fills up; many, so that some do. */
        pending_count = round % 4 == 0 ? 5 : round % 4 == 1 ? 300 : PENDING;
        for (size_t i = 0; i < pending_count; i++)
            pending[i] = make_block(&rng, 16 + rng_below(&rng, 500));
        run_all(3, free_some_and_end);
        size_t rss = suite_rss_bytes();
        if (round < 8)
            highest = rss > highest ? rss : highest;
        ck_assert_msg(round < 8 || rss < highest + 8 * MIB,
                      "round %d: %zu KiB resident, had been %zu", round,
                      rss / KIB, highest / KIB);
    }
}
END_TEST

/* ---- destructors of thread-specific data ---- */

enum { KEYS = 6 };
static pthread_key_t keys[KEYS];
static atomic_uint destructor_calls;

static void destroy(void *value)
{
    struct block *block = value;
    ck_assert(block_is_whole(block));
    unsigned calls = atomic_fetch_add(&destructor_calls, 1);
    struct rng rng = rng_make(400 + calls);
    for (int i = 0; i < 20; i++)
        end_block(make_block(&rng, rng_size(&rng, 12)));
    /* Come back in the next iteration, with a block made in this one. */
    for (unsigned k = 0; k < KEYS; k++)
        if (pthread_getspecific(keys[k]) == NULL && rng_below(&rng, 2)) {
            pthread_setspecific(keys[k], make_block(&rng, 100));
            break;
        }
    end_block(atomic_exchange(&shared[calls % SHARED], block));
}

static void *live_with_keys(void *arg)
{
    struct rng rng = rng_make(500 + (uintptr_t)arg);
    for (int k = 0; k < KEYS; k++)
        pthread_setspecific(keys[k], make_block(&rng, rng_size(&rng, 11)));
    return NULL;
}

/* Nothing of ours before the destructors: the heap starts in one of them. */
static void *free_only_at_end(void *arg)
{
    pthread_setspecific(keys[0], arg);
    return NULL;
}

START_TEST(destructors_allocate_and_free)
{
    struct rng rng = rng_make(600);
    if (SUITE_TSAN) {
        printf("# SKIP destructors: ThreadSanitizer cannot follow\n");
        return;
    }
    for (int k = 0; k < KEYS; k++)
        ck_assert_int_eq(pthread_key_create(&keys[k], destroy), 0);
    size_t highest = 0;
    for (int round = 0; round < 200; round++) {
        run_all(3, live_with_keys);
        pthread_t thread;
        start(&thread, free_only_at_end, make_block(&rng, 50));
        pthread_join(thread, NULL);
        if (round == 50)
            highest = suite_rss_bytes();
    }
    ck_assert_uint_gt(atomic_load(&destructor_calls), 200 * (3 * KEYS + 1));
    ck_assert_uint_lt(suite_rss_bytes(), highest + highest / 2 + 8 * MIB);
    shared_clear();
}
END_TEST

/* ---- many threads at once, and threads that are cancelled ---- */

static void *live_shortly(void *arg)
{
    struct rng rng = rng_make(700 + (uintptr_t)arg);
    struct block *block[50];
    for (int i = 0; i < 50; i++)
        block[i] = make_block(&rng, rng_size(&rng, 10));
    for (int i = 0; i < 50; i++)
        end_block(block[i]);
    return NULL;
}

START_TEST(hundreds_of_threads_at_once)
{
    enum { COUNT = 400 };
    static pthread_t thread[COUNT];
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 128 * KIB);
    for (int round = 0; round < 2; round++) {
        for (uintptr_t i = 0; i < COUNT; i++)
            ck_assert_int_eq(
                pthread_create(&thread[i], &attr, live_shortly, (void *)i), 0);
        for (int i = 0; i < COUNT; i++)
            pthread_join(thread[i], NULL);
    }
    pthread_attr_destroy(&attr);
    ck_assert_uint_lt(suite_rss_bytes(), 160 * MIB);
}
END_TEST

static void *wait_for_cancel(void *arg)
{
    struct rng rng = rng_make(800 + (uintptr_t)arg);
    for (;;) {
        end_block(atomic_exchange(&shared[rng_below(&rng, SHARED)],
                                  make_block(&rng, rng_size(&rng, 10))));
        pthread_testcancel();
    }
    return NULL;
}

START_TEST(cancelled_threads)
{
    for (int round = 0; round < 30; round++) {
        pthread_t thread[3];
        for (uintptr_t i = 0; i < 3; i++)
            start(&thread[i], wait_for_cancel, (void *)i);
        suite_sleep_ms(3);
        for (int i = 0; i < 3; i++)
            pthread_cancel(thread[i]);
        for (int i = 0; i < 3; i++)
            pthread_join(thread[i], NULL);
    }
    shared_clear();
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("threads");
    TCase *pass = tcase_create("exchange");
    tcase_set_timeout(pass, suite_full() ? 600 : 60);
    tcase_add_test(pass, random_churn);
    tcase_add_test(pass, random_churn_of_all_sizes);
    tcase_add_loop_test(pass, producers_and_consumers, 0,
                        sizeof shapes / sizeof *shapes);
    suite_add_tcase(suite, pass);

    TCase *life = tcase_create("life");
    tcase_set_timeout(life, suite_full() ? 600 : 60);
    tcase_add_test(life, threads_die_and_are_reborn);
    tcase_add_test(life, exit_with_pending_frees);
    tcase_add_test(life, destructors_allocate_and_free);
    tcase_add_test(life, hundreds_of_threads_at_once);
    tcase_add_test(life, cancelled_threads);
    suite_add_tcase(suite, life);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
