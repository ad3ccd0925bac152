/* SPDX-License-Identifier: MIT */
/*
 * object.h - one ELF object in an image: a program or a library, mapped or in
 * its file.
 */
#ifndef MERLON_OBJECT_H
#define MERLON_OBJECT_H

#include "image.h"

struct object {
    const struct image *image;
    bool wide;
    uint64_t start; /* where its header is */
    uint64_t bias;  /* what is added to its addresses */
    uint64_t dynamic, dynamic_bytes;
    uint64_t relro, relro_bytes;
    uint64_t data, data_bytes; /* its last writable segment */
    uint64_t interpreter;      /* address of the path; 0: none */

    /* From the dynamic section, as addresses in the image. */
    uint64_t symbols, names, gnu_hash, hash;
};

/* The object whose header is at `start`. */
bool object_open(struct object *object, const struct image *image,
                 uint64_t start);

/* The object that a file is, from image_open_file. */
bool object_of_file(struct object *object, const struct image *image);

/* The address of a symbol that the object itself defines and shows to the
   dynamic loader; 0: it does not. */
uint64_t object_symbol(const struct object *object, const char *name);

/* The name of needed library `index`; false: there are no more. */
bool object_needed(const struct object *object, unsigned index, char *name,
                   size_t room);

#endif
