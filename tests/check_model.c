/* SPDX-License-Identifier: MIT */
/*
 * check_model.c - long random runs of the malloc family against a model.
 *
 * The model keeps every live block, sorted by address, with the size asked for
 * and its tag. After each call: aligned, large enough, apart from all others;
 * whenever a block is touched or given back its contents must hold.
 */
#define _GNU_SOURCE
#include <stdio.h>

#include "support/pattern.h"
#include "support/suite.h"

enum { BLOCKS = 3000 };

struct block {
    char *p;
    size_t bytes, usable;
    uint64_t tag;
};

/* Sorted by address, so that only two neighbours can overlap. */
static struct block blocks[BLOCKS];
static size_t block_count;
static uint64_t last_tag;

static void fill(const struct block *block)
{
    if (block->bytes <= 64 * KIB)
        pattern_fill(block->p, block->bytes, block->tag);
    else
        pattern_fill_sparse(block->p, block->bytes, block->tag);
}

static void verify(const struct block *block, size_t bytes)
{
    bool holds = block->bytes <= 64 * KIB
                     ? pattern_holds(block->p, bytes, block->tag)
                     : pattern_holds_sparse(block->p, bytes, block->tag);
    ck_assert_msg(holds, "contents of %zu bytes at %p", block->bytes,
                  (void *)block->p);
}

static void insert(char *p, size_t bytes)
{
    ck_assert_msg(p != NULL, "no memory for %zu bytes", bytes);
    ck_assert_uint_eq((uintptr_t)p % 16, 0);
    struct block block = {p, bytes, m.usable_size(p), ++last_tag};
    ck_assert_uint_ge(block.usable, bytes);
    size_t low = 0, high = block_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (blocks[mid].p < p)
            low = mid + 1;
        else
            high = mid;
    }
    if (low > 0)
        ck_assert_msg(blocks[low - 1].p + blocks[low - 1].usable <= p,
                      "overlap below %p", (void *)p);
    if (low < block_count)
        ck_assert_msg(p + block.usable <= blocks[low].p, "overlap above %p",
                      (void *)p);
    memmove(&blocks[low + 1], &blocks[low],
            (block_count - low) * sizeof *blocks);
    blocks[low] = block;
    block_count++;
    fill(&block);
}

static struct block take(size_t at)
{
    struct block block = blocks[at];
    ck_assert_uint_eq(m.usable_size(block.p), block.usable);
    verify(&block, block.bytes);
    block_count--;
    memmove(&blocks[at], &blocks[at + 1],
            (block_count - at) * sizeof *blocks);
    return block;
}

static void change(struct rng *rng, size_t at, size_t bytes)
{
    struct block block = take(at);
    size_t kept = block.bytes < bytes ? block.bytes : bytes;
    char *q = rng_below(rng, 2) ? m.realloc(block.p, bytes)
                                : m.reallocarray(block.p, bytes, 1);
    ck_assert_ptr_nonnull(q);
    block.p = q;
    verify(&block, kept);
    insert(q, bytes);
}

static void step(struct rng *rng, size_t target, unsigned top)
{
    size_t bytes = rng_size(rng, top);
    size_t dice = rng_below(rng, 100);
    bool grow = block_count < BLOCKS - 1 &&
                (block_count == 0 || rng_below(rng, 2 * target) >= block_count);
    if (block_count > 0 && dice < 20) {
        change(rng, rng_below(rng, block_count), bytes);
    } else if (grow && dice < 40) {
        char *p = m.calloc(1, bytes);
        ck_assert_msg(p != NULL && pattern_is_zero(p, bytes), "calloc(%zu)",
                      bytes);
        insert(p, bytes);
    } else if (grow) {
        insert(m.malloc(bytes), bytes);
    } else {
        m.free(take(rng_below(rng, block_count)).p);
    }
}

static void run(uint64_t salt, size_t steps, size_t target, unsigned top)
{
    struct rng rng = rng_make(salt);
    block_count = 0;
    for (size_t i = 0; i < steps; i++)
        step(&rng, target, top);
    while (block_count > 0)
        m.free(take(block_count - 1).p);
}

START_TEST(small_sizes)
{
    run(11, suite_full() ? 2000000 : 100000, 1500, 10);
}
END_TEST

START_TEST(all_sizes)
{
    run(12, suite_full() ? 1000000 : 60000, 500, 18);
}
END_TEST

START_TEST(spans_too)
{
    run(13, suite_full() ? 100000 : 6000, 60, 23);
}
END_TEST

/* One class only: the order of its free slots is worked hard. */
START_TEST(one_class)
{
    struct rng rng = rng_make(14);
    block_count = 0;
    for (int round = 0; round < 60; round++) {
        size_t bytes = 16 + rng_below(&rng, 200);
        size_t goal = rng_below(&rng, BLOCKS - 1);
        while (block_count < goal)
            insert(m.malloc(bytes), bytes);
        goal = rng_below(&rng, block_count + 1);
        while (block_count > goal)
            m.free(take(rng_below(&rng, block_count)).p);
    }
    while (block_count > 0)
        m.free(take(0).p);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("model");
    TCase *random = tcase_create("random");
    tcase_set_timeout(random, suite_full() ? 900 : 60);
    tcase_add_test(random, small_sizes);
    tcase_add_test(random, all_sizes);
    tcase_add_test(random, spans_too);
    tcase_add_test(random, one_class);
    suite_add_tcase(suite, random);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
