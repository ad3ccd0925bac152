/* SPDX-License-Identifier: MIT */
/*
 * batch - allocate WIDTH blocks, then free them in an order of its own.
 * Arguments: pairs (whole batches are done), bytes, order (0 first in first
 * out, 1 last in first out, 2 random).
 */
#include "bench.h"

enum { WIDTH = 1000 };
static void *block[WIDTH];
static int order[WIDTH];

int main(int argc, char **argv)
{
    long count = number(argc, argv, 1, 1000000);
    size_t bytes = (size_t)number(argc, argv, 2, 64);
    long how = number(argc, argv, 3, 2);
    uint64_t state = 42;

    for (int i = 0; i < WIDTH; i++)
        order[i] = how == 1 ? WIDTH - 1 - i : i;
    for (int i = WIDTH - 1; how == 2 && i > 0; i--) {
        int j = (int)draw_below(&state, (uint64_t)i + 1);
        int other = order[j];
        order[j] = order[i];
        order[i] = other;
    }
    for (; count > 0; count -= WIDTH) {
        for (int i = 0; i < WIDTH; i++) {
            block[i] = malloc(bytes);
            keep(block[i]);
        }
        for (int i = 0; i < WIDTH; i++)
            free(block[order[i]]);
    }
}
