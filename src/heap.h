/* SPDX-License-Identifier: MIT */
/*
 * heap.h - the allocation state of one thread, and the paths that are fast.
 *
 * A heap owns slabs. For each size class it has a bin, the slabs of the class;
 * slots come from the current one of them.
 *
 * Map mode: a stock holds the slots at hand. malloc takes from it; when it is
 * empty the heap refills it from a slab. free puts a slot back into its slab,
 * never into the stock.
 *
 * List mode: malloc takes from the list of the current slab, and free puts a
 * slot at the head of its slab's list, so what was freed last into the current
 * slab comes next, warm. malloc counts nothing: what it took is settled when
 * the list is empty, for then all slots up to `fresh` are handed out.
 *
 * A heap is an argument everywhere, so that several can be driven in one
 * thread. One thread at a time may use a heap; its inbox is open to all.
 *
 * Invariants:
 * - A slot in a stock counts as used in its slab. In list mode a slot that was
 *   taken from the current slab counts as free until heap_settle_taken.
 * - A slab whose slots are all used belongs to nobody, unless it is current.
 * - Order of stores: a slot leaves its source before it enters its
 *   destination, so that a fork at any instant loses slots, never doubles.
 */
#ifndef MERLON_HEAP_H
#define MERLON_HEAP_H

#include "entropy.h"
#include "inbox.h"
#include "link.h"
#include "mail.h"
#include "outbox.h"
#include "sample.h"
#include "sender.h"
#include "slab.h"
#include "span.h"

enum {
    STOCK_SLOTS = ORDER_SLOTS_MAX, /* makes a stock 512 bytes */
    HEAP_COUNT_MAX = 1 << 19,
    HEAP_ALIGNMENT = 4096,
    COLD_SLOTS = 17, /* a class that took fewer since the last tick is cold */
};

/* Slots at hand, in the order they will be handed out, last first. */
struct stock {
    uint32_t count;
    uint32_t slot_bytes;
    uintptr_t base;          /* of the slab they lie in */
    uint64_t *state;         /* its exact state */
    struct record *slab;
    uint32_t untouched; /* large slots that were never handed out */
    uint32_t pad[ENCODED_LINKS]; /* XORed with the offsets: link.h */
    uint32_t slot[STOCK_SLOTS]; /* byte offsets in the slab */
};

/* The slabs of one class. */
struct bin {
    struct record *current;
    struct record *ready_first; /* enough free slots; oldest first */
    struct record *ready_last;
    struct record *asleep_first; /* too few free slots; oldest first */
    struct record *asleep_last;
    uint32_t slabs;             /* owned ones, the current included */
    uint32_t taken;             /* slots that went into the stock: a clock */
    uint32_t taken_before[SCRUB]; /* the same at the last tick */
    bool grows;                 /* the last slab was dismissed full */
};

/* Which allocations will be sampled. */
struct heap_plan {
    uint64_t at;        /* the next, as `taken` counts; 0: not drawn yet */
    uint64_t last_ms;   /* when the last one was taken */
    uint32_t pace;      /* the interval is that many times doubled */
    uint64_t class[CLASS_COUNT / 64 + 1]; /* a bit: the next slow one is */
};

/*
 * What a thread needs that has but small objects lies together, on one page in
 * list mode and on three in map mode: a heap begins at a page, and in map mode
 * the bins stand backwards in front of all, the stocks behind all.
 */
struct heap {
    struct bin bins_back[SLOT_MAP ? CLASS_COUNT : 0];

    /* The fast path's part. List mode: the current slab of each class, as its
       record's distance from this heap; 0, and so a heap of zeros, leads to
       `nothing`, whose list is empty. */
    struct record nothing[SLOT_MAP ? 0 : 1];
    uintptr_t source[SLOT_MAP ? 0 : CLASS_COUNT];
    user_word *clean[SLOT_MAP ? 0 : 1]; /* see heap_allocate_list */

    uint32_t id;        /* 1 and up; 0: a stand-in that owns nothing */
    uint32_t busy;      /* inside a slow path: a fork must not adopt it */
    uint32_t pulse;     /* slow calls until the next look at the clock */
    uint32_t line_draw[WRITE_CHECK]; /* where the next check looks */
    uint32_t thread[CHECKED]; /* number of its thread, once it was asked */
    uint64_t taken;     /* slots moved into a stock, less those put back */
    uint64_t last_tick_ms;
    uint64_t generation; /* of the process: see process.h */

    /* Written by other threads: on lines of their own. */
    struct inbox inbox __attribute__((aligned(2 * CACHE_LINE_BYTES)));
    uint32_t next_parked __attribute__((aligned(2 * CACHE_LINE_BYTES)));

