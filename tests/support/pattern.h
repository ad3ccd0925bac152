/* SPDX-License-Identifier: MIT */
/*
 * pattern.h - contents that tell whose they are, and the sizes worth trying.
 *
 * A block filled for one tag does not hold for another, nor when shifted, so
 * an overlap, a lost copy or a stray write shows as a broken pattern.
 */
#ifndef MERLON_TEST_PATTERN_H
#define MERLON_TEST_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t pattern_word(uint64_t tag, size_t index)
{
    uint64_t z = (tag + index) * UINT64_C(0x9e3779b97f4a7c15);
    return z ^ (z >> 29);
}

static inline void pattern_fill(void *p, size_t bytes, uint64_t tag)
{
    unsigned char *to = p;
    size_t i = 0;
    for (; i + 8 <= bytes; i += 8) {
        uint64_t word = pattern_word(tag, i);
        memcpy(to + i, &word, 8);
    }
    uint64_t word = pattern_word(tag, i);
    memcpy(to + i, &word, bytes - i);
}

/* Do the first `bytes` hold? True for any prefix of what was filled. */
static inline bool pattern_holds(const void *p, size_t bytes, uint64_t tag)
{
    const unsigned char *from = p;
    size_t i = 0;
    for (; i + 8 <= bytes; i += 8) {
        uint64_t word = pattern_word(tag, i);
        if (memcmp(from + i, &word, 8) != 0)
            return false;
    }
    uint64_t word = pattern_word(tag, i);
    return memcmp(from + i, &word, bytes - i) == 0;
}

/* For large blocks: the first bytes of each page only. */
enum { PATTERN_STRIDE = 4096 };

static inline void pattern_fill_sparse(void *p, size_t bytes, uint64_t tag)
{
    for (size_t at = 0; at + 16 <= bytes; at += PATTERN_STRIDE)
        pattern_fill((char *)p + at, 16, tag + at);
}

static inline bool pattern_holds_sparse(const void *p, size_t bytes,
                                        uint64_t tag)
{
    for (size_t at = 0; at + 16 <= bytes; at += PATTERN_STRIDE)
        if (!pattern_holds((const char *)p + at, 16, tag + at))
            return false;
    return true;
}

static inline bool pattern_is_zero(const void *p, size_t bytes)
{
    const unsigned char *from = p;
    return bytes == 0 ||
           (from[0] == 0 && memcmp(from, from + 1, bytes - 1) == 0);
}

/*
 * The sizes worth trying up to `top`: all small ones, and above `dense` those
 * around every eighth of an octave, where any sensible table of size classes
 * has its borders. Returns how many were put into sizes (ascending).
 */
static inline size_t pattern_sizes(size_t *sizes, size_t room, size_t dense,
                                   size_t top)
{
    static const int around[] = {-24, -17, -16, -15, -9, -8, -7, -1,
                                 0,   1,   7,   8,   9,  15, 16, 17};
    size_t count = 0, last = 0;
    for (size_t n = 1; n <= dense && count < room; n++)
        sizes[count++] = last = n;
    for (size_t octave = 64; octave <= top; octave *= 2)
        for (size_t i = 0; i < 8 * sizeof around / sizeof *around; i++) {
            size_t eighth = octave / 8 * (i / (sizeof around / sizeof *around));
            size_t n = octave + eighth +
                       (size_t)around[i % (sizeof around / sizeof *around)];
            if (n > last && n <= top && count < room)
                sizes[count++] = last = n;
        }
    return count;
}

#endif
