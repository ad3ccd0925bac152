/* SPDX-License-Identifier: MIT */
/*
 * os_fuzz.c - what libmerlon-fuzz alone asks of the kernel: a place for its
 * window, a file for its reports, and two ways to end.
 */
#include "policy.h" /* first: it asks libc for all its declarations */

#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

bool os_reserve_at(void *p, size_t bytes)
{
    int saved = errno;
    void *at = mmap(p, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS
                    | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    errno = saved;
    /* An old kernel takes the place for a hint. */
    if (at != MAP_FAILED && at != p)
        os_release(at, bytes);
    return at == p;
}

void os_append(const char *path, const void *bytes, size_t count)
{
    int saved = errno;
    long file = syscall(SYS_openat, AT_FDCWD, path,
                        O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    if (file >= 0) {
        os_write((int)file, bytes, count);
        syscall(SYS_close, file);
    }
    errno = saved;
}

void os_exit(int status)
{
    for (;;)
        syscall(SYS_exit_group, status);
}

void os_trap(void)
{
    int saved = errno;

    syscall(SYS_tgkill, os_process_id(), os_thread_id(), SIGTRAP);
    errno = saved;
}
