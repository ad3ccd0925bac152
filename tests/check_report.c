/* SPDX-License-Identifier: MIT */
/*
 * check_report.c - the report itself: one line, said in any circumstances, and
 * then the process is dead.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "die.h"
#include "face.h"
#include "policy.h"
#include "support/crime.h"

static const char double_free[] = "double free";

static void free_twice(const void *arg)
{
    (void)arg;
    char *p = crime_object(64);
    m.free(p);
    m.free(p);
}

/* ---- whatever the program did to SIGABRT ---- */

static void with_abort_blocked(const void *arg)
{
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    free_twice(arg);
}

static void with_abort_ignored(const void *arg)
{
    signal(SIGABRT, SIG_IGN);
    free_twice(arg);
}

static void return_from(int signal)
{
    (void)signal;
}

static void with_abort_handled(const void *arg)
{
    signal(SIGABRT, return_from);
    free_twice(arg);
}

/* The handler has a bug of the same kind. */
static void misuse_again(int signal)
{
    (void)signal;
    free_twice(NULL);
}

static void with_a_handler_that_misuses(const void *arg)
{
    struct sigaction action = {.sa_handler = misuse_again,
                               .sa_flags = SA_NODEFER};
    sigaction(SIGABRT, &action, NULL);
    free_twice(arg);
}

static void in_a_handler_on_a_small_stack(const void *arg)
{
    (void)arg;
    size_t bytes = 16 * KIB;
    char *stack = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t alternate = {.ss_sp = stack, .ss_size = bytes};
    struct sigaction action = {.sa_handler = misuse_again,
                               .sa_flags = SA_ONSTACK};
    sigaltstack(&alternate, NULL);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
}

static void *misuse_in_thread(void *arg)
{
    free_twice(arg);
    return NULL;
}

static void in_a_thread(const void *arg)
{
    (void)arg;
    pthread_t thread;
    pthread_create(&thread, NULL, misuse_in_thread, NULL);
    pthread_join(thread, NULL);
}

