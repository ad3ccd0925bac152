/* SPDX-License-Identifier: MIT */
/*
 * figures.c - see figures.h.
 */
#include "figures.h"

#include <stdlib.h>
#include <string.h>

struct figures figures;

static uint64_t granule_bytes(uint64_t granules)
{
    return granules << library.number[NUMBER_GRANULE_SHIFT];
}

/* ------------------------------------------------------------------ records */

/* Without stocks that of a current slab may be below zero: count_listed. */
static uint64_t used_of(const uint8_t *record)
{
    return (uint64_t)(int32_t)(get(record, FIELD_RECORD_UNTIL)
                               + get(record, FIELD_RECORD_REST));
}

static void count_slab(const uint8_t *record, uint64_t class)
{
    struct row *row = &figures.row[class];
    uint64_t used = used_of(record);

    row->slot_bytes = get(record, FIELD_RECORD_SLOT_BYTES);
    row->slabs++;
    row->slots += get(record, FIELD_RECORD_SLOTS);
    row->used += used;
    row->waiting += get(record, FIELD_RECORD_FRESH) - used;
}

/* A record of the slabs' part whose granule is taken. */
static void count_record(const uint8_t *record, uint64_t at)
{
    uint64_t class = get(record, FIELD_RECORD_TENANT) - 1;

    if (class >= library.number[NUMBER_CLASS_COUNT])
        return;
    bool slab = get(record, FIELD_RECORD_KIND)
        == library.number[NUMBER_KIND_SLAB];
    bool first = get(record, FIELD_RECORD_SLAB) == at;
    if (slab && first) {
        count_slab(record, class);
    } else if (!slab) {
        figures.retired += first;
        figures.retired_bytes += granule_bytes(1);
    }
}

/* The records of one word of granules. */
static void count_records(uint64_t first, uint64_t used)
{
    static uint8_t batch[GRANULES_WORD * RECORD_BYTES_MAX];
    size_t size = library.number[NUMBER_RECORD_BYTES];

    need_bytes(first, batch, GRANULES_WORD * size);
    for (unsigned i = 0; i < GRANULES_WORD; i++) {
        if (used >> i & 1)
            count_record(batch + i * size, first + i * size);
    }
}

/* One part of an arena; `records` is 0 for the part of the spans. */
static void count_part(const uint8_t *arena, enum publish_field words_field,
                       uint64_t records)
{
    enum { BATCH = 128 };
    static uint8_t words[BATCH * RECORD_BYTES_MAX];
    uint64_t at = get(arena, words_field);
    uint64_t window = get(arena, words_field + 1);
    uint64_t count = window / GRANULES_WORD, dirty = 0;
    size_t size = library.number[NUMBER_WORD_BYTES];
    uint64_t step = (uint64_t)library.number[NUMBER_RECORD_BYTES]
        * GRANULES_WORD;

    if (count > WINDOW_WORDS_MAX)
        library_nonsense();
    figures.committed_bytes += granule_bytes(window);
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *word = words + i % BATCH * size;
        if (i % BATCH == 0)
            need_bytes(at + i * size, words,
                       (count - i < BATCH ? count - i : BATCH) * size);
        uint64_t used = get(word, FIELD_WORD_USED);
        dirty += (uint64_t)__builtin_popcountll(
            get(word, FIELD_WORD_DIRTY) & ~used);
        if (records != 0 && used != 0)
            count_records(records + i * step, used);
    }
    figures.purgeable_bytes += granule_bytes(dirty);
}

static bool count_arena(const uint8_t *arena, unsigned index, void *context)
{
    (void)context;
    figures.arenas = index + 1;
    figures.slab_bytes += granule_bytes(get(arena, FIELD_SLABS_TAKEN));
    count_part(arena, FIELD_SLABS_WORDS, get(arena, FIELD_ARENA_RECORDS));
    count_part(arena, FIELD_SPANS_WORDS, 0);
    return true;
}

/* -------------------------------------------------------------------- heaps */

/* The free slots of a slab. Its owner may change the list under our hands:
   leaving the slab, or longer than it, it is at its end. */
static uint64_t list_length(const uint8_t *record)
{
    uint64_t length = 0, slot = get(record, FIELD_RECORD_LIST);
    uint64_t base = get(record, FIELD_RECORD_BASE);
    uint64_t slots = get(record, FIELD_RECORD_SLOTS);
    uint64_t bytes = slots * get(record, FIELD_RECORD_SLOT_BYTES);
    while (length < slots && slot % 16 == 0 && slot - base < bytes) {
        length++;
        if (!user_word(slot, &slot))
            break;
    }
    return length;
}

