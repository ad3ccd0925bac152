/* SPDX-License-Identifier: MIT */
/*
 * rlimit.c - setrlimit, prlimit and mlockall, which know what is reserved.
 *
 * Terabytes of address space are nothing, until a program limits it: vsftpd
 * sets RLIMIT_AS to 200 MB in each of its children. The limit is meant for the
 * program's memory. So before it is set merlon gives back what it reserved and
 * does not use, and what it still holds unused, at most 64 MiB, is added to
 * what the kernel is told. getrlimit subtracts it again. Only RLIMIT_AS of the
 * process itself is treated so; what was reserved and never made writable does
 * not count as data.
 *
 * Threads: two that set limits at once get one of them, as without merlon; one
 * of them gives back, and what is added may then be up to 64 MiB too little or
 * too much. What was asked and what the kernel was told are two words for
 * each, read and written without an order: getrlimit answers what was asked
 * if the kernel still has what it was told, else what the kernel says.
 * Nothing here locks or allocates, so it may be called in a signal handler, and
 * in the child of a fork or vfork. (After vfork the parent gives back too,
 * and its limit is not the child's: it loses speed, nothing else.)
 *
 * mlockall takes what is reserved for something to be kept in memory: with all
 * of it there it works for half a minute, and fills page tables of more than a
 * hundred megabytes. So there, too, what is not used is given back before.
 *
 * The kernel is asked directly: to find the C library's functions would take
 * the loader's lock, which the child of a fork may find taken.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "arena.h"
#include "face.h"
#include "os.h"
#include "process.h"
#include "sample.h"

/* Called by name only. Old programs are built with other types than ours. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

#define SYMBOL(name) __asm__(name) MERLON_EXPORT

enum {
    ALLOWANCE_MAX = 64 << 20,
    /* Of what is locked, this much may be of no use. */
    LOCKED_IDLE_MAX = 16 << 20,
};

/* What was asked last, and what the kernel was told for it. */
static struct os_limit asked, told;

static bool is_own(int process)
{
    return process == 0 || (unsigned)process == os_process_id();
}

static uint64_t plus(uint64_t limit, uint64_t allowance)
{
    uint64_t sum;

    return __builtin_add_overflow(limit, allowance, &sum) ? OS_LIMIT_NONE
        : sum;
}

static void store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static uint64_t answer(uint64_t kernel, const uint64_t *was_told,
                       const uint64_t *was_asked)
{
    return kernel == __atomic_load_n(was_told, __ATOMIC_RELAXED)
        ? __atomic_load_n(was_asked, __ATOMIC_RELAXED) : kernel;
}

static void answer_both(struct os_limit *limit)
{
    limit->soft = answer(limit->soft, &told.soft, &asked.soft);
    limit->hard = answer(limit->hard, &told.hard, &asked.hard);
}

/* Bytes to add to the limit, after merlon gave back what it can. */
static uint64_t allowance(const struct os_limit *set)
{
    size_t limit = set->soft < SIZE_MAX ? (size_t)set->soft : SIZE_MAX;

    if (limit != SIZE_MAX)
        face_trim(); /* caches become addresses that nobody uses */
    size_t idle = arena_limit(limit, ALLOWANCE_MAX,
                              limit != SIZE_MAX && sample_give_up());
    return limit == SIZE_MAX ? 0 : idle;
}

/* Without the right to raise it the hard limit stays where it is. */
static int limit_address_space(const struct os_limit *set,
                               struct os_limit *was)
{
    struct os_limit next = *set;
    int error = os_limit(0, RLIMIT_AS, NULL, was);

