/* SPDX-License-Identifier: MIT */
/*
 * heap.h - what main.c and main.cc ask of the program's own malloc.
 */
#ifndef OWN_HEAP_H
#define OWN_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

extern size_t heap_mallocs, heap_frees;
bool heap_has(const void *p);

#ifdef __cplusplus
}
#endif

#endif
