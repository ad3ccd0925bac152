/* SPDX-License-Identifier: MIT */
/*
 * check_options.c - the parser of MERLON_OPTIONS, by tables.
 */
#include "options.h"

#include <stdio.h>
#include <string.h>

#include "support/suite.h"

static const struct options before = {
    .on_error = OPTION_ABORT, .size_mismatch = OPTION_REPORT,
    .report_fd = 2, .arena_bytes = 0, .sample = 5000,
};

struct good {
    const char *text;
    struct options after;
};

#define AFTER(error, mismatch, fd, bytes)                                    \
    {.on_error = OPTION_##error, .size_mismatch = OPTION_##mismatch,           \
     .report_fd = fd, .arena_bytes = bytes, .sample = 5000}
#define SAMPLE(number, signals)                                              \
    {.size_mismatch = OPTION_REPORT, .on_error = OPTION_ABORT,               \
     .report_fd = 2, .sample = number, .guard_signals = signals}
#define STATISTICS(text)                                                     \
    {.on_error = OPTION_ABORT, .size_mismatch = OPTION_REPORT,               \
     .report_fd = 2, .sample = 5000, .statistics = text}

static const struct good good[] = {
    {"own_malloc=report",
     {.on_error = OPTION_ABORT, .size_mismatch = OPTION_REPORT,
      .report_fd = 2, .sample = 5000,
      .own_malloc = OPTION_REPORT}},
    {"own_malloc=report,own_malloc=ignore", AFTER(ABORT, REPORT, 2, 0)},
    {"", AFTER(ABORT, REPORT, 2, 0)},
    {",", AFTER(ABORT, REPORT, 2, 0)},
    {",,,", AFTER(ABORT, REPORT, 2, 0)},
    {"on_error=abort", AFTER(ABORT, REPORT, 2, 0)},
    {"on_error=report", AFTER(REPORT, REPORT, 2, 0)},
    {"size_mismatch=ignore", AFTER(ABORT, IGNORE, 2, 0)},
    {"size_mismatch=report", AFTER(ABORT, REPORT, 2, 0)},
    {"size_mismatch=abort", AFTER(ABORT, ABORT, 2, 0)},
    {"report_fd=0", AFTER(ABORT, REPORT, 0, 0)},
    {"report_fd=0017", AFTER(ABORT, REPORT, 17, 0)},
    {"report_fd=1048576", AFTER(ABORT, REPORT, 1048576, 0)},
    {"arena=0", AFTER(ABORT, REPORT, 2, 0)},
    {"arena=12345", AFTER(ABORT, REPORT, 2, 12345)},
    {"arena=3K", AFTER(ABORT, REPORT, 2, 3 * KIB)},
    {"arena=64M", AFTER(ABORT, REPORT, 2, 64 * MIB)},
    {"arena=3G", AFTER(ABORT, REPORT, 2, (size_t)3 << 30)},
    {"sample=0", SAMPLE(0, false)},
    {"sample=1", SAMPLE(1, false)},
    {"sample=4294967295", SAMPLE(UINT32_MAX, false)},
    {"seal=on", {.on_error = OPTION_ABORT, .size_mismatch = OPTION_REPORT,
     .report_fd = 2, .sample = 5000, .seal = true}},
    {"seal=on,seal=off", SAMPLE(5000, false)},
    {"guard_signals=on", SAMPLE(5000, true)},
    {"guard_signals=on,sample=7,guard_signals=off", SAMPLE(7, false)},
    /* The last one wins; empty parts are nothing. */
    {"arena=1,arena=2", AFTER(ABORT, REPORT, 2, 2)},
    {"on_error=report,on_error=abort", AFTER(ABORT, REPORT, 2, 0)},
    {",report_fd=9,,arena=1M,", AFTER(ABORT, REPORT, 9, MIB)},
    {"on_error=report,size_mismatch=abort,report_fd=7,arena=1G",
     AFTER(REPORT, ABORT, 7, (size_t)1 << 30)},
    {"statistics=exit", STATISTICS("exit")},
    {"statistics=/a b=c", STATISTICS("/a b=c")},
    {"statistics=/long,statistics=/s", STATISTICS("/s")},
};

/* Each is refused, alone and in the midst of others. */
static const char *const bad_parts[] = {
    "on_error", "on_error=", "on_error=ignore", "on_error=Abort",
    "on_error=abor", "on_error=abortt", "on_error=abort ", " on_error=abort",
    "on_error==abort", "On_error=abort", "on_err=abort", "on_errorr=abort",
    "size_mismatch", "size_mismatch=", "size_mismatch=warn",
    "size_mismatch=ignored", "size_mismatch=0",
    "report_fd", "report_fd=", "report_fd=-1", "report_fd=+1",
    "report_fd=1x", "report_fd=0x1", "report_fd=1K", "report_fd= 1",
    "report_fd=1048577", "report_fd=4294967298",
    "report_fd=18446744073709551618",
    "arena", "arena=", "arena=K", "arena=1k", "arena=1KB", "arena=1KK",
    "arena=1P", "arena=-1", "arena=1.5G", "arena=1 ", "arena=0x10",
    "arena=18446744073709551616", "arena=99999999999999999999999999",
    "arena=18014398509481984K", "arena=17592186044416M",
    "arena=17179869184G", "arena=16777216T",
    "own_malloc", "own_malloc=", "own_malloc=yes",
    "statistics", "statistics=", "statistics=Exit", "statistics=exit2",
    "statistics=file", "statistics=./file", "statistics= /file",
    "sample", "sample=", "sample=-1", "sample=1K", "sample=4294967296",
    "sample=on", "sample=1/5", "samples=5",
    "seal", "seal=", "seal=1", "sealed=on",
    "guard_signals", "guard_signals=", "guard_signals=1", "guard_signals=yes",
    "guard_signals=onn", "guard_signals=of",
    "=", "=abort", "abort", "x=y", " ", "arena;1", "on_error=abort;arena=1",
};

