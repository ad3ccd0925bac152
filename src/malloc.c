/* SPDX-License-Identifier: MIT */
/*
 * malloc.c - malloc, calloc, realloc, free and malloc_usable_size, and the
 * slow halves of their fast paths.
 *
 * Zero sizes give unique objects; sizes above PTRDIFF_MAX are refused; every
 * NULL sets errno to ENOMEM; everything else leaves errno alone.
 */
#include "fast.h"

#include <errno.h>
#include <string.h>

#include "aside.h"
#include "face.h"
#include "options.h"
#include "os.h"
#include "process.h"
#include "statistics.h"

enum {
    REALLOC_MOVE_BYTES = 1 << 20,
    /* From this size on what grows is given room to grow on. */
    REALLOC_ROOM_BYTES = 1 << 10,
    REALLOC_LARGE_BYTES = 4 << 10,
};

/* With the site it makes a call stack: of functions that fast paths jump to. */
#define FRAME __builtin_frame_address(0)

unsigned long face_mismatch_count;

void *face_no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

/* --- allocating -------------------------------------------------------- */

static void *allocate_span(struct heap *heap, size_t bytes, size_t alignment,
                           bool *zeroed)
{
    void *p;

    if (bytes > PTRDIFF_MAX)
        return NULL;
    heap->busy++;
    p = span_allocate(bytes, alignment, heap_stream(heap), &heap->spans,
                      zeroed);
    heap_beat(heap);
    if (!p && heap_trim(heap))
        p = span_allocate(bytes, alignment, heap_stream(heap), &heap->spans,
                          zeroed);
    heap->busy--;
    return p;
}

/* A slot, or once in a while a sampled object. *zeroed as below. */
static void *allocate_small(struct heap *heap, unsigned class, size_t bytes,
                            size_t alignment, bool *zeroed,
                            struct die_call call)
{
    void *p;

    if (!SLOT_MAP)
        return heap_allocate_list(heap, class, zeroed, call);
    *zeroed = true;
    if (SAMPLING
        && (p = heap_take_sample(heap, class, bytes, alignment, call)))
        return p;
    *zeroed = WRITE_CHECK && bytes <= SCRUB_WHOLE_BYTES - CANARY_BYTES;
    p = heap_allocate_small(heap, class, call);
    if (SAMPLING)
        heap_plan_sample(heap, class);
    return p;
}

/* *zeroed: the object reads as zeros. */
static void *allocate(struct heap *heap, size_t bytes, bool *zeroed,
                      struct die_call call)
{
    *zeroed = false;
    if (heap->id == 0)
        return NULL;
    if (bytes <= CLASS_REQUEST_MAX)
        return allocate_small(heap, class_of_request(bytes), bytes, UNIT_BYTES,
                              zeroed, call);
    return allocate_span(heap, bytes, os_page_bytes(), zeroed);
}

static NOINLINE void *malloc_anew(size_t bytes, const void *site)
{
    struct die_call call = { "malloc", site, FRAME };

    if (process_is_aside())
        return aside_next.malloc(bytes);
    struct heap *heap = thread_enter();
    bool zeroed;
    void *p = allocate(heap, bytes, &zeroed, call);

    statistics_tick(heap->last_tick_ms);
    thread_leave(heap);
    return p ? p : face_no_memory();
}

/* Map mode: slots that are checked by more than a few instructions. */
void *face_malloc_large(size_t bytes, const void *site)
{
    bool large;
    void *p = heap_take(thread_heap(), class_of_request(bytes), false, &large);

    return likely(p) ? p : malloc_anew(bytes, site);
}

/* A span the heap still has; none if its beat is due or it is busy. */
static inline void *retake_span(size_t bytes)
{
    struct heap *heap = thread_heap();

    if (heap->pulse == 0 || heap->busy != 0)
        return NULL;
    heap->pulse--;
    return span_retake(&heap->spans, bytes);
}

void *face_malloc_slow(size_t bytes, const void *site)
{
    if (!GUARD_PAGES && bytes > CLASS_REQUEST_MAX) {
        void *p = retake_span(bytes);
        if (likely(p))
            return p;
    }
    if (SLOT_MAP && bytes <= CLASS_REQUEST_MAX && !class_is_tabled(bytes))
        return face_malloc_large(bytes, site);
    return malloc_anew(bytes, site);
}

void *face_calloc_slow(size_t bytes, const void *site)
{
    struct die_call call = { "calloc", site, FRAME };

    if (process_is_aside())
        return aside_next.calloc(1, bytes);
    struct heap *heap = thread_enter();
    bool zeroed;
    void *p = allocate(heap, bytes, &zeroed, call);

    thread_leave(heap);
    if (!p)
        return face_no_memory();
    if (!zeroed)
        scrub_clear((uintptr_t)p, bytes);
    return p;
}

