/* SPDX-License-Identifier: MIT */
/*
 * dlopen.c - dlopen without RTLD_DEEPBIND.
 *
 * PHP, sssd and others load their modules with RTLD_DEEPBIND. Such a module
 * finds the C library's malloc before ours, and what it frees of ours, or we
 * of its, ends the process. With the flag cleared it finds what everybody
 * else does. dlmopen is left alone: a namespace of its own has its own malloc.
 *
 * The real dlopen must be entered by a jump, not a call: the loader takes
 * $ORIGIN and RUNPATH from the module that it will return to. So the last
 * statement is compiled as a tail call whatever the user's CFLAGS are. Should a
 * build defeat that, only those relative searches fail.
 *
 * The real one is looked up each time, which is little beside its own work and
 * leaves no pointer to code in writable memory. This is not on the way of any
 * allocation.
 */
#define _GNU_SOURCE 1
#include "base.h"
#include "face.h"
#include "os_modules.h"

/* In a static program NULL rather than pulled in. */
#pragma weak dlsym

typedef void *dlopen_function(const char *file, int mode);

/* What the C library's dlopen would be if this were not here. */
static NOINLINE dlopen_function *dlopen_real(void)
{
    void *real = NULL;

    if (dlsym != NULL)
        real = dlsym(RTLD_NEXT, "dlopen");
    /* dlsym looks at its caller, so that it must not become a jump. */
    __asm__ volatile("" : "+r"(real));
    return (dlopen_function *)real;
}

MERLON_EXPORT TAIL_CALLS void *dlopen(const char *file, int mode)
{
    dlopen_function *real = dlopen_real();

    if (unlikely(real == NULL))
        return NULL;
    TAIL_CALL return real(file, mode & ~RTLD_DEEPBIND);
}
