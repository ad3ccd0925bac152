/* SPDX-License-Identifier: MIT */
/*
 * sodium.c - the baseline of `startup`: a library that links libsodium in the
 * way merlon does and never calls it. What merlon costs more at start is its
 * own; what this costs over nothing is the loader's.
 */
#include <sodium.h>

/* Never called: it makes the linker take in what merlon takes in. */
int bench_sodium(unsigned char *out, unsigned long long bytes,
                 const unsigned char *nonce, const unsigned char *key);
int bench_sodium(unsigned char *out, unsigned long long bytes,
                 const unsigned char *nonce, const unsigned char *key)
{
    if (sodium_init() < 0)
        return -1;
    randombytes_buf(out, (size_t)bytes);
    return crypto_stream_chacha20(out, bytes, nonce, key);
}
