/* SPDX-License-Identifier: MIT */
/*
 * drive_values.c - arguments from the whole range of their types: sizes,
 * alignments, the arithmetic of size classes, and texts of options.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "conf.h"
#include "drives.h"
#include "face.h"
#include "feed.h"
#include "os.h"
#include "shadow.h"
#include "sizeclass.h"

/* Below, memory is there; above, the kernel may say no. */
#define SURE_BYTES ((size_t)32 << 20)

/* A value with few bits set, near a power of two, or any at all. */
static size_t pick_value(struct feed *feed)
{
    unsigned how = feed_u8(feed), shift = feed_u8(feed) % (8 * sizeof(size_t));
    uint64_t value = UINT64_C(1) << shift;

    switch (how % 4) {
    case 0:
        break;
    case 1:
        value += (uint64_t)(int8_t)feed_u8(feed);
        break;
    case 2:
        value = feed_u64(feed) >> shift;
        break;
    default:
        value = feed_u16(feed);
    }
    /* What takes terabytes of addresses takes milliseconds: seldom. */
    if (value >> 33 != 0 && value >> 46 == 0 && how < 0xfc)
        value &= (UINT64_C(1) << 33) - 1;
    return (size_t)value;
}

/* One of each public function that takes sizes, and what it must answer. */
struct answer {
    void *p;
    size_t bytes, alignment;
    int error;       /* 0: memory it must be, if there is enough */
};

static struct answer ask(struct feed *feed)
{
    size_t page = os_page_bytes(), count = 1;
    struct answer a = {.alignment = 16};
    unsigned how = feed_u8(feed) % 9;

    a.bytes = pick_value(feed);
    errno = 0;
    switch (how) {
    case 0:
        a.p = merlon_malloc(a.bytes);
        break;
    case 1: case 2:
        count = pick_value(feed);
        if (how == 1 && a.bytes <= SIZE_MAX / (count | 1)
            && a.bytes * count > SURE_BYTES && a.bytes * count <= PTRDIFF_MAX)
            count = 1; /* calloc may have to write to all of it */
        if (how == 1 && count == 1 && a.bytes > SURE_BYTES
            && a.bytes <= PTRDIFF_MAX)
            a.bytes = SURE_BYTES;
        a.p = how == 1 ? merlon_calloc(count, a.bytes)
                       : merlon_reallocarray(NULL, count, a.bytes);
        if (__builtin_mul_overflow(a.bytes, count, &a.bytes))
            a.error = ENOMEM;
        break;
    case 3:
        a.alignment = pick_value(feed);
        a.p = merlon_aligned_alloc(a.alignment, a.bytes);
        if (!is_power_of_two(a.alignment))
            a.error = EINVAL;
        break;
    case 4:
        a.alignment = pick_value(feed);
        a.p = merlon_memalign(a.alignment, a.bytes);
        if (a.alignment > SIZE_MAX / 2 + 1)
            a.error = EINVAL;
        else
            a.alignment = bits_round_up_power(a.alignment);
        break;
    case 5:
        a.alignment = pick_value(feed);
        int code = merlon_posix_memalign(&a.p, a.alignment, a.bytes);
        shadow_must(errno == 0 && (code == 0) == (a.p != NULL));
        errno = code;
        if (!is_power_of_two(a.alignment) || a.alignment < sizeof(void *))
            a.error = EINVAL;
        break;
    case 6:
        a.alignment = page;
        a.p = merlon_valloc(a.bytes);
        break;
    case 7:
        a.alignment = page;
        a.p = merlon_pvalloc(a.bytes);
        if (a.bytes > SIZE_MAX - page + 1)
            a.error = ENOMEM;
        else
            a.bytes = align_up(a.bytes + (a.bytes == 0), page);
        break;
    default:
        a.p = merlon_realloc(NULL, a.bytes);
    }
    if (a.error == 0 && (a.bytes > PTRDIFF_MAX || a.alignment > PTRDIFF_MAX))
        a.error = ENOMEM;
    return a;
}

static void judge(struct answer a)
{
    int seen = errno;

    if (a.p == NULL) {
        bool sure = a.bytes <= SURE_BYTES && a.alignment <= SURE_BYTES;
        if (seen != (a.error ? a.error : ENOMEM) || (!a.error && sure))
            shadow_fail("NULL with errno %d for %zu bytes at a multiple of "
                        "%zu", seen, a.bytes, a.alignment);
        return;
    }
    size_t usable = merlon_malloc_usable_size(a.p);
    if (a.error != 0 || seen != 0 || usable < a.bytes
        || (uintptr_t)a.p % a.alignment != 0)
        shadow_fail("errno %d, %zu bytes at %p for %zu at a multiple of %zu",
                    seen, usable, a.p, a.bytes, a.alignment);
    if (usable > 0) {
        ((volatile char *)a.p)[0] = 1;
        ((volatile char *)a.p)[usable - 1] = 2;
    }
}

