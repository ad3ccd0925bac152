/* SPDX-License-Identifier: MIT */
/*
 * check_span.c - large objects without a heap: alignment, contents, guards,
 * the cache, and counters that come back to where they began.
 */
#include <signal.h>
#include <string.h>

#include "arena.h"
#include "guard.h"
#include "os.h"
#include "process.h"
#include "span.h"
#include "support/death.h"
#include "support/pattern.h"
#include "support/suite.h"

enum { ROUNDS = 300, HELD = 8 };

static struct stream stream;
static struct span_cache cache;
static const struct die_call no_call;
static size_t start_bytes, start_count, page;

static void setup(void)
{
    ck_assert(process_start());
    page = os_page_bytes();
    start_bytes = span_live_bytes;
    start_count = span_live_count();
}

/* Every test frees what it took. */
static void teardown(void)
{
    span_cache_decay(&cache, 0, true);
    ck_assert_uint_eq(span_live_bytes, start_bytes);
    ck_assert_uint_eq(span_live_count(), start_count);
}

static struct record *record_of(const void *p)
{
    return span_of(arena_record((uintptr_t)p), (uintptr_t)p);
}

static char *span_make(size_t bytes, size_t alignment, bool *zeroed)
{
    bool ignored;
    char *p = span_allocate(bytes, alignment, RANDOM_STREAM ? &stream : NULL,
                            &cache, zeroed ? zeroed : &ignored);

    ck_assert_msg(p != NULL, "no span of %zu at %zx", bytes, alignment);
    ck_assert_uint_eq((uintptr_t)p % alignment, 0);
    struct record *span = record_of(p);
    ck_assert_ptr_nonnull(span);
    ck_assert_uint_eq(span->span_bytes, align_up(bytes, page));
    return p;
}

static void span_end(char *p)
{
    struct record *span = record_of(p);

    ck_assert_ptr_nonnull(span);
    span_free(span, &cache, no_call);
    ck_assert_ptr_null(record_of(p));
}

START_TEST(alignments)
{
    size_t top = sizeof(void *) == 4 ? 16 * MIB : (size_t)1024 * MIB;

    for (size_t alignment = page; alignment <= top; alignment *= 2) {
        for (size_t bytes = 1; bytes <= MIB; bytes = bytes * 32 + 1) {
            char *p = span_make(bytes, alignment, NULL);
            size_t live = span_live_bytes - start_bytes;
            ck_assert_uint_eq(live, align_up(bytes, page));
            ck_assert_uint_eq(span_live_count(), start_count + 1);
            memset(p, 0x5a, align_up(bytes, page));
            span_end(p);
        }
    }
}
END_TEST

START_TEST(impossible_sizes)
{
    static const size_t sizes[] = { PTRDIFF_MAX, (size_t)PTRDIFF_MAX - 70000 };
    bool zeroed;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        ck_assert_ptr_null(span_allocate(sizes[i], page, RANDOM_STREAM
                                             ? &stream : NULL,
                                         &cache, &zeroed));
    char *p = span_make(page, page, NULL);
    pattern_fill(p, page, 1);
    ck_assert(!span_resize(record_of(p), SIZE_MAX));
    ck_assert(!span_resize(record_of(p), (size_t)PTRDIFF_MAX + 1));
    ck_assert(!span_resize(record_of(p), PTRDIFF_MAX - page));
    ck_assert(pattern_holds(p, page, 1));
    span_end(p);
}
END_TEST

