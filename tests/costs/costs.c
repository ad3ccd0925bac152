/* SPDX-License-Identifier: MIT */
/*
 * costs.c - what one set of switches costs. Linked with all of merlon, so that
 * the internal structures and the arena of this very process can be looked at.
 *
 *   costs bytes                 the figures of tests/costs.sh, one to a line
 *   costs pairs N64 N1024       that many pairs of malloc(n) and free
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "guard.h"
#include "heap.h"

size_t malloc_usable_size(void *p);

/* Bytes of *object that are some field's, when all its bytes are set. */
#ifdef __has_builtin
#if __has_builtin(__builtin_clear_padding)
#define FIELD_BYTES(type) \
    (memset(&type##_image, 0xff, sizeof type##_image), \
     __builtin_clear_padding(&type##_image), \
     count_set(&type##_image, sizeof type##_image))
#endif
#endif
#ifndef FIELD_BYTES /* clang before 20: not known */
#define FIELD_BYTES(type) ((void)count_set, (void)type##_image, (size_t)0)
#endif

static struct record record_image;
static struct heap heap_image;

static size_t count_set(const void *p, size_t bytes)
{
    const unsigned char *at = p;
    size_t count = 0;

    for (size_t i = 0; i < bytes; i++)
        count += at[i] != 0;
    return count;
}

/* Bytes of a slot that the program may not use. */
static size_t overhead(size_t request)
{
    void *p = malloc(request);
    size_t bytes = class_slot_bytes(class_of_request(request))
        - malloc_usable_size(p);

    free(p);
    return bytes;
}

/* Bytes of an array of the arena's metadata for each granule of slabs. */
static size_t per_granule(const void *from, const void *to)
{
    const struct arena *arena = arena_at(0);

    return (size_t)((const char *)to - (const char *)from)
        / (arena->slab_bytes >> GRANULE_SHIFT);
}

static void print_bytes(void)
{
    unsigned class = class_of_request(64);
    size_t over24 = overhead(24), over1000 = overhead(1000);
    const struct arena *arena = arena_at(0);
    struct record slab = {
        .slot_bytes = (uint32_t)class_slot_bytes(class),
        .slots = class_slab_slots(class, guard_slab_bytes()),
        .tenant = (uint8_t)(class + 1),
    };

    printf("record %zu\n", sizeof(struct record));
    printf("fields %zu\n", FIELD_BYTES(record));
    printf("key %zu\n", sizeof(struct slab_key));
    printf("heap %zu\n", sizeof(struct heap));
    printf("hfields %zu\n", FIELD_BYTES(heap));
    printf("over24 %zu\n", over24);
    printf("over1000 %zu\n", over1000);
    printf("state %zu\n", per_granule(arena->state, arena->batch));
    printf("batch %zu\n", per_granule(arena->batch, arena->pending));
    printf("pending %zu\n", per_granule(arena->pending, arena->heaps));
    printf("guard %zu\n", guard_slab_bytes());
    printf("wait %u\n", (unsigned)slab_delay(&slab));
}

static void pairs(size_t bytes, unsigned long count)
{
    while (count-- > 0) {
        void *p = malloc(bytes);
        /* The compiler must not see that nobody uses it. */
        __asm__ volatile("" : : "r"(p) : "memory");
        free(p);
    }
}

int main(int count, char **arguments)
{
    if (count == 2 && strcmp(arguments[1], "bytes") == 0) {
        print_bytes();
        return 0;
    }
    if (count == 4 && strcmp(arguments[1], "pairs") == 0) {
        pairs(64, strtoul(arguments[2], NULL, 10));
        pairs(1024, strtoul(arguments[3], NULL, 10));
        return 0;
    }
    fprintf(stderr, "usage: costs bytes | pairs N64 N1024\n");
    return 2;
}
