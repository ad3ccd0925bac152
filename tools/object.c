/* SPDX-License-Identifier: MIT */
/*
 * object.c - see object.h. Symbols are found by the hash tables that the
 * dynamic loader uses, for sections are not mapped.
 */
#include "object.h"

#include <string.h>

#include "elf-fields.h"

enum {
    SYMBOL_COUNT_MAX = 1 << 20,
    DYNAMIC_BYTES_MAX = 1 << 16,
    NAME_BYTES = 64,
};

static void note_segment(struct object *object, const uint8_t *segment,
                         bool *based)
{
    bool wide = object->wide;
    uint64_t type = ELF_GET(wide, segment, Phdr, p_type);
    uint64_t at = ELF_GET(wide, segment, Phdr, p_vaddr);
    uint64_t bytes = ELF_GET(wide, segment, Phdr, p_memsz);

    if (type == PT_LOAD && !*based) {
        object->bias = object->start - (at & ~(object->image->page_bytes - 1));
        *based = true;
    }
    if (type == PT_DYNAMIC) {
        object->dynamic = at;
        object->dynamic_bytes = bytes;
    } else if (type == PT_INTERP) {
        object->interpreter = at;
    } else if (type == PT_GNU_RELRO) {
        object->relro = at;
        object->relro_bytes = bytes;
    } else if (type == PT_LOAD && ELF_GET(wide, segment, Phdr, p_flags) & PF_W) {
        object->data = at;
        object->data_bytes = ELF_GET(wide, segment, Phdr, p_filesz);
    }
}

/* glibc relocates the addresses of a mapped dynamic section, musl does not. */
static uint64_t settle(const struct object *object, uint64_t address)
{
    return address < object->start ? address + object->bias : address;
}

/* Entry `index` of the dynamic section; false at its end. */
static bool dynamic_entry(const struct object *object, uint64_t index,
                          uint64_t *tag, uint64_t *value)
{
    uint8_t entry[sizeof(Elf64_Dyn)];
    size_t size = ELF_SIZE(object->wide, Dyn);

    if (object->dynamic_bytes > DYNAMIC_BYTES_MAX
        || index >= object->dynamic_bytes / size
        || !image_read(object->image, object->bias + object->dynamic
                       + index * size, entry, size))
        return false;
    *tag = ELF_GET(object->wide, entry, Dyn, d_tag);
    *value = ELF_GET(object->wide, entry, Dyn, d_un.d_val);
    return *tag != DT_NULL;
}

static void open_dynamic(struct object *object)
{
    uint64_t tag, value;

    for (uint64_t i = 0; dynamic_entry(object, i, &tag, &value); i++) {
        switch (tag) {
        case DT_SYMTAB:
            object->symbols = settle(object, value);
            break;
        case DT_STRTAB:
            object->names = settle(object, value);
            break;
        case DT_HASH:
            object->hash = settle(object, value);
            break;
        case DT_GNU_HASH & 0xffffffff:
            object->gnu_hash = settle(object, value);
            break;
        }
    }
}

bool object_open(struct object *object, const struct image *image,
                 uint64_t start)
{
    uint8_t header[sizeof(Elf64_Ehdr)], segment[sizeof(Elf64_Phdr)];
    bool based = false;

    *object = (struct object){ .image = image, .start = start };
    if (!image_read(image, start, header, sizeof header)
        || memcmp(header, ELFMAG, SELFMAG) != 0
        || header[EI_DATA] != ELF_OUR_ORDER)
        return false;
    bool wide = object->wide = header[EI_CLASS] == ELFCLASS64;
    uint64_t table = ELF_GET(wide, header, Ehdr, e_phoff);
    uint64_t size = ELF_GET(wide, header, Ehdr, e_phentsize);
    uint64_t count = ELF_GET(wide, header, Ehdr, e_phnum);
    if (size != ELF_SIZE(wide, Phdr))
        return false;
    for (uint64_t i = 0; i < count; i++) {
        if (!image_read(image, start + table + i * size, segment, size))
            return false;
        note_segment(object, segment, &based);
    }
    if (object->interpreter != 0)
        object->interpreter += object->bias;
    if (object->dynamic != 0)
        open_dynamic(object);
    return based;
}

bool object_of_file(struct object *object, const struct image *image)
{
    for (size_t i = 0; i < image->part_count; i++) {
        if (image->part[i].offset == 0)
            return object_open(object, image, image->part[i].address);
    }
    return false;
}

/* ------------------------------------------------------------------ symbols */

/* The address of symbol `index` if it has this name, or 0. */
static uint64_t match_symbol(const struct object *object, uint64_t index,
                             const char *wanted)
{
    uint8_t symbol[sizeof(Elf64_Sym)];
    bool wide = object->wide;
    size_t size = ELF_SIZE(wide, Sym), length = strlen(wanted) + 1;
    char name[NAME_BYTES];

    if (length > sizeof name
        || !image_read(object->image, object->symbols + index * size, symbol,
                       size)
        || ELF_GET(wide, symbol, Sym, st_shndx) == SHN_UNDEF
        || !image_read(object->image, object->names
                       + ELF_GET(wide, symbol, Sym, st_name), name, length)
        || memcmp(name, wanted, length) != 0)
        return 0;
    return object->bias + ELF_GET(wide, symbol, Sym, st_value);
}

static uint64_t find_by_gnu_hash(const struct object *object,
                                 const char *name)
{
    uint32_t header[4], hash = 5381, index, entry;
    uint64_t at = object->gnu_hash;

    for (const char *c = name; *c; c++)
        hash = hash * 33 + (uint8_t)*c;
    if (!image_read(object->image, at, header, sizeof header)
        || header[0] == 0)
        return 0;
    /* Bucket count, first symbol, words of a filter that we skip, shift. */
    uint64_t buckets = at + sizeof header
        + (uint64_t)header[2] * (object->wide ? 8 : 4);
    uint64_t chains = buckets + 4 * (uint64_t)header[0];
    if (!image_read(object->image, buckets + 4 * (uint64_t)(hash % header[0]),
                    &index, 4)
        || index < header[1])
        return 0;
    for (uint32_t steps = 0; steps < SYMBOL_COUNT_MAX; steps++, index++) {
        if (!image_read(object->image, chains
                        + 4 * (uint64_t)(index - header[1]), &entry, 4))
            return 0;
        if ((entry | 1) == (hash | 1)) {
            uint64_t found = match_symbol(object, index, name);
            if (found != 0)
                return found;
        }
        if (entry & 1) /* the chain's end */
            return 0;
    }
    return 0;
}

static uint64_t find_by_old_hash(const struct object *object,
                                 const char *name)
{
    uint32_t header[2];

    if (!image_read(object->image, object->hash, header, sizeof header))
        return 0;
    for (uint32_t i = 1; i < header[1] && i < SYMBOL_COUNT_MAX; i++) {
        uint64_t found = match_symbol(object, i, name);
        if (found != 0)
            return found;
    }
    return 0;
}

uint64_t object_symbol(const struct object *object, const char *name)
{
    if (object->symbols == 0 || object->names == 0)
        return 0;
    if (object->gnu_hash != 0)
        return find_by_gnu_hash(object, name);
    return object->hash != 0 ? find_by_old_hash(object, name) : 0;
}

bool object_needed(const struct object *object, unsigned index, char *name,
                   size_t room)
{
    uint64_t tag, value;

    for (uint64_t i = 0; dynamic_entry(object, i, &tag, &value); i++) {
        if (tag == DT_NEEDED && index-- == 0) {
            image_text(object->image, object->names + value, name, room);
            return true;
        }
    }
    return false;
}
