/* SPDX-License-Identifier: MIT */
/*
 * slab.c - the life of a slab, and taking slots from it.
 */
#include "slab.h"

#include "arena.h"
#include "guard.h"

enum {
    /* Fresh slots are touched about this much at once. */
    STRETCH_BYTES = 4096,
    STRETCH_SLOTS = 16,
    REST_SLOTS_MIN = 16,
    /* What rests is resident: of large slots fewer must do. */
    REST_LARGE_BYTES = 64 << 10,
    REST_LARGE_MIN = 4,
};

uint64_t *slab_state_words(const struct record *slab)
{
    return record_bits(arena_at(slab->arena)->state, record_index(slab));
}

uint64_t *slab_pending_words(const struct record *slab)
{
    return record_bits(arena_at(slab->arena)->pending, record_index(slab));
}

uint64_t *slab_batch_words(const struct record *slab)
{
    return record_bits(arena_at(slab->arena)->batch,
                       BATCH_PARTS * record_index(slab));
}

uint64_t *slab_settled_words(const struct record *slab)
{
    return record_bits(slab_batch_words(slab),
                       class_slab_granules(record_class(slab)));
}

/* Under isolation a slab that was not purged meanwhile is as it was left: its
   key, its canaries and what is zero. */
static bool reopen(struct record *slab, unsigned class)
{
    return SLOT_MAP && CLASS_ISOLATION && slab->tenant == class + 1
        && !slab->zeroed;
}

static void open_anew(struct record *slab, unsigned class,
                      struct stream *stream)
{
    if (SLOT_MAP && slab->tenant == class + 1)
        shares_clear(slab);
    slab->tenant = (uint8_t)(class + 1);
    slab->slot_bytes = (uint32_t)class_slot_bytes(class);
    slab->slots = (uint16_t)class_slab_slots(class, guard_slab_bytes());
    slab->fresh = 0;
    slab->wake = (uint8_t)size_max(1, size_min(slab->slots / 8, 32));
    if (SLAB_KEY) {
        slab->key.word[0] = stream_draw(stream);
        slab->key.word[1] = stream_draw(stream);
    }
    if (SLOT_MAP)
        shares_open(slab);
    else
        slab->list = NULL;
}

void slab_open(struct record *slab, unsigned class, struct stream *stream)
{
    unsigned granules = class_slab_granules(class);
    size_t bytes = (size_t)granules << GRANULE_SHIFT;
    /* Under isolation a slab's guard outlives it. */
    bool guarded = CLASS_ISOLATION && slab->tenant == class + 1;

    if (!guarded)
        guard_slab(slab->base, bytes);
    if (!reopen(slab, class))
        open_anew(slab, class, stream);
    slab->until = 0;
    slab->rest = 0;
    slab->next = slab->previous = NULL;
    for (unsigned i = 0; i < granules; i++) {
        slab[i].slab = slab;
        slab[i].slot_bytes = slab->slot_bytes;
        /* Once: see first_record in arena.c. */
        if (slab[i].arena != slab->arena)
            slab[i].arena = slab->arena;
        slab[i].tenant = (uint8_t)(class + 1);
        slab[i].kind = RECORD_SLAB;
    }
}

void slab_own(struct record *slab, struct heap *owner)
{
    unsigned granules = class_slab_granules(record_class(slab));

    /* Relaxed: readers compare it with themselves only; see record.h. */
    for (unsigned i = 0; i < granules; i++)
        __atomic_store_n(&slab[i].owner, owner, __ATOMIC_RELAXED);
}

/* One free slot, and what it should be. */
static void verify_slot(struct record *slab, uintptr_t slot, bool wipe,
                        uint32_t *draw, struct die_call call)
{
    bool whole = !canary_stays(slab->slot_bytes)
        || canary_is_whole(&slab->key, slot, slab->slot_bytes);

    if (wipe)
        canary_clear(slot, slab->slot_bytes);
    if (likely(scrub_is_whole(slot, slab->slot_bytes, draw)
               && (!WRITE_CHECK || whole)))
        return;
    struct die_facts facts = slab_facts(slab, slot, call);
    facts.detail = wipe ? "noticed when the slab was given back"
        : "noticed when the slab's pages were given back";
    if (wipe)
        __builtin_memset((void *)slot, 0, slab->slot_bytes);
    die(DIE_WRITE_AFTER_FREE, &facts);
}

void slab_verify(struct record *slab, bool wipe, struct die_call call)
{
    uint32_t count = shares_large(slab) ? slab->slots : slab->fresh;
    uint32_t draw = (uint32_t)slab->base ^ slab->fresh;

    for (uint32_t i = 0; SCRUB && i < count; i++) {
        if (!slab_never_had(slab, i))
            verify_slot(slab, slab->base + (size_t)i * slab->slot_bytes, wipe,
                        &draw, call);
    }
    if (SLOT_MAP && wipe) {
        shares_clear(slab);
        slab->fresh = 0;
    }
}

