/* SPDX-License-Identifier: MIT */
/*
 * inspect.c - figures of the whole process, trimming, plain output.
 *
 * Figures are gathered from the records while others allocate: each number is
 * one that was true a moment ago, their sum need not be.
 */
#include "arena.h"
#include "face.h"
#include "fast.h"
#include "os.h"
#include "process.h"

/* Of a current slab in list mode it may be below zero: then list_surplus is,
   too. */
static size_t used_slots(const struct record *record)
{
    return (size_t)(ptrdiff_t)(int32_t)slab_used(record);
}

static void gather_row(const struct record *record, struct face_row *row)
{
    row->slot_bytes = record->slot_bytes;
    row->slabs++;
    row->slots += record->slots;
    row->used += used_slots(record);
}

static void gather_slabs(const struct arena *arena, struct face_stats *stats,
                         struct face_row *rows)
{
    size_t window = __atomic_load_n(&arena->slabs.window, __ATOMIC_ACQUIRE);

    for (size_t i = 0; i < window; i++) {
        const struct record *record = &arena->records[i];
        if (record->kind != RECORD_SLAB || record->slab != record)
            continue;
        size_t used = used_slots(record);
        stats->live_count += used;
        stats->live_bytes += used * record->slot_bytes;
        if (rows && record_class(record) < CLASS_COUNT)
            gather_row(record, &rows[record_class(record)]);
    }
}

/* Slots that the heap has at hand beyond what its current slab counts as used;
   modulo 2^N, for in list mode those that were taken are not settled. Nobody
   changes the list but its own thread, and that may be in the middle of it:
   the count is bounded. */
static size_t list_surplus(struct heap *heap, unsigned class)
{
    const struct record *slab = heap_bin(heap, class)->current;
    user_word *slot = slab ? slab->list : NULL;
    size_t count = 0;

    while (slot && (uintptr_t)slot - slab->base
           < (size_t)slab->slots * slab->slot_bytes && count < slab->slots) {
        slot = *(user_word **)slot;
        count++;
    }
    return slab ? count - slab_queued(slab) : 0;
}

/* Slots in a stock are used for their slab, but nobody has them yet. */
static void subtract_stocks(struct face_stats *stats, struct face_row *rows)
{
    for (uint32_t id = 1; id <= stats->heap_count; id++) {
        struct heap *heap = heap_of_id(id);
        for (unsigned class = 0; class < CLASS_COUNT; class++) {
            size_t count = SLOT_MAP ? heap_stock(heap, class)->count
                : list_surplus(heap, class);
            if (rows)
                rows[class].used -= count;
            stats->live_count -= count;
            stats->live_bytes -= count * class_slot_bytes(class);
        }
    }
}

/* Slots that heaps ever handed out; a forked child counts its parent's too. In
   list mode those of the current slabs come late, when they are settled. */
size_t face_allocations(void)
{
    size_t sum = 0;

    if (!process_start())
        return 0;
    for (uint32_t id = 1; id <= heap_count(); id++) {
        struct heap *heap = heap_of_id(id);
        sum += (size_t)heap->taken;
        for (unsigned class = 0; SLOT_MAP && class < CLASS_COUNT; class++)
            sum -= heap_stock(heap, class)->count;
    }
    return sum;
}

static size_t detections(void)
{
    size_t count = 0;

    for (unsigned kind = 0; kind < DIE_KIND_COUNT; kind++)
        count += die_count((enum die_kind)kind);
    return count;
}

void face_gather(struct face_stats *stats, struct face_row *rows)
{
    struct arena_figures figures;

    *stats = (struct face_stats){ 0 };
    for (unsigned i = 0; rows && i < CLASS_COUNT; i++)
        rows[i] = (struct face_row){ 0 };
    if (!process_start())
        return;
    arena_gather(&figures);
    stats->heap_count = heap_count();
    for (unsigned i = 0; i < arena_count(); i++)
        gather_slabs(arena_at(i), stats, rows);
    subtract_stocks(stats, rows);
    stats->free_bytes = figures.slab_bytes > stats->live_bytes
        ? figures.slab_bytes - stats->live_bytes : 0;
    stats->span_bytes = __atomic_load_n(&span_live_bytes, __ATOMIC_RELAXED);
    stats->span_count = span_live_count();
    stats->live_bytes += stats->span_bytes;
    stats->live_count += stats->span_count;
    stats->live_bytes += __atomic_load_n(&sample_live_bytes, __ATOMIC_RELAXED);
    stats->live_count += sample_live_count();
    stats->committed_bytes = figures.committed_bytes;
    stats->slab_bytes = figures.slab_bytes;
    stats->purgeable_bytes = figures.dirty_bytes;
    stats->mismatch_count = face_mismatches();
    stats->detection_count = detections();
    stats->quarantine_bytes = __atomic_load_n(&span_quarantine_bytes,
                                              __ATOMIC_RELAXED);
}

bool face_trim(void)
{
    struct heap *heap = thread_enter();
    bool any = heap->id != 0 && heap_trim(heap);

    thread_leave(heap);
    return any;
}

void face_print(const char *text, size_t bytes)
{
    os_write(2, text, bytes);
}
