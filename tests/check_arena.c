/* SPDX-License-Identifier: MIT */
/*
 * check_arena.c - addresses to records, and runs of granules given out, taken
 * back, purged.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"
#include "guard.h"
#include "process.h"
#include "retire.h"
#include "ring.h"
#include "slab.h"

#include "support/pattern.h"
#include "support/suite.h"

enum { LIVE_MAX = 200, ROUNDS = 10000, RETURNS = 40 };

static struct stream stream;

static void setup(void)
{
    ck_assert(process_start());
}

static size_t bytes_of(unsigned class)
{
    return (size_t)class_slab_granules(class) << GRANULE_SHIFT;
}

static struct record *take(unsigned class, uint64_t random)
{
    struct record *slab = arena_take_slab(class, random);

    ck_assert_ptr_nonnull(slab);
    return slab;
}

static void no_check(struct record *slab)
{
    (void)slab;
}

/* A slab is given back as the heap does it. */
static void give(struct record *slab)
{
    unsigned granules = class_slab_granules(record_class(slab));

    ck_assert(guard_slab_end(slab->base, (size_t)granules << GRANULE_SHIFT));
    slab_close(slab);
    arena_give_slab(slab, granules, no_check);
}

START_TEST(foreign_addresses_have_no_record)
{
    static char in_data[16];
    char on_stack[16];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *map = mmap(NULL, 16 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
                     -1, 0);
    struct arena *arena = arena_at(0);
    uintptr_t end = arena->base + arena->slab_bytes + arena->span_bytes;

    ck_assert_ptr_ne(map, MAP_FAILED);
    ck_assert_ptr_null(arena_record((uintptr_t)suite_hide(in_data)));
    ck_assert_ptr_null(arena_record((uintptr_t)suite_hide(on_stack)));
    ck_assert_ptr_null(arena_record((uintptr_t)map));
    ck_assert_ptr_null(arena_record((uintptr_t)arena->records));
    ck_assert_ptr_null(arena_record(0));
    ck_assert_ptr_null(arena_record(UINTPTR_MAX));
    ck_assert_ptr_null(arena_record(arena->base - 1));
    ck_assert_ptr_null(arena_record(end));
    ck_assert_ptr_eq(arena_record(arena->base), arena->records);
    ck_assert_ptr_eq(arena_record(end - 1), arena->records
                     + ((end - 1 - arena->base) >> GRANULE_SHIFT));
    munmap(map, 16 * page);
}
END_TEST

START_TEST(slabs_are_found_and_aligned)
{
    for (unsigned class = 0; class < CLASS_COUNT; class++) {
        size_t bytes = bytes_of(class);
        struct record *slab = take(class, class * 77);
        struct arena *arena = arena_at(slab->arena);
        ck_assert_uint_eq(slab->base % bytes, 0);
        ck_assert_uint_ge(slab->base, arena->base);
        ck_assert_uint_le(slab->base + bytes, arena->base + arena->slab_bytes);
        ck_assert_ptr_eq(arena_record(slab->base), slab);
        ck_assert_ptr_eq(arena_record(slab->base + GRANULE_BYTES - 1), slab);
        ck_assert_ptr_eq(arena_record(slab->base + bytes - 1),
                         slab + class_slab_granules(class) - 1);
        ck_assert_uint_eq(arena->base + (record_index(slab) << GRANULE_SHIFT),
                          slab->base);
    }
}
END_TEST

START_TEST(spans_are_found)
{
    static const size_t granules[] = {1, 3, 4, 63, 64, 65, 1000};
    struct record *span[7];
    size_t taken[7];
    bool clean;

    for (size_t i = 0; i < 7; i++) {
        span[i] = arena_take_span(granules[i], i * 1234567, &taken[i], &clean);
        ck_assert_ptr_nonnull(span[i]);
        ck_assert(clean);
        ck_assert_uint_ge(taken[i], granules[i]);
        ck_assert_ptr_eq(arena_record(span[i]->base), span[i]);
        ck_assert_ptr_eq(arena_record(span[i]->base
                                      + (taken[i] << GRANULE_SHIFT) - 1),
                         span[i] + taken[i] - 1);
        ck_assert_uint_ge(span[i]->base, arena_at(span[i]->arena)->base
                          + arena_at(span[i]->arena)->slab_bytes);
        for (size_t j = 0; j < i; j++)
            ck_assert(span[i] + taken[i] <= span[j]
                      || span[j] + taken[j] <= span[i]);
    }
    for (size_t i = 0; i < 7; i++)
        arena_give_span(span[i]->arena, record_index(span[i]), taken[i], true);
}
END_TEST

