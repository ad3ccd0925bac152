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
NOINLINE void *face_calloc_slow(size_t bytes, const void *site);
NOINLINE void face_free_slow(void *p, const void *site);
NOINLINE void *face_malloc_large(size_t bytes, const void *site);
NOINLINE void face_free_large(struct record *slab, uintptr_t p, size_t unit);
NOINLINE void face_event(struct record *slab);
void *face_realloc(void *p, size_t bytes, const void *site);
size_t face_usable_size(void *p, const void *site);

static ALWAYS_INLINE void *fast_malloc(size_t bytes)
{
    struct heap *heap = thread_heap();
    size_t class;
    bool large;

    if (likely(class_is_tabled(bytes)))
        class = class_from_table(bytes);
    else if (!SLOT_MAP && likely(bytes <= CLASS_REQUEST_MAX))
        class = class_by_arithmetic(bytes + CANARY_BYTES);
    else
        return face_malloc_slow(bytes, __builtin_return_address(0));
    void *p = heap_take(heap, class, true, &large);
    if (likely(p))
        return p;
    if (large)
        return face_malloc_large(bytes, __builtin_return_address(0));
    return face_malloc_slow(bytes, __builtin_return_address(0));
}

/* Does p lie in a slab that the caller's heap owns? *unit: its place in the
   state, in map mode. If not, the slow path must look. */
static ALWAYS_INLINE bool fast_owns(uintptr_t p, uintptr_t *unit,
                                    struct record **slab)
{
    struct record *record;

    /* The unit serves as place in the state, and refuses odd addresses. */
    *unit = SLOT_MAP ? map_unit(p) : map_granule(p);
    if (unlikely(SLOT_MAP ? !map_has_unit(*unit) : !map_has(*unit)))
        return false;
    record = SLOT_MAP ? map_unit_record(*unit) : map_record(*unit);
    if (unlikely(!record_is_of(record, thread_heap())))
        return false;
    *slab = record->slab;
    return true;
}

static ALWAYS_INLINE void fast_free(void *pointer)
{
    uintptr_t p = (uintptr_t)pointer, unit;
    struct record *slab;

    if (likely(fast_owns(p, &unit, &slab))) {
        enum heap_put result = heap_put(slab, p, MAP->state, unit);
        if (likely(result == HEAP_PUT_DONE))
            return;
        if (result == HEAP_PUT_EVENT) {
            face_event(slab);
            return;
        }
        if (result == HEAP_PUT_LARGE) {
            face_free_large(slab, p, unit);
            return;
        }
    }
    face_free_slow(pointer, __builtin_return_address(0));
}

/* Clear an object of 1 to 1,024 bytes. A call of memset costs more than the
   few stores that a small one needs; in list mode all of the last unit is the
   object's. */
static ALWAYS_INLINE void *fast_clear(void *p, size_t bytes)
{
    typedef uint64_t MAY_ALIAS unit __attribute__((vector_size(UNIT_BYTES)));
    size_t last = (bytes - 1) & ~(size_t)(UNIT_BYTES - 1);
    unit *at = p, *end = (unit *)((uintptr_t)p + last);

    if (SLOT_MAP)
        return __builtin_memset(p, 0, bytes);
    at[0] = end[0] = (unit){ 0 };
    if (bytes <= 2 * UNIT_BYTES)
        return p;
    at[1] = end[-1] = (unit){ 0 };
    if (bytes <= 4 * UNIT_BYTES)
        return p;
    if (bytes > 8 * UNIT_BYTES)
        return __builtin_memset(p, 0, bytes);
    at[2] = at[3] = end[-3] = end[-2] = (unit){ 0 };
    return p;
}

/* Slots are zero when they are handed out, as far as that was verified. */
static ALWAYS_INLINE void *fast_calloc(size_t count, size_t size)
{
    size_t bytes;

    if (unlikely(__builtin_mul_overflow(count, size, &bytes)))
        bytes = SIZE_MAX;
    if (likely(bytes - 1 < CLASS_TABLE_COUNT - 1)) {
        unsigned class = class_from_table(bytes);
        bool large;
        void *p = heap_take(thread_heap(), class, true, &large);
        if (likely(p))
            return WRITE_CHECK && bytes <= SCRUB_WHOLE_BYTES - CANARY_BYTES
                ? p : fast_clear(p, bytes);
    }
    return face_calloc_slow(bytes, __builtin_return_address(0));
}

/* Does a live object with a whole canary begin here, in a slab of this record's
   granule? */
static ALWAYS_INLINE bool fast_is_sound(const struct record *record,
                                        uintptr_t at)
{
    return exact_is_live(MAP->state, at - MAP->base)
        && canary_is_whole(&record->slab->key, at, record->slot_bytes);
}

/* Most objects have room enough: down to half of it they stay. */
static ALWAYS_INLINE void *fast_realloc(void *p, size_t bytes)
{
    uintptr_t at = (uintptr_t)p;
    size_t granule = map_granule(at);

    if (likely(map_has(granule)
               && map_record(granule)->kind == RECORD_SLAB)) {
        const struct record *record = map_record(granule);
        size_t usable = record->slot_bytes - CANARY_BYTES;
        /* And so it is not zero. */
        if (bytes <= usable && bytes >= usable / 2
            && fast_is_sound(record, at))
            return p;
    }
    return face_realloc(p, bytes, __builtin_return_address(0));
}

/* Some programs ask at each malloc and each free. */
static ALWAYS_INLINE size_t fast_usable_size(void *p)
{
    uintptr_t at = (uintptr_t)p;
    size_t granule = map_granule(at);

    if (likely(map_has(granule)
               && map_record(granule)->kind == RECORD_SLAB)) {
        const struct record *record = map_record(granule);
        if (likely(fast_is_sound(record, at)))
            return record->slot_bytes - CANARY_BYTES;
    }
    return face_usable_size(p, __builtin_return_address(0));
}

#endif
