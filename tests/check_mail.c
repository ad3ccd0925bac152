/* SPDX-License-Identifier: MIT */
/*
 * check_mail.c - the mail word alone: who may own, what is sent, who is told.
 *
 * The record is a static one with a buffer for a slab; nothing else runs.
 */
#include <pthread.h>
#include <string.h>

#include "mail.h"

#include "support/suite.h"

enum { A = 1, B = 2, RACERS = 4, RACES = 10000, RACES_AT_ONCE = 100,
       TIMES = 10 };

static _Alignas(GRANULE_BYTES) uint8_t memory[GRANULE_BYTES];
static struct record slab;

static void setup(void)
{
    slab = (struct record){.base = (uintptr_t)memory, .slot_bytes = 32};
    memcpy(&slab.key, "a key of 16 byte", sizeof slab.key);
}

/* A chain of slots at first, first + 32, ..., the last added in front. */
static enum mail_result send(uint32_t first, uint32_t count, bool loose)
{
    uint32_t head = first;
    uint64_t sent;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = first + 32 * i;
        chain_write(&slab, at, i ? (head >> UNIT_SHIFT) + 1 : 0);
        head = at;
    }
    return mail_send_chain(&slab, head, first, count, loose, &sent);
}

/* Post that mail_let_go must respect, in this build. */
static void leave_post(void)
{
    uint64_t sent;

    if (STRICT_REMOTE)
        ck_assert_int_eq(mail_note(&slab, true, &sent), MAIL_SENT);
    else
        ck_assert_int_eq(send(64, 1, true), MAIL_SENT);
}

START_TEST(claimed_only_when_nobody_owns)
{
    ck_assert(mail_claim(&slab, A));
    ck_assert_uint_eq(mail_owner(mail_load(&slab)), A);
    ck_assert(!mail_claim(&slab, B));
    ck_assert(!mail_claim(&slab, A));
    ck_assert_int_eq(mail_let_go(&slab, 0, false, true), MAIL_LEFT);
    ck_assert(mail_claim(&slab, MAIL_OWNERS_MAX));
    ck_assert_uint_eq(mail_owner(mail_load(&slab)), MAIL_OWNERS_MAX);
}
END_TEST

START_TEST(kept_while_there_is_post)
{
    leave_post();
    ck_assert(mail_claim(&slab, A));
    ck_assert(mail_has_post(mail_load(&slab)));
    uint64_t before = mail_load(&slab);
    ck_assert_int_eq(mail_let_go(&slab, 0, true, true), MAIL_KEPT);
    ck_assert_int_eq(mail_let_go(&slab, MAIL_ARENA, false, true), MAIL_KEPT);
    ck_assert_uint_eq(mail_load(&slab), before);
    ck_assert_uint_eq(mail_take(&slab), before);
    ck_assert(!mail_has_post(mail_load(&slab)));
    ck_assert_uint_eq(mail_owner(mail_load(&slab)), A);
    ck_assert_int_eq(mail_let_go(&slab, 0, false, true), MAIL_LEFT);
    ck_assert_uint_eq(mail_owner(mail_load(&slab)), 0);
}
END_TEST

START_TEST(notified_once_until_unnoted)
{
    uint64_t sent;

    ck_assert_int_eq(mail_note(&slab, false, &sent), MAIL_NOBODY);
    ck_assert_uint_eq(mail_load(&slab), 0);
    ck_assert(mail_claim(&slab, A));
    for (int round = 0; round < 3; round++) {
        ck_assert_int_eq(mail_note(&slab, false, &sent), MAIL_NOTIFY);
        ck_assert_uint_eq(mail_owner(sent), A);
        ck_assert_int_eq(mail_note(&slab, false, &sent), MAIL_SENT);
        ck_assert_int_eq(mail_note(&slab, true, &sent), MAIL_SENT);
        ck_assert_uint_ne(mail_unnote(&slab) & MAIL_NOTED, 0);
    }
    for (uint32_t round = 0; !STRICT_REMOTE && round < 3; round++) {
        ck_assert_int_eq(send(1024 * round, 2, false), MAIL_NOTIFY);
        ck_assert_int_eq(send(1024 * round + 512, 1, false), MAIL_SENT);
        /* Taking the post out does not take it out of the inbox. */
        ck_assert_uint_eq(mail_count(mail_take(&slab)), 3);
        ck_assert_int_eq(send(1024 * round, 1, false), MAIL_SENT);
        ck_assert_uint_eq(mail_count(mail_unnote(&slab)), 1);
        mail_take(&slab);
    }
}
END_TEST

START_TEST(chains_are_read_back_in_order)
{
    uint32_t at, link = 0;

    if (STRICT_REMOTE)
        return;
    ck_assert_int_eq(send(0, 5, false), MAIL_NOBODY);
    ck_assert_uint_eq(mail_load(&slab), 0);
    ck_assert(mail_claim(&slab, A));
    ck_assert_int_eq(send(0, 5, false), MAIL_NOTIFY);
    ck_assert_uint_eq(mail_count(mail_load(&slab)), 5);
    ck_assert_uint_eq(mail_head(mail_load(&slab)), (128 >> UNIT_SHIFT) + 1);
    ck_assert_int_eq(send(GRANULE_BYTES - 96, 3, false), MAIL_SENT);
    uint64_t mail = mail_take(&slab);
    ck_assert_uint_eq(mail_count(mail), 8);
    /* The later chain first, each with its last slot first. */
    static const uint32_t order[] = {GRANULE_BYTES - 32, GRANULE_BYTES - 64,
                                     GRANULE_BYTES - 96, 128, 96, 64, 32, 0};
    link = mail_head(mail);
    for (size_t i = 0; i < 8; i++) {
        ck_assert_uint_ne(link, 0);
        at = (link - 1) << UNIT_SHIFT;
        ck_assert_uint_eq(at, order[i]);
        ck_assert(chain_read(&slab, at, &link));
    }
    ck_assert_uint_eq(link, 0);
    ck_assert_uint_eq(mail_count(mail_load(&slab)), 0);
    ck_assert_uint_eq(mail_head(mail_load(&slab)), 0);
}
END_TEST