START_TEST(an_address_serves_one_class)
{
    unsigned one = 0, other = 1;
    struct record *given[RETURNS];
    bool back[RETURNS] = {false};

    ck_assert_uint_eq(bytes_of(one), bytes_of(other));
    for (uint64_t i = 0; i < RETURNS; i++) {
        given[i] = take(one, i);
        slab_open(given[i], one, &stream);
    }
    for (int i = 0; i < RETURNS; i++)
        give(given[i]);
    for (uint64_t i = 0; CLASS_ISOLATION && i < 2 * RETURNS; i++) {
        struct record *slab = take(other, i);
        for (int j = 0; j < RETURNS; j++)
            ck_assert_ptr_ne(slab, given[j]);
    }
    /* The first come first, and the last not before others follow. */
    for (uint64_t i = 0; CLASS_ISOLATION && i < RETURNS; i++) {
        struct record *slab = take(one, i);
        if (i < RETURNS - RETIRE_BEHIND)
            ck_assert_ptr_eq(slab, given[i]);
        for (int j = 0; j < RETURNS; j++)
            back[j] |= slab == given[j];
    }
    for (int j = 0; CLASS_ISOLATION && j < RETURNS; j++)
        ck_assert_msg(back[j] == (j < RETURNS - RETIRE_BEHIND),
                      "slab %d: back is %d", j, back[j]);
}
END_TEST

/* ---- purged slabs ---- */

static size_t checked;

static void count_check(struct record *slab)
{
    (void)slab;
    checked++;
}

/* Take so many, give them all back, and purge them. */
static void take_and_purge(struct record **slab, unsigned class, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        slab[i] = take(class, i * 7919);
        slab_open(slab[i], class, &stream);
    }
    for (size_t i = 0; i < count; i++)
        give(slab[i]);
    checked = 0;
    ck_assert(arena_purge(true, count_check));
}

/* Each was looked at before, and comes back when RETIRE_BYTES of its class,
   less one, wait behind it. */
START_TEST(purged_slabs_wait)
{
    enum { CLASS = 3, WAIT = RING_COUNT - 1, COUNT = WAIT + 9 };
    static struct record *slab[COUNT];
    struct record *first;

    if (!CLASS_ISOLATION || GRANULE_BYTES != 64 << 10)
        return;
    ck_assert_uint_eq((WAIT + 1) * GRANULE_BYTES, RETIRE_BYTES);
    take_and_purge(slab, CLASS, 1);
    ck_assert_uint_eq(checked, 1);
    first = slab[0];
    take_and_purge(slab, CLASS, WAIT);
    ck_assert_uint_eq(checked, WAIT);
    for (size_t i = 0; i < WAIT; i++)
        ck_assert_ptr_ne(slab[i], first);
    ck_assert_ptr_eq(take(CLASS, 1), first);
    ck_assert(first->zeroed);
}
END_TEST

/* However many are emptied and purged at once, and how often: their addresses
   and the tables for them do not grow for ever. */
START_TEST(retired_addresses_are_bounded)
{
    enum { CLASS = 5, COUNT = 3 * RETIRE_BYTES / GRANULE_BYTES + 700 };
    static struct record *slab[COUNT];
    size_t before, after;

    if (!CLASS_ISOLATION || GRANULE_BYTES != 64 << 10)
        return;
    for (int i = 0; i < 3; i++)
        take_and_purge(slab, CLASS, COUNT);
    before = __atomic_load_n(&arena_at(0)->slabs.taken, __ATOMIC_RELAXED);
    for (int i = 0; i < 12; i++)
        take_and_purge(slab, CLASS, COUNT);
    after = __atomic_load_n(&arena_at(0)->slabs.taken, __ATOMIC_RELAXED);
    ck_assert_uint_lt(before, 3 * COUNT);
    ck_assert_msg(after <= before + COUNT / 8, "%zu granules, then %zu",
                  before, after);
}
END_TEST

