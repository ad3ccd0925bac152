/* SPDX-License-Identifier: MIT */
/*
 * check.h - the part of Check that the tests use, in a header, for machines
 * that have no Check for the C library in question: Debian has none for musl.
 *
 * Each test is a child process, as with Check. What differs: no TAP, no XML, no
 * filters. CK_TIMEOUT_MULTIPLIER is heeded.
 */
#ifndef MERLON_TESTS_MUSL_CHECK_H
#define MERLON_TESTS_MUSL_CHECK_H

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHECK_CASES = 32, CHECK_TESTS = 128 };
enum print_output { CK_SILENT, CK_MINIMAL, CK_NORMAL, CK_VERBOSE, CK_ENV };

typedef void check_fn(int i);

typedef struct {
    const char *name;
    double seconds;
    void (*setup)(void), (*teardown)(void);
    int count;
    struct {
        check_fn *fn;
        const char *name;
        int from, to;
    } test[CHECK_TESTS];
} TCase;

typedef struct {
    const char *name;
    int count;
    TCase *tcase[CHECK_CASES];
} Suite;

typedef struct {
    Suite *suite;
    int failed;
} SRunner;

#define START_TEST(name) static void name(int _i __attribute__((unused)))
#define END_TEST

#define ck_abort_msg(...)                                                    \
    (fprintf(stderr, "%s:%d: ", __FILE__, __LINE__),                         \
     fprintf(stderr, __VA_ARGS__), fputc('\n', stderr),                      \
     fprintf(stdout, "%s:%d: ", __FILE__, __LINE__),                         \
     fprintf(stdout, __VA_ARGS__), fputc('\n', stdout),                      \
     fflush(stdout), _exit(1))
#define ck_assert_msg(expr, ...)                                             \
    do {                                                                     \
        if (!(expr))                                                         \
            ck_abort_msg(__VA_ARGS__);                                       \
    } while (0)