void slab_verify_left(struct record *slab)
{
    struct die_call call = { .function = "malloc" };

    if (WRITE_CHECK)
        slab_verify(slab, false, call);
}

void slab_close(struct record *slab)
{
    unsigned granules = class_slab_granules(record_class(slab));

    for (unsigned i = 0; i < granules; i++) {
        __atomic_store_n(&slab[i].owner, NULL, __ATOMIC_RELAXED);
        slab[i].kind = RECORD_NONE;
    }
}

bool slab_never_had(const struct record *slab, size_t number)
{
    if (shares_large(slab))
        return number >= slab->slots
            || (shares_virgins(slab) >> number & 1) != 0;
    return number >= slab->fresh;
}

uint32_t slab_delay(const struct record *slab)
{
    if (!DELAYED_REUSE)
        return 0;
    if (shares_large(slab))
        return (uint32_t)size_max(REST_LARGE_BYTES / slab->slot_bytes,
                                  REST_LARGE_MIN);
    return (uint32_t)size_max(slab->slots / 2, REST_SLOTS_MIN);
}

/* How many of the slots that nobody has touched yet come next. */
static uint32_t stretch(const struct record *slab, uint32_t room, bool grows)
{
    size_t left = slab->slots - slab->fresh;
    size_t count;

    /* The stretch doubles as the class grows: few pages for few objects, but
       of many objects no two in a row are likely to be neighbours. */
    if (grows) {
        count = room;
    } else if (shares_large(slab)) {
        count = shares_hand(slab, room);
    } else {
        count = size_max(STRETCH_BYTES / slab->slot_bytes, STRETCH_SLOTS);
        count = size_max(count, slab->fresh);
        /* No small rest that would have to stand for itself. */
        if (left < count + STRETCH_SLOTS)
            count = left;
    }
    return (uint32_t)size_min(size_min(count, left), room);
}

/* Small fresh slots are verified before they are written. */
static void touch(const struct record *slab, uint32_t from, uint32_t count)
{
    uintptr_t page = os_page_bytes();
    uintptr_t at = slab->base + (uintptr_t)from * slab->slot_bytes;
    uintptr_t end = at + (uintptr_t)count * slab->slot_bytes;

    for (; at < end; at = align_down(at, page) + page)
        scrub_touch(at);
}

/* The canary of a fresh small slot. What the slab had before was zeroed, so a
   word that is not zero was written since. The rest of the slot is verified
   when its turn comes. */
static void arm(const struct record *slab, uintptr_t slot,
                struct die_call call)
{
    if (WRITE_CHECK && unlikely(!canary_is_clear(slot, slab->slot_bytes))) {
        struct die_facts facts = slab_facts(slab, slot, call);
        facts.detail = "noticed at reuse";
        die(DIE_WRITE_AFTER_FREE, &facts);
    }
    canary_write(&slab->key, slot, slab->slot_bytes);
}

static void take_fresh(struct record *slab, struct hand *hand, bool grows,
                       struct die_call call)
{
    uint32_t count = stretch(slab, hand->room - hand->count, grows);
    uint32_t first = slab->fresh, size = slab->slot_bytes;

    /* Their state bits are zero, and so is their memory. */
    if (canary_stays(size)) {
        if (WRITE_CHECK)
            touch(slab, first, count);
        for (uint32_t i = first; i < first + count; i++)
            arm(slab, slab->base + (uintptr_t)i * size, call);
    }
    shares_take_fresh(slab, hand, count);
}

void slab_take(struct record *slab, struct hand *hand, uint32_t now,
               bool patient, bool grows, struct die_call call)
{
    if (!SLOT_MAP)
        return;
    uint32_t before = hand->count;
    uint32_t delay = patient ? slab_delay(slab) : 0;
    uint32_t least = patient
        ? (uint32_t)size_max(size_min(slab->slots / 8, delay / 2), 1) : 1;

    shares_take(slab, hand, now, delay, least, call);
    if (hand->count == before && slab->fresh < slab->slots)
        take_fresh(slab, hand, grows, call);
    shares_part(slab, hand, before);
    slab->until += hand->count - before;
}

bool slab_fill_list(struct record *slab)
{
    size_t size = slab->slot_bytes;
    size_t page = 4096;
    size_t n = size_max(page / size, size_max(slab->fresh / 4, 1));
    uintptr_t at = slab->base + (uintptr_t)slab->fresh * size;
    user_word *first = (user_word *)at;

    n = size_min(n, slab->slots - slab->fresh);
    if (n == 0)
        return false;
    for (size_t i = 1; i < n; i++, at += size)
        *(uintptr_t *)at = at + size;
    *(uintptr_t *)at = 0;
    /* First they count: a fork at this instant loses them. */
    slab->fresh += (uint32_t)n;
    compiler_fence();
    slab->list = first;
    return true;
}
