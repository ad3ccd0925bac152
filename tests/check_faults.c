/* SPDX-License-Identifier: MIT */
/*
 * check_faults.c - every system call refused in turn, with every errno, once
 * and for good; limits that the kernel itself enforces.
 *
 * A scene is a fixed sequence of calls. It is played in a child while the n-th
 * call of one kind is refused, then again with a kernel that agrees. While it
 * refuses: NULL with ENOMEM, or the feature is given up. Always: contents are
 * kept, new memory is zero where promised, nothing overlaps. Afterwards: no
 * failure, nothing that is still counted as live, no more mapped or taken than
 * without the fault.
 *
 *   check_faults start      play the beginning of a process: FAULT_VARIABLE
 *   check_faults exhaust    allocate until the limits of this process say no
 *   check_faults play SCENE CALL NTH TIMES ERRNO    one case, for a debugger
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "face.h"
#include "thread.h"

#include "support/fault.h"
#include "support/shadow.h"
#include "support/suite.h"

static struct shadow shadow;
static size_t nulls; /* refused so far, about */
static bool refusing; /* the kernel may refuse at the moment */

/* ---- calls against the shadow ---- */

static bool is_refusal(void *p)
{
    if (p != NULL)
        return false;
    if (errno != ENOMEM)
        shadow_fail("NULL with errno %d", errno);
    if (!refusing)
        shadow_fail("no memory though the kernel agrees");
    nulls++;
    return true;
}

/* calloc and malloc by turns. The object, or NULL. */
static void *get(size_t bytes)
{
    bool zeroed = shadow.last_tag & 1;

    errno = 0;
    void *p = zeroed ? merlon_calloc(1, bytes) : merlon_malloc(bytes);
    if (is_refusal(p))
        return NULL;
    shadow_must(errno == 0);
    shadow_must(!zeroed || shadow_is_zero(p, bytes));
    shadow_add(&shadow, p, bytes, merlon_malloc_usable_size(p), 16);
    return p;
}

static void get_aligned(size_t alignment, size_t bytes)
{
    errno = 0;
    void *p = merlon_aligned_alloc(alignment, bytes);
    if (!is_refusal(p))
        shadow_add(&shadow, p, bytes, merlon_malloc_usable_size(p),
                   alignment);
}

static void put(size_t at)
{
    struct object object = shadow_take(&shadow, at);

    errno = 0;
    merlon_free(object.p);
    shadow_must(errno == 0);
}

/* realloc: on failure the old object is as it was. */
static void resize(size_t at, size_t bytes)
{
    struct object object = shadow_take(&shadow, at);

    errno = 0;
    void *p = merlon_realloc(object.p, bytes);
    if (is_refusal(p)) {
        shadow_must(bytes > object.usable);
        p = object.p;
        bytes = object.bytes;
    }
    shadow_verify(&object, p, bytes < object.bytes ? bytes : object.bytes);
    shadow_add(&shadow, p, bytes, merlon_malloc_usable_size(p), 16);
}

static void put_all(void)
{
    while (shadow.count > 0)
        put(shadow.count / 2);
}

/* ---- scenes ---- */

/* Refills of all classes, and slabs that empty. */
static void play_small(void)
{
    for (size_t bytes = 16; bytes <= 256 * KIB; bytes += bytes / 2)
        for (int i = 0; i < 12; i++)
            get(bytes);
    for (size_t i = 0; i + 3 < shadow.count; i += 3)
        put(i);
    for (size_t bytes = 24; bytes <= 256 * KIB; bytes *= 2)
        get(bytes);
    merlon_malloc_trim(0);
}

/* One class until windows grow. */
static void play_many(void)
{
    for (int i = 0; i < 120; i++)
        get(200 * KIB);
    for (size_t i = 0; i < shadow.count; i++)
        put(i);
    merlon_malloc_trim(0);
    for (int i = 0; i < 20; i++)
        get(200 * KIB);
}

