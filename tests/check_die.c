/* SPDX-License-Identifier: MIT */
/*
 * check_die.c - reports where it is hard to make one: in sandboxes, with little
 * stack, by several threads at once; and about our own metadata.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arena.h"
#include "die.h"
#include "os.h"
#include "sample.h"
#include "support/crime.h"

/* ---- sandboxes ---- */

enum { SANDBOX_CALLS = 8, NO_FILTER = 77 };

struct sandbox {
    const char *name;
    long refused[SANDBOX_CALLS]; /* system calls; 0 ends the list */
    uint32_t how;                /* SECCOMP_RET_... */
    bool chosen;                 /* report_fd was given */
    int signal;                  /* that the process dies of */
    const char *says;            /* NULL: nothing */
};

#ifdef SYS_newfstatat
#define SYS_STAT_CALLS SYS_fstat, SYS_newfstatat, SYS_statx
#else
#define SYS_STAT_CALLS SYS_fstat, SYS_statx
#endif

static const struct sandbox sandboxes[] = {
    {"none", {0}, SECCOMP_RET_ALLOW, false, SIGABRT, "double free"},
    {"signals refused", {SYS_tgkill, SYS_tkill, SYS_kill, SYS_rt_sigaction,
     SYS_rt_sigprocmask}, SECCOMP_RET_ERRNO | EPERM, false,
#if defined(__x86_64__) || defined(__i386__)
     SIGILL,
#else
     SIGTRAP,
#endif
     "double free"},
    {"signals are fatal", {SYS_tgkill, SYS_tkill, SYS_kill, SYS_rt_sigaction,
     SYS_rt_sigprocmask}, SECCOMP_RET_KILL_PROCESS, false, SIGSYS,
     "double free"},
    {"numbers refused", {SYS_gettid, SYS_getpid}, SECCOMP_RET_ERRNO | EPERM,
     false, SIGABRT, "double free"},
    {"gettid is fatal", {SYS_gettid}, SECCOMP_RET_KILL_PROCESS, false, SIGABRT,
     "double free"},
    {"no stat", {SYS_STAT_CALLS}, SECCOMP_RET_ERRNO | EPERM, false, SIGABRT,
     NULL},
    {"no stat, but a choice", {SYS_STAT_CALLS}, SECCOMP_RET_ERRNO | EPERM,
     true, SIGABRT, "double free"},
    {"stat is fatal, but a choice", {SYS_STAT_CALLS},
     SECCOMP_RET_KILL_PROCESS, true, SIGABRT, "double free"},
    {"no write", {SYS_write}, SECCOMP_RET_ERRNO | EPERM, true, SIGABRT,
     NULL},
    {"no futex", {SYS_futex}, SECCOMP_RET_ERRNO | EPERM, false, SIGABRT,
     "double free"},
    {"no memory calls", {SYS_madvise, SYS_mprotect, SYS_munmap},
     SECCOMP_RET_KILL_PROCESS, false, SIGABRT, "double free"},
};

static bool enter(const struct sandbox *sandbox)
{
    struct sock_filter code[SANDBOX_CALLS + 3];
    unsigned count = 0, length = 0;

    while (count < SANDBOX_CALLS && sandbox->refused[count] != 0)
        count++;
    code[length++] = (struct sock_filter)BPF_STMT(
        BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i < count; i++)
        code[length++] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)sandbox->refused[i],
            (uint8_t)(count - i), 0);
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
                                                  SECCOMP_RET_ALLOW);
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
                                                  sandbox->how);
    struct sock_fprog program = {(unsigned short)length, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* The objects are there before the sandbox is. */
static void misuse_in_sandbox(const void *arg)
{
    const struct sandbox *sandbox = arg;
    char *p = crime_object(64);

    if (sandbox->chosen)
        die_configure(false, 2);
    m.free(p);
    if (!enter(sandbox))
        _exit(NO_FILTER);
    m.free(p);
}

START_TEST(in_a_sandbox)
{
    const struct sandbox *sandbox = &sandboxes[_i];
    struct death death;

    if (!EXACT_STATE)
        return;
    death_run(&death, misuse_in_sandbox, sandbox, DEATH_SECONDS);
    if (death.status == NO_FILTER) {
        printf("# SKIP: %s: no filters here\n", sandbox->name);
        return;
    }
    ck_assert_msg(death.signal == sandbox->signal, "%s: %s", sandbox->name,
                  death_describe(&death));
    if (sandbox->says)
        ck_assert_msg(strstr(death.text, sandbox->says), "%s: %s",
                      sandbox->name, death_describe(&death));
    else
        ck_assert_msg(death.text[0] == 0, "%s: %s", sandbox->name,
                      death.text);
}
END_TEST

/* ---- where reports go ---- */

static void after_close(const void *arg)
{
    m.free(crime_object(100));
    if (*(const bool *)arg)
        die_configure(false, 2);
    int fd = open("/dev/null", O_WRONLY);
    int kept = fcntl(2, F_DUPFD, 10);
    dup2(fd, 2);
    dup2(kept, fd);
    /* What stands in the buffer is shown by a handler of the last instant. */
    die_note(DIE_DOUBLE_FREE, &(struct die_facts){.detail = "a test"});
    if (write(kept, merlon_last_report, strlen(merlon_last_report)) < 0)
        _exit(1);
    _exit(0);
}

START_TEST(the_buffer_is_always_filled)
{
    struct death death;
    bool chosen = _i != 0;

    death_run(&death, after_close, &chosen, DEATH_SECONDS);
    ck_assert_msg(death.status == 0 && death.signal == 0
                  && strncmp(death.text, "merlon: double free (a test)", 28)
                     == 0 && strchr(death.text, '\n')
                     == death.text + strlen(death.text) - 1, "%s",
                  death_describe(&death));
}
END_TEST

/* ---- little stack ---- */

enum { LITTLE_STACK = 2560 };

struct room {
    char *low;    /* the guard ends here */
    bool handler; /* on a signal stack */
};

static char *freed_object;

/* Frames until so little is left. */
static NOINLINE void descend(const struct room *room)
{
    volatile char frame[64];

    frame[0] = 0;
    if ((char *)__builtin_frame_address(0) - room->low > LITTLE_STACK + 256)
        descend(room);
    else
        m.free(freed_object);
    frame[1] = frame[0];
}

static char *make_stack(size_t bytes)
{
    size_t page = os_page_bytes();
    char *at = mmap(NULL, bytes + page, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED || mprotect(at, page, PROT_NONE) != 0)
        _exit(1);
    return at + page;
}

static void *descend_in_thread(void *room)
{
    descend(room);
    return NULL;
}

static struct room room;

static void descend_in_handler(int number)
{
    (void)number;
    descend(&room);
}

static void misuse_with_little_stack(const void *arg)
{
    size_t bytes = 64 * KIB;
    pthread_attr_t attributes;
    pthread_t thread;

    freed_object = crime_object(64);
    m.free(freed_object);
    room.low = make_stack(bytes);
    room.handler = *(const int *)arg != 0;
    if (room.handler) {
        stack_t stack = {.ss_sp = room.low, .ss_size = bytes};
        struct sigaction action = {.sa_handler = descend_in_handler,
                                   .sa_flags = SA_ONSTACK};
        sigaltstack(&stack, NULL);
        sigaction(SIGUSR1, &action, NULL);
        raise(SIGUSR1);
        return;
    }
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, room.low, bytes);
    pthread_create(&thread, &attributes, descend_in_thread, &room);
    pthread_join(thread, NULL);
}

