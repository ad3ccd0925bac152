/* SPDX-License-Identifier: MIT */
/*
 * check_calloc.c - calloc's memory is zero, whoever had it before.
 *
 * Everything is filled before it is freed, and then asked for again: at the
 * same size, and after a smaller block has used a part of it.
 */
#define _GNU_SOURCE
#include <stdio.h>

#include "policy.h"
#include "support/pattern.h"
#include "support/suite.h"

enum { SIZES_ROOM = 8192 };

static size_t sizes[SIZES_ROOM];

START_TEST(calloc_is_zero_after_reuse)
{
    enum { MOST = 12 };
    size_t count = pattern_sizes(sizes, SIZES_ROOM, 512, 2 * MIB);
    for (size_t i = 0; i < count; i++) {
        size_t n = sizes[i];
        int many = n <= 16 * KIB ? MOST : n <= 256 * KIB ? 4 : 2;
        char *p[MOST];
        for (int k = 0; k < many; k++) {
            p[k] = m.malloc(n);
            ck_assert_ptr_nonnull(p[k]);
            memset(p[k], 0xa5, m.usable_size(p[k]));
        }
        for (int k = 0; k < many; k++)
            m.free(p[k]);
        for (int k = 0; k < many; k++) {
            p[k] = k % 2 ? m.calloc(1, n) : m.calloc(n, 1);
            ck_assert_ptr_nonnull(p[k]);
            ck_assert_msg(pattern_is_zero(p[k], n), "calloc(%zu)", n);
            memset(p[k], 0x77, n);
        }
        for (int k = 0; k < many; k++)
            m.free(p[k]);
    }
}
END_TEST

/*
 * A large block that is used again for a smaller one keeps old contents behind
 * it. Whatever way its memory comes back, calloc must not show them.
 */
START_TEST(calloc_is_zero_after_smaller_reuse)
{
    enum { EACH = 20 };
    static const size_t large[] = {300 * KIB, MIB, 5 * MIB};
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
            size_t n = large[i], less = n - n / 8;
            char *p[EACH];
            for (int k = 0; k < EACH; k++) {
                p[k] = m.malloc(n);
                memset(p[k], 0xa5, n);
            }
            for (int k = 0; k < EACH; k++)
                m.free(p[k]);
            for (int k = 0; k < EACH; k++)
                ck_assert_ptr_nonnull(p[k] = m.malloc(less));
            for (int k = 0; k < EACH; k++)
                m.free(p[k]);
            if (round == 1)
                suite_sleep_ms(1100);
            for (int k = 0; k < EACH; k++) {
                p[k] = m.calloc(1, n);
                ck_assert_msg(pattern_is_zero(p[k], n), "calloc(%zu)", n);
            }
            for (int k = 0; k < EACH; k++) {
                p[k] = m.realloc(p[k], n / 2);
                m.free(p[k]);
            }
        }
}
END_TEST

START_TEST(calloc_is_zero_for_products)
{
    for (size_t count = 1; count <= 4096; count = count * 2 + 1)
        for (size_t bytes = 1; bytes <= 512; bytes = bytes * 3 + 1) {
            char *p = m.calloc(count, bytes);
            ck_assert_ptr_nonnull(p);
            ck_assert_uint_ge(m.usable_size(p), count * bytes);
            ck_assert(pattern_is_zero(p, count * bytes));
            memset(p, 0xff, count * bytes);
            m.free(p);
        }
}
END_TEST

/* A vast block costs address space, not memory. */
START_TEST(large_is_lazy)
{
    size_t before = suite_rss_bytes();
    size_t bytes = sizeof(size_t) == 8 ? (size_t)1024 * MIB : 256 * MIB;
    char *p = m.calloc(1, bytes), *q = m.malloc(bytes);
    ck_assert_ptr_nonnull(p);
    ck_assert_ptr_nonnull(q);
    ck_assert_int_eq(p[bytes - 1] | p[bytes / 2], 0);
    q[0] = q[bytes - 1] = 1;
    ck_assert_uint_lt(suite_rss_bytes(), before + 4 * MIB);
    m.free(p);
    m.free(q);
}
END_TEST

/* And so does a large slot that nobody had before. */
START_TEST(large_slot_is_lazy)
{
    enum { COUNT = 64 };
    size_t bytes = 200 * KIB, before;
    char *p[COUNT];

    if (SLOT_MAP && !SCRUB)
        return;
    m.free(m.calloc(1, bytes));
    before = suite_rss_bytes();
    for (int i = 0; i < COUNT; i++) {
        ck_assert_ptr_nonnull(p[i] = m.calloc(1, bytes));
        ck_assert_int_eq(p[i][0] | p[i][bytes / 2] | p[i][bytes - 1], 0);
    }
    ck_assert_uint_lt(suite_rss_bytes(), before + 4 * MIB);
    for (int i = 0; i < COUNT; i++)
        m.free(p[i]);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("calloc");
    TCase *zero = tcase_create("zero");
    tcase_set_timeout(zero, 60);
    tcase_add_test(zero, calloc_is_zero_after_reuse);
    tcase_add_test(zero, calloc_is_zero_after_smaller_reuse);
    tcase_add_test(zero, calloc_is_zero_for_products);
    tcase_add_test(zero, large_is_lazy);
    tcase_add_test(zero, large_slot_is_lazy);
    suite_add_tcase(suite, zero);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
