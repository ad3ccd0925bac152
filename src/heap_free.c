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

/* The record of a slab that p lies in, or of a live span that starts at p; else
   NULL after a report, in every build. */
static struct record *judge(uintptr_t p, struct die_call call)
{
    struct record *record = arena_record(p);

    if (!record || record->kind == RECORD_NONE) {
        heap_report(NULL, p, call);
        return NULL;
    }
    if (record->kind == RECORD_SLAB)
        return record->slab;
    if (!span_of(record, p)) {
        heap_report_span(record, p, call);
        return NULL;
    }
    return record;
}

/* Does a live object with a whole canary start at p? If not, it is reported. */
static bool is_sound(const struct record *slab, uintptr_t p,
                     struct die_call call)
{
    if (!exact_is_live(slab_state_words(slab), p - slab->base)) {
        heap_report(slab, p, call);
        return false;
    }
    if (!canary_is_whole(&slab->key, p, slab->slot_bytes)) {
        heap_report_canary(slab, p, call);
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
        return heap_report(slab, p, call);
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
            heap_report(slab, p, call);
        else
            heap_report_canary(slab, p, call);
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

    bool live = exact_says_live(word, unit);

    if (unlikely(!live))
        heap_report_message(DIE_DOUBLE_FREE, slab, slot, call);
    if (canary_stays(slab->slot_bytes))
        canary_write(&slab->key, slot, slab->slot_bytes);
    if (unlikely(!live))
        return;
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
            heap_report_message(DIE_LINK, slab, slab->base + head, call);
            break;
        }
        head = (unit - 1) << UNIT_SHIFT;
    }
}

/* All post of an owned slab. */
void heap_take_post(struct heap *heap, struct record *slab,
                    struct die_call call)
{
    uint32_t sender = sender_load(slab);
    uint64_t mail = mail_take(slab);

    suspend_events(slab);
    if (STRICT_REMOTE) {
        take_pending(slab, call);
        mail_taken(slab);
    } else if (mail_count(mail) != 0) {
        take_chain(slab, (mail_head(mail) - 1) << UNIT_SHIFT,
                   mail_count(mail), call);
    }
    sender_forget(slab, sender);
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
        struct record *next = inbox_next(slab);
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

/* What its owner will find: zeros, and who sent it. */
static void leave_slot(struct heap *heap, const struct record *slab,
                       uintptr_t p)
{
    scrub(p, slab->slot_bytes);
    canary_mark(p, slab->slot_bytes, heap_thread(heap));
}

/* It was free, and stays: its next owner's canary is to be whole. */
static void unmark_slot(struct heap *heap, const struct record *slab,
                        uintptr_t p)
{
    canary_mark(p, slab->slot_bytes, heap_thread(heap));
}

/*
 * The slot's state is clear although its bit was just set: has the owner taken
 * the message in, or freed the slot himself? In a sound program the state is
 * set wherever the bit is, but for an intake that goes on. So both are looked
 * at while there is none; after some attempts nobody knows.
 */
static NOINLINE bool is_freed_by_owner(struct record *slab, size_t unit)
{
    enum { ATTEMPTS = 100 };
    const uint64_t *pending = &slab_pending_words(slab)[exact_word(unit)];

    for (int i = 0; i < ATTEMPTS; i++) {
        uint64_t mail = mail_look(slab);
        uint64_t bits = __atomic_load_n(pending, __ATOMIC_ACQUIRE);
        bool live = exact_says_live(exact_load(slab_state_words(slab), unit),
                                    unit);
        /* The words before, the number of intakes after: see mail_take. */
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!mail_is_taken_in(mail)
            && ((mail ^ mail_look(slab)) & MAIL_INTAKES) == 0)
            return !live && (bits & exact_bit(unit)) != 0;
    }
    return false;
}

/* Nobody has taken the bit in: it is ours again. */
static bool take_back(uint64_t *pending, size_t unit)
{
    return (__atomic_fetch_and(pending, ~exact_bit(unit), __ATOMIC_SEQ_CST)
            & exact_bit(unit)) != 0;
}

/* Strict mode: the message is a bit, and it is sent at once. */
static void free_remote_strict(struct heap *heap, struct record *slab,
                               uintptr_t p, struct die_call call)
{
    size_t unit = (p - slab->base) >> UNIT_SHIFT;
    uint64_t *pending = &slab_pending_words(slab)[exact_word(unit)];
    uint64_t sent;
    enum mail_result result;

    leave_slot(heap, slab, p);
    sender_sign(slab, heap_thread(heap));
    /* Once more, as late as can be: scrubbing may have taken a while. */
    if (unlikely(!exact_is_live(slab_state_words(slab), p - slab->base))) {
        heap_report(slab, p, call);
        unmark_slot(heap, slab, p);
        return;
    }
    /* Release: whoever takes the bit in sees the slot scrubbed. */
    if (__atomic_fetch_or(pending, exact_bit(unit), __ATOMIC_SEQ_CST)
            & exact_bit(unit)) {
        heap_report_twice(slab, p, call);
        return;
    }
    /* seq_cst: the owner that frees the slot too sees the bit at the refill, or
       we see it free. */
    const uint64_t *state = &slab_state_words(slab)[exact_word(unit)];
    uint64_t word = __atomic_load_n(state, __ATOMIC_SEQ_CST);
    if (unlikely(!exact_says_live(word, unit))
        && is_freed_by_owner(slab, unit)) {
        /* If it was taken in meanwhile, the owner tells it. */
        if (take_back(pending, unit)) {
            heap_report_twice(slab, p, call);
            unmark_slot(heap, slab, p);
        }
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
    else if (result == MAIL_GONE && take_back(pending, unit))
        heap_report_twice(slab, p, call);
}

static void post(struct heap *heap, struct parcel *parcel,
                 struct die_call call)
{
    struct record *slab = parcel->slab;
    uint64_t sent;
    enum mail_result result;

    parcel->slab = NULL;
    sender_sign(slab, heap_thread(heap));
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
        heap_report_twice(slab, slab->base + parcel->head, call);
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

    leave_slot(heap, slab, p);
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
            heap_report(record, p, call);
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