static void play_spans(void)
{
    for (size_t i = 1; i <= 10; i++)
        get(300 * KIB * i);
    get_aligned(MIB, 100 * KIB);
    get_aligned(8 * MIB, 10);
    for (size_t i = 0; i + 2 < shadow.count; i += 2)
        put(i);
    for (size_t i = 0; i < 3; i++)
        get(2 * MIB);
    merlon_malloc_trim(0);
    /* Through the quarantine, or the cache. */
    for (int i = 0; i < 80; i++)
        if (get(500 * KIB) != NULL)
            put(shadow.count / 3);
}

/* Growing in place, moving pages, copying; shrinking never fails. */
static void play_realloc(void)
{
    for (size_t i = 0; i < 4; i++)
        get(40 * KIB);
    for (size_t bytes = 80 * KIB; bytes <= 8 * MIB; bytes *= 2)
        for (size_t i = 0; i < 4 && i < shadow.count; i++)
            resize(i, bytes + i);
    for (size_t bytes = 6 * MIB; bytes >= 10; bytes /= 3)
        for (size_t i = 0; i < 4 && i < shadow.count; i++)
            resize(i, bytes);
}

/* Objects freed by another heap, and taken in at a refill. */
static void play_messages(void)
{
    static struct heap *other;
    struct heap *mine = merlon_thread_heap;

    for (int i = 0; i < 900; i++)
        get(100 + (size_t)i % 5 * 700);
    if (other)
        merlon_thread_heap = other;
    else
        other = heap_open();
    if (!other) {
        shadow_must(refusing);
        return;
    }
    other->generation = mine->generation;
    merlon_thread_heap = other;
    for (size_t i = 0; i < shadow.count; i++)
        put(i);
    for (int i = 0; i < 100; i++)
        get(800);
    for (struct heap *heap = other; heap; heap = heap == mine ? NULL : mine) {
        merlon_thread_heap = heap;
        heap->busy++;
        heap_post_all(heap);
        heap->busy--;
    }
    for (int i = 0; i < 900; i++)
        get(100 + (size_t)i % 5 * 700);
    /* What went back is on its way: look() counts. */
    put_all();
    for (int round = 0; round < 2; round++) {
        heap_trim(mine);
        heap_trim(other);
    }
}

enum { THREADS = 24 };
static pthread_barrier_t all_live;

static void *be_thread(void *p)
{
    merlon_free(p);
    for (int i = 0; i < 20; i++) {
        errno = 0;
        void *q = merlon_malloc(64 + (size_t)i * 1000);
        is_refusal(q);
        merlon_free(q);
    }
    pthread_barrier_wait(&all_live);
    return NULL;
}

/* Threads begin with a free, have no memory for a heap, live together, and
   end. */
