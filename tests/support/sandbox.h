/* SPDX-License-Identifier: MIT */
/*
 * sandbox.h - seccomp filters, written by hand.
 *
 * A filter is a list of rules, asked in order; a call that no rule names gets
 * the default action. Nothing here allocates.
 */
#ifndef MERLON_TEST_SANDBOX_H
#define MERLON_TEST_SANDBOX_H

#include <errno.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#define SANDBOX_ALLOW SECCOMP_RET_ALLOW
#define SANDBOX_KILL SECCOMP_RET_KILL_PROCESS
#define SANDBOX_FAIL(error) (SECCOMP_RET_ERRNO | (uint32_t)(error))

struct sandbox_rule {
    uint32_t action;
    int number;       /* of the system call; < 0: the rule is empty */
    int argument;     /* 1 to 6: it must have this value; 0: any */
    uint32_t value;
};

/* 32-bit machines map with another call. */
#ifdef SYS_mmap2
#define SANDBOX_MMAP SYS_mmap2
#else
#define SANDBOX_MMAP SYS_mmap
#endif

/* For all threads of the process, and for what it executes. False: errno. */
bool sandbox_enter(const struct sandbox_rule *rules, size_t count,
                   uint32_t otherwise);

/* Does the machine (or its emulator) have filters? Asked in a child. */
bool sandbox_works(void);

#endif
