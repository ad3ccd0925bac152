/* SPDX-License-Identifier: MIT */
/*
 * shadow.c - the table of live objects. See shadow.h.
 */
#define _GNU_SOURCE
#include "shadow.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pattern.h"

/* Up to here all bytes are written and read. */
enum { DENSE_BYTES = 32 * 1024 };

void shadow_fail(const char *format, ...)
{
    char line[512];
    va_list list;

    va_start(list, format);
    int length = vsnprintf(line, sizeof line - 1, format, list);
    va_end(list);
    if (length < 0)
        length = 0;
    if (length > (int)sizeof line - 2)
        length = (int)sizeof line - 2;
    line[length++] = '\n';
    if (write(2, "shadow: ", 8) < 0 || write(2, line, (size_t)length) < 0)
        abort();
    abort();
}

void shadow_clear(struct shadow *shadow)
{
    shadow->count = shadow->bytes = 0;
}

/* The first object that does not begin below p. */
static size_t place_of(const struct shadow *shadow, const void *p)
{
    size_t low = 0, high = shadow->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (shadow->object[middle].p < (const unsigned char *)p)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The last byte of a large object, where no sample has it. */
static bool has_last_byte(const struct object *object)
{
    return (object->bytes - 1) % PATTERN_STRIDE >= 16;
}

static void fill(const struct object *object)
{
    if (object->bytes <= DENSE_BYTES) {
        pattern_fill(object->p, object->bytes, object->tag);
        return;
    }
    pattern_fill_sparse(object->p, object->bytes, object->tag);
    if (has_last_byte(object))
        object->p[object->bytes - 1] = (unsigned char)(object->tag >> 32);
}

static bool holds(const struct object *object, const unsigned char *now,
                  size_t bytes)
{
    if (object->bytes <= DENSE_BYTES)
        return pattern_holds(now, bytes, object->tag);
    return pattern_holds_sparse(now, bytes, object->tag)
        && (bytes < object->bytes || !has_last_byte(object)
            || now[bytes - 1] == (unsigned char)(object->tag >> 32));
}

void shadow_verify(const struct object *object, const void *now, size_t bytes)
{
    if (!object->spoiled && !holds(object, now, bytes))
        shadow_fail("contents of %zu of %zu bytes at %p (now %p) are lost",
                    bytes, object->bytes, (void *)object->p, now);
}

void shadow_add(struct shadow *shadow, void *pointer, size_t bytes,
                size_t usable, size_t alignment)
{
    unsigned char *p = pointer;
    size_t at = place_of(shadow, p);
    const struct object *above = &shadow->object[at], *below = above - 1;

    if (p == NULL || usable < bytes || (uintptr_t)p % alignment != 0)
        shadow_fail("%zu bytes at %p for %zu at a multiple of %zu", usable,
                    pointer, bytes, alignment);
    if (at > 0 && below->p + below->usable > p)
        shadow_fail("%zu bytes at %p overlap %zu at %p", usable, pointer,
                    below->usable, (void *)below->p);
    if (at < shadow->count && p + (usable ? usable : 1) > above->p)
        shadow_fail("%zu bytes at %p overlap %zu at %p", usable, pointer,
                    above->usable, (void *)above->p);
    shadow_must(shadow->count < SHADOW_OBJECTS);
    memmove(&shadow->object[at + 1], above,
            (shadow->count - at) * sizeof *above);
    shadow->object[at] = (struct object){
        p, bytes, usable, alignment, ++shadow->last_tag << 32, false};
    shadow->count++;
    shadow->bytes += usable;
    fill(&shadow->object[at]);
}

struct object shadow_take(struct shadow *shadow, size_t at)
{
    struct object object = shadow->object[at];

    shadow_verify(&object, object.p, object.bytes);
    shadow->count--;
    shadow->bytes -= object.usable;
    memmove(&shadow->object[at], &shadow->object[at + 1],
            (shadow->count - at) * sizeof object);
    return object;
}

void shadow_verify_all(const struct shadow *shadow)
{
    for (size_t i = 0; i < shadow->count; i++) {
        const struct object *object = &shadow->object[i];
        shadow_verify(object, object->p, object->bytes);
    }
}

size_t shadow_find(const struct shadow *shadow, const void *p)
{
    size_t at = place_of(shadow, p);

    return at < shadow->count && shadow->object[at].p == p ? at : SIZE_MAX;
}

void shadow_spoil(struct shadow *shadow, const void *p, size_t bytes)
{
    const unsigned char *from = p;
    size_t at = place_of(shadow, p);

    at -= at > 0;
    for (; at < shadow->count && shadow->object[at].p < from + bytes; at++) {
        struct object *object = &shadow->object[at];
        if (object->p + object->usable > from)
            object->spoiled = true;
    }
}

bool shadow_is_zero(const void *p, size_t bytes)
{
    const unsigned char *from = p;

    if (bytes <= DENSE_BYTES)
        return pattern_is_zero(p, bytes);
    for (size_t at = 0; at + 64 <= bytes; at += 4096)
        if (!pattern_is_zero(from + at, 64))
            return false;
    return pattern_is_zero(from + bytes - 64, 64);
}
