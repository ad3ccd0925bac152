/* SPDX-License-Identifier: MIT */
/*
 * drive_backend.c - what lies below the heaps: granules against a map of
 * booleans, spans with all their resizing, and everything under a kernel that
 * refuses.
 */
#define _GNU_SOURCE
#include <string.h>

#include "arena.h"
#include "drives.h"
#include "fault.h"
#include "granules.h"
#include "machine.h"

/* These slabs have no slots. */
static void no_check(struct record *slab)
{
    (void)slab;
}

/* ---- granules alone: the pure algorithm ---- */

enum { WORDS = 6, GRANULES = WORDS * GRANULES_WORD, RUNS = 64 };

static struct granule_word words[WORDS];
static struct granules part;
static bool used[GRANULES], dirty[GRANULES];
static struct run {
    size_t index, count;
} runs[RUNS];
static size_t run_count;

static bool any_is(const bool *bits, size_t index, size_t count)
{
    return memchr(bits + index, 1, count) != NULL;
}

static void took(size_t index, size_t count, bool clean)
{
    shadow_must(index + count <= part.window);
    shadow_must(!any_is(used, index, count));
    shadow_must(!clean || !any_is(dirty, index, count));
    memset(used + index, 1, count);
    memset(dirty + index, 0, count);
    runs[run_count++] = (struct run){index, count};
}

/* Is there room for a run where the algorithm may look for it? */
static bool is_room(size_t count)
{
    for (size_t i = 0; i + count <= part.window; i += count)
        if (!any_is(used, i, count))
            return true;
    return false;
}

static void take_granules(struct feed *feed)
{
    unsigned how = feed_u8(feed);
    size_t count = how % 9 < 7 ? (size_t)1 << how % 9
                               : (how % 9 - 6) * (size_t)GRANULES_WORD;
    bool clean = false;

    if (run_count == RUNS)
        return;
    size_t index = granules_take(&part, count, feed_u64(feed), &clean);
    if (index == GRANULES_NONE)
        shadow_must(count > GRANULES_WORD || !is_room(count));
    else
        took(index, count, clean);
}

/* The granules behind a run: how a span grows. */
static void take_more(struct feed *feed)
{
    if (run_count == 0 || run_count == RUNS)
        return;
    struct run run = runs[feed_below(feed, run_count)];
    size_t index = run.index + run.count, count = feed_u8(feed) % 100 + 1;
    bool clean = false;
    if (granules_take_at(&part, index, count, &clean))
        took(index, count, clean);
    else
        shadow_must(index + count > part.window
                    || any_is(used, index, count));
}

static void give_granules(struct feed *feed)
{
    if (run_count == 0)
        return;
    size_t at = feed_below(feed, run_count);
    struct run run = runs[at];
    bool is_dirty = feed_u8(feed) & 1;
    runs[at] = runs[--run_count];
    memset(used + run.index, 0, run.count);
    memset(dirty + run.index, is_dirty, run.count);
    granules_give(&part, run.index, run.count, is_dirty);
}

static void purge_granules(struct feed *feed)
{
    size_t word = feed_u8(feed) % WORDS;
    unsigned how = feed_u8(feed);

    if (word >= part.window / GRANULES_WORD)
        return;
    uint64_t ripe = granules_claim_ripe(&part, word, how & 1);
    for (unsigned i = 0; i < GRANULES_WORD; i++) {
        size_t granule = word * GRANULES_WORD + i;
        bool claimed = ripe >> i & 1;
        shadow_must(!claimed || (dirty[granule] && !used[granule]));
        shadow_must(claimed || !(how & 1) || !dirty[granule]);
        if (claimed && how & 2)
            dirty[granule] = false;
    }
    granules_purged(&part, word, ripe, how & 2);
}

static void drive_granules(struct feed *feed)
{
    memset(words, 0, sizeof words);
    memset(used, 0, sizeof used);
    memset(dirty, 0, sizeof dirty);
    part = (struct granules){.words = words, .window = GRANULES_WORD};
    extent_open(&part.extent, GRANULES);
    run_count = 0;
    for (unsigned i = 0; i < 1000 && !feed_is_empty(feed); i++) {
        switch (feed_u8(feed) % 8) {
        case 0: case 1: case 2:
            take_granules(feed);
            break;
        case 3:
            take_more(feed);
            break;
        case 4: case 5:
            give_granules(feed);
            break;
        case 6:
            purge_granules(feed);
            break;
        default:
            if (part.window < GRANULES)
                part.window += GRANULES_WORD;
        }
    }
    size_t sum = 0;
    for (size_t i = 0; i < GRANULES; i++)
        sum += used[i];
    shadow_must(part.taken == sum);
}

/* ---- the spans of one heap ---- */

enum { SPANS = 24, SPAN_BYTES_MAX = 6 << 20 };

static void drive_spans(struct feed *feed)
{
    static const struct die_call call = {.function = "drive"};
    static struct shadow shadow;
    static struct span_cache cache;
    static struct stream streams[RANDOM_STREAM];
    struct stream *stream = RANDOM_STREAM ? &streams[0] : NULL;
    struct record *spans[SPANS] = {NULL};
    size_t page = os_page_bytes();
    uint64_t now = 0;

    shadow_clear(&shadow);
    for (unsigned i = 0; i < 200 && !feed_is_empty(feed); i++) {
        unsigned how = feed_u8(feed), which = how / 8 % SPANS;
        size_t bytes = feed_size(feed, 23) % SPAN_BYTES_MAX + 1;
        struct record *span = spans[which];
        if (how % 8 == 7) {
            now += bytes % 3000;
            span_cache_decay(&cache, now, how & 8);
            arena_purge(how & 16, no_check);
        } else if (span == NULL) {
            size_t alignment = page << how % 8 * 2;
            bool zeroed = false;
            void *p = span_allocate(bytes, alignment, stream, &cache, &zeroed);
            if (p == NULL) {
                shadow_must(fault_hits() > 0);
                continue;
            }
            spans[which] = span = span_of(arena_record((uintptr_t)p),
                                          (uintptr_t)p);
            shadow_must(span != NULL);
            shadow_must(!zeroed || shadow_is_zero(p, bytes));
            shadow_add(&shadow, p, bytes, span->span_bytes, alignment);
        } else if (how % 8 < 4) {
            struct object object = shadow_take(
                &shadow, shadow_find(&shadow, (void *)span->base));
            if (!span_resize(span, bytes))
                bytes = object.bytes;
            shadow_verify(&object, object.p,
                          bytes < object.bytes ? bytes : object.bytes);
            shadow_add(&shadow, object.p, bytes, span->span_bytes, page);
        } else {
            shadow_take(&shadow,
                        shadow_find(&shadow, (void *)span->base));
            spans[which] = NULL;
            span_free(span, how & 64 ? NULL : &cache, call);
        }
    }
    for (unsigned i = 0; i < SPANS; i++)
        if (spans[i])
            span_free(spans[i], &cache, call);
    span_cache_decay(&cache, now, true);
}

void drive_backend(const uint8_t *bytes, size_t count)
{
    static const struct machine_rules rules = {.actors = 3, .faults = true};
    struct feed feed = {bytes, bytes + count};

    switch (feed_u8(&feed) % 4) {
    case 0:
        drive_granules(&feed);
        break;
    case 1:
        fault_arm(FAULT_CALL_COUNT, 0, 0, 0);
        drive_spans(&feed);
        break;
    default:
        machine_run(&rules, &feed);
    }
}
