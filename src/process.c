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

uint32_t process_state;
#define state process_state
static uint64_t generation = 1;
static uint32_t next_to_bury; /* heap number; 0: nothing to bury */
static uint32_t patience;     /* slow calls before the first burial */

/* Zero in the child of a fork. On a page of its own, for that. */
static union {
    uint64_t word;
    uint8_t page[ABI_PAGE_BYTES];
} forked __attribute__((aligned(ABI_PAGE_BYTES)));
static uint64_t *const fork_word = &forked.word;

void process_watch_forks(void)
{
    static bool watched;

    /* Relaxed: asking twice does no harm. */
    if (!__atomic_exchange_n(&watched, true, __ATOMIC_RELAXED))
        os_wipe_on_fork(&forked, sizeof forked);
}

/* Two pages, each after the other as the linker had it. */
static void seal(void)
{
    uintptr_t options = (uintptr_t)options_get(), map = (uintptr_t)MAP;
    uintptr_t first = options < map ? options : map;

    if (options + map - 2 * first == ABI_PAGE_BYTES) {
        os_protect_read((void *)first, 2 * ABI_PAGE_BYTES);
    } else {
        os_protect_read((void *)options, ABI_PAGE_BYTES);
        os_protect_read((void *)map, ABI_PAGE_BYTES);
    }
}

/* The state that follows. */
static uint32_t start(void)
{
    die_remember_output();
    options_read();
    if (aside_detect())
        return ASIDE;
    if (!entropy_start() || !arena_start() || !thread_start())
        return COLD_START;
    *fork_word = 1;
    if (SEALED_STATE)
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

uint64_t process_generation(void)
{
    if (unlikely(__atomic_load_n(fork_word, __ATOMIC_RELAXED) == 0)) {
        /* The child has one thread: this one. */
        *fork_word = 1;
        generation++;
        next_to_bury = 1;
        patience = BURIAL_PATIENCE;
    }
    return generation;
}

/*
 * The heaps of threads that the child does not have. One that was caught in
 * a slow path is left alone for ever: its live objects stay valid and can be
 * freed, its free memory is given up.
 */
void process_bury_one(struct heap *mine)
{
    uint32_t id = __atomic_load_n(&next_to_bury, __ATOMIC_RELAXED);

    if (likely(id == 0))
        return;
    /* Relaxed: only a delay; a lost count does not matter. */
    uint32_t left = __atomic_load_n(&patience, __ATOMIC_RELAXED);
    if (left != 0) {
        __atomic_store_n(&patience, left - 1, __ATOMIC_RELAXED);
        return;
    }
    if (id > heap_count()) {
        __atomic_store_n(&next_to_bury, 0, __ATOMIC_RELAXED);
        return;
    }
    if (!__atomic_compare_exchange_n(&next_to_bury, &id, id + 1, false,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return;
    struct heap *heap = heap_of_id(id);
    if (heap != mine && heap->generation != 0
        && heap->generation < generation && heap->busy == 0) {
        heap->generation = 0;
        heap_close(heap);
    }
}

/* Where WIPEONFORK has no effect (emulators, old kernels) the usual handler
   does its work, if fork is called by that name. */
static void in_child(void)
{
    *fork_word = 0;
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
