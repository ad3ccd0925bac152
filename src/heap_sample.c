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

static void draw(struct heap *heap, struct heap_plan *plan)
{
    uint32_t spread = (uint32_t)size_min(2 * options_get()->sample - 1,
                                         UINT32_MAX);
    uint32_t random = (uint32_t)stream_draw(heap_stream(heap));

    plan->at = heap->taken + 1 + stream_below(random, spread);
    plan->class = ANY_CLASS;
}

/* Is this slow allocation of the class the one? If the class that it was to be
   is not heard of for long, any one will do. */
static bool is_due(const struct heap *heap, const struct heap_plan *plan,
                   unsigned class)
{
    if (plan->at > heap->taken + 1)
        return false;
    return plan->class == ANY_CLASS || plan->class == class
        || heap->taken + 1 - plan->at > 2 * options_get()->sample;
}

void *heap_take_sample(struct heap *heap, unsigned class, size_t bytes,
                       size_t alignment, struct die_call call)
{
    struct heap_plan *plan = plan_of(heap);

    if (!SAMPLING || options_get()->sample == 0)
        return NULL;
    if (plan->at == 0)
        draw(heap, plan);
    if (!is_due(heap, plan, class))
        return NULL;
    draw(heap, plan);
    return sample_allocate(bytes, alignment, stream_draw(heap_stream(heap)),
                           call);
}

void heap_plan_sample(struct heap *heap, unsigned class)
{
    struct heap_plan *plan = plan_of(heap);

    if (!SAMPLING || options_get()->sample == 0 || plan->class != ANY_CLASS
        || plan->at > heap->taken)
        return;
    if (SLOT_QUEUE) {
        uint64_t beyond = heap->taken - plan->at + 1;
        uint32_t count = heap_stock(heap, class)->count;
        heap->busy++;
        compiler_fence();
        heap_shorten(heap, class,
                     count > beyond ? count - (uint32_t)beyond : 0);
        compiler_fence();
        heap->busy--;
    }
    plan->class = class;
}

void heap_forget_sample(struct heap *heap)
{
    plan_of(heap)->at = 0;
}
