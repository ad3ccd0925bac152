/* SPDX-License-Identifier: MIT */
/*
 * entropy.c - libsodium, and nothing else, makes our random numbers.
 *
 * Only functions that neither allocate nor open files: sodium_init (which
 * reads getrandom), randombytes_buf and crypto_stream_chacha20.
 *
 * Where randombytes_buf is refused getrandom it ends the process. A sandbox
 * that is entered after start may do that, so getrandom is tried first, and
 * what is refused is derived from a key that was drawn at start.
 */
#include "entropy.h"

#include <errno.h>
#include <sodium.h>

#include "os.h"

_Static_assert(STREAM_KEY_BYTES == crypto_stream_chacha20_KEYBYTES,
               "a stream's key is a ChaCha20 key");

static uint8_t reserve_key[STREAM_KEY_BYTES];
static uint64_t derived_count;

bool entropy_start(void)
{
    int saved = errno;
    bool started = sodium_init() >= 0;

    if (started)
        randombytes_buf(reserve_key, sizeof reserve_key);
    errno = saved;
    return started;
}

/* The time is in the nonce because the child of a fork has our key and our
   count: its numbers must not be ours. */
void entropy_derive(void *bytes, size_t count)
{
    uint64_t nonce = __atomic_fetch_add(&derived_count, 1, __ATOMIC_RELAXED);

    nonce = nonce << 56 ^ os_clock_ns();
    _Static_assert(sizeof nonce == crypto_stream_chacha20_NONCEBYTES,
                   "the nonce of ChaCha20 is a word");
    crypto_stream_chacha20(bytes, count, (const uint8_t *)&nonce, reserve_key);
}

void entropy_fill(void *bytes, size_t count)
{
    int saved = errno;

    if (likely(os_has_random()))
        randombytes_buf(bytes, count);
    else
        entropy_derive(bytes, count);
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
