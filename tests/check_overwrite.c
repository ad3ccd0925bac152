/* SPDX-License-Identifier: MIT */
/*
 * check_overwrite.c - writes after free, overflows, forged links, stale reads.
 *
 * As in check_death.c: what policy.h promises must be caught, the rest is
 * recorded. A write after free is caught at the latest when the slot is used
 * again, so those crimes go on until that must have happened.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "merlon/merlon.h"
#include "policy.h"
#include "sizeclass.h"
#include "support/crime.h"
#include "support/pattern.h"

static const char overflow[] = "buffer overflow";
static const char after_free[] = "write after free|corrupted link";

/* ---- writes after free ---- */

struct stray {
    size_t bytes;
    size_t at;      /* which byte is changed */
    bool traffic;   /* others are freed after the victim: its link is in use */
};

static char *kept[200];

/* Neighbours that live on, so that the slab is used again. */
static char *make_among_others(size_t bytes)
{
    size_t count = crime_many(bytes, 200);
    for (size_t i = 0; i < count; i++)
        kept[i] = crime_object(bytes);
    char *victim = kept[count / 2];
    kept[count / 2] = NULL;
    return victim;
}

/* Of the others every fourth lives to the end. */
static void free_some_others(size_t bytes)
{
    size_t count = crime_many(bytes, 200);
    for (size_t i = 0; i < count; i += 3)
        if (i % 4 != 1) {
            m.free(kept[i]);
            kept[i] = NULL;
        }
}

/*
 * Go on as programs do, until the victim's slot was used again: true. A slab
 * with few free slots may be left alone for good, so most of its objects are
 * freed. Then the heap grows and shrinks, beyond what a slab has: it grows into
 * what is there. In the end all of it goes back: at the latest then what was written must be noticed.
 */
static bool go_on(const void *victim, size_t bytes)
{
    static char *wave[9000];
    size_t count = crime_many(bytes, 9000);
    for (size_t i = 0; i < crime_many(bytes, 200); i++)
        if (i % 4 != 1) {
            m.free(kept[i]);
            kept[i] = NULL;
        }
    for (int waves = 0; waves < 4; waves++) {
        for (size_t i = 0; i < count; i++) {
            wave[i] = crime_object(bytes);
            if (wave[i] == victim)
                return true;
        }
        for (size_t i = 0; i < count; i++)
            m.free(wave[i]);
    }
    for (size_t i = 0; i < crime_many(bytes, 200); i++)
        m.free(kept[i]);
    merlon_malloc_trim(0);
    return false;
}

static void write_after_free(const void *arg)
{
    const struct stray *stray = arg;
    volatile char *p = make_among_others(stray->bytes);
    m.free((char *)p);
    if (stray->traffic)
        free_some_others(stray->bytes);
    p[stray->at] = (char)(p[stray->at] ^ 0x41);
    bool reused = go_on((char *)p, stray->bytes);
    _exit(reused ? CRIME_SUCCEEDED : CRIME_HARMLESS);
}

/* Must this build notice? Scrubbed slots are verified in full up to 256. */
static bool must_notice(const struct stray *stray)
{
    if (WRITE_CHECK)
        return stray->bytes <= 256 || stray->at < 64 ||
               stray->at >= stray->bytes - 64;
    return ENCODED_LINKS && stray->traffic && stray->at < 8;
}

static const size_t written_bytes[] = {8,   16,  24,   32,   64,   100,
                                       200, 256, 1000, 4096, 100 * KIB};

START_TEST(stray_writes)
{
    char name[96];
    size_t bytes = written_bytes[_i];
    char *p = m.malloc(bytes);
    size_t usable = m.usable_size(p);
    const struct {
        const char *name;
        size_t at;
    } places[] = {
        {"first byte", 0},      {"8th byte", 7},
        {"9th byte", 8},        {"middle byte", usable / 2},
        {"last byte", usable - 1},
    };
    for (int i = 0; i < 10; i++) {
        struct stray stray = {usable, places[i / 2].at, i % 2 == 1};
        if (stray.at >= usable)
            continue;
        snprintf(name, sizeof name, "write after free, %s%s",
                 places[i / 2].name,
                 stray.traffic ? ", others freed since" : "");
        crime_judge(&(struct crime){
            .name = name, .bytes = usable, .commit = write_after_free,
            .arg = &stray, .kinds = after_free,
            .caught = must_notice(&stray),
            /* Few slots to a slab: the victim may never have its turn. */
            .may_miss = usable > 16 * KIB});
    }
}
END_TEST

