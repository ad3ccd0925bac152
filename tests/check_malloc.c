/* SPDX-License-Identifier: MIT */
/*
 * check_malloc.c - malloc, calloc, realloc, reallocarray, free and
 * malloc_usable_size, to the letter of C23, POSIX and glibc's manual.
 *
 * check_calloc.c looks at zeros, check_model.c runs long against a model.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy.h"
#include "support/pattern.h"
#include "support/suite.h"

enum { ERRNO_MARK = 4321, SIZES_ROOM = 8192 };

static size_t sizes[SIZES_ROOM];
static int errno_at_start = -1;

/* A call before main, and before anything of merlon may have started. */
__attribute__((constructor)) static void first_call(void)
{
    errno = 0;
    void *p = m.malloc(100);
    if (p != NULL)
        memset(p, 1, 100);
    m.free(p);
    errno_at_start = errno;
}

START_TEST(errno_is_zero_at_start)
{
    ck_assert_int_eq(errno_at_start, 0);
}
END_TEST

/* ---- zero sizes and NULL ---- */

START_TEST(zero_sizes_are_unique)
{
    enum { COUNT = 300 };
    void *p[COUNT];
    for (int i = 0; i < COUNT; i++) {
        switch (i % 6) {
        case 0: p[i] = m.malloc(0); break;
        case 1: p[i] = m.calloc(0, 8); break;
        case 2: p[i] = m.calloc(8, 0); break;
        case 3: p[i] = m.calloc(0, SIZE_MAX); break;
        case 4: p[i] = m.realloc(NULL, 0); break;
        default: p[i] = m.reallocarray(NULL, SIZE_MAX, 0); break;
        }
        ck_assert_msg(p[i] != NULL, "kind %d is NULL", i % 6);
        ck_assert_uint_eq((uintptr_t)p[i] % 16, 0);
        for (int j = 0; j < i; j++)
            ck_assert_ptr_ne(p[i], p[j]);
    }
    for (int i = 0; i < COUNT; i++)
        m.free(p[i]);
}
END_TEST

START_TEST(null_is_accepted)
{
    errno = ERRNO_MARK;
    m.free(NULL);
    ck_assert_uint_eq(m.usable_size(NULL), 0);
    ck_assert_int_eq(errno, ERRNO_MARK);
    void *p = m.realloc(NULL, 77);
    ck_assert_ptr_nonnull(p);
    memset(p, 7, 77);
    ck_assert_int_eq(errno, ERRNO_MARK);
    m.free(p);
}
END_TEST

START_TEST(realloc_to_zero_frees)
{
    for (size_t n = 1; n <= 4 * MIB; n *= 2) {
        void *p = m.malloc(n);
        ck_assert_ptr_nonnull(p);
        errno = ERRNO_MARK;
        ck_assert_ptr_null(m.realloc(p, 0));
        p = m.malloc(n);
        ck_assert_ptr_null(m.reallocarray(p, 0, 5));
        p = m.malloc(n);
        ck_assert_ptr_null(m.reallocarray(p, 5, 0));
        ck_assert_int_eq(errno, ERRNO_MARK);
    }
    /* If it did not free, this would take 4 GiB. */
    size_t before = suite_rss_bytes();
    for (int i = 0; i < 4096; i++) {
        char *p = m.malloc(MIB);
        p[0] = p[MIB / 2] = 1;
        ck_assert_ptr_null(m.realloc(p, 0));
    }
    ck_assert_uint_lt(suite_rss_bytes(), before + 64 * MIB);
}
END_TEST

/* ---- what cannot be had ---- */

static const size_t too_large[] = {
    PTRDIFF_MAX,      (size_t)PTRDIFF_MAX + 1, (size_t)PTRDIFF_MAX - 1,
    SIZE_MAX,         SIZE_MAX - 1,            SIZE_MAX - 7,
    SIZE_MAX - 8,     SIZE_MAX - 15,           SIZE_MAX - 16,
    SIZE_MAX - 31,    SIZE_MAX - 63,           SIZE_MAX - 4095,
    SIZE_MAX - 4096,  SIZE_MAX - 65535,        SIZE_MAX - 65536,
    SIZE_MAX - 2 * MIB, PTRDIFF_MAX - (size_t)65536,
    PTRDIFF_MAX - (size_t)4095,
};

