/* SPDX-License-Identifier: MIT */
/*
 * publish.c - the constant that makes merlon readable from outside.
 *
 * Its addresses are filled in by the dynamic loader; then it is read-only.
 * Nothing of it runs, so a process can be read that is stopped, sandboxed,
 * chrooted or stuck in a loop.
 */
#include "publish.h"

#include "arena.h"
#include "face.h"
#include "heap.h"
#include "options.h"
#include "os.h"

/* The two have the same shape; options.h may not know publish.h. */
_Static_assert(sizeof(struct publish_option) == sizeof(struct option_place)
               && (int)KIND_ACTION == OPTION_KIND_ACTION
               && (int)KIND_ACTION_TOO == OPTION_KIND_ACTION_OR_IGNORE
               && (int)KIND_NUMBER == OPTION_KIND_DESCRIPTOR
               && (int)KIND_NUMBER_TOO == OPTION_KIND_BYTES
               && (int)KIND_TEXT == OPTION_KIND_OUTPUT,
               "publish.h shows the table of options");

#define FIELD(type, member)                                                  \
    { offsetof(struct type, member), sizeof ((struct type *)0)->member }

static const struct publish_switch switches[] = {
    { "exact-state", EXACT_STATE },
    { "strict-remote", STRICT_REMOTE },
    { "encoded-links", ENCODED_LINKS },
    { "random-order", RANDOM_ORDER },
    { "delayed-reuse", DELAYED_REUSE },
    { "class-isolation", CLASS_ISOLATION },
    { "guard-pages", GUARD_PAGES },
    { "scrub", SCRUB },
    { "write-check", WRITE_CHECK },
    { "canary", CANARY },
    { "sealed-state", SEALED_STATE },
    { "sampling", SAMPLING },
};

