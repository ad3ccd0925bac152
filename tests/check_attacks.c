/* SPDX-License-Identifier: MIT */
/*
 * check_attacks.c - attacks on what the other tables of crimes do not reach:
 * messages under way, configuration, and stale pointers that are only read.
 *
 * As in check_death.c: what policy.h promises must be caught, the rest is
 * recorded.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "options.h"
#include "policy.h"
#include "support/crime.h"
#include "support/pattern.h"

/* ---- messages ---- */

enum { SENT = 400, HELD = 400, BYTES = 64 - CANARY_BYTES };

static char *sent[SENT], *held[HELD];
static char target[4096] __attribute__((aligned(64)));

static void *free_those_sent(void *arg)
{
    (void)arg;
    for (int i = 0; i < SENT; i++)
        m.free(sent[i]);
    return NULL;
}

/* A sampled object is not. */
static bool in_one_slab(const char *p, const char *q)
{
    return (uintptr_t)p / GRANULE_BYTES == (uintptr_t)q / GRANULE_BYTES;
}

/* A link that is not encoded: one more than the number of a 16-byte unit. */
static uintptr_t plain_link(const char *p)
{
    return ((uintptr_t)p % GRANULE_BYTES >> UNIT_SHIFT) + 1;
}

enum target { TARGET_GLOBAL, TARGET_LIVE, TARGET_UNITS, TARGETS };

/* What is written to the i-th object: in the last case into live ones as well,
   so that the chain goes on among them. */
static void forge(int i, enum target to)
{
    uintptr_t *word = suite_hide(sent[i]), *live = suite_hide(held[i]);
    switch (to) {
    case TARGET_GLOBAL: *word = (uintptr_t)(target + 64); break;
    case TARGET_LIVE: *word = (uintptr_t)held[i]; break;
    default:
        *word = plain_link(held[i]);
        *live = plain_link(held[(i + 1) % HELD]);
    }
}

/*
 * Objects are on their way back to their owner, and the attacker writes into
 * each, before the owner reads a message: an address of his choice, or what
 * looks like a link to a live object.
 */
static void forge_message(const void *arg)
{
    static char *fresh[20000];
    pthread_t thread;
    for (int i = 0; i < SENT + HELD; i++) {
        char **p = i % 2 ? &sent[i / 2] : &held[i / 2];
        *p = crime_object(BYTES);
        pattern_fill(*p, BYTES, (uintptr_t)*p);
    }
    pthread_create(&thread, NULL, free_those_sent, NULL);
    pthread_join(thread, NULL);
    const char *slab = in_one_slab(held[0], held[1]) ? held[0] : held[2];
    for (int i = 0; i < SENT; i++)
        if (in_one_slab(sent[i], slab) && in_one_slab(held[i], slab))
            forge(i, *(const enum target *)arg);
    /* The heap shrinks and grows, so that their slots have their turn. */
    crime_settle(BYTES);
    for (int i = 0; i < 20000; i++) {
        fresh[i] = m.malloc(BYTES);
        if (fresh[i] >= target && fresh[i] < target + sizeof target)
            _exit(CRIME_SUCCEEDED);
        pattern_fill(fresh[i], BYTES, (uintptr_t)fresh[i]);
    }
    for (int i = 0; i < HELD; i++)
        for (int j = 0; j < 20000; j++)
            if (fresh[j] == held[i])
                _exit(CRIME_SUCCEEDED);
    _exit(CRIME_UNNOTICED);
}

/* A link is wrong, or what should be zero is not. */
START_TEST(forged_messages)
{
    static const char *const names[] = {
        "message forged to a global", "message forged to a live object",
        "message forged by plain links"};
    enum target to = _i;
    crime_judge(&(struct crime){
        .name = names[_i], .bytes = BYTES, .commit = forge_message,
        .arg = &to,
        .kinds = "corrupted link|write after free|double free",
        .caught = WRITE_CHECK || (ENCODED_LINKS && !STRICT_REMOTE)});
}
END_TEST

/* ---- configuration ---- */

static void write_option(const void *arg)
{
    (void)arg;
    m.free(m.malloc(100));
    *(volatile char *)(uintptr_t)options_get() = 1;
    _exit(CRIME_SUCCEEDED);
}

START_TEST(overwritten_options)
{
    crime_judge(&(struct crime){
        .name = "write to the configuration", .bytes = 0,
        .commit = write_option, .kinds = "", .caught = SEALED_STATE,
        .may_fault = true});
}
END_TEST

/* ---- stale pointers, now and then ---- */

/* One in 5,000 faults: of 100,000 all go by with a probability of e^-20. */
static void read_stale(const void *arg)
{
    enum { TIMES = 100000 };
    (void)arg;
    for (int i = 0; i < TIMES; i++) {
        volatile char *p = m.malloc(100);
        m.free((char *)p);
        (void)p[50];
    }
}

static void overrun_now_and_then(const void *arg)
{
    enum { TIMES = 100000 };
    (void)arg;
    for (int i = 0; i < TIMES; i++) {
        volatile char *p = m.malloc(96);
        (void)p[96 + 16];
        m.free((char *)p);
    }
}

START_TEST(sampled_now_and_then)
{
    crime_judge(&(struct crime){
        .name = _i ? "read past the end, 100,000 times"
                   : "read of freed memory, 100,000 times",
        .bytes = 100, .commit = _i ? overrun_now_and_then : read_stale,
        .kinds = "", .caught = SAMPLING, .may_fault = true});
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("attacks");
    TCase *tcase = tcase_create("attacks");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, forged_messages, 0, TARGETS);
    tcase_add_test(tcase, overwritten_options);
    tcase_add_loop_test(tcase, sampled_now_and_then, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
