/* SPDX-License-Identifier: MIT */
/*
 * check_fuzz_place.c - the places of libmerlon-fuzz: rows without holes, open
 * where an object is, closed everywhere else.
 *
 * A lane that no thread has is driven by hand. What is accessible is asked of
 * the kernel (os_can_read), not tried.
 */
#include "fuzz_place.h"

#include <string.h>

#include "fuzz_slack.h"
#include "os.h"
#include "support/suite.h"

enum { LIVE_MAX = 64, FREE_FILL = 0xdf };

static struct lane *lane;
static size_t page;

static void claim(unsigned number)
{
    /* Whoever allocates first starts the window. */
    m.free(m.malloc(1));
    page = fuzz_window.page_bytes;
    ck_assert_uint_gt(fuzz_window.lane_count, number);
    lane = &fuzz_window.lane[number];
    ck_assert(lane_claim(lane));
    ck_assert_msg(!lane_claim(lane), "claimed twice");
}

/* From the first place to the end each follows the last one. */
static void check_row(void)
{
    size_t at = lane->first, live = 0;
    bool has_hand = lane->hand == lane->limit;

    while (at < lane->end) {
        struct place *place = place_of_page(at);
        ck_assert_ptr_nonnull(place);
        ck_assert_uint_gt(place->pages, 0);
        has_hand |= at == lane->hand;
        live += place_state(place) == PLACE_FREE ? 0 : place->pages;
        at += place->pages;
    }
    ck_assert_uint_eq(at, lane->end);
    ck_assert_msg(has_hand, "the hand is inside a place");
    ck_assert_uint_eq(live, lane->live_pages);
}

static void check_open(const struct place *place, size_t bytes,
                       size_t alignment)
{
    uintptr_t start = place_start_address(place);
    uintptr_t end = place_end_address(place);

    ck_assert_uint_eq(start % alignment, 0);
    ck_assert_uint_ge(end - start, bytes);
    ck_assert_uint_lt(end - start, bytes + page);
    for (uintptr_t at = start; at < end; at += page) {
        ck_assert(os_can_read((void *)at));
        ck_assert_int_eq(*(unsigned char *)at, 0);
        *(volatile unsigned char *)at = 1;
        *(volatile unsigned char *)at = 0;
    }
    ck_assert_msg(!os_can_read((void *)end), "no guard behind");
    ck_assert_msg(!os_can_read((void *)(start - page)), "no guard before");
}

static void check_closed(const struct place *place)
{
    uintptr_t start = place_start_address(place);

    for (uintptr_t at = start; at <= place_end_address(place); at += page)
        ck_assert(!os_can_read((void *)at));
}

static struct place *take(size_t bytes, size_t alignment)
{
    struct place *place = place_take(lane, bytes, alignment);

    if (place) {
        check_open(place, bytes, alignment);
        /* As the sweep at the end of the process wants it. */
        place->object = place_start_address(place);
        slack_arm(place);
        place->state = PLACE_LIVE;
    }
    return place;
}

static void give(struct place *place)
{
    ck_assert(place_change(place, PLACE_LIVE, PLACE_CLOSING));
    place_close(place, FREE_FILL);
    ck_assert_int_eq(place_state(place), PLACE_FREE);
    check_closed(place);
}

/* Takes and gives by chance; returns a sum of all addresses. */
static uint64_t churn(struct rng *rng, unsigned rounds)
{
    struct place *live[LIVE_MAX] = { NULL };
    uint64_t sum = 0;

    for (unsigned i = 0; i < rounds; i++) {
        unsigned k = (unsigned)rng_below(rng, LIVE_MAX);
        if (live[k]) {
            give(live[k]);
            live[k] = NULL;
        } else {
            bool large = rng_below(rng, 40) == 0;
            size_t bytes = rng_below(rng, 10) == 0 ? 0
                : rng_size(rng, large ? 21 : 15);
            size_t alignment = (size_t)1 << rng_below(rng, 17);
            live[k] = take(bytes, alignment);
            ck_assert_ptr_nonnull(live[k]);
            sum = sum * 31 + place_start_address(live[k]);
        }
        if (i % 64 == 0)
            check_row();
    }
    for (unsigned k = 0; k < LIVE_MAX; k++) {
        if (live[k])
            give(live[k]);
    }
    check_row();
    return sum;
}

START_TEST(rows_have_no_holes)
{
    struct rng rng = rng_make((uint64_t)_i);

    /* Room for few rounds: the hand goes round, and the lane grows. */
    fuzz_window.budget_pages = 600;
    claim((unsigned)_i);
    churn(&rng, 6000);
    ck_assert_uint_eq(lane->live_pages, 0);
}
END_TEST

