/* SPDX-License-Identifier: MIT */
/*
 * check_inbox.c - the queue of noted slabs: last in, first out, taken whole,
 * and nothing lost or doubled between producers and their consumer. The records
 * are the test's own, in the place of an arena's.
 */
#include <pthread.h>

#include "inbox.h"

#include "support/suite.h"

enum { PRODUCERS = 4, EACH = 20000, COUNT = PRODUCERS * EACH, TIMES = 30 };

static struct inbox inbox;
static struct record record[COUNT];
static uint8_t seen[COUNT];
static pthread_barrier_t line;
static int finished;

START_TEST(last_in_first_out)
{
    ck_assert(inbox_is_empty(&inbox));
    for (int i = 0; i < 10; i++) {
        inbox_push(&inbox, &record[i]);
        ck_assert(!inbox_is_empty(&inbox));
    }
    struct record *at = inbox_take_all(&inbox);
    for (int i = 9; i >= 0; i--) {
        ck_assert_ptr_eq(at, &record[i]);
        at = inbox_next(at);
    }
    ck_assert_ptr_null(at);
}
END_TEST

START_TEST(taking_all_empties)
{
    ck_assert_ptr_null(inbox_take_all(&inbox));
    inbox_push(&inbox, &record[0]);
    ck_assert_ptr_eq(inbox_take_all(&inbox), &record[0]);
    ck_assert(inbox_is_empty(&inbox));
    ck_assert_ptr_null(inbox_take_all(&inbox));
    /* What was taken can stand here again, and names nobody from before. */
    inbox_push(&inbox, &record[0]);
    ck_assert_ptr_null(inbox_next(&record[0]));
    inbox_push(&inbox, &record[1]);
    ck_assert_ptr_eq(inbox_take_all(&inbox), &record[1]);
    ck_assert_ptr_eq(inbox_next(&record[1]), &record[0]);
}
END_TEST

static void *produce(void *argument)
{
    struct record *first = argument;

    pthread_barrier_wait(&line);
    for (int i = 0; i < EACH; i++)
        inbox_push(&inbox, first + i);
    __atomic_fetch_add(&finished, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* Empty the inbox once; counts what cannot be. */
static int consume(int last[PRODUCERS], int *wrong)
{
    int count = 0;
    int bound[PRODUCERS];
    int newest[PRODUCERS] = {-1, -1, -1, -1};

    for (int i = 0; i < PRODUCERS; i++)
        bound[i] = EACH;
    for (struct record *at = inbox_take_all(&inbox), *next; at; at = next) {
        next = inbox_next(at);
        int index = (int)(at - record), by = index / EACH;
        int number = index % EACH;
        /* One producer's stand in the order of its pushes, newest first. */
        *wrong += seen[index]++ != 0 || number >= bound[by]
            || number <= last[by];
        bound[by] = number;
        if (newest[by] < number)
            newest[by] = number;
        count++;
    }
    for (int i = 0; i < PRODUCERS; i++)
        if (newest[i] >= 0)
            last[i] = newest[i];
    return count;
}

START_TEST(every_record_arrives_once)
{
    pthread_t thread[PRODUCERS];
    int last[PRODUCERS] = {-1, -1, -1, -1};
    int arrived = 0, wrong = 0;

    pthread_barrier_init(&line, NULL, PRODUCERS + 1);
    for (int i = 0; i < PRODUCERS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, produce,
                                        &record[i * EACH]), 0);
    pthread_barrier_wait(&line);
    while (__atomic_load_n(&finished, __ATOMIC_ACQUIRE) < PRODUCERS)
        arrived += consume(last, &wrong);
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(thread[i], NULL);
    arrived += consume(last, &wrong);
    ck_assert_int_eq(arrived, COUNT);
    ck_assert_int_eq(wrong, 0);
    int missing = 0;
    for (int i = 0; i < COUNT; i++)
        missing += seen[i] != 1;
    ck_assert_int_eq(missing, 0);
    ck_assert(inbox_is_empty(&inbox));
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("inbox");
    arenas[0].records = record;
    TCase *queue = tcase_create("queue");
    tcase_set_timeout(queue, 90);
    tcase_add_test(queue, last_in_first_out);
    tcase_add_test(queue, taking_all_empties);
    tcase_add_loop_test(queue, every_record_arrives_once, 0, TIMES);
    suite_add_tcase(suite, queue);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
