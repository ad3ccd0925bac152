/* SPDX-License-Identifier: MIT */
/*
 * heap_free.c - whose is this pointer, and what becomes of it.
 *
 * The slow half of free: judging a pointer by arithmetic and records alone,
 * claiming a slab that belongs to nobody, sending what belongs to another
 * heap, and taking in what others have sent.
 */
#include "heap.h"

#include "arena.h"

/* --- judging ----------------------------------------------------------- */

/* Why no live object starts here. */
static void report(const struct record *slab, uintptr_t p,
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

/* A live slot whose canary is not what it should be. In a freed slot whose
   message is not yet sent, or not yet taken in, everything is zero. */
static void report_canary(const struct record *slab, uintptr_t p,
                          struct die_call call)
{
    struct die_facts facts = slab_facts(slab, p, call);
    bool scrubbed = SCRUB
        && scrub_range_is_zero(p, slab->slot_bytes - CANARY_BYTES);

    if (is_under_way(slab, p) || scrubbed) {
        facts.detail = "freed by another thread";
        die(DIE_DOUBLE_FREE, &facts);
    } else {
        die(DIE_OVERFLOW, &facts);
    }
}

/* A pointer into the part of spans that is no live span's start. */
static void report_span(struct record *record, uintptr_t p,
                        struct die_call call)
{
    struct die_facts facts = { .call = call, .pointer = (void *)p };
    bool freed = record->kind == RECORD_SPAN_FREE && record->base == p;

    if (!freed)
        facts.detail = "inside an object, or never allocated";
    die(freed ? DIE_DOUBLE_FREE : DIE_INVALID_POINTER, &facts);
}

/* The record of a slab that p lies in, or of a live span that starts at p; else
   NULL after a report, in every build. */
static struct record *judge(uintptr_t p, struct die_call call)
{
    struct record *record = arena_record(p);

    if (!record || record->kind == RECORD_NONE) {
        report(NULL, p, call);
        return NULL;
    }
    if (record->kind == RECORD_SLAB)
        return record->slab;
    if (!span_of(record, p)) {
        report_span(record, p, call);
        return NULL;
    }
    return record;
}

/* Does a live object with a whole canary start at p? If not, it is reported. */
static bool is_sound(const struct record *slab, uintptr_t p,
                     struct die_call call)
{
    if (!exact_is_live(slab_state_words(slab), p - slab->base)) {
        report(slab, p, call);
        return false;
    }
    if (!canary_is_whole(&slab->key, p, slab->slot_bytes)) {
        report_canary(slab, p, call);
        return false;
    }
    return true;
}

static bool is_span(const struct record *record)
{
    return record->kind != RECORD_SLAB;
}

struct record *heap_find(void *pointer, struct die_call call)
{
    uintptr_t p = (uintptr_t)pointer;
    struct record *record = judge(p, call);

    if (!record || is_span(record))
        return record;
    return is_sound(record, p, call) ? record : NULL;
}

/* --- own slabs --------------------------------------------------------- */

static void free_own(struct heap *heap, struct record *slab, uintptr_t p,
                     struct die_call call)
{
    uint64_t *state = slab_state_words(slab);
    size_t unit = (p - slab->base) >> UNIT_SHIFT;

    if (p % UNIT_BYTES != 0)
        return report(slab, p, call);
    switch (heap_put(slab, p, state, unit)) {
    case HEAP_PUT_DONE:
        return;
    case HEAP_PUT_LARGE:
        if (heap_put_large(heap, slab, p, state, unit))
            heap_settle(heap, slab);
        return;
    case HEAP_PUT_EVENT:
        heap_settle(heap, slab);
        return;
    case HEAP_PUT_UNUSUAL:
        if (!exact_is_live(state, p - slab->base))
            report(slab, p, call);
        else
            report_canary(slab, p, call);
    }
}

/* --- taking in --------------------------------------------------------- */

/* While post is taken in, only the last slot may end the count. */
static void suspend_events(struct record *slab)
{
    slab->until += slab->rest;
    slab->rest = 0;
}

static void take_one(struct record *slab, uint64_t *state, size_t unit,
                     struct die_call call)
{
    uint64_t word = exact_load(state, unit);
    uintptr_t slot = slab->base + (unit << UNIT_SHIFT);

    if (canary_stays(slab->slot_bytes))
        canary_write(&slab->key, slot, slab->slot_bytes);
    if (unlikely(!exact_says_live(word, unit))) {
        struct die_facts facts = slab_facts(slab, slot, call);
        facts.detail = "by another thread, noticed when its message came in";
        die(DIE_DOUBLE_FREE, &facts);
        return;
    }
    exact_store(state, exact_closed(word, unit), unit);
    slab_put(slab, slot, false);
}

/* Strict mode: every pending bit of the slab. */
static void take_pending(struct record *slab, struct die_call call)
{
    uint64_t *pending = slab_pending_words(slab);
    uint64_t *state = slab_state_words(slab);
    size_t bytes = (size_t)slab->slots * slab->slot_bytes;
    /* Slots further apart than a word: look only where one starts. */
    size_t step = size_max(slab->slot_bytes, UNIT_BYTES * 64);

    for (size_t at = 0; at < bytes; at += step) {
        size_t word = exact_word(at >> UNIT_SHIFT);
        /* seq_cst: we took the note out before; see mail_swap. */
        if (__atomic_load_n(&pending[word], __ATOMIC_SEQ_CST) == 0)
            continue;
        /* Acquire: the sender's scrubbing happened before. */
        uint64_t bits = __atomic_exchange_n(&pending[word], 0,
                                            __ATOMIC_ACQ_REL);
        for (; bits != 0; bits &= bits - 1) {
            take_one(slab, state, word * 64 + bits_lowest(bits), call);
        }
    }
}

/* A chain of `count` slots that others have linked. */
static void take_chain(struct record *slab, uint32_t head, uint32_t count,
                       struct die_call call)
{
    uint64_t *state = slab_state_words(slab);
    uint32_t end = slab->slots * slab->slot_bytes;

    if (!SLOT_MAP && !slab->list) {
        /* As it is: nothing of it needs to be looked at. */
        slab->list = (user_word *)(slab->base + head);
        slab->until -= count;
        return;
    }
    while (count-- > 0) {
        uint32_t unit = 0;
        bool sound = chain_read(slab, head, &unit);
        if (SCRUB)
            *(user_word *)(slab->base + head) = 0;
        take_one(slab, state, head >> UNIT_SHIFT, call);
        if (count == 0)
            break;
        if ((CHECKED || ENCODED_LINKS) && (!sound || unit == 0
                        || (unit - 1) << UNIT_SHIFT >= end)) {
            struct die_facts facts =
                slab_facts(slab, slab->base + head, call);
            die(DIE_LINK, &facts);
            break;
        }
        head = (unit - 1) << UNIT_SHIFT;
    }
}

/* All post of an owned slab. */
void heap_take_post(struct heap *heap, struct record *slab,
                    struct die_call call)
{
    uint64_t mail = mail_take(slab);

    suspend_events(slab);
    if (STRICT_REMOTE)
        take_pending(slab, call);
    else if (mail_count(mail) != 0)
        take_chain(slab, (mail_head(mail) - 1) << UNIT_SHIFT,
                   mail_count(mail), call);
    heap_settle(heap, slab);
}

static void notify(struct heap *heap, struct record *slab, uint64_t sent,
                   struct die_call call);

/*
 * A slab out of an inbox, mostly our own. It may have changed hands since it
 * was put there: then whoever owns it now must hear of the post.
 */
static void take_in(struct heap *heap, struct record *slab,
                    struct die_call call)
{
    uint64_t mail = mail_unnote(slab);
    uint64_t sent;

    if (heap->id != 0 && mail_owner(mail) == heap->id) {
        heap_take_post(heap, slab, call);
        return;
    }
    if (mail_owner(mail) == MAIL_ARENA)
        return;
    if (!STRICT_REMOTE && !mail_has_post(mail))
        return;
    if (mail_owner(mail) == 0 && heap->id != 0
        && mail_claim(slab, heap->id)) {
        /* Whatever the word says: it was we who took the note out of it. */
        heap_adopt(heap, slab);
        heap_take_post(heap, slab, call);
        return;
    }
    if (mail_note(slab, true, &sent) == MAIL_NOTIFY)
        notify(heap, slab, sent, call);
}

static void drain(struct heap *heap, struct inbox *inbox, struct die_call call)
{
    struct record *slab = inbox_take_all(inbox);

    while (slab) {
        struct record *next = slab->mail_next;
        take_in(heap, slab, call);
        slab = next;
    }
}

void heap_drain(struct heap *heap, struct die_call call)
{
    drain(heap, &heap->inbox, call);
}

/* Tell the owner. If it let the slab go meanwhile, because its thread ends, it
   may not look into its inbox again: then we do, as any thread may. */
static void notify(struct heap *heap, struct record *slab, uint64_t sent,
                   struct die_call call)
{
    uint32_t owner = mail_owner(sent);
    struct inbox *inbox = &heap_of_id(owner)->inbox;
    inbox_push(inbox, slab);
    if (unlikely(mail_owner(mail_look(slab)) != owner))
        drain(heap, inbox, call);
}

/* --- sending ----------------------------------------------------------- */

bool heap_claim(struct heap *heap, struct record *slab, struct die_call call)
{
    if (heap->id == 0 || !mail_claim(slab, heap->id))
        return false;
    heap_adopt(heap, slab);
    if (mail_may_have_post(mail_load(slab)))
        heap_take_post(heap, slab, call);
    else
        heap_settle(heap, slab);
    return true;
}

/* What its owner will find: zeros, and no canary. */
static void leave_slot(const struct record *slab, uintptr_t p)
{
    scrub(p, slab->slot_bytes);
    canary_clear(p, slab->slot_bytes);
}

static void report_twice(struct record *slab, uintptr_t p,
                         struct die_call call)
{
    struct die_facts facts = slab_facts(slab, p, call);

    facts.detail = "freed by two threads";
    die(DIE_DOUBLE_FREE, &facts);
}

/* Strict mode: the message is a bit, and it is sent at once. */
static void free_remote_strict(struct heap *heap, struct record *slab,
                               uintptr_t p, struct die_call call)
{
    size_t unit = (p - slab->base) >> UNIT_SHIFT;
    uint64_t *pending = &slab_pending_words(slab)[exact_word(unit)];
    uint64_t sent;
    enum mail_result result;

    leave_slot(slab, p);
    /* Release: whoever takes the bit in sees the slot scrubbed. */
    if (__atomic_fetch_or(pending, exact_bit(unit), __ATOMIC_SEQ_CST)
            & exact_bit(unit)) {
        report_twice(slab, p, call);
        return;
    }
    while ((result = mail_note(slab, heap->id == 0, &sent)) == MAIL_NOBODY) {
        if (mail_claim(slab, heap->id)) {
            heap_adopt(heap, slab);
            heap_take_post(heap, slab, call);
            return;
        }
    }
    if (result == MAIL_NOTIFY)
        notify(heap, slab, sent, call);
    /* The owner may have taken the bit in, and given the empty slab back. */
    else if (result == MAIL_GONE
             && __atomic_fetch_and(pending, ~exact_bit(unit),
                                   __ATOMIC_SEQ_CST) & exact_bit(unit))
        report_twice(slab, p, call);
}

static void post(struct heap *heap, struct parcel *parcel,
                 struct die_call call)
{
    struct record *slab = parcel->slab;
    uint64_t sent;
    enum mail_result result;

    parcel->slab = NULL;
    while ((result = mail_send_chain(slab, parcel->head, parcel->tail,
                                     parcel->count, heap->id == 0, &sent))
           == MAIL_NOBODY) {
        if (!mail_claim(slab, heap->id))
            continue;
        heap_adopt(heap, slab);
        suspend_events(slab);
        take_chain(slab, parcel->head, parcel->count, call);
        heap_take_post(heap, slab, call);
        return;
    }
    if (result == MAIL_NOTIFY)
        notify(heap, slab, sent, call);
    else if (result == MAIL_GONE)
        report_twice(slab, slab->base + parcel->head, call);
}

void heap_post_all(struct heap *heap)
{
    struct die_call call = { .function = "free" };

    if (STRICT_REMOTE)
        return;
    for (unsigned i = 0; i < OUTBOX_PARCELS; i++) {
        struct parcel *parcel = &heap->outbox.parcel[i];
        if (parcel->slab)
            post(heap, parcel, call);
    }
    heap->outbox.bytes[0] = 0;
}

static void free_remote_grouped(struct heap *heap, struct record *slab,
                                uintptr_t p, struct die_call call)
{
    uint32_t offset = (uint32_t)(p - slab->base);

    leave_slot(slab, p);
    if (heap->id == 0) {
        struct parcel single = { .slab = slab };
        parcel_add(&single, offset);
        post(heap, &single, call);
        return;
    }
    struct parcel *parcel = outbox_place(&heap->outbox, slab);
    if (parcel->slab != slab) {
        if (parcel->slab)
            post(heap, parcel, call);
        *parcel = (struct parcel){ .slab = slab };
    }
    parcel_add(parcel, offset);
    heap->outbox.bytes[0] += slab->slot_bytes;
    if (heap->outbox.bytes[0] > OUTBOX_BYTES_MAX)
        heap_post_all(heap);
}

static void free_remote(struct heap *heap, struct record *slab, uintptr_t p,
                        struct die_call call)
{
    if (!is_sound(slab, p, call))
        return;
    if (STRICT_REMOTE)
        free_remote_strict(heap, slab, p, call);
    else
        free_remote_grouped(heap, slab, p, call);
}

static void free_judged(struct heap *heap, struct record *record, uintptr_t p,
                        struct die_call call)
{
    if (is_span(record)) {
        span_free(record, heap->id ? &heap->spans : NULL, call);
        return;
    }
    for (;;) {
        uint32_t owner = mail_owner(mail_load(record));
        if (owner == MAIL_ARENA) {
            report(record, p, call);
        } else if (owner == heap->id && owner != 0) {
            free_own(heap, record, p, call);
        } else if (owner == 0 && heap_claim(heap, record, call)) {
            /* Taking in its post may have let it go again. */
            continue;
        } else {
            free_remote(heap, record, p, call);
        }
        return;
    }
}

void heap_free(struct heap *heap, void *pointer, struct die_call call)
{
    uintptr_t p = (uintptr_t)pointer;
    struct record *record = judge(p, call);

    if (!record)
        return;
    /* A stand-in is shared and never written. */
    if (heap->id == 0) {
        free_judged(heap, record, p, call);
        return;
    }
    heap->busy++;
    compiler_fence();
    free_judged(heap, record, p, call);
    /* A thread that only frees takes its post in here. */
    if (!inbox_is_empty(&heap->inbox))
        heap_drain(heap, call);
    heap_beat(heap);
    compiler_fence();
    heap->busy--;
}
