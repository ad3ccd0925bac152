/* SPDX-License-Identifier: MIT */
/*
 * os_modules.h - the loader's list of modules, for os_*.c and dlopen.c.
 */
#ifndef MERLON_OS_MODULES_H
#define MERLON_OS_MODULES_H

#include <dlfcn.h>
#include <link.h>
#include <stddef.h>

/* Other C libraries have no such flag. */
#ifndef RTLD_DEEPBIND
#define RTLD_DEEPBIND 0
#endif

#ifndef __GLIBC__
/* musl has it under its debugger's name; other C libraries need not. */
extern struct r_debug *_dl_debug_addr __attribute__((weak));
#endif

/* The first module, the program; NULL where there is no loader. */
static inline const struct link_map *os_modules(void)
{
#ifdef __GLIBC__
    return _r_debug.r_map;
#else
    return &_dl_debug_addr && _dl_debug_addr ? _dl_debug_addr->r_map : NULL;
#endif
}

#endif
