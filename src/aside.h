/* SPDX-License-Identifier: MIT */
/*
 * aside.h - programs with a malloc of their own: merlon steps aside.
 *
 * Where the program (or what is preloaded before merlon) defines malloc, the
 * loader gives everybody that one, but merlon's for each name of the family
 * that is missing there. Their memory must not mix. So merlon stays out as a
 * whole: its C names do what would be done if it were not there, which is what
 * the next module that has the name does, and its C++ operators do what
 * libstdc++'s do, which is to call the program's malloc and free.
 *
 * A program that calls merlon_malloc by name has merlon all the same.
 */
#ifndef MERLON_ASIDE_H
#define MERLON_ASIDE_H

#include "base.h"

struct aside {
    void *(*malloc)(size_t bytes);
    void *(*calloc)(size_t count, size_t bytes);
    void *(*realloc)(void *p, size_t bytes);
    void *(*aligned_alloc)(size_t alignment, size_t bytes);
    size_t (*malloc_usable_size)(void *p);
    void (*free)(void *p);
};

/* Is there such a program? Start only. */
bool aside_detect(void);

/* Valid after aside_detect said so: whom the C names stand for, and whom the
   C++ operators call. */
extern struct aside aside_next, aside_first;

#endif