static void expect_no_memory(const void *p, const char *what, size_t n)
{
    ck_assert_msg(p == NULL, "%s(%zx) gave a pointer", what, n);
    ck_assert_msg(errno == ENOMEM, "%s(%zx): errno %d", what, n, errno);
    errno = ERRNO_MARK;
}

START_TEST(too_large_is_refused)
{
    size_t n = too_large[_i];
    char *old = m.malloc(1000);
    char *span = m.malloc(MIB);
    pattern_fill(old, 1000, 1);
    pattern_fill(span, MIB, 2);
    errno = ERRNO_MARK;
    expect_no_memory(m.malloc(n), "malloc", n);
    expect_no_memory(m.calloc(1, n), "calloc", n);
    expect_no_memory(m.calloc(n, 1), "calloc", n);
    expect_no_memory(m.realloc(NULL, n), "realloc", n);
    expect_no_memory(m.realloc(old, n), "realloc", n);
    expect_no_memory(m.realloc(span, n), "realloc", n);
    expect_no_memory(m.reallocarray(old, n, 1), "reallocarray", n);
    expect_no_memory(m.reallocarray(span, 1, n), "reallocarray", n);
    expect_no_memory(m.reallocarray(NULL, 1, n), "reallocarray", n);
    ck_assert(pattern_holds(old, 1000, 1));
    ck_assert(pattern_holds(span, MIB, 2));
    m.free(old);
    m.free(span);
}
END_TEST

static const struct {
    size_t count, bytes;
} products[] = {
    {SIZE_MAX, 2},
    {2, SIZE_MAX},
    {SIZE_MAX / 2 + 1, 2},
    {SIZE_MAX / 2 + 2, 2},
    {3, SIZE_MAX / 2},
    {SIZE_MAX, SIZE_MAX},
    {(size_t)1 << sizeof(size_t) * 4, (size_t)1 << sizeof(size_t) * 4},
    {1 + ((size_t)1 << sizeof(size_t) * 4), (size_t)1 << sizeof(size_t) * 4},
    {SIZE_MAX / 16 + 1, 16},
    {SIZE_MAX / 16 + 2, 16},
    {SIZE_MAX / 24 + 1, 24},
    {PTRDIFF_MAX / 8 + 1, 8},
    {PTRDIFF_MAX, 2},
};

START_TEST(product_overflow_is_refused)
{
    size_t count = products[_i].count, bytes = products[_i].bytes;
    char *old = m.malloc(100);
    pattern_fill(old, 100, 3);
    errno = ERRNO_MARK;
    expect_no_memory(m.calloc(count, bytes), "calloc", count);
    expect_no_memory(m.calloc(bytes, count), "calloc", bytes);
    expect_no_memory(m.reallocarray(NULL, count, bytes), "reallocarray",
                     count);
    expect_no_memory(m.reallocarray(old, count, bytes), "reallocarray",
                     count);
    ck_assert(pattern_holds(old, 100, 3));
    m.free(old);
}
END_TEST

/* ---- every size ---- */

START_TEST(sizes_are_usable)
{
    size_t count = pattern_sizes(sizes, SIZES_ROOM, 2 * KIB, 8 * MIB);
    for (size_t i = 0; i < count; i++) {
        size_t n = sizes[i];
        errno = ERRNO_MARK;
        char *p = m.malloc(n), *q = m.malloc(n);
        ck_assert_msg(p != NULL && q != NULL, "malloc(%zu)", n);
        ck_assert_uint_eq(((uintptr_t)p | (uintptr_t)q) % 16, 0);
        size_t usable = m.usable_size(p);
        ck_assert_uint_ge(usable, n);
        ck_assert_uint_le(usable, 2 * n + 64 * KIB);
        memset(p, 0x5a, usable);
        memset(q, 0xa5, m.usable_size(q));
        ck_assert_uint_eq(m.usable_size(p), usable);
        ck_assert_int_eq(p[0], 0x5a);
        ck_assert_int_eq(p[usable - 1], 0x5a);
        /* Growing to what is there already is no move, and no change; for
           fuzzing it is always a move. */
        char *r = m.realloc(p, usable);
        ck_assert(FUZZ_ALLOCATOR ? r != NULL && r != p : r == p);
        p = r;
        ck_assert_uint_eq(m.usable_size(p), usable);
        ck_assert_int_eq(p[usable - 1], 0x5a);
        memset(p, 0x3c, usable);
        m.free(p);
        m.free(q);
        ck_assert_int_eq(errno, ERRNO_MARK);
    }
}
END_TEST

