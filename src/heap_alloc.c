/* SPDX-License-Identifier: MIT */
/*
 * heap_alloc.c - refilling a stock.
 *
 * Everything that malloc does rarely is here: verification of links, the
 * shuffle, the look at the clock, the inbox.
 */
#include "heap.h"

#include "order.h"

/* A slot in the stock was written to while it was free. */
void *heap_take_failed(struct heap *heap, size_t class, uintptr_t slot)
{
    struct stock *stock = heap_stock(heap, class);
    struct die_call call = { .function = "malloc" };
    struct die_facts facts = slab_facts(stock->slab, slot, call);
    bool live = WRITE_CHECK
        && !scrub_range_is_zero(slot, stock->slot_bytes);

    facts.detail = "noticed at reuse";
    die(live ? DIE_WRITE_AFTER_FREE : DIE_LINK, &facts);
    /* on_error=report: the slot is leaked, the next one is tried. */
    return heap_take(heap, class);
}

/*
 * Strict mode closes the window in which a slot is freed here while a remote
 * free of it is under way: the sender sets its bit and then reads the state;
 * we cleared the state long ago, fence, and then read the bit. One of the two
 * sees the other.
 */
static void check_pending(struct record *slab, const uint32_t *slots,
                          uint32_t count, struct die_call call)
{
    const uint64_t *pending = slab_pending_words(slab);

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t word = __atomic_load_n(&pending[exact_word(slots[i])],
                                        __ATOMIC_RELAXED);
        if (unlikely(word & exact_bit(slots[i]))) {
            struct die_facts facts =
                slab_facts(slab, slab->base + slots[i], call);
            facts.detail = "freed here and by another thread";
            die(DIE_DOUBLE_FREE, &facts);
        }
    }
}

static bool refill_stock(struct heap *heap, unsigned class,
                         struct record *slab, struct die_call call)
{
    struct stock *stock = heap_stock(heap, class);
    uint32_t reserve = heap_reserve(heap, slab);
    uint32_t count = slab_take_queue(slab, stock->slot, STOCK_SLOTS, reserve,
                                     call);

    if (count == 0) /* out of memory: even what should wait longer */
        count = slab_take_queue(slab, stock->slot, STOCK_SLOTS, 0, call);
    if (STRICT_REMOTE)
        check_pending(slab, stock->slot, count, call);
    order_shuffle(stock->slot, count, heap_stream(heap));
    stock->base = slab->base;
    stock->slot_bytes = slab->slot_bytes;
    if (EXACT_STATE)
        *(uint64_t **)stock->state = slab_state_words(slab);
    stock->slab = slab;
    heap->taken += count;
    compiler_fence();
    stock->count = count;
    return count != 0;
}

static bool refill_list(struct heap *heap, unsigned class, struct record *slab)
{
    uint32_t count;
    user_word *list = slab_take_list(slab, &count);

    compiler_fence();
    *heap_list(heap, class) = list;
    heap->taken += count;
    return count != 0;
}

static bool refill(struct heap *heap, unsigned class, struct die_call call)
{
    struct record *slab;

    heap_beat(heap);
    slab = heap_find_slab(heap, class, call);
    if (!slab)
        return false;
    if (SLOT_QUEUE)
        return refill_stock(heap, class, slab, call);
    return refill_list(heap, class, slab);
}

void *heap_allocate_small(struct heap *heap, unsigned class,
                          struct die_call call)
{
    void *slot = heap_take(heap, class);

    if (slot)
        return slot;
    heap->busy++;
    compiler_fence();
    bool filled = refill(heap, class, call);
    compiler_fence();
    heap->busy--;
    return filled ? heap_take(heap, class) : NULL;
}
