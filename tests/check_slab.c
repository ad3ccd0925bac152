/* SPDX-License-Identifier: MIT */
/*
 * check_slab.c - one slab without a heap: every slot comes once, counted, from
 * memory that nobody touched before, and again when it has rested.
 *
 * Loop tests take a class each, every eighth and the largest.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "arena.h"
#include "guard.h"
#include "os.h"
#include "process.h"
#include "slab.h"
#include "support/death.h"
#include "support/suite.h"

enum {
    SLOTS_MAX = GRANULE_BYTES / UNIT_BYTES,
    STEP = 8,
    /* A hand must have room for a whole word of slots. */
    ROOM_MIN = 64,
};

static struct stream stream;
static const struct die_call no_call;
static uint32_t slots[SLOTS_MAX], order[SLOTS_MAX];
static bool out[SLOTS_MAX];
static uint32_t clock; /* slots taken: what slabs rest by */
static unsigned char resident[SLAB_GRANULES_MAX * GRANULE_BYTES / 4096];

static unsigned class_at(int i)
{
    return i * STEP < CLASS_COUNT ? (unsigned)i * STEP : CLASS_COUNT - 1;
}

static size_t slab_bytes(const struct record *slab)
{
    return (size_t)class_slab_granules(record_class(slab)) << GRANULE_SHIFT;
}

static struct record *take_slab(unsigned class)
{
    ck_assert(process_start());
    struct record *slab = arena_take_slab(class, UINT64_C(0x123456789abcdef));
    ck_assert_ptr_nonnull(slab);
    slab_open(slab, class, &stream);
    memset(out, 0, sizeof out);
    clock = 0;
    ck_assert_uint_le(slab->slots, SLOTS_MAX);
    ck_assert_uint_eq(slab->slot_bytes, class_slot_bytes(class));
    ck_assert_uint_eq(slab->base % slab_bytes(slab), 0);
    ck_assert_uint_eq(slab_used(slab), 0);
    ck_assert_uint_eq(slab_queued(slab), slab->fresh);
    return slab;
}

static void give_slab(struct record *slab)
{
    unsigned granules = class_slab_granules(record_class(slab));

    ck_assert(guard_slab_end(slab->base, slab_bytes(slab)));
    slab_close(slab);
    for (unsigned i = 0; i < granules; i++)
        ck_assert(slab[i].kind == RECORD_NONE && slab[i].owner == NULL);
    arena_give_slab(slab, granules, slab_verify_left);
}

/* Take into `slots`: a hand of at most `room`, or all of the list, as malloc
   does, which is then settled. */
static uint32_t take_raw(struct record *slab, uint32_t room, bool patient)
{
    struct hand hand = { .slots = slots, .room = room, .stream = &stream };
    uint32_t count = 0;

    if (SLOT_MAP) {
        slab_take(slab, &hand, clock, patient, true, no_call);
        count = hand.count;
    } else {
        if (!slab->list)
            slab_fill_list(slab);
        for (; slab->list; slab->list = *(user_word **)slab->list)
            slots[count++] = (uint32_t)((uintptr_t)slab->list - slab->base);
        ck_assert_uint_eq(count, slab_queued(slab));
        slab->until += count;
    }
    clock += count;
    return count;
}

static void open_bit(struct record *slab, uint32_t offset)
{
    uint64_t *words = slab_state_words(slab);
    size_t unit = offset >> UNIT_SHIFT;

    exact_open(words, exact_load(words, unit), unit);
}

static uint32_t take(struct record *slab, uint32_t room, bool patient)
{
    uint32_t used = slab_used(slab);
    uint32_t count = take_raw(slab, room, patient);

    ck_assert(!SLOT_MAP || count <= room);
    ck_assert_uint_eq(slab_used(slab), used + count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = slots[i] / slab->slot_bytes;
        if (slots[i] % slab->slot_bytes != 0
            || slots[i] + slab->slot_bytes
                > slab_bytes(slab) - guard_slab_bytes()
            || index >= slab->slots || out[index])
            ck_abort_msg("slot %x is no slot, or out already", slots[i]);
        if (SCRUB && !scrub_range_is_zero(slab->base + slots[i],
                                          slab->slot_bytes - CANARY_BYTES))
            ck_abort_msg("slot %x is not zero", slots[i]);
        if (canary_stays(slab->slot_bytes)
            && !canary_is_whole(&slab->key, slab->base + slots[i],
                                slab->slot_bytes))
            ck_abort_msg("slot %x has no canary", slots[i]);
        out[index] = true;
        open_bit(slab, slots[i]);
    }
    return count;
}

