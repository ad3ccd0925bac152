/* SPDX-License-Identifier: MIT */
/*
 * stopped.c - a thread that is stopped inside the allocator, at any
 * instruction, while its process is forked.
 *
 * Every prefix of a thread's stores must be a state that a child can live with.
 * So the worker runs with the processor's trap flag set: after each instruction
 * of merlon's the kernel sends it SIGTRAP, and its handler may hold it there
 *
 *   - while another thread forks. The child, in which the worker does not
 *     exist, allocates of every class, verifies and frees what the worker had
 *     made, allocates again, buries (one in four), and may not need more
 *     granules from round to round.
 *   - or it forks itself (_Fork). The child returns into the interrupted call,
 *     goes on, ends all, and accounts for every object.
 *
 * The worker plays several heaps, so that frees are messages, slabs are claimed
 * and heaps end while it is stepped. Each place in the code is stopped at a few
 * times at most. In a plain run a random choice of the places, by
 * MERLON_TEST_SEED, within some seconds; with MERLON_TEST_FULL=1 all that the
 * calls come by. MERLON_TEST_PLACES=A-B (offsets in the program, as printed):
 * only between these, often.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "arena.h"
#include "face.h"
#include "process.h"
#include "thread.h"

#include "stopped.h"

/* glibc has it from 2.34 on. */
extern pid_t _Fork(void) __attribute__((weak));

enum {
    HEAPS = 3,
    RESIDENT = 12 * MIB,
    STOPS_PLAIN = 1000,
};

#if defined(__x86_64__)

static struct heap *heaps[HEAPS];
static unsigned visits_max, one_in, bad;
static int bad_status;
static double until;
static bool is_child;

static int status_of(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* ---- stopping ---- */

enum { TRAP_FLAG = 0x100 };

/*
 * The C library is not stepped: a memset would be a trap for each byte. On
 * entry the return address is exchanged for this, which goes on stepping.
 */
void stopped_resume(void);
uintptr_t stopped_back_to;
__asm__(".text\n"
        "stopped_resume: pushfq\n"
        "orq $0x100, (%rsp)\n"
        "popfq\n"
        "jmp *stopped_back_to(%rip)\n");

extern char __executable_start[], etext[];
static uint8_t *visits;
static size_t first_place, last_place;
static sem_t held, forked;
static atomic_bool over;
static struct rng choice;
static unsigned long stops, steps;

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) != 0)
        ;
}

static void *fork_when_told(void *arg)
{
    while (wait_for(&held), !atomic_load(&over)) {
        pid_t pid = stops % 3 == 0 && _Fork ? _Fork() : fork();
        if (pid == 0)
            live_as_child(stops % 4 == 1);
        int status = pid < 0 ? -1 : status_of(pid);
        if (status != 0) {
            bad++;
            bad_status = status;
        }
        sem_post(&forked);
    }
    return arg;
}

static bool is_ours(uintptr_t at)
{
    return at - (uintptr_t)__executable_start
        < (uintptr_t)(etext - __executable_start);
}

static void skip(greg_t *registers)
{
    uintptr_t *top = (uintptr_t *)registers[REG_RSP];

    if (!is_ours(*top))
        return;
    stopped_back_to = *top;
    *top = (uintptr_t)stopped_resume;
    registers[REG_EFL] &= ~TRAP_FLAG;
}

static void on_step(int number, siginfo_t *info, void *context)
{
    ucontext_t *c = context;
    size_t at = (size_t)c->uc_mcontext.gregs[REG_RIP]
        - (size_t)__executable_start;
    int saved = errno;

    (void)number;
    (void)info;
    steps++;
    if (!is_ours(c->uc_mcontext.gregs[REG_RIP])) {
        skip(c->uc_mcontext.gregs);
        return;
    }
    if (is_child || at < first_place || at >= last_place
        || visits[at] >= visits_max || rng_below(&choice, one_in) != 0)
        return;
    if (bad != 0 || (!suite_full() && stops >= STOPS_PLAIN)
        || suite_seconds() > until) {
        c->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
        return;
    }
    visits[at]++;
    stops++;
    if (stops % 8 == 7 && _Fork) {
        pid_t pid = _Fork();
        if (pid == 0) {
            is_child = true;
            alarm(CHILD_SECONDS);
            c->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
            errno = saved;
            return;
        }
        int status = status_of(pid);
        bad += status != 0;
        bad_status = status != 0 ? status : bad_status;
    } else {
        sem_post(&held);
        wait_for(&forked);
    }
    if (bad == 1 && bad_status != 0) {
        static char text[100];
        int length = snprintf(text, sizeof text,
                              "# stopped at %#zx of the program: %#x\n", at,
                              (unsigned)bad_status);
        bad_status = write(1, text, (size_t)length) > 0 ? 0 : bad_status;
    }
    errno = saved;
}