/* Each byte of the small ones, at random. */
START_TEST(stray_writes_at_random)
{
    struct rng rng = rng_make(30);
    for (int i = 0; i < (suite_full() ? 2000 : 60); i++) {
        size_t bytes = 1 + rng_below(&rng, 240);
        size_t usable = m.usable_size(crime_object(bytes));
        struct stray stray = {usable, rng_below(&rng, usable),
                              rng_below(&rng, 2)};
        struct crime crime = {"", usable, write_after_free, &stray,
                              after_free, WRITE_CHECK, false, false};
        struct death death;
        ck_assert_msg(crime_try(&crime, &death), "byte %zu of %zu: %s",
                      stray.at, usable, death_describe(&death));
    }
}
END_TEST

/* A span that was freed: its memory is gone, or what was written is. */
static void write_to_freed_span(const void *arg)
{
    size_t bytes = *(const size_t *)arg;
    volatile char *p = crime_object(bytes);
    m.free((char *)p);
    p[bytes / 2] = 0x41;
    for (int i = 0; i < 20; i++) {
        char *q = m.calloc(1, bytes);
        if (q == NULL || q[bytes / 2] != 0)
            _exit(CRIME_SUCCEEDED);
    }
    _exit(CRIME_HARMLESS);
}

static void read_freed_span(const void *arg)
{
    size_t bytes = *(const size_t *)arg;
    volatile char *p = crime_object(bytes);
    p[bytes / 2] = 0x5a;
    m.free((char *)p);
    _exit(p[bytes / 2] == 0x5a ? CRIME_SUCCEEDED : CRIME_HARMLESS);
}

START_TEST(freed_spans)
{
    static const size_t span_bytes[] = {400 * KIB, 8 * MIB};
    for (int i = 0; i < 4; i++)
        crime_judge(&(struct crime){
            .name = i % 2 ? "read of a freed span" : "write to a freed span",
            .bytes = span_bytes[i / 2],
            .commit = i % 2 ? read_freed_span : write_to_freed_span,
            .arg = &span_bytes[i / 2], .kinds = after_free, .caught = SCRUB,
            .may_fault = true, .may_miss = true});
}
END_TEST

/* What was secret is not there any more once free has returned. */
static void read_after_free(const void *arg)
{
    size_t bytes = *(const size_t *)arg;
    char *p = make_among_others(bytes);
    memset(p, 0x5a, bytes);
    m.free(p);
    p = suite_hide(p);
    /* The first eight bytes may be a link. */
    _exit(pattern_is_zero(p + 8, bytes - 8) ? CRIME_HARMLESS
                                            : CRIME_SUCCEEDED);
}

/* The same for the next owner: malloc never gives old contents away. */
static void read_uninitialised(const void *arg)
{
    size_t bytes = *(const size_t *)arg, count = crime_many(bytes, 500);
    for (int round = 0; round < 4; round++) {
        static char *p[500];
        for (size_t i = 0; i < count; i++) {
            p[i] = m.malloc(bytes);
            if (!pattern_is_zero(p[i], m.usable_size(p[i])))
                _exit(CRIME_SUCCEEDED);
            memset(p[i], 0x5a, m.usable_size(p[i]));
        }
        for (size_t i = 0; i < count; i++)
            m.free(p[i]);
    }
    _exit(CRIME_HARMLESS);
}

START_TEST(stale_contents)
{
    static const size_t read_bytes[] = {16, 64, 200, 1000, 4096, 32 * KIB,
                                        100 * KIB, 200 * KIB, MIB};
    for (size_t i = 0; i < sizeof read_bytes / sizeof *read_bytes; i++)
        for (int later = 0; later < 2; later++)
            crime_judge(&(struct crime){
                .name = later ? "read of uninitialised memory"
                              : "read after free",
                .bytes = read_bytes[i],
                .commit = later ? read_uninitialised : read_after_free,
                .arg = &read_bytes[i], .kinds = "", .caught = SCRUB,
                .may_fault = !later, .may_miss = true});
}
END_TEST

/* ---- overflows ---- */

enum overrun { OVERRUN_BIT, OVERRUN_NUL, OVERRUN_COPY, OVERRUN_KINDS };
enum finder { FOUND_BY_FREE, FOUND_BY_REALLOC, FOUND_THERE, FINDERS };

struct spill {
    size_t bytes;
    enum overrun overrun;
    enum finder finder;
};

