/* SPDX-License-Identifier: MIT */
/*
 * check_heap.c - several heaps driven in one thread, with the delivery of
 * messages as a step of its own.
 *
 * The clock is kept out of it: `pulse` is set so high that no heap looks.
 */
#include <stdlib.h>

#include "arena.h"
#include "heap.h"
#include "process.h"

#include "support/pattern.h"
#include "support/suite.h"

enum {
    HEAPS = 4,
    OPERATIONS = 100000,
    LIVE_MAX = 3000,
    LOOK_EVERY = 10000,
    NO_CLOCK = 1 << 30,
};

static const struct die_call call = {.function = "test"};
static struct heap *heaps[HEAPS];
static size_t slab_bytes_before;

static struct heap *open_heap(void)
{
    struct heap *heap = heap_open();

    ck_assert_ptr_nonnull(heap);
    heap->pulse = NO_CLOCK;
    return heap;
}

static size_t slab_bytes(void)
{
    struct arena_figures figures;

    arena_gather(&figures);
    return figures.slab_bytes;
}

static void setup(void)
{
    ck_assert(process_start());
    slab_bytes_before = slab_bytes();
    for (int i = 0; i < HEAPS; i++)
        heaps[i] = open_heap();
}

static char *allocate(struct heap *heap, size_t bytes)
{
    return heap_allocate_small(heap, class_of_request(bytes), call);
}

static struct record *slab_of(const void *p)
{
    return arena_record((uintptr_t)p)->slab;
}

static uint32_t owner_of(const void *p)
{
    return mail_owner(mail_load(slab_of(p)));
}

/* Everything that is under way arrives. */
static void deliver_all(void)
{
    for (int i = 0; i < HEAPS; i++)
        heap_post_all(heaps[i]);
    for (int i = 0; i < HEAPS; i++)
        heap_drain(heaps[i], call);
}

/* Close all: no slab is left, owned or not. */
static void close_all_and_look(void)
{
    for (int i = 0; i < HEAPS; i++)
        heap_close(heaps[i]);
    size_t slabs = 0, owned = 0;
    for (unsigned a = 0; a < arena_count(); a++) {
        struct arena *arena = arena_at(a);
        for (size_t i = 0; i < arena->slabs.window; i++) {
            uint32_t owner = mail_owner(arena->records[i].mail);
            slabs += arena->records[i].kind != RECORD_NONE;
            owned += owner != 0 && owner != MAIL_ARENA;
        }
    }
    ck_assert_uint_eq(slabs, 0);
    ck_assert_uint_eq(owned, 0);
    /* Under isolation emptied slabs keep their granules. */
    if (!CLASS_ISOLATION)
        ck_assert_uint_eq(slab_bytes(), slab_bytes_before);
    for (int i = 0; i < HEAPS; i++)
        ck_assert(inbox_is_empty(&heaps[i]->inbox));
}

START_TEST(a_remote_free_arrives_when_drained)
{
    char *p[3];

    for (int i = 0; i < 3; i++)
        p[i] = allocate(heaps[0], 100);
    struct record *slab = slab_of(p[0]);
    uint32_t used = slab_used(slab);
    ck_assert_ptr_eq(slab->owner, heaps[0]);
    heap_free(heaps[1], p[0], call);
    heap_free(heaps[2], p[1], call);
    /* Grouped messages wait for their posting, strict ones do not. */
    ck_assert_int_eq(inbox_is_empty(&heaps[0]->inbox), !STRICT_REMOTE);
    heap_post_all(heaps[1]);
    heap_post_all(heaps[2]);
    ck_assert(!inbox_is_empty(&heaps[0]->inbox));
    ck_assert_uint_ne(mail_load(slab) & MAIL_NOTED, 0);
    if (!STRICT_REMOTE)
        ck_assert_uint_eq(mail_count(mail_load(slab)), 2);
    ck_assert_uint_eq(slab_used(slab), used);
    /* It is of no concern to others. */
    heap_drain(heaps[1], call);
    ck_assert_uint_eq(slab_used(slab), used);
    heap_drain(heaps[0], call);
    ck_assert_uint_eq(slab_used(slab), used - 2);
    ck_assert_uint_eq(mail_load(slab) & MAIL_NOTED, 0);
    ck_assert(!mail_has_post(mail_load(slab)));
    heap_free(heaps[0], p[2], call);
    ck_assert_uint_eq(slab_used(slab), used - 3);
    close_all_and_look();
}
END_TEST

