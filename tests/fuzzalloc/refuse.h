/* SPDX-License-Identifier: MIT */
/*
 * refuse.h - a filter of system calls, as sandboxes have: the kernel then knows
 * no guards inside a mapping, and on request no inaccessible memory at all.
 */
#ifndef MERLON_TEST_REFUSE_H
#define MERLON_TEST_REFUSE_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifdef __ORDER_BIG_ENDIAN__
#define REFUSE_LOW (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0)
#endif
#define REFUSE_LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (field))
#define REFUSE_ARGUMENT(n)                                                   \
    REFUSE_LOAD(offsetof(struct seccomp_data, args[n]) + REFUSE_LOW)
#define REFUSE_IF(value, yes, no)                                            \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (yes), (no))
#define REFUSE_RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))

/* False: there is no seccomp here. For good, and for every exec. */
static inline bool refuse(bool inaccessible_memory)
{
    struct sock_filter code[] = {
        REFUSE_LOAD(offsetof(struct seccomp_data, nr)),
        REFUSE_IF(SYS_madvise, 0, 3),
        REFUSE_ARGUMENT(2),
        REFUSE_IF(102 /* MADV_GUARD_INSTALL */, 0, 7),
        REFUSE_RETURN(SECCOMP_RET_ERRNO | EINVAL),
        REFUSE_IF(SYS_mprotect, 1, 0),
        REFUSE_IF(SYS_mmap, 0, 4),
        REFUSE_ARGUMENT(2),
        REFUSE_IF(PROT_NONE, 0, 2),
        REFUSE_RETURN(inaccessible_memory ? SECCOMP_RET_ERRNO | ENOMEM
                      : SECCOMP_RET_ALLOW),
        REFUSE_RETURN(SECCOMP_RET_ALLOW),
        REFUSE_RETURN(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

#endif
