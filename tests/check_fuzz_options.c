/* SPDX-License-Identifier: MIT */
/*
 * check_fuzz_options.c - the options that only libmerlon-fuzz has, by tables.
 *
 * That the other variants refuse them: check_options.c.
 */
#include "options.h"

#include <string.h>

#include "support/suite.h"

static struct fuzz_options parsed(const char *text)
{
    struct options options;
    const char *bad = NULL;

    memset(&options, 0, sizeof options);
    fuzz_options_default(options.fuzz);
    ck_assert_msg(options_parse(&options, text, &bad), "%s", text);
    return options.fuzz[0];
}

START_TEST(good_ones_are_applied)
{
    struct fuzz_options all = parsed(
        "seed=4294967295,side=alternate,align=2,budget=3M,fill=0,free_fill=7,"
        "max_alloc=1G,max_total=2G,oom=abort,fail_one_in=9,verify=100,"
        "stop_at=3:17,exit_code=77,report=json,report_file=/tmp/a b,"
        "faults=off,stacks=off,leaks=on");

    ck_assert(all.seeded);
    ck_assert_uint_eq(all.seed, UINT32_MAX);
    ck_assert_int_eq(all.side, FUZZ_ALTERNATE);
    ck_assert_uint_eq(all.alignment, 2);
    ck_assert_uint_eq(all.budget_bytes, 3 * MIB);
    ck_assert_uint_eq(all.fill, 0);
    ck_assert_uint_eq(all.free_fill, 7);
    ck_assert_uint_eq(all.max_alloc_bytes, (size_t)1 << 30);
    ck_assert_uint_eq(all.max_total_bytes, (size_t)2 << 30);
    ck_assert(all.oom_is_fatal);
    ck_assert_uint_eq(all.fail_one_in, 9);
    ck_assert_uint_eq(all.verify_every, 100);
    ck_assert_uint_eq(all.stop_lane, 3);
    ck_assert_uint_eq(all.stop_at, 17);
    ck_assert_int_eq(all.exit_code, 77);
    ck_assert(all.json);
    ck_assert_str_eq(all.report_file, "/tmp/a b");
    ck_assert(!all.faults && !all.stacks && all.leaks);
}
END_TEST

START_TEST(some_have_several_forms)
{
    struct fuzz_options none = parsed("");

    ck_assert(!none.seeded && none.faults && none.stacks && !none.leaks);
    ck_assert_uint_eq(none.alignment, 16);
    ck_assert_uint_eq(none.stop_at, 0);
    ck_assert_int_eq(parsed("side=left").side, FUZZ_LEFT);
    ck_assert_int_eq(parsed("side=left,side=right").side, FUZZ_RIGHT);
    ck_assert_uint_eq(parsed("stop_at=5").stop_at, 5);
    ck_assert_uint_eq(parsed("stop_at=5").stop_lane, 0);
    ck_assert_uint_eq(parsed("align=1").alignment, 1);
    ck_assert(parsed("seed=0").seeded);
    ck_assert(!parsed("leaks=on,leaks=off").leaks);
}
END_TEST

static const char *const bad_parts[] = {
    "seed", "seed=", "seed=-1", "seed=4294967296", "seed=0x10", "seed=1K",
    "side=", "side=both", "side=Left", "align=0", "align=3", "align=32",
    "align=", "budget=", "budget=1k", "fill=256", "fill=-1", "fill=0xbe",
    "free_fill=256", "max_alloc=x", "max_total=1KK", "oom=die", "oom=",
    "fail_one_in=4294967296", "verify=x", "stop_at=", "stop_at=0",
    "stop_at=:1", "stop_at=1:", "stop_at=1:2:3", "stop_at=x:1",
    "exit_code=256", "exit_code=", "report=xml", "report_file=",
    "stacks=1", "faults=yes", "leaks=", "seeds=1", "see=1",
};

START_TEST(bad_ones_change_nothing)
{
    struct options before, options;
    const char *bad = NULL;

    memset(&before, 0, sizeof before);
    fuzz_options_default(before.fuzz);
    options = before;
    ck_assert_msg(!options_parse(&options, bad_parts[_i], &bad), "%s",
                  bad_parts[_i]);
    ck_assert_ptr_eq(bad, bad_parts[_i]);
    ck_assert_msg(memcmp(&before, &options, sizeof options) == 0, "%s",
                  bad_parts[_i]);
}
END_TEST

/* A path that is too long is refused, one that just fits is not. */
START_TEST(paths_have_a_limit)
{
    char text[FUZZ_PATH_BYTES + 64] = "report_file=";
    size_t start = strlen(text);
    struct options options;
    const char *bad = NULL;

    memset(&options, 0, sizeof options);
    memset(text + start, 'x', FUZZ_PATH_BYTES - 1);
    ck_assert(options_parse(&options, text, &bad));
    ck_assert_uint_eq(strlen(options.fuzz[0].report_file),
                      FUZZ_PATH_BYTES - 1);
    text[start + FUZZ_PATH_BYTES - 1] = 'x';
    ck_assert(!options_parse(&options, text, &bad));
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("fuzz_options");
    TCase *parse = tcase_create("parse");

    tcase_add_test(parse, good_ones_are_applied);
    tcase_add_test(parse, some_have_several_forms);
    tcase_add_loop_test(parse, bad_ones_change_nothing, 0,
                        sizeof bad_parts / sizeof *bad_parts);
    tcase_add_test(parse, paths_have_a_limit);
    suite_add_tcase(suite, parse);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