    struct stream stream[RANDOM_STREAM]
        __attribute__((aligned(2 * CACHE_LINE_BYTES)));
    struct outbox outbox;
    struct span_cache spans;
    struct heap_plan plan[SAMPLING];

    /* From here on a heap that nobody uses may be zeros: heap_life.c. */
    struct bin bins[SLOT_MAP ? 0 : CLASS_COUNT];
    struct stock stock[SLOT_MAP ? CLASS_COUNT : 0]
        __attribute__((aligned(2 * CACHE_LINE_BYTES)));
} __attribute__((aligned(HEAP_ALIGNMENT)));

/* The arrays have length zero in builds that use the other one. */
static ALWAYS_INLINE struct stock *heap_stock(struct heap *heap,
                                              size_t class)
{
    struct stock *first = heap->stock;

    return first + class;
}

static inline struct bin *heap_bin(struct heap *heap, size_t class)
{
    struct bin *back = heap->bins_back, *first = heap->bins;

    return SLOT_MAP ? back + (CLASS_COUNT - 1 - class) : first + class;
}

static ALWAYS_INLINE struct record *heap_source(struct heap *heap,
                                               size_t class)
{
    uintptr_t *first = heap->source;

    return (struct record *)((uintptr_t)heap + first[class]);
}

static ALWAYS_INLINE uint32_t *heap_line_draw(struct heap *heap)
{
    uint32_t *draw = heap->line_draw;

    return draw;
}

/* The number of the thread that uses the heap. */
COLD uint32_t heap_ask_thread(struct heap *heap);

static inline uint32_t heap_thread(struct heap *heap)
{
    uint32_t *thread = heap->thread;

    return CHECKED && likely(*thread != 0) ? *thread : heap_ask_thread(heap);
}

/* Another thread uses it now, or the same under another number. */
static inline void heap_forget_thread(struct heap *heap)
{
    uint32_t *thread = heap->thread;

    if (CHECKED)
        *thread = 0;
}

static inline struct stream *heap_stream(struct heap *heap)
{
    struct stream *stream = heap->stream;

    return stream;
}

/* --- the fast paths ---------------------------------------------------- */

/* Where the slot at this place of the stock begins in its slab. */
static ALWAYS_INLINE uint32_t stock_offset(const struct stock *stock,
                                           size_t place)
{
    const uint32_t *pad = stock->pad;

    return ENCODED_LINKS ? stock->slot[place] ^ *pad : stock->slot[place];
}

/*
 * The slot that comes after this place lies anywhere, and rested: what will be
 * read of it is on its way when its turn comes. Below the last one is the pad,
 * and nothing that is prefetched can fault. A slot of 64 bytes or more seldom
 * begins with a line: both ends of it lie in two.
 */
static ALWAYS_INLINE void stock_prefetch(const struct stock *stock,
                                         size_t place, size_t slot_bytes,
                                         bool large)
{
    const uint32_t *after = &stock->slot[place];
    uintptr_t next = stock->base
        + (ENCODED_LINKS ? after[-1] ^ *stock->pad : after[-1]);
    uintptr_t end = next + slot_bytes - CANARY_BYTES;

    __builtin_prefetch((void *)next, 1);
    __builtin_prefetch((void *)end, 1);
    if (!large)
        return;
    __builtin_prefetch((void *)(next + SCRUB_LINE_BYTES - UNIT_BYTES), 1);
    __builtin_prefetch((void *)(end - SCRUB_LINE_BYTES), 1);
}

static ALWAYS_INLINE void *list_take(struct heap *heap, size_t class)
{
    struct record *slab = heap_source(heap, class);
    user_word *slot = slab->list;

    if (likely(slot))
        slab->list = *(user_word **)slot;
    return slot;
}

/*
 * The next slot of the class, or NULL: verified, marked, armed. Its state bit
 * is clear: only slots that are free come into the stock, and only this
 * function sets it. NULL: there is none at hand, or it was written to while it
 * was free; then the stock is as it was. With `short_only` slots that need more
 * than a few instructions are left alone as well, and *large says so: a fast
 * path calls nothing.
 */
