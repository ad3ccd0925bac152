/* SPDX-License-Identifier: MIT */
/*
 * os_limits.c - limits of the process, for the functions that set them. None
 * is on the way of an allocation.
 */
#include "policy.h" /* first: it asks libc for all its declarations */

#include "os.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

size_t os_address_space_limit(void)
{
    struct os_limit limit;

    if (os_limit(0, RLIMIT_AS, NULL, &limit) != 0)
        return SIZE_MAX;
    return limit.soft < SIZE_MAX ? (size_t)limit.soft : SIZE_MAX;
}

int os_limit(int process, int resource, const struct os_limit *set,
             struct os_limit *was)
{
    int saved = errno;
    int error = 0;

    if (syscall(SYS_prlimit64, (long)process, (long)resource, set, was) != 0)
        error = errno;
    errno = saved;
    return error;
}

int os_lock_all(int flags)
{
    int saved = errno;
    int error = syscall(SYS_mlockall, (long)flags) != 0 ? errno : 0;

    errno = saved;
    return error;
}

size_t os_memory_bytes(void)
{
    struct sysinfo info;
    int saved = errno;
    size_t bytes;

    if (sysinfo(&info) != 0 || __builtin_mul_overflow(
            info.totalram, info.mem_unit, &bytes))
        bytes = SIZE_MAX / 2;
    errno = saved;
    return bytes;
}
