/* SPDX-License-Identifier: MIT */
/*
 * fuzz_fast.h - what override.c and cxx.c find instead of fast.h and
 * cxx_memory.h when they are built for libmerlon-fuzz: the same names, and
 * nothing fast about them. libmerlon-fuzz never steps aside.
 *
 * The build includes it first (-include), so that the lines #include "fast.h"
 * and #include "cxx_memory.h" in those files find their guards set. No source
 * asks which variant it is in.
 */
#ifndef MERLON_FUZZ_FAST_H
#define MERLON_FUZZ_FAST_H
#define MERLON_FAST_H /* fast.h is not for this variant */
#define MERLON_CXX_MEMORY_H /* nor is cxx_memory.h */

#include "policy.h"

#include "face.h"
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

/* ---- for cxx.c ---------------------------------------------------------- */

static ALWAYS_INLINE void *cxx_malloc(size_t bytes)
{
    return fast_malloc(bytes);
}

static ALWAYS_INLINE void *cxx_aligned_alloc(size_t alignment, size_t bytes)
{
    return face_allocate_aligned(alignment, bytes);
}

static ALWAYS_INLINE void cxx_free(void *p)
{
    fast_free(p);
}

static ALWAYS_INLINE void cxx_free_sized(void *p, size_t bytes,
                                         size_t alignment)
{
    if (p != NULL)
        face_free_sized(p, bytes, alignment, true);
}

#endif
