/* SPDX-License-Identifier: MIT */
/*
 * check_memalign.c - posix_memalign, aligned_alloc, memalign, valloc, pvalloc,
 * free_sized and free_aligned_sized, to the letter of C23, POSIX and glibc's
 * manual.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "merlon/merlon.h"
#include "support/pattern.h"
#include "support/suite.h"

enum { ERRNO_MARK = 4321, GIB = 1024 * MIB };

/* Volatile, so that the compiler knows nothing of what is called. */
static volatile struct {
    int (*posix_memalign)(void **result, size_t alignment, size_t bytes);
    void *(*aligned_alloc)(size_t alignment, size_t bytes);
    void *(*memalign)(size_t alignment, size_t bytes);
    void *(*valloc)(size_t bytes);
    void *(*pvalloc)(size_t bytes);
    void (*free_aligned_sized)(void *p, size_t alignment, size_t bytes);
} a = {
    merlon_posix_memalign, merlon_aligned_alloc, merlon_memalign,
    merlon_valloc,         merlon_pvalloc,       merlon_free_aligned_sized,
};

enum form { POSIX_MEMALIGN, ALIGNED_ALLOC, MEMALIGN, VALLOC, PVALLOC, FORMS };

static const char *const names[FORMS] = {
    "posix_memalign", "aligned_alloc", "memalign", "valloc", "pvalloc",
};

/*
 * One call of any form. The error it reported, or 0 and the object. What must
 * not be touched is checked here: errno by success and by posix_memalign, and
 * the result by posix_memalign's failure.
 */
static int call(enum form form, size_t alignment, size_t bytes, void **result)
{
    static char untouched;
    void *p = &untouched;
    int error = 0;

    errno = ERRNO_MARK;
    switch (form) {
    case POSIX_MEMALIGN: error = a.posix_memalign(&p, alignment, bytes); break;
    case ALIGNED_ALLOC: p = a.aligned_alloc(alignment, bytes); break;
    case MEMALIGN: p = a.memalign(alignment, bytes); break;
    case VALLOC: p = a.valloc(bytes); break;
    default: p = a.pvalloc(bytes); break;
    }
    if (form == POSIX_MEMALIGN) {
        ck_assert_int_eq(errno, ERRNO_MARK);
        ck_assert((p == &untouched) == (error != 0));
    } else if (p == NULL) {
        error = errno;
        ck_assert_int_ne(error, ERRNO_MARK);
    } else {
        ck_assert_int_eq(errno, ERRNO_MARK);
    }
    *result = error == 0 ? p : NULL;
    return error;
}

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* The alignment that a form with this argument must give. */
static size_t expected_alignment(enum form form, size_t alignment)
{
    size_t least = form == VALLOC || form == PVALLOC ? page_bytes() : 16;
    size_t rounded = least;

    while (form <= MEMALIGN && rounded < alignment)
        rounded *= 2;
    return rounded;
}

/* Address space may lack where pointers are short. */
static bool may_fail(size_t alignment)
{
    return sizeof(void *) < 8 && alignment >= 64 * MIB;
}

/* A good call, and an object as it must be. NULL only where that is allowed. */
static void *make_object(enum form form, size_t alignment, size_t bytes)
{
    void *p;
    int error = call(form, alignment, bytes, &p);
    size_t expected = expected_alignment(form, alignment);

    if (error == ENOMEM && may_fail(expected))
        return NULL;
    ck_assert_msg(error == 0, "%s(%#zx, %#zx): %s", names[form], alignment,
                  bytes, strerror(error));
    ck_assert_msg((uintptr_t)p % expected == 0, "%s(%#zx, %#zx) = %p",
                  names[form], alignment, bytes, p);
    ck_assert_uint_ge(m.usable_size(p), bytes);
    return p;
}

/* ---- what succeeds ------------------------------------------------------ */

START_TEST(powers_are_accepted)
{
    enum form form = _i % FORMS;
    size_t top = form == VALLOC || form == PVALLOC ? 16 : GIB;

    for (size_t alignment = 1; alignment <= top; alignment *= 2) {
        size_t around = alignment <= MIB ? alignment : 4096;
        size_t sizes[] = {0,          1,          8,     17,
                          around - 1, around,     1000,  around + 1,
                          5000,       3 * around, 70000, 300000};
        if (form == POSIX_MEMALIGN && alignment < sizeof(void *))
            continue;
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            void *p = make_object(form, alignment, sizes[i]);
            if (p == NULL)
                continue;
            pattern_fill(p, sizes[i], alignment + i);
            ck_assert(pattern_holds(p, sizes[i], alignment + i));
            m.free(p);
            ck_assert_int_eq(errno, ERRNO_MARK);
        }
    }
}
END_TEST

