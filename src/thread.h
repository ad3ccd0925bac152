/* SPDX-License-Identifier: MIT */
/*
 * thread.h - which heap is mine.
 *
 * The only thread-local variable of merlon: one pointer, initial-exec. Before a
 * thread has a heap it points to a stand-in whose stocks are empty and which
 * owns nothing, so that no fast path asks whether anything is initialised.
 * After the thread's end it points to another stand-in: late calls borrow a
 * heap for one operation.
 */
#ifndef MERLON_THREAD_H
#define MERLON_THREAD_H

#include "heap.h"

extern HIDDEN _Thread_local struct heap *merlon_thread_heap
    __attribute__((tls_model("initial-exec")));

static ALWAYS_INLINE struct heap *thread_heap(void)
{
    return merlon_thread_heap;
}

/*
 * The heap for one slow operation of this thread, between thread_enter and
 * thread_leave: its own, opened if need be; a borrowed one when its own is
 * gone, or is in the middle of something that a signal has interrupted. When
 * there is no memory for a heap, a stand-in: good for freeing, not for
 * allocating.
 */
struct heap *thread_enter(void);
void thread_leave(struct heap *heap);

/* Create what a thread's end needs. Once, from process_start. */
bool thread_start(void);

#endif
