/* SPDX-License-Identifier: MIT */
/*
 * check_orders.c - every order in which one slot can be freed by its owner and
 * by two others, sent, taken in and handed out again.
 *
 * The heaps are driven in one thread. An order is a word of these letters, each
 * at most once:
 *
 *   L  the owner, heap A, frees p       p  B and C post their parcels
 *   B  heap B frees p                   I  A takes its inbox in
 *   C  heap C frees p                   R  A allocates until it has p again,
 *                                          or gives up
 *
 * Every order runs in a child and is then brought to its end by p, I and R. A
 * small model says whether it holds a double free. An order without one must
 * not be reported; one with one must be reported, at the latest before p is
 * handed out again. Each runs twice: as it is, and with somebody who writes the
 * old contents, canary and all, back into the slot after each remote free; that
 * this was written may be noticed first.
 *
 * doc/protocols.md has the table that comes out.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "heap.h"
#include "process.h"

#include "support/suite.h"

enum {
    NO_CLOCK = 1 << 30,
    BYTES = GRANULE_BYTES / 8 - CANARY_BYTES, /* few slots in a slab */
    MANY = 40,
    OPERATIONS = 6,
    LENGTH_MAX = OPERATIONS + 4,
};

static const char operations[] = "LBCpIR";
static const struct die_call call = { .function = "free" };

/* Where a double free was reported. */
enum verdict { SOUND, AT_CALL, AT_POST, AT_INTAKE, AT_REUSE, WRITE_NOTICED,
               ESCAPED, FALSE_REPORT, OVERLAP, CRASH, VERDICTS };

static const char *const names[VERDICTS] = {
    "no double free", "at the call", "at the post", "at the intake",
    "at the reuse", "write noticed", "ESCAPED", "FALSE REPORT", "OVERLAP", "CRASH",
};

/* One run. */
static struct heap *a, *b, *c;
static char *p;
static char *neighbour[2];
static char saved[BYTES + CANARY_BYTES];
static bool restores;    /* somebody writes old contents back */
static bool live;        /* p, as the program should see it */
static bool freed_twice;
static bool reused;      /* exit status: seen at least once */
static size_t slot_bytes;

static struct heap *open_heap(void)
{
    struct heap *heap = heap_open();

    if (!heap)
        _exit(VERDICTS);
    heap->pulse = NO_CLOCK;
    return heap;
}

static char *allocate(void)
{
    char *q = heap_allocate_small(a, class_of_request(BYTES), call);

    if (!q)
        _exit(VERDICTS);
    return q;
}

static void born(void)
{
    memset(p, 0x5a, BYTES);
    memcpy(saved, p, slot_bytes);
    live = true;
}

static void free_p(struct heap *heap)
{
    freed_twice |= !live;
    live = false;
    heap_free(heap, p, call);
    if (restores && heap != a)
        memcpy(p, saved, slot_bytes);
}

/* Only an EXACT_STATE build may see two of the same. */
static void reuse(void)
{
    char *q[MANY];

    for (int i = 0; i < 2 && neighbour[i]; i++) {
        heap_free(a, neighbour[i], call);
        neighbour[i] = NULL;
    }
    for (int round = 0; round < 3; round++) {
        int count = 0;
        bool found = false;
        while (count < MANY && !found) {
            q[count] = allocate();
            found = q[count] == p;
            count += !found;
        }
        while (count > 0)
            heap_free(a, q[--count], call);
        if (found && live)
            _exit(OVERLAP);
        if (found) {
            born();
            reused = true;
            return;
        }
    }
}

static void step(char operation)
{
    switch (operation) {
    case 'L': free_p(a); break;
    case 'B': free_p(b); break;
    case 'C': free_p(c); break;
    case 'p': heap_post_all(b); heap_post_all(c); break;
    case 'I': heap_drain(a, call); break;
    case 'R': reuse(); break;
    }
}

static enum verdict verdict_at(char operation)
{
    if (!freed_twice)
        return FALSE_REPORT;
    return operation == 'p' ? AT_POST : operation == 'I' ? AT_INTAKE
        : operation == 'R' ? AT_REUSE : AT_CALL;
}

