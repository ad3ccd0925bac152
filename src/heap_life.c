/* SPDX-License-Identifier: MIT */
/*
 * heap_life.c - heaps begin, end, and are used again.
 *
 * Heaps stand in one array in the metadata of arena 0, by number. When a
 * thread ends its heap gives everything away and waits in a stack for the next
 * thread; its inbox stays valid all the time. Slabs with live objects belong
 * to nobody then: the next free into one claims it, or the next heap that
 * needs its class takes it from the pool. Nothing is lost with a thread.
 */
#include "arena.h"
#include "heap.h"
#include "os.h"

enum { TICK_MS = 400, CALLS_PER_TICK = 32 };

uint32_t heaps_opened;
static size_t committed;      /* bytes of the array that are writable */
static uint64_t parked;       /* stack of ended heaps: tag 32 | number 32 */
static uint64_t purge_ms;     /* when the arenas were last looked at */

static struct heap *heap_array(void)
{
    /* The first page is left free. */
    return (struct heap *)align_up((uintptr_t)arena_at(0)->heaps
                                   + os_page_bytes(), _Alignof(struct heap));
}

struct heap *heap_of_id(uint32_t id)
{
    return heap_array() + (id - 1);
}

uint32_t heap_count(void)
{
    return __atomic_load_n(&heaps_opened, __ATOMIC_ACQUIRE);
}

static struct heap *unpark(void)
{
    uint64_t top = __atomic_load_n(&parked, __ATOMIC_ACQUIRE);

    while ((uint32_t)top != 0) {
        struct heap *heap = heap_of_id((uint32_t)top);
        uint32_t next = __atomic_load_n(&heap->next_parked, __ATOMIC_RELAXED);
        /* The tag changes with every push: no ABA. Acquire: what the heap's
           last thread wrote. */
        if (__atomic_compare_exchange_n(&parked, &top,
                                        (top & ~UINT64_C(0xffffffff)) | next,
                                        true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_ACQUIRE))
            return heap;
    }
    return NULL;
}