static void overflow_by_one(const void *arg)
{
    const struct spill *spill = arg;
    char *p = crime_object(spill->bytes), *q = crime_object(spill->bytes);
    size_t usable = m.usable_size(p);
    p = suite_hide(p);
    q = suite_hide(q);
    switch (spill->overrun) {
    case OVERRUN_BIT: p[usable] = (char)(p[usable] ^ 0x10); break;
    case OVERRUN_NUL: p[usable] = 0; break;
    default: memcpy(p + usable, q + usable, 8);
    }
    switch (spill->finder) {
    case FOUND_BY_FREE: m.free(p); break;
    case FOUND_BY_REALLOC: (void)m.realloc(p, usable * 2); break;
    default:
        crime_free_elsewhere(p);
        crime_settle(spill->bytes);
    }
}

static const size_t spilled_bytes[] = {
    1,    8,    16,   24,   40,    64,    100,       200,       500,    1000,
    1024, 2000, 4096, 5000, 10000, 16384, 32 * KIB, 100 * KIB, 300 * 1000,
    MIB + 5, 8 * MIB};

START_TEST(overflows)
{
    static const char *const overruns[] = {
        "one byte past the end", "NUL past the end", "neighbour's canary"};
    static const char *const finders[] = {"free", "realloc",
                                          "free by another thread"};
    char name[96];
    size_t bytes = spilled_bytes[_i];
    for (int i = 0; i < OVERRUN_KINDS * FINDERS; i++) {
        struct spill spill = {bytes, i / FINDERS, i % FINDERS};
        snprintf(name, sizeof name, "%s, then %s", overruns[spill.overrun],
                 finders[spill.finder]);
        /* What is larger is whole pages, and then comes a guard. */
        bool caught = bytes <= CLASS_REQUEST_MAX ? CANARY : GUARD_PAGES;
        crime_judge(&(struct crime){
            .name = name, .bytes = bytes, .commit = overflow_by_one,
            .arg = &spill, .kinds = overflow, .caught = caught,
            .may_fault = GUARD_PAGES});
    }
}
END_TEST

/* On and on: it ends at a guard, not in somebody else's slab. */
static void overrun_long(const void *arg)
{
    static char *p[4000];
    size_t bytes = *(const size_t *)arg, count = crime_many(bytes, 4000);
    for (size_t i = 0; i < count; i++)
        p[i] = crime_object(bytes);
    memset(suite_hide(p[count / 2]), 0x41, 64 * MIB);
}

static void underrun_span(const void *arg)
{
    volatile char *p = crime_object(*(const size_t *)arg);
    p[-1] = 0x41;
}

START_TEST(long_overruns)
{
    for (int i = 0; i < CRIME_SIZES; i++)
        crime_judge(&(struct crime){
            .name = "overrun of 64 MiB", .bytes = crime_bytes[i],
            .commit = overrun_long, .arg = &crime_bytes[i],
            .kinds = overflow, .caught = GUARD_PAGES, .may_fault = true});
    crime_judge(&(struct crime){
        .name = "write before a span", .bytes = 8 * MIB,
        .commit = underrun_span, .arg = &crime_bytes[CRIME_SIZES - 1],
        .kinds = overflow, .caught = GUARD_PAGES, .may_fault = true});
}
END_TEST

/* ---- forged links ---- */

enum { LINKED = 200 };
struct forgery {
    size_t bytes;
    int kind;
};

static const char *const forgeries[] = {
    "link to a global", "link to a live object", "link of another slot",
    "link replayed", "all ones", "zero", "small offset", "whole slot random",
};
enum { FORGERIES = sizeof forgeries / sizeof *forgeries };

static char target[4096] __attribute__((aligned(64)));

static void forge(uint64_t *link, const struct forgery *forgery,
                  const char *live, uint64_t other, uint64_t old,
                  struct rng *rng)
{
    switch (forgery->kind) {
    case 0: *link = (uintptr_t)target; break;
    case 1: *link = (uintptr_t)live; break;
    case 2: *link = other; break;
    case 3: *link = old; break;
    case 4: *link = UINT64_MAX; break;
    case 5: *link = 0; break;
    case 6: *link = rng_below(rng, 4096) * 16; break;
    default:
        for (size_t i = 0; i + 8 <= forgery->bytes; i += 8)
            link[i / 8] = rng_next(rng);
    }
}

/*
 * The attacker overwrites every link he can reach, then the victim allocates.
 * No object may overlap a live one, or be where the attacker wanted it.
 */
