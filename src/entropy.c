/* SPDX-License-Identifier: MIT */
/*
 * entropy.c - libsodium, and nothing else, makes our random numbers.
 *
 * Only functions that neither allocate nor open files: randombytes_buf (which
 * reads getrandom), crypto_stream_chacha20 and, late, sodium_init.
 *
 * Where randombytes_buf is refused getrandom it ends the process. A sandbox
 * that is entered after start may do that, so getrandom is tried first, and
 * what is refused is derived from a key that was drawn at start.
 *
 * sodium_init asks the processor what it can, to choose a faster ChaCha20 with
 * the same output. In a virtual machine each question may take ten
 * microseconds or more, which is most of a start. So it comes when a process
 * has made some batches; until then they come from portable code.
 */
#include "entropy.h"

#include <errno.h>
#include <sodium.h>

#include "os.h"

_Static_assert(STREAM_KEY_BYTES == crypto_stream_chacha20_KEYBYTES,
               "a stream's key is a ChaCha20 key");

/* The first numbers are for the places of the first arena. */
enum { EARLY_NUMBERS = 2, PORTABLE_BATCHES = 16 };

/* Drawn at start, by one call. */
static EARLY struct {
    uint8_t key[STREAM_KEY_BYTES];
    uint64_t number[EARLY_NUMBERS];
} reserve;
static EARLY uint64_t derived_count;

bool entropy_start(void)
{
    int saved = errno;

    /* It starts itself, and ends the process if there is no randomness. */
    randombytes_buf(&reserve, sizeof reserve);
    errno = saved;
    return true;
}

/*
 * Exactly one thread meets the number. Who makes a batch meanwhile, or is the
 * child of a fork in the middle of it, goes on with portable code: so nobody
 * ever waits for the lock inside. The pointers that are set are words, and
 * each of their values is right.
 */
static void count_batch(void)
{
    static uint32_t made;

    /* Relaxed: only a number. */
    if (likely(__atomic_load_n(&made, __ATOMIC_RELAXED) > PORTABLE_BATCHES)
        || __atomic_fetch_add(&made, 1, __ATOMIC_RELAXED) != PORTABLE_BATCHES)
        return;
    int saved = errno;
    /* It draws some bytes. Where it fails the portable code stays. */
    bool chosen = os_has_random() && sodium_init() >= 0;
    (void)chosen;
    errno = saved;
}

/* The time is in the nonce because the child of a fork has our key and our
   count: its numbers must not be ours. */
void entropy_derive(void *bytes, size_t count)
{
    uint64_t nonce = __atomic_fetch_add(&derived_count, 1, __ATOMIC_RELAXED);

    if (nonce < EARLY_NUMBERS && count == sizeof *reserve.number) {
        __builtin_memcpy(bytes, &reserve.number[nonce], count);
        reserve.number[nonce] = 0;
        return;
    }
    nonce = nonce << 56 ^ os_clock_ns();
    _Static_assert(sizeof nonce == crypto_stream_chacha20_NONCEBYTES,
                   "the nonce of ChaCha20 is a word");
    crypto_stream_chacha20(bytes, count, (const uint8_t *)&nonce,
                           reserve.key);
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

    count_batch();
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
