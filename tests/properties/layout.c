/* SPDX-License-Identifier: MIT */
/*
 * layout.c - can it be known where the next object lies?
 *
 * Neighbours: how often two allocations in a row are one slot apart, in a heap
 * that is new and in one that has grown. Repetition: whether another run, or
 * another child of the same parent, has the same layout.
 */
#define _GNU_SOURCE
#include "properties.h"

#include <fcntl.h>
#include <sys/personality.h>
#include <sys/wait.h>

/* ---- neighbours ---- */

struct tally {
    double pairs, neighbours;
};

struct view {
    size_t before; /* objects that the class holds when we begin to look */
    size_t seen;   /* then so many */
    struct tally *tally; /* of each class, shared */
};

static bool are_neighbours(const char *p, const char *q, size_t bytes)
{
    return p + bytes == q || q + bytes == p;
}

/* All objects live to the end of the process. */
static void look_at_classes(const void *arg)
{
    const struct view *view = arg;
    for (unsigned class = 0; class < PROPERTY_CLASSES; class++) {
        size_t request = property_request(class);
        char *last = NULL;
        for (size_t i = 0; i < view->before; i++)
            last = m.malloc(request);
        for (size_t i = 0; i < view->seen; i++) {
            char *p = m.malloc(request);
            if (p == NULL)
                death_fail("no memory");
            if (last != NULL) {
                view->tally[class].pairs++;
                view->tally[class].neighbours +=
                    are_neighbours(last, p, class_slot_bytes(class));
            }
            last = p;
        }
    }
}

/*
 * The share over all classes within `limit`; that of each class within six
 * deviations of `each`.
 */
static void judge_neighbours(const char *what, struct view view, int children,
                             double limit, double each)
{
    struct tally all = {0, 0}, worst = {1, 0};
    unsigned worst_class = 0;
    view.tally = property_shared(PROPERTY_CLASSES * sizeof *view.tally);
    for (int i = 0; i < children; i++)
        ck_assert(property_child(look_at_classes, &view));
    for (unsigned class = 0; class < PROPERTY_CLASSES; class++) {
        struct tally t = view.tally[class];
        all.pairs += t.pairs;
        all.neighbours += t.neighbours;
        if (t.neighbours / t.pairs > worst.neighbours / worst.pairs) {
            worst = t;
            worst_class = class;
        }
    }
    double worst_share = worst.neighbours / worst.pairs;
    PROPERTY_SAY("neighbours, %s: %.2f %% of %.0f pairs; most with slots of "
                 "%zu bytes: %.2f %% of %.0f\n", what,
                 100 * all.neighbours / all.pairs, all.pairs,
                 class_slot_bytes(worst_class), 100 * worst_share,
                 worst.pairs);
    ck_assert_double_le(all.neighbours / all.pairs, limit);
    ck_assert_double_le(worst_share, property_six(each, worst.pairs));
}

/* The first stretch has 32 slots or more: 2/32. */
START_TEST(neighbours_in_a_fresh_process)
{
    PROPERTY_SKIP(!RANDOM_ORDER, "random-order");
    struct view view = {.before = 0, .seen = 32};
    judge_neighbours("fresh process", view, suite_full() ? 100 : 12, 0.08,
                     0.08);
}
END_TEST

/* 72 slots in random order: 2/72, and 2/63 for the class of 64 KiB. */
START_TEST(neighbours_among_many)
{
    PROPERTY_SKIP(!RANDOM_ORDER, "random-order");
    struct view view = {.before = 256, .seen = 512};
    judge_neighbours("256 objects and more", view, suite_full() ? 30 : 2,
                     0.03, 2.0 / 63);
}
END_TEST

/* ---- large slots of a fresh process ---- */

/*
 * Who knows the source and the first two addresses of a class of large slots
 * guesses the third: places are multiples of one random step, two at a time in
 * random order. Of a true permutation he would be right in one of 70 guesses.
 */
static void guess_third(const void *arg)
{
    double *right = *(double *const *)arg;
    size_t request = property_request(PROPERTY_CLASSES - 2);
    size_t slot_bytes = class_slot_bytes(PROPERTY_CLASSES - 2);
    uintptr_t slab_bytes =
        (uintptr_t)class_slab_granules(PROPERTY_CLASSES - 2) * GRANULE_BYTES;
    uintptr_t at[3];
    for (int i = 0; i < 3; i++)
        at[i] = (uintptr_t)m.malloc(request) % slab_bytes / slot_bytes;
    uintptr_t step = at[0] > at[1] ? at[0] : at[1];
    unsigned slots = class_slab_slots(PROPERTY_CLASSES - 2, 4096);
    *right += at[2] == 2 * step % slots;
}

/* A figure, not a promise. */
START_TEST(third_of_large_slots)
{
    PROPERTY_SKIP(!RANDOM_ORDER, "random-order");
    double *right = property_shared(sizeof *right);
    for (int i = 0; i < 60; i++)
        ck_assert(property_child(guess_third, &right));
    PROPERTY_SAY("large slots, fresh process: the third address guessed from "
                 "the first two in %.0f of 60 runs\n", *right);
}
END_TEST

