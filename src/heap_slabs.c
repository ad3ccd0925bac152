/* SPDX-License-Identifier: MIT */
/*
 * heap_slabs.c - which slabs a heap owns, and in which list they stand.
 *
 * A slab comes from the heap's ready list, from the pool of half-empty slabs
 * that belong to nobody, or from the arena. It goes to nobody when all its
 * slots are handed out, and to the arena when none is.
 */
#include "arena.h"
#include "guard.h"
#include "heap.h"
#include "pool.h"

static struct pool pools[CLASS_COUNT];

enum {
    /* A heap owns this much of a class in slabs that are not current; what is
       beyond it is left to all. */
    OWNED_BYTES_MAX = 4 << 20,
    OWNED_SLABS_MIN = 4,
};

static struct bin *bin_of(struct heap *heap, const struct record *slab)
{
    return heap_bin(heap, record_class(slab));
}

static void set_current(struct heap *heap, unsigned class,
                        struct record *slab)
{
    uintptr_t *source = heap->source;

    heap_bin(heap, class)->current = slab;
    if (!SLOT_MAP)
        source[class] = slab ? (uintptr_t)slab - (uintptr_t)heap : 0;
}

void heap_unlist(struct heap *heap, struct record *slab)
{
    struct bin *bin = bin_of(heap, slab);

    if (slab->state == SLAB_CURRENT) {
        set_current(heap, record_class(slab), NULL);
        return;
    }
    if (slab->state != SLAB_READY && slab->state != SLAB_ASLEEP)
        return;
    if (slab->previous)
        slab->previous->next = slab->next;
    else if (slab->state == SLAB_READY)
        bin->ready_first = slab->next;
    else
        bin->asleep_first = slab->next;
    if (slab->next)
        slab->next->previous = slab->previous;
    else if (slab->state == SLAB_READY)
        bin->ready_last = slab->previous;
    else
        bin->asleep_last = slab->previous;
    slab->next = slab->previous = NULL;
    slab->state = SLAB_IDLE;
}

/* Both lists: the oldest first. */
static void list_last(struct record **first, struct record **last,
                      struct record *slab)
{
    slab->next = NULL;
    slab->previous = *last;
    if (*last)
        (*last)->next = slab;
    else
        *first = slab;
    *last = slab;
}

/* Strict mode: is a slot of an empty slab under way? Then it was freed twice.
   A bit that is set after we looked meets MAIL_GONE. */
static bool has_pending(const struct record *slab)
{
    const uint64_t *pending = slab_pending_words(slab);
    size_t bytes = (size_t)slab->slots * slab->slot_bytes;
    size_t step = size_max(slab->slot_bytes, UNIT_BYTES * 64);

    if (!STRICT_REMOTE)
        return false;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (size_t at = 0; at < bytes; at += step) {
        size_t word = exact_word(at >> UNIT_SHIFT);
        if (__atomic_load_n(&pending[word], __ATOMIC_RELAXED) != 0)
            return true;
    }
    return false;
}

bool heap_release_empty(struct heap *heap, struct record *slab)
{
    struct bin *bin = bin_of(heap, slab);
    struct die_call call = { .function = "free" };
    unsigned granules = class_slab_granules(record_class(slab));
    size_t bytes = (size_t)granules << GRANULE_SHIFT;

    /* A guard that stayed would lie in the slots of whoever comes next. */
    if (!guard_slab_end(slab->base, bytes))
        return false;
    slab_own(slab, NULL);
    if (has_pending(slab)
        || mail_let_go(slab, MAIL_ARENA, false, true) == MAIL_KEPT) {
        /* Post for an empty slab: a double free; the intake reports it. */
        slab_own(slab, heap);
        if (!CLASS_ISOLATION)
            guard_slab(slab->base, bytes);
        return false;
    }
    /* Nobody can claim it now: its records may be taken back. Under isolation
       its memory stays of the class, and as it is. */
    if (!CLASS_ISOLATION)
        slab_verify(slab, true, call);
    slab_close(slab);
    bin->slabs--;
    arena_give_slab(slab, granules, slab_verify_left);
    return true;
}

/* Own no more than is useful: the slab that slept longest, or the youngest
   that is ready, is left to all. */
static void limit_owned(struct heap *heap, struct bin *bin,
                        const struct record *like)
{
    size_t bytes = (size_t)class_slab_granules(record_class(like))
        << GRANULE_SHIFT;
    size_t limit = size_max(OWNED_BYTES_MAX / bytes, OWNED_SLABS_MIN);

    if (bin->slabs <= limit)
        return;
    struct record *slab = bin->asleep_first ? bin->asleep_first
        : bin->ready_last;
    if (slab && !heap_let_go(heap, slab, SLAB_IDLE, false))
        heap_settle(heap, slab); /* post has come; the inbox brings it */
}

void heap_settle(struct heap *heap, struct record *slab)
{
    struct bin *bin = bin_of(heap, slab);
    uint32_t used = slab_used(slab);

    if (slab->state == SLAB_CURRENT) {
        slab->until = used + SLAB_NO_EVENT;
        slab->rest = 0 - SLAB_NO_EVENT;
        return;
    }
    heap_unlist(heap, slab);
    /* An empty slab of a class stays at hand; where freed slots rest two, which
       take turns. */
    struct record *other = bin->ready_first;
    if (DELAYED_REUSE && other)
        other = other->next;
    if (used == 0 && other && heap_release_empty(heap, slab))
        return;
    if (slab_is_ready(slab)) {
        slab->until = used;
        slab->rest = 0;
        slab->state = SLAB_READY;
        list_last(&bin->ready_first, &bin->ready_last, slab);
        return;
    }
    uint32_t missing = slab->wake - slab_queued(slab);
    slab->until = (uint32_t)size_min(missing, used);
    slab->rest = used - slab->until;
    slab->state = SLAB_ASLEEP;
    list_last(&bin->asleep_first, &bin->asleep_last, slab);
}

