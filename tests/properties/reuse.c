/* SPDX-License-Identifier: MIT */
/*
 * reuse.c - when an address comes back, and to whom.
 *
 * Delayed reuse: a freed slot rests for so many allocations of its class, as
 * slab.h says. Class isolation: an address that was one class's is never
 * another's, nor a span's. And what a patient attacker has of waiting.
 */
#include "properties.h"

#include <string.h>

#include "arena.h"
#include "guard.h"
#include "span.h"

/* ---- the least distance ---- */

/*
 * Said once more, on purpose: half a slab's slots, at least 16; of a page or
 * more 64 KiB of them, at least 4.
 */
static size_t promised_delay(unsigned class)
{
    size_t bytes = class_slot_bytes(class);
    size_t half = class_slab_slots(class, guard_slab_bytes()) / 2;

    if (bytes >= 4096)
        return 64 * KIB / bytes > 4 ? 64 * KIB / bytes : 4;
    return half > 16 ? half : 16;
}

/* How many allocations come before p again; `most` when it did not come. */
static size_t distance_to(const char *p, size_t request, size_t most,
                          bool pairs, void **kept)
{
    size_t distance = most, count = 0;
    for (size_t i = 0; i < most && distance == most; i++) {
        char *q = m.malloc(request);
        if (q == p)
            distance = i;
        if (pairs)
            m.free(q);
        else
            kept[count++] = q;
    }
    while (count > 0)
        m.free(kept[--count]);
    return distance;
}

/* A class with objects in use: one is freed, others are allocated. */
static void judge_distance(unsigned class, int rounds, struct rng *rng)
{
    enum { LIVE = 300 };
    static void *live[LIVE], *kept[16384];
    size_t request = property_request(class);
    size_t promised = promised_delay(class), least = SIZE_MAX;
    ck_assert_uint_le(2 * promised + 64, sizeof kept / sizeof *kept);
    for (int i = 0; i < LIVE; i++)
        live[i] = m.malloc(request);
    for (int round = 0; round < rounds; round++) {
        void **victim = &live[rng_below(rng, LIVE)];
        char *p = *victim;
        m.free(p);
        size_t distance = distance_to(p, request, 2 * promised + 64,
                                      round % 2, kept);
        if (distance < least)
            least = distance;
        *victim = m.malloc(request);
    }
    PROPERTY_SAY("reuse, slots of %zu bytes: at the earliest after %zu "
                 "allocations, promised %zu\n", class_slot_bytes(class), least,
                 promised);
    ck_assert_msg(least >= promised, "slots of %zu bytes: after %zu, not %zu",
                  class_slot_bytes(class), least, promised);
    for (int i = 0; i < LIVE; i++)
        m.free(live[i]);
}

START_TEST(freed_slots_rest)
{
    PROPERTY_SKIP(!DELAYED_REUSE, "delayed-reuse");
    struct rng rng = rng_make(100);
    for (unsigned class = 0; class < PROPERTY_CLASSES;
         class += suite_full() ? 1 : 5)
        judge_distance(class, class_slot_bytes(class) < 64 ? 20 : 60, &rng);
}
END_TEST

/* ---- class crossing ---- */

enum { PLACES = 1 << 20, CROSS_LIVE = 3000 };

/* Whose a granule of address space was: its slot size, or 1 for a span. */
static struct place {
    uintptr_t granule;
    size_t served;
} place[PLACES];

static size_t granules_seen;

static struct place *find_place(uintptr_t granule)
{
    size_t i = (granule * UINT64_C(0x9e3779b97f4a7c15)) >> 44;
    while (place[i].granule != 0 && place[i].granule != granule)
        i = (i + 1) % PLACES;
    return &place[i];
}

/* Does this object lie where nothing else ever did? */
static void enter(const char *p, size_t bytes)
{
    bool span = bytes > CLASS_REQUEST_MAX;
    size_t served = span ? 1 : m.usable_size((void *)p);
    uintptr_t last = ((uintptr_t)p + bytes - 1) >> GRANULE_SHIFT;
    for (uintptr_t g = (uintptr_t)p >> GRANULE_SHIFT; g <= last; g++) {
        struct place *at = find_place(g);
        granules_seen += at->granule == 0;
        ck_assert_uint_lt(granules_seen, PLACES / 2);
        if (at->granule == 0)
            *at = (struct place){g, served};
        ck_assert_msg(at->served == served,
                      "%p served %zu bytes, and now %zu", (const void *)p,
                      at->served, served);
    }
}

