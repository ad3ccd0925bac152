/* SPDX-License-Identifier: MIT */
/*
 * death.h - run a function in a child process and judge how the child ended.
 *
 * A death test passes when the child died of the right signal and said the
 * right thing. Both are asked for: a crash by accident must not count as a
 * detection.
 *
 * merlon writes its report only to what was descriptor 2 at its start, so a
 * pipe put there later would stay empty. Hence suite_main() (suite.h) starts
 * the program anew with an unnamed file as descriptor 2; every child appends to
 * that same file, and death_run() reads and removes what its child wrote.
 */
#ifndef MERLON_TEST_DEATH_H
#define MERLON_TEST_DEATH_H

#include <stdbool.h>
#include <stddef.h>

enum { DEATH_TEXT_BYTES = 2048, DEATH_SECONDS = 20 };

/* What the child does. Returning means _exit(0). */
typedef void (*death_fn)(const void *arg);

struct death {
    bool timed_out;             /* it was killed by us */
    int signal;                 /* it died of this signal, or 0 */
    int status;                 /* else its exit status */
    char text[DEATH_TEXT_BYTES]; /* what it wrote to descriptor 2 */
};

/* Fork, run fn(arg) without core dumps, wait at most `seconds`. */
void death_run(struct death *death, death_fn fn, const void *arg,
               unsigned seconds);

/* Put an unnamed file in place of descriptor 2; false when it cannot. */
bool death_capture(void);

/* One line about how the child ended, for messages and tables. */
const char *death_describe(const struct death *death);

/*
 * NULL when the child ended as wanted, else an explanation in a static buffer.
 * `text` may name alternatives: "double free|invalid pointer". Every report of
 * merlon has to be one whole line that begins with "merlon: ".
 */
const char *death_check(death_fn fn, const void *arg, int signal,
                        const char *text);
const char *death_check_exit(death_fn fn, const void *arg, int status);

/* Does the text hold one of the alternatives? NULL and "" are always held. */
bool death_says(const char *text, const char *alternatives);

/* For use in the child: say why and end with status 99. */
_Noreturn void death_fail(const char *why);

/* For use in tests of Check. */
#define death_expect(fn, arg, signal, text)                                  \
    do {                                                                     \
        const char *wrong_ = death_check((fn), (arg), (signal), (text));     \
        ck_assert_msg(wrong_ == NULL, "%s: %s", #fn, wrong_);                \
    } while (0)

#define death_expect_exit(fn, arg, status)                                   \
    do {                                                                     \
        const char *wrong_ = death_check_exit((fn), (arg), (status));        \
        ck_assert_msg(wrong_ == NULL, "%s: %s", #fn, wrong_);                \
    } while (0)

#endif