void heap_event(struct heap *heap, struct record *slab)
{
    heap->busy++;
    compiler_fence();
    if (!SLOT_MAP && slab->state == SLAB_CURRENT) {
        heap_settle_taken(heap, slab, slab_list_length(slab));
        heap->pulse = 0;
    }
    heap_settle(heap, slab);
    heap_beat(heap);
    compiler_fence();
    heap->busy--;
}

static void own(struct heap *heap, struct record *slab)
{
    struct bin *bin = bin_of(heap, slab);

    slab->state = SLAB_IDLE;
    slab_own(slab, heap);
    bin->slabs++;
    limit_owned(heap, bin, slab);
}

void heap_adopt(struct heap *heap, struct record *slab)
{
    if (SLOT_MAP && slab_queued(slab) != 0)
        shares_rest(slab, bin_of(heap, slab)->taken, false);
    own(heap, slab);
}

bool heap_let_go(struct heap *heap, struct record *slab, enum slab_state state,
                 bool noted)
{
    /* Read before: once it is let go the slab may be another's. */
    unsigned class = record_class(slab);
    /* What would not be worth a refill waits for a free into it instead. */
    bool pool = state == SLAB_IDLE && slab_is_ready(slab);

    heap_unlist(heap, slab);
    /* First nobody takes the fast path any more, then others may claim. */
    slab_own(slab, NULL);
    slab->state = (uint8_t)state;
    switch (mail_let_go(slab, 0, pool, noted)) {
    case MAIL_KEPT:
        slab->state = SLAB_IDLE;
        slab_own(slab, heap);
        return false;
    case MAIL_LEFT_TO_POOL:
        pool_put(&pools[class], slab);
        break;
    case MAIL_LEFT:
        break;
    }
    heap_bin(heap, class)->slabs--;
    return true;
}

static struct record *from_pool(struct heap *heap, unsigned class,
                                struct die_call call)
{
    struct record *slab;

    while ((slab = pool_take(&pools[class]))) {
        /* If it fails, somebody freed into the slab and has it now. Taking in
           its post may have emptied it, or let it go again. And it may have
           stood here since an earlier life in another class. */
        if (heap_claim(heap, slab, call)
            && __atomic_load_n(&slab->owner, __ATOMIC_RELAXED) == heap
            && slab->state == SLAB_READY && record_class(slab) == class) {
            /* What another heap freed rested while that one went on. Threads
               that live for a few allocations would never see the end of it
               by a clock of their own. */
            if (SLOT_MAP)
                shares_rest(slab, heap_bin(heap, class)->taken, true);
            return slab;
        }
    }
    return NULL;
}

static struct record *from_arena(struct heap *heap, unsigned class)
{
    struct stream *stream = heap_stream(heap);
    uint64_t random = RANDOM_STREAM ? stream_draw(stream) : 0;
    struct record *slab = arena_take_slab(class, random);

    if (!slab)
        return NULL;
    /* First the owner: a granule that never held anything belongs to nobody,
       and a wild pointer must not claim what becomes a slab. */
    mail_open(slab, heap->id);
    slab_open(slab, class, stream);
    /* Under isolation: emptied slabs wait for each other (retire.h). */
    if (SLOT_MAP && slab_queued(slab) != 0)
        shares_rest(slab, heap_bin(heap, class)->taken, true);
    own(heap, slab);
    return slab;
}

/* The current slab has nothing left for the stock: put it where it belongs. */
static void dismiss_current(struct heap *heap, struct bin *bin)
{
    struct record *slab = bin->current;

    if (!slab)
        return;
    bin->grows = slab_queued(slab) == 0 && slab->fresh == slab->slots;
    if (bin->grows && heap_let_go(heap, slab, SLAB_FULL, false))
        return;
    heap_unlist(heap, slab);
    slab->state = SLAB_IDLE;
    heap_settle(heap, slab);
}

void heap_make_current(struct heap *heap, struct record *slab)
{
    struct bin *bin = bin_of(heap, slab);

    dismiss_current(heap, bin);
    heap_unlist(heap, slab);
    slab->state = SLAB_CURRENT;
    set_current(heap, record_class(slab), slab);
    heap_settle(heap, slab);
}

struct record *heap_find_slab(struct heap *heap, unsigned class,
                              unsigned attempt, struct die_call call)
{
    struct bin *bin = heap_bin(heap, class);
    struct record *slab = bin->current;

    if (!inbox_is_empty(&heap->inbox))
        heap_drain(heap, call);
    if (attempt == 0 && slab && slab_is_ready(slab))
        return slab;
    struct record *dismissed = slab;
    dismiss_current(heap, bin);
    slab = bin->ready_first;
    /* It went to the end of the list: then it is the only one there. */
    if (!slab || slab == dismissed)
        slab = from_pool(heap, class, call);
    if (!slab || attempt == HEAP_ATTEMPTS - 1)
        slab = from_arena(heap, class);
    if (!slab)
        slab = bin->ready_first ? bin->ready_first : bin->asleep_first;
    if (slab)
        heap_make_current(heap, slab);
    return slab;
}