static void play_threads(void)
{
    pthread_t threads[THREADS];

    pthread_barrier_init(&all_live, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        void *p = get(1000);
        if (p)
            shadow_take(&shadow, shadow_find(&shadow, p));
        shadow_must(pthread_create(&threads[i], NULL, be_thread, p) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&all_live);
}

static const struct scene {
    const char *name;
    void (*play)(void);
} scenes[] = {
    {"small", play_small},       {"many", play_many},
    {"spans", play_spans},       {"realloc", play_realloc},
    {"messages", play_messages}, {"threads", play_threads},
};
enum { SCENES = sizeof scenes / sizeof *scenes };

/* ---- one case in a child ---- */

struct look {
    size_t mapped, live_count, live_bytes, span_granules, slab_granules;
    size_t arenas;
    unsigned long calls[FAULT_CALL_COUNT];
    size_t nulls;
};

static struct look *shared; /* what the child saw */

static struct look look(void)
{
    struct face_stats stats;
    struct look look = {.mapped = fault_mapped_bytes(), .nulls = nulls};

    face_gather(&stats, NULL);
    look.live_count = stats.live_count;
    look.live_bytes = stats.live_bytes;
    look.arenas = arena_count();
    for (unsigned i = 0; i < arena_count(); i++) {
        look.slab_granules += arena_at(i)->slabs.taken;
        look.span_granules += arena_at(i)->spans.taken;
    }
    for (int i = 0; i < FAULT_CALL_COUNT; i++)
        look.calls[i] = fault_calls(i);
    return look;
}

struct fault {
    enum fault_call call;
    unsigned nth, times;
    int error;
};

/* Twice: while the kernel refuses, and after. */
static void play(const struct scene *scene, const struct fault *fault)
{
    merlon_free(merlon_malloc(1));
    struct look before = look();
    if (fault) {
        refusing = true;
        fault_arm(fault->call, fault->nth, fault->times, fault->error);
    }
    scene->play();
    struct look first = look();
    fault_disarm();
    refusing = false;
    shadow_verify_all(&shadow);
    scene->play();
    shadow_verify_all(&shadow);
    put_all();
    scene->play();
    put_all();
    /* The same spans in the quarantine in every case. */
    for (int i = 0; i < 80; i++) {
        get(300 * KIB);
        put(0);
    }
    merlon_malloc_trim(0);
    *shared = look();
    for (int i = 0; i < FAULT_CALL_COUNT; i++)
        shared->calls[i] = first.calls[i] - before.calls[i];
    shared->live_count -= before.live_count;
    shared->live_bytes -= before.live_bytes;
}

/* The child's end; false when it was not a good one. */
static bool play_apart(const struct scene *scene, const struct fault *fault)
{
    int status;

    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        play(scene, fault);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status == 0;
}

/*
 * What the kernel may have taken away, and will not say, is given up: where all
 * calls are refused from the second half of a move on, the object that pages
 * were to be moved to (os_move.c). One, for then there is no first half again.
 */
static size_t may_be_lost(const struct scene *scene, const struct fault *f)
{
    bool moves = scene->play == play_realloc && f->times == UINT_MAX;

    return moves && shared->live_count == 1 ? shared->live_bytes : 0;
}

static void must_be_as(const struct scene *scene, const struct fault *f,
                       const struct look *wanted)
{
    bool played = play_apart(scene, f);
    size_t lost = may_be_lost(scene, f);

    /* Its granules are a power of two. */
    ck_assert_msg(played && shared->live_bytes == lost
                      && (lost != 0 || shared->live_count == 0)
                      && shared->mapped <= wanted->mapped + lost
                      && shared->span_granules <= wanted->span_granules
                          + 2 * (lost >> GRANULE_SHIFT),
                  "%s, %s %u (%u times) says %s: %s; %zu objects, %zu bytes "
                  "live, %zu bytes more mapped, %zu more granules of spans",
                  scene->name, fault_call_name[f->call], f->nth, f->times,
                  strerrorname_np(f->error), played ? "played" : "died",
                  shared->live_count, shared->live_bytes,
                  shared->mapped - wanted->mapped,
                  shared->span_granules - wanted->span_granules);
}

START_TEST(every_call_refused)
{
    const struct scene *scene = &scenes[_i];
    unsigned cases = 0;
    size_t refusals = 0;

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(shared != MAP_FAILED);
    ck_assert(play_apart(scene, NULL));
    struct look wanted = *shared;
    ck_assert_uint_eq(wanted.live_count, 0);
    for (unsigned call = 0; call < FAULT_CALL_COUNT; call++) {
        unsigned last = (unsigned)wanted.calls[call];
        for (unsigned n = 1; n <= last; n += 1 + n / (suite_full() ? 60 : 4))
            for (unsigned e = 0; e < FAULT_ERRORS; e++) {
                struct fault fault = {call, n, e & 1 ? 1 : UINT_MAX,
                                      fault_errors[(e + n) % FAULT_ERRORS]};
                /* Of the five errnos two by turns, once and for good. */
                if (!suite_full() && (e > 1 || (call == FAULT_ANY && e > 0)))
                    break;
                must_be_as(scene, &fault, &wanted);
                cases++;
                refusals += shared->nulls;
            }
    }
    printf("# %s: %u cases, %zu times NULL\n", scene->name, cases, refusals);
    fflush(stdout);
    munmap(shared, sizeof *shared);
}
END_TEST

/* ---- the beginning of a process ---- */

/* A program of its own: the fault is armed before merlon starts. */
static int be_start(void)
{
    size_t failed = 0;

    refusing = true;
    for (int i = 0; i < 3; i++) {
        errno = 0;
        void *p = merlon_malloc(100);
        if (!p && errno != ENOMEM)
            return 3;
        failed += p == NULL;
        merlon_free(p);
    }
    unsigned hits = fault_hits();
    fault_disarm();
    refusing = false;
    play_small();
    put_all();
    struct look end = look();
    if (end.live_count != 0)
        return 4;
    printf("%zu %zu %u", end.mapped, failed, hits);
    for (int i = 0; i < FAULT_CALL_COUNT; i++)
        printf(" %lu", end.calls[i]);
    putchar('\n');
    return 0;
}

struct start {
    size_t mapped, failed;
    unsigned hits;
    unsigned long calls[FAULT_CALL_COUNT];
};

static char self[4096];

static struct start start_with(const char *fault)
{
    char command[sizeof self + 200];
    struct start start = {0};

    snprintf(command, sizeof command, FAULT_VARIABLE "='%s' timeout 60 "
             "'%s' start", fault, self);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    int got = fscanf(pipe, "%zu %zu %u", &start.mapped, &start.failed,
                     &start.hits);
    for (int i = 0; i < FAULT_CALL_COUNT; i++)
        got += fscanf(pipe, "%lu", &start.calls[i]);
    int status = pclose(pipe);
    ck_assert_msg(status == 0 && got == 3 + FAULT_CALL_COUNT,
                  "with the fault %s: status %#x, %d numbers", fault, status,
                  got);
    return start;
}

START_TEST(start_refused)
{
    struct start wanted = start_with("99,0,0,0");
    unsigned cases = 0;
    size_t failed = 0;

    ck_assert_uint_eq(wanted.failed, 0);
    for (unsigned call = 0; call < FAULT_CALL_COUNT; call++) {
        /* Of all calls the first ones only are the start's. */
        unsigned last = (unsigned)wanted.calls[call];
        unsigned most = suite_full() ? 40 : 12;
        for (unsigned n = 1; n <= last && n <= most; n++)
            for (unsigned e = 0; e < FAULT_ERRORS; e++) {
                char fault[64];
                if (!suite_full() && (e + n) % FAULT_ERRORS > 1)
                    continue;
                snprintf(fault, sizeof fault, "%u,%u,%u,%d", call, n,
                         (e + n) & 1 ? 1 : UINT_MAX, fault_errors[e]);
                struct start start = start_with(fault);
                /* What munmap refuses cannot be given back. */
                ck_assert_msg(call == FAULT_MUNMAP || call == FAULT_ANY
                                  || start.mapped <= wanted.mapped,
                              "with the fault %s: %zu bytes are mapped, "
                              "without it %zu",
                              fault, start.mapped, wanted.mapped);
                failed += start.failed;
                cases++;
            }
    }
    printf("# start: %u cases, %zu times NULL\n", cases, failed);
    fflush(stdout);
    ck_assert_uint_gt(failed, 0);
}
END_TEST

/* ---- limits ---- */

/* Until there is none: how many bytes there were. */
static size_t take_all(size_t bytes)
{
    size_t before = shadow.bytes;

    refusing = true;
    while (shadow.count < SHADOW_OBJECTS - 10 && get(bytes))
        ;
    return shadow.bytes - before;
}

static int be_exhausted(void)
{
    size_t first = 0, second = 0;

    for (int round = 0; round < 3; round++) {
        size_t all = take_all(200 * KIB) + take_all(MIB);
        if (nulls == 0)
            shadow_fail("%zu bytes, and no end of it", all);
        /* The old object is kept where a larger one cannot be had. */
        for (size_t i = 0; i < 10 && i < shadow.count; i++)
            resize(i, 900 * KIB);
        shadow_verify_all(&shadow);
        put_all();
        first = round ? first : all;
        second = all;
        merlon_malloc_trim(0);
        /* Addresses of a class stay with it under isolation. */
        for (int i = 0; i < 20; i++) {
            void *p = get(CLASS_ISOLATION ? 200 * KIB : 1000);
            shadow_must(p != NULL);
        }
        put_all();
    }
    printf("%zu %zu\n", first, second);
    return second < first / 2;
}

static void exhaust_with(const char *limits)
{
    char command[sizeof self + 200];
    size_t first = 0, last = 0;

    snprintf(command, sizeof command, "ulimit %s; timeout 100 '%s' exhaust",
             limits, self);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    int got = fscanf(pipe, "%zu %zu", &first, &last);
    int status = pclose(pipe);
    printf("# ulimit %s: %zu MiB, in the third round %zu MiB\n", limits,
           first / MIB, last / MIB);
    fflush(stdout);
    ck_assert_msg(status == 0 && got == 2 && first >= 8 * MIB,
                  "ulimit %s: status %#x, first %zu, then %zu bytes", limits,
                  status, first, last);
}

START_TEST(address_space_runs_out)
{
    exhaust_with("-v 262144");
    exhaust_with("-v 1000000");
}
END_TEST

START_TEST(data_limit_reached)
{
    exhaust_with("-d 65536");
}
END_TEST

/* The kernel's own limit on mappings, reached by the program. */
START_TEST(mappings_run_out)
{
    enum { PAGES = 2 * 65536 };
    size_t page = os_page_bytes();

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *many = mmap(NULL, PAGES * page, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ck_assert(shared != MAP_FAILED && many != MAP_FAILED);
    int status;
    pid_t child = fork();
    if (child == 0) {
        size_t taken = 0;
        merlon_free(merlon_malloc(1));
        while (taken < PAGES
               && mprotect(many + taken * page, page, PROT_READ) == 0)
            taken += 2;
        shadow_must(taken < PAGES);
        refusing = true;
        for (int i = 0; i < SCENES - 1; i++)
            scenes[i].play();
        shadow_verify_all(&shadow);
        size_t refused = nulls;
        munmap(many, PAGES * page);
        refusing = false;
        for (int i = 0; i < SCENES - 1; i++)
            scenes[i].play();
        put_all();
        *shared = look();
        shared->nulls = refused;
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    printf("# mappings: %zu times NULL\n", shared->nulls);
    fflush(stdout);
    ck_assert_msg(status == 0 && shared->live_count == 0,
                  "status %#x, %zu objects are lost", status,
                  shared->live_count);
    munmap(many, PAGES * page);
    munmap(shared, sizeof *shared);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("faults");
    TCase *refused = tcase_create("refused");
    tcase_set_timeout(refused, suite_full() ? 3600 : 240);
    tcase_add_loop_test(refused, every_call_refused, 0, SCENES);
    tcase_add_test(refused, start_refused);
    suite_add_tcase(suite, refused);
    TCase *limits = tcase_create("limits");
    tcase_set_timeout(limits, 120);
    tcase_add_test(limits, address_space_runs_out);
    tcase_add_test(limits, data_limit_reached);
    tcase_add_test(limits, mappings_run_out);
    suite_add_tcase(suite, limits);
    return suite;
}

static int play_here(char **argv)
{
    struct fault fault = {(enum fault_call)atoi(argv[1]),
                          (unsigned)strtoul(argv[2], NULL, 10),
                          (unsigned)strtoul(argv[3], NULL, 10),
                          atoi(argv[4])};
    static struct look seen;

    shared = &seen;
    play(&scenes[atoi(argv[0]) % SCENES], &fault);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "play") == 0)
        return play_here(argv + 2);
    if (argc == 2 && strcmp(argv[1], "start") == 0)
        return be_start();
    if (argc == 2 && strcmp(argv[1], "exhaust") == 0)
        return be_exhausted();
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length > 0)
        self[length] = 0;
    return suite_main(argc, argv, make);
}