static void same(const struct options *a, const struct options *b,
                 const char *text)
{
    ck_assert_msg(a->on_error == b->on_error, "on_error: %s", text);
    ck_assert_msg(a->size_mismatch == b->size_mismatch, "mismatch: %s", text);
    ck_assert_msg(a->own_malloc == b->own_malloc, "own_malloc: %s", text);
    ck_assert_msg(a->report_fd == b->report_fd, "report_fd: %s", text);
    ck_assert_msg(a->arena_bytes == b->arena_bytes, "arena: %s", text);
    ck_assert_msg(strcmp(a->statistics, b->statistics) == 0, "statistics: %s",
                  text);
    ck_assert_msg(a->sample == b->sample, "sample: %s", text);
    ck_assert_msg(a->guard_signals == b->guard_signals, "signals: %s", text);
    ck_assert_msg(a->seal == b->seal, "seal: %s", text);
}

START_TEST(good_ones_are_applied)
{
    struct options options = before;
    const char *bad = NULL;

    ck_assert_msg(options_parse(&options, good[_i].text, &bad), "%s",
                  good[_i].text);
    same(&options, &good[_i].after, good[_i].text);
}
END_TEST

START_TEST(bad_ones_are_pointed_at)
{
    const char *part = bad_parts[_i], *bad = NULL;
    struct options options = before;
    char text[160];

    ck_assert_msg(!options_parse(&options, part, &bad), "accepted: %s", part);
    ck_assert_ptr_eq(bad, part);
    same(&options, &before, part);

    /* What stands before is applied, what stands behind is not. */
    static const char first[] = "on_error=report,,arena=5K,";
    static const struct options expected = AFTER(REPORT, REPORT, 2, 5 * KIB);
    snprintf(text, sizeof text, "%s%s,report_fd=5,arena=7", first, part);
    ck_assert_msg(!options_parse(&options, text, &bad), "accepted: %s", text);
    ck_assert_ptr_eq(bad, text + sizeof first - 1);
    same(&options, &expected, text);
}
END_TEST

/* The largest number of each unit fits, the next one does not. */
START_TEST(arena_up_to_the_brim)
{
    static const char units[] = "KMGT";
    char text[64];

    for (int unit = -1; unit < 4; unit++) {
        unsigned shift = 10 * (unsigned)(unit + 1);
        bool possible = shift < 8 * sizeof(size_t);
        unsigned long long most = possible ? SIZE_MAX >> shift : 0;
        struct options options = before;
        const char *bad = NULL;
        char suffix[2] = {unit < 0 ? '\0' : units[unit], '\0'};

        snprintf(text, sizeof text, "arena=%llu%s", most, suffix);
        ck_assert_int_eq(options_parse(&options, text, &bad), possible);
        if (possible)
            ck_assert_uint_eq(options.arena_bytes, (size_t)most << shift);
        if (most == UINT64_MAX)
            continue; /* a 65-bit number stands in the table */
        options = before;
        snprintf(text, sizeof text, "arena=%llu%s", most + 1, suffix);
        ck_assert(!options_parse(&options, text, &bad));
        ck_assert_uint_eq(options.arena_bytes, 0);
    }
}
END_TEST

/* What makes addresses repeat, and all else that only fuzzing may have. */
START_TEST(fuzzing_ones_are_refused_elsewhere)
{
    static const char *const parts[] = {
        "seed=1", "side=left", "align=1", "fail_one_in=2", "exit_code=1",
        "report_file=x", "fill=1", "stop_at=1",
    };

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct options options = before;
        const char *bad = NULL;
        ck_assert_int_eq(options_parse(&options, parts[i], &bad),
                         FUZZ_ALLOCATOR);
    }
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("options");
    TCase *parse = tcase_create("parse");
    tcase_add_loop_test(parse, good_ones_are_applied, 0,
                        sizeof good / sizeof *good);
    tcase_add_loop_test(parse, bad_ones_are_pointed_at, 0,
                        sizeof bad_parts / sizeof *bad_parts);
    tcase_add_test(parse, arena_up_to_the_brim);
    tcase_add_test(parse, fuzzing_ones_are_refused_elsewhere);
    suite_add_tcase(suite, parse);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
