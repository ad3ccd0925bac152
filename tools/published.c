/* SPDX-License-Identifier: MIT */
/*
 * published.c - see published.h.
 *
 * In each ELF object that is mapped, the dynamic symbol table is asked for
 * merlon_process; where a program has merlon linked in and exports nothing,
 * and in a core, which has no symbol tables, its constants are searched for it.
 */
#include "published.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "object.h"
#include "tool.h"

struct image image;
struct library library;

void library_nonsense(void)
{
    fail("%s: merlon's tables make no sense", image.name);
}

void need_bytes(uint64_t address, void *to, size_t bytes)
{
    if (image_read(&image, address, to, bytes))
        return;
    if (image.is_process)
        fail("%s cannot be read any more (has it ended?)", image.name);
    fail("%s has no merlon's tables at 0x%" PRIx64
         ": written without them, or cut", image.name, address);
}

uint64_t read_number(uint64_t address, size_t bytes)
{
    uint8_t buffer[8] = { 0 };

    if (address != 0)
        need_bytes(address, buffer, bytes);
    return number_at(buffer, bytes);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* ------------------------------------------------------------- the constant */

/* Is this it? The address of its own that it holds tells it from a copy. */
static bool open_constant(uint64_t at)
{
    struct publish head;
    size_t fixed = offsetof(struct publish, number);

    memset(&library, 0, offsetof(struct library, path));
    if (!image_read(&image, at, &head, fixed)
        || memcmp(head.magic, PUBLISH_MAGIC, sizeof head.magic) != 0)
        return false;
    if (head.layout != PUBLISH_LAYOUT)
        fail("the merlon of %s publishes layout %" PRIu32
             ", this %s knows %d: use that of the same version",
             image.name, head.layout, tool_name, PUBLISH_LAYOUT);
    size_t width = library.address_bytes = head.address_bytes;
    if ((width != 4 && width != 8) || head.number_count > 4096)
        return false;
    uint64_t fields = at + fixed + sizeof *head.number
        * (uint64_t)head.number_count;
    if (!image_read(&image, at + fixed, library.number,
                    sizeof *library.number
                    * smaller(head.number_count, PUBLISH_NUMBER_COUNT))
        || !image_read(&image, fields, library.field, sizeof *library.field
                       * smaller(head.field_count, PUBLISH_FIELD_COUNT)))
        return false;
    uint32_t count = smaller(head.address_count, PUBLISH_ADDRESS_COUNT);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t buffer[8];
        if (!image_read(&image, at + head.address_offset + i * width, buffer,
                        width))
            return false;
        library.address[i] = number_at(buffer, width);
    }
    return library.address[ADDRESS_SELF] == at;
}

/* Every field must lie inside its element. */
static void check_fields(enum publish_field first, enum publish_field last,
                         enum publish_number element)
{
    uint64_t size = library.number[element];

    for (int i = first; i <= (int)last; i++) {
        const struct publish_field_place *place = &library.field[i];
        if ((uint64_t)place->offset + place->bytes > size)
            library_nonsense();
    }
}

/* The arrays of a heap must lie inside it as well. */
static bool heap_is_sound(void)
{
    const uint32_t *number = library.number;
    uint64_t classes = number[NUMBER_CLASS_COUNT];
    uint64_t stocked = number[NUMBER_STOCKED] ? classes : 0;
    uint64_t stocks = library.field[FIELD_HEAP_STOCK].offset
        + stocked * number[NUMBER_STOCK_BYTES];
    uint64_t bins = library.field[FIELD_HEAP_BIN].offset
        + classes * number[NUMBER_BIN_BYTES];
    uint64_t slots = library.field[FIELD_STOCK_SLOT].offset
        + UINT64_C(4) * number[NUMBER_STOCK_SLOTS];
    uint32_t heap = number[NUMBER_HEAP_BYTES];
    uint32_t alignment = number[NUMBER_HEAP_ALIGNMENT];

    return heap <= ELEMENT_BYTES_MAX && heap != 0 && stocks <= heap
        && bins <= heap && alignment != 0
        && (alignment & (alignment - 1)) == 0
        && (!has(FIELD_STOCK_SLOT) || slots <= number[NUMBER_STOCK_BYTES]);
}

