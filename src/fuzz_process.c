/* SPDX-License-Identifier: MIT */
/*
 * fuzz_process.c - start, threads and fork of libmerlon-fuzz.
 */
#include "fuzz_process.h"

#include <errno.h>
#include <pthread.h>

#include "merlon/fuzz.h"
#include "options.h"

enum { COLD_START, STARTING, RUNNING };

static uint32_t state;
static uint32_t next_lane, marked_lane;

/* What is this thread's. */
struct seat {
    struct lane *lane;
    uint32_t thread;
    uint32_t epoch; /* in which the thread's number was asked for */
};
static _Thread_local struct seat seat
    __attribute__((tls_model("initial-exec")));

static bool start(void)
{
    const struct fuzz_options *options;
    uint32_t seed;
    bool moved;

    die_remember_output();
    options_read();
    options = options_get()->fuzz;
    if (!entropy_start())
        return false;
    seed = options->seed;
    if (!options->seeded)
        entropy_fill(&seed, sizeof seed);
    if (!place_start(seed, options->budget_bytes, options->stacks, &moved))
        return false;
    if (moved && options->seeded) {
        static const char line[] = "merlon: the seed's addresses are taken: "
            "addresses will not repeat\n";
        die_write(line, sizeof line - 1);
    }
    if (options->faults)
        os_catch_faults(fuzz_explain);
    return true;
}

static COLD bool process_start(void)
{
    uint32_t seen = COLD_START;

    /* Acquire: whoever sees RUNNING sees what start() wrote. */
    if (__atomic_compare_exchange_n(&state, &seen, STARTING, false,
                                    __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
        int saved = errno;
        bool started = start();
        errno = saved;
        __atomic_store_n(&state, started ? RUNNING : COLD_START,
                         __ATOMIC_RELEASE);
        return started;
    }
    /* Once in a process, and before most have a second thread. */
    while (__atomic_load_n(&state, __ATOMIC_ACQUIRE) == STARTING)
        cpu_relax();
    return __atomic_load_n(&state, __ATOMIC_ACQUIRE) == RUNNING;
}

static COLD void sit_down(void)
{
    if (!seat.lane) {
        uint32_t number = __atomic_fetch_add(&next_lane, 1, __ATOMIC_RELAXED);
        seat.lane = &fuzz_window.lane[number % fuzz_window.lane_count];
    }
    seat.thread = os_thread_id();
    seat.epoch = fuzz_window.epoch;
}

struct lane *fuzz_enter(void)
{
    if (unlikely(__atomic_load_n(&state, __ATOMIC_ACQUIRE) != RUNNING)
        && !process_start())
        return NULL;
    if (unlikely(seat.epoch != fuzz_window.epoch))
        sit_down();
    struct lane *lane = seat.lane;
    while (unlikely(!lane_claim(lane))) {
        /* A handler that interrupted us, or more threads than lanes. */
        uint32_t next = (lane->number + 1) % fuzz_window.lane_count;
        lane = &fuzz_window.lane[next];
        cpu_relax();
    }
    lane->thread = seat.thread;
    return lane;
}

void fuzz_leave(struct lane *lane)
{
    lane_release(lane);
}

/* --- the public functions ----------------------------------------------- */

size_t merlon_fuzz_reset(int how)
{
    struct fuzz_call call = { "merlon_fuzz_reset", __builtin_return_address(0),
                             __builtin_frame_address(0) };
    struct lane *lane = fuzz_enter();
    size_t count = 0;

    if (!lane)
        return 0;
    fuzz_verify(lane, call);
    if (how & MERLON_FUZZ_MARK)
        fuzz_mark();
    else
        count = fuzz_return(lane, how & MERLON_FUZZ_DROP, call);
    /* Threads to come get the same lanes again. */
    if (how & MERLON_FUZZ_MARK || marked_lane == 0)
        marked_lane = next_lane;
    next_lane = marked_lane;
    fuzz_leave(lane);
    return count;
}

size_t merlon_fuzz_verify(void)
{
    struct fuzz_call call = { "merlon_fuzz_verify", __builtin_return_address(0),
                             __builtin_frame_address(0) };
    struct lane *lane = fuzz_enter();
    size_t count;

    if (!lane)
        return 0;
    count = fuzz_verify(lane, call);
    fuzz_leave(lane);
    return count;
}

unsigned merlon_fuzz_seed(void)
{
    struct lane *lane = fuzz_enter();

    if (lane)
        fuzz_leave(lane);
    return fuzz_window.seed;
}

/* --- fork and exit ------------------------------------------------------ */

/* Lanes that other threads of the parent had claimed are free in the child. */
static void in_child(void)
{
    fuzz_window.epoch++;
}

__attribute__((constructor)) static void start_early(void)
{
    if (fuzz_enter())
        fuzz_leave(seat.lane);
    pthread_atfork(NULL, NULL, in_child);
}

/* The last look: at what was never freed. */
__attribute__((destructor)) static void at_exit(void)
{
    struct fuzz_call call = { "exit", NULL, NULL };

    if (__atomic_load_n(&state, __ATOMIC_ACQUIRE) != RUNNING)
        return;
    fuzz_verify(NULL, call);
    if (options_get()->fuzz->leaks)
        fuzz_list_leaks();
}
