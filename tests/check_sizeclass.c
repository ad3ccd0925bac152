/* SPDX-License-Identifier: MIT */
/*
 * check_sizeclass.c - every request, every class, every alignment.
 */
#include "sizeclass.h"

#include "support/suite.h"

START_TEST(slots_grow_in_units)
{
    ck_assert_uint_eq(class_slot_bytes(0), UNIT_BYTES);
    for (unsigned class = 0; class < CLASS_COUNT; class++) {
        ck_assert_uint_eq(class_slot_bytes(class) % UNIT_BYTES, 0);
        if (class > 0)
            ck_assert_uint_gt(class_slot_bytes(class),
                              class_slot_bytes(class - 1));
        if (class > 0 && class < CLASS_LINEAR_COUNT)
            ck_assert_uint_eq(class_slot_bytes(class),
                              class_slot_bytes(class - 1) + UNIT_BYTES);
    }
    ck_assert_uint_eq(class_slot_bytes(CLASS_LINEAR_COUNT - 1), 128);
    ck_assert_uint_eq(class_slot_bytes(CLASS_COUNT - 1), CLASS_SLOT_BYTES_MAX);
}
END_TEST

START_TEST(every_request_has_its_class)
{
    unsigned smallest = 0;

    for (size_t n = 0; n <= CLASS_REQUEST_MAX; n++) {
        while (class_slot_bytes(smallest) < n + CANARY_BYTES)
            smallest++;
        if (class_of_request(n) != smallest)
            ck_abort_msg("request %zu: class %u, expected %u", n,
                         class_of_request(n), smallest);
        /* At most an eighth of the slot's lower neighbour is wasted. */
        size_t used = n + CANARY_BYTES;
        if (used > 128 && (class_slot_bytes(smallest) - used) * 8 > used)
            ck_abort_msg("request %zu wastes more than an eighth", n);
    }
    ck_assert_uint_eq(smallest, CLASS_COUNT - 1);
}
END_TEST

START_TEST(table_agrees_with_arithmetic)
{
    for (size_t n = 0; n < CLASS_TABLE_COUNT; n++) {
        ck_assert(class_is_tabled(n));
        if (n + CANARY_BYTES > 128)
            ck_assert_uint_eq(class_table[n],
                              class_by_arithmetic(n + CANARY_BYTES));
        else
            ck_assert_uint_eq(class_table[n],
                              n + CANARY_BYTES == 0 ? 0
                              : (n + CANARY_BYTES - 1) / UNIT_BYTES);
    }
    ck_assert(!class_is_tabled(CLASS_TABLE_COUNT));
    ck_assert(!class_is_tabled(SIZE_MAX));
}
END_TEST

static unsigned naive_aligned(size_t request, size_t alignment)
{
    unsigned class = 0;

    while (class < CLASS_COUNT
           && (class_slot_bytes(class) < request + CANARY_BYTES
               || class_slot_bytes(class) % alignment != 0))
        class++;
    return class;
}

START_TEST(aligned_requests)
{
    for (size_t to = 1; to <= GRANULE_BYTES; to *= 2) {
        /* Around every slot's size, where the answer may change. */
        for (unsigned class = 0; class < CLASS_COUNT; class++) {
            size_t slot = class_slot_bytes(class) - CANARY_BYTES;
            for (size_t n = slot - 2; n <= slot + 2; n++) {
                if (class_of_aligned(n, to) != naive_aligned(n, to))
                    ck_abort_msg("%zu at %zu: class %u, expected %u", n, to,
                                 class_of_aligned(n, to),
                                 naive_aligned(n, to));
            }
        }
        for (size_t n = 0; n <= 2048; n++) {
            if (class_of_aligned(n, to) != naive_aligned(n, to))
                ck_abort_msg("%zu at %zu: class %u, expected %u", n, to,
                             class_of_aligned(n, to), naive_aligned(n, to));
        }
        ck_assert_uint_eq(class_of_aligned(CLASS_REQUEST_MAX + 1, to),
                          CLASS_COUNT);
        ck_assert_uint_eq(class_of_aligned(CLASS_SLOT_BYTES_MAX * 4, to),
                          CLASS_COUNT);
    }
}
END_TEST

START_TEST(slabs_hold_their_slots)
{
    static const size_t guards[] = {0, 4096, 16384, ABI_PAGE_BYTES / 2};

    for (unsigned class = 0; class < CLASS_COUNT; class++) {
        size_t slot = class_slot_bytes(class);
        unsigned granules = class_slab_granules(class);
        size_t bytes = (size_t)granules << GRANULE_SHIFT;

        ck_assert(is_power_of_two(granules));
        ck_assert_uint_le(granules, SLAB_GRANULES_MAX);
        for (unsigned i = 0; i < sizeof guards / sizeof *guards; i++) {
            size_t slots = class_slab_slots(class, guards[i]);
            ck_assert_uint_ge(slots, 4);
            ck_assert_uint_le(slots * slot + guards[i], bytes);
            /* Large slots are no more than a random order needs, few no more
               than a word has bits. */
            if (RANDOM_ORDER && slot >= CLASS_CAPPED_BYTES
                && slots == CLASS_CAPPED_SLOTS)
                continue;
            if (slot >= CLASS_FEW_BYTES && slots == CLASS_FEW_SLOTS_MAX)
                continue;
            ck_assert(slot < CLASS_FEW_BYTES || slots < CLASS_FEW_SLOTS_MAX);
            ck_assert_uint_gt((slots + 1) * slot + guards[i], bytes);
        }
    }
}
END_TEST

START_TEST(slots_have_numbers)
{
    for (unsigned class = 0; class < CLASS_COUNT; class++) {
        size_t units = class_slot_bytes(class) >> UNIT_SHIFT;
        unsigned slots = class_slab_slots(class, 0);
        for (unsigned i = 0; units > 1 && i < slots; i++) {
            if (class_slot_index(class, i * units) != i)
                ck_abort_msg("class %u: slot %u is number %u", class, i,
                             class_slot_index(class, i * units));
        }
    }
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("sizeclass");
    TCase *classes = tcase_create("classes");
    tcase_add_test(classes, slots_grow_in_units);
    tcase_add_test(classes, every_request_has_its_class);
    tcase_add_test(classes, table_agrees_with_arithmetic);
    tcase_add_test(classes, aligned_requests);
    tcase_add_test(classes, slabs_hold_their_slots);
    tcase_add_test(classes, slots_have_numbers);
    suite_add_tcase(suite, classes);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
