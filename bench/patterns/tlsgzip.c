/* SPDX-License-Identifier: MIT */
/*
 * tlsgzip - what a server of TLS with gzip asks for at each request: record
 * buffers, a deflate state of four tables, a body. Connections overlap.
 * Arguments: requests, connections.
 */
#include "bench.h"

enum { PARTS = 8, LIMIT = 1000 };
static void *held[LIMIT][PARTS];

int main(int argc, char **argv)
{
    static const size_t part[PARTS] = {
        16 * 1024 + 325, 16 * 1024 + 325, /* TLS records in and out */
        5936, 65536, 65536, 131072,       /* zlib's deflateInit at level 6 */
        4096, 0                           /* headers; the body's size varies */
    };
    long count = number(argc, argv, 1, 20000);
    long connections = number(argc, argv, 2, 40);
    uint64_t state = 42;

    connections = connections > LIMIT ? LIMIT : connections;
    for (; count > 0; count--) {
        void **own = held[draw_below(&state, (uint64_t)connections)];
        for (int i = 0; i < PARTS; i++) {
            size_t body = 16384 + draw_below(&state, 245760);
            size_t bytes = part[i] ? part[i] : body;
            free(own[i]);
            own[i] = malloc(bytes);
            touch(own[i], bytes);
        }
    }
}
