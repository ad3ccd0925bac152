/* SPDX-License-Identifier: MIT */
/*
 * mixed - replace a random one of the live blocks by one of random size.
 * Arguments: pairs, largest size in bytes, live blocks.
 */
#include "bench.h"

int main(int argc, char **argv)
{
    long count = number(argc, argv, 1, 1000000);
    uint64_t limit = (uint64_t)number(argc, argv, 2, 1024);
    uint64_t live = (uint64_t)number(argc, argv, 3, 1000);
    void **block = malloc(live * sizeof *block);
    uint64_t state = 42;

    for (uint64_t i = 0; i < live; i++)
        block[i] = NULL;
    for (; count > 0; count--) {
        uint64_t i = draw_below(&state, live);
        free(block[i]);
        block[i] = malloc(1 + draw_below(&state, limit));
        keep(block[i]);
    }
    for (uint64_t i = 0; i < live; i++)
        free(block[i]);
}
