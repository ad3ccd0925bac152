/* SPDX-License-Identifier: MIT */
/*
 * entropy.c - libsodium, and nothing else, makes our random numbers.
 *
 * Only functions that neither allocate nor open files: sodium_init (which
 * reads getrandom), randombytes_buf and crypto_stream_chacha20.
 */
#include "entropy.h"

#include <errno.h>
#include <sodium.h>

_Static_assert(STREAM_KEY_BYTES == crypto_stream_chacha20_KEYBYTES,
               "a stream's key is a ChaCha20 key");

bool entropy_start(void)
{
    int saved = errno;
    bool started = sodium_init() >= 0;

    errno = saved;
    return started;
}

void entropy_fill(void *bytes, size_t count)
{
    int saved = errno;

    randombytes_buf(bytes, count);
    errno = saved;
}

void stream_reset(struct stream *stream)
{
    stream->keyed = false;
    stream->left = 0;
}

void stream_refill(struct stream *stream)
{
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    struct {
        uint8_t key[STREAM_KEY_BYTES];
        uint64_t batch[STREAM_BATCH_COUNT];
    } fresh;

    if (!stream->keyed) {
        entropy_fill(stream->key, sizeof stream->key);
        stream->keyed = true;
    }
    crypto_stream_chacha20((uint8_t *)&fresh, sizeof fresh, nonce,
                           stream->key);
    __builtin_memcpy(stream->key, fresh.key, sizeof fresh.key);
    __builtin_memcpy(stream->batch, fresh.batch, sizeof fresh.batch);
    stream->left = STREAM_BATCH_COUNT;
    sodium_memzero(&fresh, sizeof fresh);
}
