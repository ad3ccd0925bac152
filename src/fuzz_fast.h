/* SPDX-License-Identifier: MIT */
/*
 * fuzz_fast.h - what override.c and cxx.c find instead of fast.h when they are
 * built for libmerlon-fuzz: the same names, and nothing fast about them.
 *
 * The build includes it first (-include), so that the line #include "fast.h"
 * in those files finds its guard set. No source asks which variant it is in.
 */
#ifndef MERLON_FUZZ_FAST_H
#define MERLON_FUZZ_FAST_H
#define MERLON_FAST_H /* fast.h is not for this variant */

#include "policy.h"

#include "fuzz_report.h"

void *fuzz_malloc(size_t bytes, struct fuzz_call call);
void *fuzz_calloc(size_t count, size_t bytes, struct fuzz_call call);
void *fuzz_realloc(void *p, size_t bytes, struct fuzz_call call);
void fuzz_release(void *p, struct fuzz_call call);
size_t fuzz_usable_size(void *p, struct fuzz_call call);

/* The public function that this is inlined into, and who called it. */
#define FUZZ_CALL(name)                                                      \
    ((struct fuzz_call){ name, __builtin_return_address(0),                   \
                        __builtin_frame_address(0) })

static ALWAYS_INLINE void *fast_malloc(size_t bytes)
{
    return fuzz_malloc(bytes, FUZZ_CALL("malloc"));
}

static ALWAYS_INLINE void fast_free(void *p)
{
    fuzz_release(p, FUZZ_CALL("free"));
}

static ALWAYS_INLINE void *fast_calloc(size_t count, size_t bytes)
{
    return fuzz_calloc(count, bytes, FUZZ_CALL("calloc"));
}

static ALWAYS_INLINE void *fast_realloc(void *p, size_t bytes)
{
    return fuzz_realloc(p, bytes, FUZZ_CALL("realloc"));
}

static ALWAYS_INLINE size_t fast_usable_size(void *p)
{
    return fuzz_usable_size(p, FUZZ_CALL("malloc_usable_size"));
}

#endif
