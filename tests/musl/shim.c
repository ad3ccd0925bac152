/* SPDX-License-Identifier: MIT */
/*
 * shim.c - what musl has not: a function that Debian's libsodium.a, built for
 * glibc, calls, and one that the tests call.
 */
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "shim.h"

void __explicit_bzero_chk(void *p, size_t bytes, size_t room);
void __explicit_bzero_chk(void *p, size_t bytes, size_t room)
{
    (void)room;
    explicit_bzero(p, bytes);
}

const char *sigabbrev_np(int signal)
{
    switch (signal) {
    case SIGABRT: return "ABRT";
    case SIGALRM: return "ALRM";
    case SIGBUS: return "BUS";
    case SIGILL: return "ILL";
    case SIGKILL: return "KILL";
    case SIGSEGV: return "SEGV";
    case SIGSYS: return "SYS";
    case SIGTRAP: return "TRAP";
    default: return NULL;
    }
}