static bool put(struct record *slab, uint32_t offset)
{
    uint32_t used = slab_used(slab), queued = slab_queued(slab);
    uint64_t *words = slab_state_words(slab);
    size_t unit = offset >> UNIT_SHIFT;

    memset((void *)(slab->base + offset), 0x77,
           slab->slot_bytes - CANARY_BYTES);
    scrub(slab->base + offset, slab->slot_bytes);
    exact_store(words, exact_closed(exact_load(words, unit), unit), unit);
    out[offset / slab->slot_bytes] = false;
    bool event = slab_put(slab, slab->base + offset, false);
    if (slab_used(slab) != used - 1 || slab_queued(slab) != queued + 1)
        ck_abort_msg("used %u to %u, queued %u to %u", used, slab_used(slab),
                     queued, slab_queued(slab));
    return event;
}

static void take_all(struct record *slab)
{
    struct rng rng = rng_make(1);

    while (slab_used(slab) != slab->slots)
        if (take(slab, ROOM_MIN + (uint32_t)rng_below(&rng, 56), false)
            == 0)
            ck_abort_msg("%u of %u are out", slab_used(slab), slab->slots);
    ck_assert_uint_eq(take(slab, ROOM_MIN, false), 0);
    ck_assert_uint_eq(slab_used(slab), slab->slots);
    ck_assert_uint_eq(slab->fresh, slab->slots);
}

/* Everything back, in random order; `order` says in which. */
static void put_all(struct record *slab)
{
    struct rng rng = rng_make(2);

    for (uint32_t i = 0; i < slab->slots; i++)
        order[i] = i * slab->slot_bytes;
    for (uint32_t i = slab->slots - 1; i > 0; i--) {
        size_t j = rng_below(&rng, i + 1);
        uint32_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    /* The last free alone is an event. */
    for (uint32_t i = 0; i < slab->slots; i++)
        if (put(slab, order[i]) != (i + 1 == slab->slots))
            ck_abort_msg("free %u of %u and `until`", i, slab->slots);
    ck_assert_uint_eq(slab_used(slab), 0);
    ck_assert_uint_eq(slab_queued(slab), slab->slots);
}

START_TEST(every_slot_once)
{
    /* Twice: a slab has more than one life. */
    for (int life = 0; life < 2; life++) {
        struct record *slab = take_slab(class_at(_i));
        take_all(slab);
        put_all(slab);
        take_all(slab);
        put_all(slab);
        if (!CLASS_ISOLATION) {
            uint32_t fresh = slab->fresh;
            slab_verify(slab, true, no_call);
            if (SCRUB && !scrub_range_is_zero(slab->base, (size_t)fresh
                                                              * slab->slot_bytes))
                ck_abort_msg("class %u: not zero after verify", class_at(_i));
            ck_assert(!SLOT_MAP || slab->fresh == 0);
        }
        give_slab(slab);
    }
}
END_TEST

/* A list gives back what came last. */
START_TEST(order_of_a_list)
{
    if (SLOT_MAP)
        return;
    struct record *slab = take_slab(class_at(_i));
    uint32_t n = slab->slots;

    take_all(slab);
    put_all(slab);
    ck_assert_uint_eq(take(slab, n, true), n);
    for (uint32_t i = 0; i < n; i++)
        ck_assert_uint_eq(slots[i], order[n - 1 - i]);
    give_slab(slab);
}
END_TEST

/* A slot that is freed rests for the delay, while others come and go. */
START_TEST(freed_slots_rest)
{
    static uint32_t freed_at[SLOTS_MAX];

    if (!SLOT_MAP)
        return;
    struct record *slab = take_slab(class_at(_i));
    uint32_t delay = slab_delay(slab), shortest = UINT32_MAX;
    uint32_t came = 0, idle = 0;

    ck_assert(DELAYED_REUSE ? delay >= 4 : delay == 0);
    memset(freed_at, 0xff, sizeof freed_at);
    while (clock < 20 * slab->slots && idle < 2 * delay + 2) {
        uint32_t before = clock, count = take(slab, ROOM_MIN, true);
        /* When none has rested long enough, others serve the class. */
        clock += count == 0;
        idle = count == 0 ? idle + 1 : 0;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t index = slots[i] / slab->slot_bytes;
            if (freed_at[index] != UINT32_MAX) {
                shortest = (uint32_t)size_min(shortest,
                                              before - freed_at[index]);
                came++;
            }
            freed_at[index] = clock;
            put(slab, slots[i]);
        }
    }
    ck_assert_uint_gt(came, 4 * slab->slots);
    ck_assert_msg(shortest >= delay, "one came back after %u of %u", shortest,
                  delay);
    give_slab(slab);
}
END_TEST

