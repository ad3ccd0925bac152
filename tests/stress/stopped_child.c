/* SPDX-License-Identifier: MIT */
/*
 * stopped_child.c - a child that lives on with what a stopped thread has left.
 * See stopped.c.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "arena.h"
#include "face.h"
#include "thread.h"

#include "stopped.h"

enum {
    SLOW_CALLS = 1300, /* more than the patience of a burial, and all heaps */
    CALM_ROUNDS = 2,
    ROUNDS_MAX = 40,
    MANY = 400,
    FILLED_BYTES = 256,
    ZERO_BYTES = 4096,
};

_Atomic(struct block *) table[TABLE];

/* What waits in the quarantine is not lost. Slots that rest keep slabs for as
   many rounds as they like: then it is the spans alone that must come back. */
static size_t granules_taken(void)
{
    size_t sum = 0;

    for (unsigned i = 0; i < arena_count(); i++)
        sum += arena_at(i)->spans.taken
            + (DELAYED_REUSE ? 0 : arena_at(i)->slabs.taken);
    return sum - (span_quarantine_bytes >> GRANULE_SHIFT);
}

static void *get_zeroed(size_t bytes, uint64_t tag)
{
    unsigned char *p = m.calloc(1, bytes);

    if (!p)
        _exit(NO_MEMORY);
    /* Not all of large ones: a child is there for a millisecond. */
    if (!pattern_is_zero(p, size_min(bytes, ZERO_BYTES)))
        _exit(NOT_ZERO);
    pattern_fill(p, size_min(bytes, FILLED_BYTES), tag);
    return p;
}

/* Two objects of each class, and spans: told apart by their contents. */
static void use_every_class(bool first)
{
    static void *object[2 * CLASS_COUNT + 4];
    static size_t bytes[2 * CLASS_COUNT + 4];
    unsigned count = 0;

    for (unsigned class = 0; class < CLASS_COUNT; class++)
        for (int i = 0; i < 2; i++)
            bytes[count++] = class_slot_bytes(class) - 8;
    for (int i = 0; i < 4; i++)
        bytes[count++] = (size_t)300 * KIB << i % 2;
    for (unsigned i = 0; i < count; i++)
        object[i] = get_zeroed(bytes[i], i);
    for (unsigned i = 0; first && i < TABLE; i++) {
        if (!block_end(atomic_exchange(&table[i], NULL)))
            _exit(NOT_WHOLE);
    }
    for (unsigned i = 0; i < count; i++) {
        if (!pattern_holds(object[i], size_min(bytes[i], FILLED_BYTES), i))
            _exit(NOT_WHOLE);
        m.free(object[i]);
    }
}

/* Heaps are buried; then their slabs, which the pool has now, are used. */
static void bury(void)
{
    static uint64_t *object[MANY];

    for (int i = 0; i < SLOW_CALLS; i++)
        thread_leave(thread_enter());
    for (unsigned class = 0; class < CLASS_COUNT; class++) {
        size_t bytes = class_slot_bytes(class) - 8;
        unsigned count = (unsigned)size_min(MANY, 256 * KIB / (bytes + 8));
        for (unsigned i = 0; i < count; i++) {
            if (!(object[i] = m.malloc(bytes)))
                _exit(NO_MEMORY);
            *object[i] = i;
        }
        for (unsigned i = 0; i < count; i++) {
            if (*object[i] != i)
                _exit(NOT_WHOLE);
            m.free(object[i]);
        }
    }
}

void live_as_child(bool buries)
{
    alarm(CHILD_SECONDS);
    if (buries)
        bury();
    use_every_class(true);
    /* Then no round needs more than those before. */
    for (int round = 0, calm = 0; calm < CALM_ROUNDS; round++) {
        size_t taken = granules_taken();
        use_every_class(false);
        calm = granules_taken() <= taken ? calm + 1 : 0;
        if (round == ROUNDS_MAX)
            _exit(GROWS);
    }
    _exit(FINE);
}
