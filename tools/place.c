/* SPDX-License-Identifier: MIT */
/*
 * place.c - see place.h.
 */
#include "place.h"

#include <stdlib.h>
#include <string.h>

#include "figures.h"

const char *const place_state_text[PLACE_STATES] = {
    [PLACE_FOREIGN] = "foreign",
    [PLACE_LIVE] = "live",
    [PLACE_FREE] = "free",
    [PLACE_QUARANTINE] = "quarantine",
    [PLACE_GUARD] = "guard",
    [PLACE_METADATA] = "metadata",
    [PLACE_UNUSED] = "unused",
};

struct search {
    uint64_t address;
    struct place *place;
    const uint8_t *arena;
};

static uint64_t granule_bytes(uint64_t granules)
{
    return granules << library.number[NUMBER_GRANULE_SHIFT];
}

static void settle(struct place *place, enum place_state state,
                   const char *detail)
{
    place->state = state;
    place->detail = detail;
}

static uint64_t record_at(const uint8_t *arena, uint64_t index)
{
    return get(arena, FIELD_ARENA_RECORDS)
        + index * library.number[NUMBER_RECORD_BYTES];
}

static void read_record(uint64_t at, uint8_t *record)
{
    need_bytes(at, record, library.number[NUMBER_RECORD_BYTES]);
}

/* Is granule `index` of a part in use? */
static bool is_taken(const uint8_t *arena, enum publish_field words_field,
                     uint64_t index)
{
    uint8_t word[RECORD_BYTES_MAX];
    size_t size = library.number[NUMBER_WORD_BYTES];

    if (index >= get(arena, words_field + 1))
        return false;
    need_bytes(get(arena, words_field) + index / GRANULES_WORD * size, word,
               size);
    return get(word, FIELD_WORD_USED) >> index % GRANULES_WORD & 1;
}

/* The bit of an address in an array of one bit for each unit. */
static bool bit_of(const uint8_t *arena, enum publish_field array,
                   uint64_t offset)
{
    uint64_t unit = offset >> library.number[NUMBER_UNIT_SHIFT];
    uint8_t byte;

    /* Words of 64 bits in the machine's order; see elf-fields.h. */
    uint64_t at = unit / 8;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    at ^= 7;
#endif
    need_bytes(get(arena, array) + at, &byte, 1);
    return byte >> unit % 8 & 1;
}

/* -------------------------------------------------------------------- slots */

static bool list_has(uint64_t slot, uint64_t wanted, uint64_t slots)
{
    for (; slot != 0 && slots != 0; slots--) {
        if (slot == wanted)
            return true;
        if (slot % 16 != 0 || !user_word(slot, &slot))
            return false;
    }
    return false;
}

struct at_hand {
    uint64_t slab, base, slot, slots, list;
    unsigned class;
    bool found;
};

/* Does this heap have the slot at hand, to give it out next? */
static bool look_at_hand(const uint8_t *heap, void *context)
{
    const uint32_t *number = library.number;
    struct at_hand *look = context;

    if (!number[NUMBER_STOCKED]) {
        const uint8_t *bin = heap + library.field[FIELD_HEAP_BIN].offset
            + (size_t)look->class * number[NUMBER_BIN_BYTES];
        look->found = get(bin, FIELD_BIN_CURRENT) == look->slab
            && list_has(look->list, look->slot, look->slots);
        return !look->found;
    }
    const uint8_t *stock = heap + library.field[FIELD_HEAP_STOCK].offset
        + (size_t)look->class * number[NUMBER_STOCK_BYTES];
    if (!has(FIELD_STOCK_SLAB) || !has(FIELD_STOCK_SLOT)
        || get(stock, FIELD_STOCK_SLAB) != look->slab)
        return true;
    uint64_t count = get(stock, FIELD_STOCK_COUNT);
    const uint8_t *slot = stock + library.field[FIELD_STOCK_SLOT].offset;
    uint64_t pad = get(stock, FIELD_STOCK_PAD);
    for (uint64_t i = 0; i < count && i < number[NUMBER_STOCK_SLOTS]; i++)
        look->found |= look->base + (number_at(slot + 4 * i, 4) ^ pad)
            == look->slot;
    return !look->found;
}

/* What a slot that is not live does. */
static void tell_free(struct place *place, const uint8_t *record,
                      bool at_hand)
{
    if (at_hand)
        settle(place, PLACE_FREE, "at hand: its heap gives it out soon");
    else if (has(FIELD_RECORD_FRESH)
             && place->slot_index >= get(record, FIELD_RECORD_FRESH))
        settle(place, PLACE_FREE, "never handed out yet");
    else if (library.number[NUMBER_EXACT])
        settle(place, PLACE_QUARANTINE,
               "freed: it waits in its slab for its turn");
    else
        settle(place, PLACE_FREE, "freed");
}