#define ck_assert(expr) ck_assert_msg(expr, "%s", #expr)
#define CHECK_COMPARE(type, format, x, op, y)                                \
    do {                                                                     \
        type check_x = (type)(x);                                            \
        type check_y = (type)(y);                                            \
        ck_assert_msg(check_x op check_y, "%s %s %s: " format ", " format,   \
                      #x, #op, #y, check_x, check_y);                        \
    } while (0)
#define CHECK_INT(x, op, y) CHECK_COMPARE(intmax_t, "%jd", x, op, y)
#define CHECK_UINT(x, op, y) CHECK_COMPARE(uintmax_t, "%ju", x, op, y)
#define CHECK_PTR(x, op, y) CHECK_COMPARE(const void *, "%p", x, op, y)
#define ck_assert_int_eq(x, y) CHECK_INT(x, ==, y)
#define ck_assert_int_ne(x, y) CHECK_INT(x, !=, y)
#define ck_assert_int_lt(x, y) CHECK_INT(x, <, y)
#define ck_assert_int_le(x, y) CHECK_INT(x, <=, y)
#define ck_assert_int_gt(x, y) CHECK_INT(x, >, y)
#define ck_assert_int_ge(x, y) CHECK_INT(x, >=, y)
#define ck_assert_uint_eq(x, y) CHECK_UINT(x, ==, y)
#define ck_assert_uint_ne(x, y) CHECK_UINT(x, !=, y)
#define ck_assert_uint_lt(x, y) CHECK_UINT(x, <, y)
#define ck_assert_uint_le(x, y) CHECK_UINT(x, <=, y)
#define ck_assert_uint_gt(x, y) CHECK_UINT(x, >, y)
#define ck_assert_uint_ge(x, y) CHECK_UINT(x, >=, y)
#define ck_assert_ptr_eq(x, y) CHECK_PTR(x, ==, y)
#define ck_assert_ptr_ne(x, y) CHECK_PTR(x, !=, y)
#define ck_assert_ptr_null(x) CHECK_PTR(x, ==, NULL)
#define ck_assert_ptr_nonnull(x) CHECK_PTR(x, !=, NULL)
#define ck_assert_str_eq(x, y) ck_assert(strcmp(x, y) == 0)
#define ck_assert_mem_eq(x, y, n) ck_assert(memcmp(x, y, n) == 0)
#define ck_assert_mem_ne(x, y, n) ck_assert(memcmp(x, y, n) != 0)

static inline void *check_new(size_t bytes)
{
    void *p = calloc(1, bytes);
    if (p == NULL)
        abort();
    return p;
}

static inline Suite *suite_create(const char *name)
{
    Suite *suite = check_new(sizeof *suite);
    suite->name = name;
    return suite;
}

static inline TCase *tcase_create(const char *name)
{
    TCase *tcase = check_new(sizeof *tcase);
    tcase->name = name;
    tcase->seconds = 4;
    return tcase;
}

static inline void suite_add_tcase(Suite *suite, TCase *tcase)
{
    if (suite->count == CHECK_CASES)
        abort();
    suite->tcase[suite->count++] = tcase;
}

static inline void tcase_set_timeout(TCase *tcase, double seconds)
{
    tcase->seconds = seconds;
}

static inline void tcase_add_checked_fixture(TCase *tcase,
                                             void (*setup)(void),
                                             void (*teardown)(void))
{
    tcase->setup = setup;
    tcase->teardown = teardown;
}

static inline void check_add(TCase *tcase, check_fn *fn, const char *name,
                             int from, int to)
{
    if (tcase->count == CHECK_TESTS)
        abort();
    tcase->test[tcase->count].fn = fn;
    tcase->test[tcase->count].name = name;
    tcase->test[tcase->count].from = from;
    tcase->test[tcase->count++].to = to;
}
#define tcase_add_test(tcase, fn) check_add(tcase, fn, #fn, 0, 1)
#define tcase_add_loop_test(tcase, fn, from, to)                             \
    check_add(tcase, fn, #fn, (int)(from), (int)(to))

static inline SRunner *srunner_create(Suite *suite)
{
    SRunner *runner = check_new(sizeof *runner);
    runner->suite = suite;
    return runner;
}

static inline void srunner_set_tap(SRunner *runner, const char *file)
{
    (void)runner;
    (void)file;
}

/* In the child: it ends by itself. */
static inline void check_child(const TCase *tcase, check_fn *fn, int i)
{
    const char *text = getenv("CK_TIMEOUT_MULTIPLIER");
    double multiplier = text != NULL ? atof(text) : 1;

    alarm((unsigned)(tcase->seconds * multiplier) + 1);
    if (tcase->setup != NULL)
        tcase->setup();
    fn(i);
    if (tcase->teardown != NULL)
        tcase->teardown();
    fflush(NULL);
    _exit(0);
}

static inline int check_one(const TCase *tcase, int test, int i)
{
    int status = -1;

    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        check_child(tcase, tcase->test[test].fn, i);
    if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
        return 0;
    printf("FAILED: %s:%s:%d: wait status %#x\n", tcase->name,
           tcase->test[test].name, i, (unsigned)status);
    return 1;
}

static inline void srunner_run_all(SRunner *runner, enum print_output mode)
{
    const Suite *suite = runner->suite;
    int count = 0;

    (void)mode;
    for (int c = 0; c < suite->count; c++) {
        const TCase *tcase = suite->tcase[c];
        for (int t = 0; t < tcase->count; t++) {
            for (int i = tcase->test[t].from; i < tcase->test[t].to; i++) {
                count++;
                runner->failed += check_one(tcase, t, i);
            }
        }
    }
    printf("%s: %d checks, %d failed\n", suite->name, count, runner->failed);
}

static inline int srunner_ntests_failed(SRunner *runner)
{
    return runner->failed;
}

static inline void srunner_free(SRunner *runner)
{
    (void)runner;
}

#endif