START_TEST(a_full_slab_goes_to_who_frees_into_it)
{
    enum { COUNT = 200, BYTES = GRANULE_BYTES / 8 - CANARY_BYTES };
    char *p[COUNT];
    size_t count = 0;

    /* Of so few slots none is left behind as not worth a refill. */
    p[count++] = allocate(heaps[0], BYTES);
    struct record *slab = slab_of(p[0]);
    ck_assert_uint_eq(mail_owner(mail_load(slab)), heaps[0]->id);
    while (owner_of(p[0]) != 0 && count < COUNT)
        p[count++] = allocate(heaps[0], BYTES);
    ck_assert_uint_eq(owner_of(p[0]), 0);
    ck_assert_ptr_null(slab->owner);
    ck_assert_uint_eq(slab_used(slab), slab->slots);
    heap_free(heaps[3], p[0], call);
    ck_assert_uint_eq(mail_owner(mail_load(slab)), heaps[3]->id);
    ck_assert_ptr_eq(slab->owner, heaps[3]);
    ck_assert_uint_eq(slab_used(slab), slab->slots - 1);
    /* Now it is heap 0 that is a stranger there. */
    for (size_t i = 1; i < count; i++)
        heap_free(heaps[0], p[i], call);
    deliver_all();
    close_all_and_look();
}
END_TEST

START_TEST(a_closed_heap_owns_nothing_and_is_used_again)
{
    enum { COUNT = 3000 };
    static char *p[COUNT];
    struct heap *heap = heaps[2];

    for (size_t i = 0; i < COUNT; i++) {
        p[i] = allocate(heap, 16 + i % 1500);
        pattern_fill(p[i], 16 + i % 1500, i);
    }
    /* Some stay under way when the heaps close. */
    for (size_t i = 0; i < COUNT; i += 3)
        heap_free(heaps[0], p[i], call);
    uint32_t made = heap_count();
    heap_close(heap);
    for (unsigned class = 0; class < CLASS_COUNT; class++) {
        ck_assert_uint_eq(heap_bin(heap, class)->slabs, 0);
        ck_assert_ptr_null(heap_bin(heap, class)->current);
        ck_assert_ptr_null(heap_bin(heap, class)->ready_first);
        ck_assert_ptr_null(heap_bin(heap, class)->asleep_first);
    }
    for (size_t i = 1; i < COUNT; i += 3)
        ck_assert_uint_ne(owner_of(p[i]), heap->id);
    ck_assert(inbox_is_empty(&heap->inbox));
    ck_assert_ptr_eq(open_heap(), heap);
    ck_assert_uint_eq(heap_count(), made);
    for (size_t i = 0; i < COUNT; i++) {
        if (i % 3 == 0)
            continue;
        ck_assert(pattern_holds(p[i], 16 + i % 1500, i));
        heap_free(heaps[i % HEAPS], p[i], call);
    }
    deliver_all();
    close_all_and_look();
}
END_TEST

/* ---- against a model ---- */

static struct live {
    char *p;
    size_t bytes;
    uint64_t tag;
} live[LIVE_MAX];
static size_t live_count;

static int by_address(const void *a, const void *b)
{
    const struct live *x = a, *y = b;

    return x->p < y->p ? -1 : x->p > y->p;
}

static int look(void)
{
    int wrong = 0;

    qsort(live, live_count, sizeof *live, by_address);
    for (size_t i = 0; i < live_count; i++) {
        wrong += !pattern_holds(live[i].p, live[i].bytes, live[i].tag);
        wrong += i > 0 && live[i - 1].p + live[i - 1].bytes > live[i].p;
    }
    return wrong;
}

static int free_one(struct heap *heap, size_t i)
{
    int wrong = !pattern_holds(live[i].p, live[i].bytes, live[i].tag);

    heap_free(heap, live[i].p, call);
    live[i] = live[--live_count];
    return wrong;
}

static int step(struct rng *rng, uint64_t tag)
{
    size_t dice = rng_below(rng, 1000), which = rng_below(rng, HEAPS);
    struct heap *heap = heaps[which];

    if (dice < 30) {
        heap_drain(heap, call);
    } else if (dice < 60) {
        heap_post_all(heap);
    } else if (dice < 61) {
        heap_close(heap);
        heaps[which] = open_heap();
    } else if (live_count > 0
               && (live_count == LIVE_MAX || rng_below(rng, 100) < 49)) {
        return free_one(heap, rng_below(rng, live_count));
    } else {
        struct live *new = &live[live_count++];
        new->bytes = rng_size(rng, 11);
        new->tag = tag << 32;
        new->p = allocate(heap, new->bytes);
        if (!new->p)
            return live_count--, 1;
        pattern_fill(new->p, new->bytes, new->tag);
    }
    return 0;
}

START_TEST(random_operations)
{
    struct rng rng = rng_make(77);
    int wrong = 0;

    for (uint64_t i = 0; i < OPERATIONS; i++) {
        wrong += step(&rng, i);
        if (i % LOOK_EVERY == 0)
            wrong += look();
    }
    wrong += look();
    while (live_count > 0)
        wrong += free_one(heaps[rng_below(&rng, HEAPS)], live_count - 1);
    ck_assert_int_eq(wrong, 0);
    deliver_all();
    close_all_and_look();
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("heap");
    TCase *several = tcase_create("several");
    tcase_add_checked_fixture(several, setup, NULL);
    tcase_set_timeout(several, 60);
    tcase_add_test(several, a_remote_free_arrives_when_drained);
    tcase_add_test(several, a_full_slab_goes_to_who_frees_into_it);
    tcase_add_test(several, a_closed_heap_owns_nothing_and_is_used_again);
    tcase_add_test(several, random_operations);
    suite_add_tcase(suite, several);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