static ALWAYS_INLINE void *heap_take(struct heap *heap, size_t class,
                                     bool short_only, bool *large)
{
    *large = false;
    if (!SLOT_MAP)
        return list_take(heap, class);
    struct stock *stock = heap_stock(heap, class);
    size_t count;
    if (unlikely(__builtin_sub_overflow((size_t)stock->count, 1, &count)))
        return NULL;
    size_t slot_bytes = stock->slot_bytes;
    uint32_t offset = stock_offset(stock, count);
    uintptr_t slot = stock->base + offset;
    uint64_t dirt = scrub_short_sum(slot, slot_bytes, large);
    if (CANARY && !WRITE_CHECK)
        *large = !canary_stays(slot_bytes);
    if (*large && short_only)
        return NULL;
    if (*large && WRITE_CHECK) {
        if (stock->untouched) {
            scrub_touch(slot);
            scrub_touch(slot + slot_bytes - 1);
        }
        dirt = scrub_long_sum(slot, slot_bytes - CANARY_BYTES,
                              heap_line_draw(heap));
    }
    if (unlikely(dirt != 0))
        return NULL;
    stock->count = (uint32_t)count;
    size_t unit = offset >> UNIT_SHIFT;
    exact_open(stock->state, exact_load(stock->state, unit), unit);
    if (slot == 0)
        __builtin_unreachable();
    if (!short_only && !canary_stays(slot_bytes))
        canary_write(&stock->slab->key, slot, slot_bytes);
    stock_prefetch(stock, count, slot_bytes, !short_only);
    return (void *)slot;
}

_Static_assert(SCRUB_SHORT_BYTES + CANARY_BYTES < CLASS_FEW_BYTES,
               "of a slab with few slots none is short");

enum heap_put {
    HEAP_PUT_DONE,
    HEAP_PUT_EVENT,   /* done, and heap_event is due */
    HEAP_PUT_LARGE,   /* sound, but left to heap_put_large */
    HEAP_PUT_UNUSUAL, /* nothing was done, the slow path must look */
};

/*
 * Free a slot of a slab of this heap; `unit` is its place in `state`. Nothing
 * is called.
 */
static ALWAYS_INLINE enum heap_put heap_put(struct record *slab, uintptr_t p,
                                            uint64_t *state, size_t unit)
{
    uint64_t word = exact_load(state, unit);
    uint64_t closed = exact_closed(word, unit);
    size_t slot_bytes = slab->slot_bytes;

    if (unlikely((EXACT_STATE && closed > word)
                 || !canary_is_whole(&slab->key, p, slot_bytes)))
        return HEAP_PUT_UNUSUAL;
    if (!scrub_short(p, slot_bytes))
        return HEAP_PUT_LARGE;
    exact_store(state, closed, unit);
    return unlikely(slab_put(slab, p, SCRUB)) ? HEAP_PUT_EVENT : HEAP_PUT_DONE;
}

/* Does the program hardly use this class just now? */
static inline bool heap_is_cold(struct heap *heap, const struct record *slab)
{
    const struct bin *bin = heap_bin(heap, record_class(slab));
    const uint32_t *before = bin->taken_before;

    return SCRUB && bin->taken - *before < COLD_SLOTS;
}

/* The rest of it, for a heap's own slab. True: heap_event is due. */
static inline bool heap_put_large(struct heap *heap, struct record *slab,
                                  uintptr_t p, uint64_t *state, size_t unit)
{
    scrub_large(p, slab->slot_bytes - CANARY_BYTES, heap_is_cold(heap, slab));
    exact_store(state, exact_closed(exact_load(state, unit), unit), unit);
    return slab_put(slab, p, false);
}

/* --- heap_alloc.c ------------------------------------------------------ */

/* The next slot of the stock was written to while it was free: report it, and
   give it up. */
COLD void heap_give_up(struct heap *heap, size_t class);

/* An object of `bytes` <= CLASS_REQUEST_MAX; NULL: no memory. */
void *heap_allocate_small(struct heap *heap, unsigned class,
                          struct die_call call);

/* List mode: an object, and whether it reads as zeros. A slot that nobody had
   before does, if its slab came clean; the refill says which one it is. */
static inline void *heap_allocate_list(struct heap *heap, unsigned class,
                                       bool *zeroed, struct die_call call)
{
    user_word **clean = heap->clean;

    *clean = NULL;
    user_word *slot = heap_allocate_small(heap, class, call);
    *zeroed = slot && slot == *clean;
    if (*zeroed)
        *slot = 0; /* the link */
    return slot;
}

/* List mode: slots that were taken from the current slab since it was settled
   count as used from now on, but for the `left` in its list. */
static inline void heap_settle_taken(struct heap *heap, struct record *slab,
                                     uint32_t left)
{
    heap->taken += slab_queued(slab) - left;
    slab->until += slab_queued(slab) - left;
}

/* --- heap_sample.c ----------------------------------------------------- */

/*
 * The stock of the class is empty: a sampled object, if this allocation is to
 * be one, or NULL. Comes before heap_allocate_small, heap_plan_sample after.
 */