static void step(bool on)
{
    if (is_child)
        return;
    if (on)
        __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory",
                         "cc");
    else
        __asm__ volatile("pushfq; andq $-0x101, (%%rsp); popfq" ::: "memory",
                         "cc");
}

/* ---- the worker ---- */

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    if (is_child)
        _exit(NOT_WHOLE);
    ck_abort_msg("%s", what);
}

static struct heap *own;

static void enter(unsigned which)
{
    merlon_thread_heap = heaps[which];
}

static void end_heap(unsigned which)
{
    struct heap *heap = heaps[which];

    merlon_thread_heap = own;
    step(true);
    __atomic_store_n(&heap->generation, 0, __ATOMIC_RELAXED);
    heap_close(heap);
    heap = heap_open();
    step(false);
    must(heap != NULL, "no heap");
    __atomic_store_n(&heap->generation, process_generation(),
                     __ATOMIC_RELAXED);
    heaps[which] = heap;
}

static size_t pick_size(struct rng *rng)
{
    return rng_below(rng, 12) == 0 ? 260 * KIB + rng_below(rng, 200 * KIB)
        : rng_size(rng, rng_below(rng, 3) ? 11 : 18);
}

/* What is stepped is merlon; filling and verifying is not. */
static void exchange(struct rng *rng, size_t at, size_t bytes)
{
    struct block *old = atomic_exchange(&table[at], NULL);

    must(!old || block_is_whole(old), "overwritten");
    if (bytes < sizeof *old)
        bytes = sizeof *old;
    step(true);
    m.free(old);
    struct block *block = rng->state & 64 ? m.calloc(bytes, 1)
        : m.malloc(bytes);
    step(false);
    must(block != NULL, "no memory");
    block->bytes = bytes;
    block->tag = rng_next(rng);
    pattern_fill(block->contents, bytes - sizeof *block, block->tag);
    atomic_store(&table[at], block);
}

static void resize(struct rng *rng, size_t at, size_t bytes)
{
    struct block *block = atomic_exchange(&table[at], NULL);

    if (!block)
        return;
    if (bytes < sizeof *block)
        bytes = sizeof *block;
    step(true);
    block = m.realloc(block, bytes);
    step(false);
    must(block != NULL, "no memory");
    size_t kept = (bytes < block->bytes ? bytes : block->bytes)
        - sizeof *block;
    must(pattern_holds(block->contents, kept, block->tag), "realloc");
    block->bytes = bytes;
    block->tag = rng_next(rng);
    pattern_fill(block->contents, bytes - sizeof *block, block->tag);
    atomic_store(&table[at], block);
}

/* One class until slabs fill, go to sleep, wake and empty. */
static void many(struct rng *rng)
{
    size_t bytes = rng_size(rng, 14);
    size_t count = size_min(TABLE, 2 * MIB / (bytes + 64));
    unsigned other = (unsigned)rng_below(rng, HEAPS);

    for (size_t i = 0; i < count; i++)
        exchange(rng, i, bytes);
    enter(other);
    for (size_t i = 0; i < count; i++) {
        struct block *block = atomic_exchange(&table[(i * 7) % TABLE], NULL);
        step(true);
        m.free(block);
        step(false);
    }
}

static void look_after(struct rng *rng, unsigned which)
{
    struct heap *heap = heaps[which];

    step(true);
    switch (rng_below(rng, 3)) {
    case 0:
        face_trim();
        break;
    case 1:
        heap->last_tick_ms = 0; /* it is time */
        heap->busy++;
        heap_tick(heap);
        heap->busy--;
        break;
    default:
        heap->busy++;
        heap_drain(heap, (struct die_call){.function = "test"});
        heap->busy--;
    }
    step(false);
}

