/* SPDX-License-Identifier: MIT */
/*
 * check_compat.c - what glibc offers beside allocation: mallinfo, mallopt,
 * malloc_trim, malloc_stats, malloc_info; and the version.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merlon/merlon.h"
#include "policy.h"
#include "support/death.h"
#include "support/suite.h"

/* What override.c relies on: the layouts are those of glibc. */
#ifdef __GLIBC__
#define SAME_PLACE(name, member)                                            \
    _Static_assert(sizeof(struct name) == sizeof(struct merlon_##name) &&   \
                       offsetof(struct name, member) ==                     \
                           offsetof(struct merlon_##name, member),          \
                   #name "." #member " is where glibc has it")
SAME_PLACE(mallinfo, arena);
SAME_PLACE(mallinfo, hblkhd);
SAME_PLACE(mallinfo, uordblks);
SAME_PLACE(mallinfo, keepcost);
SAME_PLACE(mallinfo2, arena);
SAME_PLACE(mallinfo2, hblkhd);
SAME_PLACE(mallinfo2, uordblks);
SAME_PLACE(mallinfo2, keepcost);
#endif

enum { ERRNO_MARK = 4321, SMALL_COUNT = 1000, SMALL_BYTES = 100 };

START_TEST(version_names_the_variant)
{
    const char *variant = getenv("MERLON_VARIANT");
    char expected[64];

    snprintf(expected, sizeof expected, "merlon %d.%d.%d ",
             MERLON_VERSION_MAJOR, MERLON_VERSION_MINOR,
             MERLON_VERSION_PATCH);
    const char *version = merlon_version();
    ck_assert_int_eq(strncmp(version, expected, strlen(expected)), 0);
    version += strlen(expected);
    if (variant != NULL)
        ck_assert_str_eq(version, variant);
    else
        ck_assert(strcmp(version, "fast") == 0 ||
                  strcmp(version, "hardened") == 0);
}
END_TEST

START_TEST(mallopt_knows_glibcs_options)
{
    errno = ERRNO_MARK;
    for (int option = -20; option <= 20; option++) {
        int known = (option >= -8 && option <= -1) ||
                    (option >= 1 && option <= 4);
        ck_assert_int_eq(merlon_mallopt(option, 0), known);
        ck_assert_int_eq(merlon_mallopt(option, INT_MAX), known);
    }
    ck_assert_int_eq(merlon_mallopt(INT_MIN, 0), 0);
    ck_assert_int_eq(merlon_mallopt(INT_MAX, 0), 0);
    ck_assert_int_eq(errno, ERRNO_MARK);
}
END_TEST

START_TEST(cfree_frees)
{
    void *p = m.malloc(100);
    errno = ERRNO_MARK;
    merlon_cfree(p);
    merlon_cfree(NULL);
    ck_assert_int_eq(errno, ERRNO_MARK);
}
END_TEST

/* ---- mallinfo ----------------------------------------------------------- */

START_TEST(mallinfo2_counts_small_objects)
{
    void *p[SMALL_COUNT];
    m.free(m.malloc(SMALL_BYTES));

    errno = ERRNO_MARK;
    struct merlon_mallinfo2 before = merlon_mallinfo2();
    for (int i = 0; i < SMALL_COUNT; i++)
        p[i] = m.malloc(SMALL_BYTES);
    struct merlon_mallinfo2 full = merlon_mallinfo2();
    for (int i = 0; i < SMALL_COUNT; i++)
        m.free(p[i]);
    struct merlon_mallinfo2 after = merlon_mallinfo2();
    ck_assert_int_eq(errno, ERRNO_MARK);

    size_t bytes = SMALL_COUNT * SMALL_BYTES;
    ck_assert_uint_ge(full.uordblks, before.uordblks + bytes);
    ck_assert_uint_lt(full.uordblks, before.uordblks + 2 * bytes);
    ck_assert_uint_eq(full.arena, full.uordblks + full.fordblks);
    ck_assert_uint_eq(full.hblks, before.hblks);
    ck_assert_uint_eq(full.hblkhd, before.hblkhd);
    ck_assert_uint_eq(after.uordblks, before.uordblks);
}
END_TEST

START_TEST(mallinfo2_counts_large_objects)
{
    struct merlon_mallinfo2 before = merlon_mallinfo2();
    void *p = m.malloc(8 * MIB);
    struct merlon_mallinfo2 full = merlon_mallinfo2();
    m.free(p);
    struct merlon_mallinfo2 after = merlon_mallinfo2();

    ck_assert_uint_eq(full.hblks, before.hblks + 1);
    ck_assert_uint_ge(full.hblkhd, before.hblkhd + 8 * MIB);
    ck_assert_uint_lt(full.hblkhd, before.hblkhd + 9 * MIB);
    ck_assert_uint_eq(full.uordblks, before.uordblks);
    ck_assert_uint_eq(after.hblks, before.hblks);
    ck_assert_uint_eq(after.hblkhd, before.hblkhd);
}
END_TEST

START_TEST(mallinfo_is_mallinfo2_in_int)
{
    void *p = m.malloc(1000), *q = m.malloc(5 * MIB);
    struct merlon_mallinfo2 wide = merlon_mallinfo2();
    struct merlon_mallinfo info = merlon_mallinfo();

    ck_assert_uint_eq((size_t)info.arena, wide.arena);
    ck_assert_uint_eq((size_t)info.uordblks, wide.uordblks);
    ck_assert_uint_eq((size_t)info.fordblks, wide.fordblks);
    ck_assert_uint_eq((size_t)info.hblks, wide.hblks);
    ck_assert_uint_eq((size_t)info.hblkhd, wide.hblkhd);
    ck_assert_uint_eq((size_t)info.keepcost, wide.keepcost);
    m.free(p);
    m.free(q);
}
END_TEST

START_TEST(mallinfo_saturates)
{
    if (sizeof(size_t) < 8)
        return;
    void *p = m.malloc((size_t)3072 * MIB);
    if (p == NULL)
        return;
    ck_assert_int_eq(merlon_mallinfo().hblkhd, INT_MAX);
    m.free(p);
}
END_TEST

/* ---- malloc_trim -------------------------------------------------------- */

START_TEST(trim_gives_memory_back)
{
    enum { COUNT = 64 * MIB / 1024 };
    static void *p[COUNT];
    size_t before = suite_rss_bytes();

    for (int i = 0; i < COUNT; i++) {
        p[i] = m.malloc(1000);
        memset(p[i], 1, 1000);
    }
    for (int i = 0; i < COUNT; i++)
        m.free(p[i]);
    errno = ERRNO_MARK;
    int first = merlon_malloc_trim(0);
    int second = merlon_malloc_trim(0);
    ck_assert_int_eq(errno, ERRNO_MARK);
    ck_assert(first == 0 || first == 1);
    ck_assert_int_eq(second, 0);
    if (before != 0)
        ck_assert_uint_lt(suite_rss_bytes(), before + 8 * MIB);
}
END_TEST

/* ---- malloc_stats ------------------------------------------------------- */

static void print_stats(const void *arg)
{
    (void)arg;
    void *p = m.malloc(100);
    errno = ERRNO_MARK;
    merlon_malloc_stats();
    if (errno != ERRNO_MARK)
        death_fail("errno was changed");
    m.free(p);
}

START_TEST(stats_go_to_standard_error)
{
    static const char *const wanted[] = {"live objects", "live bytes",
                                         "committed bytes"};
    struct death death;

    death_run(&death, print_stats, NULL, DEATH_SECONDS);
    ck_assert_int_eq(death.signal, 0);
    ck_assert_int_eq(death.status, 0);
    ck_assert_int_eq(strncmp(death.text, merlon_version(),
                             strlen(merlon_version())), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_msg(death_says(death.text, wanted[i]), "no %s in: %s",
                      wanted[i], death.text);
    ck_assert_int_eq(death.text[strlen(death.text) - 1], '\n');
}
END_TEST

/* ---- malloc_info -------------------------------------------------------- */

START_TEST(info_refuses_options)
{
    static const int options[] = {1, -1, INT_MAX};
    char *text = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&text, &bytes);

    for (int i = 0; i < 3; i++) {
        errno = 0;
        ck_assert_int_eq(merlon_malloc_info(options[i], stream), -1);
        ck_assert_int_eq(errno, EINVAL);
    }
    fclose(stream);
    ck_assert_uint_eq(bytes, 0);
    free(text);
}
END_TEST

/* Past one tag's attributes, each ` name="value"`; NULL if one is wrong. */
static const char *skip_attributes(const char *at)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz-";

    while (*at == ' ') {
        size_t name = strspn(++at, letters);
        at += name;
        if (name == 0 || strncmp(at, "=\"", 2) != 0)
            return NULL;
        at += 2;
        at += strcspn(at, "<&\"");
        if (*at++ != '"')
            return NULL;
    }
    return at;
}

/* Is this one XML element with others inside, and only newlines between? */
static bool is_well_formed(const char *at)
{
    char open[8][32];
    int depth = 0;

    do {
        if (*at++ != '<')
            return false;
        bool closes = *at == '/';
        at += closes;
        size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz");
        if (length == 0 || length >= 32)
            return false;
        if (closes) {
            if (depth == 0 || strlen(open[depth - 1]) != length ||
                memcmp(open[--depth], at, length) != 0)
                return false;
            at += length;
        } else {
            if (depth == 8)
                return false;
            memcpy(open[depth], at, length);
            open[depth++][length] = '\0';
            at = skip_attributes(at + length);
            if (at == NULL)
                return false;
            depth -= *at == '/';
            at += *at == '/';
        }
        if (*at++ != '>')
            return false;
        at += strspn(at, "\n");
    } while (depth > 0);
    return *at == '\0';
}

START_TEST(info_is_well_formed)
{
    void *p = m.malloc(100), *q = m.malloc(3 * MIB);
    char *text = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&text, &bytes);

    errno = ERRNO_MARK;
    ck_assert_int_eq(merlon_malloc_info(0, stream), 0);
    ck_assert_int_eq(errno, ERRNO_MARK);
    fclose(stream);
    ck_assert_msg(is_well_formed(text), "%s", text);
    ck_assert_ptr_nonnull(strstr(text, "<malloc version=\"1\""));
    ck_assert_ptr_nonnull(strstr(text, merlon_version()));
    ck_assert_ptr_nonnull(strstr(text, "<total type=\"mmap\" count=\""));
    ck_assert_ptr_null(strstr(text, "\"mmap\" count=\"0\""));
    /* For fuzzing there are no classes. */
    if (!FUZZ_ALLOCATOR)
        ck_assert_ptr_nonnull(strstr(text, "<class bytes=\"112\" slabs=\""));
    free(text);
    m.free(p);
    m.free(q);
}
END_TEST

START_TEST(info_tells_of_failed_writes)
{
    FILE *stream = fopen("/dev/full", "w");

    if (stream == NULL)
        return;
    setvbuf(stream, NULL, _IONBF, 0);
    errno = 0;
    ck_assert_int_eq(merlon_malloc_info(0, stream), -1);
    ck_assert_int_eq(errno, ENOSPC);
    fclose(stream);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("compat");
    TCase *tune = tcase_create("tune");
    tcase_set_timeout(tune, 60);
    tcase_add_test(tune, version_names_the_variant);
    tcase_add_test(tune, mallopt_knows_glibcs_options);
    tcase_add_test(tune, cfree_frees);
    /* The tables of libmerlon-fuzz stay. */
    if (!FUZZ_ALLOCATOR)
        tcase_add_test(tune, trim_gives_memory_back);
    suite_add_tcase(suite, tune);

    TCase *figures = tcase_create("figures");
    tcase_add_test(figures, mallinfo2_counts_small_objects);
    tcase_add_test(figures, mallinfo2_counts_large_objects);
    tcase_add_test(figures, mallinfo_is_mallinfo2_in_int);
    tcase_add_test(figures, mallinfo_saturates);
    tcase_add_test(figures, stats_go_to_standard_error);
    tcase_add_test(figures, info_refuses_options);
    tcase_add_test(figures, info_is_well_formed);
    tcase_add_test(figures, info_tells_of_failed_writes);
    suite_add_tcase(suite, figures);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