/* What a current slab's record says is used does not know yet what was taken
   since. The slots in its list, after that is put right. */
static uint64_t count_listed(const uint8_t *bin, struct row *row)
{
    uint8_t record[RECORD_BYTES_MAX];
    uint64_t slab = get(bin, FIELD_BIN_CURRENT);

    if (slab == 0)
        return 0;
    need_bytes(slab, record, library.number[NUMBER_RECORD_BYTES]);
    uint64_t listed = list_length(record);
    uint64_t queued = get(record, FIELD_RECORD_FRESH) - used_of(record);
    row->used += queued;
    row->waiting -= queued;
    figures.served += queued;
    return listed;
}

/* The free slots at hand, which count as used in their slabs. */
static uint64_t count_stocked(const uint8_t *heap, unsigned class)
{
    const uint32_t *number = library.number;

    if (number[NUMBER_STOCKED])
        return get(heap + library.field[FIELD_HEAP_STOCK].offset
                   + (size_t)class * number[NUMBER_STOCK_BYTES],
                   FIELD_STOCK_COUNT);
    return count_listed(heap + library.field[FIELD_HEAP_BIN].offset
                        + (size_t)class * number[NUMBER_BIN_BYTES],
                        &figures.row[class]);
}

static bool count_heap(const uint8_t *heap, void *context)
{
    uint64_t *stocked = context;

    figures.heaps++;
    figures.served += get(heap, FIELD_HEAP_TAKEN);
    figures.heaps_used += get(heap, FIELD_HEAP_GENERATION) != 0;
    for (unsigned c = 0; c < library.number[NUMBER_CLASS_COUNT]; c++) {
        uint64_t count = count_stocked(heap, c);
        figures.row[c].stocked += count;
        *stocked += count;
    }
    return true;
}

/* ---------------------------------------------------------------------- all */

static uint64_t figure_at(enum publish_address which, size_t width)
{
    return read_number(library.address[which], width);
}

static void count_spans(void)
{
    size_t width = library.address_bytes;
    uint64_t freed = figure_at(ADDRESS_SPANS_FREED, width);

    figures.spans_served = figure_at(ADDRESS_SPANS_BORN, width);
    figures.span_bytes = figure_at(ADDRESS_SPAN_BYTES, width);
    figures.span_objects = below(figures.spans_served, freed);
    figures.quarantined = figure_at(ADDRESS_QUARANTINE_COUNT, width);
    figures.quarantined_bytes = figure_at(ADDRESS_QUARANTINE_BYTES, width);
    figures.mismatches = figure_at(ADDRESS_MISMATCHES, width);
    figures.served += figures.spans_served;
    if (library.number[NUMBER_SAMPLE_COUNT] != 0) {
        freed = figure_at(ADDRESS_SAMPLES_FREED, width);
        figures.samples_served = figure_at(ADDRESS_SAMPLES_BORN, width);
        figures.sample_objects = below(figures.samples_served, freed);
        figures.served += figures.samples_served;
        figures.live_objects += figures.sample_objects;
        figures.live_bytes += figure_at(ADDRESS_SAMPLE_BYTES, width);
    }
    figures.live_objects += figures.span_objects;
    figures.live_bytes += figures.span_bytes;
    for (unsigned i = 0; i < library.number[NUMBER_DETECTION_COUNT]; i++)
        figures.detections += read_number(
            library.address[ADDRESS_DETECTIONS] + i * width, width);
}

void figures_gather(void)
{
    uint64_t stocked = 0;

    memset(&figures, 0, sizeof figures);
    each_arena(count_arena, NULL);
    each_heap(count_heap, &stocked);
    figures.served = below(figures.served, stocked);
    for (unsigned i = 0; i < library.number[NUMBER_CLASS_COUNT]; i++) {
        struct row *row = &figures.row[i];
        uint64_t live = below(row->used, row->stocked);
        figures.slabs += row->slabs;
        figures.live_objects += live;
        figures.live_bytes += live * row->slot_bytes;
        figures.waiting += row->waiting;
        figures.waiting_bytes += row->waiting * row->slot_bytes;
    }
    count_spans();
    figures.guard_mappings = figure_at(ADDRESS_GUARD_MAPPINGS, 4);
    /* One ends each slab; each span has one in front and one behind. */
    if (library.number[NUMBER_GUARDED])
        figures.guards = figures.slabs + figures.retired
            + 2 * figures.span_objects;
}