static void operate(struct rng *rng)
{
    unsigned which = (unsigned)rng_below(rng, HEAPS);

    enter(which);
    switch (rng_below(rng, 16)) {
    case 0:
        end_heap(which);
        break;
    case 1: case 2:
        many(rng);
        break;
    case 3:
        look_after(rng, which);
        break;
    case 4: case 5:
        resize(rng, rng_below(rng, TABLE), pick_size(rng));
        break;
    default:
        exchange(rng, rng_below(rng, TABLE), pick_size(rng));
    }
    merlon_thread_heap = own;
}

/* Whoever ends, worker or a child of its own: nothing is lost. */
static size_t end_all(void)
{
    struct face_stats stats;

    for (int i = 0; i < TABLE; i++) {
        struct block *block = atomic_exchange(&table[i], NULL);
        if (!block_end(block))
            _exit(NOT_WHOLE);
    }
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < HEAPS; i++) {
            enter(i);
            face_trim();
        }
        merlon_thread_heap = own;
        face_trim();
    }
    face_gather(&stats, NULL);
    return stats.live_count;
}

static void prepare(void)
{
    struct sigaction action = {.sa_sigaction = on_step,
                               .sa_flags = SA_SIGINFO | SA_RESTART};

    visits = calloc(1, (size_t)(etext - __executable_start));
    visits_max = suite_full() ? 3 : 1;
    one_in = suite_full() ? 1 : 6;
    until = suite_seconds() + (suite_full() ? 1500 : 25);
    last_place = (size_t)(etext - __executable_start);
    const char *places = getenv("MERLON_TEST_PLACES");
    if (places && sscanf(places, "%zx-%zx", &first_place, &last_place) == 2) {
        visits_max = 100;
        one_in = 1;
    }
    choice = rng_make(77);
    sem_init(&held, 0, 0);
    sem_init(&forked, 0, 0);
    sigaction(SIGTRAP, &action, NULL);
    m.free(m.malloc(1));
    own = merlon_thread_heap;
    for (unsigned i = 0; i < HEAPS; i++) {
        heaps[i] = heap_open();
        ck_assert_ptr_nonnull(heaps[i]);
        heaps[i]->generation = process_generation();
    }
}

START_TEST(stopped_while_another_forks)
{
    struct rng rng = rng_make(78);
    pthread_t forker;
    struct face_stats before;
    unsigned long found = 1, idle = 0;

    prepare();
    face_trim();
    face_gather(&before, NULL);
    size_t resident = suite_rss_bytes();
    ck_assert_int_eq(pthread_create(&forker, NULL, fork_when_told, NULL), 0);
    /* Until there is nothing new for long, or time is up. */
    while (bad == 0 && !is_child && idle < 1500 && suite_seconds() < until
           && (suite_full() || stops < STOPS_PLAIN)) {
        operate(&rng);
        idle = found == stops ? idle + 1 : 0;
        found = stops;
    }
    if (is_child)
        _exit(end_all() == before.live_count ? FINE : LOST);
    atomic_store(&over, true);
    sem_post(&held);
    pthread_join(forker, NULL);
    printf("# stopped %lu times in %lu instructions\n", stops, steps);
    fflush(stdout);
    ck_assert_uint_eq(bad, 0);
    ck_assert_uint_eq(end_all(), before.live_count);
    size_t now = suite_rss_bytes();
    ck_assert_msg(now <= resident + RESIDENT, "%zu KiB stay resident",
                  (now - resident) / KIB);
    ck_assert_uint_gt(stops, 0);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("stopped");
    TCase *stopped = tcase_create("stopped");

    tcase_set_timeout(stopped, suite_full() ? 1800 : 120);
    tcase_add_test(stopped, stopped_while_another_forks);
    suite_add_tcase(suite, stopped);
    return suite;
}

int main(int argc, char **argv)
{
    /* ThreadSanitizer keeps signals for itself. */
    if (SUITE_TSAN)
        return 77;
    return suite_main(argc, argv, make);
}

#else

int main(void)
{
    fputs("stopped: only where the processor can trap each step\n", stderr);
    return 77;
}

#endif