/* ---- repetition ---- */

enum { NEXT = 8 };
static const size_t next_requests[] = {16, 64, 200, 1000, 4000, 60000};
enum { NEXT_SIZES = sizeof next_requests / sizeof *next_requests };

struct layout {
    uintptr_t at[NEXT_SIZES][NEXT];
};

static void take_layout(struct layout *layout)
{
    for (int size = 0; size < NEXT_SIZES; size++)
        for (int i = 0; i < NEXT; i++)
            layout->at[size][i] = (uintptr_t)m.malloc(next_requests[size]);
}

/*
 * Of all pairs of runs, for each size: how many agree on all addresses. Fewer
 * than 1 % for the first `judged` sizes; 32 slots have 10^11 such beginnings.
 */
static void judge_repetition(const char *what, const struct layout *layout,
                             size_t runs, int judged)
{
    for (int size = 0; size < NEXT_SIZES; size++) {
        double pairs = 0, agree = 0;
        for (size_t i = 0; i < runs; i++)
            for (size_t j = 0; j < i; j++, pairs++)
                agree += memcmp(layout[i].at[size], layout[j].at[size],
                                sizeof layout[i].at[size]) == 0;
        PROPERTY_SAY("repetition, %s, %zu bytes: %.0f of %.0f pairs agree on "
                     "%d addresses%s\n", what, next_requests[size], agree,
                     pairs, NEXT, size < judged ? "" : " (not judged)");
        if (size < judged)
            ck_assert_double_lt(agree, 0.01 * pairs);
    }
}

int layout_print(void)
{
    struct layout layout;
    take_layout(&layout);
    return write(1, &layout, sizeof layout) == sizeof layout ? 0 : 1;
}

/* The program anew, at the same addresses as far as the kernel can do it. */
static bool run_again(struct layout *layout)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 1);
        (void)personality(ADDR_NO_RANDOMIZE);
        setenv(LAYOUT_VARIABLE, "1", 1);
        execl("/proc/self/exe", "properties", (char *)NULL);
        _exit(1);
    }
    close(ends[1]);
    bool got = read(ends[0], layout, sizeof *layout) == sizeof *layout;
    close(ends[0]);
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 && got;
}

START_TEST(layout_of_another_run)
{
    enum { RUNS = 60 };
    static struct layout layout[RUNS];
    PROPERTY_SKIP(!RANDOM_ORDER, "random-order");
    if (getenv("EMULATOR") != NULL && *getenv("EMULATOR") != 0) {
        PROPERTY_SAY("SKIP another run: an emulator starts no program\n");
        return;
    }
    for (int i = 0; i < RUNS; i++)
        ck_assert(run_again(&layout[i]));
    judge_repetition("another run", layout, RUNS, NEXT_SIZES);
}
END_TEST

extern pid_t _Fork(void) __attribute__((weak));

/*
 * Children of one parent whose stocks are in use. What SECURITY.md promises
 * holds from a child's first slow call on, which here is one in a class that
 * nobody used; without it the figure is printed only. So is that of the last
 * size: of such slots a stretch has two, in random order, and where the next
 * stretch lies was drawn when the slab was opened.
 */
static void children_of_one(const char *name, pid_t (*call)(void), bool slow)
{
    enum { CHILDREN = 60 };
    char what[80];
    snprintf(what, sizeof what, "%s%s", name,
             slow ? ", after a slow call" : ", at once");
    struct layout first, *layout =
        property_shared(CHILDREN * sizeof *layout);
    take_layout(&first);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t pid = call();
        if (pid == 0) {
            if (slow)
                (void)m.malloc(333);
            take_layout(&layout[i]);
            _exit(0);
        }
        int status = 1;
        ck_assert(waitpid(pid, &status, 0) == pid && status == 0);
    }
    judge_repetition(what, layout, CHILDREN, slow ? NEXT_SIZES - 1 : 0);
}

START_TEST(layout_of_children)
{
    PROPERTY_SKIP(!RANDOM_ORDER, "random-order");
    children_of_one("children of one fork", fork, _i);
}
END_TEST

START_TEST(layout_of_raw_children)
{
    PROPERTY_SKIP(!RANDOM_ORDER, "random-order");
    if (_Fork == NULL) {
        PROPERTY_SAY("SKIP _Fork: the C library has none\n");
        return;
    }
    children_of_one("children of one _Fork", _Fork, _i);
}
END_TEST

TCase *layout_case(void)
{
    TCase *tcase = tcase_create("layout");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, neighbours_in_a_fresh_process);
    tcase_add_test(tcase, neighbours_among_many);
    tcase_add_test(tcase, third_of_large_slots);
    tcase_add_test(tcase, layout_of_another_run);
    tcase_add_loop_test(tcase, layout_of_children, 0, 2);
    tcase_add_loop_test(tcase, layout_of_raw_children, 0, 2);
    return tcase;
}
