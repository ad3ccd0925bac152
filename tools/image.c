/* SPDX-License-Identifier: MIT */
/*
 * image.c - see image.h.
 */
#define _FILE_OFFSET_BITS 64 /* addresses are offsets in /proc/PID/mem */

#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elf-fields.h"
#include "tool.h"

enum {
    HEADERS_MAX = 1 << 20, /* mappings in a core */
    NOTES_BYTES_MAX = 256 << 20,
    AUXV_BYTES_MAX = 4096,
};

uint64_t number_at(const void *p, size_t bytes)
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

static bool read_file(int file, uint64_t offset, void *to, size_t bytes)
{
    uint8_t *at = to;

    while (bytes != 0) {
        ssize_t got = pread(file, at, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return true;
}

/* The part that holds the address; they are in no order that we rely on. */
static const struct image_part *find_part(const struct image *image,
                                          uint64_t address)
{
    for (size_t i = 0; i < image->part_count; i++) {
        if (address - image->part[i].address < image->part[i].bytes)
            return &image->part[i];
    }
    return NULL;
}

/* As much of this as the part has; 0 if that is unknown. */
static size_t read_part(const struct image *image,
                        const struct image_part *part, uint64_t address,
                        void *to, size_t bytes)
{
    uint64_t skip = address - part->address;
    bool stored = skip < part->stored;
    uint64_t count = (stored ? part->stored : part->bytes) - skip;

    if (count > bytes)
        count = bytes;
    if (!stored) {
        memset(to, 0, count);
        return part->writable ? count : 0;
    }
    return read_file(image->file, part->offset + skip, to, count) ? count : 0;
}

bool image_read(const struct image *image, uint64_t address, void *to,
                size_t bytes)
{
    uint8_t *at = to;

    if (image->is_process)
        return read_file(image->file, address, to, bytes);
    while (bytes != 0) {
        const struct image_part *part = find_part(image, address);
        size_t count = part ? read_part(image, part, address, at, bytes) : 0;
        if (count == 0)
            return false;
        at += count;
        address += count;
        bytes -= count;
    }
    return true;
}

void image_text(const struct image *image, uint64_t address, char *text,
                size_t room)
{
    size_t length = 0;

    while (address != 0 && length + 1 < room
           && image_read(image, address + length, &text[length], 1)
           && text[length] != '\0' && text[length] != '\n') {
        if (text[length] < ' ' || text[length] > '~')
            text[length] = '?';
        length++;
    }
    text[length] = '\0';
}

/* ------------------------------------------------------------------ opening */

static int open_of_process(long process_id, const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%ld/%s", process_id, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

void image_open_process(struct image *image, long process_id)
{
    uint64_t page;

    *image = (struct image){ .process_id = process_id, .is_process = true };
    image->name = text_of("process %ld", process_id);
    image->file = open_of_process(process_id, "mem");
    if (image->file < 0)
        fail(errno == ENOENT ? "there is no process %ld"
             : errno == EACCES || errno == EPERM
             ? "process %ld may not be read: be root, or its user"
             : "process %ld has no memory that can be read", process_id);
    page = image_auxiliary(image, AT_PAGESZ);
    image->page_bytes = page != 0 ? page : (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool take_header(struct image *image, const uint8_t *header)
{
    bool wide = image->wide;
    uint64_t type = ELF_GET(wide, header, Phdr, p_type);
    struct image_part part = {
        .address = ELF_GET(wide, header, Phdr, p_vaddr),
        .bytes = ELF_GET(wide, header, Phdr, p_memsz),
        .stored = ELF_GET(wide, header, Phdr, p_filesz),
        .offset = ELF_GET(wide, header, Phdr, p_offset),
        .writable = ELF_GET(wide, header, Phdr, p_flags) & PF_W,
    };

    if (type == PT_LOAD && part.bytes != 0) {
        image->part[image->part_count++] = part;
    } else if (type == PT_NOTE && part.stored != 0) {
        if (part.stored > NOTES_BYTES_MAX - image->notes_bytes)
            return false;
        image->notes = realloc(image->notes, image->notes_bytes + part.stored);
        if (!image->notes)
            fail("out of memory");
        if (!read_file(image->file, part.offset,
                       image->notes + image->notes_bytes, part.stored))
            return false;
        image->notes_bytes += part.stored;
    }
    return true;
}

/* A core with more mappings than 16 bits count says so in its first section. */
static uint64_t header_count(const struct image *image, const uint8_t *header)
{
    uint8_t section[sizeof(Elf64_Shdr)];
    bool wide = image->wide;
    uint64_t count = ELF_GET(wide, header, Ehdr, e_phnum);
    uint64_t at = ELF_GET(wide, header, Ehdr, e_shoff);

    if (count != PN_XNUM)
        return count;
    if (at == 0 || !read_file(image->file, at, section, ELF_SIZE(wide, Shdr)))
        return 0;
    return ELF_GET(wide, section, Shdr, sh_info);
}

static bool take_headers(struct image *image)
{
    uint8_t header[sizeof(Elf64_Ehdr)], segment[sizeof(Elf64_Phdr)];

    if (!read_file(image->file, 0, header, EI_NIDENT)
        || memcmp(header, ELFMAG, SELFMAG) != 0)
        return false;
    bool wide = image->wide = header[EI_CLASS] == ELFCLASS64;
    image->order = header[EI_DATA];
    if (!read_file(image->file, 0, header, ELF_SIZE(wide, Ehdr)))
        return false;
    image->type = (uint16_t)ELF_GET(wide, header, Ehdr, e_type);
    image->machine = (uint16_t)ELF_GET(wide, header, Ehdr, e_machine);
    /* Of the other byte order nothing but this can be said. */
    if (image->order != ELF_OUR_ORDER)
        return true;
    uint64_t table = ELF_GET(wide, header, Ehdr, e_phoff);
    uint64_t size = ELF_GET(wide, header, Ehdr, e_phentsize);
    uint64_t count = header_count(image, header);
    if ((count != 0 && size != ELF_SIZE(wide, Phdr)) || count > HEADERS_MAX)
        return false;
    image->part = allocate(count * sizeof *image->part);
    for (uint64_t i = 0; i < count; i++) {
        if (!read_file(image->file, table + i * size, segment, size)
            || !take_header(image, segment))
            return false;
    }
    return true;
}

bool image_open_file(struct image *image, const char *path)
{
    uint64_t page;

    *image = (struct image){ .file = -1 };
    image->name = text_of("%s", path);
    image->file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (image->file < 0)
        return false;
    if (!take_headers(image)) {
        image_close(image);
        errno = 0;
        return false;
    }
    page = image_auxiliary(image, AT_PAGESZ);
    image->page_bytes = page != 0 ? page : (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

void image_close(struct image *image)
{
    if (image->file >= 0)
        close(image->file);
    image->file = -1;
    free(image->part);
    free(image->notes);
    free(image->name);
    image->part = NULL;
    image->notes = NULL;
    image->name = NULL;
}

/* -------------------------------------------------------------------- notes */

/* The contents of a core's note of this type, or NULL. */
static const uint8_t *find_note(const struct image *image, uint32_t type,
                                size_t *bytes)
{
    for (size_t at = 0; image->notes_bytes - at >= 12;) {
        const uint8_t *note = image->notes + at;
        size_t left = image->notes_bytes - at - 12;
        uint64_t name = number_at(note, 4), size = number_at(note + 4, 4);
        name = (name + 3) & ~UINT64_C(3);
        uint64_t padded = (size + 3) & ~UINT64_C(3);
        if (name > left || padded > left - name)
            break;
        if (number_at(note + 8, 4) == type) {
            *bytes = size;
            return note + 12 + name;
        }
        at += 12 + name + padded;
    }
    return NULL;
}

/* Pairs of words, which are as wide as the process's addresses: tried as both
   for a process, since an auxiliary vector has an AT_PHDR. */
static uint64_t find_pair(const uint8_t *pairs, size_t bytes, size_t width,
                          uint64_t type)
{
    for (size_t i = 0; i + 2 * width <= bytes; i += 2 * width)
        if (number_at(pairs + i, width) == type)
            return number_at(pairs + i + width, width);
    return 0;
}

uint64_t image_auxiliary(const struct image *image, uint64_t type)
{
    uint8_t buffer[AUXV_BYTES_MAX];
    const uint8_t *pairs = buffer;
    size_t bytes = 0;

    if (image->is_process) {
        int file = open_of_process(image->process_id, "auxv");
        ssize_t got = file >= 0 ? read(file, buffer, sizeof buffer) : 0;
        if (file >= 0)
            close(file);
        bytes = got > 0 ? (size_t)got : 0;
    } else {
        pairs = find_note(image, NT_AUXV, &bytes);
    }
    if (!pairs)
        return 0;
    size_t width = image->is_process
        ? find_pair(pairs, bytes, 8, AT_PHDR) != 0 ? 8 : 4
        : image->wide ? 8 : 4;
    return find_pair(pairs, bytes, width, type);
}

/* ----------------------------------------------------------------- mappings */

typedef bool visitor(const struct image_mapping *mapping, void *context);

static void each_of_process(const struct image *image, visitor *visit,
                            void *context)
{
    int file = open_of_process(image->process_id, "maps");
    FILE *maps = file >= 0 ? fdopen(file, "r") : NULL;
    char *line = NULL;
    size_t room = 0;
    bool more = true;

    if (!maps)
        fail("/proc/%ld/maps: %s", image->process_id, strerror(errno));
    while (more && getline(&line, &room, maps) > 0) {
        struct image_mapping mapping;
        char readable;
        int path = 0;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %c%*s %" SCNx64
                   " %*s %*s %n", &mapping.start, &mapping.end, &readable,
                   &mapping.offset, &path) < 4
            || readable != 'r' || path == 0 || line[path] == '\0'
            || line[path] == '[')
            continue;
        line[strcspn(line, "\n")] = '\0';
        mapping.path = line + path;
        more = visit(&mapping, context);
    }
    free(line);
    fclose(maps);
}

/* NT_FILE: count, page size, then start, end, offset for each; then paths. */
static void each_of_core(const struct image *image, visitor *visit,
                         void *context)
{
    size_t bytes = 0, width = image->wide ? 8 : 4;
    const uint8_t *note = find_note(image, NT_FILE, &bytes);

    if (!note || bytes < 2 * width)
        return;
    uint64_t count = number_at(note, width);
    uint64_t page = number_at(note + width, width);
    if (count > (bytes - 2 * width) / (3 * width))
        return;
    const uint8_t *entry = note + 2 * width;
    const char *path = (const char *)(entry + count * 3 * width);
    const char *end = (const char *)(note + bytes);
    for (uint64_t i = 0; i < count; i++, entry += 3 * width) {
        size_t length = strnlen(path, (size_t)(end - path));
        if (path + length == end)
            return;
        struct image_mapping mapping = {
            number_at(entry, width), number_at(entry + width, width),
            number_at(entry + 2 * width, width) * page, path
        };
        if (!visit(&mapping, context))
            return;
        path += length + 1;
    }
}

void image_each_mapping(const struct image *image, visitor *visit,
                        void *context)
{
    if (image->is_process)
        each_of_process(image, visit, context);
    else
        each_of_core(image, visit, context);
}