START_TEST(resize_keeps_contents)
{
    /* 17 pages, guards and all, lie in a range of 32: 20 pages fit. */
    size_t from = 17 * page, to = 20 * page;
    char *p = span_make(from, page, NULL);

    pattern_fill(p, from, 3);
    ck_assert(span_resize(record_of(p), to));
    ck_assert_uint_eq(record_of(p)->span_bytes, to);
    ck_assert_uint_eq(span_live_bytes, start_bytes + to);
    ck_assert(pattern_holds(p, from, 3));
    pattern_fill(p, to, 4);
    /* Down and up again; what was given up is not seen again. */
    ck_assert(span_resize(record_of(p), 2 * page + 1));
    ck_assert_uint_eq(record_of(p)->span_bytes, 3 * page);
    ck_assert(pattern_holds(p, 3 * page, 4));
    ck_assert(span_resize(record_of(p), to));
    ck_assert(pattern_holds(p, 3 * page, 4));
    for (size_t i = 3 * page; i < to; i++)
        if (GUARD_PAGES && p[i] != 0)
            ck_abort_msg("byte %zu came back", i);
    memset(p, 1, to);
    span_end(p);

    /* Far growth may be refused, but never half done. */
    p = span_make(300 * KIB, page, NULL);
    size_t at = 300 * KIB;
    pattern_fill(p, at, 5);
    for (size_t next = MIB; next <= 16 * MIB; next *= 2) {
        size_t live = record_of(p)->span_bytes;
        bool grown = span_resize(record_of(p), next);
        ck_assert_uint_eq(record_of(p)->span_bytes, grown ? next : live);
        ck_assert(pattern_holds(p, at, 5));
        if (grown)
            p[next - 1] = 1;
    }
    span_end(p);
}
END_TEST

static void expect_zero(const char *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (p[i] != 0)
            ck_abort_msg("byte %zu of %zu is not zero", i, bytes);
}

START_TEST(zeroed_means_zero)
{
    struct rng rng = rng_make(1);
    char *held[HELD] = { NULL };
    unsigned claims = 0;

    for (int i = 0; i < ROUNDS; i++) {
        size_t at = rng_below(&rng, HELD), bytes = rng_size(&rng, 19);
        bool zeroed = false;
        if (held[at])
            span_end(held[at]);
        held[at] = span_make(bytes, page, &zeroed);
        claims += zeroed;
        if (zeroed)
            expect_zero(held[at], align_up(bytes, page));
        memset(held[at], 0x99, align_up(bytes, page));
        if (i % 32 == 0)
            span_cache_decay(&cache, 0, true);
    }
    ck_assert_uint_ge(claims, 1);
    for (int i = 0; i < HELD; i++)
        if (held[i])
            span_end(held[i]);
}
END_TEST

START_TEST(only_the_start_is_a_span)
{
    size_t bytes = 40 * page;
    char *p = span_make(bytes, page, NULL);

    for (size_t at = UNIT_BYTES; at < bytes; at += UNIT_BYTES)
        if (record_of(p + at) != NULL)
            ck_abort_msg("a span at %zu inside", at);
    ck_assert_ptr_null(record_of(p + 1));
    ck_assert_ptr_null(record_of(p - 1));
    ck_assert_ptr_nonnull(record_of(p));
    span_end(p);
}
END_TEST

static void touch(const void *p)
{
    *(volatile char *)(uintptr_t)p = 1;
}

static void look(const void *p)
{
    (void)*(const volatile char *)p;
}

static void free_again(const void *span)
{
    span_free((struct record *)(uintptr_t)span, NULL, no_call);
}

/* Small ones are closed by guards, large ones by protection. */
START_TEST(guards_fault)
{
    size_t bytes = _i == 0 ? 3 * page : MIB;

    if (!GUARD_PAGES)
        return;
    char *p = span_make(bytes, page, NULL);
    struct record *span = record_of(p);
    touch(p);
    touch(p + bytes - 1);
    death_expect(touch, p + bytes, SIGSEGV, "");
    death_expect(look, p + bytes, SIGSEGV, "");
    death_expect(touch, p - 1, SIGSEGV, "");
    ck_assert(span_resize(span, bytes - page));
    touch(p + bytes - page - 1);
    death_expect(touch, p + bytes - page, SIGSEGV, "");
    ck_assert(span_resize(span, bytes));
    touch(p + bytes - 1);
    death_expect(touch, p + bytes, SIGSEGV, "");
    span_end(p);
    death_expect(look, p, SIGSEGV, "");
    death_expect(touch, p + bytes - 1, SIGSEGV, "");
}
END_TEST