static void park(struct heap *heap)
{
    uint64_t top = __atomic_load_n(&parked, __ATOMIC_RELAXED);
    uint64_t pushed;

    do {
        __atomic_store_n(&heap->next_parked, (uint32_t)top, __ATOMIC_RELAXED);
        pushed = ((top >> 32) + 1) << 32 | heap->id;
    } while (!__atomic_compare_exchange_n(&parked, &top, pushed, true,
                                          __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
}

static bool purge_pages(uintptr_t from, uintptr_t to)
{
    from = align_up(from, os_page_bytes());
    to = align_down(to, os_page_bytes());
    return from < to && os_purge((void *)from, to - from);
}

/* Whole pages of the bins and stocks of a heap that nobody uses: like those of
   one that never was. What lies between stays: its figures, and its inbox, that
   may hold post. */
static void purge(struct heap *heap)
{
    purge_pages((uintptr_t)heap, (uintptr_t)&heap->id);
    purge_pages((uintptr_t)(heap->plan + SAMPLING), (uintptr_t)(heap + 1));
}

/* Taken from the stack and put back one by one, in a stack of their own
   meanwhile; a fork in between loses some to the child. */
static bool purge_parked(void)
{
    struct heap *list = NULL, *heap;

    while ((heap = unpark())) {
        purge(heap);
        /* Relaxed: a late unpark may look at it, and fails by the tag. */
        __atomic_store_n(&heap->next_parked, list ? list->id : 0,
                         __ATOMIC_RELAXED);
        list = heap;
    }
    bool any = list != NULL;
    while ((heap = list)) {
        list = heap->next_parked ? heap_of_id(heap->next_parked) : NULL;
        park(heap);
    }
    return any;
}

/* A heap that never was. Numbers are taken one by one; committing is
   idempotent, so two threads may both do it. */
static struct heap *make(void)
{
    uint32_t id = __atomic_load_n(&heaps_opened, __ATOMIC_RELAXED);

    do {
        size_t end = (uintptr_t)(heap_array() + id + 1)
            - (uintptr_t)arena_at(0)->heaps;
        if (id + 1 >= HEAP_COUNT_MAX)
            return NULL;
        if (end > __atomic_load_n(&committed, __ATOMIC_ACQUIRE)) {
            size_t step = align_up(end, 4 * align_up(sizeof(struct heap),
                                                     os_page_bytes()));
            if (!arena_commit_heaps(step))
                return NULL;
            __atomic_store_n(&committed, step, __ATOMIC_RELEASE);
        }
    } while (!__atomic_compare_exchange_n(&heaps_opened, &id, id + 1, true,
                                          __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED));
    struct heap *heap = heap_of_id(id + 1);
    heap->id = id + 1;
    return heap;
}

struct heap *heap_open(void)
{
    struct heap *heap = unpark();

    if (!heap)
        heap = make();
    if (heap)
        heap_forget_thread(heap);
    return heap;
}

/* Slots in the stock go back to the slab they came from: they were never
   served, so they are not taken. */
void heap_shorten(struct heap *heap, unsigned class, uint32_t keep)
{
    struct stock *stock = heap_stock(heap, class);
    uint32_t count = stock->count;

    if (count <= keep)
        return;
    /* They are free by their state; the counts must hear of it, and where slots
       are few the word of those that were freed. */
    stock->count = keep;
    compiler_fence();
    for (uint32_t i = keep; shares_few(stock->slot_bytes) && i < count; i++)
        shares_add_few(stock->slab, stock_offset(stock, i) >> UNIT_SHIFT);
    heap->taken -= count - keep;
    stock->slab->until -= count - keep;
}

static void empty_stock(struct heap *heap, unsigned class)
{
    if (SLOT_MAP) {
        heap_shorten(heap, class, 0);
        return;
    }
    struct record *slab = heap_bin(heap, class)->current;
    heap_settle_taken(heap, slab, slab_list_length(slab));
}

static void leave(struct heap *heap, struct record *slab)
{
    struct die_call call = { .function = "free" };

    bool free_slots = slab_queued(slab) != 0 || slab->fresh < slab->slots;

    /* Empty ones that the kernel holds back are left to all, like others. */
    bool left = slab_used(slab) == 0 && heap_release_empty(heap, slab);

    left = left || heap_let_go(heap, slab,
                               free_slots ? SLAB_IDLE : SLAB_FULL, true);
    /* Post has come: back into a list, for another round. */
    if (!left)
        heap_take_post(heap, slab, call);
}

static void empty_bin(struct heap *heap, unsigned class)
{
    struct bin *bin = heap_bin(heap, class);
    struct record *slab;

    if (bin->slabs == 0)
        return;
    if (bin->current) {
        slab = bin->current;
        empty_stock(heap, class);
        heap_unlist(heap, slab);
        slab->state = SLAB_IDLE;
        leave(heap, slab);
    }
    while ((slab = bin->ready_first) || (slab = bin->asleep_first)) {
        heap_unlist(heap, slab);
        leave(heap, slab);
    }
}

void heap_close(struct heap *heap)
{
    struct die_call call = { .function = "free" };

    heap->busy++;
    heap_post_all(heap);
    do {
        /* Draining may claim slabs that were let go a moment ago. */
        heap_drain(heap, call);
        for (unsigned class = 0; class < CLASS_COUNT; class++)
            empty_bin(heap, class);
    } while (!inbox_is_empty(&heap->inbox));
    span_cache_decay(&heap->spans, 0, true);
    if (RANDOM_STREAM)
        stream_reset(heap_stream(heap));
    heap->busy--;
    park(heap);
}

/* Empty slabs that were kept at hand, and cached spans, after a while. */
static bool release_idle(struct heap *heap, uint64_t now, bool all)
{
    struct die_call call = { .function = "free" };
    bool any = span_cache_decay(&heap->spans, now, all);

    for (unsigned class = 0; class < CLASS_COUNT; class++) {
        struct record *slab = heap_bin(heap, class)->ready_first;
        while (slab) {
            struct record *next = slab->next;
            if (slab_used(slab) == 0) {
                heap_unlist(heap, slab);
                any = true;
                if (!heap_release_empty(heap, slab)) {
                    /* To the end of the list, and not to be met again. */
                    heap_take_post(heap, slab, call);
                    break;
                }
            }
            slab = next;
        }
    }
    return any;
}

/*
 * Classes that were hardly used since the last tick do not keep the pages of
 * slots that were freed; `all`: no class does. What rests of a class in use
 * stays: it comes back soon.
 */
static bool purge_cold(struct heap *heap, bool all)
{
    struct die_call call = { .function = "free" };
    bool any = false;

    for (unsigned class = 0; SCRUB && class < CLASS_COUNT; class++) {
        struct bin *bin = heap_bin(heap, class);
        bool cold = bin->taken - *bin->taken_before < COLD_SLOTS;
        /* Without a need no page is touched. */
        if (bin->taken == *bin->taken_before && bin->slabs == 0)
            continue;
        bin->taken_before[0] = bin->taken;
        if (!(cold || all) || !shares_few((uint32_t)class_slot_bytes(class)))
            continue;
        if (bin->current)
            any |= shares_purge(bin->current, call);
        for (struct record *slab = bin->ready_first; slab; slab = slab->next)
            any |= shares_purge(slab, call);
        for (struct record *slab = bin->asleep_first; slab; slab = slab->next)
            any |= shares_purge(slab, call);
    }
    return any;
}

void heap_tick(struct heap *heap)
{
    uint64_t now = os_clock_ms();
    uint64_t last = __atomic_load_n(&purge_ms, __ATOMIC_RELAXED);

    heap->pulse = CALLS_PER_TICK;
    if (now - heap->last_tick_ms < TICK_MS)
        return;
    heap->last_tick_ms = now;
    heap_post_all(heap);
    release_idle(heap, now, false);
    purge_cold(heap, false);
    /* One thread in a period looks after the arenas. */
    if (now - last >= TICK_MS
        && __atomic_compare_exchange_n(&purge_ms, &last, now, false,
                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        arena_purge(false, slab_verify_left);
}

bool heap_trim(struct heap *heap)
{
    struct die_call call = { .function = "malloc_trim" };
    bool any = false;

    if (heap->id != 0) {
        heap->busy++;
        heap_post_all(heap);
        heap_drain(heap, call);
        any = release_idle(heap, os_clock_ms(), true);
        any |= purge_cold(heap, true);
        heap->busy--;
    }
    any |= purge_parked();
    return arena_purge(true, slab_verify_left) || any;
}
