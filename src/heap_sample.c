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
 * Builds without a stock array cannot be cut short at no cost: there the
 * sample is the next allocation of the class that takes the slow path.
 */
#include "heap.h"

#include "options.h"

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
    uint32_t spread = (uint32_t)size_min(2 * options_get()->sample - 1,
                                         UINT32_MAX);
    uint32_t random = (uint32_t)stream_draw(heap_stream(heap));

    plan->at += stream_below(random, spread);
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