/* Sizes of one phase are near each other, so that slabs empty in the next. */
START_TEST(no_address_serves_two_classes)
{
    PROPERTY_SKIP(!CLASS_ISOLATION, "class-isolation");
    static void *live[CROSS_LIVE];
    struct rng rng = rng_make(101);
    int phases = suite_full() ? 400 : 40;
    size_t objects = 0;
    for (int phase = 0; phase < phases; phase++) {
        unsigned top = 6 + (unsigned)rng_below(&rng, 14);
        size_t room = ((size_t)64 << 20) >> top;
        room = room < CROSS_LIVE ? room : CROSS_LIVE;
        for (size_t i = 0; i < 4 * room; i++, objects++) {
            void **at = &live[rng_below(&rng, room)];
            m.free(*at);
            size_t bytes = ((size_t)1 << (top - 1))
                + rng_below(&rng, (size_t)1 << (top - 1));
            *at = m.malloc(bytes);
            ck_assert_ptr_nonnull(*at);
            enter(*at, bytes);
        }
        for (size_t i = 0; i < CROSS_LIVE; i++)
            if (rng_below(&rng, 200) != 0) {
                m.free(live[i]);
                live[i] = NULL;
            }
    }
    PROPERTY_SAY("class crossing: none, %zu objects on %zu granules\n",
                 objects, granules_seen);
    ck_assert_uint_gt(granules_seen, 1000);
}
END_TEST

/* ---- spans ---- */

enum { SPAN_WAIT = 64, SPAN_MOST = 400, SPAN_CHILDREN = 20 };

struct waiting {
    size_t bytes;
    size_t distance, count, share; /* shared: what was seen */
};

/* Spans come and go until the address of one is there again. */
static void wait_for_span(const void *arg)
{
    struct waiting *seen = *(struct waiting *const *)arg;
    char *live[16];
    for (int i = 0; i < 16; i++)
        live[i] = m.malloc(seen->bytes);
    char *victim = live[7];
    m.free(victim);
    seen->distance = SPAN_MOST;
    seen->count = seen->share = 0;
    for (size_t i = 0; i < SPAN_MOST; i++) {
        char *p = m.malloc(seen->bytes);
        if (p == NULL)
            death_fail("no memory");
        size_t count = __atomic_load_n(&span_quarantine_count,
                                       __ATOMIC_RELAXED);
        size_t sum = __atomic_load_n(&span_quarantine_bytes,
                                     __ATOMIC_RELAXED);
        size_t share = sum / (arena_at(0)->span_bytes / 100);
        seen->count = count > seen->count ? count : seen->count;
        seen->share = share > seen->share ? share : seen->share;
        if (p == victim) {
            seen->distance = i;
            return;
        }
        m.free(p);
    }
}

/*
 * The addresses of a freed span wait until 64 others were freed, and then come
 * back when chance will have it, not in the order in which they were freed. In
 * the quarantine are no more, nor more than a quarter of all addresses.
 */
START_TEST(freed_spans_rest)
{
    PROPERTY_SKIP(!GUARD_PAGES, "guard-pages");
    static const size_t sizes[] = {300 * KIB, 2 * MIB};
    struct waiting *seen = property_shared(sizeof *seen);
    size_t least = SIZE_MAX, most = 0;
    double sum = 0;
    seen->bytes = sizes[_i];
    for (int i = 0; i < SPAN_CHILDREN; i++) {
        ck_assert(property_child(wait_for_span, &seen));
        least = seen->distance < least ? seen->distance : least;
        most = seen->distance > most ? seen->distance : most;
        sum += (double)seen->distance;
        ck_assert_uint_le(seen->count, SPAN_WAIT + 1);
        ck_assert_uint_le(seen->share, 26);
    }
    PROPERTY_SAY("spans of %zu KiB: an address came back after %zu to %zu "
                 "others, %.0f on average; no more than %d were tried\n",
                 sizes[_i] / KIB, least, most, sum / SPAN_CHILDREN,
                 SPAN_MOST);
    ck_assert_uint_ge(least, SPAN_WAIT - 1);
    /* Twenty draws, and not one place for all of them. */
    ck_assert(most >= least + 8 || least == SPAN_MOST);
}
END_TEST

/* ---- what rests costs memory ---- */

struct rest {
    unsigned first, last; /* classes */
    size_t *held;         /* bytes, shared */
};

/* Nothing lives: what the process has more than before is what rests, with all
   that merlon knows of it. */