static void in_a_child(const void *arg)
{
    m.free(crime_object(64));
    pid_t pid = fork();
    if (pid == 0) {
        free_twice(arg);
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
}

/* A thread is in the loader for ever: whoever wants its lock waits as long. */
static pthread_barrier_t inside;

static int stay(struct dl_phdr_info *info, size_t bytes, void *data)
{
    (void)info, (void)bytes;
    pthread_barrier_wait(&inside);
    while (data == NULL)
        pause();
    return 0;
}

static void *hold_the_lock(void *arg)
{
    dl_iterate_phdr(stay, arg);
    return arg;
}

static void with_the_loader_locked(const void *arg)
{
    pthread_t thread;
    pthread_barrier_init(&inside, NULL, 2);
    pthread_create(&thread, NULL, hold_the_lock, NULL);
    pthread_barrier_wait(&inside);
    free_twice(arg);
}

static const struct {
    const char *name;
    death_fn commit;
} circumstances[] = {
    {"plain", free_twice},
    {"SIGABRT blocked", with_abort_blocked},
    {"SIGABRT ignored", with_abort_ignored},
    {"SIGABRT handled", with_abort_handled},
    {"in a handler, small stack", in_a_handler_on_a_small_stack},
    {"in a thread", in_a_thread},
    {"in a forked child", in_a_child},
    {"with the loader's lock held", with_the_loader_locked},
};

START_TEST(report_and_death)
{
    crime_judge(&(struct crime){
        .name = circumstances[_i].name, .bytes = 64,
        .commit = circumstances[_i].commit, .kinds = double_free,
        .caught = EXACT_STATE});
}
END_TEST

/* Two reports are fine here; what counts is that it ends. */
START_TEST(misuse_in_the_handler)
{
    struct death death;
    death_run(&death, with_a_handler_that_misuses, NULL, DEATH_SECONDS);
    ck_assert(!death.timed_out);
    if (EXACT_STATE)
        ck_assert_int_eq(death.signal, SIGABRT);
}
END_TEST

/* ---- what the line says ---- */

START_TEST(line_has_the_facts)
{
    if (!EXACT_STATE)
        return;
    struct death death;
    char pid[32];
    death_run(&death, free_twice, NULL, DEATH_SECONDS);
    ck_assert_int_eq(death.signal, SIGABRT);
    const char *wanted[] = {"merlon: double free", "free", "pointer 0x",
                            "pid ", "tid ", "caller "};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        ck_assert_msg(strstr(death.text, wanted[i]) != NULL,
                      "no \"%s\" in: %s", wanted[i], death.text);
    snprintf(pid, sizeof pid, "pid %d", (int)getpid());
    ck_assert_msg(strstr(death.text, pid) == NULL, "the parent's: %s",
                  death.text);
    ck_assert_uint_lt(strlen(death.text), 512);
}
END_TEST

/* ---- descriptor 2 belongs to somebody else by now ---- */

static void with_another_file(const void *arg)
{
    /* The heap starts with the file that is there now. */
    m.free(crime_object(100));
    int fd = *(const int *)arg;
    if (fd < 0)
        close(2);
    else
        dup2(fd, 2);
    free_twice(NULL);
}

START_TEST(other_files_stay_clean)
{
    if (!EXACT_STATE)
        return;
    struct death death;
    char byte;
    int fd = memfd_create("client", 0), none = -1;
    death_run(&death, with_another_file, &fd, DEATH_SECONDS);
    ck_assert_int_eq(death.signal, SIGABRT);
    ck_assert_int_eq(pread(fd, &byte, 1, 0), 0);
    ck_assert_str_eq(death.text, "");
    death_run(&death, with_another_file, &none, DEATH_SECONDS);
    ck_assert_int_eq(death.signal, SIGABRT);
    ck_assert_str_eq(death.text, "");
}
END_TEST

/* ---- a wrong size is no crime: the object is freed all the same ---- */

static void free_wrong_size(const void *arg)
{
    size_t bytes = *(const size_t *)arg;
    size_t before = 0;
    for (int i = 0; i < 2000; i++) {
        m.free_sized(crime_object(bytes), bytes * 2 + 1);
        if (i == 200)
            before = suite_rss_bytes();
    }
    if (suite_rss_bytes() > before + 16 * MIB)
        _exit(CRIME_SUCCEEDED);
    if (face_mismatches() != 2000)
        death_fail("not all were counted");
}

START_TEST(wrong_sizes)
{
    for (int i = 0; i < CRIME_SIZES; i++) {
        struct death death;
        death_run(&death, free_wrong_size, &crime_bytes[i], DEATH_SECONDS);
        printf("# | free_sized with a wrong size | %zu | %s |\n",
               crime_bytes[i], death_describe(&death));
        ck_assert_int_eq(death.signal, 0);
        ck_assert_int_eq(death.status, 0);
        /* One line for all of them. */
        ck_assert_msg(strncmp(death.text, "merlon: size mismatch in", 24) == 0
                      && strchr(death.text, '\n')
                          == death.text + strlen(death.text) - 1, "%s",
                      death.text);
    }
}
END_TEST

/* ---- on_error=report: the program goes on, and the block is given up ---- */

static void go_on(size_t bytes, const char *never, unsigned long reports)
{
    enum { MANY = 2000 };
    static char *p[MANY];
    size_t count = crime_many(bytes, MANY);
    for (int round = 0; round < 8; round++) {
        for (size_t i = 0; i < count; i++) {
            p[i] = crime_object(bytes);
            if (p[i] == never)
                _exit(CRIME_SUCCEEDED);
        }
        for (size_t i = 0; i < count; i++)
            m.free(p[i]);
    }
    unsigned long sum = 0;
    for (int kind = 0; kind < DIE_KIND_COUNT; kind++)
        sum += die_count(kind);
    if (sum != reports)
        death_fail("not so many reports");
}

static void go_on_after_overflow(const void *arg)
{
    size_t bytes = *(const size_t *)arg;
    die_configure(true, open("/dev/null", O_WRONLY));
    char *p = crime_object(bytes);
    *(char *)suite_hide(p + m.usable_size(p)) ^= 2;
    m.free(p);
    go_on(bytes, p, 1);
}

static void go_on_after_double_free(const void *arg)
{
    size_t bytes = *(const size_t *)arg;
    die_configure(true, open("/dev/null", O_WRONLY));
    char *p = crime_object(bytes);
    m.free(p);
    for (int i = 0; i < 100; i++)
        m.free(p);
    go_on(bytes, NULL, 100);
}

static void go_on_after_wrong_pointers(const void *arg)
{
    size_t bytes = *(const size_t *)arg;
    die_configure(true, open("/dev/null", O_WRONLY));
    char *p = crime_object(bytes);
    m.free(p + 16);
    if (m.realloc(p + 16, 10) || m.usable_size(p + 16) != 0)
        death_fail("of a wrong pointer something was made");
    if (m.usable_size(p) < bytes || p[0] != 1 || p[bytes - 1] != 1)
        death_fail("the object is not what it was");
    m.free(p);
    go_on(bytes, NULL, 3);
}

/* The slot that was written to is never handed out. */
static void go_on_after_write(const void *arg)
{
    size_t bytes = *(const size_t *)arg;
    die_configure(true, open("/dev/null", O_WRONLY));
    char *other[200];
    for (int i = 0; i < 200; i++)
        other[i] = crime_object(bytes);
    char *p = other[100];
    m.free(p);
    *(char *)suite_hide(p) = 1;
    for (int i = 0; i < 200; i++)
        if (i != 100 && i % 4 != 1)
            m.free(other[i]);
    go_on(bytes, p, 1);
}

static const struct {
    death_fn play;
    bool caught;
    size_t most; /* bytes */
} reported[] = {
    {go_on_after_overflow, CANARY, 1000},
    {go_on_after_double_free, EXACT_STATE, 8 * MIB},
    {go_on_after_wrong_pointers, EXACT_STATE, 8 * MIB},
    {go_on_after_write, WRITE_CHECK, 200},
};

START_TEST(the_program_goes_on)
{
    static const size_t sizes[] = {64, 200, 1000, 4 * KIB, 100 * KIB, 8 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (reported[_i].caught && sizes[i] <= reported[_i].most)
            death_expect_exit(reported[_i].play, &sizes[i], 0);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("report");
    TCase *report = tcase_create("report");
    tcase_set_timeout(report, 60);
    tcase_add_loop_test(report, report_and_death, 0,
                        sizeof circumstances / sizeof *circumstances);
    tcase_add_test(report, misuse_in_the_handler);
    tcase_add_test(report, line_has_the_facts);
    tcase_add_test(report, other_files_stay_clean);
    tcase_add_test(report, wrong_sizes);
    tcase_add_loop_test(report, the_program_goes_on, 0,
                        sizeof reported / sizeof *reported);
    suite_add_tcase(suite, report);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