MERLON_EXPORT const struct publish merlon_process = {
    .magic = PUBLISH_MAGIC,
    .layout = PUBLISH_LAYOUT,
    .address_bytes = sizeof(void *),
    .number_count = PUBLISH_NUMBER_COUNT,
    .field_count = PUBLISH_FIELD_COUNT,
    .address_count = PUBLISH_ADDRESS_COUNT,
    .address_offset = offsetof(struct publish, address),
    .number = {
        [NUMBER_GRANULE_SHIFT] = GRANULE_SHIFT,
        [NUMBER_CLASS_COUNT] = CLASS_COUNT,
        [NUMBER_ARENA_BYTES] = sizeof(struct arena),
        [NUMBER_WORD_BYTES] = sizeof(struct granule_word),
        [NUMBER_RECORD_BYTES] = sizeof(struct record),
        [NUMBER_HEAP_BYTES] = sizeof(struct heap),
        [NUMBER_HEAP_ALIGNMENT] = _Alignof(struct heap),
        [NUMBER_STOCK_BYTES] = sizeof(struct stock),
        [NUMBER_BIN_BYTES] = sizeof(struct bin),
        [NUMBER_STOCKED] = SLOT_MAP,
        [NUMBER_KIND_SLAB] = RECORD_SLAB,
        [NUMBER_DETECTION_COUNT] = DIE_KIND_COUNT,
        [NUMBER_SWITCH_COUNT] = sizeof switches / sizeof *switches,
        [NUMBER_OPTION_COUNT] = OPTION_COUNT,
        [NUMBER_UNIT_SHIFT] = UNIT_SHIFT,
        [NUMBER_EXACT] = SLOT_MAP,
        [NUMBER_GUARDED] = GUARD_PAGES,
        [NUMBER_CANARY_BYTES] = CANARY_BYTES,
        [NUMBER_STOCK_SLOTS] = STOCK_SLOTS,
        [NUMBER_KIND_SPAN] = RECORD_SPAN,
        [NUMBER_KIND_SPAN_FREE] = RECORD_SPAN_FREE,
        [NUMBER_SAMPLE_COUNT] = SAMPLING ? SAMPLE_PLACES : 0,
        [NUMBER_SAMPLE_BYTES] = sizeof(struct sample),
        [NUMBER_SAMPLE_LIVE] = SAMPLE_LIVE,
        [NUMBER_SAMPLE_FREED] = SAMPLE_FREED,
    },
    .field = {
        [FIELD_ARENA_RECORDS] = FIELD(arena, records),
        [FIELD_ARENA_HEAPS] = FIELD(arena, heaps),
        [FIELD_SLABS_WORDS] = FIELD(arena, slabs.words),
        [FIELD_SLABS_WINDOW] = FIELD(arena, slabs.window),
        [FIELD_SLABS_TAKEN] = FIELD(arena, slabs.taken),
        [FIELD_SPANS_WORDS] = FIELD(arena, spans.words),
        [FIELD_SPANS_WINDOW] = FIELD(arena, spans.window),
        [FIELD_SPANS_TAKEN] = FIELD(arena, spans.taken),
        [FIELD_WORD_USED] = FIELD(granule_word, used),
        [FIELD_WORD_DIRTY] = FIELD(granule_word, dirty),
        [FIELD_RECORD_SLAB] = FIELD(record, slab),
        [FIELD_RECORD_BASE] = FIELD(record, base),
        [FIELD_RECORD_SLOT_BYTES] = FIELD(record, slot_bytes),
        [FIELD_RECORD_KIND] = FIELD(record, kind),
        [FIELD_RECORD_TENANT] = FIELD(record, tenant),
        [FIELD_RECORD_SLOTS] = FIELD(record, slots),
        [FIELD_RECORD_UNTIL] = FIELD(record, until),
        [FIELD_RECORD_REST] = FIELD(record, rest),
        [FIELD_HEAP_TAKEN] = FIELD(heap, taken),
        [FIELD_HEAP_GENERATION] = FIELD(heap, generation),
        [FIELD_HEAP_STOCK] = FIELD(heap, stock),
        /* Of class 0; in map mode nobody reads it. */
        [FIELD_HEAP_BIN] = { SLOT_MAP ? offsetof(struct heap, bins_back)
                                 : offsetof(struct heap, bins),
                             CLASS_COUNT * sizeof(struct bin) },
        [FIELD_STOCK_COUNT] = FIELD(stock, count),
        [FIELD_BIN_CURRENT] = FIELD(bin, current),
        [FIELD_ARENA_BASE] = FIELD(arena, base),
        [FIELD_ARENA_SLAB_BYTES] = FIELD(arena, span_offset),
        [FIELD_ARENA_SPAN_BYTES] = FIELD(arena, span_bytes),
        [FIELD_ARENA_STATE] = FIELD(arena, state),
        [FIELD_ARENA_PENDING] = FIELD(arena, pending),
        [FIELD_ARENA_HEAPS_BYTES] = FIELD(arena, heaps_bytes),
        [FIELD_RECORD_FRESH] = FIELD(record, fresh),
        [FIELD_RECORD_LIST] = FIELD(record, list),
        [FIELD_SPAN_BYTES] = FIELD(record, span_bytes),
        [FIELD_SPAN_GRANULES] = FIELD(record, span_granules),
        [FIELD_SPAN_GUARDED] = FIELD(record, span_guarded),
        [FIELD_SPAN_INDEX] = FIELD(record, span_index),
        [FIELD_STOCK_SLAB] = FIELD(stock, slab),
        [FIELD_STOCK_SLOT] = FIELD(stock, slot),
        [FIELD_STOCK_PAD] = FIELD(stock, pad),
        [FIELD_ARENA_BATCH] = FIELD(arena, batch),
        [FIELD_ARENA_SAMPLES] = FIELD(arena, sample_table),
        [FIELD_SAMPLE_STATE] = FIELD(sample, state),
        [FIELD_SAMPLE_OBJECT] = FIELD(sample, object),
        [FIELD_SAMPLE_SIZE] = FIELD(sample, bytes),
        [FIELD_SAMPLE_ALLOCATED_BY] = FIELD(sample, allocated_by),
        [FIELD_SAMPLE_FREED_BY] = FIELD(sample, freed_by),
        [FIELD_SAMPLE_ALLOCATION] = FIELD(sample, allocation),
        [FIELD_SAMPLE_RELEASE] = FIELD(sample, release),
    },
    .address = {
        [ADDRESS_SELF] = &merlon_process,
        [ADDRESS_VERSION] = PACKAGE_VERSION,
        [ADDRESS_VARIANT] = MERLON_HARDENING ? "hardened" : "fast",
        [ADDRESS_ARENAS] = arenas,
        [ADDRESS_ARENAS_OPEN] = &arenas_open,
        [ADDRESS_HEAPS_OPENED] = &heaps_opened,
        [ADDRESS_SPAN_BYTES] = &span_live_bytes,
        [ADDRESS_SPANS_BORN] = &span_born_count,
        [ADDRESS_SPANS_FREED] = &span_freed_count,
        [ADDRESS_MISMATCHES] = &face_mismatch_count,
        [ADDRESS_DETECTIONS] = die_counts,
        [ADDRESS_DETECTION_TEXT] = die_kind_text,
        [ADDRESS_SWITCHES] = switches,
        [ADDRESS_LAST_REPORT] = merlon_last_report,
        [ADDRESS_OPTIONS] = option_table,
        [ADDRESS_OPTION_VALUES] = &option_values,
        [ADDRESS_ACTION_TEXT] = option_action_text,
        [ADDRESS_QUARANTINE_BYTES] = &span_quarantine_bytes,
        [ADDRESS_QUARANTINE_COUNT] = &span_quarantine_count,
        [ADDRESS_GUARD_MAPPINGS] = &os_guard_mappings,
        [ADDRESS_SAMPLE_BYTES] = &sample_live_bytes,
        [ADDRESS_SAMPLES_BORN] = &sample_born_count,
        [ADDRESS_SAMPLES_FREED] = &sample_freed_count,
    },
};