START_TEST(zero_sizes_are_unique)
{
    enum { COUNT = 200 };
    static const size_t alignments[] = {8, 16, 64, 512, 4096, 65536};
    void *p[COUNT];

    for (int i = 0; i < COUNT; i++) {
        p[i] = make_object(i % FORMS, alignments[i % 6], 0);
        for (int j = 0; j < i; j++)
            ck_assert_ptr_ne(p[i], p[j]);
    }
    for (int i = 0; i < COUNT; i++)
        m.free(p[i]);
}
END_TEST

START_TEST(memalign_rounds_up)
{
    static const size_t alignments[] = {0,    3,    5,     12,    15,   17,
                                        24,   48,   65,    100,   1000, 1025,
                                        3000, 5000, 65537, 100000};

    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        void *p[8];
        for (int j = 0; j < 8; j++) {
            p[j] = make_object(MEMALIGN, alignments[i], 100);
            memset(p[j], j, 100);
        }
        for (int j = 0; j < 8; j++)
            m.free(p[j]);
    }
}
END_TEST

START_TEST(pvalloc_gives_whole_pages)
{
    size_t page = page_bytes();
    size_t sizes[] = {0, 1, 100, page - 1, page, page + 1, 10 * page + 1};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *p = make_object(PVALLOC, 0, sizes[i]);
        size_t whole = (sizes[i] + page - 1) / page * page;
        if (whole == 0)
            whole = page;
        ck_assert_uint_ge(m.usable_size(p), whole);
        pattern_fill(p, whole, i);
        m.free(p);
    }
}
END_TEST

/* ---- what fails --------------------------------------------------------- */

static const struct refusal {
    enum form form;
    size_t alignment, bytes;
    int error;
} refusals[] = {
    {POSIX_MEMALIGN, 0, 100, EINVAL},
    {POSIX_MEMALIGN, 1, 100, EINVAL},
    {POSIX_MEMALIGN, 2, 100, EINVAL},
    {POSIX_MEMALIGN, sizeof(void *) / 2, 100, EINVAL},
    {POSIX_MEMALIGN, sizeof(void *) + 1, 100, EINVAL},
    {POSIX_MEMALIGN, sizeof(void *) * 3, 100, EINVAL},
    {POSIX_MEMALIGN, 100, 0, EINVAL},
    {POSIX_MEMALIGN, SIZE_MAX, 100, EINVAL},
    {POSIX_MEMALIGN, SIZE_MAX / 2, 100, EINVAL},
    {POSIX_MEMALIGN, SIZE_MAX / 2 + 1, 100, ENOMEM},
    {POSIX_MEMALIGN, SIZE_MAX / 4 + 1, PTRDIFF_MAX, ENOMEM},
    {ALIGNED_ALLOC, 0, 100, EINVAL},
    {ALIGNED_ALLOC, 3, 3, EINVAL},
    {ALIGNED_ALLOC, 24, 48, EINVAL},
    {ALIGNED_ALLOC, 100, 0, EINVAL},
    {ALIGNED_ALLOC, 4097, 4097, EINVAL},
    {ALIGNED_ALLOC, SIZE_MAX, 100, EINVAL},
    {ALIGNED_ALLOC, SIZE_MAX / 2 + 2, 100, EINVAL},
    {ALIGNED_ALLOC, SIZE_MAX / 2 + 1, 100, ENOMEM},
    {ALIGNED_ALLOC, SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 1, ENOMEM},
    {MEMALIGN, SIZE_MAX / 2 + 2, 100, EINVAL},
    {MEMALIGN, SIZE_MAX - 1, 0, EINVAL},
    {MEMALIGN, SIZE_MAX, 100, EINVAL},
    {MEMALIGN, SIZE_MAX / 2 + 1, 100, ENOMEM},
    {MEMALIGN, SIZE_MAX / 2, 100, ENOMEM},
    {MEMALIGN, SIZE_MAX / 2 + 1, SIZE_MAX, ENOMEM},
};

START_TEST(wrong_alignments_are_refused)
{
    const struct refusal *refusal = &refusals[_i];
    void *p;
    int error = call(refusal->form, refusal->alignment, refusal->bytes, &p);

    ck_assert_msg(error == refusal->error, "%s(%#zx, %#zx): error %d, not %d",
                  names[refusal->form], refusal->alignment, refusal->bytes,
                  error, refusal->error);
}
END_TEST

START_TEST(large_sizes_are_refused)
{
    static const size_t sizes[] = {
        PTRDIFF_MAX,      (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 65536,
        SIZE_MAX - 65535, SIZE_MAX - 4096,         SIZE_MAX - 4095,
        SIZE_MAX - 4094,  SIZE_MAX - 64,           SIZE_MAX - 16,
        SIZE_MAX - 15,    SIZE_MAX - 1,            SIZE_MAX};
    static const size_t alignments[] = {8, 16, 32, 64, 4096, 65536, GIB};
    enum form form = _i;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t j = 0; j < 7; j++) {
            void *p;
            int error = call(form, alignments[j], sizes[i], &p);
            ck_assert_msg(error == ENOMEM, "%s(%#zx, %#zx): error %d",
                          names[form], alignments[j], sizes[i], error);
        }
    }
}
END_TEST