static void find_slot_state(const struct search *search,
                            const uint8_t *record, uint64_t slab)
{
    struct place *place = search->place;
    uint64_t offset = place->object - get(search->arena, FIELD_ARENA_BASE);
    struct at_hand look = {
        .slab = slab, .base = place->slab, .slot = place->object,
        .slots = get(record, FIELD_RECORD_SLOTS),
        .list = get(record, FIELD_RECORD_LIST),
        .class = (unsigned)get(record, FIELD_RECORD_TENANT) - 1,
    };

    if (library.number[NUMBER_EXACT]
        && bit_of(search->arena, FIELD_ARENA_STATE, offset)) {
        bool pending = has(FIELD_ARENA_PENDING)
            && get(search->arena, FIELD_ARENA_PENDING)
                != get(search->arena, FIELD_ARENA_HEAPS)
            && bit_of(search->arena, FIELD_ARENA_PENDING, offset);
        if (pending)
            settle(place, PLACE_QUARANTINE,
                   "freed by another thread, on its way to the owner");
        else
            settle(place, PLACE_LIVE, "");
        return;
    }
    if (look.class < library.number[NUMBER_CLASS_COUNT])
        each_heap(look_at_hand, &look);
    if (!library.number[NUMBER_EXACT]) {
        place->sure = false;
        if (!look.found
            && place->slot_index < get(record, FIELD_RECORD_FRESH)
            && !list_has(get(record, FIELD_RECORD_LIST), place->object,
                         look.slots)) {
            settle(place, PLACE_LIVE, "it stands in no list of free slots; "
                   "this build keeps no exact state");
            return;
        }
    }
    tell_free(place, record, look.found);
}

/* Bytes of the slab: as many granules as say that they are its. */
static uint64_t slab_bytes(const struct search *search, uint64_t slab)
{
    uint8_t record[RECORD_BYTES_MAX];
    uint64_t first = (slab - get(search->arena, FIELD_ARENA_RECORDS))
        / library.number[NUMBER_RECORD_BYTES];
    uint64_t window = get(search->arena, FIELD_SLABS_WINDOW), count = 0;

    while (first + count < window && count < GRANULES_WORD) {
        read_record(record_at(search->arena, first + count), record);
        if (get(record, FIELD_RECORD_SLAB) != slab)
            break;
        count++;
    }
    return granule_bytes(count);
}

static void find_in_slabs(const struct search *search, uint64_t index)
{
    uint8_t record[RECORD_BYTES_MAX];
    struct place *place = search->place;

    if (!is_taken(search->arena, FIELD_SLABS_WORDS, index)) {
        settle(place, PLACE_UNUSED, "address space for slabs");
        return;
    }
    read_record(record_at(search->arena, index), record);
    uint64_t slab = get(record, FIELD_RECORD_SLAB);
    bool live = get(record, FIELD_RECORD_KIND)
        == library.number[NUMBER_KIND_SLAB];
    uint64_t records = get(search->arena, FIELD_ARENA_RECORDS);
    if (slab - records >= get(search->arena, FIELD_SLABS_WINDOW)
        * library.number[NUMBER_RECORD_BYTES]) {
        settle(place, PLACE_UNUSED, "taken for a slab that is not open yet");
        return;
    }
    read_record(slab, record);
    place->slab = get(record, FIELD_RECORD_BASE);
    uint64_t slot_bytes = get(record, FIELD_RECORD_SLOT_BYTES);
    uint64_t offset = search->address - place->slab;
    if (library.number[NUMBER_GUARDED]
        && offset + image.page_bytes >= slab_bytes(search, slab)) {
        settle(place, PLACE_GUARD, "the page that ends a slab");
        return;
    }
    place->slot_index = slot_bytes != 0 ? offset / slot_bytes : 0;
    if (slot_bytes == 0
        || place->slot_index >= get(record, FIELD_RECORD_SLOTS)) {
        settle(place, PLACE_UNUSED, "the end of a slab, too small for a slot");
        return;
    }
    place->object = place->slab + place->slot_index * slot_bytes;
    place->object_bytes = slot_bytes;
    place->usable_bytes = below(slot_bytes,
                                library.number[NUMBER_CANARY_BYTES]);
    if (live)
        find_slot_state(search, record, slab);
    else
        settle(place, PLACE_QUARANTINE,
               "in an emptied slab, whose addresses wait");
}

/* -------------------------------------------------------------------- spans */

static bool is_span(const uint8_t *record)
{
    uint64_t kind = get(record, FIELD_RECORD_KIND);

    return kind == library.number[NUMBER_KIND_SPAN]
        || kind == library.number[NUMBER_KIND_SPAN_FREE];
}

/* Does this span's range hold granule `index`? */
static bool span_holds(const uint8_t *record, uint64_t index)
{
    return is_span(record) && index - get(record, FIELD_SPAN_INDEX)
        < get(record, FIELD_SPAN_GRANULES);
}

