/* SPDX-License-Identifier: MIT */
/*
 * process.c - start order, sealing, fork.
 */
#include "process.h"

#include <errno.h>
#include <pthread.h>

#include "arena.h"
#include "aside.h"
#include "options.h"
#include "os.h"
#include "thread.h"

/* Other values: the number of the process that is starting merlon, or 1 if
   there is no thread beside the one that does. */
#define COLD_START UINT32_C(0)
#define ALONE UINT32_C(1)
#define RUNNING PROCESS_RUNNING
#define ASIDE (UINT32_MAX - 1)

enum {
    SPINS_PER_LOOK = 10000,
    /* Burying a heap writes to pages that parent and child share: a child that
       lives shortly must not pay for it. */
    BURIAL_PATIENCE = 1000,
};

uint32_t process_state EARLY;
#define state process_state
static uint64_t generations_drawn; /* only grows */
static uint32_t next_to_bury; /* heap number */
static uint32_t patience;     /* slow calls before the first burial */

/* On a page of its own, all zero in the child of a fork. */
static union {
    struct {
        uint64_t generation;   /* of this process; 0: not noticed yet */
        struct heap *survivor; /* of the thread that forked */
        uint32_t buries;       /* there are heaps to give away */
    };
    uint8_t page[ABI_PAGE_BYTES];
} wiped_page __attribute__((aligned(ABI_PAGE_BYTES)));
#define wiped (&wiped_page)

void process_watch_forks(void)
{
    static bool watched;

    /* Relaxed: asking twice does no harm. */
    if (!__atomic_exchange_n(&watched, true, __ATOMIC_RELAXED))
        os_wipe_on_fork(wiped, sizeof *wiped);
}

/* What never changes from now on. */
static void seal(void)
{
    void *page = &merlon_sealed_page;

    if (!SEALED_STATE)
        return;
    os_protect_read(page, sizeof merlon_sealed_page);
    if (options_get()->seal)
        os_seal(page, sizeof merlon_sealed_page);
}

/* The state that follows. */
static uint32_t start(void)
{
    /* But for sealing, when a fork interrupted it. */
    static EARLY bool complete;

    if (complete) {
        seal();
        return RUNNING;
    }
    die_remember_output();
    options_read();
    if (aside_detect())
        return ASIDE;
    if (!entropy_start() || !arena_start() || !thread_start())
        return COLD_START;
    if (SAMPLING && options_get()->guard_signals && options_get()->sample != 0)
        sample_catch_faults();
    complete = true;
    seal();
    return RUNNING;
}

bool process_start(void)
{
    uint32_t seen = __atomic_load_n(&state, __ATOMIC_ACQUIRE);
    uint32_t self, waited = 0;
    int saved = errno;

    if (seen >= ASIDE)
        return seen == RUNNING;
    self = os_is_alone() ? ALONE : os_process_id();
    /* Acquire: whoever sees RUNNING sees everything that start() wrote. */
    for (; seen < ASIDE; seen = __atomic_load_n(&state, __ATOMIC_ACQUIRE)) {
        /* Another thread starts merlon: microseconds, once in a process. But
           if this is a child forked meanwhile, that thread is not here. */
        if (seen == self || (seen != COLD_START
                             && ++waited % SPINS_PER_LOOK != 0)) {
            cpu_relax();
            continue;
        }
        if (__atomic_compare_exchange_n(&state, &seen, self, false,
                                        __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
            uint32_t next = start();
            __atomic_store_n(&state, next, __ATOMIC_RELEASE);
            errno = saved;
            return next == RUNNING;
        }
    }
    return seen == RUNNING;
}

bool process_find_aside(void)
{
    return !process_start()
        && __atomic_load_n(&state, __ATOMIC_ACQUIRE) == ASIDE;
}

/* Several threads of the child may come here at once, each with a number of its
   own: one of these becomes the child's. */
static COLD uint64_t notice_fork(void)
{
    uint64_t mine = __atomic_add_fetch(&generations_drawn, 1,
                                       __ATOMIC_RELAXED);
    uint64_t seen = 0;

    /* Relaxed: it is compared with itself only. */
    if (__atomic_compare_exchange_n(&wiped->generation, &seen, mine, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return mine;
    return seen;
}

uint64_t process_generation(void)
{
    uint64_t mine = __atomic_load_n(&wiped->generation, __ATOMIC_RELAXED);

    return likely(mine != 0) ? mine : notice_fork();
}

/* Did its thread stay behind in the parent? Of this process' threads, the one
   that forked alone may have a heap of an older generation. */
static bool is_left_over(const struct heap *heap)
{
    uint64_t born = __atomic_load_n(&heap->generation, __ATOMIC_RELAXED);

    return heap != wiped->survivor && born != 0
        && born < process_generation() && heap->busy == 0;
}

/*
 * The heaps of threads that the child does not have. One that was caught in
 * a slow path is left alone for ever: its live objects stay valid and can be
 * freed, its free memory is given up.
 */
void process_bury_one(struct heap *mine)
{
    /* Relaxed: set while there was one thread. */
    if (likely(!__atomic_load_n(&wiped->buries, __ATOMIC_RELAXED)))
        return;
    uint32_t id = __atomic_load_n(&next_to_bury, __ATOMIC_RELAXED);
    /* Relaxed: only a delay; a lost count does not matter. */
    uint32_t left = __atomic_load_n(&patience, __ATOMIC_RELAXED);
    if (left != 0) {
        __atomic_store_n(&patience, left - 1, __ATOMIC_RELAXED);
        return;
    }
    if (id > heap_count()) {
        __atomic_store_n(&wiped->buries, 0, __ATOMIC_RELAXED);
        return;
    }
    if (!__atomic_compare_exchange_n(&next_to_bury, &id, id + 1, false,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return;
    struct heap *heap = heap_of_id(id);
    if (heap != mine && is_left_over(heap)) {
        __atomic_store_n(&heap->generation, 0, __ATOMIC_RELAXED);
        heap_close(heap);
    }
}

/*
 * The usual handler, while there is one thread. It tells who survived: without
 * it (_Fork, clone) keys are drawn anew all the same, but nothing is buried,
 * since nobody could tell the sleeping survivor's heap from the others'. It
 * also wipes where the kernel did not (emulators, old kernels).
 */
static void in_child(void)
{
    wiped->generation = 0;
    wiped->survivor = merlon_thread_heap;
    wiped->buries = 1;
    next_to_bury = 1;
    patience = BURIAL_PATIENCE;
}

/*
 * Most programs have allocated long before. But where none has, start now,
 * while there is one thread: a fork in the middle of the start would leave a
 * lock of libsodium held for ever in the child. Registering is not for start()
 * itself: it may allocate.
 */
__attribute__((constructor)) static void start_early(void)
{
    process_start();
    pthread_atfork(NULL, NULL, in_child);
}
