/* SPDX-License-Identifier: MIT */
/*
 * entropy.h - random numbers, all of them from libsodium.
 *
 * Each heap has a stream: ChaCha20 output under a key of its own, drawn from
 * randombytes_buf when the stream is opened. The key is replaced by the
 * first bytes of each batch (fast key erasure), so that a leak of the state
 * says nothing of numbers drawn before. A stream belongs to one heap and is
 * never shared.
 */
#ifndef MERLON_ENTROPY_H
#define MERLON_ENTROPY_H

#include "base.h"

enum {
    STREAM_KEY_BYTES = 32,
    /* Numbers in a batch: with the next key 1024 bytes, which the wide
       implementations of ChaCha20 make at once. */
    STREAM_BATCH_COUNT = 124,
};

struct stream {
    unsigned left;      /* numbers not yet drawn */
    bool keyed;
    uint8_t key[STREAM_KEY_BYTES];
    uint64_t batch[STREAM_BATCH_COUNT];
};

/* Draw what start needs. Before any other call. False: no randomness. */
bool entropy_start(void);

/* Bytes straight from libsodium; for keys. Where the kernel has none any more,
   derived from those drawn at start. */
void entropy_fill(void *bytes, size_t count);

/* Bytes derived from the key that was drawn at start: no system call. */
COLD void entropy_derive(void *bytes, size_t count);

/* Forget the key: the next draw takes a new one (after fork). */
void stream_reset(struct stream *stream);

/* Make another batch. */
COLD void stream_refill(struct stream *stream);

static inline uint64_t stream_draw(struct stream *stream)
{
    if (unlikely(stream->left == 0))
        stream_refill(stream);
    uint64_t value = stream->batch[--stream->left];
    /* A number is used once: its copy is no use to a later leak. */
    stream->batch[stream->left] = 0;
    return value;
}

/* A number below `bound`, 1 <= bound; bias at most bound / 2^32. */
static inline uint32_t stream_below(uint32_t random, uint32_t bound)
{
    return (uint32_t)(((uint64_t)random * bound) >> 32);
}

#endif
