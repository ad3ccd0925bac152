/* SPDX-License-Identifier: MIT */
/*
 * check_pool.c - the stack of slabs that belong to nobody.
 *
 * The records are real ones, since the pool names them by place; the pool is
 * the test's own.
 */
#include <pthread.h>

#include "pool.h"
#include "process.h"

#include "support/suite.h"

enum { COUNT = 24, THREADS = 4, ROUNDS = 20000, TIMES = 20 };

static struct pool pool;
static struct record *record[COUNT];

static void setup(void)
{
    ck_assert(process_start());
    for (int i = 0; i < COUNT; i++) {
        record[i] = arena_take_slab(0, (uint64_t)i);
        ck_assert_ptr_nonnull(record[i]);
        mail_open(record[i], 1);
    }
}

static void leave(struct record *slab)
{
    ck_assert_int_eq(mail_let_go(slab, 0, true, true), MAIL_LEFT_TO_POOL);
    pool_put(&pool, slab);
}

START_TEST(places_name_records)
{
    for (int i = 0; i < COUNT; i++) {
        ck_assert_uint_ne(record_place(record[i]), 0);
        ck_assert_ptr_eq(record_at_place(record_place(record[i])), record[i]);
        for (int j = 0; j < i; j++)
            ck_assert_uint_ne(record_place(record[i]), record_place(record[j]));
    }
}
END_TEST

START_TEST(last_put_first_taken)
{
    ck_assert_ptr_null(pool_take(&pool));
    for (int i = 0; i < COUNT; i++)
        leave(record[i]);
    for (int i = COUNT; i-- > 0;) {
        ck_assert_uint_ne(mail_load(record[i]) & MAIL_POOLED, 0);
        ck_assert_ptr_eq(pool_take(&pool), record[i]);
        ck_assert_uint_eq(mail_load(record[i]) & MAIL_POOLED, 0);
    }
    ck_assert_ptr_null(pool_take(&pool));
    ck_assert_ptr_null(pool_take(&pool));
}
END_TEST

START_TEST(claimed_while_it_stands_here)
{
    leave(record[0]);
    leave(record[1]);
    ck_assert(mail_claim(record[1], 2));
    /* It stands here still and must not be put again. */
    ck_assert_int_eq(mail_let_go(record[1], 0, true, true), MAIL_LEFT);
    ck_assert(mail_claim(record[1], 3));
    ck_assert_ptr_eq(pool_take(&pool), record[1]);
    ck_assert_uint_eq(mail_owner(mail_load(record[1])), 3);
    ck_assert_ptr_eq(pool_take(&pool), record[0]);
    leave(record[1]);
    ck_assert_ptr_eq(pool_take(&pool), record[1]);
}
END_TEST

START_TEST(the_tag_changes_with_every_put)
{
    leave(record[0]);
    uint64_t before = pool.top;
    ck_assert_ptr_eq(pool_take(&pool), record[0]);
    ck_assert(mail_claim(record[0], 1));
    leave(record[0]);
    ck_assert_uint_eq((uint32_t)pool.top, (uint32_t)before);
    ck_assert_uint_ne(pool.top, before);
}
END_TEST

static int wrong;
static pthread_barrier_t line;

/* Hold up to three records at once, so that the order changes. */
static void *churn(void *argument)
{
    uint32_t id = (uint32_t)(uintptr_t)argument;
    struct rng rng = rng_make(id);
    struct record *held[3];
    int errors = 0;

    pthread_barrier_wait(&line);
    for (int round = 0; round < ROUNDS; round++) {
        int count = 0, want = 1 + (int)rng_below(&rng, 3);
        while (count < want && (held[count] = pool_take(&pool))) {
            errors += !mail_claim(held[count], id);
            count++;
        }
        for (int i = 0; i < count; i++) {
            errors += mail_owner(mail_load(held[i])) != id
                || mail_let_go(held[i], 0, true, true) != MAIL_LEFT_TO_POOL;
            pool_put(&pool, held[i]);
        }
    }
    __atomic_fetch_add(&wrong, errors, __ATOMIC_RELAXED);
    return NULL;
}

START_TEST(no_record_twice)
{
    pthread_t thread[THREADS];
    int found = 0;

    for (int i = 0; i < COUNT; i++)
        leave(record[i]);
    pthread_barrier_init(&line, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, churn,
                                        (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    ck_assert_int_eq(wrong, 0);
    for (struct record *slab; (slab = pool_take(&pool)) && found <= COUNT;) {
        ck_assert(mail_claim(slab, 9));
        found++;
    }
    ck_assert_int_eq(found, COUNT);
    for (int i = 0; i < COUNT; i++)
        ck_assert_uint_eq(mail_owner(mail_load(record[i])), 9);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("pool");
    TCase *stack = tcase_create("stack");
    tcase_add_checked_fixture(stack, setup, NULL);
    tcase_set_timeout(stack, 60);
    tcase_add_test(stack, places_name_records);
    tcase_add_test(stack, last_put_first_taken);
    tcase_add_test(stack, claimed_while_it_stands_here);
    tcase_add_test(stack, the_tag_changes_with_every_put);
    tcase_add_loop_test(stack, no_record_twice, 0, TIMES);
    suite_add_tcase(suite, stack);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
