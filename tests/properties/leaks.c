/* SPDX-License-Identifier: MIT */
/*
 * leaks.c - what freed memory tells, and what writing to it does.
 *
 * The attacker reads every free slot of 1,000 slabs: there is nothing but
 * zeros, and the canary as it was. Then he writes to free slots what
 * might be taken for something of ours, 10,000 times: every one gives a report
 * and nothing else.
 */
#include "properties.h"

#include "guard.h"

/* ---- reading ---- */

struct slot {
    char *p;
    uint64_t canary; /* while it was live */
    bool freed;
};

/* Every word is zero; but the canary may be there as it was. */
static size_t strange_words(const struct slot *slot, size_t slot_bytes)
{
    const uint64_t *word = suite_hide(slot->p);
    size_t strange = 0, last = slot_bytes / 8 - 1;
    for (size_t i = 0; i < last; i++)
        strange += word[i] != 0;
    return strange + (word[last] != 0
                      && !(CANARY && word[last] == slot->canary));
}

static int by_address(const void *a, const void *b)
{
    uintptr_t p = (uintptr_t)((const struct slot *)a)->p;
    uintptr_t q = (uintptr_t)((const struct slot *)b)->p;
    return (p > q) - (p < q);
}

static size_t count_slabs(struct slot *slot, size_t count)
{
    size_t slabs = 0;
    qsort(slot, count, sizeof *slot, by_address);
    for (size_t i = 0; i < count; i++)
        slabs += i == 0 || (uintptr_t)slot[i].p / GRANULE_BYTES
            != (uintptr_t)slot[i - 1].p / GRANULE_BYTES;
    return slabs;
}

/* So many slabs of 64 KiB, or as much memory in larger ones. Nine of ten slots
   are freed, so that every slab stays. */
static void read_slots(size_t slot_bytes, size_t wanted, struct rng *rng)
{
    size_t count = wanted * (64 * KIB / slot_bytes);
    size_t request = slot_bytes - CANARY_BYTES, strange = 0, read = 0;
    struct slot *slot = calloc(count, sizeof *slot);
    for (size_t i = 0; i < count; i++) {
        slot[i].p = m.malloc(request);
        memset(slot[i].p, 0x5a, request);
        if (CANARY)
            memcpy(&slot[i].canary, slot[i].p + request, 8);
    }
    size_t slabs = count_slabs(slot, count);
    for (size_t i = 0; i < count; i++)
        if (rng_below(rng, 10) != 0) {
            m.free(slot[i].p);
            slot[i].freed = true;
        }
    for (size_t i = 0; i < count; i++)
        if (slot[i].freed) {
            strange += strange_words(&slot[i], slot_bytes);
            read++;
        }
    PROPERTY_SAY("leaks, slots of %zu bytes: %zu free slots of %zu slabs, "
                 "%zu words are not zero\n", slot_bytes, read, slabs, strange);
    ck_assert_uint_eq(strange, 0);
    ck_assert_uint_ge(slabs, wanted * 64 * KIB / GRANULE_BYTES);
    free(slot);
}

START_TEST(free_slots_tell_nothing)
{
    PROPERTY_SKIP(!SCRUB, "scrub");
    struct rng rng = rng_make(120);
    read_slots(64, 500, &rng);
    read_slots(256, 300, &rng);
    read_slots(512, 200, &rng);
}
END_TEST

/* ---- writing ---- */

enum { LIVE = 4000, FORGERIES = 10000, PER_ROUND = 100, TABLE = 1 << 16 };

static char target[4096] __attribute__((aligned(64)));
static struct object {
    char *p;
    uint64_t tag;
} live[LIVE];

/* Addresses that are live or forged, to notice who comes twice. */
static struct mark {
    uintptr_t at;
    enum { MARK_NONE, MARK_LIVE, MARK_FORGED } kind;
} mark[TABLE];
static size_t handed_out_forged, overlaps, outside;
static uint64_t old_words[FORGERIES];
static size_t old_count;

static struct mark *find_mark(const char *p)
{
    size_t i = ((uintptr_t)p * UINT64_C(0x9e3779b97f4a7c15)) >> 48;
    while (mark[i].at != 0 && mark[i].at != (uintptr_t)p)
        i = (i + 1) % TABLE;
    mark[i].at = (uintptr_t)p;
    return &mark[i];
}

static void fill(const struct object *object, size_t bytes)
{
    for (size_t i = 0; i + 8 <= bytes; i += 8)
        *(uint64_t *)(object->p + i) = object->tag + i;
}

static bool holds(const struct object *object, size_t bytes)
{
    for (size_t i = 0; i + 8 <= bytes; i += 8)
        if (*(uint64_t *)(object->p + i) != object->tag + i)
            return false;
    return true;
}

