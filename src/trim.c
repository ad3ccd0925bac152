/* SPDX-License-Identifier: MIT */
/*
 * trim.c - the parts of libsodium that nobody needs stay out of the library.
 *
 * Linked from the archive, libsodium comes with what is referred to; and
 * sodium_init, which chooses the fastest ChaCha20, also chooses among password
 * hashes, signatures and ciphers. They would be most of the fast library (278
 * KB of text and tables instead of 106), in the memory of every process. The
 * idea: who does these choices is found here first, and does nothing. A
 * libsodium that has other names, or that is a library of its own, is as it is
 * without this file.
 */
#include "base.h"

int _crypto_generichash_blake2b_pick_best_implementation(void);
int _crypto_onetimeauth_poly1305_pick_best_implementation(void);
int _crypto_pwhash_argon2_pick_best_implementation(void);
int _crypto_scalarmult_curve25519_pick_best_implementation(void);
int _crypto_stream_salsa20_pick_best_implementation(void);

int _crypto_generichash_blake2b_pick_best_implementation(void)
{
    return 0;
}

int _crypto_onetimeauth_poly1305_pick_best_implementation(void)
{
    return 0;
}

int _crypto_pwhash_argon2_pick_best_implementation(void)
{
    return 0;
}

int _crypto_scalarmult_curve25519_pick_best_implementation(void)
{
    return 0;
}

int _crypto_stream_salsa20_pick_best_implementation(void)
{
    return 0;
}
