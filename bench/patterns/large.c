/* SPDX-License-Identifier: MIT */
/*
 * large - replace a random one of 20 large blocks by a new one, written in
 * full. After malloc-large. Arguments: blocks, smallest MiB, largest MiB.
 */
#include "bench.h"

enum { LIVE = 20 };

int main(int argc, char **argv)
{
    long count = number(argc, argv, 1, 500);
    uint64_t smallest = (uint64_t)number(argc, argv, 2, 5) << 20;
    uint64_t largest = (uint64_t)number(argc, argv, 3, 25) << 20;
    char *block[LIVE] = { NULL };
    uint64_t state = 42;

    for (; count > 0; count--) {
        uint64_t i = draw_below(&state, LIVE);
        size_t bytes = smallest + draw_below(&state, largest - smallest + 1);
        char *p = memset(malloc(bytes), 1, bytes);
        free(block[i]);
        block[i] = p;
    }
    for (int i = 0; i < LIVE; i++)
        free(block[i]);
}
