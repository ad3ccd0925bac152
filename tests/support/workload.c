/* SPDX-License-Identifier: MIT */
/*
 * workload.c - see workload.h.
 */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "pattern.h"

enum { SMALL = 3000, SMALL_BYTES_MAX = 4000, BATCH = 500, CHECKED_BYTES = 64 };

static size_t done;

static void fail(const char *why)
{
    if (write(2, why, strlen(why)) < 0 || write(2, "\n", 1) < 0)
        _exit(WORKLOAD_FAILED + 1);
    _exit(WORKLOAD_FAILED);
}

/* What an allocation may answer. */
static bool got(const struct workload *calls, const void *p)
{
    if (p == NULL && !calls->may_fail)
        fail("workload: no memory");
    if (p == NULL && errno != ENOMEM)
        fail("workload: NULL without ENOMEM");
    /* The partner counts as well. */
    __atomic_add_fetch(&done, p != NULL, __ATOMIC_RELAXED);
    return p != NULL;
}

static void expect(bool holds, const char *why)
{
    if (!holds)
        fail(why);
}

/* ---- the partner -------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static void *box[BATCH]; /* ours for it, then its for us */
static bool has_partner, ready, full;

static void free_all(const struct workload *calls)
{
    for (size_t i = 0; i < BATCH; i++)
        calls->free(box[i]);
}

static void make_all(const struct workload *calls)
{
    for (size_t i = 0; i < BATCH; i++) {
        box[i] = calls->malloc(i + 1);
        if (got(calls, box[i]))
            memset(box[i], 0x33, i + 1);
    }
}

static void *partner(void *arg)
{
    const struct workload *calls = arg;

    pthread_mutex_lock(&lock);
    ready = true;
    pthread_cond_signal(&change);
    for (;;) {
        while (!full)
            pthread_cond_wait(&change, &lock);
        free_all(calls);
        make_all(calls);
        full = false;
        pthread_cond_signal(&change);
    }
    return NULL;
}

bool workload_start_partner(const struct workload *calls)
{
    static struct workload copy;
    pthread_t thread;

    copy = *calls;
    has_partner = pthread_create(&thread, NULL, partner, &copy) == 0;
    /* What a thread needs to start, no sandbox may forbid it. */
    pthread_mutex_lock(&lock);
    while (has_partner && !ready)
        pthread_cond_wait(&change, &lock);
    pthread_mutex_unlock(&lock);
    return has_partner;
}

static void exchange_with_partner(const struct workload *calls)
{
    if (!has_partner)
        return;
    pthread_mutex_lock(&lock);
    make_all(calls);
    full = true;
    pthread_cond_signal(&change);
    while (full)
        pthread_cond_wait(&change, &lock);
    free_all(calls);
    pthread_mutex_unlock(&lock);
}

/* ---- alone -------------------------------------------------------------- */

static void small_objects(const struct workload *calls)
{
    static void *object[SMALL];

    for (size_t i = 0; i < SMALL; i++) {
        size_t bytes = i * 37 % SMALL_BYTES_MAX + 1;
        object[i] = calls->malloc(bytes);
        if (got(calls, object[i]))
            pattern_fill(object[i], bytes, i);
    }
    for (size_t i = 0; i < SMALL; i++) {
        size_t bytes = i * 37 % SMALL_BYTES_MAX + 1;
        if (object[i] != NULL)
            expect(pattern_holds(object[i], bytes, i), "small: contents");
        calls->free(object[i]);
    }
    for (size_t i = 0; i < SMALL; i++) {
        size_t bytes = i * 37 % SMALL_BYTES_MAX + 1;
        object[i] = calls->calloc(bytes, 1);
        if (got(calls, object[i])) {
            expect(pattern_is_zero(object[i], bytes), "small: calloc");
            memset(object[i], 0x44, bytes);
        }
    }
    for (size_t i = 0; i < SMALL; i++)
        calls->free(object[i]);
}

static void growth(const struct workload *calls)
{
    size_t bytes = 16;
    char *p = calls->malloc(bytes);

    if (!got(calls, p))
        return;
    pattern_fill(p, CHECKED_BYTES < bytes ? CHECKED_BYTES : bytes, 5);
    while (bytes < (size_t)12 << 20) {
        size_t next = bytes + bytes / 2;
        char *q = calls->realloc(p, next);
        if (!got(calls, q))
            break;
        expect(pattern_holds(q, bytes < CHECKED_BYTES ? bytes : CHECKED_BYTES,
                             5), "realloc: contents");
        bytes = next;
        p = q;
        pattern_fill(p, bytes < CHECKED_BYTES ? bytes : CHECKED_BYTES, 5);
        if (bytes > CHECKED_BYTES)
            p[bytes - 1] = 1;
    }
    while (bytes > 100) {
        char *q = calls->realloc(p, bytes /= 3);
        if (!got(calls, q))
            break;
        p = q;
        expect(pattern_holds(p, bytes < CHECKED_BYTES ? bytes : CHECKED_BYTES,
                             5), "realloc: contents after shrinking");
    }
    calls->free(p);
}

static void large_objects(const struct workload *calls)
{
    static const size_t sizes[] = {200000, 300000, 1 << 20, 5000000, 20 << 20};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *p = calls->malloc(sizes[i]), *q;
        if (got(calls, p))
            memset(p, 0x55, sizes[i]);
        calls->free(p);
        /* Nothing is believed zero that is not. */
        p = calls->calloc(sizes[i], 1);
        q = calls->calloc(1, sizes[i]);
        if (got(calls, p)) {
            expect(pattern_is_zero(p, sizes[i]), "large: calloc");
            memset(p, 0x66, sizes[i]);
        }
        if (got(calls, q))
            expect(pattern_is_zero(q, sizes[i]), "large: second calloc");
        calls->free(p);
        calls->free(q);
    }
}

size_t workload_run(const struct workload *calls, unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++) {
        small_objects(calls);
        exchange_with_partner(calls);
        growth(calls);
        large_objects(calls);
        calls->trim(0);
    }
    return __atomic_load_n(&done, __ATOMIC_RELAXED);
}
