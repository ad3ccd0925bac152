/* SPDX-License-Identifier: MIT */
/*
 * check_window.c - a remote free that is stopped after any of its
 * instructions, while the owner frees the same object, lets it rest and has it
 * at hand again.
 *
 * Heap B frees p, of heap A, with the processor's trap flag set: after each
 * instruction the kernel sends SIGTRAP. After the n-th its handler plays A:
 * frees p, and allocates others until p stands in A's stock. Then B goes on,
 * and A goes on allocating. For every n the double free must be reported, or p
 * may at least never be two objects at once.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "arena.h"
#include "heap.h"
#include "process.h"

#include "support/suite.h"

#if defined(__x86_64__)

enum {
    BYTES = GRANULE_BYTES / 64 - CANARY_BYTES, /* few slots in a slab */
    MANY = 50,
    WAVES = 6,
    NO_CLOCK = 1 << 30,
    TRAP_FLAG = 0x100,
    REPORTED = 0, NOT_REPORTED, OVERLAP, NOT_AT_HAND, PAST_THE_END, VERDICTS,
};

static const struct die_call call = { .function = "free" };
static struct heap *a, *b;
static char *p, *taken[MANY];
static int count, steps, stop_at;
static bool stepping, at_hand;

static bool is_at_hand(void)
{
    struct stock *stock = heap_stock(a, class_of_request(BYTES));

    for (uint32_t i = 0; i < stock->count; i++)
        if (stock->base + stock_offset(stock, i) == (uintptr_t)p)
            return true;
    return false;
}

static char *allocate(void)
{
    return heap_allocate_small(a, class_of_request(BYTES), call);
}

static unsigned long reports(void)
{
    unsigned long sum = 0;

    for (int kind = 0; kind < DIE_KIND_COUNT; kind++)
        sum += die_count(kind);
    return sum;
}

/* A's part. Waves come and go, so that p has its turn. */
static void play_owner(void)
{
    char *q[MANY];

    heap_free(a, p, call);
    for (int wave = 0; wave < WAVES; wave++) {
        int many = 0;
        while (many < MANY && !reports() && !(at_hand = is_at_hand()))
            q[many++] = allocate();
        if (at_hand || reports())
            return;
        while (many > 0)
            heap_free(a, q[--many], call);
    }
}

static void step(int signal, siginfo_t *information, void *context)
{
    ucontext_t *at = context;

    (void)signal, (void)information;
    if (!stepping)
        at->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    else if (steps++ == stop_at)
        play_owner();
}

static void set_trap_flag(void)
{
    __asm__ volatile("pushfq\n\torq %0, (%%rsp)\n\tpopfq"
                     :: "i"(TRAP_FLAG) : "memory", "cc");
}

static int run(int stop)
{
    struct sigaction action = { .sa_sigaction = step,
                                .sa_flags = SA_SIGINFO };
    int places = 0;

    a = heap_open();
    b = heap_open();
    a->pulse = b->pulse = NO_CLOCK;
    for (count = 0; count < 6; count++)
        taken[count] = allocate();
    p = allocate();
    die_configure(true, open("/dev/null", O_WRONLY));
    sigaction(SIGTRAP, &action, NULL);
    stop_at = stop;
    stepping = true;
    set_trap_flag();
    heap_free(b, p, call);
    stepping = false;
    if (steps <= stop)
        return PAST_THE_END;
    if (reports())
        return REPORTED;
    if (!at_hand)
        return NOT_AT_HAND;
    /* Whoever has p now keeps it: nobody else may get it. */
    for (int i = 0; i < MANY; i++) {
        places += allocate() == p;
        heap_drain(a, call);
    }
    return places > 1 ? OVERLAP : reports() ? REPORTED : NOT_REPORTED;
}

static int verdict(int stop)
{
    int status;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        alarm(20);
        _exit(run(stop));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) < VERDICTS,
                  "stopped after %d: status %x", stop, (unsigned)status);
    return WEXITSTATUS(status);
}

START_TEST(stopped_anywhere)
{
    unsigned seen[VERDICTS] = { 0 };
    int stop = 0, first[VERDICTS];

    if (!STRICT_REMOTE)
        return;
    ck_assert(process_start());
    for (int is; (is = verdict(stop)) != PAST_THE_END; stop++)
        if (seen[is]++ == 0)
            first[is] = stop;
    printf("# stopped after each of %d instructions: %u reported, %u not, "
           "%u overlaps, %u not at hand\n", stop, seen[REPORTED],
           seen[NOT_REPORTED], seen[OVERLAP], seen[NOT_AT_HAND]);
    fflush(stdout);
    ck_assert_int_gt(stop, 100);
    ck_assert_uint_gt(seen[REPORTED], 50);
    ck_assert_msg(seen[OVERLAP] == 0, "overlap first after %d",
                  first[OVERLAP]);
    ck_assert_msg(seen[NOT_REPORTED] == 0, "missed first after %d",
                  first[NOT_REPORTED]);
}
END_TEST

#endif

static Suite *make(void)
{
    Suite *suite = suite_create("window");
    TCase *window = tcase_create("window");

    tcase_set_timeout(window, 240);
#if defined(__x86_64__)
    tcase_add_test(window, stopped_anywhere);
#endif
    suite_add_tcase(suite, window);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
