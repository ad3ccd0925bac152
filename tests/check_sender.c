/* SPDX-License-Identifier: MIT */
/*
 * check_sender.c - whose fault: a report of an object that two threads freed
 * names the one whose message was under way, and a changed canary is called
 * what it is.
 *
 * Reports do not end the process here; each scene is played in a child, which
 * looks at merlon_last_report.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "die.h"
#include "merlon/merlon.h"
#include "policy.h"
#include "support/crime.h"

enum { OBJECTS = 8 };

/* Sizes whose objects are sent: spans are freed where they are. */
static const size_t sent_bytes[] = {8, 64, 240, 1000, 4096, 100 * KIB};
enum { SENT_SIZES = sizeof sent_bytes / sizeof *sent_bytes };

/* ---- other threads ---- */

struct sender {
    pthread_t thread;
    void *object;
    pthread_barrier_t freed, leave;
    int tid;
};

static void *send(void *arg)
{
    struct sender *sender = arg;
    sender->tid = (int)syscall(SYS_gettid);
    m.free(sender->object);
    pthread_barrier_wait(&sender->freed);
    pthread_barrier_wait(&sender->leave);
    return NULL;
}

/* The object is freed by a thread that lives on. */
static void begin(struct sender *sender, void *object)
{
    sender->object = object;
    pthread_barrier_init(&sender->freed, NULL, 2);
    pthread_barrier_init(&sender->leave, NULL, 2);
    pthread_create(&sender->thread, NULL, send, sender);
    pthread_barrier_wait(&sender->freed);
}

static void end(struct sender *sender)
{
    pthread_barrier_wait(&sender->leave);
    pthread_join(sender->thread, NULL);
}

/* ---- what is said ---- */

static void want(const char *what)
{
    if (strstr(merlon_last_report, what))
        return;
    fprintf(stderr, "no \"%s\" in: %s", what, merlon_last_report);
    _exit(1);
}

static void want_sender(const struct sender *sender, const char *more)
{
    char text[64];
    snprintf(text, sizeof text, ", sender tid %d%s, pid ", sender->tid, more);
    want(text);
}

static void want_nothing(void)
{
    if (merlon_last_report[0] == 0)
        return;
    fprintf(stderr, "said: %s", merlon_last_report);
    _exit(1);
}

/* ---- scenes ---- */

static char *object[OBJECTS];
static size_t bytes;
static char saved[128 * KIB];

/* All are of one slab: the class is new. */
static void set_the_scene(const void *arg)
{
    die_configure(true, open("/dev/null", O_WRONLY));
    bytes = *(const size_t *)arg;
    for (int i = 0; i < OBJECTS; i++) {
        object[i] = m.malloc(bytes);
        memset(object[i], 0x5a, bytes);
    }
    memcpy(saved, suite_hide(object[0]),
           m.usable_size(object[0]) + CANARY_BYTES);
}

/* A stray copy, or an attacker, puts back all that the first object was, and
   its owner frees it: he cannot see that it was freed before. */
static void restore_and_free(void)
{
    memcpy(suite_hide(object[0]), saved,
           m.usable_size(object[OBJECTS - 1]) + CANARY_BYTES);
    m.free(object[0]);
}

static void take_in(void)
{
    merlon_malloc_trim(0);
}

/* The owner frees what is under way. Who sent it stands in the slot itself: it
   is no matter who else sends. */
static void at_the_call(const void *arg)
{
    struct sender b, c;
    set_the_scene(arg);
    begin(&b, object[0]);
    begin(&c, object[1]);
    m.free(object[0]);
    want("double free in free() (freed by another thread)");
    want_sender(&b, "");
    end(&c);
    end(&b);
}

/* Two others do. */
static void by_two_others(const void *arg)
{
    struct sender b, c;
    set_the_scene(arg);
    begin(&b, object[0]);
    begin(&c, object[0]);
    want("double free in free() (freed by another thread)");
    want_sender(&b, "");
    end(&c);
    end(&b);
}

static void at_the_intake(const void *arg)
{
    struct sender b;
    set_the_scene(arg);
    begin(&b, object[0]);
    end(&b);
    want_nothing();
    restore_and_free();
    take_in();
    want("noticed when its message came in");
    want_sender(&b, "");
}

/* Messages of two were under way when the bad one came in. (It was sent first,
   so that in a chain it is the last, and its link is not looked at.) */
static void by_one_of_two(const void *arg)
{
    struct sender b, c;
    set_the_scene(arg);
    begin(&b, object[0]);
    end(&b);
    begin(&c, object[1]);
    end(&c);
    restore_and_free();
    take_in();
    want("noticed when its message came in");
    want_sender(&b, " or another");
}

/* Who sent before is forgotten once that was taken in. */
static void by_the_second(const void *arg)
{
    struct sender b, c;
    set_the_scene(arg);
    begin(&b, object[1]);
    end(&b);
    take_in();
    begin(&c, object[0]);
    end(&c);
    restore_and_free();
    take_in();
    want("noticed when its message came in");
    want_sender(&c, "");
}