START_TEST(a_reset_repeats)
{
    struct rng rng = rng_make(1);
    uint64_t first;

    fuzz_window.budget_pages = 20000;
    claim(3);
    churn(&rng, 500);
    struct place *before = take(100, 1);
    place_mark(lane);
    rng = rng_make(2);
    first = churn(&rng, 1000);
    for (int i = 0; i < 5; i++) {
        place_reset(lane);
        rng = rng_make(2);
        ck_assert_uint_eq(churn(&rng, 1000), first);
    }
    ck_assert_int_eq(place_state(before), PLACE_LIVE);
    ck_assert(os_can_read((void *)before->object));
}
END_TEST

START_TEST(freed_places_rest)
{
    fuzz_window.budget_pages = 1000;
    claim(4);
    struct place *first = take(10, 1);
    uintptr_t at = place_start_address(first);
    give(first);
    /* Two pages each: the hand comes back after 500. */
    for (int i = 1; i < 500; i++) {
        struct place *place = take(10, 1);
        ck_assert_uint_ne(place_start_address(place), at);
        give(place);
    }
    ck_assert_uint_eq(place_start_address(take(10, 1)), at);
}
END_TEST

START_TEST(a_full_lane_says_so)
{
    claim(5);
    size_t all = lane->last - lane->first;

    ck_assert_ptr_null(place_take(lane, SIZE_MAX / 2, 1));
    ck_assert_ptr_null(place_take(lane, all * page, 1));
    ck_assert_ptr_null(place_take(lane, 1, (size_t)1 << 60));
    ck_assert_ptr_nonnull(take(page * 300, page * 64));
    check_row();
}
END_TEST

/* A place inside another, or none, from any address. */
START_TEST(places_are_found)
{
    claim(6);
    struct place *a = take(5 * page, 1), *b = take(1, 1), *none = take(0, 1);
    uintptr_t start = place_start_address(a);

    for (uintptr_t at = start; at < place_start_address(b); at += page / 2)
        ck_assert_ptr_eq(place_around(at), a);
    ck_assert_ptr_eq(place_around(place_start_address(b) + 1), b);
    ck_assert_ptr_eq(place_next(a), b);
    ck_assert_ptr_eq(place_next(b), none);
    ck_assert_uint_eq(place_end_address(none), place_start_address(none));
    give(a);
    ck_assert_ptr_eq(place_around(start + page), a);
    ck_assert_ptr_null(place_around(page_address(lane->first) - 1));
    ck_assert(!window_has(fuzz_window.base - 1));
    ck_assert(!window_has(page_address(fuzz_window.pages)));
    ck_assert_ptr_null(place_of_page(lane->last - 1));
}
END_TEST

/* Each changed byte of the slack is found, and no other. */
START_TEST(every_byte_of_slack_counts)
{
    claim(7);
    struct place *place = take(page + 400, 1);
    uintptr_t start = place_start_address(place);
    uintptr_t end = place_end_address(place);

    memset((void *)start, 0, end - start);
    place->object = start + 200 + (uintptr_t)_i;
    place->bytes -= 300;
    slack_arm(place);
    for (uintptr_t at = start; at < end; at++) {
        unsigned char *byte = (unsigned char *)at, kept = *byte;
        bool inside = at - place->object < place->bytes;
        *byte = (unsigned char)(kept + 1);
        ck_assert_uint_eq(slack_verify(place), inside ? 0 : at);
        *byte = 0;
        if (!inside && kept != 0)
            ck_assert_uint_eq(slack_verify(place), at);
        *byte = kept;
        bool near = at + SLACK_NEAR >= place->object
            && at < place->object + place->bytes + SLACK_NEAR;
        if (near && !inside)
            ck_assert_msg(kept != 0, "a terminator would not be seen");
    }
    ck_assert_uint_eq(slack_verify(place), 0);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("fuzz_place");
    TCase *row = tcase_create("places");

    tcase_set_timeout(row, 60);
    tcase_add_loop_test(row, rows_have_no_holes, 0, 3);
    tcase_add_test(row, a_reset_repeats);
    tcase_add_test(row, freed_places_rest);
    tcase_add_test(row, a_full_lane_says_so);
    tcase_add_test(row, places_are_found);
    tcase_add_loop_test(row, every_byte_of_slack_counts, 0, 9);
    suite_add_tcase(suite, row);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