    if (error == 0 && set->soft > set->hard)
        error = EINVAL;
    if (error != 0)
        return error;
    uint64_t more = allowance(set);
    next.soft = plus(set->soft, more);
    next.hard = plus(set->hard, more);
    error = os_limit(0, RLIMIT_AS, &next, NULL);
    if (error == EPERM && set->hard <= answer(was->hard, &told.hard,
                                              &asked.hard)) {
        next.hard = was->hard;
        next.soft = next.soft < next.hard ? next.soft : next.hard;
        error = os_limit(0, RLIMIT_AS, &next, NULL);
    }
    if (error == 0) {
        answer_both(was);
        store(&asked.soft, set->soft);
        store(&asked.hard, set->hard);
        store(&told.soft, next.soft);
        store(&told.hard, next.hard);
    }
    return error;
}

static int limit(int process, int resource, const struct os_limit *set,
                 struct os_limit *was)
{
    bool ours = resource == RLIMIT_AS && is_own(process) && process_start();
    int error;

    if (ours && set) {
        error = limit_address_space(set, was);
    } else {
        error = os_limit(process, resource, set, was);
        /* Both may be missing: then it was a question whether one may ask. */
        if (ours && error == 0 && was)
            answer_both(was);
    }
    if (error == 0)
        return 0;
    errno = error;
    return -1;
}

/* ---- the names, with 64 bits and with those of rlim_t ------------------- */

static struct os_limit widen(const struct rlimit *narrow)
{
    return (struct os_limit){
        narrow->rlim_cur == RLIM_INFINITY ? OS_LIMIT_NONE : narrow->rlim_cur,
        narrow->rlim_max == RLIM_INFINITY ? OS_LIMIT_NONE : narrow->rlim_max,
    };
}

static void narrow(struct rlimit *out, const struct os_limit *wide)
{
    out->rlim_cur = wide->soft < RLIM_INFINITY ? (rlim_t)wide->soft
        : RLIM_INFINITY;
    out->rlim_max = wide->hard < RLIM_INFINITY ? (rlim_t)wide->hard
        : RLIM_INFINITY;
}

int rlimit_both64(int process, int resource, const struct os_limit *set,
                  struct os_limit *was) SYMBOL("prlimit64");
int rlimit_set64(int resource, const struct os_limit *set)
    SYMBOL("setrlimit64");
int rlimit_get64(int resource, struct os_limit *was) SYMBOL("getrlimit64");
int rlimit_both(int process, int resource, const struct rlimit *set,
                struct rlimit *was) SYMBOL("prlimit");
int rlimit_set(int resource, const struct rlimit *set) SYMBOL("setrlimit");
int rlimit_get(int resource, struct rlimit *was) SYMBOL("getrlimit");

int rlimit_both64(int process, int resource, const struct os_limit *set,
                  struct os_limit *was)
{
    struct os_limit unwanted;

    return limit(process, resource, set, was || !set ? was : &unwanted);
}

int rlimit_set64(int resource, const struct os_limit *set)
{
    return rlimit_both64(0, resource, set, NULL);
}

int rlimit_get64(int resource, struct os_limit *was)
{
    return rlimit_both64(0, resource, NULL, was);
}

int rlimit_both(int process, int resource, const struct rlimit *set,
                struct rlimit *was)
{
    struct os_limit wide_set, wide_was;
    int result;

    if (set)
        wide_set = widen(set);
    result = limit(process, resource, set ? &wide_set : NULL, &wide_was);
    if (result == 0 && was)
        narrow(was, &wide_was);
    return result;
}

int rlimit_set(int resource, const struct rlimit *set)
{
    return rlimit_both(0, resource, set, NULL);
}

int rlimit_get(int resource, struct rlimit *was)
{
    return rlimit_both(0, resource, NULL, was);
}

/* ---- mlockall ----------------------------------------------------------- */

int rlimit_lock(int flags) SYMBOL("mlockall");

int rlimit_lock(int flags)
{
    int error;

    if ((flags & MCL_CURRENT) != 0 && process_start()) {
        face_trim();
        /* More than the machine has can not be locked either. */
        arena_limit(os_memory_bytes(), LOCKED_IDLE_MAX, false);
    }
    error = os_lock_all(flags);
    if (error == 0)
        return 0;
    errno = error;
    return -1;
}