static void go_round(const void *arg)
{
    const struct rest *rest = arg;
    m.free(m.malloc(1));
    size_t before = suite_rss_bytes();
    for (unsigned class = rest->first; class <= rest->last; class++) {
        size_t request = class_slot_bytes(class) - CANARY_BYTES;
        size_t count = 64 * MIB / class_slot_bytes(class);
        count = count < 2000 ? 2000 : count > 20000 ? 20000 : count;
        for (size_t i = 0; i < count; i++) {
            char *p = m.malloc(request);
            memset(p, 1, request);
            m.free(p);
        }
    }
    *rest->held = suite_rss_bytes() - before;
}

/* At most 2 MiB for a class, and 16 MiB for all of them. */
START_TEST(what_rests_is_little)
{
    PROPERTY_SKIP(!DELAYED_REUSE, "delayed-reuse");
    struct rest rest = {.held = property_shared(sizeof(size_t))};
    size_t most = 0, of = 0;
    for (unsigned class = 0; class < CLASS_COUNT;
         class += suite_full() ? 1 : 6) {
        rest.first = rest.last = class;
        ck_assert(property_child(go_round, &rest));
        if (*rest.held > most) {
            most = *rest.held;
            of = class_slot_bytes(class);
        }
        ck_assert_msg(*rest.held <= 2 * MIB, "slots of %zu bytes: %zu KiB",
                      class_slot_bytes(class), *rest.held / KIB);
    }
    rest = (struct rest){0, CLASS_COUNT - 1, rest.held};
    ck_assert(property_child(go_round, &rest));
    PROPERTY_SAY("what rests: at most %zu KiB of a class (slots of %zu "
                 "bytes), %zu KiB of all classes\n", most / KIB, of,
                 *rest.held / KIB);
    ck_assert_uint_le(*rest.held, 16 * MIB);
}
END_TEST

/* ---- the patient attacker ---- */

/*
 * He has a dangling pointer to an object that lived among a thousand of its
 * size, and allocates and frees that size until its address is his. Which of
 * them it is is drawn: one of the last refill is not yet told from what he
 * frees himself, and its address returns.
 */
struct patience {
    size_t bytes, victim;
    double *returned;
};

enum { PATIENT_LIVE = 1000, PATIENT_PAIRS = 100000 };

static void wait_for_victim(const void *arg)
{
    static char *live[PATIENT_LIVE];
    const struct patience *patience = arg;
    for (int i = 0; i < PATIENT_LIVE; i++)
        live[i] = m.malloc(patience->bytes);
    char *victim = live[patience->victim];
    m.free(victim);
    for (int i = 0; i < PATIENT_PAIRS; i++) {
        char *p = m.malloc(patience->bytes);
        if (p == victim) {
            ++*patience->returned;
            return;
        }
        m.free(p);
    }
}

/* At most one of five; what may be seen of few runs is six deviations more. */
START_TEST(patient_attacker)
{
    static const size_t sizes[] = {8, 64, 200, 1000, 4000, 16000, 60000};
    int runs = suite_full() ? 1000 : sizes[_i] < 10000 ? 40 : 10;
    PROPERTY_SKIP(!DELAYED_REUSE, "delayed-reuse");
    struct rng rng = rng_make(102 + (uint64_t)_i);
    struct patience patience = {.bytes = sizes[_i],
                                .returned = property_shared(sizeof(double))};
    for (int i = 0; i < runs; i++) {
        patience.victim = rng_below(&rng, PATIENT_LIVE);
        ck_assert(property_child(wait_for_victim, &patience));
    }
    PROPERTY_SAY("patient attacker, %zu bytes: the victim's address came back "
                 "in %.0f of %d runs of 100,000 pairs\n", sizes[_i],
                 *patience.returned, runs);
    double most = suite_full() ? 0.2 : property_six(0.2, runs);
    ck_assert_double_le(*patience.returned / runs, most);
}
END_TEST

TCase *reuse_case(void)
{
    TCase *tcase = tcase_create("reuse");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, freed_slots_rest);
    tcase_add_test(tcase, no_address_serves_two_classes);
    tcase_add_loop_test(tcase, freed_spans_rest, 0, 2);
    tcase_add_test(tcase, what_rests_is_little);
    return tcase;
}

/* A run takes as long as zeroing does: 6 GB for the largest. */
TCase *patience_case(void)
{
    TCase *tcase = tcase_create("patience");
    tcase_set_timeout(tcase, suite_full() ? 7200 : 200);
    tcase_add_loop_test(tcase, patient_attacker, 0, 7);
    return tcase;
}
