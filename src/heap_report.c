/* SPDX-License-Identifier: MIT */
/*
 * heap_report.c - what is wrong with a pointer or a message, in one line.
 */
#include "heap.h"

/* A stand-in is never written: nobody knows it there. */
COLD uint32_t heap_ask_thread(struct heap *heap)
{
    uint32_t *thread = heap->thread;

    if (!CHECKED || heap->id == 0)
        return DIE_SENDER_UNKNOWN;
    *thread = os_thread_id() & DIE_SENDER_UNKNOWN;
    return *thread;
}

COLD void heap_report(const struct record *slab, uintptr_t p,
                      struct die_call call)
{
    struct die_facts facts = { .call = call, .pointer = (void *)p };
    enum die_kind kind = DIE_INVALID_POINTER;

    if (!slab) {
        facts.detail = "not from this heap";
    } else {
        size_t offset = p - slab->base;
        facts = slab_facts(slab, p, call);
        if (offset % slab->slot_bytes != 0)
            facts.detail = "inside an object";
        else if (slab_never_had(slab, offset / slab->slot_bytes))
            facts.detail = "never allocated";
        else
            kind = DIE_DOUBLE_FREE;
    }
    die(kind, &facts);
}

/* Has another thread freed this slot, and the owner not taken it in yet? */
static bool is_under_way(const struct record *slab, uintptr_t p)
{
    size_t offset = p - slab->base;

    return STRICT_REMOTE
        && (exact_load(slab_pending_words(slab), offset >> UNIT_SHIFT)
            & exact_bit(offset >> UNIT_SHIFT)) != 0;
}

/* Who sent the slot: by its mark, or else by the slab. */
static uint32_t slot_sender(const struct record *slab, uintptr_t slot)
{
    uint32_t thread = canary_marked_by(&slab->key, slot, slab->slot_bytes);

    return thread ? thread : sender_of(slab);
}

COLD void heap_report_canary(const struct record *slab, uintptr_t p,
                             struct die_call call)
{
    struct die_facts facts = slab_facts(slab, p, call);
    bool marked = canary_marked_by(&slab->key, p, slab->slot_bytes) != 0;

    if (!marked && !is_under_way(slab, p)) {
        die(DIE_OVERFLOW, &facts);
        return;
    }
    facts.detail = "freed by another thread";
    facts.sender = slot_sender(slab, p);
    die(DIE_DOUBLE_FREE, &facts);
}

COLD void heap_report_span(const struct record *record, uintptr_t p,
                           struct die_call call)
{
    struct die_facts facts = { .call = call, .pointer = (void *)p };
    bool freed = record->kind == RECORD_SPAN_FREE && record->base == p;

    if (!freed)
        facts.detail = "inside an object, or never allocated";
    die(freed ? DIE_DOUBLE_FREE : DIE_INVALID_POINTER, &facts);
}

COLD void heap_report_twice(const struct record *slab, uintptr_t p,
                            struct die_call call)
{
    struct die_facts facts = slab_facts(slab, p, call);

    facts.detail = "freed by two threads";
    facts.sender = sender_of(slab);
    die(DIE_DOUBLE_FREE, &facts);
}

COLD void heap_report_message(enum die_kind kind, const struct record *slab,
                              uintptr_t slot, struct die_call call)
{
    struct die_facts facts = slab_facts(slab, slot, call);

    facts.detail = "by another thread, noticed when its message came in";
    facts.sender = slot_sender(slab, slot);
    die(kind, &facts);
}
