/* SPDX-License-Identifier: MIT */
/*
 * fuzz_face.c - the public functions of libmerlon-fuzz: what malloc.c and
 * inspect.c are to the other variants. memalign.c, compat.c, override.c, cxx.c
 * and dlopen.c are the same.
 *
 * errno is kept by every function that succeeds.
 */
#include "fuzz_fast.h"

#include <errno.h>
#include <string.h>

#include "face.h"
#include "fuzz_process.h"
#include "options.h"
#include "sizeclass.h"

static unsigned long mismatch_count;

void *face_no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

/* --- allocate and free -------------------------------------------------- */

static void *allocate(size_t bytes, size_t alignment, bool zero,
                      struct fuzz_call call)
{
    struct lane *lane = fuzz_enter();
    void *p = NULL;

    if (lane) {
        fuzz_count(lane, call);
        p = fuzz_allocate(lane, bytes, alignment, zero, call);
        fuzz_leave(lane);
    }
    return p ? p : face_no_memory();
}

void *fuzz_malloc(size_t bytes, struct fuzz_call call)
{
    return allocate(bytes, 1, false, call);
}

void *fuzz_calloc(size_t count, size_t size, struct fuzz_call call)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        return face_no_memory();
    return allocate(bytes, 1, true, call);
}

void *face_allocate_aligned(size_t alignment, size_t bytes)
{
    return allocate(bytes, alignment, false, FUZZ_CALL("aligned_alloc"));
}

void fuzz_release(void *p, struct fuzz_call call)
{
    struct lane *lane = p ? fuzz_enter() : NULL;

    if (!lane)
        return;
    fuzz_count(lane, call);
    fuzz_free(lane, p, call);
    fuzz_leave(lane);
}

void *fuzz_realloc(void *p, size_t bytes, struct fuzz_call call)
{
    struct lane *lane;

    if (!p)
        return fuzz_malloc(bytes, call);
    if (bytes == 0) {
        fuzz_release(p, call);
        return NULL;
    }
    lane = fuzz_enter();
    if (lane) {
        fuzz_count(lane, call);
        p = fuzz_reallocate(lane, p, bytes, call);
        fuzz_leave(lane);
    }
    return lane && p ? p : face_no_memory();
}

/* The size of a live object, which is exact; SIZE_MAX when it is none. */
static size_t size_of(void *p, struct fuzz_call call)
{
    struct lane *lane = fuzz_enter();
    size_t bytes = SIZE_MAX;

    if (lane) {
        const struct place *place = fuzz_find(lane, p, call);
        if (place)
            bytes = place->bytes;
        fuzz_leave(lane);
    }
    return bytes;
}

size_t fuzz_usable_size(void *p, struct fuzz_call call)
{
    size_t bytes = p ? size_of(p, call) : 0;

    return bytes == SIZE_MAX ? 0 : bytes;
}

void face_free_sized(void *p, size_t bytes, size_t alignment, bool fixed)
{
    struct fuzz_call call = FUZZ_CALL("free_sized");
    enum option_action action = options_get()->size_mismatch;
    size_t real = action == OPTION_IGNORE ? bytes : size_of(p, call);

    (void)fixed; /* here the size is known in any case */
    if (real == SIZE_MAX)
        return;
    if (real != bytes
        || (alignment != 0 && (uintptr_t)p % alignment != 0)) {
        struct die_facts facts = { .call.function = call.function,
                                   .call.site = call.site, .pointer = p };
        /* Relaxed: a statistic. One line for the first, then only counts. */
        bool first = __atomic_fetch_add(&mismatch_count, 1,
                                        __ATOMIC_RELAXED) == 0;
        if (action == OPTION_ABORT)
            die(DIE_SIZE_MISMATCH, &facts);
        else if (first)
            die_note(DIE_SIZE_MISMATCH, &facts);
    }
    fuzz_release(p, call);
}

unsigned long face_mismatches(void)
{
    return __atomic_load_n(&mismatch_count, __ATOMIC_RELAXED);
}

/* --- figures ------------------------------------------------------------ */

/* Detections are not fatal with on_error=report. */
static size_t detections(void)
{
    size_t count = 0;

    for (unsigned kind = 0; kind < DIE_KIND_COUNT; kind++)
        count += die_count((enum die_kind)kind);
    return count;
}

/* There are no classes here. */
void face_gather(struct face_stats *stats, struct face_row *rows)
{
    struct fuzz_figures figures = fuzz_figures();

    if (rows)
        memset(rows, 0, CLASS_COUNT * sizeof *rows);

    *stats = (struct face_stats){
        .live_bytes = figures.bytes, .live_count = figures.count,
        .committed_bytes = figures.bytes, .slab_bytes = figures.bytes,
        .span_count = figures.large_count, .span_bytes = figures.large_bytes,
        .detection_count = detections(),
        .mismatch_count = face_mismatches(),
    };
}

bool face_trim(void)
{
    return false;
}

void face_print(const char *text, size_t bytes)
{
    die_write(text, bytes);
}

/* --- the merlon_ names -------------------------------------------------- */

void *merlon_malloc(size_t bytes)
{
    return fast_malloc(bytes);
}

void merlon_free(void *p)
{
    fast_free(p);
}

void *merlon_calloc(size_t count, size_t size)
{
    return fast_calloc(count, size);
}

void *merlon_realloc(void *p, size_t bytes)
{
    return fast_realloc(p, bytes);
}

void *merlon_reallocarray(void *p, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        return face_no_memory();
    return fast_realloc(p, bytes);
}

size_t merlon_malloc_usable_size(void *p)
{
    return fast_usable_size(p);
}
