/* SPDX-License-Identifier: MIT */
/*
 * sodium.h - stands in for libsodium's while costs are measured: the same
 * numbers at every run and on every processor. Random they are not.
 */
#ifndef MERLON_TESTS_COSTS_SODIUM_H
#define MERLON_TESTS_COSTS_SODIUM_H

#include <stddef.h>

enum {
    crypto_stream_chacha20_KEYBYTES = 32,
    crypto_stream_chacha20_NONCEBYTES = 8,
};

int sodium_init(void);
void sodium_memzero(void *p, size_t bytes);
void randombytes_buf(void *p, size_t bytes);
int crypto_stream_chacha20(unsigned char *out, unsigned long long bytes,
                           const unsigned char *nonce,
                           const unsigned char *key);

#endif