static void *own(void *arg)
{
    struct sender *owner = arg;
    owner->object = m.malloc(bytes);
    pthread_barrier_wait(&owner->freed);
    pthread_barrier_wait(&owner->leave);
    m.free(owner->object);
    return NULL;
}

/* This thread frees an object of another one, who frees it after. */
static void send_and_be_told(void)
{
    struct sender owner;
    pthread_barrier_init(&owner.freed, NULL, 2);
    pthread_barrier_init(&owner.leave, NULL, 2);
    pthread_create(&owner.thread, NULL, own, &owner);
    pthread_barrier_wait(&owner.freed);
    m.free(owner.object);
    end(&owner);
    owner.tid = (int)syscall(SYS_gettid);
    want_sender(&owner, "");
}

/* In a child the same heap has a thread of another number. */
static void in_a_child(const void *arg)
{
    int status = 0;
    set_the_scene(arg);
    send_and_be_told();
    pid_t pid = fork();
    if (pid == 0) {
        send_and_be_told();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (status != 0)
        _exit(1);
}

static const death_fn scenes[] = {
    at_the_call, by_two_others, at_the_intake, by_one_of_two, by_the_second,
    in_a_child,
};
enum { SCENES = sizeof scenes / sizeof *scenes };

START_TEST(senders_are_named)
{
    if (!EXACT_STATE || !CANARY)
        return;
    for (int i = 0; i < SENT_SIZES; i++) {
        struct death death;
        death_run(&death, scenes[_i], &sent_bytes[i], DEATH_SECONDS);
        ck_assert_msg(death.signal == 0 && death.status == 0,
                      "scene %d, %zu bytes: %s", _i, sent_bytes[i],
                      death_describe(&death));
    }
}
END_TEST

/* ---- overflows are called so ---- */

static void overflow_of_zeros(const void *arg)
{
    size_t size = *(const size_t *)arg;
    char *p = crime_object(size);
    memset(suite_hide(p), 0, m.usable_size(p) + CANARY_BYTES);
    m.free(p);
}

/* By one byte, and the object itself is all zero. */
static void overflow_behind_zeros(const void *arg)
{
    char *p = m.calloc(1, *(const size_t *)arg);
    volatile char *end = suite_hide(p + m.usable_size(p));
    memset(suite_hide(p), 0, m.usable_size(p));
    *end = 0;
    m.free(p);
}

static void overflow_then_free_elsewhere(const void *arg)
{
    char *p = m.calloc(1, *(const size_t *)arg);
    memset(suite_hide(p), 0, m.usable_size(p) + CANARY_BYTES);
    crime_free_elsewhere(p);
}

static void overflow_then_realloc(const void *arg)
{
    char *p = m.calloc(1, *(const size_t *)arg);
    memset(suite_hide(p), 0, m.usable_size(p) + CANARY_BYTES);
    (void)m.realloc(p, *(const size_t *)arg * 2);
}

/* Into a slot that is free: it is noticed when its next owner frees it. */
static void overflow_into_free(const void *arg)
{
    enum { MANY = 4000 };
    static char *p[MANY];
    size_t size = *(const size_t *)arg, count = crime_many(size, MANY);
    for (size_t i = 0; i < count; i++)
        p[i] = m.calloc(1, size);
    m.free(p[count / 2]);
    *(char *)suite_hide(p[count / 2] + m.usable_size(p[0])) ^= 2;
    for (size_t i = 0; i < count; i++)
        if (i != count / 2 && i % 4 != 1)
            m.free(p[i]);
    crime_settle(size);
}

static const death_fn overflows[] = {
    overflow_of_zeros, overflow_behind_zeros, overflow_then_free_elsewhere,
    overflow_then_realloc, overflow_into_free,
};
enum { OVERFLOWS = sizeof overflows / sizeof *overflows };

START_TEST(overflows_are_called_so)
{
    if (!CANARY)
        return;
    for (int i = 0; i < SENT_SIZES; i++) {
        /* The canary of a large slot is written anew with each object. */
        if (overflows[_i] == overflow_into_free && sent_bytes[i] > 248)
            break;
        struct death death;
        death_run(&death, overflows[_i], &sent_bytes[i], DEATH_SECONDS);
        ck_assert_msg(death.signal == SIGABRT
                      && death_says(death.text, "merlon: buffer overflow in"),
                      "case %d, %zu bytes: %s", _i, sent_bytes[i],
                      death_describe(&death));
    }
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("sender");
    TCase *sender = tcase_create("sender");
    tcase_set_timeout(sender, 60);
    tcase_add_loop_test(sender, senders_are_named, 0, SCENES);
    tcase_add_loop_test(sender, overflows_are_called_so, 0, OVERFLOWS);
    suite_add_tcase(suite, sender);
    return suite;
}

int main(int argc, char **argv)
{
    /* A sampled object now and then would have another report. Read when we
       are started anew. */
    setenv("MERLON_OPTIONS", "sample=0", 1);
    return suite_main(argc, argv, make);
}
