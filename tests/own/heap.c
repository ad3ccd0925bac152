/* SPDX-License-Identifier: MIT */
/*
 * heap.c - a program's own malloc: a pile that only grows. free() ends the
 * process for what did not come from it.
 *
 * -DPART: malloc, free and realloc only; else the whole family.
 * -DWRAP: malloc and free by way of the next ones, as tracers do it.
 * -DLIBC: malloc and free by way of __libc_malloc and __libc_free.
 */
#define _GNU_SOURCE
#include "heap.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

size_t heap_mallocs, heap_frees;

/* Prototypes of <stdlib.h> would say noexcept in C++; here they are plain. */
void *malloc(size_t bytes);
void free(void *p);

#if defined(WRAP) || defined(LIBC)

extern void *__libc_malloc(size_t bytes);
extern void __libc_free(void *p);

void *malloc(size_t bytes)
{
    heap_mallocs++;
#ifdef LIBC
    return __libc_malloc(bytes);
#else
    static void *(*next)(size_t);
    if (next == NULL)
        next = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    return next(bytes);
#endif
}

void free(void *p)
{
    heap_frees++;
#ifdef LIBC
    __libc_free(p);
#else
    static void (*next)(void *);
    if (next == NULL)
        next = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    next(p);
#endif
}

bool heap_has(const void *p)
{
    return p != NULL;
}

#else

enum { PILE_BYTES = 64 << 20, HEADER_BYTES = 16 };

static char pile[PILE_BYTES] __attribute__((aligned(4096)));
static size_t used;

bool heap_has(const void *p)
{
    return (uintptr_t)p - (uintptr_t)pile < PILE_BYTES;
}

static void end(const char *why)
{
    if (write(1, why, strlen(why)) < 0)
        _exit(2);
    _exit(1);
}

static void *take(size_t alignment, size_t bytes)
{
    size_t at = (__atomic_load_n(&used, __ATOMIC_RELAXED) + HEADER_BYTES
                 + alignment - 1) & ~(alignment - 1);

    if (bytes > PILE_BYTES || at + bytes > PILE_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    used = at + bytes;
    memcpy(pile + at - HEADER_BYTES, &bytes, sizeof bytes);
    return pile + at;
}

static size_t size_of(const void *p)
{
    size_t bytes;

    if (!heap_has(p))
        end("a pointer that is not the program's\n");
    memcpy(&bytes, (const char *)p - HEADER_BYTES, sizeof bytes);
    return bytes;
}

void *malloc(size_t bytes)
{
    heap_mallocs++;
    return take(16, bytes);
}

void free(void *p)
{
    if (p == NULL)
        return;
    heap_frees++;
    memset(p, 0xdd, size_of(p));
}

void *realloc(void *p, size_t bytes);
void *realloc(void *p, size_t bytes)
{
    void *q = malloc(bytes);

    if (q != NULL && p != NULL) {
        memcpy(q, p, size_of(p) < bytes ? size_of(p) : bytes);
        free(p);
    }
    return q;
}

#ifndef PART
void *calloc(size_t count, size_t bytes);
void *calloc(size_t count, size_t bytes)
{
    void *p = malloc(count * bytes);

    return p != NULL ? memset(p, 0, count * bytes) : NULL;
}

void *aligned_alloc(size_t alignment, size_t bytes);
void *aligned_alloc(size_t alignment, size_t bytes)
{
    heap_mallocs++;
    return take(alignment < 16 ? 16 : alignment, bytes);
}

int posix_memalign(void **result, size_t alignment, size_t bytes);
int posix_memalign(void **result, size_t alignment, size_t bytes)
{
    return (*result = aligned_alloc(alignment, bytes)) != NULL ? 0 : ENOMEM;
}

size_t malloc_usable_size(void *p);
size_t malloc_usable_size(void *p)
{
    return p != NULL ? size_of(p) : 0;
}
#endif

#endif