void *face_allocate_aligned(size_t alignment, size_t bytes)
{
    struct die_call call = { "aligned_alloc", __builtin_return_address(0),
                             FRAME };
    unsigned class = CLASS_COUNT;
    void *p = NULL;
    bool zeroed;

    if (bytes > PTRDIFF_MAX || alignment > PTRDIFF_MAX)
        return face_no_memory();
    if (process_is_aside())
        return aside_next.aligned_alloc(alignment, bytes);
    if (alignment <= UNIT_BYTES)
        return fast_malloc(bytes);
    if (alignment <= GRANULE_BYTES && bytes <= CLASS_REQUEST_MAX)
        class = class_of_aligned(bytes, alignment);
    struct heap *heap = thread_enter();
    if (heap->id == 0)
        p = NULL;
    else if (class < CLASS_COUNT)
        p = allocate_small(heap, class, bytes, alignment, &zeroed, call);
    else
        p = allocate_span(heap, bytes ? bytes : 1,
                          alignment > os_page_bytes() ? alignment
                          : os_page_bytes(), &zeroed);
    thread_leave(heap);
    return p ? p : face_no_memory();
}

/* --- freeing ----------------------------------------------------------- */

void face_event(struct record *slab)
{
    heap_event(thread_heap(), slab);
    statistics_tick(thread_heap()->last_tick_ms);
}

static void free_named(void *p, struct die_call call)
{
    if (!p)
        return;
    if (process_is_aside()) {
        aside_next.free(p);
        return;
    }
    if (sample_has(p)) {
        sample_free(p, call);
        return;
    }
    struct heap *heap = thread_enter();
    heap_free(heap, p, call);
    statistics_tick(heap->last_tick_ms);
    thread_leave(heap);
}

static inline bool put_span_away(uintptr_t p)
{
    struct heap *heap = thread_heap();

    if (heap->id == 0 || heap->pulse == 0 || heap->busy != 0)
        return false;
    return span_put_away(&heap->spans, p);
}

void face_free_slow(void *p, const void *site)
{
    struct die_call call = { "free", site, FRAME };
    size_t granule = map_granule((uintptr_t)p);

    /* Mostly another slot of a slab whose parcel is open. */
    if (!SLOT_MAP && map_has(granule)
        && outbox_add(&thread_heap()->outbox, map_record(granule)->slab,
                      (uintptr_t)p))
        return;
    if (!GUARD_PAGES && put_span_away((uintptr_t)p))
        return;
    free_named(p, call);
}

void face_free_large(struct record *slab, uintptr_t p, size_t unit)
{
    if (unlikely(heap_put_large(thread_heap(), slab, p, MAP->state, unit)))
        face_event(slab);
}

static size_t usable_bytes(const struct record *record)
{
    if (record->kind == RECORD_SLAB)
        return record->slot_bytes - CANARY_BYTES;
    return record->span_bytes;
}

size_t face_usable_size(void *p, const void *site)
{
    struct die_call call = { "malloc_usable_size", site, FRAME };

    if (!p)
        return 0;
    if (process_is_aside())
        return aside_next.malloc_usable_size(p);
    if (sample_has(p)) {
        size_t bytes = sample_size(p, call);
        return bytes == SIZE_MAX ? 0 : bytes;
    }
    struct record *record = heap_find(p, call);
    return record ? usable_bytes(record) : 0;
}

/* Would a request of `bytes` have come to an object of this usable size? */
static bool size_is_exact(const struct record *record, size_t usable,
                          size_t bytes, size_t alignment)
{
    if (record->kind != RECORD_SLAB)
        return usable - size_max(bytes, 1) < os_page_bytes();
    unsigned class = class_of_aligned(bytes, size_max(alignment, UNIT_BYTES));
    return class < CLASS_COUNT
        && class_slot_bytes(class) == record->slot_bytes;
}

/* realloc to less has failed once, and left the object as it was. */
static bool shrink_failed;

static void *keep_all(void *old)
{
    /* Relaxed: who is told the size of this very object has synchronised. */
    __atomic_store_n(&shrink_failed, true, __ATOMIC_RELAXED);
    return old;
}

/* Could realloc have made a smaller object of it, in its place? */
static bool may_have_shrunk(size_t usable, size_t bytes)
{
    return bytes <= usable
        && (bytes >= usable / 2
            || __atomic_load_n(&shrink_failed, __ATOMIC_RELAXED));
}

/* The usable size of p, SIZE_MAX after a report, and whether what the program
   says of it can be true. Of a sampled object the size is known exactly. */
static size_t told_size(void *p, size_t bytes, size_t alignment, bool fixed,
                        struct die_call call, bool *fits)
{
    size_t usable;

    if (sample_has(p)) {
        usable = sample_size(p, call);
        *fits = bytes == usable || (!fixed && may_have_shrunk(usable, bytes));
        return usable;
    }
    struct record *record = heap_find(p, call);
    if (!record)
        return SIZE_MAX;
    usable = usable_bytes(record);
    *fits = bytes <= usable
        && (size_is_exact(record, usable, bytes, alignment)
            || (!fixed && may_have_shrunk(usable, bytes)));
    return usable;
}

