/* SPDX-License-Identifier: MIT */
/*
 * shadow.h - what must be true of all live objects, kept beside the allocator.
 *
 * Every object is known with its address, size and contents. A new one has to
 * be aligned, large enough and apart from all others; one that ends has to hold
 * what was written into it. Whatever is wrong ends the process by shadow_fail:
 * a test, a fuzzer and a replayer all understand that.
 *
 * One thread at a time. The table is sorted by address: only neighbours can
 * overlap.
 */
#ifndef MERLON_TEST_SHADOW_H
#define MERLON_TEST_SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHADOW_OBJECTS = 4096 };

struct object {
    unsigned char *p;
    size_t bytes;     /* as asked for: so much is written */
    size_t usable;
    size_t alignment;
    uint64_t tag;     /* of its contents */
    bool spoiled;     /* somebody wrote over it: its contents are unknown */
};

struct shadow {
    size_t count;
    size_t bytes;     /* usable bytes of all */
    uint64_t last_tag;
    struct object object[SHADOW_OBJECTS];
};

/* Say what is wrong, on descriptor 2, and abort. */
_Noreturn __attribute__((format(printf, 1, 2))) void
shadow_fail(const char *format, ...);

#define shadow_must(condition)                                               \
    do {                                                                     \
        if (!(condition))                                                    \
            shadow_fail("%s:%d: %s", __FILE__, __LINE__, #condition);        \
    } while (0)

void shadow_clear(struct shadow *shadow);

/* A new object of `usable` bytes: judge it, remember it and write to it. */
void shadow_add(struct shadow *shadow, void *p, size_t bytes, size_t usable,
                size_t alignment);

/* Forget the object at this place; its contents must hold. */
struct object shadow_take(struct shadow *shadow, size_t at);

/* Forget it, its first `bytes` being as they were; where they are now. */
void shadow_verify(const struct object *object, const void *now,
                   size_t bytes);

/* The contents of all hold. */
void shadow_verify_all(const struct shadow *shadow);

/* The place of the object that starts at p, or SIZE_MAX. */
size_t shadow_find(const struct shadow *shadow, const void *p);

/* The program wrote to this memory without right: what lies there is unknown
   now. */
void shadow_spoil(struct shadow *shadow, const void *p, size_t bytes);

/* Is all of the memory zero? Large memory by samples, and both its ends. */
bool shadow_is_zero(const void *p, size_t bytes);

#endif