static void allocate(struct object *object, size_t bytes, struct rng *rng)
{
    object->p = m.malloc(bytes);
    ck_assert_ptr_nonnull(object->p);
    struct mark *at = find_mark(object->p);
    handed_out_forged += at->kind == MARK_FORGED;
    overlaps += at->kind == MARK_LIVE;
    at->kind = MARK_LIVE;
    outside += (object->p >= target && object->p < target + sizeof target)
        || m.usable_size(object->p) != bytes;
    object->tag = rng_next(rng);
    fill(object, bytes);
}

static void release(struct object *object, size_t bytes)
{
    overlaps += !holds(object, bytes);
    find_mark(object->p)->kind = MARK_NONE;
    m.free(object->p);
}

/* What somebody who knows the source would try. Never zero. */
static uint64_t forged_word(int way, const char *slot, size_t slot_bytes,
                            struct rng *rng)
{
    const uint64_t *neighbour = (const uint64_t *)(slot + slot_bytes);
    uint64_t index = rng_below(rng, GRANULE_BYTES / slot_bytes);
    switch (way) {
    case 0: return (uintptr_t)target + 64;
    case 1: return (uintptr_t)live[rng_below(rng, LIVE)].p;
    case 2: return index * slot_bytes + 1;
    case 3: return (index + 1) << 40 | rng_next(rng) >> 24;
    case 4: return (rng_next(rng) << 24 | index) + (1 << 24);
    case 5: return neighbour[-1] | 1; /* our own canary */
    case 6: return neighbour[0] | 1;  /* what the next one holds */
    case 7: return neighbour[slot_bytes / 8 - 1] | 1;
    case 8: return old_words[rng_below(rng, old_count)] | 1; /* replayed */
    case 9: return (uintptr_t)slot ^ ((uintptr_t)slot >> 12);
    case 10: return UINT64_MAX;
    default: return rng_next(rng) | 1;
    }
}

/* Live neighbours are read, so never the last slot of a slab. */
static bool has_neighbour(const char *slot, size_t slot_bytes)
{
    return (uintptr_t)slot % GRANULE_BYTES + 2 * slot_bytes
        <= GRANULE_BYTES - guard_slab_bytes();
}

/* Free some, and write to a word of those that were freed. */
static size_t forge_some(size_t slot_bytes, struct rng *rng)
{
    size_t bytes = slot_bytes - CANARY_BYTES, forged = 0;
    for (int i = 0; i < PER_ROUND; i++) {
        struct object *victim = &live[rng_below(rng, LIVE)];
        char *slot = victim->p;
        old_words[old_count++ % FORGERIES] = *(uint64_t *)slot;
        release(victim, bytes);
        uint64_t *word = suite_hide(slot + 8 * rng_below(rng, bytes / 8));
        if (has_neighbour(slot, slot_bytes)) {
            *word = forged_word((int)rng_below(rng, 12), slot, slot_bytes,
                                rng);
            find_mark(slot)->kind = MARK_FORGED;
            forged++;
        }
        /* Sound traffic in between. */
        allocate(victim, bytes, rng);
        victim = &live[rng_below(rng, LIVE)];
        release(victim, bytes);
        allocate(victim, bytes, rng);
    }
    return forged;
}

START_TEST(forgeries_change_nothing)
{
    static const size_t slots[] = {16, 64, 256};
    PROPERTY_SKIP(!WRITE_CHECK, "write-check");
    size_t slot_bytes = slots[_i], bytes = slot_bytes - CANARY_BYTES;
    size_t forged = 0;
    struct rng rng = rng_make(121);
    property_report_only();
    for (int i = 0; i < LIVE; i++)
        allocate(&live[i], bytes, &rng);
    while (forged < FORGERIES)
        forged += forge_some(slot_bytes, &rng);
    /* Until the last of them have had their turn. */
    for (int i = 0; i < 60000; i++) {
        struct object *object = &live[rng_below(&rng, LIVE)];
        release(object, bytes);
        allocate(object, bytes, &rng);
    }
    for (int i = 0; i < LIVE; i++)
        release(&live[i], bytes);
    unsigned long found = die_count(DIE_WRITE_AFTER_FREE);
    PROPERTY_SAY("forgeries in slots of %zu bytes: %zu, %lu reports, the "
                 "others had no turn yet\n", slot_bytes, forged, found);
    ck_assert_uint_eq(handed_out_forged, 0);
    ck_assert_uint_eq(overlaps, 0);
    ck_assert_uint_eq(outside, 0);
    ck_assert_uint_eq(property_reports(), found);
    ck_assert_uint_le(found, forged);
    ck_assert_uint_ge(found, forged * 9 / 10);
}
END_TEST

TCase *leaks_case(void)
{
    TCase *tcase = tcase_create("leaks");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, free_slots_tell_nothing);
    tcase_add_loop_test(tcase, forgeries_change_nothing, 0, 3);
    return tcase;
}
