/* SPDX-License-Identifier: MIT */
/*
 * thread.c - first use, end of a thread, borrowed heaps.
 */
#include "thread.h"

#include <pthread.h>

#include "order.h"
#include "process.h"

/* Never written: they may be read by all threads at once. */
static struct heap before;
static struct heap after;

HIDDEN _Thread_local struct heap *merlon_thread_heap
    __attribute__((tls_model("initial-exec"))) = &before;

static EARLY pthread_key_t key;

/* Relaxed: in the child of a fork others look at it; see process.c. */
static void set_generation(struct heap *heap, uint64_t generation)
{
    __atomic_store_n(&heap->generation, generation, __ATOMIC_RELAXED);
}

/* The destructor of the key: the thread's heap gives everything away. */
static void thread_end(void *heap)
{
    merlon_thread_heap = &after;
    compiler_fence();
    set_generation(heap, 0);
    heap_close(heap);
}

bool thread_start(void)
{
    return pthread_key_create(&key, thread_end) == 0;
}

static struct heap *open_heap(void)
{
    process_watch_forks();
    struct heap *heap = heap_open();

    if (heap)
        set_generation(heap, process_generation());
    return heap;
}

/* In the child of a fork: numbers must differ from the parent's, and so must
   the order of what is still to be handed out. */
static void renew(struct heap *heap)
{
    set_generation(heap, process_generation());
    if (RANDOM_STREAM)
        stream_reset(heap_stream(heap));
    if (SAMPLING)
        heap_forget_sample(heap);
    heap_forget_thread(heap);
    if (!SLOT_MAP || !RANDOM_ORDER)
        return;
    for (unsigned class = 0; class < CLASS_COUNT; class++) {
        struct stock *stock = heap_stock(heap, class);
        order_shuffle(stock->slot, stock->count, heap_stream(heap));
    }
}

struct heap *thread_enter(void)
{
    struct heap *heap = merlon_thread_heap;

    if (heap == &before) {
        if (!process_start() || !(heap = open_heap()))
            return &before;
        /* First the pointer: setspecific may allocate, and must find it. */
        merlon_thread_heap = heap;
        pthread_setspecific(key, heap);
    } else if (heap == &after || heap->busy != 0) {
        heap = open_heap();
        if (!heap)
            return &after;
    } else if (unlikely(heap->generation != process_generation())) {
        renew(heap);
    }
    process_bury_one(heap);
    return heap;
}

void thread_leave(struct heap *heap)
{
    if (heap == merlon_thread_heap || heap == &before || heap == &after)
        return;
    set_generation(heap, 0);
    heap_close(heap);
}
