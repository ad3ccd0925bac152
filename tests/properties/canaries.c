/* SPDX-License-Identifier: MIT */
/*
 * canaries.c - can a canary be told from others?
 *
 * The attacker has read 1,000 canaries of one slab and knows the slots'
 * addresses. He predicts others by copying, by differences, by XORs, by lines
 * modulo 2^64, and by linear algebra over GF(2), also with products of two bits
 * of the address. By differences he predicts slots whose numbers differ in two
 * bits as well, where a product is nearest to a sum, and he may be wrong in a
 * carry. Not one prediction of 10,000 (of a million by squares) may be right. A product of
 * which one factor alone depends on the slot fails here: its upper half hardly
 * changes within a slab.
 */
#include "properties.h"

enum { LEAKS = 1000, OBJECTS = 6000, TRIES = 10000, SLOT = 32 };

struct leak {
    uint64_t slot, canary;
};

static struct leak known[LEAKS], unknown[OBJECTS];
static size_t known_count, unknown_count;

static uint64_t canary_of(const char *p)
{
    uint64_t word;
    memcpy(&word, p + m.usable_size((void *)p), sizeof word);
    return word;
}

/* The slots of a slab that was filled meanwhile; 1,000 of them, at random. */
static void leak_canaries(struct rng *rng)
{
    static char *p[OBJECTS];
    known_count = unknown_count = 0;
    for (int i = 0; i < OBJECTS; i++)
        p[i] = m.malloc(SLOT - CANARY_BYTES);
    for (int i = 0; i < OBJECTS; i++) {
        struct leak leak = {(uintptr_t)p[i], canary_of(p[i])};
        if (leak.slot / GRANULE_BYTES
            == (uintptr_t)p[OBJECTS / 2] / GRANULE_BYTES)
            unknown[unknown_count++] = leak;
    }
    ck_assert_uint_ge(unknown_count, LEAKS + 400);
    while (known_count < LEAKS) {
        size_t i = rng_below(rng, unknown_count);
        known[known_count++] = unknown[i];
        unknown[i] = unknown[--unknown_count];
    }
}

/* What is predicted for t from leaks a, b, c, in this way. */
static uint64_t predict(int way, const struct leak *a, const struct leak *b,
                        const struct leak *c, uint64_t t)
{
    uint64_t run = b->slot - a->slot, rise = b->canary - a->canary;
    switch (way) {
    case 0: return a->canary;
    case 1: return c->canary + rise;
    case 2: return c->canary ^ b->canary ^ a->canary;
    case 3: return a->canary ^ a->slot ^ t;
    case 4: return a->canary - a->slot + t;
    default: /* a line: right for any linear check value */
        return a->canary + rise * (uint64_t)((int64_t)(t - a->slot)
                                             / (int64_t)run);
    }
}

enum { WAYS = 6 };

static const struct leak *find_known(uint64_t slot)
{
    for (size_t i = 0; i < known_count; i++)
        if (known[i].slot == slot)
            return &known[i];
    return NULL;
}

/* Differences apply where the distances are the same: c is chosen so, and
   about every second slot is known. */
static size_t count_right(int way, struct rng *rng)
{
    size_t right = 0;
    for (int tries = 0; tries < TRIES;) {
        const struct leak *a = &known[rng_below(rng, known_count)];
        const struct leak *b = &known[rng_below(rng, known_count)];
        const struct leak *t = &unknown[rng_below(rng, unknown_count)];
        const struct leak *c = find_known(t->slot - (b->slot - a->slot));
        if (a == b || c == NULL)
            continue;
        tries++;
        right += predict(way, a, b, c, t->slot) == t->canary;
    }
    return right;
}

/* ---- squares: slots whose numbers differ in two bits ---- */

static struct leak *by_number[GRANULE_BYTES / SLOT];

static void number_known(void)
{
    memset(by_number, 0, sizeof by_number);
    for (size_t i = 0; i < known_count; i++)
        by_number[known[i].slot % GRANULE_BYTES / SLOT] = &known[i];
}

/* The bits that are compared, less the low byte: 48 of them. */
static uint64_t upper(uint64_t canary)
{
    return canary >> 16;
}

/* Up to two more or less, where carries are not known. */
static bool nearly(uint64_t predicted, uint64_t canary)
{
    return upper((upper(canary) - predicted + 2) << 16) <= 4;
}

enum { CORNER_WAYS = 3, CORNER_TRIES = 250 * 1000, CORNER_SLABS = 4 };

/* The corner from the three others, by sums, by XORs, and from their sums'
   upper bits alone. */
static size_t count_corners(int way, struct rng *rng)
{
    size_t right = 0;
    for (int tries = 0; tries < CORNER_TRIES;) {
        const struct leak *t = &unknown[rng_below(rng, unknown_count)];
        size_t number = t->slot % GRANULE_BYTES / SLOT;
        size_t d = (size_t)1 << rng_below(rng, 11);
        size_t e = (size_t)1 << rng_below(rng, 11);
        const struct leak *a = by_number[number ^ d];
        const struct leak *b = by_number[number ^ e];
        const struct leak *c = by_number[number ^ d ^ e];
        if (d == e || a == NULL || b == NULL || c == NULL)
            continue;
        tries++;
        switch (way) {
        case 0:
            right += a->canary + b->canary - c->canary == t->canary;
            break;
        case 1:
            right += (a->canary ^ b->canary ^ c->canary) == t->canary;
            break;
        default:
            right += nearly(upper(a->canary) + upper(b->canary)
                            - upper(c->canary), t->canary);
        }
    }
    return right;
}