/* Pages of the slab from `from` on that hold memory. */
static size_t resident_pages(const struct record *slab, size_t from)
{
    size_t page = os_page_bytes(), count = 0;
    size_t bytes = slab_bytes(slab) - guard_slab_bytes();

    from = align_up(from, page);
    if (from >= bytes)
        return 0;
    ck_assert_int_eq(mincore((void *)(slab->base + from), bytes - from,
                             resident), 0);
    for (size_t i = 0; i < (bytes - from) / page; i++)
        count += resident[i] & 1;
    return count;
}

START_TEST(fresh_slots_are_untouched)
{
    struct record *slab = take_slab(class_at(_i));

    ck_assert_msg(slab->zeroed, "the first slab of a process is not new");
    madvise((void *)slab->base, slab_bytes(slab), MADV_NOHUGEPAGE);
    ck_assert_uint_eq(resident_pages(slab, 0), 0);
    uint32_t room = 1;
    while (slab->fresh < slab->slots) {
        uint32_t count;
        /* Not take(): that looks at the slots. */
        count = take_raw(slab, room, true);
        ck_assert_uint_ge(count, 1);
        ck_assert_uint_eq(slab->fresh, slab_used(slab));
        ck_assert_uint_eq(resident_pages(slab, (size_t)slab->fresh
                                                   * slab->slot_bytes), 0);
        room = (uint32_t)size_min(room * 2, ORDER_SLOTS_MAX);
    }
    /* The mirror must not be blind. */
    *(volatile char *)slab->base = 1;
    ck_assert_uint_ge(resident_pages(slab, 0), 1);
    give_slab(slab);
}
END_TEST

static struct record *victim;

static void touch_guard(const void *arg)
{
    (void)arg;
    *(volatile char *)(victim->base + slab_bytes(victim)
                       - guard_slab_bytes()) = 1;
}

static void verify_all(const void *arg)
{
    (void)arg;
    slab_verify(victim, true, no_call);
}

/* The guard faults, and a written slot is seen when the slab is given back. */
START_TEST(guards_and_writes)
{
    victim = take_slab(class_at(_i));
    if (GUARD_PAGES)
        death_expect(touch_guard, NULL, SIGSEGV, "");
    if (WRITE_CHECK) {
        take_all(victim);
        put_all(victim);
        *(user_word *)(victim->base + order[3]) ^= 4;
        death_expect(verify_all, NULL, SIGABRT,
                     die_kind_text[DIE_WRITE_AFTER_FREE]);
        *(user_word *)(victim->base + order[3]) ^= 4;
    }
    give_slab(victim);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("slab");
    TCase *all = tcase_create("slab");
    int end = CLASS_COUNT / STEP + 1;

    tcase_set_timeout(all, 30);
    tcase_add_loop_test(all, every_slot_once, 0, end);
    tcase_add_loop_test(all, order_of_a_list, 0, end);
    tcase_add_loop_test(all, freed_slots_rest, 0, end);
    tcase_add_loop_test(all, fresh_slots_are_untouched, 0, end);
    tcase_add_loop_test(all, guards_and_writes, 0, end);
    suite_add_tcase(suite, all);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
