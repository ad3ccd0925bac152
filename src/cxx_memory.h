/* SPDX-License-Identifier: MIT */
/*
 * cxx_memory.h - where the operators new and delete take memory from: from
 * merlon, or, where merlon has stepped aside, from the program's malloc.
 */
#ifndef MERLON_CXX_MEMORY_H
#define MERLON_CXX_MEMORY_H

#include "aside.h"
#include "face.h"
#include "fast.h"
#include "process.h"

static ALWAYS_INLINE void *cxx_malloc(size_t bytes)
{
    return process_is_aside() ? aside_first.malloc(bytes) : fast_malloc(bytes);
}

/* The alignment is a power of two. */
static ALWAYS_INLINE void *cxx_aligned_alloc(size_t alignment, size_t bytes)
{
    if (!process_is_aside())
        return face_allocate_aligned(alignment, bytes);
    /* As the standard wants it of a strict malloc; no size wraps around. */
    size_t rounded = align_up(bytes, alignment);
    return rounded < bytes ? face_no_memory()
        : aside_first.aligned_alloc(alignment, rounded);
}

static ALWAYS_INLINE void cxx_free(void *p)
{
    if (process_is_aside())
        aside_first.free(p);
    else
        fast_free(p);
}

/* alignment 0: the usual one. */
static ALWAYS_INLINE void cxx_free_sized(void *p, size_t bytes,
                                         size_t alignment)
{
    if (process_is_aside())
        aside_first.free(p);
    else if (p != NULL)
        face_free_sized(p, bytes, alignment, true);
}

#endif
