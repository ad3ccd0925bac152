/* SPDX-License-Identifier: MIT */
/*
 * merlon-stat - what merlon does in a running process, read from outside.
 *
 *   merlon-stat [--classes] [--json | --prometheus] PID
 *
 * The idea: only /proc/PID/maps and /proc/PID/mem are read. The process gets
 * no signal and runs no code of ours, so it may be stopped, sandboxed or in a
 * chroot; no file of its is opened either. In each ELF object that it maps,
 * the dynamic symbol table in memory is asked for merlon_process; where a
 * program has merlon linked in and exports nothing, its constants are searched
 * for it. That constant says where all else is: see src/publish.h.
 *
 * What is read comes from somebody else's memory and may change, or lie:
 * every count, offset and size is bounded before it is used, and no text is
 * printed that a terminal could obey.
 *
 * Exit status: 0 merlon is active there, 1 it is not, 2 it cannot be told.
 */
#define _FILE_OFFSET_BITS 64 /* addresses are offsets in mem */

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "publish.h"

enum {
    EXIT_ACTIVE,
    EXIT_INACTIVE,
    EXIT_UNKNOWN,

    GRANULES_WORD = 64,
    TEXT_BYTES = 512,

    /* Bounds on what the process may claim. */
    ELEMENT_BYTES_MAX = 4 << 20,
    RECORD_BYTES_MAX = 4096,
    CLASS_COUNT_MAX = 255,
    LIST_COUNT_MAX = 64,
    ARENA_COUNT_MAX = 1024,
    HEAP_COUNT_MAX = 1 << 20,
    SYMBOL_COUNT_MAX = 1 << 20,
    WINDOW_WORDS_MAX = 1 << 20,
};

static int memory = -1; /* /proc/PID/mem */
static long process_id;

