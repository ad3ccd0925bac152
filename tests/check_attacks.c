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

#include "merlon/merlon.h"
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

/* A link is wrong, or what should be zero is not. Where a message is a chain of
   plain links nobody sees that they lead elsewhere before they were followed. */
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
        .caught = STRICT_REMOTE ? WRITE_CHECK
            : ENCODED_LINKS || (EXACT_STATE && WRITE_CHECK)});
}
END_TEST

/* ---- emptied slabs ---- */

/*
 * Every object of a class is freed, one is written to, and then the pages of
 * the emptied slabs go back to the kernel, and the evidence with them.
 */
static void write_before_purge(const void *arg)
{
    enum { OBJECTS = 40000 };
    static char *p[OBJECTS];
    size_t bytes = *(const size_t *)arg, count = (size_t)8 * 1000 * 1000 / bytes;
    count = count < OBJECTS ? count : OBJECTS;
    for (size_t i = 0; i < count; i++)
        p[i] = crime_object(bytes);
    for (size_t i = 0; i < count; i++)
        m.free(p[i]);
    *(volatile char *)(p[count / 2] + 5) = 1;
    merlon_malloc_trim(0);
    _exit(CRIME_UNNOTICED);
}

/* Without isolation it was verified when the slab was emptied: too early. */
START_TEST(written_before_purge)
{
    static const size_t sizes[] = {8, 64, 200, 1000, 5000};
    crime_judge(&(struct crime){
        .name = "write after free, then the slab's pages go back",
        .bytes = sizes[_i], .commit = write_before_purge, .arg = &sizes[_i],
        .kinds = "write after free",
        .caught = WRITE_CHECK && CLASS_ISOLATION});
}
END_TEST

/* As a sampled object is: it would fault. */
static bool at_page_end(const char *p)
{
    return (uintptr_t)p % 4096 > 4096 - 2 * BYTES;
}

/*
 * And after they went back: such addresses are used again when enough others
 * wait behind them.
 */
static void write_after_purge(const void *arg)
{
    enum { OBJECTS = 400 * 1000, EVERY = 97 };
    static char *p[OBJECTS];
    size_t offset = *(const size_t *)arg;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < OBJECTS; i++)
            p[i] = m.malloc(BYTES);
        for (int i = 0; i < OBJECTS; i++)
            m.free(p[i]);
        merlon_malloc_trim(0);
        for (int i = 0; i < OBJECTS && round == 0; i += EVERY)
            if (!at_page_end(p[i]))
                *(volatile char *)(p[i] + offset) = 1;
    }
    _exit(CRIME_UNNOTICED);
}

START_TEST(written_after_purge)
{
    static const size_t offsets[] = {0, 21, BYTES - 1, BYTES};
    crime_judge(&(struct crime){
        .name = offsets[_i] < BYTES
            ? "write after free, when the slab's pages were gone"
            : "write to a canary, when the slab's pages were gone",
        .bytes = BYTES, .commit = write_after_purge, .arg = &offsets[_i],
        .kinds = "write after free",
        .caught = WRITE_CHECK && CLASS_ISOLATION
            && (CANARY || offsets[_i] < BYTES)});
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
    tcase_add_loop_test(tcase, written_before_purge, 0, 5);
    tcase_add_loop_test(tcase, written_after_purge, 0, 4);
    tcase_add_test(tcase, overwritten_options);
    tcase_add_loop_test(tcase, sampled_now_and_then, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