START_TEST(second_free_is_reported)
{
    char *p = span_make(MIB, page, NULL);
    struct record *span = record_of(p);

    span_end(p);
    death_expect(free_again, span, SIGABRT, die_kind_text[DIE_DOUBLE_FREE]);
}
END_TEST

/*
 * An aligned span may begin late in its range. What is cached of it has only the
 * room behind its beginning, not the whole range: one that was reused for more
 * would reach into its neighbour.
 */
START_TEST(reuse_stays_in_the_range)
{
    for (unsigned i = 0; i < 32; i++) {
        size_t alignment = (i % 2 ? 32 : 16) * MIB;
        span_end(span_make(512 * KIB, alignment, NULL));
        for (size_t bytes = 8 * MIB; bytes <= 64 * MIB; bytes += 8 * MIB) {
            char *p = span_make(bytes, page, NULL);
            struct record *span = record_of(p);
            struct arena *arena = arena_at(span->arena);
            uintptr_t end = arena->base
                + ((span->span_index + span->span_granules) << GRANULE_SHIFT);
            ck_assert_uint_le((uintptr_t)p + bytes, end);
            span_end(p);
            span_end(span_make(512 * KIB, alignment, NULL));
        }
        /* A neighbour that moves the next range away from its alignment. */
        span_end(span_make((4 * (i % 5) + 4) * MIB, page, NULL));
    }
}
END_TEST

/* Nothing here waits under isolation. */
static void no_check(struct record *slab)
{
    (void)slab;
}

/* Of the cache's bytes: a range is a power of two. */
static size_t range_of(size_t bytes)
{
    return bits_round_up_power(bytes);
}

START_TEST(cache_is_used)
{
    struct span_cache *c = &cache;
    bool zeroed = true;

    if (GUARD_PAGES)
        return;
    span_cache_decay(c, 5000, false);
    char *p = span_make(MIB, page, NULL);
    memset(p, 1, MIB);
    span_end(p);
    ck_assert_uint_eq(c->bytes[0], MIB);
    ck_assert_ptr_eq(span_make(MIB - page, page, &zeroed), p);
    ck_assert(!zeroed);
    ck_assert_uint_eq(c->bytes[0], 0);
    span_end(p);
    /* It waits out its time, not less and not more. */
    ck_assert(!span_cache_decay(c, 5000 + SPAN_CACHE_MS - 1, false));
    ck_assert_uint_eq(c->bytes[0], MIB);
    ck_assert(span_cache_decay(c, 5000 + SPAN_CACHE_MS, false));
    ck_assert_uint_eq(c->bytes[0], 0);
    /* More than fit: the cache stays inside its limits. */
    char *many[4 * SPAN_CACHE_DEPTH];
    for (int i = 0; i < 4 * SPAN_CACHE_DEPTH; i++)
        many[i] = span_make(i % 2 ? 4 * MIB : 600 * KIB, page, NULL);
    for (int i = 0; i < 4 * SPAN_CACHE_DEPTH; i++) {
        span_end(many[i]);
        ck_assert_uint_le(c->bytes[0], SPAN_CACHE_BYTES_MAX);
    }
    ck_assert_uint_gt(c->bytes[0], SPAN_CACHE_BYTES_MAX / 2);
}
END_TEST

/* A cached span serves any size of its row, and none of another. */
START_TEST(cache_fits)
{
    if (GUARD_PAGES)
        return;
    for (size_t bytes = 260 * KIB; bytes <= 4 * MIB; bytes += 60 * KIB) {
        char *p = span_make(bytes, page, NULL);
        struct record *span = record_of(p);
        size_t range = span->span_granules << GRANULE_SHIFT;
        ck_assert_uint_eq(range, range_of(bytes));
        span_end(p);
        char *other = span_make(range + 1, page, NULL);
        ck_assert_ptr_ne(other, p);
        char *same = span_make(range, page, NULL);
        ck_assert_ptr_eq(same, p);
        memset(same, 1, range);
        span_end(other);
        span_end(same);
        span_cache_decay(&cache, 0, true);
    }
}
END_TEST

