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
    STRETCH_BYTES_MAX = 2 << 20,
    RESERVE_BYTES_MAX = 512 << 10,
    VERIFY_SLOTS = 64,
};

uint64_t *slab_state_words(const struct record *slab)
{
    return record_bits(arena_at(slab->arena)->state, record_index(slab));
}

uint64_t *slab_pending_words(const struct record *slab)
{
    return record_bits(arena_at(slab->arena)->pending, record_index(slab));
}

void slab_open(struct record *slab, unsigned class, struct stream *stream)
{
    unsigned granules = class_slab_granules(class);
    size_t bytes = (size_t)granules << GRANULE_SHIFT;
    /* Under isolation a slab's guard outlives it. */
    bool guarded = CLASS_ISOLATION && slab->tenant == class + 1;

    if (!guarded)
        guard_slab(slab->base, bytes);
    slab->slot_bytes = (uint32_t)class_slot_bytes(class);
    slab->slots = class_slab_slots(class, guard_slab_bytes());
    slab->fresh = 0;
    slab->queue = 0;
    slab->list = NULL;
    slab->use = 0;
    slab->until = 0;
    slab->rest = 0;
    slab->next = slab->previous = NULL;
    slab->wake = (uint16_t)size_max(1, size_min(slab->slots / 8, 32));
    if (SLAB_KEY) {
        slab->key.word[0] = stream_draw(stream);
        slab->key.word[1] = stream_draw(stream);
    }
    for (unsigned i = 0; i < granules; i++) {
        slab[i].slab = slab;
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

static uint32_t take_queued(struct record *slab, uint32_t *slots,
                            uint32_t room, uint32_t reserve,
                            struct die_call call);

void slab_verify(struct record *slab, struct die_call call)
{
    uint32_t slots[VERIFY_SLOTS];

    if (!SLOT_QUEUE || !SCRUB)
        return;
    /* Taking the queue out verifies its links and makes them zero. */
    while (slab_queued(slab) != 0) {
        uint32_t count = take_queued(slab, slots, VERIFY_SLOTS, 0, call);
        for (uint32_t i = 0; WRITE_CHECK && i < count; i++) {
            if (unlikely(*(user_word *)(slab->base + slots[i]) != 0)) {
                struct die_facts facts =
                    slab_facts(slab, slab->base + slots[i], call);
                die(DIE_WRITE_AFTER_FREE, &facts);
            }
        }
    }
}

void slab_close(struct record *slab)
{
    unsigned granules = class_slab_granules(record_class(slab));

    for (unsigned i = 0; i < granules; i++) {
        __atomic_store_n(&slab[i].owner, NULL, __ATOMIC_RELAXED);
        slab[i].kind = RECORD_NONE;
    }
}

uint32_t slab_reserve(const struct record *slab, bool alone)
{
    if (!DELAYED_REUSE)
        return 0;
    /* One slab alone waits for half of itself; several wait for each other,
       since slabs are reused first in, first out. */
    uint32_t reserve = alone ? slab->slots / 2 : slab->slots / 8;
    /* Waiting slots are resident: of large ones few must do. */
    uint32_t most = (uint32_t)size_max(RESERVE_BYTES_MAX / slab->slot_bytes, 2);
    reserve = (uint32_t)size_max(reserve, 16);
    reserve = (uint32_t)size_min(reserve, most);
    return (uint32_t)size_min(reserve, slab->slots - slab->slots / 4);
}

/* The next stretch of slots that nobody has touched yet. */
static uint32_t stretch(const struct record *slab, uint32_t room)
{
    size_t count = size_max(STRETCH_BYTES / slab->slot_bytes, STRETCH_SLOTS);

    /* The stretch doubles as the class grows. */
    count = size_max(count, slab->fresh);
    count = size_min(count, size_max(STRETCH_BYTES_MAX / slab->slot_bytes, 1));
    count = size_min(count, slab->slots - slab->fresh);
    return (uint32_t)size_min(count, room);
}

/* A queue whose link does not verify: its slots are given up for ever. */
static void give_up_queue(struct record *slab, enum die_kind kind,
                          uint32_t offset, struct die_call call)
{
    struct die_facts facts = slab_facts(slab, slab->base + offset, call);

    die(kind, &facts);
    slab->queue = 0;
}

void slab_report_tail(struct record *slab, const void *site)
{
    struct die_call call = { .function = "free", .site = site };
    struct die_facts facts =
        slab_facts(slab, slab->base + slab_tail(slab), call);

    facts.detail = "noticed when the next slot was freed";
    die(DIE_WRITE_AFTER_FREE, &facts);
}

/*
 * The oldest slots of the queue, up to `reserve` that stay. Everything the
 * loop needs is in locals: it is the larger half of a refill.
 */
static uint32_t take_queued(struct record *slab, uint32_t *slots,
                            uint32_t room, uint32_t reserve,
                            struct die_call call)
{
    const struct slab_key key = slab->key;
    uintptr_t base = slab->base;
    uint32_t end = slab->slots * slab->slot_bytes;
    uint32_t head = slab->head;
    uint32_t queued = slab_queued(slab);
    uint32_t count = queued > reserve ? queued - reserve : 0;

    if (count > room)
        count = room;
    for (uint32_t i = 0; i < count; i++) {
        user_word *slot = (user_word *)(base + head);
        slots[i] = head;
        if (i + 1 == queued)
            break; /* the last slot holds no link */
        bool sound = link_decode(&key, slots[i], slab->use + i, *slot, &head);
        if (SCRUB)
            *slot = 0;
        /* Encoded links are bound by their check; the division is for builds
           without it. */
        if (unlikely(!sound || head >= end
                     || (!ENCODED_LINKS && head % slab->slot_bytes != 0))) {
            give_up_queue(slab, DIE_LINK, slots[i], call);
            return i;
        }
    }
    slab->head = head;
    slab->use += count;
    slab->queue = slab_queue_word(queued - count, slab_tail(slab));
    return count;
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

static uint32_t take_fresh(struct record *slab, uint32_t *slots, uint32_t room)
{
    uint32_t count = stretch(slab, room);

    if (WRITE_CHECK && slab->slot_bytes <= SCRUB_WHOLE_BYTES)
        touch(slab, slab->fresh, count);

    /* In an earlier life of the slab they were scrubbed, links included. */
    for (uint32_t i = 0; i < count; i++)
        slots[i] = (slab->fresh + i) * slab->slot_bytes;
    slab->fresh += count;
    return count;
}

uint32_t slab_take_queue(struct record *slab, uint32_t *slots, uint32_t room,
                         uint32_t reserve, struct die_call call)
{
    uint32_t taken = take_queued(slab, slots, room, reserve, call);

    if (taken < room && slab->fresh < slab->slots)
        taken += take_fresh(slab, slots + taken, room - taken);
    slab->until += taken;
    return taken;
}

/* Link a stretch of fresh slots into a list. */
static user_word *fresh_list(struct record *slab, uint32_t *count)
{
    size_t size = slab->slot_bytes;
    size_t page = 4096;
    uint32_t n = (uint32_t)size_max(page / size, 1);
    uintptr_t at = slab->base + (uintptr_t)slab->fresh * size;
    user_word *first = (user_word *)at;

    n = (uint32_t)size_min(size_max(n, slab->fresh / 4),
                           slab->slots - slab->fresh);
    for (uint32_t i = 1; i < n; i++, at += size)
        *(uintptr_t *)at = at + size;
    if (n != 0)
        *(uintptr_t *)at = 0;
    slab->fresh += n;
    *count = n;
    return n != 0 ? first : NULL;
}

user_word *slab_take_list(struct record *slab, uint32_t *count)
{
    user_word *list = slab->list;

    *count = slab_queued(slab);
    /* The source first: a fork at this instant loses slots, not doubles. */
    slab->list = NULL;
    compiler_fence();
    if (!list)
        list = fresh_list(slab, count);
    slab->until += *count;
    return list;
}
