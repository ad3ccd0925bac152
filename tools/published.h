/* SPDX-License-Identifier: MIT */
/*
 * published.h - merlon in an image: the constant that it publishes, and what
 * that makes readable. All that is known of merlon's structs comes from there
 * (src/publish.h), so that a tool reads other versions and variants too.
 */
#ifndef MERLON_PUBLISHED_H
#define MERLON_PUBLISHED_H

#include "image.h"
#include "publish.h"

enum {
    TEXT_BYTES = 512,
    GRANULES_WORD = 64,

    /* Bounds on what the process may claim. */
    ELEMENT_BYTES_MAX = 4 << 20,
    RECORD_BYTES_MAX = 4096,
    CLASS_COUNT_MAX = 255,
    LIST_COUNT_MAX = 64,
    ARENA_COUNT_MAX = 1024,
    HEAP_COUNT_MAX = 1 << 20,
    WINDOW_WORDS_MAX = 1 << 20,
};

extern struct image image;

extern struct library {
    uint32_t address_bytes;
    uint32_t number[PUBLISH_NUMBER_COUNT];
    struct publish_field_place field[PUBLISH_FIELD_COUNT];
    uint64_t address[PUBLISH_ADDRESS_COUNT];
    char path[TEXT_BYTES];
} library;

/* Find merlon in `image`. A copy that has served something counts more than
   one that only lies there. False: there is none. */
bool library_find(void);

/* It has served something. */
bool library_is_running(void);

/* Fails if the tables make no sense; only then may the rest be used. */
void library_check(void);
void __attribute__((noreturn)) library_nonsense(void);

/* What the library's own tables must allow; fails. */
void need_bytes(uint64_t address, void *to, size_t bytes);
uint64_t read_number(uint64_t address, size_t bytes);

/* A field of an element that was read; 0 if this merlon has none such. */
uint64_t get(const uint8_t *element, enum publish_field field);
bool has(enum publish_field field);

static inline uint64_t below(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* Names and values; false or 0 as the case may be. */
uint64_t library_detection(unsigned kind, char *name, size_t room);
bool library_switch(unsigned index, char *name, size_t room);
void library_option(unsigned index, char *name, char *value, size_t room);

/* Visit all heaps, or arenas, until `visit` says false. */
void each_heap(bool (*visit)(const uint8_t *heap, void *context),
               void *context);
void each_arena(bool (*visit)(const uint8_t *arena, unsigned index,
                              void *context),
                void *context);

/* A word of the program's own memory. */
bool user_word(uint64_t address, uint64_t *word);

#endif