/*
 * What is larger than the cache takes goes to the arena with its pages, and the
 * next span has them; but not without limit, and a purge takes them back.
 */
START_TEST(arena_keeps_pages)
{
    enum { COUNT = 12 };
    char *p[COUNT];
    bool zeroed = true;

    if (GUARD_PAGES)
        return;
    arena_purge(true, no_check);
    ck_assert_uint_eq(arena_at(0)->spans.dirty, 0);
    for (int i = 0; i < COUNT; i++)
        memset(p[i] = span_make(8 * MIB, page, NULL), 1, 8 * MIB);
    span_end(p[0]);
    ck_assert_uint_eq(arena_at(0)->spans.dirty, 8 * MIB >> GRANULE_SHIFT);
    ck_assert_ptr_eq(span_make(6 * MIB, page, &zeroed), p[0]);
    ck_assert(!zeroed);
    ck_assert_uint_eq(arena_at(0)->spans.dirty, 0);
    for (int i = 0; i < COUNT; i++) {
        span_end(p[i]);
        ck_assert_uint_le(arena_at(0)->spans.dirty,
                          64 * MIB >> GRANULE_SHIFT);
    }
    ck_assert_uint_ge(arena_at(0)->spans.dirty, 56 * MIB >> GRANULE_SHIFT);
    /* A first look makes them old, a second gives them back. */
    ck_assert(!arena_purge(false, no_check));
    ck_assert(arena_purge(false, no_check));
    ck_assert_uint_eq(arena_at(0)->spans.dirty, 0);
    char *q = span_make(8 * MIB, page, &zeroed);
    ck_assert(zeroed && pattern_is_zero(q, 8 * MIB));
    span_end(q);
}
END_TEST

/* Who frees huge spans again and again has the next ones where huge pages
   begin; no other span is moved for it. */
START_TEST(huge_spans_align)
{
    enum { ROUNDS_ALIGNED = 8, BYTES = 5 * MIB };
    size_t huge = 2 * MIB;
    bool zeroed;

    if (!GUARD_PAGES)
        return;
    for (int i = 0; i < ROUNDS_ALIGNED; i++) {
        char *p = span_make(BYTES, page, NULL);
        /* Behind at most eight guards. */
        ck_assert_uint_ne((uintptr_t)p % huge, 0);
        memset(p, 1, BYTES);
        span_end(p);
    }
    for (int i = 0; i < ROUNDS; i++) {
        char *p = span_make(BYTES + (size_t)i * page, page, &zeroed);
        ck_assert_uint_eq((uintptr_t)p % huge, 0);
        ck_assert(zeroed && p[0] == 0 && p[BYTES - 1] == 0);
        if (i % 8 == 0)
            memset(p, 1, BYTES + (size_t)i * page);
        char *q = span_make(MIB, page, &zeroed);
        ck_assert_uint_ne((uintptr_t)q % huge, 0);
        ck_assert(zeroed && pattern_is_zero(q, MIB));
        span_end(q);
        span_end(p);
    }
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("span");
    TCase *all = tcase_create("span");

    tcase_set_timeout(all, 30);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, alignments);
    tcase_add_test(all, impossible_sizes);
    tcase_add_test(all, resize_keeps_contents);
    tcase_add_test(all, zeroed_means_zero);
    tcase_add_test(all, only_the_start_is_a_span);
    tcase_add_loop_test(all, guards_fault, 0, 2);
    tcase_add_test(all, second_free_is_reported);
    tcase_add_test(all, reuse_stays_in_the_range);
    tcase_add_test(all, cache_is_used);
    tcase_add_test(all, cache_fits);
    tcase_add_test(all, arena_keeps_pages);
    tcase_add_test(all, huge_spans_align);
    suite_add_tcase(suite, all);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
