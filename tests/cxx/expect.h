/* SPDX-License-Identifier: MIT */
/*
 * expect.h - what the programs of this directory share: a check that names
 * its line, and pointers that the compiler may not reason about.
 */
#ifndef MERLON_TEST_EXPECT_H
#define MERLON_TEST_EXPECT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPECT(condition)                                                     \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__,        \
                    #condition);                                              \
            exit(1);                                                          \
        }                                                                     \
    } while (0)

/* Make the compiler forget where a value came from. */
template <class T> static inline T hide(T value)
{
    __asm__ volatile("" : "+r"(value) : : "memory");
    return value;
}

static inline bool is_aligned(const void *p, size_t alignment)
{
    return reinterpret_cast<uintptr_t>(p) % alignment == 0;
}

#endif
