/* SPDX-License-Identifier: MIT */
/*
 * merlon.h - the malloc family of merlon, under names of its own.
 *
 * A program needs none of this to run on merlon: preloaded or linked,
 * libmerlon answers to malloc, free, operator new and all the others. These
 * names are for a program that wants merlon beside another allocator, and for
 * merlon's own tests. Both sets share one heap: what malloc of a preloaded
 * libmerlon returned, merlon_free takes, and the reverse.
 *
 * True of every function here:
 *  - Sizes and alignments are in bytes.
 *  - Any thread may call it at any time, also before main, at exit, and in the
 *    child of a fork of a threaded program. None is async-signal-safe by
 *    contract (nor is malloc), but none can deadlock by it with itself.
 *  - None is a cancellation point, but for merlon_malloc_info.
 *  - A returned object belongs to the caller, any thread may free it, and it
 *    is aligned to 16 bytes or more.
 *  - NULL means failure, and errno says why: ENOMEM, or EINVAL for a wrong
 *    alignment. Sizes above PTRDIFF_MAX fail. A request for 0 bytes succeeds
 *    and yields an object of its own that must be freed as any other.
 *  - What succeeds leaves errno alone, and so does every free.
 *
 * Fatal, in the hardened variant always and in the fast one where it is
 * noticed: to free or resize a pointer that is not the start of a live object
 * of merlon. One line goes to standard error, then SIGABRT ends the process.
 */
#ifndef MERLON_MERLON_H
#define MERLON_MERLON_H

#include <stddef.h>
#include <stdio.h>

#if defined(__GNUC__)
#define MERLON_EXPORT __attribute__((visibility("default")))
#define MERLON_ATTRIBUTE(...) __attribute__((__VA_ARGS__))
#else
#define MERLON_EXPORT
#define MERLON_ATTRIBUTE(...)
#endif

/* Returns an object that nothing else points to and that must not be lost. */
#define MERLON_FRESH MERLON_ATTRIBUTE(nothrow, malloc, warn_unused_result)
/* The same, but contents may be shared with an argument. */
#define MERLON_RESIZED MERLON_ATTRIBUTE(nothrow, warn_unused_result)
/* Never throws. */
#define MERLON_PLAIN MERLON_ATTRIBUTE(nothrow)

#define MERLON_VERSION_MAJOR 0
#define MERLON_VERSION_MINOR 1
#define MERLON_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Which merlon this is: "merlon 0.1.0 hardened" or "merlon 0.1.0 fast". The
 * text is constant and belongs to the library.
 */
MERLON_EXPORT const char *merlon_version(void) MERLON_PLAIN;

/* ---- allocate ---------------------------------------------------------- */

/*
 * An object of `bytes` bytes, contents undefined. NULL with ENOMEM.
 * Source: C23 7.24.3.6, malloc(3).
 */
MERLON_EXPORT void *merlon_malloc(size_t bytes) MERLON_FRESH
    MERLON_ATTRIBUTE(alloc_size(1));

/*
 * An object for `count` elements of `bytes` bytes, all zero. NULL with ENOMEM,
 * also when the product overflows.
 * Source: C23 7.24.3.2, calloc(3).
 */
MERLON_EXPORT void *merlon_calloc(size_t count, size_t bytes) MERLON_FRESH
    MERLON_ATTRIBUTE(alloc_size(1, 2));

/*
 * Make the object at `p` `bytes` long and return where it is now: contents
 * up to the smaller size are kept, the rest is undefined. On success `p` is no
 * longer valid unless it is what was returned. On failure NULL with ENOMEM,
 * and the object at `p` is as it was.
 * realloc(NULL, n) is malloc(n); realloc(p, 0) frees p and returns NULL with
 * errno untouched, as glibc has it (C23 leaves it undefined).
 * Fatal: p is not the start of a live object.
 * Source: C23 7.24.3.7, realloc(3).
 */
MERLON_EXPORT void *merlon_realloc(void *p, size_t bytes) MERLON_RESIZED
    MERLON_ATTRIBUTE(alloc_size(2));

/*
 * merlon_realloc(p, count * bytes), but NULL with ENOMEM and the object at `p`
 * untouched when the product overflows.
 * Source: POSIX.1-2024, reallocarray(3).
 */
MERLON_EXPORT void *merlon_reallocarray(void *p, size_t count, size_t bytes)
    MERLON_RESIZED MERLON_ATTRIBUTE(alloc_size(2, 3));

/* ---- allocate with an alignment ---------------------------------------- */

/*
 * An object at a multiple of `alignment`, which must be a power of two and a
 * multiple of sizeof(void *). Returns 0 and sets *result; or EINVAL or ENOMEM,
 * and then neither *result nor errno is changed.
 * Source: POSIX.1-2024 posix_memalign, posix_memalign(3).
 */
MERLON_EXPORT int merlon_posix_memalign(void **result, size_t alignment,
                                        size_t bytes)
    MERLON_ATTRIBUTE(nothrow, nonnull(1), warn_unused_result);

/*
 * An object at a multiple of `alignment`, which must be a power of two; `bytes`
 * need not be a multiple of it. NULL with EINVAL for a wrong alignment, or
 * with ENOMEM.
 * Source: C23 7.24.3.1, glibc manual (Aligned Memory Blocks).
 */
MERLON_EXPORT void *merlon_aligned_alloc(size_t alignment, size_t bytes)
    MERLON_FRESH MERLON_ATTRIBUTE(alloc_align(1), alloc_size(2));