START_TEST(errno_is_untouched)
{
    size_t count = pattern_sizes(sizes, SIZES_ROOM, 64, 64 * MIB);
    for (size_t i = 0; i < count; i += 5) {
        size_t n = sizes[i];
        errno = ERRNO_MARK;
        void *p = m.malloc(n), *q = m.calloc(n, 1);
        p = m.realloc(p, n + n / 2);
        q = m.reallocarray(q, n / 2 + 1, 1);
        m.free(p);
        ck_assert_ptr_nonnull(q);
        (void)m.usable_size(q);
        m.free(q);
        ck_assert_msg(errno == ERRNO_MARK, "size %zu: errno %d", n, errno);
    }
}
END_TEST

/* ---- realloc keeps the content ---- */

static char *move(char *p, size_t from, size_t to)
{
    char *q = m.realloc(p, to);
    ck_assert_msg(q != NULL, "realloc %zu to %zu", from, to);
    ck_assert_uint_eq((uintptr_t)q % 16, 0);
    ck_assert_uint_ge(m.usable_size(q), to);
    size_t kept = from < to ? from : to;
    ck_assert_msg(pattern_holds(q, kept, from), "lost: %zu to %zu", from, to);
    pattern_fill(q, to, to);
    return q;
}

START_TEST(realloc_keeps_content)
{
    size_t count = pattern_sizes(sizes, SIZES_ROOM, KIB, 300 * KIB);
    char *p = m.malloc(1);
    pattern_fill(p, 1, 1);
    size_t at = 1;
    for (size_t i = 0; i < count; at = sizes[i++])
        p = move(p, at, sizes[i]);
    for (size_t i = count; i-- > 0; at = sizes[i])
        p = move(p, at, sizes[i]);
    struct rng rng = rng_make(1);
    for (int i = 0; i < 5000; i++) {
        size_t to = sizes[rng_below(&rng, count)];
        p = move(p, at, to);
        at = to;
    }
    m.free(p);
}
END_TEST

/* The block goes from hand to hand: one thread's malloc, another's realloc. */
struct relay {
    pthread_mutex_t lock;
    pthread_cond_t passed;
    char *p;
    size_t at, step, count;
};

static void *relay_run(void *arg)
{
    struct relay *relay = arg;
    pthread_mutex_lock(&relay->lock);
    while (relay->step < relay->count) {
        size_t to = sizes[relay->step++];
        relay->p = move(relay->p, relay->at, to);
        relay->at = to;
        pthread_cond_signal(&relay->passed);
        if (relay->step < relay->count)
            pthread_cond_wait(&relay->passed, &relay->lock);
    }
    pthread_cond_broadcast(&relay->passed);
    pthread_mutex_unlock(&relay->lock);
    return NULL;
}

START_TEST(realloc_keeps_content_across_threads)
{
    size_t count = pattern_sizes(sizes, SIZES_ROOM, 512, 600 * KIB);
    struct rng rng = rng_make(2);
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = rng_below(&rng, i + 1), kept = sizes[i];
        sizes[i] = sizes[j];
        sizes[j] = kept;
    }
    struct relay relay = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
                          m.malloc(1), 1, 0, count};
    pattern_fill(relay.p, 1, 1);
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, relay_run, &relay);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    m.free(relay.p);
}
END_TEST

static const size_t spans[] = {
    MIB,          MIB + 1,      MIB + 4095,      MIB + 4097,   2 * MIB - 1,
    2 * MIB,      2 * MIB + 16, 3 * MIB,         3 * MIB + 13, 4 * MIB,
    5 * MIB - 16, 8 * MIB,      8 * MIB + 65536, 15 * MIB + 1, 16 * MIB,
    33 * MIB,     48 * MIB + 7, 64 * MIB,
};
enum { SPAN_COUNT = sizeof spans / sizeof *spans };

