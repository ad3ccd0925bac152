/* SPDX-License-Identifier: MIT */
/*
 * heap_sample.c - which allocations are sampled.
 *
 * The idea: a heap draws, once in a while, how many allocations it is to the
 * next sample, 1 to 2N-1 of them, N on average. It can count them in slow
 * paths alone, for `taken` says how many slots went into stocks. If the one
 * meant is among those of a refill, the stock is cut short before it, so that
 * it takes the slow path and can be another object. Hence no fast path knows
 * of sampling, each allocation is as likely as any other to be sampled, and
 * so each class has its share.
 *
 * A sample costs some 40 us where several threads run: their address
 * translations are flushed when it is freed. So the default is paced: a heap
 * that has had one in the last two milliseconds waits for twice as many
 * allocations for the next. Who names a number has that.
 *
 * Builds without a stock array cannot be cut short at no cost: there the
 * sample is the next allocation of the class that takes the slow path.
 */
#include "heap.h"

#include "options.h"
#include "os.h"

enum {
    PACE_MS = 2,
    PACE_MAX = 8,
};

static struct heap_plan *plan_of(struct heap *heap)
{
    struct heap_plan *plan = heap->plan;

    return plan;
}

/* Is the next slow allocation of this class to be sampled? */
static bool has_plan(const struct heap_plan *plan, unsigned class)
{
    return (plan->class[class / 64] >> class % 64 & 1) != 0;
}

/* The sample itself counts as no slot taken: 1 means the very next. */
static void draw(struct heap *heap, struct heap_plan *plan)
{
    /* Only the default is paced: the product fits. */
    uint64_t spread = (uint64_t)size_min(2 * options_get()->sample - 1,
                                         UINT32_MAX) << plan->pace;
    uint32_t random = (uint32_t)stream_draw(heap_stream(heap));

    plan->at += random * spread >> 32;
}

/* A sample was taken: are they too many? */
static void keep_pace(struct heap_plan *plan)
{
    uint64_t now = os_clock_ms();

    if (options_get()->sample != OPTION_SAMPLE_DEFAULT)
        return;
    if (now - plan->last_ms < PACE_MS)
        plan->pace += plan->pace < PACE_MAX;
    else
        plan->pace -= plan->pace > 0;
    plan->last_ms = now;
}

void *heap_take_sample(struct heap *heap, unsigned class, size_t bytes,
                       size_t alignment, struct die_call call)
{
    struct heap_plan *plan = plan_of(heap);

    if (!SAMPLING || options_get()->sample == 0)
        return NULL;
    if (plan->at == 0) {
        plan->at = heap->taken + 1;
        draw(heap, plan);
    }
    if (has_plan(plan, class)) {
        plan->class[class / 64] &= ~(UINT64_C(1) << class % 64);
    } else if (plan->at <= heap->taken + 1) {
        draw(heap, plan);
    } else {
        return NULL;
    }
    keep_pace(plan);
    return sample_allocate(bytes, alignment, stream_draw(heap_stream(heap)),
                           call);
}

void heap_plan_sample(struct heap *heap, unsigned class)
{
    struct heap_plan *plan = plan_of(heap);

    if (!SAMPLING || options_get()->sample == 0 || plan->at > heap->taken)
        return;
    uint64_t beyond = heap->taken - plan->at + 1;
    uint32_t count = heap_stock(heap, class)->count;
    heap->busy++;
    compiler_fence();
    heap_shorten(heap, class, count > beyond ? count - (uint32_t)beyond : 0);
    compiler_fence();
    heap->busy--;
    plan->class[class / 64] |= UINT64_C(1) << class % 64;
    draw(heap, plan);
}

void heap_forget_sample(struct heap *heap)
{
    *plan_of(heap) = (struct heap_plan){ 0 };
}