void face_free_sized(void *p, size_t bytes, size_t alignment, bool fixed)
{
    struct die_call call = { "free_sized", __builtin_return_address(0),
                             FRAME };
    const struct options *options = options_get();

    if (!p)
        return;
    if (options->size_mismatch == OPTION_IGNORE || process_is_aside()) {
        free_named(p, call);
        return;
    }
    bool fits;
    size_t usable = told_size(p, bytes, alignment, fixed, call, &fits);
    if (usable == SIZE_MAX)
        return;
    if (!fits) {
        struct die_facts facts = { .call = call, .pointer = p,
                                   .slot_bytes = usable };
        /* Relaxed: a statistic. One line for the first, then only counts. */
        bool first = __atomic_fetch_add(&face_mismatch_count, 1,
                                        __ATOMIC_RELAXED) == 0;
        if (options->size_mismatch == OPTION_ABORT)
            die(DIE_SIZE_MISMATCH, &facts);
        else if (first)
            die_note(DIE_SIZE_MISMATCH, &facts);
    }
    free_named(p, call);
}

unsigned long face_mismatches(void)
{
    return __atomic_load_n(&face_mismatch_count, __ATOMIC_RELAXED);
}

/* --- realloc ----------------------------------------------------------- */

/* Is the object's room right for so many bytes? Down to half is kept. */
static bool keeps(size_t usable, size_t bytes)
{
    return bytes <= usable && bytes >= usable / 2;
}

static void *realloc_sampled(void *old, size_t bytes, struct die_call call)
{
    size_t usable = sample_size(old, call);

    if (usable == SIZE_MAX || bytes > PTRDIFF_MAX)
        return face_no_memory();
    if (keeps(usable, bytes))
        return old;
    void *p = fast_malloc(bytes);
    if (!p)
        return bytes <= usable ? keep_all(old) : NULL;
    memcpy(p, old, size_min(usable, bytes));
    sample_free(old, call);
    return p;
}

/*
 * What to ask for when a slot of `usable` bytes is to have `bytes`. Who grows
 * an object by a little mostly does so again, and copying it each time it has
 * outgrown an eighth would be most of the cost: it gets a half more. What it
 * does not need in the end is lost: large ones get a third.
 */
static size_t with_room(size_t usable, size_t bytes)
{
    size_t room = usable + usable / (usable < REALLOC_LARGE_BYTES ? 2 : 3);

    if (usable < REALLOC_ROOM_BYTES || bytes <= usable || bytes >= room)
        return bytes;
    return size_max(size_min(room, CLASS_REQUEST_MAX), bytes);
}

/* A slot that its object does not fit any more. */
static void *realloc_slot(void *old, size_t usable, size_t bytes)
{
    size_t wanted = with_room(usable, bytes);
    int saved = errno;
    void *p = fast_malloc(wanted);

    if (!p && wanted != bytes)
        p = fast_malloc(bytes);
    if (p) {
        errno = saved;
        memcpy(p, old, size_min(usable, bytes));
        fast_free(old);
    } else if (bytes <= usable) {
        /* Shrinking never fails: the old object does as well. */
        errno = saved;
        return keep_all(old);
    }
    return p;
}

static void *move(struct heap *heap, void *old, struct record *record,
                  size_t bytes, struct die_call call)
{
    size_t kept = size_min(usable_bytes(record), bytes);
    bool zeroed;
    void *p = allocate(heap, bytes, &zeroed, call);

    if (!p)
        return NULL;
    /* Whole pages of large objects change place without a copy. */
    size_t moved = 0;
    if (kept >= REALLOC_MOVE_BYTES && record->kind != RECORD_SLAB) {
        moved = os_move(old, p, align_down(kept, os_page_bytes()));
        if (moved == SIZE_MAX)
            return NULL; /* p is a hole: given up */
    }
    memcpy((char *)p + moved, (char *)old + moved, kept - moved);
    heap_free(heap, old, call);
    return p;
}

void *face_realloc(void *old, size_t bytes, const void *site)
{
    struct die_call call = { "realloc", site, FRAME };
    void *p;

    if (!old)
        return fast_malloc(bytes);
    if (process_is_aside())
        return aside_next.realloc(old, bytes);
    if (bytes == 0) {
        free_named(old, call);
        return NULL;
    }
    if (sample_has(old))
        return realloc_sampled(old, bytes, call);
    struct record *record = heap_find(old, call);
    if (!record || bytes > PTRDIFF_MAX)
        return face_no_memory();
    if (keeps(usable_bytes(record), bytes))
        return old;
    if (record->kind == RECORD_SLAB && bytes <= CLASS_REQUEST_MAX)
        return realloc_slot(old, usable_bytes(record), bytes);
    if (record->kind != RECORD_SLAB && bytes > CLASS_REQUEST_MAX
        && span_resize(record, bytes))
        return old;
    struct heap *heap = thread_enter();
    p = move(heap, old, record, bytes, call);
    thread_leave(heap);
    if (!p && bytes <= usable_bytes(record))
        return keep_all(old);
    return p ? p : face_no_memory();
}

/* --- the merlon_ names ------------------------------------------------- */

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
