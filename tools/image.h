/* SPDX-License-Identifier: MIT */
/*
 * image.h - memory that is not ours: of a running process, of one that has
 * left a core, or as an ELF file lays it out.
 *
 * Of a process only files in /proc are read: it gets no signal, is not
 * stopped and runs no code for it. A core and a program are the same here:
 * both say in their headers which part of the file is at which address.
 *
 * Whatever is read may change meanwhile, or lie. Reading fails by `false`;
 * nobody believes a size that was not bounded before.
 */
#ifndef MERLON_IMAGE_H
#define MERLON_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Of `bytes` from `address` on, the first `stored` are at `offset` of the
 * file. The rest reads as zeros if it is writable: a core leaves out what was
 * never written to. If it is not, a core leaves out what its file has.
 */
struct image_part {
    uint64_t address, bytes, stored, offset;
    bool writable;
};

struct image {
    char *name; /* "process 17", "core x": for messages */
    long process_id;
    int file;
    bool is_process;
    bool wide; /* a file's class: 64 bits */
    uint16_t type, machine;
    uint8_t order; /* EI_DATA */
    uint64_t page_bytes;
    struct image_part *part;
    size_t part_count;
    uint8_t *notes; /* of a file: all PT_NOTE, one after the other */
    size_t notes_bytes;
};

/* Fails by itself. */
void image_open_process(struct image *image, long process_id);

/* False: there is a file, but it is no ELF file that can be understood.
   errno: why it could not be opened, or 0. */
bool image_open_file(struct image *image, const char *path);
void image_close(struct image *image);

bool image_read(const struct image *image, uint64_t address, void *to,
                size_t bytes);

/* 1, 2, 4 or 8 bytes as a number. */
uint64_t number_at(const void *p, size_t bytes);

/* A text; what could steer a terminal becomes a question mark. */
void image_text(const struct image *image, uint64_t address, char *text,
                size_t room);

/* An entry of the auxiliary vector, or 0. */
uint64_t image_auxiliary(const struct image *image, uint64_t type);

/* A file's mapping, as the kernel listed it. */
struct image_mapping {
    uint64_t start, end, offset;
    const char *path;
};

/* Call for each mapping of a file until `visit` says false. */
void image_each_mapping(const struct image *image,
                        bool (*visit)(const struct image_mapping *mapping,
                                      void *context),
                        void *context);

#endif
