/* SPDX-License-Identifier: MIT */
/*
 * check_conf.c - the text of merlon.conf: sections, blanks, line numbers, cut
 * lines; every text also byte by byte, for it comes in pieces.
 */
#include "conf.h"

#include <string.h>

#include "support/suite.h"

/* What a text does to the program "nginx". */
static const struct conf_case {
    const char *text;
    size_t arena_bytes; /* 0: untouched */
    unsigned bad_line;
} cases[] = {
    {"", 0, 0},
    {"\n\n", 0, 0},
    {"# arena=1\n; arena=2\n", 0, 0},
    {"arena=3\n", 3, 0},
    {"arena=3", 3, 0},
    {" \tarena\t =  3 \r\n", 3, 0},
    {"arena=3\narena=4\n", 4, 0},
    /* Sections. */
    {"[nginx]\narena=5\n", 5, 0},
    {"  [ nginx ]  \n\n  arena=5\n", 5, 0},
    {"[redis]\narena=5\n", 0, 0},
    {"[redis nginx haproxy]\narena=5\n", 5, 0},
    {"[redis\tnginx]\narena=5\n", 5, 0},
    {"[*]\narena=6\n", 6, 0},
    {"[redis]\narena=5\n[*]\narena=6\n", 6, 0},
    {"[nginx]\narena=5\n[redis]\narena=6\n", 5, 0},
    {"arena=4\n[redis]\narena=6\n[nginx]\narena=7\n", 7, 0},
    /* Nearly our name. */
    {"[ngin]\narena=5\n", 0, 0},
    {"[nginxx]\narena=5\n", 0, 0},
    {"[nginx*]\narena=5\n", 0, 0},
    {"[**]\narena=5\n", 0, 0},
    {"[Nginx]\narena=5\n", 0, 0},
    {"[]\narena=5\n", 0, 0},
    /* Not understood: the line is named, the rest is read. */
    {"arena=1\nareno=2\narena=3\n", 3, 2},
    {"on_error=maybe\n", 0, 1},
    {"arena\n\n", 0, 1},
    {"arena=\n", 0, 1},
    {"=1\n", 0, 1},
    {"arena=1 # no\n", 0, 1},
    {"\n\nx\ny\n", 0, 3},
    {"[nginx\narena=5\n", 0, 1},
    {"[\narena=5\n", 0, 1},
    {"[nginx] x\narena=5\n", 0, 1},
    /* In somebody else's section nothing is judged. */
    {"[redis]\nwhat=ever\n[nginx]\narena=8\n", 8, 0},
};

static void feed(struct conf *conf, const char *text, size_t step)
{
    size_t length = strlen(text);

    for (size_t at = 0; at < length; at += step)
        conf_feed(conf, text + at, length - at < step ? length - at : step);
    conf_feed(conf, "\n", 1);
}

START_TEST(texts_do_what_they_say)
{
    const struct conf_case *c = &cases[_i];

    for (size_t step = 1; step <= 64; step *= 4) {
        struct options options = { .report_fd = 2 };
        struct conf conf = { .options = &options, .program = "nginx" };
        feed(&conf, c->text, step);
        ck_assert_msg(options.arena_bytes == c->arena_bytes, "%s", c->text);
        ck_assert_msg(conf.bad_line == c->bad_line, "%s", c->text);
    }
}
END_TEST

/* A long line is not understood; a long comment is a comment. */
START_TEST(long_lines_are_cut)
{
    static char text[4 * CONF_LINE_BYTES];

    for (size_t length = CONF_LINE_BYTES - 2; length < CONF_LINE_BYTES + 2;
         length++) {
        struct options options = { .report_fd = 2 };
        struct conf conf = { .options = &options, .program = "nginx" };
        memset(text, '0', length);
        memcpy(text, "arena=", 6);
        strcpy(text + length - 1, "7\narena=9\n");
        feed(&conf, text, 1);
        ck_assert_uint_eq(conf.bad_line, length >= CONF_LINE_BYTES);
        ck_assert_uint_eq(options.arena_bytes, 9);
    }
    struct options options = { .report_fd = 2 };
    struct conf conf = { .options = &options, .program = "nginx" };
    memset(text, '#', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    feed(&conf, text, 100);
    ck_assert_uint_eq(conf.bad_line, 0);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("conf");
    TCase *texts = tcase_create("texts");
    tcase_add_loop_test(texts, texts_do_what_they_say, 0,
                        sizeof cases / sizeof *cases);
    tcase_add_test(texts, long_lines_are_cut);
    suite_add_tcase(suite, texts);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