static size_t resident_pages(uintptr_t base, size_t bytes)
{
    static unsigned char in[4096];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), count = 0;

    ck_assert_uint_le(bytes / page, sizeof in);
    ck_assert_int_eq(mincore((void *)base, bytes, in), 0);
    for (size_t i = 0; i < bytes / page; i++)
        count += in[i] & 1;
    return count;
}

START_TEST(purged_memory_is_gone)
{
    unsigned class = class_of_request(1000);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), taken;
    size_t slab_bytes = bytes_of(class) - guard_slab_bytes();
    struct record *slab = take(class, 5);
    bool clean;

    slab_open(slab, class, &stream);
    struct record *span = arena_take_span(16, 9, &taken, &clean);
    ck_assert_ptr_nonnull(span);
    size_t span_bytes = taken << GRANULE_SHIFT;
    uintptr_t slab_base = slab->base, span_base = span->base;
    memset((void *)slab_base, 0x5a, slab_bytes);
    memset((void *)span_base, 0x5a, span_bytes);
    ck_assert_uint_eq(resident_pages(slab_base, slab_bytes),
                      slab_bytes / page);
    give(slab);
    arena_give_span(span->arena, record_index(span), taken, true);
    struct arena_figures figures;
    arena_gather(&figures);
    ck_assert_uint_ge(figures.dirty_bytes, span_bytes);
    ck_assert(arena_purge(true, no_check));
    ck_assert_uint_eq(resident_pages(slab_base, slab_bytes), 0);
    ck_assert_uint_eq(resident_pages(span_base, span_bytes), 0);
    arena_gather(&figures);
    ck_assert_uint_eq(figures.dirty_bytes, 0);
    ck_assert(pattern_is_zero((void *)slab_base, slab_bytes));
    ck_assert(pattern_is_zero((void *)span_base, span_bytes));
    ck_assert(!arena_purge(true, no_check));
}
END_TEST

START_TEST(no_address_twice)
{
    static const unsigned classes[] = {0, 1, 20, 60, CLASS_COUNT - 1};
    static struct record *live[LIVE_MAX];
    struct rng rng = rng_make(4);
    size_t count = 0;
    int wrong = 0;

    for (int round = 0; round < ROUNDS; round++) {
        if (count == LIVE_MAX || (count > 0 && rng_below(&rng, 2) == 0)) {
            size_t i = rng_below(&rng, count);
            give(live[i]);
            live[i] = live[--count];
            continue;
        }
        unsigned class = classes[rng_below(&rng, 5)];
        unsigned granules = class_slab_granules(class);
        struct record *slab = arena_take_slab(class, rng_next(&rng));
        ck_assert_ptr_nonnull(slab);
        for (unsigned i = 0; i < granules; i++)
            wrong += slab[i].kind != RECORD_NONE
                || (CLASS_ISOLATION && slab[i].tenant != 0
                    && slab[i].tenant != class + 1);
        for (size_t i = 0; i < count; i++)
            wrong += slab->base < live[i]->base + bytes_of(
                         record_class(live[i]))
                && live[i]->base < slab->base + bytes_of(class);
        slab_open(slab, class, &stream);
        live[count++] = slab;
    }
    ck_assert_int_eq(wrong, 0);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("arena");
    TCase *one = tcase_create("arena");
    tcase_add_checked_fixture(one, setup, NULL);
    tcase_set_timeout(one, 60);
    tcase_add_test(one, foreign_addresses_have_no_record);
    tcase_add_test(one, slabs_are_found_and_aligned);
    tcase_add_test(one, spans_are_found);
    tcase_add_test(one, an_address_serves_one_class);
    tcase_add_test(one, purged_memory_is_gone);
    tcase_add_test(one, purged_slabs_wait);
    tcase_add_test(one, retired_addresses_are_bounded);
    tcase_add_test(one, no_address_twice);
    suite_add_tcase(suite, one);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
