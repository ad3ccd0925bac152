/* SPDX-License-Identifier: MIT */
/*
 * override.c - the C library's names. The core library that the tests link
 * has everything but this file.
 *
 * The five hot functions are instantiated here from fast.h, so that a call of
 * malloc costs no jump more than one of merlon_malloc; the others pass on.
 *
 * The set is complete: a single name left to the C library would hand out
 * memory of another heap, which free here would then refuse. The prototypes
 * are ours and not those of <stdlib.h> and <malloc.h>: only the ABI counts,
 * and that is the same with structs of our own names.
 */
#include <stddef.h>
#include <stdio.h>

#include "face.h"
#include "fast.h"

/* Called by name only, from other files than C could see. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

/* ---- hot --------------------------------------------------------------- */

MERLON_EXPORT void *malloc(size_t bytes)
{
    return fast_malloc(bytes);
}

MERLON_EXPORT void free(void *p)
{
    fast_free(p);
}

MERLON_EXPORT void *calloc(size_t count, size_t bytes)
{
    return fast_calloc(count, bytes);
}

MERLON_EXPORT void *realloc(void *p, size_t bytes)
{
    return fast_realloc(p, bytes);
}

MERLON_EXPORT size_t malloc_usable_size(void *p)
{
    return fast_usable_size(p);
}

/* ---- the rest of the family -------------------------------------------- */

MERLON_EXPORT void *reallocarray(void *p, size_t count, size_t bytes)
{
    return merlon_reallocarray(p, count, bytes);
}

MERLON_EXPORT void cfree(void *p)
{
    merlon_free(p);
}

MERLON_EXPORT int posix_memalign(void **result, size_t alignment,
                                 size_t bytes)
{
    return merlon_posix_memalign(result, alignment, bytes);
}

MERLON_EXPORT void *aligned_alloc(size_t alignment, size_t bytes)
{
    return merlon_aligned_alloc(alignment, bytes);
}

MERLON_EXPORT void *memalign(size_t alignment, size_t bytes)
{
    return merlon_memalign(alignment, bytes);
}

MERLON_EXPORT void *valloc(size_t bytes)
{
    return merlon_valloc(bytes);
}

MERLON_EXPORT void *pvalloc(size_t bytes)
{
    return merlon_pvalloc(bytes);
}

MERLON_EXPORT void free_sized(void *p, size_t bytes)
{
    merlon_free_sized(p, bytes);
}

MERLON_EXPORT void free_aligned_sized(void *p, size_t alignment, size_t bytes)
{
    merlon_free_aligned_sized(p, alignment, bytes);
}

/* ---- asking and tuning ------------------------------------------------- */

MERLON_EXPORT int malloc_trim(size_t pad)
{
    return merlon_malloc_trim(pad);
}

MERLON_EXPORT struct merlon_mallinfo mallinfo(void)
{
    return merlon_mallinfo();
}

MERLON_EXPORT struct merlon_mallinfo2 mallinfo2(void)
{
    return merlon_mallinfo2();
}

MERLON_EXPORT int mallopt(int option, int value)
{
    return merlon_mallopt(option, value);
}

MERLON_EXPORT void malloc_stats(void)
{
    merlon_malloc_stats();
}

MERLON_EXPORT int malloc_info(int options, FILE *stream)
{
    return merlon_malloc_info(options, stream);
}

/* ---- the names that old programs and other wrappers call in glibc ------- */

#define SAME_AS(name) __attribute__((alias(name)))

MERLON_EXPORT void *__libc_malloc(size_t bytes) SAME_AS("malloc");
MERLON_EXPORT void __libc_free(void *p) SAME_AS("free");
MERLON_EXPORT void *__libc_calloc(size_t count, size_t bytes)
    SAME_AS("calloc");
MERLON_EXPORT void *__libc_realloc(void *p, size_t bytes) SAME_AS("realloc");
MERLON_EXPORT void *__libc_memalign(size_t alignment, size_t bytes)
    SAME_AS("memalign");
MERLON_EXPORT void *__libc_valloc(size_t bytes) SAME_AS("valloc");
MERLON_EXPORT void *__libc_pvalloc(size_t bytes) SAME_AS("pvalloc");
MERLON_EXPORT struct merlon_mallinfo __libc_mallinfo(void)
    SAME_AS("mallinfo");
MERLON_EXPORT int __libc_mallopt(int option, int value) SAME_AS("mallopt");