/* Exit status: the verdict, and VERDICTS more if p was handed out again. */
static void run(const char *order)
{
    a = open_heap();
    b = open_heap();
    c = open_heap();
    neighbour[0] = allocate();
    p = allocate();
    neighbour[1] = allocate();
    slot_bytes = arena_record((uintptr_t)p)->slab->slot_bytes;
    born();
    die_configure(true, open("/dev/null", O_WRONLY));
    for (const char *at = order; *at; at++) {
        bool was_free = !live;
        step(*at);
        if (die_count(DIE_DOUBLE_FREE) || die_count(DIE_INVALID_POINTER)
            || die_count(DIE_OVERFLOW))
            _exit((int)verdict_at(*at) + (reused ? VERDICTS : 0));
        if (die_count(DIE_LINK) || die_count(DIE_WRITE_AFTER_FREE))
            _exit((restores ? WRITE_NOTICED : FALSE_REPORT)
                  + (reused ? VERDICTS : 0));
        /* The program frees twice, and p comes out of it alive. */
        if (freed_twice && was_free && live)
            _exit(ESCAPED);
    }
    _exit((freed_twice ? ESCAPED : SOUND) + (reused ? VERDICTS : 0));
}

static unsigned tally[2][VERDICTS];
static unsigned reuses;
static char first_of[2][VERDICTS][LENGTH_MAX + 1];

static void judge(const char *order)
{
    char whole[LENGTH_MAX + 1];
    int status;

    snprintf(whole, sizeof whole, "%spIRR", order);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        alarm(10);
        run(whole);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : CRASH;
    if (code >= VERDICTS) {
        code -= VERDICTS;
        reuses++;
    }
    ck_assert_int_lt(code, VERDICTS);
    if (tally[restores][code]++ == 0)
        memcpy(first_of[restores][code], order, strlen(order) + 1);
}

/* Without checks a double free may do anything: only sound orders run. */
static bool may_run(const char *order)
{
    const char *first = strpbrk(order, "LBC");

    return EXACT_STATE || !first || !strpbrk(first + 1, "LBC");
}

static void extend(char *order, unsigned used, size_t length)
{
    if (strpbrk(order, "LBC") && may_run(order))
        judge(order);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        if (used >> i & 1)
            continue;
        order[length] = operations[i];
        order[length + 1] = 0;
        extend(order, used | 1U << i, length + 1);
        order[length] = 0;
    }
}

static void run_all(void)
{
    char order[OPERATIONS + 1] = "";

    ck_assert(process_start());
    memset(tally, 0, sizeof tally);
    reuses = 0;
    for (int i = 0; i < 2; i++) {
        restores = i == 1;
        extend(order, 0, 0);
        for (int v = 0; v < VERDICTS; v++) {
            if (tally[i][v])
                printf("# %-8s %5u orders: %-14s such as %s\n",
                       i ? "restored" : "plain", tally[i][v], names[v],
                       first_of[i][v]);
        }
    }
    printf("# handed out again in %u\n", reuses);
}

START_TEST(every_order)
{
    run_all();
    ck_assert_uint_gt(reuses, 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_gt(tally[i][SOUND], 0);
        ck_assert_uint_eq(tally[i][FALSE_REPORT], 0);
        ck_assert_uint_eq(tally[i][CRASH], 0);
        if (STRICT_REMOTE) {
            ck_assert_uint_eq(tally[i][OVERLAP], 0);
            ck_assert_uint_eq(tally[i][ESCAPED], 0);
        }
    }
    if (EXACT_STATE && CANARY && SCRUB) {
        /* All at the very call (a parcel's link in the slot may make it look
           like an overflow). */
        ck_assert_uint_gt(tally[0][AT_CALL], 0);
        ck_assert_uint_eq(tally[0][AT_POST] + tally[0][AT_INTAKE]
                          + tally[0][AT_REUSE] + tally[0][ESCAPED]
                          + tally[0][OVERLAP], 0);
    }
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("orders");
    TCase *all = tcase_create("all");

    tcase_set_timeout(all, 240);
    tcase_add_test(all, every_order);
    suite_add_tcase(suite, all);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
