/* SPDX-License-Identifier: MIT */
/*
 * heap_alloc.c - refilling a stock.
 *
 * Everything that malloc does rarely is here: gathering and shuffling slots,
 * the look at the clock, the inbox.
 */
#include "heap.h"

void heap_give_up(struct heap *heap, size_t class)
{
    struct stock *stock = heap_stock(heap, class);
    uint32_t offset = stock_offset(stock, --stock->count);
    size_t unit = offset >> UNIT_SHIFT;
    uintptr_t slot = stock->base + offset;
    struct die_call call = { .function = "malloc" };
    struct die_facts facts = slab_facts(stock->slab, slot, call);

    facts.detail = "noticed at reuse";
    die(DIE_WRITE_AFTER_FREE, &facts);
    /* on_error=report: never found free again, and no free will be sound. */
    exact_open(stock->state, exact_load(stock->state, unit), unit);
    canary_clear(slot, stock->slot_bytes);
}

static bool refill_stock(struct heap *heap, unsigned class,
                         struct record *slab, bool patient,
                         struct die_call call)
{
    struct stock *stock = heap_stock(heap, class);
    struct bin *bin = heap_bin(heap, class);
    struct hand hand;
    uint32_t fresh;

    hand.slots = stock->slot;
    hand.count = 0;
    hand.room = STOCK_SLOTS;
    hand.stream = heap_stream(heap);
    hand.pad = link_draw_pad(hand.stream);
    fresh = slab->fresh;
    slab_take(slab, &hand, bin->taken, patient, bin->grows, call);
    if (ENCODED_LINKS)
        *(uint32_t *)stock->pad = hand.pad;
    stock->slot_bytes = slab->slot_bytes;
    stock->base = slab->base;
    stock->state = slab_state_words(slab);
    stock->slab = slab;
    stock->untouched = slab->fresh != fresh && !canary_stays(slab->slot_bytes);
    heap->taken += hand.count;
    bin->taken += hand.count;
    /* The batch and the counts first: a fork now loses slots, not doubles. */
    compiler_fence();
    stock->count = hand.count;
    return hand.count != 0;
}

/* The list of the current slab is empty. */
static bool refill_list(struct heap *heap, unsigned class,
                        struct die_call call)
{
    struct record *slab = heap_bin(heap, class)->current;
    user_word **clean = heap->clean;

    heap_beat(heap);
    if (slab)
        heap_settle_taken(heap, slab, 0);
    slab = heap_find_slab(heap, class, 0, call);
    if (!slab)
        return false;
    if (slab->list)
        return true;
    if (!slab_fill_list(slab))
        return false;
    *clean = slab->zeroed ? slab->list : NULL;
    return true;
}

/* No memory: what should rest longer must do. */
static bool refill_hastily(struct heap *heap, unsigned class,
                           struct die_call call)
{
    struct bin *bin = heap_bin(heap, class);

    for (unsigned i = 0; i < bin->slabs + 1; i++) {
        struct record *slab = i == 0 && bin->current ? bin->current
            : bin->ready_first ? bin->ready_first : bin->asleep_first;
        if (!slab)
            return false;
        if (slab != bin->current)
            heap_make_current(heap, slab);
        if (refill_stock(heap, class, slab, false, call))
            return true;
    }
    return false;
}

static bool refill_map(struct heap *heap, unsigned class, struct die_call call)
{
    heap_beat(heap);
    for (unsigned attempt = 0; attempt < HEAP_ATTEMPTS; attempt++) {
        struct record *slab = heap_find_slab(heap, class, attempt, call);
        if (!slab)
            break;
        if (refill_stock(heap, class, slab, true, call))
            return true;
    }
    return refill_hastily(heap, class, call);
}

void *heap_allocate_small(struct heap *heap, unsigned class,
                          struct die_call call)
{
    void *slot;
    bool large;

    while (!(slot = heap_take(heap, class, false, &large))) {
        if (SLOT_MAP && heap_stock(heap, class)->count != 0) {
            heap_give_up(heap, class);
            continue;
        }
        heap->busy++;
        compiler_fence();
        bool filled = SLOT_MAP ? refill_map(heap, class, call)
            : refill_list(heap, class, call);
        compiler_fence();
        heap->busy--;
        if (!filled)
            return NULL;
    }
    return slot;
}
