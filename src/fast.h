/* SPDX-License-Identifier: MIT */
/*
 * fast.h - the paths that are taken millions of times a second.
 *
 * Bodies of malloc, free, calloc, realloc and malloc_usable_size, inlined into
 * the merlon_ functions (malloc.c) and into the C names (override.c) alike, so
 * that neither calls the other. What is unusual goes to one slow function for
 * each, which judges everything anew and knows how to report.
 *
 * The caller's address is taken in the slow branch only.
 */
#ifndef MERLON_FAST_H
#define MERLON_FAST_H

#include "thread.h"

/* The slow halves: malloc.c. `site` is who called the public function. */
NOINLINE void *face_malloc_slow(size_t bytes, const void *site);
NOINLINE void *face_malloc_list(size_t bytes, const void *site,
                                struct heap *heap, size_t class);
NOINLINE void *face_calloc_slow(size_t bytes, const void *site);
NOINLINE void face_free_slow(void *p, const void *site);
NOINLINE void face_free_large(struct record *slab, uintptr_t p);
NOINLINE void face_event(struct record *slab);
void *face_realloc(void *p, size_t bytes, const void *site);
size_t face_usable_size(void *p, const void *site);

static ALWAYS_INLINE void *fast_malloc(size_t bytes)
{
    struct heap *heap = thread_heap();
    size_t class;

    if (likely(class_is_tabled(bytes)))
        class = class_from_table(bytes);
    else if (likely(bytes <= CLASS_REQUEST_MAX))
        class = class_by_arithmetic(bytes + CANARY_BYTES);
    else
        return face_malloc_slow(bytes, __builtin_return_address(0));
    void *p = heap_take(heap, class, true);
    if (likely(p))
        return p;
    if (SLOT_MAP)
        return face_malloc_slow(bytes, __builtin_return_address(0));
    return face_malloc_list(bytes, __builtin_return_address(0), heap, class);
}

static ALWAYS_INLINE void fast_free(void *pointer)
{
    uintptr_t p = (uintptr_t)pointer;
    /* The unit serves as place in the state, and refuses odd addresses. */
    uintptr_t unit = SLOT_MAP ? map_unit(p) : 0;
    struct record *record = SLOT_MAP ? map_unit_record(unit) : map_record(p);

    if (likely((SLOT_MAP ? map_has_unit(unit) : map_has(p))
               && record_is_of(record, thread_heap()))) {
        struct record *slab = record->slab;
        enum heap_put result = heap_put(slab, p, MAP->state, unit);
        if (likely(result == HEAP_PUT_DONE))
            return;
        if (result == HEAP_PUT_EVENT) {
            face_event(slab);
            return;
        }
        if (result == HEAP_PUT_LARGE) {
            face_free_large(slab, p);
            return;
        }
    }
    face_free_slow(pointer, __builtin_return_address(0));
}

/* Slots are zero when they are handed out, as far as that was verified. */
static ALWAYS_INLINE void *fast_calloc(size_t count, size_t size)
{
    size_t bytes;

    if (unlikely(__builtin_mul_overflow(count, size, &bytes)))
        bytes = SIZE_MAX;
    if (likely(class_is_tabled(bytes))) {
        unsigned class = class_from_table(bytes);
        void *p = heap_take(thread_heap(), class, true);
        if (likely(p)) {
            if (!WRITE_CHECK || bytes > SCRUB_WHOLE_BYTES - CANARY_BYTES)
                __builtin_memset(p, 0, bytes);
            return p;
        }
    }
    return face_calloc_slow(bytes, __builtin_return_address(0));
}

/* Most objects have room enough: down to half of it they stay. */
static ALWAYS_INLINE void *fast_realloc(void *p, size_t bytes)
{
    uintptr_t at = (uintptr_t)p;

    if (likely(map_has(at) && map_record(at)->kind == RECORD_SLAB)) {
        struct record *slab = map_record(at)->slab;
        size_t usable = slab->slot_bytes - CANARY_BYTES;
        if (bytes <= usable && bytes >= usable / 2 && bytes != 0
            && exact_is_live(MAP->state, at - MAP->base)
            && canary_is_whole(&slab->key, at, slab->slot_bytes))
            return p;
    }
    return face_realloc(p, bytes, __builtin_return_address(0));
}

static ALWAYS_INLINE size_t fast_usable_size(void *p)
{
    return face_usable_size(p, __builtin_return_address(0));
}

#endif