void *heap_take_sample(struct heap *heap, unsigned class, size_t bytes,
                       size_t alignment, struct die_call call);

/* Cut the stock that was just filled short if the next sample is in it. */
void heap_plan_sample(struct heap *heap, unsigned class);

/* Draw anew: after a fork. */
void heap_forget_sample(struct heap *heap);

/* --- heap_report.c ----------------------------------------------------- */

/* Why no live object starts here; NULL: it is no slab of ours. */
void heap_report(const struct record *slab, uintptr_t p, struct die_call call);

/* A live slot whose canary is not what it should be. */
void heap_report_canary(const struct record *slab, uintptr_t p,
                        struct die_call call);

/* A pointer into the part of spans that is no live span's start. */
void heap_report_span(const struct record *record, uintptr_t p,
                      struct die_call call);

/* Freed by the caller, when another thread's message was under way. */
void heap_report_twice(const struct record *slab, uintptr_t p,
                       struct die_call call);

/* A message came in that names a slot which is free, or a wrong link. */
void heap_report_message(enum die_kind kind, const struct record *slab,
                         uintptr_t slot, struct die_call call);

/* --- heap_free.c ------------------------------------------------------- */

/* Free any pointer, whoever owns it; wild ones are reported. `heap` may be a
   stand-in: then the message is posted at once. */
void heap_free(struct heap *heap, void *p, struct die_call call);

/* Take in what others have freed. */
void heap_drain(struct heap *heap, struct die_call call);

/* All post of a slab that the heap owns. */
void heap_take_post(struct heap *heap, struct record *slab,
                    struct die_call call);

/* Post all open parcels. */
void heap_post_all(struct heap *heap);

/*
 * The slab or span in which a live object starts at p, checked like a free;
 * NULL (after a report) if there is none.
 */
struct record *heap_find(void *p, struct die_call call);

/* Own a slab that nobody owns, with all that was posted to it. False: another
   heap was faster. Taking in the post may have released it again. */
bool heap_claim(struct heap *heap, struct record *slab, struct die_call call);

/* --- heap_slabs.c ------------------------------------------------------ */

/* Put an owned slab into the list where it belongs now; an empty one that is
   not needed goes back to the arena. */
void heap_settle(struct heap *heap, struct record *slab);

/* After a put that said HEAP_PUT_EVENT. */
void heap_event(struct heap *heap, struct record *slab);

/* Take a slab out of the lists of the heap. */
void heap_unlist(struct heap *heap, struct record *slab);

/* Give an empty slab that stands in no list to the arena. False: post has come
   for it, which is a double free; it is owned still. */
bool heap_release_empty(struct heap *heap, struct record *slab);

/* A slab that was just claimed. */
void heap_adopt(struct heap *heap, struct record *slab);

/* Stop owning a slab: SLAB_FULL, or SLAB_IDLE to leave its free slots to all;
   also one that is noted, if the inbox will be taken in. False: post has come;
   it is owned still, and in no list. */
bool heap_let_go(struct heap *heap, struct record *slab,
                 enum slab_state state, bool noted);

/*
 * A slab with free slots for this class, from anywhere; NULL: no memory. It is
 * the current one from now on. The first attempt stays with the current slab
 * if it is ready; the next ones try others, and in the end a new one.
 */
struct record *heap_find_slab(struct heap *heap, unsigned class,
                              unsigned attempt, struct die_call call);

enum { HEAP_ATTEMPTS = 4 };

/* An owned slab becomes the one that slots come from. */
void heap_make_current(struct heap *heap, struct record *slab);

/* --- heap_life.c ------------------------------------------------------- */

/* A heap for the calling thread: an old one, emptied, or a new one. NULL: no
   memory. */
struct heap *heap_open(void);

/* Give everything away: slabs to nobody or to the arena, parcels to their
   owners. The heap can be opened again. */
void heap_close(struct heap *heap);

/* Put slots of the stock back, all but `keep`. SLOT_MAP. */
void heap_shorten(struct heap *heap, unsigned class, uint32_t keep);

struct heap *heap_of_id(uint32_t id);
uint32_t heap_count(void);

/* Heaps ever made; their numbers are 1 and up. For publish.c. */
extern uint32_t heaps_opened;

/* Look at the clock; purge what has waited long enough. */
void heap_tick(struct heap *heap);

/* Every slow call counts; once in a while one of them looks at the clock. */
static inline void heap_beat(struct heap *heap)
{
    if (unlikely(heap->pulse == 0))
        heap_tick(heap);
    else
        heap->pulse--;
}

/* Give everything unused back now. True: something was given back. */
bool heap_trim(struct heap *heap);

#endif
