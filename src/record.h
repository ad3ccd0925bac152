/* SPDX-License-Identifier: MIT */
/*
 * record.h - address to record: the foreign-pointer check, the page map and
 * the metadata look-up at once.
 *
 * One record describes one granule of an arena. Records stand in a flat array
 * far from user memory: subtract, compare, shift, index. A record has two
 * cache lines. The first is read by every thread that frees into the slab and
 * changes rarely; the second belongs to the owner alone.
 *
 * Invariants:
 * - owner == h in any record of a slab implies that h owns the slab: only h
 *   itself writes h there, and it takes the value back before it lets go.
 * - `mail` is the authority on ownership; see mail.h. It and `mail_next`
 *   outlive the slab: a late notification may still hold the record.
 * - A granule that never held anything has a record of zeros.
 */
#ifndef MERLON_RECORD_H
#define MERLON_RECORD_H

#include "sealed.h"

struct heap;

enum record_kind {
    RECORD_NONE, /* nothing, or not the first granule of a span */
    RECORD_SLAB,
    RECORD_SPAN, /* a live span */
    RECORD_SPAN_FREE, /* a freed one: in a cache or a quarantine */
};

struct slab_key {
    uint64_t word[SLAB_KEY ? 2 : 0];
};

/* The four shares of a slab's free slots: see shares.h. */
enum { SHARE_COUNT = 4 };

struct shares {
    uint16_t left[SHARE_COUNT];  /* slots that are gathered and not out */
    uint16_t stamp[SHARE_COUNT]; /* when they were gathered */
    uint64_t freed;              /* few slots: those freed since then */
};

enum { RECORD_FEW_WORDS = SHARE_COUNT + 3 };

struct record {
    /* Line one: read by all. */
    struct heap *owner;     /* who frees here without a message, or NULL */
    struct record *slab;    /* record of the slab's first granule */
    uint64_t mail;          /* owner, pending frees: see mail.h */
    uint32_t mail_next;     /* place of the next in the owner's inbox */
    uint32_t sender;        /* whose messages are under way: sender.h */
    uintptr_t base;         /* first byte of the slab, or of the span */
    uint32_t slot_bytes;
    uint8_t kind;           /* enum record_kind */
    uint8_t tenant;         /* size class + 1; sticky under isolation */
    bool zeroed;            /* what was never handed out is zero */
    uint8_t arena;          /* index of the arena */
    struct slab_key key;

    /* Line two: the owner's. For a span: its sizes. */
    union {
        struct {
            struct record *next; /* in a list of the owner's heap */
            struct record *previous;
            union {
                user_word *list; /* free slots as a plain list */
                struct shares shares[SLOT_MAP]; /* or by bits: shares.h */
            };
            uint32_t fresh;     /* slots from here on were never touched */
            uint16_t slots;     /* capacity */
            uint16_t settled;   /* all slots below have settled: quarters.c */
            uint32_t until;     /* frees until the next change of state */
            uint32_t rest;      /* used slots = until + rest */
            uint8_t state;      /* enum slab_state: see slab.h */
            uint8_t wake;       /* free slots that make a slab worth a refill */
            uint16_t asleep;    /* sleepers, four bits a share: shares.c */
            uint32_t pool_next; /* place of the next in the pool: pool.h */
        } __attribute__((aligned(CACHE_LINE_BYTES)));
        struct {
            size_t span_bytes;      /* usable */
            size_t span_granules;   /* of its range */
            size_t span_guarded;    /* bytes of guards behind it */
            size_t span_index;      /* of its range's first granule */
            union {
                uint64_t span_freed_ms; /* when it entered the cache */
                bool span_closed; /* freed: its range is one mapping */
            };
        };
        /* Of a slab's second granule: few.c. What follows them stays as it
           is: it may be in a pool since an earlier life. */
        uint64_t few[SLOT_MAP ? RECORD_FEW_WORDS : 0];
    };
} __attribute__((aligned(2 * CACHE_LINE_BYTES)));

_Static_assert(sizeof(struct record) == 2 * CACHE_LINE_BYTES,
               "a record is two cache lines");

enum { RECORD_SHIFT = 7 };

/* Does this heap, the caller's own, own the slab? Relaxed: nobody else writes
   its address here, so no other thread's store can make it so. */
static ALWAYS_INLINE bool record_is_of(const struct record *record,
                                       const struct heap *heap)
{
    return __atomic_load_n(&record->owner, __ATOMIC_RELAXED) == heap;
}

static ALWAYS_INLINE unsigned record_class(const struct record *record)
{
    return record->tenant - 1U;
}

static inline uint64_t *record_few_words(struct record *record)
{
    uint64_t *few = record->few;

    return few;
}

static ALWAYS_INLINE struct shares *record_shares(struct record *record)
{
    struct shares *shares = record->shares;

    return shares;
}

/*
 * The unit of an address in the slab part of arena 0: its place in the state
 * bits. The low bits of an address that is no multiple of the unit turn up at
 * the top, so that one comparison refuses both.
 */
static ALWAYS_INLINE uintptr_t map_unit(uintptr_t address)
{
    uintptr_t offset = address - MAP->base;

    return offset >> UNIT_SHIFT
        | offset << (sizeof offset * 8 - UNIT_SHIFT);
}

static ALWAYS_INLINE bool map_has_unit(uintptr_t unit)
{
    return unit < MAP->slab_units;
}

static ALWAYS_INLINE struct record *map_unit_record(uintptr_t unit)
{
    size_t index = unit >> (GRANULE_SHIFT - UNIT_SHIFT);

    return (struct record *)((uintptr_t)MAP->records
                             + (index << RECORD_SHIFT));
}

/* The address's granule in the slab part of arena 0; beyond it for others. */
static ALWAYS_INLINE size_t map_granule(uintptr_t address)
{
    return (address - MAP->base) >> GRANULE_SHIFT;
}

static ALWAYS_INLINE bool map_has(size_t granule)
{
    return granule < MAP->slab_granules;
}

static ALWAYS_INLINE struct record *map_record(size_t index)
{
    return (struct record *)((uintptr_t)MAP->records
                             + (index << RECORD_SHIFT));
}

#endif