/* ---- linear algebra over GF(2) ---- */

enum { BITS = 11, TERMS = 1 + BITS + BITS * (BITS - 1) / 2 };

/* A row: the terms of a slot's place, and its canary. */
struct row {
    uint64_t term[2], canary;
};

/* One, the bits of the slot's number, and with `products` those of two. */
static struct row row_of(const struct leak *leak, bool products)
{
    struct row row = {{1, 0}, leak->canary};
    uint64_t number = leak->slot % GRANULE_BYTES / SLOT;
    int term = 1;
    for (int i = 0; i < BITS; i++, term++)
        row.term[0] |= (number >> i & 1) << term;
    for (int i = 0; i < BITS && products; i++)
        for (int j = 0; j < i; j++, term++)
            row.term[term / 64] |=
                (number >> i & number >> j & 1) << term % 64;
    return row;
}

static bool has(const struct row *row, int term)
{
    return row->term[term / 64] >> term % 64 & 1;
}

static void add(struct row *row, const struct row *other)
{
    row->term[0] ^= other->term[0];
    row->term[1] ^= other->term[1];
    row->canary ^= other->canary;
}

/* Rows by their leading term; what is left is what they say of it. */
static void reduce(struct row *row, const struct row *basis, const bool *used)
{
    for (int term = 0; term < TERMS; term++)
        if (has(row, term) && used[term])
            add(row, &basis[term]);
}

static void eliminate(struct row *basis, bool *used, bool products)
{
    for (size_t i = 0; i < known_count; i++) {
        struct row row = row_of(&known[i], products);
        for (int term = 0; term < TERMS; term++) {
            if (!has(&row, term))
                continue;
            if (used[term]) {
                add(&row, &basis[term]);
                continue;
            }
            basis[term] = row;
            used[term] = true;
            break;
        }
    }
}

/* A prediction for each slot that was not told. */
static size_t count_solved(bool products, size_t *tried)
{
    struct row basis[TERMS];
    bool used[TERMS] = {false};
    size_t right = 0;
    eliminate(basis, used, products);
    for (size_t i = 0; i < unknown_count; i++, ++*tried) {
        struct leak asked = {unknown[i].slot, 0};
        struct row row = row_of(&asked, products);
        reduce(&row, basis, used);
        right += row.term[0] == 0 && row.term[1] == 0
            && row.canary == unknown[i].canary;
    }
    return right;
}

START_TEST(canaries_predict_no_other)
{
    PROPERTY_SKIP(!CANARY, "canary");
    PROPERTY_SKIP(GRANULE_BYTES != 64 * KIB, "slabs of 64 KiB");
    struct rng rng = rng_make(110);
    leak_canaries(&rng);
    for (int way = 0; way < WAYS; way++) {
        size_t right = count_right(way, &rng);
        PROPERTY_SAY("canaries, way %d: %zu of %d predictions\n", way, right,
                     TRIES);
        ck_assert_uint_eq(right, 0);
    }
    for (int way = 0; way < CORNER_WAYS; way++) {
        size_t right = 0;
        for (int slab = 0; slab < CORNER_SLABS; slab++) {
            leak_canaries(&rng);
            number_known();
            right += count_corners(way, &rng);
        }
        PROPERTY_SAY("canaries, corners of squares, way %d: %zu of %d\n", way,
                     right, CORNER_SLABS * CORNER_TRIES);
        ck_assert_uint_eq(right, 0);
    }
    for (int products = 0; products < 2; products++) {
        size_t tried = 0, right = 0;
        while (tried < TRIES) {
            leak_canaries(&rng);
            right += count_solved(products, &tried);
        }
        PROPERTY_SAY("canaries, GF(2)%s: %zu of %zu predictions\n",
                     products ? " with products" : "", right, tried);
        ck_assert_uint_eq(right, 0);
    }
}
END_TEST

/* The tools work: against check values that are linear they are right. */
START_TEST(linear_canaries_would_be_predicted)
{
    PROPERTY_SKIP(!CANARY, "canary");
    PROPERTY_SKIP(GRANULE_BYTES != 64 * KIB, "slabs of 64 KiB");
    struct rng rng = rng_make(111);
    size_t tried = 0;
    leak_canaries(&rng);
    uint64_t key = rng_next(&rng), mask = rng_next(&rng) | 1;
    for (int xored = 0; xored < 2; xored++) {
        for (size_t i = 0; i < known_count; i++)
            known[i].canary = xored ? known[i].slot ^ key
                                    : known[i].slot * mask + key;
        for (size_t i = 0; i < unknown_count; i++)
            unknown[i].canary = xored ? unknown[i].slot ^ key
                                      : unknown[i].slot * mask + key;
        if (xored)
            ck_assert_uint_eq(count_solved(false, &tried), unknown_count);
        else
            ck_assert_uint_gt(count_right(WAYS - 1, &rng), TRIES / 1000);
        ck_assert_uint_gt(count_right(xored ? 3 : 1, &rng), TRIES / 10);
        number_known();
        ck_assert_uint_eq(count_corners(xored ? 1 : 0, &rng),
                          CORNER_TRIES);
        ck_assert_uint_eq(count_corners(xored ? 1 : 2, &rng),
                          CORNER_TRIES);
    }
}
END_TEST

TCase *canaries_case(void)
{
    TCase *tcase = tcase_create("canaries");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, canaries_predict_no_other);
    tcase_add_test(tcase, linear_canaries_would_be_predicted);
    return tcase;
}
