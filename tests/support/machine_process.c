/* SPDX-License-Identifier: MIT */
/*
 * machine_process.c - forks at any point of a run, and threads that end.
 *
 * In the child of a fork only one actor lives on: the others are threads that
 * are not there any more, with their heaps as they were. The child goes on with
 * the same feed, frees everything, and its parent looks how it ended.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "face.h"
#include "machine.h"
#include "os.h"
#include "process.h"
#include "sample.h"
#include "thread.h"

enum {
    FORKS_MAX = 3,
    CHILD_OPERATIONS = 24,
    CHILD_SECONDS = 20,
    THREAD_OBJECTS = 64,
    IDLE_BYTES_MAX = 64 << 20,
    LIMIT_BYTES = 1 << 30,
    BURIALS = 1100, /* slow calls after which a child buries: process.c */
};

/* Written at exit otherwise; there only in a build that counts lines. */
extern void __gcov_dump(void) __attribute__((weak));

void machine_exit(void)
{
    if (__gcov_dump)
        __gcov_dump();
    _exit(0);
}

/* Slow calls until the child has buried all heaps that are not its own. */
static void be_patient(struct machine *m, unsigned actor)
{
    machine_enter(m, actor);
    for (unsigned i = 0; i < BURIALS + heap_count(); i++)
        merlon_malloc_trim(0);
    machine_leave(m, actor);
}

/* Of the address space, what is mapped. */
static size_t mapped_bytes(void)
{
    char text[64] = "";
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    shadow_must(file >= 0 && read(file, text, sizeof text - 1) > 0);
    close(file);
    return strtoul(text, NULL, 10) * os_page_bytes();
}

/*
 * The child limits its address space, as setrlimit (rlimit.c) does it: what is
 * not used goes back, what lives is as it was, and no record is left of what
 * has gone. It lives on with less.
 */
static void be_limited(struct machine *m, unsigned actor, unsigned how)
{
    const struct arena *arena = arena_at(0);
    size_t limit = how & 64 ? LIMIT_BYTES : SIZE_MAX;
    uintptr_t last = arena->base + arena->span_offset + arena->span_bytes - 1;
    size_t before = mapped_bytes();
    struct os_limit set, was;

    machine_enter(m, actor);
    merlon_malloc_trim(0);
    machine_leave(m, actor);
    size_t idle = arena_limit(limit, IDLE_BYTES_MAX,
                              limit != SIZE_MAX && sample_give_up());
    size_t after = mapped_bytes();
    shadow_must(idle <= IDLE_BYTES_MAX && after <= before);
    if (limit != SIZE_MAX)
        shadow_must(after < before && arena_record(last) == NULL);
    shadow_must(arena_limit(limit, IDLE_BYTES_MAX, false) <= IDLE_BYTES_MAX);
    shadow_verify_all(&m->shadow);
    shadow_must(os_limit(0, RLIMIT_AS, NULL, &was) == 0);
    set = (struct os_limit){after + LIMIT_BYTES, was.hard};
    shadow_must(os_limit(0, RLIMIT_AS, &set, NULL) == 0);
    shadow_must(os_address_space_limit() == after + LIMIT_BYTES);
    shadow_must(os_lock_all(0) == EINVAL && os_memory_bytes() > 0);
}

_Noreturn static void be_child(struct machine *m, unsigned actor,
                               unsigned how)
{
    m->in_child = true;
    alarm(CHILD_SECONDS);
    for (unsigned i = 0; i < MACHINE_ACTORS; i++)
        if (i != actor)
            m->heap[i] = NULL;
    if (how & 32)
        be_limited(m, actor, how);
    if (how & 8)
        be_patient(m, actor);
    machine_operate(m, CHILD_OPERATIONS);
    if (how & 16)
        be_patient(m, actor);
    machine_finish(m);
    machine_exit();
}

static void wait_for(pid_t child)
{
    int status = 0;
    pid_t ended;

    shadow_must(child > 0);
    do
        ended = waitpid(child, &status, 0);
    while (ended < 0 && errno == EINTR); /* a fuzzer has a timer */
    shadow_must(ended == child);
    if (status != 0)
        shadow_fail("the child of a fork ended with %s %d",
                    WIFSIGNALED(status) ? "signal" : "status",
                    WIFSIGNALED(status) ? WTERMSIG(status)
                                        : WEXITSTATUS(status));
}

/* fork, or what does not run its handlers. */
static pid_t fork_somehow(unsigned how)
{
    extern pid_t _Fork(void) __attribute__((weak));

    return how & 4 && _Fork ? _Fork() : fork();
}

void machine_fork(struct machine *m)
{
    unsigned how = feed_u8(m->feed);
    unsigned actor = (unsigned)feed_below(m->feed, m->rules.actors);
    struct heap *heap = m->heap[actor];

    if (m->forks++ >= FORKS_MAX || m->in_child)
        return;
    /* In a signal handler that interrupted the actor. */
    bool busy = (how & 3) == 3 && heap != NULL;
    if (busy)
        heap->busy++;
    pid_t child = fork_somehow(how);
    if (child == 0) {
        if (busy)
            heap->busy--;
        be_child(m, actor, how);
    }
    if (busy)
        heap->busy--;
    wait_for(child);
}

/* ---- threads ---- */

struct work {
    struct machine *machine;
    unsigned how;
    size_t bytes;
    size_t make, end; /* how many objects it makes and frees */
    void *made[THREAD_OBJECTS];
    void *ended[THREAD_OBJECTS];
};

/* A child whose only thread was not the first. */
static void fork_in_thread(const struct work *work)
{
    pid_t child = fork_somehow(work->how);

    if (child == 0) {
        alarm(CHILD_SECONDS);
        for (size_t i = 0; i < work->make; i++)
            merlon_free(work->made[i]);
        for (size_t i = 0; i < 200; i++)
            merlon_free(merlon_malloc(work->bytes));
        machine_exit();
    }
    wait_for(child);
}

static void *run_thread(void *argument)
{
    struct work *work = argument;

    /* First frees: as a thread without a heap of its own. */
    for (size_t i = 0; i < work->end; i++)
        merlon_free(work->ended[i]);
    for (size_t i = 0; i < work->make; i++)
        work->made[i] = merlon_malloc(work->bytes);
    if (work->how & 0x40 && !work->machine->in_child
        && work->machine->forks++ < FORKS_MAX)
        fork_in_thread(work);
    return NULL;
}

void machine_thread(struct machine *m)
{
    struct feed *feed = m->feed;
    struct work work = {.machine = m, .how = feed_u8(feed)};
    pthread_t thread;

    work.make = feed_u8(feed) % THREAD_OBJECTS;
    work.end = feed_u8(feed) % THREAD_OBJECTS;
    work.bytes = feed_size(feed, 18);
    if (m->shadow.count + work.make > SHADOW_OBJECTS - 300
        || work.bytes * work.make > 8 << 20)
        work.make = 0;
    if (work.end > m->shadow.count)
        work.end = m->shadow.count;
    for (size_t i = 0; i < work.end; i++)
        work.ended[i] =
            machine_take(m, feed_below(feed, m->shadow.count)).p;
    shadow_must(pthread_create(&thread, NULL, run_thread, &work) == 0);
    shadow_must(pthread_join(thread, NULL) == 0);
    for (size_t i = 0; i < work.make; i++) {
        machine_call();
        machine_born(m, work.made[i], work.bytes, 16, false);
    }
}