void library_check(void)
{
    const uint32_t *number = library.number;

    check_fields(FIELD_ARENA_RECORDS, FIELD_SPANS_TAKEN, NUMBER_ARENA_BYTES);
    check_fields(FIELD_ARENA_BASE, FIELD_ARENA_HEAPS_BYTES,
                 NUMBER_ARENA_BYTES);
    check_fields(FIELD_ARENA_BATCH, FIELD_ARENA_BATCH, NUMBER_ARENA_BYTES);
    check_fields(FIELD_WORD_USED, FIELD_WORD_DIRTY, NUMBER_WORD_BYTES);
    check_fields(FIELD_RECORD_SLAB, FIELD_RECORD_REST, NUMBER_RECORD_BYTES);
    check_fields(FIELD_RECORD_FRESH, FIELD_SPAN_INDEX, NUMBER_RECORD_BYTES);
    check_fields(FIELD_HEAP_TAKEN, FIELD_HEAP_BIN, NUMBER_HEAP_BYTES);
    check_fields(FIELD_STOCK_COUNT, FIELD_STOCK_COUNT, NUMBER_STOCK_BYTES);
    check_fields(FIELD_STOCK_SLAB, FIELD_STOCK_SLAB, NUMBER_STOCK_BYTES);
    check_fields(FIELD_STOCK_PAD, FIELD_STOCK_PAD, NUMBER_STOCK_BYTES);
    check_fields(FIELD_BIN_CURRENT, FIELD_BIN_CURRENT, NUMBER_BIN_BYTES);
    if (number[NUMBER_CLASS_COUNT] > CLASS_COUNT_MAX
        || number[NUMBER_ARENA_BYTES] > ELEMENT_BYTES_MAX
        || number[NUMBER_WORD_BYTES] > RECORD_BYTES_MAX
        || number[NUMBER_RECORD_BYTES] > RECORD_BYTES_MAX
        || number[NUMBER_RECORD_BYTES] == 0
        || number[NUMBER_GRANULE_SHIFT] > 32
        || number[NUMBER_UNIT_SHIFT] > 12
        || number[NUMBER_DETECTION_COUNT] > LIST_COUNT_MAX
        || number[NUMBER_SWITCH_COUNT] > LIST_COUNT_MAX
        || number[NUMBER_OPTION_COUNT] > LIST_COUNT_MAX
        || !heap_is_sound())
        library_nonsense();
}

uint64_t get(const uint8_t *element, enum publish_field field)
{
    const struct publish_field_place *place = &library.field[field];

    return number_at(element + place->offset, place->bytes);
}

bool has(enum publish_field field)
{
    return library.field[field].bytes != 0;
}

/* -------------------------------------------------------- finding the library */

/* Search a range of constants, at multiples of eight. */
static bool search_range(uint64_t from, uint64_t bytes)
{
    enum { STEP = 1 << 16 };
    static uint8_t buffer[STEP + PUBLISH_MAGIC_BYTES];

    for (from &= ~UINT64_C(7); bytes >= PUBLISH_MAGIC_BYTES;) {
        uint64_t part = bytes < sizeof buffer ? bytes : sizeof buffer;
        if (!image_read(&image, from, buffer, part))
            return false;
        for (uint64_t i = 0; i + PUBLISH_MAGIC_BYTES <= part; i += 8)
            if (memcmp(buffer + i, PUBLISH_MAGIC, PUBLISH_MAGIC_BYTES) == 0
                && open_constant(from + i))
                return true;
        if (part < sizeof buffer)
            return false;
        from += STEP;
        bytes -= STEP;
    }
    return false;
}

/* Whether the constant is in this object; `deep`: also without a symbol. */
static bool try_object(uint64_t start, bool deep)
{
    struct object object;

    if (!object_open(&object, &image, start))
        return false;
    uint64_t symbol = object_symbol(&object, PUBLISH_SYMBOL);
    if (symbol != 0 && open_constant(symbol))
        return true;
    return deep
        && (search_range(object.bias + object.relro, object.relro_bytes)
            || search_range(object.bias + object.data, object.data_bytes));
}

bool library_is_running(void)
{
    uint64_t opened = library.address[ADDRESS_ARENAS_OPEN];

    return opened != 0 && read_number(opened, 4) != 0;
}

struct finding {
    uint64_t headers; /* of the main program */
    uint64_t idle_at; /* a copy that has served nothing */
    bool running;
};

static bool try_mapping(const struct image_mapping *mapping, void *context)
{
    struct finding *finding = context;
    bool program = finding->headers >= mapping->start
        && finding->headers < mapping->end;

    if (mapping->offset != 0
        || !try_object(mapping->start, program || !image.is_process))
        return true;
    snprintf(library.path, sizeof library.path, "%s", mapping->path);
    finding->idle_at = library.address[ADDRESS_SELF];
    finding->running = library_is_running();
    return !finding->running;
}

