/* SPDX-License-Identifier: MIT */
/*
 * check_canary.c - the word behind a slot: whose it is, what its bytes are,
 * and that no change of it goes unseen.
 */
#include <stdlib.h>
#include <string.h>

#include "canary.h"
#include "sizeclass.h"
#include "support/suite.h"

enum { TRIES = 8192, SLOTS = 64 };

static uint64_t values[TRIES];
static unsigned char memory[256 * KIB + 64] __attribute__((aligned(64)));

static struct slab_key key_make(struct rng *rng)
{
    uint64_t word[2] = { rng_next(rng), rng_next(rng) };
    struct slab_key key;

    memcpy(&key, word, sizeof key);
    return key;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* 55 bits are free: 8192 values meet once in 2^30 runs. */
static void expect_distinct(const char *what)
{
    qsort(values, TRIES, sizeof *values, compare);
    for (int i = 1; i < TRIES; i++)
        if (values[i] == values[i - 1])
            ck_abort_msg("the same canary for two %s", what);
}

START_TEST(values_differ)
{
    struct rng rng = rng_make(1);
    struct slab_key key = key_make(&rng);
    uintptr_t base = (uintptr_t)memory;

    if (!CANARY)
        return;
    for (unsigned i = 0; i < TRIES; i++)
        values[i] = canary_value(&key, base + i * 16);
    expect_distinct("slots");
    for (unsigned i = 0; i < TRIES; i++) {
        struct slab_key other = key_make(&rng);
        values[i] = canary_value(&other, base);
    }
    expect_distinct("keys");
    ck_assert(canary_value(&key, base) == canary_value(&key, base));
}
END_TEST

START_TEST(bytes_stop_strings)
{
    struct rng rng = rng_make(2);

    if (!CANARY)
        return;
    for (int i = 0; i < 100000; i++) {
        struct slab_key key = key_make(&rng);
        uint64_t value = canary_value(&key, (uintptr_t)rng_next(&rng));
        unsigned char byte[8];
        memcpy(byte, &value, sizeof byte);
        if (byte[0] == 0 || byte[1] != 0)
            ck_abort_msg("canary begins %02x %02x", byte[0], byte[1]);
    }
}
END_TEST

/* Every other value of every byte, for every slot size. */
START_TEST(every_change_is_seen)
{
    struct rng rng = rng_make(3);

    if (!CANARY)
        return;
    for (unsigned class = 0; class < CLASS_COUNT; class++) {
        size_t bytes = class_slot_bytes(class);
        struct slab_key key = key_make(&rng), other = key_make(&rng);
        uintptr_t slot = (uintptr_t)memory;
        unsigned char *end = memory + bytes;
        memset(memory, 0x5a, bytes + 8);
        canary_write(&key, slot, bytes);
        ck_assert(canary_is_whole(&key, slot, bytes));
        ck_assert(!canary_is_whole(&other, slot, bytes));
        for (size_t i = 0; i < bytes - 8; i++)
            if (memory[i] != 0x5a)
                ck_abort_msg("a usable byte of %zu was written", bytes);
        for (int i = 0; i < 8; i++)
            ck_assert_uint_eq(end[i], 0x5a);
        for (unsigned char *at = end - 8; at < end; at++) {
            for (unsigned change = 1; change < 256; change++) {
                *at ^= (unsigned char)change;
                if (canary_is_whole(&key, slot, bytes))
                    ck_abort_msg("byte %d ^ %02x passes", (int)(end - at),
                                 change);
                *at ^= (unsigned char)change;
            }
        }
        ck_assert(canary_is_whole(&key, slot, bytes));
    }
}
END_TEST

START_TEST(copies_do_not_pass)
{
    struct rng rng = rng_make(4);
    struct slab_key key = key_make(&rng);
    enum { BYTES = 48 };

    if (!CANARY)
        return;
    uintptr_t base = (uintptr_t)memory;
    for (unsigned i = 0; i < SLOTS; i++)
        canary_write(&key, base + i * BYTES, BYTES);
    for (unsigned i = 0; i < SLOTS; i++) {
        uintptr_t slot = base + i * BYTES;
        uint64_t own = *canary_place(slot, BYTES);
        for (unsigned j = 0; j < SLOTS; j++) {
            *canary_place(slot, BYTES) =
                j == i ? own : *canary_place(base + j * BYTES, BYTES);
            if (canary_is_whole(&key, slot, BYTES) != (i == j))
                ck_abort_msg("slot %u with the canary of %u", i, j);
        }
        *canary_place(slot, BYTES) = own;
    }
}
END_TEST

START_TEST(off_is_off)
{
    struct rng rng = rng_make(5);
    struct slab_key key = key_make(&rng);

    if (CANARY)
        return;
    ck_assert_uint_eq(CANARY_BYTES, 0);
    memset(memory, 0x5a, 64);
    canary_write(&key, (uintptr_t)memory, 32);
    for (int i = 0; i < 64; i++)
        ck_assert_uint_eq(memory[i], 0x5a);
    ck_assert(canary_is_whole(&key, (uintptr_t)memory, 32));
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("canary");
    TCase *all = tcase_create("canary");

    tcase_add_test(all, values_differ);
    tcase_add_test(all, bytes_stop_strings);
    tcase_add_test(all, every_change_is_seen);
    tcase_add_test(all, copies_do_not_pass);
    tcase_add_test(all, off_is_off);
    suite_add_tcase(suite, all);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
