/* SPDX-License-Identifier: MIT */
/*
 * sandbox.c - a list of rules as a program of BPF. See sandbox.h.
 */
#define _GNU_SOURCE
#include "sandbox.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define ARCH AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH 0 /* no filter is ever entered */
#endif

enum { INSTRUCTIONS_MAX = 4096 };

static struct sock_filter code[INSTRUCTIONS_MAX];
static unsigned short length;

static void put(uint16_t what, uint32_t k, uint8_t yes, uint8_t no)
{
    code[length++] = (struct sock_filter){what, yes, no, k};
}

static void put_rule(const struct sandbox_rule *rule)
{
    uint8_t rest = rule->argument != 0 ? 3 : 1;

    put(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
    put(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rule->number, 0, rest);
    if (rule->argument != 0) {
        /* The low half; our machines are little-endian. */
        put(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(
                offsetof(struct seccomp_data, args)
                + 8 * (size_t)(rule->argument - 1)), 0, 0);
        put(BPF_JMP | BPF_JEQ | BPF_K, rule->value, 0, 1);
    }
    put(BPF_RET | BPF_K, rule->action, 0, 0);
}

bool sandbox_enter(const struct sandbox_rule *rules, size_t count,
                   uint32_t otherwise)
{
    struct sock_fprog program = {0, code};

    length = 0;
    if (ARCH == 0 || 5 * count + 8 > INSTRUCTIONS_MAX) {
        errno = ENOSYS;
        return false;
    }
    put(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
    put(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
    put(BPF_RET | BPF_K, SANDBOX_KILL, 0, 0);
    for (size_t i = 0; i < count; i++) {
        if (rules[i].number >= 0)
            put_rule(&rules[i]);
    }
    put(BPF_RET | BPF_K, otherwise, 0, 0);
    program.len = length;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                   SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

bool sandbox_works(void)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        struct sandbox_rule rule = {SANDBOX_FAIL(EXDEV), SYS_getppid, 0, 0};
        bool works = sandbox_enter(&rule, 1, SANDBOX_ALLOW)
            && syscall(SYS_getppid) == -1 && errno == EXDEV;
        _exit(!works);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}