/* Change its size once, to anything; both ends are kept. */
static void change(struct feed *feed, struct answer a)
{
    size_t bytes = pick_value(feed), usable = merlon_malloc_usable_size(a.p);
    bool both = bytes >= usable;

    if (bytes == 0)
        bytes = 1;
    /* A move copies what was never touched: rather none can be had. */
    if (bytes > SURE_BYTES && bytes <= PTRDIFF_MAX)
        bytes = SIZE_MAX - bytes;
    volatile char *old = a.p, *now = merlon_realloc(a.p, bytes);
    if (now == NULL) {
        shadow_must(errno == ENOMEM && bytes > usable);
        shadow_must(bytes > SURE_BYTES);
        now = old;
        both = true;
    }
    shadow_must(usable == 0 || bytes == 0 || now[0] == 1);
    shadow_must(usable < 2 || !both || now[usable - 1] == 2);
    merlon_free((void *)now);
}

static void check_classes(size_t request, size_t alignment)
{
    request %= CLASS_REQUEST_MAX + 1;
    unsigned class = class_of_request(request);
    shadow_must(class < CLASS_COUNT);
    size_t slot = class_slot_bytes(class);
    shadow_must(slot >= request + CANARY_BYTES && slot % UNIT_BYTES == 0);
    shadow_must(class == 0
                || class_slot_bytes(class - 1) < request + CANARY_BYTES);
    size_t slab = (size_t)class_slab_granules(class) << GRANULE_SHIFT;
    shadow_must(is_power_of_two(slab)
                && slab <= (size_t)SLAB_GRANULES_MAX << GRANULE_SHIFT);
    shadow_must(class_slab_slots(class, os_page_bytes()) * slot
                <= slab - os_page_bytes());
    if (!is_power_of_two(alignment) || alignment > GRANULE_BYTES)
        return;
    class = class_of_aligned(request, alignment);
    if (class < CLASS_COUNT) {
        slot = class_slot_bytes(class);
        shadow_must(slot % alignment == 0 && slot >= request + CANARY_BYTES);
    }
}

void drive_sizes(const uint8_t *bytes, size_t count)
{
    struct feed feed = {bytes, bytes + count};
    struct face_stats first, last;
    bool counted = count % 8 == 0; /* it takes time when windows are large */

    if (counted)
        face_gather(&first, NULL);
    for (unsigned i = 0; i < 20 && !feed_is_empty(&feed); i++) {
        struct answer a = ask(&feed);
        judge(a);
        check_classes(a.bytes, a.alignment);
        if (a.p != NULL) {
            if (feed_u8(&feed) & 1)
                change(&feed, a);
            else
                merlon_free(a.p);
        }
    }
    if (!counted)
        return;
    face_gather(&last, NULL);
    shadow_must(first.live_count == last.live_count);
    shadow_must(first.live_bytes == last.live_bytes);
}

/* Options of a process that was told nothing. */
static const struct options told_nothing = {.report_fd = 77};

static bool are_same(const struct options *a, const struct options *b)
{
    return a->on_error == b->on_error && a->report_fd == b->report_fd
        && a->size_mismatch == b->size_mismatch
        && a->arena_bytes == b->arena_bytes
        && strcmp(a->statistics, b->statistics) == 0;
}

static void check_options(const struct options *options)
{
    shadow_must(options->on_error <= OPTION_ABORT
                && options->size_mismatch <= OPTION_ABORT);
    shadow_must(options->report_fd >= 0);
    shadow_must(strnlen(options->statistics, sizeof options->statistics)
                < sizeof options->statistics);
}

/* A line as in MERLON_OPTIONS. */
static void parse_text(char *text)
{
    struct options options = told_nothing, again = told_nothing;
    size_t length = strlen(text);
    const char *bad = NULL;

    bool fine = options_parse(&options, text, &bad);
    check_options(&options);
    if (fine)
        return;
    shadow_must(bad >= text && bad < text + length);
    /* What was understood is understood again, the same way. */
    text[bad - text] = 0;
    shadow_must(options_parse(&again, text, &bad));
    shadow_must(are_same(&options, &again));
}

/* A merlon.conf, in pieces of this size. */
static struct options read_conf(const char *text, size_t count, size_t step,
                                unsigned *bad_line)
{
    struct options options = told_nothing;
    struct conf conf = {.options = &options, .program = "nginx"};

    for (size_t at = 0; at < count; at += step)
        conf_feed(&conf, text + at, count - at < step ? count - at : step);
    conf_feed(&conf, "\n", 1);
    check_options(&options);
    shadow_must(conf.bad_line <= conf.line);
    *bad_line = conf.bad_line;
    return options;
}

void drive_options(const uint8_t *bytes, size_t count)
{
    unsigned bad_whole, bad_pieces;

    if (count > 1 && bytes[0] == '!') {
        drive_fresh(bytes + 1, count - 1);
        return;
    }
    char *text = malloc(count + 1);

    if (text == NULL)
        return;
    memcpy(text, bytes, count);
    text[count] = 0;
    struct options whole = read_conf(text, count, count + 1, &bad_whole);
    struct options pieces = read_conf(text, count, 3, &bad_pieces);
    shadow_must(bad_whole == bad_pieces && are_same(&whole, &pieces));
    parse_text(text);
    free(text);
}
