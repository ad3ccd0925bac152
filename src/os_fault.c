/* SPDX-License-Identifier: MIT */
/*
 * os_fault.c - what would fault, and faults as signals, on request only.
 *
 * What was there before us stays in force: a fault that is not ours goes to
 * the handler that we found, with its signals blocked, or has the default
 * effect at the very instruction.
 */
#include "policy.h" /* first: it asks libc for all its declarations */

#include "os.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/*
 * futex reads the word and compares it. A page that is not there, or is
 * guarded, gives EFAULT; otherwise the word differs (EAGAIN), or it does not
 * and the wait of no time is over at once.
 */
bool os_can_read(const void *p)
{
    const uint64_t now[2] = { 0, 0 };
    int saved = errno;
    long result = syscall(SYS_futex, p, FUTEX_WAIT_PRIVATE, UINT32_C(0x6d6c6e),
                          now, NULL, 0);
    bool readable = result == 0 || errno != EFAULT;

    errno = saved;
    return readable;
}

static const int fault_signals[] = { SIGSEGV, SIGBUS };
enum { FAULT_SIGNALS = sizeof fault_signals / sizeof *fault_signals };

/* Pointers to code: on a page that is read-only once they are there. */
static union {
    struct {
        struct sigaction previous[FAULT_SIGNALS];
        os_fault_handler *handle;
    };
    uint8_t page[ABI_PAGE_BYTES];
} chain __attribute__((aligned(ABI_PAGE_BYTES)));

#if defined(__x86_64__) || defined(__i386__)
/* Bit 1 of a page fault's error code. */
static enum os_access page_fault_access(greg_t error)
{
    return error & 2 ? OS_ACCESS_WRITE : OS_ACCESS_READ;
}
#endif

static void fill_in(struct os_fault *fault, const siginfo_t *info,
                    const void *context)
{
    const mcontext_t *machine = &((const ucontext_t *)context)->uc_mcontext;

    fault->address = (uintptr_t)info->si_addr;
    fault->access = OS_ACCESS_UNKNOWN;
#if defined(__x86_64__)
    fault->site = (const void *)machine->gregs[REG_RIP];
    fault->frame = (const void *)machine->gregs[REG_RBP];
    fault->access = page_fault_access(machine->gregs[REG_ERR]);
#elif defined(__i386__)
    fault->site = (const void *)machine->gregs[REG_EIP];
    fault->frame = (const void *)machine->gregs[REG_EBP];
    fault->access = page_fault_access(machine->gregs[REG_ERR]);
#elif defined(__aarch64__)
    fault->site = (const void *)machine->pc;
    fault->frame = (const void *)machine->regs[29];
#else
    (void)machine;
    fault->site = NULL;
    fault->frame = NULL;
#endif
}

/* Sent by somebody, not caused by an instruction. */
static bool is_sent(const siginfo_t *info)
{
    return info->si_code <= 0;
}

static void pass_on(const struct sigaction *action, int number,
                    siginfo_t *info, void *context)
{
    if (action->sa_flags & SA_SIGINFO) {
        action->sa_sigaction(number, info, context);
        return;
    }
    if (action->sa_handler == SIG_IGN && is_sent(info))
        return;
    if (action->sa_handler != SIG_IGN && action->sa_handler != SIG_DFL) {
        action->sa_handler(number);
        return;
    }
    /* The instruction faults again when we return, and then it counts. */
    signal(number, SIG_DFL);
    if (is_sent(info))
        raise(number);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    unsigned place = number == fault_signals[0] ? 0 : 1;
    int saved = errno;

    if (!is_sent(info)) {
        struct os_fault fault;
        fill_in(&fault, info, context);
        if (chain.handle(&fault)) {
            errno = saved;
            return;
        }
    }
    pass_on(&chain.previous[place], number, info, context);
    errno = saved;
}

bool os_catch_faults(os_fault_handler *handler)
{
    chain.handle = handler;
    for (unsigned i = 0; i < FAULT_SIGNALS; i++) {
        struct sigaction action;
        memset(&action, 0, sizeof action);
        if (sigaction(fault_signals[i], NULL, &chain.previous[i]) != 0)
            return false;
        action.sa_sigaction = on_signal;
        action.sa_mask = chain.previous[i].sa_mask;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK
            | (chain.previous[i].sa_flags & (SA_NODEFER | SA_RESTART));
        if (sigaction(fault_signals[i], &action, NULL) != 0)
            return false;
    }
    return os_protect_read(&chain, align_up(sizeof chain, os_page_bytes()));
}