/*
 * As merlon_aligned_alloc, but an `alignment` that is no power of two is
 * rounded up to the next one. NULL with EINVAL when there is none (above
 * SIZE_MAX/2 + 1), or with ENOMEM.
 * Source: memalign(3), glibc manual (Aligned Memory Blocks).
 */
MERLON_EXPORT void *merlon_memalign(size_t alignment, size_t bytes)
    MERLON_FRESH MERLON_ATTRIBUTE(alloc_size(2));

/*
 * An object at a multiple of the page size. NULL with ENOMEM.
 * Source: valloc(3).
 */
MERLON_EXPORT void *merlon_valloc(size_t bytes) MERLON_FRESH
    MERLON_ATTRIBUTE(alloc_size(1));

/*
 * Whole pages, at least one: `bytes` is rounded up to the next multiple of the
 * page size. NULL with ENOMEM, also when rounding overflows.
 * Source: pvalloc(3).
 */
MERLON_EXPORT void *merlon_pvalloc(size_t bytes) MERLON_FRESH;

/* ---- free -------------------------------------------------------------- */

/*
 * End the life of the object at `p`, from whichever function here it came.
 * Nothing happens for NULL. errno is kept.
 * Fatal: p is not the start of a live object (freed before, inside an object,
 * not from merlon), or what lies around the object was overwritten.
 * Source: C23 7.24.3.3, free(3).
 */
MERLON_EXPORT void merlon_free(void *p) MERLON_PLAIN;

/* merlon_free under the name that old programs use. Source: cfree(3). */
MERLON_EXPORT void merlon_cfree(void *p) MERLON_PLAIN;

/*
 * merlon_free(p) by a caller who knows that `bytes` were asked for, with
 * malloc, calloc or realloc. The size is checked, never trusted: a wrong one
 * is counted and reported, and fatal only if the options say so.
 * Source: C23 7.24.3.4.
 */
MERLON_EXPORT void merlon_free_sized(void *p, size_t bytes) MERLON_PLAIN;

/*
 * The same for an object of aligned_alloc(alignment, bytes).
 * Source: C23 7.24.3.5.
 */
MERLON_EXPORT void merlon_free_aligned_sized(void *p, size_t alignment,
                                             size_t bytes) MERLON_PLAIN;

/* ---- ask --------------------------------------------------------------- */

/*
 * How many bytes of the object at `p` may be read and written: at least what
 * was asked for, constant while the object lives, and kept by realloc. 0 for
 * NULL. Fatal: p is not the start of a live object.
 * Source: malloc_usable_size(3).
 */
MERLON_EXPORT size_t merlon_malloc_usable_size(void *p) MERLON_PLAIN;

/* Laid out as struct mallinfo2 of glibc 2.33 and later. */
struct merlon_mallinfo2 {
    size_t arena;    /* bytes of memory for small objects, used and free */
    size_t ordblks;  /* 0 */
    size_t smblks;   /* 0 */
    size_t hblks;    /* large objects */
    size_t hblkhd;   /* bytes in large objects */
    size_t usmblks;  /* 0 */
    size_t fsmblks;  /* 0 */
    size_t uordblks; /* bytes in small objects */
    size_t fordblks; /* arena - uordblks */
    size_t keepcost; /* bytes that merlon_malloc_trim would give back */
};

/* Laid out as the old struct mallinfo. */
struct merlon_mallinfo {
    int arena, ordblks, smblks, hblks, hblkhd;
    int usmblks, fsmblks, uordblks, fordblks, keepcost;
};

/*
 * Figures of the whole process, of all threads. Threads go on while they are
 * gathered, so that they may be off by what happens meanwhile. Never fails.
 * Source: mallinfo(3).
 */
MERLON_EXPORT struct merlon_mallinfo2 merlon_mallinfo2(void) MERLON_PLAIN;

/* The same in int: what does not fit is INT_MAX. Source: mallinfo(3). */
MERLON_EXPORT struct merlon_mallinfo merlon_mallinfo(void) MERLON_PLAIN;

/*
 * Write a few lines of figures to standard error, as it was when the process
 * started. Allocates nothing and takes no lock.
 * Source: malloc_stats(3); the text is merlon's own.
 */
MERLON_EXPORT void merlon_malloc_stats(void) MERLON_PLAIN;

/*
 * Write the figures to `stream` as an XML document. `options` must be 0.
 * Returns 0; or -1 with errno EINVAL (options), or with what writing to the
 * stream set. May be a cancellation point, and the stream may allocate its
 * buffer.
 * Source: malloc_info(3); the elements are merlon's own.
 */
MERLON_EXPORT int merlon_malloc_info(int options, FILE *stream)
    MERLON_ATTRIBUTE(nonnull(2));

/* ---- tune -------------------------------------------------------------- */

/*
 * Give memory that no object uses back to the system now. `pad` is ignored.
 * Returns 1 when some was given back, else 0.
 * Source: malloc_trim(3).
 */
MERLON_EXPORT int merlon_malloc_trim(size_t pad) MERLON_PLAIN;

/*
 * Accepts the options of glibc's <malloc.h> and ignores them: merlon has none
 * of what they set. Returns 1 for a known option, 0 for any other.
 * Source: mallopt(3).
 */
MERLON_EXPORT int merlon_mallopt(int option, int value) MERLON_PLAIN;

#ifdef __cplusplus
}
#endif

#endif