START_TEST(with_little_stack)
{
    if (!EXACT_STATE)
        return;
    death_expect(misuse_with_little_stack, &_i, SIGABRT, "double free");
}
END_TEST

/* ---- several at once ---- */

static pthread_barrier_t barrier;

static void *note(void *arg)
{
    struct die_facts facts = {.call = {.function = "free"}, .pointer = arg,
                              .detail = "one of several"};

    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 3; i++)
        die_note(DIE_INVALID_POINTER, &facts);
    return NULL;
}

static void note_at_once(const void *arg)
{
    pthread_t thread[4];

    (void)arg;
    m.free(crime_object(1));
    pthread_barrier_init(&barrier, NULL, 4);
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, note, (void *)(0x1000 + i));
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
}

START_TEST(lines_are_whole)
{
    for (int round = 0; round < 50; round++) {
        struct death death;
        unsigned lines = 0;
        death_run(&death, note_at_once, NULL, DEATH_SECONDS);
        for (char *line = death.text; *line; lines++) {
            unsigned number;
            ck_assert_msg(sscanf(line, "merlon: invalid pointer in free() "
                                 "(one of several): pointer 0x100%1u, pid",
                                 &number) == 1, "%s", line);
            line += strcspn(line, "\n");
            ck_assert_int_eq(*line++, '\n');
        }
        ck_assert_uint_eq(lines, 12);
    }
}
END_TEST

/* ---- what is wrong with our own metadata ---- */

static void widen_a_span(const void *arg)
{
    char *p = crime_object(*(const size_t *)arg);
    arena_record((uintptr_t)p)->span_granules += SIZE_MAX / 2;
    m.free(p);
}

static void lengthen_a_span(const void *arg)
{
    char *p = crime_object(*(const size_t *)arg);
    arena_record((uintptr_t)p)->span_bytes *= 100;
    m.free(p);
}

static void move_a_span(const void *arg)
{
    char *p = crime_object(*(const size_t *)arg);
    arena_record((uintptr_t)p)->span_index = 0;
    m.free(p);
}

static void give_granules_twice(const void *arg)
{
    bool clean;
    struct arena *arena = arena_at(0);
    (void)arg;
    m.free(crime_object(1));
    size_t index = granules_take(&arena->slabs, 1, 0, &clean);
    granules_give(&arena->slabs, index, 1, false);
    granules_give(&arena->slabs, index, 1, false);
}

static const death_fn corruptions[] = {
    widen_a_span, lengthen_a_span, move_a_span, give_granules_twice,
};

START_TEST(corrupted_metadata_is_noticed)
{
    size_t bytes = 4 * MIB;

    if (CHECKED)
        death_expect(corruptions[_i], &bytes, SIGABRT, "corrupted metadata");
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("die");
    TCase *hard = tcase_create("hard");
    tcase_set_timeout(hard, 60);
    tcase_add_loop_test(hard, in_a_sandbox, 0,
                        sizeof sandboxes / sizeof *sandboxes);
    tcase_add_loop_test(hard, the_buffer_is_always_filled, 0, 2);
    tcase_add_loop_test(hard, with_little_stack, 0, 2);
    tcase_add_test(hard, lines_are_whole);
    suite_add_tcase(suite, hard);

    TCase *metadata = tcase_create("metadata");
    tcase_add_loop_test(metadata, corrupted_metadata_is_noticed, 0,
                        sizeof corruptions / sizeof *corruptions);
    suite_add_tcase(suite, metadata);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