static char *move_span(char *p, size_t from, size_t to)
{
    char *q = m.realloc(p, to);
    ck_assert_msg(q != NULL, "realloc %zu to %zu", from, to);
    ck_assert_uint_ge(m.usable_size(q), to);
    size_t kept = from < to ? from : to;
    ck_assert_msg(pattern_holds_sparse(q, kept, from), "lost: %zu to %zu",
                  from, to);
    q[to - 1] = 1;
    pattern_fill_sparse(q, to, to);
    return q;
}

START_TEST(realloc_keeps_spans)
{
    size_t at = 1000;
    char *p = m.malloc(at);
    pattern_fill_sparse(p, at, at);
    for (int i = 0; i < SPAN_COUNT; at = spans[i++])
        p = move_span(p, at, spans[i]);
    for (int i = SPAN_COUNT; i-- > 0; at = spans[i])
        p = move_span(p, at, spans[i]);
    struct rng rng = rng_make(3);
    for (int i = 0; i < 60; i++) {
        /* Another block in the way, sometimes, so that growth must move. */
        size_t to = spans[rng_below(&rng, SPAN_COUNT)];
        void *other = rng_below(&rng, 2) ? m.malloc(MIB) : NULL;
        p = move_span(p, at, to);
        m.free(other);
        at = to;
    }
    p = move_span(p, at, 100);
    m.free(p);
}
END_TEST

/* What grows in small steps is not copied at each size class: from 1 KiB to 250
   there are 64 of them. */
START_TEST(growth_moves_rarely)
{
    unsigned moves = 0;
    char *p = m.malloc(KIB);

    for (size_t n = KIB; n <= 250 * KIB; n += 16) {
        char *q = m.realloc(p, n);
        ck_assert_ptr_nonnull(q);
        ck_assert_uint_le(m.usable_size(q), 2 * n);
        moves += q != p;
        p = q;
    }
    m.free(p);
    ck_assert_uint_le(moves, 20);
}
END_TEST

/* Several spans that grow in turn must not grow into each other. */
START_TEST(spans_grow_apart)
{
    enum { COUNT = 8 };
    char *p[COUNT];
    size_t at[COUNT];
    struct rng rng = rng_make(4);
    for (int i = 0; i < COUNT; i++) {
        p[i] = m.malloc(at[i] = 300 * KIB);
        pattern_fill(p[i], at[i], at[i] + (size_t)i);
    }
    for (int step = 0; step < 300; step++) {
        int i = (int)rng_below(&rng, COUNT);
        size_t to = 64 * KIB + rng_below(&rng, 2 * MIB);
        size_t kept = at[i] < to ? at[i] : to;
        p[i] = m.realloc(p[i], to);
        ck_assert_ptr_nonnull(p[i]);
        ck_assert(pattern_holds(p[i], kept, at[i] + (size_t)i));
        at[i] = to;
        pattern_fill(p[i], to, to + (size_t)i);
    }
    for (int i = 0; i < COUNT; i++) {
        ck_assert(pattern_holds(p[i], at[i], at[i] + (size_t)i));
        m.free(p[i]);
    }
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("malloc");
    TCase *edges = tcase_create("edges");
    tcase_add_test(edges, errno_is_zero_at_start);
    tcase_add_test(edges, zero_sizes_are_unique);
    tcase_add_test(edges, null_is_accepted);
    tcase_add_test(edges, realloc_to_zero_frees);
    tcase_add_loop_test(edges, too_large_is_refused, 0,
                        sizeof too_large / sizeof *too_large);
    tcase_add_loop_test(edges, product_overflow_is_refused, 0,
                        sizeof products / sizeof *products);
    suite_add_tcase(suite, edges);

    TCase *sweep = tcase_create("sizes");
    tcase_set_timeout(sweep, 60);
    tcase_add_test(sweep, sizes_are_usable);
    tcase_add_test(sweep, errno_is_untouched);
    suite_add_tcase(suite, sweep);

    TCase *contents = tcase_create("contents");
    tcase_set_timeout(contents, 60);
    tcase_add_test(contents, realloc_keeps_content);
    tcase_add_test(contents, realloc_keeps_content_across_threads);
    tcase_add_test(contents, realloc_keeps_spans);
    if (!FUZZ_ALLOCATOR)
        tcase_add_test(contents, growth_moves_rarely);
    tcase_add_test(contents, spans_grow_apart);
    suite_add_tcase(suite, contents);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