static void forge_links(const void *arg)
{
    static char *p[LINKED], *fresh[20000];
    const struct forgery *forgery = arg;
    struct rng rng = rng_make(40 + (uint64_t)forgery->kind);
    size_t bytes = forgery->bytes;
    for (int i = 0; i < LINKED; i++) {
        p[i] = crime_object(bytes);
        pattern_fill(p[i], bytes, (uintptr_t)i);
    }
    for (int i = 0; i < LINKED; i += 2)
        m.free(p[i]);
    uint64_t old = 0;
    for (int i = 0; i < LINKED; i += 2) {
        uint64_t *link = suite_hide(p[i]), *next = NULL;
        if (i + 2 < LINKED)
            next = suite_hide(p[i + 2]);
        uint64_t now = *link;
        forge(link, forgery, p[1], next ? *next : 0, old, &rng);
        old = now;
    }
    size_t count = crime_many(bytes, 20000);
    for (size_t i = 0; i < count; i++) {
        fresh[i] = m.malloc(bytes);
        if (fresh[i] >= target && fresh[i] < target + sizeof target)
            _exit(CRIME_SUCCEEDED);
        pattern_fill(fresh[i], bytes, 1000000 + i);
    }
    for (int i = 1; i < LINKED; i += 2)
        if (!pattern_holds(p[i], bytes, (uintptr_t)i))
            _exit(CRIME_SUCCEEDED);
    for (size_t i = 0; i < count; i++)
        if (!pattern_holds(fresh[i], bytes, 1000000 + i))
            _exit(CRIME_SUCCEEDED);
    _exit(CRIME_HARMLESS);
}

START_TEST(forged_links)
{
    static const size_t linked_bytes[] = {16, 64, 256, 4096};
    for (int i = 0; i < 4; i++) {
        struct forgery forgery = {linked_bytes[i], _i};
        crime_judge(&(struct crime){
            .name = forgeries[_i], .bytes = forgery.bytes,
            .commit = forge_links, .arg = &forgery, .kinds = after_free,
            .caught = ENCODED_LINKS, .may_miss = true});
    }
}
END_TEST

/*
 * Freed links tell nothing that helps: no raw address of ours among them.
 */
static void read_links(const void *arg)
{
    static char *p[LINKED];
    size_t bytes = *(const size_t *)arg;
    for (int i = 0; i < LINKED; i++)
        p[i] = crime_object(bytes);
    for (int i = 0; i < LINKED; i++)
        m.free(p[i]);
    for (int i = 0; i < LINKED; i++) {
        uint64_t link = *(uint64_t *)suite_hide(p[i]);
        for (int j = 0; j < LINKED; j++)
            if (link == (uintptr_t)p[j])
                _exit(CRIME_SUCCEEDED);
    }
    _exit(CRIME_HARMLESS);
}

START_TEST(links_tell_nothing)
{
    static const size_t linked_bytes[] = {16, 64, 4096};
    for (int i = 0; i < 3; i++)
        crime_judge(&(struct crime){
            .name = "read addresses in freed slots", .bytes = linked_bytes[i],
            .commit = read_links, .arg = &linked_bytes[i], .kinds = "",
            .caught = ENCODED_LINKS, .may_miss = true});
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("overwrite");
    TCase *freed = tcase_create("after free");
    tcase_set_timeout(freed, 120);
    tcase_add_loop_test(freed, stray_writes, 0,
                        sizeof written_bytes / sizeof *written_bytes);
    tcase_add_test(freed, stray_writes_at_random);
    tcase_add_test(freed, freed_spans);
    tcase_add_test(freed, stale_contents);
    suite_add_tcase(suite, freed);

    TCase *past = tcase_create("overflow");
    tcase_set_timeout(past, 120);
    tcase_add_loop_test(past, overflows, 0,
                        sizeof spilled_bytes / sizeof *spilled_bytes);
    tcase_add_test(past, long_overruns);
    suite_add_tcase(suite, past);

    TCase *links = tcase_create("links");
    tcase_set_timeout(links, 120);
    tcase_add_loop_test(links, forged_links, 0, FORGERIES);
    tcase_add_test(links, links_tell_nothing);
    suite_add_tcase(suite, links);
    return suite;
}

int main(int argc, char **argv)
{
    /* One crime in some thousands would be committed on a sampled object, of
       which more is said, and other things. Read when we are started anew. */
    setenv("MERLON_OPTIONS", "sample=0", 1);
    return suite_main(argc, argv, make);
}
