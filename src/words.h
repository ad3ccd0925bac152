/* SPDX-License-Identifier: MIT */
/*
 * words.h - reading the values of options: words, numbers, sizes.
 *
 * A value is `length` bytes at `value`; nothing ends it. All of them take the
 * whole value or nothing.
 */
#ifndef MERLON_WORDS_H
#define MERLON_WORDS_H

#include <string.h>

#include "base.h"

/* Is the text exactly this word? */
static inline bool word_is(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* Decimal digits at the start of the text; false without one or when they do
   not fit. */
static inline bool word_digits(const char *value, size_t length, size_t *used,
                               uint64_t *number)
{
    *number = 0;
    for (*used = 0; *used < length; ++*used) {
        unsigned digit = (unsigned)(value[*used] - '0');
        if (digit > 9)
            break;
        if (__builtin_mul_overflow(*number, 10, number)
            || __builtin_add_overflow(*number, digit, number))
            return false;
    }
    return *used != 0;
}

static inline bool word_switch(const char *value, size_t length, bool *on)
{
    bool is_on = word_is(value, length, "on");

    if (!is_on && !word_is(value, length, "off"))
        return false;
    *on = is_on;
    return true;
}

/* A decimal number up to `most`. */
static inline bool word_number(const char *value, size_t length, uint64_t most,
                               uint64_t *number)
{
    size_t used;

    return word_digits(value, length, &used, number) && used == length
        && *number <= most;
}

/* A number of bytes, maybe with one of the units K, M, G, T. */
static inline bool word_bytes(const char *value, size_t length, size_t *bytes)
{
    static const char units[] = "KMGT";
    unsigned shift = 0;
    uint64_t number;
    size_t used;

    if (!word_digits(value, length, &used, &number))
        return false;
    if (used != length) {
        const char *unit = memchr(units, value[used], sizeof units - 1);
        if (!unit || used + 1 != length)
            return false;
        shift = 10 * (unsigned)(unit - units + 1);
    }
    if (shift >= 8 * sizeof(size_t) || number > SIZE_MAX >> shift)
        return false;
    *bytes = (size_t)number << shift;
    return true;
}

#endif