/* The record of a span is that of its first byte's granule: look back to the
   beginning of the range, then forward over what is in front of the object. */
static bool find_span(const struct search *search, uint64_t index,
                      uint8_t *record)
{
    uint64_t first = get(search->arena, FIELD_ARENA_SLAB_BYTES)
        >> library.number[NUMBER_GRANULE_SHIFT];
    uint64_t end = first + get(search->arena, FIELD_SPANS_WINDOW);

    for (uint64_t i = index + 1; i-- > first;) {
        read_record(record_at(search->arena, i), record);
        if (span_holds(record, index))
            return true;
        if (is_span(record) || !is_taken(search->arena, FIELD_SPANS_WORDS,
                                         i - first))
            break;
    }
    for (uint64_t i = index + 1; i < end; i++) {
        read_record(record_at(search->arena, i), record);
        if (is_span(record))
            return span_holds(record, index);
        if (!is_taken(search->arena, FIELD_SPANS_WORDS, i - first))
            break;
    }
    return false;
}

static void find_in_spans(const struct search *search, uint64_t index)
{
    uint8_t record[RECORD_BYTES_MAX];
    struct place *place = search->place;
    uint64_t first = get(search->arena, FIELD_ARENA_SLAB_BYTES)
        >> library.number[NUMBER_GRANULE_SHIFT];

    if (!has(FIELD_SPAN_BYTES)
        || !is_taken(search->arena, FIELD_SPANS_WORDS, index - first)
        || !find_span(search, index, record)) {
        settle(place, PLACE_UNUSED, "address space for large objects");
        return;
    }
    uint64_t base = get(record, FIELD_RECORD_BASE);
    uint64_t bytes = get(record, FIELD_SPAN_BYTES);
    uint64_t guarded = get(record, FIELD_SPAN_GUARDED);
    bool live = get(record, FIELD_RECORD_KIND)
        == library.number[NUMBER_KIND_SPAN];
    bool guards = library.number[NUMBER_GUARDED];
    place->object = base;
    place->object_bytes = place->usable_bytes = bytes;
    if (search->address - base < bytes) {
        if (live)
            settle(place, PLACE_LIVE, "a large object");
        else
            settle(place, guards ? PLACE_QUARANTINE : PLACE_FREE, guards
                   ? "a large object that was freed: its addresses wait"
                   : "a large object that was freed, kept for the next");
    } else if (guards && search->address < base) {
        settle(place, PLACE_GUARD, "in front of a large object");
    } else if (guards && search->address - base - bytes < guarded) {
        settle(place, PLACE_GUARD, "behind a large object");
    } else {
        settle(place, PLACE_UNUSED, "the rest of a large object's range");
    }
}

/* ---------------------------------------------------------------------- all */

/* The metadata lies in one piece, and in this order; see arena.c. */
static bool find_in_metadata(const struct search *search)
{
    static const struct part {
        enum publish_field begin;
        const char *detail;
    } parts[] = {
        { FIELD_SLABS_WORDS, "which granules are taken" },
        { FIELD_ARENA_RECORDS, "records of slabs and large objects" },
        { FIELD_ARENA_STATE, "exact state: where live objects start" },
        { FIELD_ARENA_BATCH, "which free slots come next" },
        { FIELD_ARENA_PENDING, "what other threads have freed" },
        { FIELD_ARENA_HEAPS, "heaps of threads" },
    };
    const uint8_t *arena = search->arena;
    uint64_t end = get(arena, FIELD_ARENA_HEAPS)
        + get(arena, FIELD_ARENA_HEAPS_BYTES);

    if (search->address >= end
        || search->address < get(arena, FIELD_SLABS_WORDS))
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (has(parts[i].begin)
            && search->address >= get(arena, parts[i].begin))
            settle(search->place, PLACE_METADATA, parts[i].detail);
    }
    return true;
}

static bool find_in_arena(const uint8_t *arena, unsigned number,
                          void *context)
{
    struct search *search = context;
    uint64_t offset = search->address - get(arena, FIELD_ARENA_BASE);
    uint64_t slabs = get(arena, FIELD_ARENA_SLAB_BYTES);
    uint64_t index = offset >> library.number[NUMBER_GRANULE_SHIFT];

    (void)number;
    search->arena = arena;
    if (offset < slabs)
        find_in_slabs(search, index);
    else if (offset - slabs < get(arena, FIELD_ARENA_SPAN_BYTES))
        find_in_spans(search, index);
    else
        return !find_in_metadata(search);
    return false;
}

void place_find(uint64_t address, struct place *place)
{
    struct search search = { .address = address, .place = place };

    *place = (struct place){ .state = PLACE_FOREIGN, .sure = true,
                             .detail = "not in an arena of merlon's" };
    each_arena(find_in_arena, &search);
}
