/* SPDX-License-Identifier: MIT */
/*
 * slab.c - the life of a slab, and taking slots from it.
 */
#include "slab.h"

#include "arena.h"
#include "guard.h"

enum {
    STRETCH_BYTES = 8192, /* fresh slots are touched about this much at once */
    STRETCH_SLOTS = 32,
    STRETCH_LARGE_BYTES = 64 << 10, /* of slots of a page or more */
    /* What rests is resident: of large slots fewer must do. */
    REST_BYTES_MAX = 64 << 10,
    REST_SLOTS_MIN = 16,
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
    return record_bits(arena_at(slab->arena)->batch, record_index(slab));
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
    slab->slot_bytes = (uint32_t)class_slot_bytes(class);
    slab->slots = class_slab_slots(class, guard_slab_bytes());
    slab->fresh = 0;
    slab->wake = (uint16_t)size_max(1, size_min(slab->slots / 8, 32));
    if (SLAB_KEY) {
        slab->key.word[0] = stream_draw(stream);
        slab->key.word[1] = stream_draw(stream);
    }
    if (SLOT_MAP)
        shares_open(slab, RANDOM_STREAM ? stream_draw(stream) : ~0ULL / 3);
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

void slab_verify(struct record *slab, bool wipe, struct die_call call)
{
    uint32_t draw = SLOT_MAP ? (uint32_t)record_shares(slab)->mask : 0;

    for (uint32_t i = 0; SCRUB && i < slab->fresh; i++) {
        uintptr_t slot = slab->base
            + (size_t)shares_place(slab, i) * slab->slot_bytes;
        bool whole = !canary_stays(slab->slot_bytes)
            || canary_is_whole(&slab->key, slot, slab->slot_bytes);
        if (wipe)
            canary_clear(slot, slab->slot_bytes);
        if (unlikely(!scrub_is_whole(slot, slab->slot_bytes, &draw)
                     || (WRITE_CHECK && !whole))) {
            struct die_facts facts = slab_facts(slab, slot, call);
            facts.detail = wipe ? "noticed when the slab was given back"
                : "noticed when the slab's pages were given back";
            if (wipe)
                __builtin_memset((void *)slot, 0, slab->slot_bytes);
            die(DIE_WRITE_AFTER_FREE, &facts);
        }
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

    guard_slab_end(slab->base, (size_t)granules << GRANULE_SHIFT);
    for (unsigned i = 0; i < granules; i++) {
        __atomic_store_n(&slab[i].owner, NULL, __ATOMIC_RELAXED);
        slab[i].kind = RECORD_NONE;
    }
}

uint32_t slab_delay(const struct record *slab)
{
    if (!DELAYED_REUSE)
        return 0;
    size_t most = REST_BYTES_MAX / slab->slot_bytes;
    size_t least = shares_large(slab) ? REST_LARGE_MIN : REST_SLOTS_MIN;

    return (uint32_t)size_max(size_min(slab->slots / 2, most), least);
}

/* The next stretch of slots that nobody has touched yet. */
static uint32_t stretch(const struct record *slab, uint32_t room, bool grows)
{
    size_t left = slab->slots - slab->fresh;
    size_t count = size_max(STRETCH_BYTES / slab->slot_bytes, STRETCH_SLOTS);

    /* Large slots share no page, and lie all over the slab anyway. */
    if (shares_large(slab) && !grows) {
        count = size_max(STRETCH_LARGE_BYTES / slab->slot_bytes, 2);
        return (uint32_t)size_min(size_min(count, left), room);
    }

    /* The stretch doubles as the class grows: few pages for few objects, but
       of many objects no two in a row are likely to be neighbours. */
    count = grows ? room : size_max(count, slab->fresh);
    /* No small rest that would have to stand for itself. */
    if (left < count + STRETCH_SLOTS)
        count = left;
    return (uint32_t)size_min(count, room);
}

/*
 * Small fresh slots are verified before they are written: on an untouched page
 * that would be two faults, one for the page of zeros and one for a page of our
 * own. An empty write comes first. It changes nothing that was there.
 */
static void touch(const struct record *slab, uint32_t from, uint32_t count)
{
    uintptr_t page = os_page_bytes();
    uintptr_t at = slab->base + (uintptr_t)from * slab->slot_bytes;
    uintptr_t end = at + (uintptr_t)count * slab->slot_bytes;

    for (; at < end; at = align_down(at, page) + page)
        __atomic_fetch_or((uint8_t *)at, 0, __ATOMIC_RELAXED);
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
    uint32_t first = slab->fresh;
    bool small = canary_stays(slab->slot_bytes);

    order_draw(&hand->noise, hand->count, count, hand->stream);
    if (WRITE_CHECK && small)
        touch(slab, slab->fresh, count);
    slab->fresh += count;
    /* Their state bits are zero, and so is their memory. */
    for (uint32_t i = first; i < slab->fresh; i++) {
        uint32_t offset = shares_place(slab, i) * slab->slot_bytes;
        if (small)
            arm(slab, slab->base + offset, call);
        hand_put(hand, hand->count++, offset);
    }
}

void slab_take(struct record *slab, struct hand *hand, uint32_t now,
               bool patient, bool grows, struct die_call call)
{
    uint32_t before = hand->count;
    uint32_t delay = patient ? slab_delay(slab) : 0;
    uint32_t least = patient
        ? (uint32_t)size_max(size_min(slab->slots / 8, delay / 2), 1) : 1;

    shares_take(slab, hand, now, delay, least, call);
    if (hand->count == before && slab->fresh < slab->slots)
        take_fresh(slab, hand, grows, call);
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