bool library_find(void)
{
    struct finding finding = {
        .headers = image_auxiliary(&image, AT_PHDR),
    };

    image_each_mapping(&image, try_mapping, &finding);
    return finding.running
        || (finding.idle_at != 0 && open_constant(finding.idle_at));
}

/* --------------------------------------------------------- names and values */

/* Text `index` of an array of addresses. */
static void text_in(uint64_t array, uint64_t index, char *text, size_t room)
{
    size_t width = library.address_bytes;

    image_text(&image, array == 0 ? 0
               : read_number(array + index * width, width), text, room);
}

uint64_t library_detection(unsigned kind, char *name, size_t room)
{
    size_t width = library.address_bytes;

    text_in(library.address[ADDRESS_DETECTION_TEXT], kind, name, room);
    return read_number(library.address[ADDRESS_DETECTIONS] + kind * width,
                       width);
}

bool library_switch(unsigned index, char *name, size_t room)
{
    size_t width = library.address_bytes;
    uint64_t at = library.address[ADDRESS_SWITCHES] + 2 * index * width;

    image_text(&image, read_number(at, width), name, room);
    return read_number(at + width, width) != 0;
}

void library_option(unsigned index, char *name, char *value, size_t room)
{
    size_t width = library.address_bytes;
    uint64_t at = library.address[ADDRESS_OPTIONS] + 4 * index * width;
    uint64_t kind = read_number(at + width, width);
    uint64_t bytes = read_number(at + 3 * width, width);
    uint64_t place = read_number(library.address[ADDRESS_OPTION_VALUES], width)
        + read_number(at + 2 * width, width);

    image_text(&image, read_number(at, width), name, room);
    if (kind == KIND_TEXT) {
        image_text(&image, place, value, bytes < room ? bytes : room);
        return;
    }
    uint64_t number = read_number(place, bytes <= 8 ? bytes : 8);
    if ((kind == KIND_ACTION || kind == KIND_ACTION_TOO) && number < 3)
        text_in(library.address[ADDRESS_ACTION_TEXT], number, value, room);
    else
        snprintf(value, room, "%" PRIu64, number);
}

/* --------------------------------------------------------- heaps and arenas */

void each_arena(bool (*visit)(const uint8_t *arena, unsigned index,
                              void *context),
                void *context)
{
    size_t size = library.number[NUMBER_ARENA_BYTES];
    uint64_t count = read_number(library.address[ADDRESS_ARENAS_OPEN], 4);
    uint8_t *arena = allocate(size);

    if (count > ARENA_COUNT_MAX)
        library_nonsense();
    for (unsigned i = 0; i < count; i++) {
        need_bytes(library.address[ADDRESS_ARENAS] + i * size, arena, size);
        if (!visit(arena, i, context))
            break;
    }
    free(arena);
}

static bool note_heaps(const uint8_t *arena, unsigned index, void *context)
{
    (void)index;
    *(uint64_t *)context = get(arena, FIELD_ARENA_HEAPS);
    return false;
}

void each_heap(bool (*visit)(const uint8_t *heap, void *context),
               void *context)
{
    size_t size = library.number[NUMBER_HEAP_BYTES];
    uint64_t mask = library.number[NUMBER_HEAP_ALIGNMENT] - 1, at = 0;
    uint64_t count = read_number(library.address[ADDRESS_HEAPS_OPENED], 4);
    uint8_t *heap = allocate(size);

    each_arena(note_heaps, &at);
    at = (at + image.page_bytes + mask) & ~mask;
    if (count > HEAP_COUNT_MAX)
        library_nonsense();
    for (uint64_t i = 0; i < count; i++) {
        need_bytes(at + i * size, heap, size);
        if (!visit(heap, context))
            break;
    }
    free(heap);
}

/* Through a small cache of pages: lists are followed word by word. */
bool user_word(uint64_t address, uint64_t *word)
{
    enum { PAGE = 4096, PAGES = 64 };
    static struct {
        uint64_t at;
        uint8_t bytes[PAGE];
    } cache[PAGES];
    uint64_t page = address & ~(uint64_t)(PAGE - 1);
    size_t place = page / PAGE % PAGES;

    if (address - page > PAGE - library.address_bytes)
        return false;
    if (cache[place].at != page) {
        cache[place].at = 0;
        if (!image_read(&image, page, cache[place].bytes, PAGE))
            return false;
        cache[place].at = page;
    }
    *word = number_at(cache[place].bytes + (address - page),
                      library.address_bytes);
    return true;
}
