/* SPDX-License-Identifier: MIT */
/*
 * arena.h - the reserved address ranges that all slabs and spans live in.
 *
 * The idea: one reservation, its first part for slabs, its second for spans,
 * each committed from its beginning in growing windows. A second range, before
 * it at a random distance, holds what we know of it: records, state bits,
 * granule words. Where address space is scarce (RLIMIT_AS, 32 bits) arenas
 * are small and further ones are opened when one is full; arena 0 alone is
 * known to the fast paths.
 *
 * There is no lock. Windows grow by idempotent commits and are then published
 * by one store; two threads that grow the same window do the same work twice.
 *
 * Any thread may call anything here after arena_start.
 */
#ifndef MERLON_ARENA_H
#define MERLON_ARENA_H

#include "granules.h"
#include "layout.h"
#include "record.h"
#include "retire.h"

enum { ARENA_COUNT_MAX = 64 };

struct reservation {
    uintptr_t begin, end;
};

struct arena {
    uintptr_t base;
    size_t slab_bytes;       /* from the base; may shrink: see space.h */
    size_t span_bytes;       /* from the span base */
    size_t span_offset;      /* of the span base from the base */
    struct record *records;  /* of both parts */
    uint64_t *state;         /* exact state of the slab part */
    uint64_t *pending;       /* strict remote frees, same layout */
    uint64_t *batch;         /* free slots that come next, same layout */
    struct granules slabs;
    struct granules spans;
    uint8_t *heaps;          /* arena 0: memory for struct heap */
    size_t heaps_bytes;      /* reserved for them */
    struct extent heaps_extent; /* the same, in pages */
    struct reservation user; /* of both parts */
    struct reservation meta; /* of the arrays above */
    void *sample_table;      /* arena 0: read-only until the first sample */
};

/* The table and how many of it are published. publish.c shows them to who
   reads the process from outside. */
extern struct arena arenas[ARENA_COUNT_MAX];
extern unsigned arenas_open;

static inline struct arena *arena_at(unsigned index)
{
    return &arenas[index];
}

/* Open arena 0 and fill in the map. False: no address space at all. */
bool arena_start(void);

/* The record of any address; NULL if no arena holds it. No memory of the
   program is read. */
struct record *arena_record(uintptr_t address);

static inline size_t arena_span_index(const struct arena *arena)
{
    return arena->span_offset >> GRANULE_SHIFT;
}

unsigned arena_count(void);

/* Index of a record's granule in its arena. */
static inline size_t record_index(const struct record *record)
{
    return (size_t)(record - arena_at(record->arena)->records);
}

/* Arena and index of a record in one number; zero is no record. */
enum { RECORD_PLACE_BITS = 26 };

static inline uint32_t record_place(const struct record *record)
{
    return ((uint32_t)record->arena << RECORD_PLACE_BITS)
        + (uint32_t)record_index(record) + 1;
}

static inline struct record *record_at_place(uint32_t place)
{
    if (place == 0)
        return NULL;
    place--;
    return &arena_at(place >> RECORD_PLACE_BITS)
        ->records[place & ((1U << RECORD_PLACE_BITS) - 1)];
}

/* Words of the exact state from this granule on. */
static inline uint64_t *record_bits(uint64_t *bits, size_t index)
{
    return bits + index * BIT_WORDS_PER_GRANULE;
}

/*
 * A run of granules for a slab of this class: the record of the first, with
 * base, arena and zeroed filled in. NULL: no memory.
 */
struct record *arena_take_slab(unsigned class, uint64_t random);
void arena_give_slab(struct record *record, unsigned granules,
                     retire_check *check);

/*
 * `granules` granules for a span (any number; *taken says how many it
 * became). The record of the first. *clean: their pages read as zeros.
 */
struct record *arena_take_span(size_t granules, uint64_t random,
                               size_t *taken, bool *clean);
bool arena_extend_span(struct record *record, size_t index, size_t from,
                       size_t to);
void arena_give_span(unsigned index, size_t first, size_t granules,
                     bool dirty);

/* Purge what was unused for a whole period (all that is unused, with now).
   True: something was given back. */
bool arena_purge(bool now, retire_check *check);

/* Commit the beginning of the heaps' memory. */
bool arena_commit_heaps(size_t bytes);

/*
 * The program is about to limit its address space to `bytes` (SIZE_MAX: to
 * lift the limit). Gives back what merlon reserved and does not use, and sees
 * to it that further arenas are of a size to match. What it still holds unused,
 * at most `most`, is returned: the limit is fair if it is larger by that. Of
 * several calls at once one gives back. `samples`: what was kept for samples
 * goes as well; see sample_give_up. Async-signal-safe.
 */
size_t arena_limit(size_t bytes, size_t most, bool samples);

struct arena_figures {
    size_t committed_bytes, slab_bytes, span_bytes, dirty_bytes;
};
void arena_gather(struct arena_figures *figures);

#endif
