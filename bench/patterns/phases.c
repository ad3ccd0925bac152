/* SPDX-License-Identifier: MIT */
/*
 * phases - a long run whose sizes change from phase to phase while random
 * survivors of the older phases stay. Arguments: blocks, live blocks.
 */
#include "bench.h"

int main(int argc, char **argv)
{
    static const uint64_t limit[] = { 64, 2048, 256, 16384,
                                      32, 512, 65536, 1024 };
    long count = number(argc, argv, 1, 4000000);
    uint64_t live = (uint64_t)number(argc, argv, 2, 50000);
    uint64_t state = 42;
    void **block = calloc(live, sizeof *block);

    for (long phase = 0; count > 0; phase++) {
        uint64_t largest = limit[phase % 8];
        /* large phases fill fewer places: the live bytes stay alike */
        uint64_t width = live * 64 / (largest > 64 ? largest : 64);
        width = width < live / 20 ? live / 20 : width;
        for (uint64_t i = 0; i < 4 * width; i++, count--) {
            uint64_t victim = draw_below(&state, width);
            size_t bytes = largest / 4 + draw_below(&state, largest);
            free(block[victim]);
            block[victim] = memset(malloc(bytes), 1, bytes);
        }
        for (uint64_t i = 0; i < width; i++)
            if (draw(&state) % 8 != 0) { /* an eighth survives, moved away */
                free(block[i]);
                block[i] = NULL;
            } else {
                uint64_t j = draw_below(&state, live);
                void *other = block[j];
                block[j] = block[i];
                block[i] = other;
            }
    }
}
