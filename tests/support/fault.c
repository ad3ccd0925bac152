/* SPDX-License-Identifier: MIT */
/*
 * fault.c - between the platform floor and the kernel. See fault.h.
 *
 * Counters are atomic: threads may call at any time. Nothing here allocates.
 */
#define _GNU_SOURCE
#include "fault.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

const char *const fault_call_name[FAULT_CALL_COUNT] = {
    "mmap", "munmap", "mprotect", "madvise", "mremap", "any",
};

const int fault_errors[FAULT_ERRORS] = {ENOMEM, EINVAL, EPERM, ENOSYS, EAGAIN};

static struct {
    unsigned call; /* FAULT_CALL_COUNT: none */
    unsigned nth, times, seen, hits;
    int error;
} plan = {.call = FAULT_CALL_COUNT};

static unsigned long calls[FAULT_CALL_COUNT];
static size_t mapped_bytes;
static uint64_t clock_ms;
static bool muted;

void fault_arm(enum fault_call call, unsigned nth, unsigned times, int error)
{
    plan.nth = nth;
    plan.times = times;
    plan.seen = plan.hits = 0;
    plan.error = error;
    plan.call = call;
}

void fault_disarm(void)
{
    plan.call = FAULT_CALL_COUNT;
}

unsigned fault_hits(void)
{
    return plan.hits;
}

unsigned long fault_calls(enum fault_call call)
{
    return calls[call];
}

size_t fault_mapped_bytes(void)
{
    return mapped_bytes;
}

void fault_clock_pass(unsigned ms)
{
    clock_ms += ms;
}

void fault_mute(bool mute)
{
    muted = mute;
}

static enum fault_call call_of(long number)
{
    switch (number) {
#ifdef SYS_mmap2
    case SYS_mmap2:
#else
    case SYS_mmap:
#endif
        return FAULT_MMAP;
    case SYS_munmap:
        return FAULT_MUNMAP;
    case SYS_mprotect:
        return FAULT_MPROTECT;
    case SYS_madvise:
        return FAULT_MADVISE;
    case SYS_mremap:
        return FAULT_MREMAP;
    default:
        return FAULT_CALL_COUNT;
    }
}

static bool is_refused(enum fault_call call)
{
    if (plan.call != call && plan.call != FAULT_ANY)
        return false;
    unsigned seen = __atomic_add_fetch(&plan.seen, 1, __ATOMIC_RELAXED);
    if (seen < plan.nth || seen - plan.nth >= plan.times)
        return false;
    __atomic_fetch_add(&plan.hits, 1, __ATOMIC_RELAXED);
    return true;
}

static void account(enum fault_call call, const long *a)
{
    bool more = call == FAULT_MMAP && !(a[3] & MAP_FIXED);
    bool less = call == FAULT_MUNMAP;

    /* Out of a place that stays mapped, or into one that was. */
    if (call == FAULT_MREMAP) {
        more = (a[3] & MREMAP_DONTUNMAP) != 0;
        less = (a[3] & MREMAP_FIXED) != 0;
    }
    if (more)
        __atomic_fetch_add(&mapped_bytes, (size_t)a[1], __ATOMIC_RELAXED);
    if (less)
        __atomic_fetch_sub(&mapped_bytes, (size_t)a[1], __ATOMIC_RELAXED);
}

/* The linker's names for what is wrapped. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

/* Written at exit otherwise; there only in a build that counts lines. */
extern void __gcov_dump(void) __attribute__((weak));

long __wrap_syscall(long number, ...)
{
    va_list list;
    long a[6];

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    enum fault_call call = call_of(number);
    if (call != FAULT_CALL_COUNT) {
        __atomic_fetch_add(&calls[call], 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&calls[FAULT_ANY], 1, __ATOMIC_RELAXED);
        if (is_refused(call)) {
            /* As the kernel does: first the place, then the question. */
            if (call == FAULT_MREMAP && (a[3] & MREMAP_FIXED)
                && plan.error == ENOMEM
                && __real_syscall(SYS_munmap, a[4], a[1]) == 0)
                account(FAULT_MUNMAP, a);
            errno = plan.error;
            return -1;
        }
    } else if (number == SYS_write && muted) {
        return a[2];
    } else if (number == SYS_tgkill && a[2] == SIGABRT && __gcov_dump) {
        __gcov_dump();
    }
    long result =
        __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (result != -1)
        account(call, a);
    return result;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);

    /* The test itself goes by another clock. */
    if (result == 0 && clock == CLOCK_MONOTONIC_COARSE) {
        now->tv_sec += (time_t)(clock_ms / 1000);
        now->tv_nsec += (long)(clock_ms % 1000) * 1000000;
        if (now->tv_nsec >= 1000000000) {
            now->tv_nsec -= 1000000000;
            now->tv_sec++;
        }
    }
    return result;
}

/* ---- numbers that repeat (splitmix64) ---- */

static uint64_t random_state;

static uint64_t next_number(void)
{
    uint64_t z = __atomic_add_fetch(
        &random_state, UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static const char *random_name(void)
{
    return "merlon-test-fixed";
}

static uint32_t random_number(void)
{
    return (uint32_t)next_number();
}

static void random_bytes(void *to, size_t count)
{
    unsigned char *at = to;
    while (count > 0) {
        uint64_t number = next_number();
        size_t now = count < sizeof number ? count : sizeof number;
        memcpy(at, &number, now);
        at += now;
        count -= now;
    }
}

static struct randombytes_implementation fixed = {
    .implementation_name = random_name,
    .random = random_number,
    .buf = random_bytes,
};

void fault_fix_random(uint64_t seed)
{
    random_state = seed;
    randombytes_set_implementation(&fixed);
}

/* Before merlon starts, which it does in a constructor without a priority. */
__attribute__((constructor(101))) static void start(void)
{
    const char *text = getenv(FAULT_VARIABLE);
    unsigned value[4] = {0};

    if (text == NULL)
        return;
    for (int i = 0; i < 4; i++) {
        char *end;
        value[i] = (unsigned)strtoul(text, &end, 10);
        text = *end == ',' ? end + 1 : end;
    }
    if (value[0] < FAULT_CALL_COUNT)
        fault_arm(value[0], value[1], value[2], (int)value[3]);
}
