/* SPDX-License-Identifier: MIT */
/*
 * check_space.c - address space is given back when the program limits it, and
 * what was given back is nobody's business any more.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "arena.h"
#include "extent.h"
#include "process.h"
#include "sample.h"
#include "space.h"

#include "support/death.h"
#include "support/pattern.h"
#include "support/suite.h"

enum { ALLOWANCE = 64 * MIB, OBJECTS = 2000, THREADS = 3, ROUNDS = 12 };

static const size_t limit = (size_t)200 * MIB;

static void setup(void)
{
    ck_assert(process_start());
}

START_TEST(an_extent_keeps_what_is_claimed)
{
    struct extent extent;

    extent_open(&extent, 1000);
    ck_assert_uint_eq(extent_size(&extent), 1000);
    ck_assert(extent_claim(&extent, 100));
    ck_assert(extent_claim(&extent, 50));
    ck_assert(!extent_claim(&extent, 1001));
    ck_assert_uint_eq(extent_cut(&extent, 20), 120);
    ck_assert(!extent_claim(&extent, 121));
    ck_assert(extent_claim(&extent, 120));
    ck_assert_uint_eq(extent_cut(&extent, 20), 120);
    ck_assert_uint_eq(extent_cut(&extent, 0), 120);
}
END_TEST

/* Of all arenas, by what the pointer checks believe. */
static size_t believed_bytes(void)
{
    size_t sum = 0;

    for (unsigned i = 0; i < arena_count(); i++)
        sum += arena_at(i)->slab_bytes + arena_at(i)->span_bytes;
    return sum;
}

START_TEST(what_is_not_used_is_given_back)
{
    static char *object[OBJECTS];
    struct arena *first = arena_at(0);
    uintptr_t end = first->base + first->slab_bytes;
    struct granules *slabs = &first->slabs;

    if (believed_bytes() <= limit)
        return; /* a small machine: there is nothing to give back */
    for (size_t i = 0; i < OBJECTS; i++) {
        object[i] = m.malloc(i * 7 % 5000 + 1);
        pattern_fill(object[i], i * 7 % 5000 + 1, i);
    }
    ck_assert_uint_le(arena_limit(limit, ALLOWANCE, sample_give_up()),
                      ALLOWANCE);
    ck_assert_uint_le(believed_bytes(), limit);
    ck_assert_uint_eq(MAP->slab_granules << GRANULE_SHIFT, first->slab_bytes);
    ck_assert_ptr_null(arena_record(end - 1));
    ck_assert_ptr_null(arena_record(first->base + first->slab_bytes));
    ck_assert(!space_grow(first, slabs, extent_size(&slabs->extent) + 1));
    /* Nothing of ours is left there: the whole can be mapped. */
    void *hole = (void *)(first->base + first->slab_bytes + 2 * MIB);
    ck_assert_ptr_eq(mmap(hole, limit, PROT_READ | PROT_WRITE, MAP_PRIVATE
                          | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
                     hole);
    ck_assert(space_grow(first, slabs, extent_size(&slabs->extent)));
    for (size_t i = 0; i < OBJECTS; i++) {
        ck_assert(pattern_holds(object[i], i * 7 % 5000 + 1, i));
        m.free(object[i]);
    }
    ck_assert(pattern_is_zero(hole, limit));
    munmap(hole, limit);
}
END_TEST

START_TEST(limits_lower_and_lower_and_no_more)
{
    static const size_t mib[] = {2000, 500, 200, 100, 50};

    for (size_t i = 0; i < sizeof mib / sizeof *mib; i++) {
        size_t before = believed_bytes();
        arena_limit(mib[i] * MIB, ALLOWANCE, false);
        ck_assert_uint_le(believed_bytes(), size_max(before, mib[i] * MIB));
        void *p = m.malloc(MIB);
        ck_assert_ptr_nonnull(p);
        memset(p, 1, MIB);
        m.free(p);
    }
    arena_limit(SIZE_MAX, ALLOWANCE, false);
    void *p = m.malloc((size_t)300 * MIB);
    ck_assert_ptr_nonnull(p);
    m.free(p);
}
END_TEST

/* free() of what the program has mapped where slabs might have come. */
static void free_in_the_hole(const void *arg)
{
    struct arena *first = arena_at(0);
    uintptr_t far = first->base + first->slab_bytes - 4096;

    (void)arg;
    arena_limit(limit, ALLOWANCE, sample_give_up());
    m.free((void *)far);
}

START_TEST(pointers_into_holes_are_foreign)
{
    if (!CHECKED || believed_bytes() <= limit)
        return;
    death_expect(free_in_the_hole, NULL, SIGABRT, "invalid pointer");
}
END_TEST

/* Threads grow windows while they are cut, and the program maps what it gets
   at once: nobody may write to anybody else's memory. */
static atomic_bool over;

static void *allocate(void *arg)
{
    static _Thread_local void *object[400];
    struct rng rng = rng_make((uintptr_t)arg);

    while (!atomic_load(&over)) {
        size_t i = rng_below(&rng, 400);
        m.free(object[i]);
        object[i] = m.malloc(rng_size(&rng, 19));
        if (object[i] != NULL)
            *(char *)object[i] = 0x11;
    }
    for (size_t i = 0; i < 400; i++)
        m.free(object[i]);
    return NULL;
}

START_TEST(growing_while_cutting)
{
    pthread_t thread[THREADS];
    char *map[ROUNDS];

    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, allocate,
                                        (void *)i), 0);
    for (int i = 0; i < ROUNDS; i++) {
        suite_sleep_ms(2);
        arena_limit(((size_t)400 - 25 * (size_t)i) * MIB, i % 8 * MIB, false);
        map[i] = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(map[i], MAP_FAILED);
    }
    atomic_store(&over, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < ROUNDS; i++)
        ck_assert(pattern_is_zero(map[i], 8 * MIB));
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("space");
    TCase *one = tcase_create("space");
    tcase_add_checked_fixture(one, setup, NULL);
    tcase_set_timeout(one, 60);
    tcase_add_test(one, an_extent_keeps_what_is_claimed);
    tcase_add_test(one, what_is_not_used_is_given_back);
    tcase_add_test(one, limits_lower_and_lower_and_no_more);
    tcase_add_test(one, pointers_into_holes_are_foreign);
    tcase_add_test(one, growing_while_cutting);
    suite_add_tcase(suite, one);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
