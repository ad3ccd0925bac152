/* SPDX-License-Identifier: MIT */
/*
 * rand_interpose.c - a program that has its own idea of libsodium.
 *
 * Linked with -rdynamic, so that its names come before those of any library.
 * Preloaded merlon must not call any of them: whoever controls the program
 * would control the order and the keys of its heap.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRAP(name)                                                           \
    int name(void);                                                          \
    int name(void)                                                           \
    {                                                                        \
        static const char text[] = "failed: " #name " was called\n";         \
        if (write(1, text, sizeof text - 1) < 0)                             \
            _exit(3);                                                        \
        _exit(1);                                                            \
    }

TRAP(sodium_init)
TRAP(sodium_misuse)
TRAP(sodium_memzero)
TRAP(sodium_mlock)
TRAP(sodium_malloc)
TRAP(sodium_set_misuse_handler)
TRAP(randombytes)
TRAP(randombytes_buf)
TRAP(randombytes_buf_deterministic)
TRAP(randombytes_random)
TRAP(randombytes_uniform)
TRAP(randombytes_stir)
TRAP(randombytes_close)
TRAP(randombytes_set_implementation)
TRAP(crypto_stream_chacha20)
TRAP(crypto_stream_chacha20_xor)
TRAP(crypto_stream_chacha20_xor_ic)
TRAP(crypto_stream_chacha20_ietf)
TRAP(crypto_stream_chacha20_ietf_xor_ic)
TRAP(crypto_stream_chacha20_ietf_ext)
TRAP(crypto_core_hchacha20)
TRAP(crypto_shorthash)
TRAP(crypto_generichash)
TRAP(crypto_kdf_derive_from_key)

int main(void)
{
    static void *p[20000];
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 20000; i++) {
            p[i] = malloc((size_t)(i % 2000));
            if (p[i] == NULL)
                return 1;
        }
        for (int i = 0; i < 20000; i++)
            free(p[i]);
    }
    free(malloc(10000000));
    /* The child draws new keys. */
    int status = 1;
    if (fork() == 0) {
        for (int i = 0; i < 20000; i++)
            p[i] = malloc((size_t)(i % 500));
        _exit(0);
    }
    if (wait(&status) < 0 || status != 0)
        return 1;
    puts("done");
    return 0;
}
