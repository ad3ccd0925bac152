/* SPDX-License-Identifier: MIT */
/*
 * feed.h - the bytes that steer a drive: a fuzzer's input, a seed's file, or
 * random numbers. An exhausted feed yields zeros.
 */
#ifndef MERLON_TEST_FEED_H
#define MERLON_TEST_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct feed {
    const uint8_t *at, *end;
};

static inline bool feed_is_empty(const struct feed *feed)
{
    return feed->at == feed->end;
}

static inline uint8_t feed_u8(struct feed *feed)
{
    return feed_is_empty(feed) ? 0 : *feed->at++;
}

static inline uint16_t feed_u16(struct feed *feed)
{
    uint16_t low = feed_u8(feed);
    return (uint16_t)(low | feed_u8(feed) << 8);
}

static inline uint64_t feed_u64(struct feed *feed)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)feed_u8(feed) << (8 * i);
    return value;
}

/* A number below `bound`, from as few bytes as it takes. */
static inline size_t feed_below(struct feed *feed, size_t bound)
{
    if (bound <= 1)
        return 0;
    return (bound <= 256 ? feed_u8(feed) : feed_u16(feed)) % bound;
}

/* A size of up to 2^(top+1) bytes: first its octave, then where in it. */
static inline size_t feed_size(struct feed *feed, unsigned top)
{
    unsigned octave = feed_u8(feed) % (top + 1);
    uint64_t place = UINT64_C(0x10000) | feed_u16(feed);
    return (size_t)((place << octave) >> 16);
}

#endif
