/* SPDX-License-Identifier: MIT */
/*
 * check_sandbox.c - merlon in a sandbox that is entered after the first call:
 * only mmap, munmap, mremap, mprotect, madvise, futex and getrandom are left,
 * and each of them may be refused.
 *
 * integration/sandbox.sh has the filters that are there before exec.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#include "merlon/merlon.h"

#include "support/death.h"
#include "support/sandbox.h"
#include "support/suite.h"
#include "support/workload.h"

enum { ROUNDS = 3, RULES_MAX = 16 };

static struct workload calls = {
    merlon_malloc, merlon_calloc, merlon_realloc, merlon_free,
    merlon_malloc_trim, false,
};

/* What merlon may use, and what the test itself needs to end. */
static const struct sandbox_rule allowed[] = {
    {SANDBOX_ALLOW, SANDBOX_MMAP, 0, 0},
    {SANDBOX_ALLOW, SYS_munmap, 0, 0},
    {SANDBOX_ALLOW, SYS_mremap, 0, 0},
    {SANDBOX_ALLOW, SYS_mprotect, 0, 0},
    {SANDBOX_ALLOW, SYS_madvise, 0, 0},
    {SANDBOX_ALLOW, SYS_futex, 0, 0},
    {SANDBOX_ALLOW, SYS_getrandom, 0, 0},
    {SANDBOX_ALLOW, SYS_exit_group, 0, 0},
    /* Asked where futex, which tells a thread's number as well, is refused. */
    {SANDBOX_FAIL(EPERM), SYS_gettid, 0, 0},
    {SANDBOX_ALLOW, SYS_write, 1, 2},
};
enum { ALLOWED = sizeof allowed / sizeof *allowed, OURS = 7 };

static void live(const struct sandbox_rule *first, size_t count)
{
    struct sandbox_rule rules[RULES_MAX];

    for (size_t i = 0; i < count; i++)
        rules[i] = first[i];
    for (size_t i = 0; i < ALLOWED; i++)
        rules[count + i] = allowed[i];
    if (!sandbox_enter(rules, count + ALLOWED, SANDBOX_KILL))
        death_fail("no sandbox");
    if (workload_run(&calls, ROUNDS) == 0)
        death_fail("nothing could be allocated");
    _exit(0);
}

static void with_nothing_else(const void *arg)
{
    (void)arg;
    calls.free(calls.malloc(1));
    if (!workload_start_partner(&calls))
        death_fail("no thread");
    live(NULL, 0);
}

/* The partner has its heap before, else none may be had at all. */
static void with_one_refused(const void *arg)
{
    const struct sandbox_rule *refused = arg;

    calls.may_fail = true;
    calls.free(calls.malloc(1));
    if (refused->number != SYS_futex && !workload_start_partner(&calls))
        death_fail("no thread");
    live(refused, 1);
}

/* It has done all of it before: then the heap has room, and what is refused is
   returning it. */
static void with_one_refused_later(const void *arg)
{
    calls.may_fail = true;
    workload_run(&calls, 1);
    live(arg, 1);
}

START_TEST(nothing_but_the_seven)
{
    death_expect_exit(with_nothing_else, NULL, 0);
}
END_TEST

static void ask_for_more(const void *arg)
{
    (void)arg;
    if (!sandbox_enter(allowed, ALLOWED, SANDBOX_KILL))
        death_fail("no sandbox");
    syscall(SYS_getpid);
}

START_TEST(the_sandbox_kills)
{
    death_expect(ask_for_more, NULL, SIGSYS, NULL);
}
END_TEST

/* OpenSSH 10: what it does not know is EINVAL. */
static const struct sandbox_rule openssh[] = {
    {SANDBOX_ALLOW, SYS_madvise, 3, MADV_NORMAL},
    {SANDBOX_ALLOW, SYS_madvise, 3, MADV_FREE},
    {SANDBOX_ALLOW, SYS_madvise, 3, MADV_DONTNEED},
    {SANDBOX_ALLOW, SYS_madvise, 3, MADV_DONTFORK},
    {SANDBOX_ALLOW, SYS_madvise, 3, MADV_DONTDUMP},
    {SANDBOX_ALLOW, SYS_madvise, 3, MADV_WIPEONFORK},
    {SANDBOX_FAIL(EINVAL), SYS_madvise, 0, 0},
};

static void with_openssh_rules(const void *arg)
{
    (void)arg;
    calls.free(calls.malloc(1));
    live(openssh, sizeof openssh / sizeof *openssh);
}

START_TEST(advice_that_openssh_refuses)
{
    death_expect_exit(with_openssh_rules, NULL, 0);
}
END_TEST

/* Two errors for each of the seven. */
static struct sandbox_rule refusal(int i)
{
    return (struct sandbox_rule){
        SANDBOX_FAIL(i < OURS ? EPERM : ENOMEM), allowed[i % OURS].number, 0,
        0,
    };
}

START_TEST(one_is_refused)
{
    struct sandbox_rule refused = refusal(_i);
    const char *wrong = death_check_exit(with_one_refused, &refused, 0);

    ck_assert_msg(wrong == NULL, "call %d of the list: %s", _i % OURS, wrong);
}
END_TEST

START_TEST(one_is_refused_later)
{
    struct sandbox_rule refused = refusal(_i);
    const char *wrong = death_check_exit(with_one_refused_later, &refused, 0);

    ck_assert_msg(wrong == NULL, "call %d of the list: %s", _i % OURS, wrong);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("sandbox");
    TCase *one = tcase_create("sandbox");
    tcase_set_timeout(one, 60);
    tcase_add_test(one, the_sandbox_kills);
    tcase_add_test(one, nothing_but_the_seven);
    tcase_add_test(one, advice_that_openssh_refuses);
    tcase_add_loop_test(one, one_is_refused, 0, 2 * OURS);
    tcase_add_loop_test(one, one_is_refused_later, 0, 2 * OURS);
    suite_add_tcase(suite, one);
    return suite;
}

int main(int argc, char **argv)
{
    if (!sandbox_works()) {
        puts("SKIP: no seccomp filters here");
        return 77;
    }
    return suite_main(argc, argv, make);
}