/* ---- living together ---------------------------------------------------- */

START_TEST(aligned_objects_keep_apart)
{
    enum { COUNT = 400, ROUNDS = 40 };
    struct {
        unsigned char *p;
        size_t bytes;
    } object[COUNT] = {0};
    struct rng rng = rng_make(1);

    for (int i = 0; i < COUNT * ROUNDS; i++) {
        size_t at = rng_below(&rng, COUNT);
        if (object[at].p != NULL) {
            ck_assert(pattern_holds(object[at].p, object[at].bytes, at));
            m.free(object[at].p);
        }
        size_t alignment = (size_t)8 << rng_below(&rng, 11);
        object[at].bytes = rng_size(&rng, 14);
        object[at].p = make_object(rng_below(&rng, FORMS), alignment,
                                   object[at].bytes);
        pattern_fill(object[at].p, object[at].bytes, at);
    }
    for (size_t at = 0; at < COUNT; at++) {
        if (object[at].p == NULL)
            continue;
        ck_assert(pattern_holds(object[at].p, object[at].bytes, at));
        m.free(object[at].p);
    }
}
END_TEST

START_TEST(realloc_takes_aligned_objects)
{
    for (size_t alignment = 8; alignment <= MIB; alignment *= 2) {
        for (size_t bytes = 1; bytes <= 2 * MIB; bytes = bytes * 5 + 3) {
            void *p = make_object(ALIGNED_ALLOC, alignment, bytes);
            pattern_fill(p, bytes, bytes);
            p = m.realloc(p, bytes * 2);
            ck_assert_ptr_nonnull(p);
            ck_assert(pattern_holds(p, bytes, bytes));
            p = m.realloc(p, bytes / 2 + 1);
            ck_assert_ptr_nonnull(p);
            ck_assert(pattern_holds(p, bytes / 2 + 1, bytes));
            m.free(p);
        }
    }
}
END_TEST

START_TEST(large_alignments_come_back)
{
    for (int i = 0; i < 300; i++) {
        void *p = make_object(MEMALIGN, GIB, 1);
        m.free(p);
    }
}
END_TEST

/* ---- free that is told the size ----------------------------------------- */

START_TEST(sized_frees_take_the_right_size)
{
    enum { TOP = 1 * MIB };

    for (size_t bytes = 0; bytes <= TOP; bytes += bytes / 7 + 1) {
        void *p = m.malloc(bytes);
        void *q = m.calloc(1, bytes);
        void *r = m.realloc(m.malloc(1), bytes + 1);
        ck_assert(p != NULL && q != NULL && r != NULL);
        errno = ERRNO_MARK;
        m.free_sized(p, bytes);
        m.free_sized(q, bytes);
        m.free_sized(r, bytes + 1);
        ck_assert_int_eq(errno, ERRNO_MARK);
        for (size_t alignment = 1; alignment <= 65536; alignment *= 4) {
            p = make_object(ALIGNED_ALLOC, alignment, bytes);
            a.free_aligned_sized(p, alignment, bytes);
            ck_assert_int_eq(errno, ERRNO_MARK);
        }
    }
}
END_TEST

START_TEST(sized_frees_accept_null)
{
    errno = ERRNO_MARK;
    m.free_sized(NULL, 0);
    m.free_sized(NULL, 100);
    a.free_aligned_sized(NULL, 0, 0);
    a.free_aligned_sized(NULL, 64, 100);
    ck_assert_int_eq(errno, ERRNO_MARK);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("memalign");
    TCase *good = tcase_create("good");
    tcase_set_timeout(good, 60);
    tcase_add_loop_test(good, powers_are_accepted, 0, FORMS);
    tcase_add_test(good, zero_sizes_are_unique);
    tcase_add_test(good, memalign_rounds_up);
    tcase_add_test(good, pvalloc_gives_whole_pages);
    suite_add_tcase(suite, good);

    TCase *bad = tcase_create("bad");
    tcase_add_loop_test(bad, wrong_alignments_are_refused, 0,
                        sizeof refusals / sizeof *refusals);
    tcase_add_loop_test(bad, large_sizes_are_refused, 0, FORMS);
    suite_add_tcase(suite, bad);

    TCase *together = tcase_create("together");
    tcase_set_timeout(together, 60);
    tcase_add_test(together, aligned_objects_keep_apart);
    tcase_add_test(together, realloc_takes_aligned_objects);
    tcase_add_test(together, large_alignments_come_back);
    tcase_add_test(together, sized_frees_take_the_right_size);
    tcase_add_test(together, sized_frees_accept_null);
    suite_add_tcase(suite, together);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