/* Strict mode: how many there were is told from how many go on, and no life of
   the slab begins anew. */
START_TEST(intakes_are_counted)
{
    uint64_t before, sent;

    if (!STRICT_REMOTE)
        return;
    mail_open(&slab, A);
    for (int i = 0; i < 5; i++) {
        before = mail_load(&slab);
        ck_assert(!mail_is_taken_in(before));
        ck_assert_uint_eq(mail_take(&slab), before);
        ck_assert(mail_is_taken_in(mail_load(&slab)));
        if (i == 3) /* an end that never came, in the child of a fork */
            mail_take(&slab);
        ck_assert(mail_is_taken_in(mail_load(&slab)));
        ck_assert_int_eq(mail_note(&slab, false, &sent), MAIL_NOTIFY);
        mail_taken(&slab);
        ck_assert_uint_ne((mail_unnote(&slab) ^ before) & MAIL_INTAKES, 0);
        ck_assert_uint_eq(mail_owner(mail_load(&slab)), A);
    }
    before = mail_load(&slab);
    ck_assert_int_eq(mail_let_go(&slab, MAIL_ARENA, false, false), MAIL_LEFT);
    mail_open(&slab, B);
    ck_assert_uint_eq((mail_load(&slab) ^ before) & MAIL_INTAKES, 0);
    /* However many there were, the owner stays. */
    slab.mail |= MAIL_INTAKES;
    mail_take(&slab);
    mail_taken(&slab);
    ck_assert_uint_eq(mail_owner(mail_load(&slab)), B);
    ck_assert(!mail_is_taken_in(mail_load(&slab)));
}
END_TEST

START_TEST(the_arena_is_never_claimed)
{
    mail_open(&slab, A);
    ck_assert_int_eq(mail_let_go(&slab, MAIL_ARENA, false, true), MAIL_LEFT);
    ck_assert(!mail_claim(&slab, A));
    ck_assert(!mail_claim(&slab, B));
    ck_assert_uint_eq(mail_owner(mail_load(&slab)), MAIL_ARENA);
    mail_open(&slab, B);
    ck_assert_uint_eq(mail_owner(mail_load(&slab)), B);
}
END_TEST

START_TEST(pooled_only_once)
{
    for (int round = 0; round < 3; round++) {
        ck_assert(mail_claim(&slab, A));
        ck_assert_int_eq(mail_let_go(&slab, 0, true, true), MAIL_LEFT_TO_POOL);
        ck_assert(mail_claim(&slab, B));
        ck_assert_int_eq(mail_let_go(&slab, 0, true, true), MAIL_LEFT);
        /* It outlives the slab's life. */
        mail_open(&slab, A);
        ck_assert_int_eq(mail_let_go(&slab, 0, true, true), MAIL_LEFT);
        mail_unpool(&slab);
        ck_assert_uint_eq(mail_load(&slab), 0);
    }
}
END_TEST

/* ---- the race ---- */

static struct record prize[RACES];
static uint8_t winner[RACERS + 1][RACES];
static pthread_barrier_t line;

static void *race(void *argument)
{
    uintptr_t id = (uintptr_t)argument;

    for (int i = 0; i < RACES; i++) {
        if (i % RACES_AT_ONCE == 0)
            pthread_barrier_wait(&line);
        winner[id][i] = mail_claim(&prize[i], (uint32_t)id);
    }
    return NULL;
}

START_TEST(one_of_four_wins)
{
    pthread_t thread[RACERS];

    pthread_barrier_init(&line, NULL, RACERS);
    for (uintptr_t i = 0; i < RACERS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, race,
                                        (void *)(i + 1)), 0);
    for (int i = 0; i < RACERS; i++)
        pthread_join(thread[i], NULL);
    int wrong = 0;
    for (int i = 0; i < RACES; i++) {
        int wins = 0;
        for (int id = 1; id <= RACERS; id++)
            wins += winner[id][i];
        uint32_t owner = mail_owner(mail_load(&prize[i]));
        wrong += wins != 1 || owner - 1 >= RACERS || !winner[owner][i];
    }
    ck_assert_int_eq(wrong, 0);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("mail");
    TCase *word = tcase_create("word");
    tcase_add_checked_fixture(word, setup, NULL);
    tcase_add_test(word, claimed_only_when_nobody_owns);
    tcase_add_test(word, kept_while_there_is_post);
    tcase_add_test(word, notified_once_until_unnoted);
    tcase_add_test(word, chains_are_read_back_in_order);
    tcase_add_test(word, intakes_are_counted);
    tcase_add_test(word, the_arena_is_never_claimed);
    tcase_add_test(word, pooled_only_once);
    tcase_add_loop_test(word, one_of_four_wins, 0, TIMES);
    tcase_set_timeout(word, 60);
    suite_add_tcase(suite, word);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