static void __attribute__((noreturn, format(printf, 1, 2)))
fail(const char *format, ...)
{
    va_list arguments;

    fflush(stdout);
    fputs("merlon-stat: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    putc('\n', stderr);
    exit(EXIT_UNKNOWN);
}

static void *allocate(size_t bytes)
{
    void *p = calloc(1, bytes);

    if (!p)
        fail("out of memory");
    return p;
}

/* ------------------------------------------------ the memory of the process */

static bool read_bytes(uint64_t address, void *to, size_t bytes)
{
    uint8_t *at = to;

    while (bytes != 0) {
        ssize_t got = pread(memory, at, bytes, (off_t)address);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        address += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return true;
}

/* What the library's own tables must allow. */
static void need_bytes(uint64_t address, void *to, size_t bytes)
{
    if (!read_bytes(address, to, bytes))
        fail("process %ld cannot be read any more (has it ended?)",
             process_id);
}

static uint64_t number_at(const void *p, size_t bytes)
{
    uint64_t eight;
    uint32_t four;
    uint16_t two;

    switch (bytes) {
    case 8:
        memcpy(&eight, p, sizeof eight);
        return eight;
    case 4:
        memcpy(&four, p, sizeof four);
        return four;
    case 2:
        memcpy(&two, p, sizeof two);
        return two;
    case 1:
        return *(const uint8_t *)p;
    default:
        return 0;
    }
}

static uint64_t read_number(uint64_t address, size_t bytes)
{
    uint8_t buffer[8] = { 0 };

    if (address != 0)
        need_bytes(address, buffer, bytes);
    return number_at(buffer, bytes);
}

/* A text of the process; what could steer a terminal becomes a ?. */
static void read_text(uint64_t address, char *text, size_t room)
{
    size_t length = 0;

    while (address != 0 && length + 1 < room
           && read_bytes(address + length, &text[length], 1)
           && text[length] != '\0' && text[length] != '\n') {
        if (text[length] < ' ' || text[length] > '~')
            text[length] = '?';
        length++;
    }
    text[length] = '\0';
}

static int open_of_process(const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%ld/%s", process_id, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* ------------------------------------------------------------- ELF objects */

/* The same fields, at other places, for 32 and 64 bits. */
struct object {
    uint64_t start; /* where its header is mapped */
    uint64_t bias;  /* what is added to its addresses */
    uint64_t dynamic, dynamic_bytes;
    uint64_t relro, relro_bytes;
    uint64_t data, data_bytes; /* its last writable segment */
    bool wide;
};

#define ELF_PLACE(object, type, field)                                       \
    ((object)->wide ? offsetof(Elf64_##type, field)                          \
                    : offsetof(Elf32_##type, field))
#define ELF_BYTES(object, type, field)                                       \
    ((object)->wide ? sizeof((Elf64_##type *)0)->field                       \
                    : sizeof((Elf32_##type *)0)->field)
#define ELF_SIZE(object, type)                                               \
    ((object)->wide ? sizeof(Elf64_##type) : sizeof(Elf32_##type))
#define ELF_GET(object, at, type, field)                                     \
    number_at((const uint8_t *)(at) + ELF_PLACE(object, type, field),        \
              ELF_BYTES(object, type, field))

static void note_segment(struct object *object, const uint8_t *segment,
                         bool *based)
{
    uint64_t type = ELF_GET(object, segment, Phdr, p_type);
    uint64_t at = ELF_GET(object, segment, Phdr, p_vaddr);
    uint64_t bytes = ELF_GET(object, segment, Phdr, p_memsz);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    if (type == PT_LOAD && !*based) {
        object->bias = object->start - (at & ~(page - 1));
        *based = true;
    }
    if (type == PT_DYNAMIC) {
        object->dynamic = at;
        object->dynamic_bytes = bytes;
    } else if (type == PT_GNU_RELRO) {
        object->relro = at;
        object->relro_bytes = bytes;
    } else if (type == PT_LOAD
               && ELF_GET(object, segment, Phdr, p_flags) & PF_W) {
        object->data = at;
        object->data_bytes = ELF_GET(object, segment, Phdr, p_filesz);
    }
}

static bool open_object(struct object *object, uint64_t start)
{
    uint8_t header[sizeof(Elf64_Ehdr)], segment[sizeof(Elf64_Phdr)];
    bool based = false;

    *object = (struct object){ .start = start };
    if (!read_bytes(start, header, sizeof header)
        || memcmp(header, ELFMAG, SELFMAG) != 0)
        return false;
    object->wide = header[EI_CLASS] == ELFCLASS64;
    uint64_t table = ELF_GET(object, header, Ehdr, e_phoff);
    uint64_t size = ELF_GET(object, header, Ehdr, e_phentsize);
    uint64_t count = ELF_GET(object, header, Ehdr, e_phnum);
    if (size != ELF_SIZE(object, Phdr))
        return false;
    for (uint64_t i = 0; i < count; i++) {
        if (!read_bytes(start + table + i * size, segment, size))
            return false;
        note_segment(object, segment, &based);
    }
    return based;
}

/* The tables of an object that symbols are found by. */
struct symbols {
    const struct object *object;
    uint64_t table, names, gnu_hash, hash;
};

/* glibc relocates the addresses of the dynamic section, musl does not. */
static uint64_t settle(const struct object *object, uint64_t address)
{
    return address < object->start ? address + object->bias : address;
}

static bool open_symbols(struct symbols *symbols, const struct object *object)
{
    uint8_t entry[sizeof(Elf64_Dyn)];
    size_t size = ELF_SIZE(object, Dyn);
    uint64_t at = object->bias + object->dynamic;

    *symbols = (struct symbols){ .object = object };
    if (object->dynamic == 0 || object->dynamic_bytes > 1 << 16)
        return false;
    for (uint64_t i = 0; i < object->dynamic_bytes / size; i++) {
        if (!read_bytes(at + i * size, entry, size))
            return false;
        uint64_t value = settle(object, ELF_GET(object, entry, Dyn,
                                                d_un.d_val));
        switch (ELF_GET(object, entry, Dyn, d_tag)) {
        case DT_SYMTAB:
            symbols->table = value;
            break;
        case DT_STRTAB:
            symbols->names = value;
            break;
        case DT_HASH:
            symbols->hash = value;
            break;
        case DT_GNU_HASH & 0xffffffff:
            symbols->gnu_hash = value;
            break;
        case DT_NULL:
            return symbols->table != 0 && symbols->names != 0;
        }
    }
    return false;
}

/* The address of symbol `index` if it has our name, or 0. */
static uint64_t match_symbol(const struct symbols *symbols, uint64_t index)
{
    const struct object *object = symbols->object;
    uint8_t symbol[sizeof(Elf64_Sym)];
    size_t size = ELF_SIZE(object, Sym);
    char name[sizeof PUBLISH_SYMBOL];

    if (!read_bytes(symbols->table + index * size, symbol, size)
        || ELF_GET(object, symbol, Sym, st_shndx) == SHN_UNDEF
        || !read_bytes(symbols->names + ELF_GET(object, symbol, Sym, st_name),
                       name, sizeof name)
        || memcmp(name, PUBLISH_SYMBOL, sizeof name) != 0)
        return 0;
    return object->bias + ELF_GET(object, symbol, Sym, st_value);
}

static uint64_t find_by_gnu_hash(const struct symbols *symbols)
{
    uint32_t header[4], hash = 5381, index, entry;
    uint64_t at = symbols->gnu_hash;

    for (const char *c = PUBLISH_SYMBOL; *c; c++)
        hash = hash * 33 + (uint8_t)*c;
    if (!read_bytes(at, header, sizeof header) || header[0] == 0)
        return 0;
    /* Bucket count, first symbol, words of a filter that we skip, shift. */
    uint64_t buckets = at + sizeof header
        + (uint64_t)header[2] * (symbols->object->wide ? 8 : 4);
    uint64_t chains = buckets + 4 * (uint64_t)header[0];
    if (!read_bytes(buckets + 4 * (uint64_t)(hash % header[0]), &index, 4)
        || index < header[1])
        return 0;
    for (uint32_t steps = 0; steps < SYMBOL_COUNT_MAX; steps++, index++) {
        if (!read_bytes(chains + 4 * (uint64_t)(index - header[1]), &entry, 4))
            return 0;
        if ((entry | 1) == (hash | 1)) {
            uint64_t found = match_symbol(symbols, index);
            if (found != 0)
                return found;
        }
        if (entry & 1) /* the chain's end */
            return 0;
    }
    return 0;
}

static uint64_t find_by_old_hash(const struct symbols *symbols)
{
    uint32_t header[2];

    if (!read_bytes(symbols->hash, header, sizeof header))
        return 0;
    for (uint32_t i = 1; i < header[1] && i < SYMBOL_COUNT_MAX; i++) {
        uint64_t found = match_symbol(symbols, i);
        if (found != 0)
            return found;
    }
    return 0;
}

static uint64_t find_symbol(const struct object *object)
{
    struct symbols symbols;

    if (!open_symbols(&symbols, object))
        return 0;
    if (symbols.gnu_hash != 0)
        return find_by_gnu_hash(&symbols);
    return symbols.hash != 0 ? find_by_old_hash(&symbols) : 0;
}

/* --------------------------------------------------- the published constant */

static struct {
    uint32_t address_bytes;
    uint32_t number[PUBLISH_NUMBER_COUNT];
    struct publish_field_place field[PUBLISH_FIELD_COUNT];
    uint64_t address[PUBLISH_ADDRESS_COUNT];
} library;

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Is this it? The address of its own that it holds tells it from a copy. */
static bool open_constant(uint64_t at)
{
    struct publish head;
    size_t fixed = offsetof(struct publish, number);

    memset(&library, 0, sizeof library);
    if (!read_bytes(at, &head, fixed)
        || memcmp(head.magic, PUBLISH_MAGIC, sizeof head.magic) != 0)
        return false;
    if (head.layout != PUBLISH_LAYOUT)
        fail("the merlon of process %ld publishes layout %" PRIu32
             ", this merlon-stat knows %d: use that of the same version",
             process_id, head.layout, PUBLISH_LAYOUT);
    size_t width = library.address_bytes = head.address_bytes;
    if ((width != 4 && width != 8) || head.number_count > 4096)
        return false;
    uint64_t fields = at + fixed + sizeof *head.number
        * (uint64_t)head.number_count;
    if (!read_bytes(at + fixed, library.number, sizeof *library.number
                    * smaller(head.number_count, PUBLISH_NUMBER_COUNT))
        || !read_bytes(fields, library.field, sizeof *library.field
                       * smaller(head.field_count, PUBLISH_FIELD_COUNT)))
        return false;
    uint32_t count = smaller(head.address_count, PUBLISH_ADDRESS_COUNT);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t buffer[8];
        if (!read_bytes(at + head.address_offset + i * width, buffer, width))
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
            fail("process %ld: merlon's tables make no sense", process_id);
    }
}

static void check_constant(void)
{
    const uint32_t *number = library.number;
    uint64_t width = library.address_bytes, classes;

    check_fields(FIELD_ARENA_RECORDS, FIELD_SPANS_TAKEN, NUMBER_ARENA_BYTES);
    check_fields(FIELD_WORD_USED, FIELD_WORD_DIRTY, NUMBER_WORD_BYTES);
    check_fields(FIELD_RECORD_SLAB, FIELD_RECORD_REST, NUMBER_RECORD_BYTES);
    check_fields(FIELD_HEAP_TAKEN, FIELD_HEAP_BIN, NUMBER_HEAP_BYTES);
    check_fields(FIELD_STOCK_COUNT, FIELD_STOCK_COUNT, NUMBER_STOCK_BYTES);
    check_fields(FIELD_BIN_CURRENT, FIELD_BIN_CURRENT, NUMBER_BIN_BYTES);
    classes = number[NUMBER_CLASS_COUNT];
    /* The arrays of a heap must lie inside it as well. */
    uint64_t stocks = library.field[FIELD_HEAP_STOCK].offset
        + (number[NUMBER_STOCKED] ? classes * number[NUMBER_STOCK_BYTES] : 0);
    uint64_t lists = library.field[FIELD_HEAP_LIST].offset
        + (number[NUMBER_STOCKED] ? 0 : classes * width);
    uint64_t bins = library.field[FIELD_HEAP_BIN].offset
        + classes * number[NUMBER_BIN_BYTES];
    uint32_t heap = number[NUMBER_HEAP_BYTES];
    uint32_t alignment = number[NUMBER_HEAP_ALIGNMENT];
    if (classes > CLASS_COUNT_MAX || heap > ELEMENT_BYTES_MAX || heap == 0
        || number[NUMBER_ARENA_BYTES] > ELEMENT_BYTES_MAX
        || number[NUMBER_WORD_BYTES] > RECORD_BYTES_MAX
        || number[NUMBER_RECORD_BYTES] > RECORD_BYTES_MAX
        || number[NUMBER_GRANULE_SHIFT] > 32
        || number[NUMBER_DETECTION_COUNT] > LIST_COUNT_MAX
        || number[NUMBER_SWITCH_COUNT] > LIST_COUNT_MAX
        || alignment == 0 || (alignment & (alignment - 1)) != 0
        || stocks > heap || lists > heap || bins > heap)
        fail("process %ld: merlon's tables make no sense", process_id);
}

static uint64_t get(const uint8_t *element, enum publish_field field)
{
    const struct publish_field_place *place = &library.field[field];

    return number_at(element + place->offset, place->bytes);
}

/* -------------------------------------------------------- finding the library */

static char library_path[TEXT_BYTES];

/* Search a range of constants, at multiples of eight. */
static bool search_range(uint64_t from, uint64_t bytes)
{
    enum { STEP = 1 << 16 };
    static uint8_t buffer[STEP + PUBLISH_MAGIC_BYTES];

    for (from &= ~UINT64_C(7); bytes >= PUBLISH_MAGIC_BYTES;) {
        uint64_t part = bytes < sizeof buffer ? bytes : sizeof buffer;
        if (!read_bytes(from, buffer, part))
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

    if (!open_object(&object, start))
        return false;
    uint64_t symbol = find_symbol(&object);
    if (symbol != 0 && open_constant(symbol))
        return true;
    return deep
        && (search_range(object.bias + object.relro, object.relro_bytes)
            || search_range(object.bias + object.data, object.data_bytes));
}

/* Where the main program's headers are mapped; 0 if nobody says. Pairs of
   words, which are as wide as the process's addresses. */
static uint64_t program_headers(void)
{
    int file = open_of_process("auxv");
    uint8_t pairs[2048];
    ssize_t bytes = file >= 0 ? read(file, pairs, sizeof pairs) : 0;

    if (file >= 0)
        close(file);
    for (size_t width = 8; width >= 4; width /= 2)
        for (ssize_t i = 0; i + (ssize_t)(2 * width) <= bytes;
             i += (ssize_t)(2 * width))
            if (number_at(pairs + i, width) == AT_PHDR)
                return number_at(pairs + i + width, width);
    return 0;
}

static bool is_running(void)
{
    uint64_t opened = library.address[ADDRESS_ARENAS_OPEN];

    return opened != 0 && read_number(opened, 4) != 0;
}

/*
 * Look at each mapping that is the beginning of a file. A running copy of
 * merlon counts more than one that only lies there. False: there is none.
 */
static bool find_library(void)
{
    int file = open_of_process("maps");
    FILE *maps = file >= 0 ? fdopen(file, "r") : NULL;
    uint64_t headers = program_headers(), idle_at = 0;
    char *line = NULL;
    size_t room = 0;
    bool running = false;

    if (!maps)
        fail("/proc/%ld/maps: %s", process_id, strerror(errno));
    while (!running && getline(&line, &room, maps) > 0) {
        uint64_t start, end, offset;
        char readable;
        int path = 0;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %c%*s %" SCNx64
                   " %*s %*s %n", &start, &end, &readable, &offset, &path) < 4
            || readable != 'r' || offset != 0 || path == 0
            || line[path] == '\0' || line[path] == '[')
            continue;
        bool program = headers >= start && headers < end;
        if (!try_object(start, program))
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(library_path, sizeof library_path, "%s", line + path);
        idle_at = library.address[ADDRESS_SELF];
        running = is_running();
    }
    free(line);
    fclose(maps);
    return running || (idle_at != 0 && open_constant(idle_at));
}

/* ------------------------------------------------------------------ figures */

struct row {
    uint64_t slot_bytes, slabs, slots, used, stocked;
};

static struct {
    uint64_t live_objects, live_bytes, served;
    uint64_t span_objects, span_bytes, spans_served;
    uint64_t sample_objects, samples_served;
    uint64_t slabs, slab_bytes, committed_bytes, purgeable_bytes;
    uint64_t arenas, heaps, heaps_used;
    uint64_t mismatches, detections;
    struct row row[CLASS_COUNT_MAX];
} figures;

static uint64_t below(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static void count_slab(const uint8_t *record, uint64_t at)
{
    uint64_t class = get(record, FIELD_RECORD_TENANT) - 1;

    if (get(record, FIELD_RECORD_KIND) != library.number[NUMBER_KIND_SLAB]
        || get(record, FIELD_RECORD_SLAB) != at
        || class >= library.number[NUMBER_CLASS_COUNT])
        return;
    struct row *row = &figures.row[class];
    row->slot_bytes = get(record, FIELD_RECORD_SLOT_BYTES);
    row->slabs++;
    row->slots += get(record, FIELD_RECORD_SLOTS);
    row->used += (uint32_t)(get(record, FIELD_RECORD_UNTIL)
                            + get(record, FIELD_RECORD_REST));
}

/* One part of an arena; `records` is 0 for the part of the spans. */
static void count_part(const uint8_t *arena, enum publish_field words_field,
                       uint64_t records)
{
    enum { BATCH = 128 };
    static uint8_t words[BATCH * RECORD_BYTES_MAX];
    static uint8_t batch[GRANULES_WORD * RECORD_BYTES_MAX];
    uint64_t at = get(arena, words_field);
    uint64_t window = get(arena, words_field + 1);
    uint64_t count = window / GRANULES_WORD, dirty = 0;
    size_t size = library.number[NUMBER_WORD_BYTES];
    size_t records_bytes = (size_t)library.number[NUMBER_RECORD_BYTES]
        * GRANULES_WORD;

    if (count > WINDOW_WORDS_MAX)
        fail("process %ld: merlon's tables make no sense", process_id);
    figures.committed_bytes += window << library.number[NUMBER_GRANULE_SHIFT];
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *word = words + i % BATCH * size;
        if (i % BATCH == 0)
            need_bytes(at + i * size, words,
                       (count - i < BATCH ? count - i : BATCH) * size);
        uint64_t used = get(word, FIELD_WORD_USED);
        dirty += (uint64_t)__builtin_popcountll(
            get(word, FIELD_WORD_DIRTY) & ~used);
        if (records == 0 || used == 0)
            continue;
        uint64_t first = records + i * records_bytes;
        need_bytes(first, batch, records_bytes);
        for (size_t j = 0; j < records_bytes;
             j += library.number[NUMBER_RECORD_BYTES])
            count_slab(batch + j, first + j);
    }
    figures.purgeable_bytes += dirty << library.number[NUMBER_GRANULE_SHIFT];
}

/* A word of the process's user memory, through a small cache of pages. */
static bool user_word(uint64_t address, uint64_t *word)
{
    enum { PAGE = 4096, PAGES = 64 };
    static struct {
        uint64_t at;
        uint8_t bytes[PAGE];
    } cache[PAGES];
    uint64_t page = address & ~(uint64_t)(PAGE - 1);
    size_t place = page / PAGE % PAGES;

    if (cache[place].at != page) {
        cache[place].at = 0;
        if (!read_bytes(page, cache[place].bytes, PAGE))
            return false;
        cache[place].at = page;
    }
    *word = number_at(cache[place].bytes + (address - page),
                      library.address_bytes);
    return true;
}

/* How many slots a list has. Its owner may change it under our hands: leaving
   the slab, or longer than it, it is at its end. */
static uint64_t list_length(uint64_t slot, uint64_t slab)
{
    uint8_t record[RECORD_BYTES_MAX];
    uint64_t length = 0;

    if (slot == 0 || slab == 0)
        return 0;
    need_bytes(slab, record, library.number[NUMBER_RECORD_BYTES]);
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

/* The free slots at hand, which count as used in their slabs. */
static uint64_t count_stocked(const uint8_t *heap, unsigned class)
{
    const uint32_t *number = library.number;
    size_t width = library.address_bytes;

    if (number[NUMBER_STOCKED])
        return get(heap + library.field[FIELD_HEAP_STOCK].offset
                   + (size_t)class * number[NUMBER_STOCK_BYTES],
                   FIELD_STOCK_COUNT);
    const uint8_t *list = heap + library.field[FIELD_HEAP_LIST].offset
        + class * width;
    const uint8_t *bin = heap + library.field[FIELD_HEAP_BIN].offset
        + (size_t)class * number[NUMBER_BIN_BYTES];
    return list_length(number_at(list, width), get(bin, FIELD_BIN_CURRENT));
}

static void count_heaps(uint64_t at)
{
    size_t size = library.number[NUMBER_HEAP_BYTES];
    uint64_t mask = library.number[NUMBER_HEAP_ALIGNMENT] - 1;
    uint64_t taken = 0, stocked = 0;
    uint8_t *heap = allocate(size);

    at = (at + (uint64_t)sysconf(_SC_PAGESIZE) + mask) & ~mask;
    figures.heaps = read_number(library.address[ADDRESS_HEAPS_OPENED], 4);
    if (figures.heaps > HEAP_COUNT_MAX)
        fail("process %ld: merlon's tables make no sense", process_id);
    for (uint64_t i = 0; i < figures.heaps; i++) {
        need_bytes(at + i * size, heap, size);
        taken += get(heap, FIELD_HEAP_TAKEN);
        figures.heaps_used += get(heap, FIELD_HEAP_GENERATION) != 0;
        for (unsigned c = 0; c < library.number[NUMBER_CLASS_COUNT]; c++) {
            uint64_t count = count_stocked(heap, c);
            figures.row[c].stocked += count;
            stocked += count;
        }
    }
    free(heap);
    figures.served = below(taken, stocked);
}

static void count_spans(void)
{
    const uint64_t *address = library.address;
    size_t width = library.address_bytes;
    uint64_t freed = read_number(address[ADDRESS_SPANS_FREED], width);

    figures.spans_served = read_number(address[ADDRESS_SPANS_BORN], width);
    figures.span_bytes = read_number(address[ADDRESS_SPAN_BYTES], width);
    figures.span_objects = below(figures.spans_served, freed);
    figures.mismatches = read_number(address[ADDRESS_MISMATCHES], width);
    figures.served += figures.spans_served;
    figures.live_objects += figures.span_objects;
    figures.live_bytes += figures.span_bytes;
    for (unsigned i = 0; i < library.number[NUMBER_DETECTION_COUNT]; i++)
        figures.detections +=
            read_number(address[ADDRESS_DETECTIONS] + i * width, width);
}

/* A library without sampling, or an older one, has none. */
static void count_samples(void)
{
    const uint64_t *address = library.address;
    size_t width = library.address_bytes;

    if (library.number[NUMBER_SAMPLE_COUNT] == 0)
        return;
    uint64_t freed = read_number(address[ADDRESS_SAMPLES_FREED], width);
    figures.samples_served = read_number(address[ADDRESS_SAMPLES_BORN], width);
    figures.sample_objects = below(figures.samples_served, freed);
    figures.served += figures.samples_served;
    figures.live_objects += figures.sample_objects;
    figures.live_bytes += read_number(address[ADDRESS_SAMPLE_BYTES], width);
}

static void gather(void)
{
    size_t size = library.number[NUMBER_ARENA_BYTES];
    uint8_t *arena = allocate(size);
    uint64_t slab_granules = 0;

    figures.arenas = read_number(library.address[ADDRESS_ARENAS_OPEN], 4);
    if (figures.arenas > ARENA_COUNT_MAX)
        fail("process %ld: merlon's tables make no sense", process_id);
    for (uint64_t i = 0; i < figures.arenas; i++) {
        need_bytes(library.address[ADDRESS_ARENAS] + i * size, arena, size);
        slab_granules += get(arena, FIELD_SLABS_TAKEN);
        count_part(arena, FIELD_SLABS_WORDS, get(arena, FIELD_ARENA_RECORDS));
        count_part(arena, FIELD_SPANS_WORDS, 0);
        if (i == 0)
            count_heaps(get(arena, FIELD_ARENA_HEAPS));
    }
    free(arena);
    figures.slab_bytes = slab_granules
        << library.number[NUMBER_GRANULE_SHIFT];
    for (unsigned i = 0; i < library.number[NUMBER_CLASS_COUNT]; i++) {
        struct row *row = &figures.row[i];
        uint64_t live = below(row->used, row->stocked);
        figures.slabs += row->slabs;
        figures.live_objects += live;
        figures.live_bytes += live * row->slot_bytes;
    }
    count_spans();
    count_samples();
}

/* ------------------------------------------------------------------- output */

static const struct figure {
    const char *key, *label;
    const uint64_t *value;
    bool counter; /* it only grows */
} table[] = {
    { "allocations_served", "allocations served", &figures.served, true },
    { "large_served", "  large ones", &figures.spans_served, true },
    { "sampled_served", "  sampled ones", &figures.samples_served, true },
    { "live_objects", "live objects", &figures.live_objects, false },
    { "large_objects", "  large ones", &figures.span_objects, false },
    { "sampled_objects", "  sampled ones", &figures.sample_objects, false },
    { "live_bytes", "live bytes", &figures.live_bytes, false },
    { "large_bytes", "  in large objects", &figures.span_bytes, false },
    { "slabs", "slabs", &figures.slabs, false },
    { "slab_bytes", "slab bytes", &figures.slab_bytes, false },
    { "committed_bytes", "committed bytes", &figures.committed_bytes, false },
    { "purgeable_bytes", "purgeable bytes", &figures.purgeable_bytes, false },
    { "arenas", "arenas", &figures.arenas, false },
    { "heaps", "heaps", &figures.heaps, false },
    { "heaps_in_use", "  in use", &figures.heaps_used, false },
    { "size_mismatches", "size mismatches", &figures.mismatches, true },
    { "detections", "detections", &figures.detections, true },
};
enum { FIGURE_COUNT = sizeof table / sizeof *table };

static char version[TEXT_BYTES], variant[TEXT_BYTES], report[TEXT_BYTES];

static uint64_t detection(unsigned kind, char *name, size_t room)
{
    size_t width = library.address_bytes;

    read_text(read_number(library.address[ADDRESS_DETECTION_TEXT]
                          + kind * width, width), name, room);
    return read_number(library.address[ADDRESS_DETECTIONS] + kind * width,
                       width);
}

static bool switch_of(unsigned index, char *name, size_t room)
{
    size_t width = library.address_bytes;
    uint64_t at = library.address[ADDRESS_SWITCHES] + 2 * index * width;

    read_text(read_number(at, width), name, room);
    return read_number(at + width, width) != 0;
}

static bool row_is_shown(const struct row *row)
{
    return row->slabs != 0;
}

static void print_line(const char *label, const char *value)
{
    printf("%s:%*s%s\n", label, 22 - (int)strlen(label), "", value);
}

static void print_text(bool classes)
{
    char name[TEXT_BYTES];

    printf("%-23smerlon %s %s\n", "library:", version, variant);
    print_line("mapped from", library_path);
    printf("%-22s", "switches:");
    for (unsigned i = 0; i < library.number[NUMBER_SWITCH_COUNT]; i++)
        if (switch_of(i, name, sizeof name))
            printf(" %s", name);
    putchar('\n');
    for (size_t i = 0; i < FIGURE_COUNT; i++)
        printf("%s:%*s%" PRIu64 "\n", table[i].label,
               22 - (int)strlen(table[i].label), "", *table[i].value);
    for (unsigned i = 0; i < library.number[NUMBER_DETECTION_COUNT]; i++) {
        uint64_t count = detection(i, name, sizeof name);
        printf("  %s:%*s%" PRIu64 "\n", name,
               20 - (int)(strlen(name) < 20 ? strlen(name) : 20), "", count);
    }
    if (report[0])
        print_line("last report", report);
    if (!classes)
        return;
    printf("\n%10s %8s %10s %10s %10s %14s\n", "slot bytes", "slabs", "slots",
           "live", "at hand", "live bytes");
    for (unsigned i = 0; i < library.number[NUMBER_CLASS_COUNT]; i++) {
        const struct row *row = &figures.row[i];
        uint64_t live = below(row->used, row->stocked);
        if (row_is_shown(row))
            printf("%10" PRIu64 " %8" PRIu64 " %10" PRIu64 " %10" PRIu64
                   " %10" PRIu64 " %14" PRIu64 "\n", row->slot_bytes,
                   row->slabs, row->slots, live, row->stocked,
                   live * row->slot_bytes);
    }
}

/* In quotes, for JSON and for Prometheus. Bytes above ASCII are left alone. */
static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar((unsigned char)*text < ' ' ? '?' : *text);
    }
    putchar('"');
}

static void print_member(const char *key, const char *text)
{
    printf(",\n  \"%s\": ", key);
    print_quoted(text);
}

static void print_json_classes(void)
{
    const char *separator = "";

    printf(",\n  \"classes\": [");
    for (unsigned i = 0; i < library.number[NUMBER_CLASS_COUNT]; i++) {
        const struct row *row = &figures.row[i];
        if (!row_is_shown(row))
            continue;
        printf("%s\n    {\"slot_bytes\": %" PRIu64 ", \"slabs\": %" PRIu64
               ", \"slots\": %" PRIu64 ", \"live\": %" PRIu64
               ", \"at_hand\": %" PRIu64 "}", separator, row->slot_bytes,
               row->slabs, row->slots, below(row->used, row->stocked),
               row->stocked);
        separator = ",";
    }
    printf("\n  ]");
}

static void print_json(bool classes)
{
    char name[TEXT_BYTES];

    print_member("version", version);
    print_member("variant", variant);
    print_member("library", library_path);
    for (size_t i = 0; i < FIGURE_COUNT; i++)
        printf(",\n  \"%s\": %" PRIu64, table[i].key, *table[i].value);
    printf(",\n  \"switches\": {");
    for (unsigned i = 0; i < library.number[NUMBER_SWITCH_COUNT]; i++) {
        bool on = switch_of(i, name, sizeof name);
        printf(i != 0 ? ", " : "");
        print_quoted(name);
        printf(": %s", on ? "true" : "false");
    }
    printf("},\n  \"detections_by_kind\": {");
    for (unsigned i = 0; i < library.number[NUMBER_DETECTION_COUNT]; i++) {
        uint64_t count = detection(i, name, sizeof name);
        printf(i != 0 ? ", " : "");
        print_quoted(name);
        printf(": %" PRIu64, count);
    }
    putchar('}');
    print_member("last_report", report);
    if (classes)
        print_json_classes();
}

static void print_metric(const char *key, const char *label, bool counter)
{
    printf("# HELP merlon_%s%s merlon: %s\n# TYPE merlon_%s%s %s\n", key,
           counter ? "_total" : "", label, key, counter ? "_total" : "",
           counter ? "counter" : "gauge");
}

static void print_sample(const char *key, bool counter, const char *label,
                         const char *label_value, uint64_t value)
{
    printf("merlon_%s%s{pid=\"%ld\"", key, counter ? "_total" : "",
           process_id);
    if (label) {
        printf(",%s=", label);
        print_quoted(label_value);
    }
    printf("} %" PRIu64 "\n", value);
}

static void print_prometheus_classes(void)
{
    char slot_bytes[24];

    for (int what = 0; what < 2; what++) {
        const char *key = what == 0 ? "class_live_objects" : "class_slabs";
        print_metric(key, what == 0 ? "live objects by slot bytes"
                                    : "slabs by slot bytes", false);
        for (unsigned i = 0; i < library.number[NUMBER_CLASS_COUNT]; i++) {
            const struct row *row = &figures.row[i];
            if (!row_is_shown(row))
                continue;
            snprintf(slot_bytes, sizeof slot_bytes, "%" PRIu64,
                     row->slot_bytes);
            print_sample(key, false, "slot_bytes", slot_bytes, what == 0
                         ? below(row->used, row->stocked) : row->slabs);
        }
    }
}

static void print_prometheus(bool classes)
{
    char name[TEXT_BYTES];

    print_metric("info", "version and variant", false);
    printf("merlon_info{pid=\"%ld\",version=", process_id);
    print_quoted(version);
    printf(",variant=");
    print_quoted(variant);
    puts("} 1");
    for (size_t i = 0; i < FIGURE_COUNT; i++) {
        const struct figure *figure = &table[i];
        if (figure->value == &figures.detections)
            continue; /* by kind instead: the sum is Prometheus's business */
        print_metric(figure->key, figure->key, figure->counter);
        print_sample(figure->key, figure->counter, NULL, NULL,
                     *figure->value);
    }
    print_metric("detections", "detections by kind", true);
    for (unsigned i = 0; i < library.number[NUMBER_DETECTION_COUNT]; i++) {
        uint64_t count = detection(i, name, sizeof name);
        print_sample("detections", true, "kind", name, count);
    }
    if (classes)
        print_prometheus_classes();
}

/* --------------------------------------------------------------------- main */

enum output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_PROMETHEUS };

static void print_all(enum output output, bool mapped, bool active,
                      bool classes)
{
    switch (output) {
    case OUTPUT_TEXT:
        printf("%-23s%s\n", "active:", active ? "yes"
               : mapped ? "no (merlon is mapped, but has served nothing)"
                        : "no (merlon is not mapped)");
        if (active)
            print_text(classes);
        break;
    case OUTPUT_JSON:
        printf("{\n  \"pid\": %ld,\n  \"active\": %s,\n  \"mapped\": %s",
               process_id, active ? "true" : "false",
               mapped ? "true" : "false");
        if (active)
            print_json(classes);
        puts("\n}");
        break;
    case OUTPUT_PROMETHEUS:
        print_metric("active", "whether it serves the process", false);
        print_sample("active", false, NULL, NULL, active);
        if (active)
            print_prometheus(classes);
        break;
    }
    if (fflush(stdout) != 0 || ferror(stdout))
        fail("writing failed: %s", strerror(errno));
}

static const char usage[] =
    "usage: merlon-stat [--classes] [--json | --prometheus] PID\n"
    "\n"
    "Says whether merlon is active in a running process, and its figures;\n"
    "reads the process from outside. See merlon-stat(1).\n"
    "\n"
    "  --classes     a table of size classes as well\n"
    "  --json        as one JSON object\n"
    "  --prometheus  as metrics in Prometheus's text format\n"
    "  --help        this text\n"
    "\n"
    "Exit status: 0 merlon is active, 1 it is not, 2 it cannot be told.\n";

static void parse(int argc, char **argv, enum output *output, bool *classes)
{
    static const struct option options[] = {
        { "classes", no_argument, NULL, 'c' },
        { "json", no_argument, NULL, 'j' },
        { "prometheus", no_argument, NULL, 'p' },
        { "help", no_argument, NULL, 'h' },
        { 0 },
    };
    char *end = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "cjph", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            exit(EXIT_ACTIVE);
        } else if (option == 'c') {
            *classes = true;
        } else if (option == 'j') {
            *output = OUTPUT_JSON;
        } else if (option == 'p') {
            *output = OUTPUT_PROMETHEUS;
        } else {
            fputs(usage, stderr);
            exit(EXIT_UNKNOWN);
        }
    }
    if (optind + 1 == argc)
        process_id = strtol(argv[optind], &end, 10);
    if (!end || *end != '\0' || process_id <= 0) {
        fputs(usage, stderr);
        exit(EXIT_UNKNOWN);
    }
}

int main(int argc, char **argv)
{
    enum output output = OUTPUT_TEXT;
    bool classes = false;

    parse(argc, argv, &output, &classes);
    memory = open_of_process("mem");
    if (memory < 0)
        fail(errno == ENOENT ? "there is no process %ld"
             : errno == EACCES || errno == EPERM
             ? "process %ld may not be read: be root, or its user"
             : "process %ld has no memory that can be read", process_id);
    bool mapped = find_library();
    bool active = mapped && is_running();
    if (active) {
        check_constant();
        gather();
        read_text(library.address[ADDRESS_VERSION], version, sizeof version);
        read_text(library.address[ADDRESS_VARIANT], variant, sizeof variant);
        read_text(library.address[ADDRESS_LAST_REPORT], report,
                  sizeof report);
    }
    print_all(output, mapped, active, classes);
    return active ? EXIT_ACTIVE : EXIT_INACTIVE;
}
