/* SPDX-License-Identifier: MIT */
/*
 * sweep - every size from 8 B to 4 MiB in steps of a quarter of a doubling, a
 * few of each alive at a time. Arguments: blocks, blocks alive of one size.
 */
#include "bench.h"

enum { LIVE_LIMIT = 64 };

int main(int argc, char **argv)
{
    long count = number(argc, argv, 1, 100000);
    long live = number(argc, argv, 2, 4);
    void *block[LIVE_LIMIT];

    live = live > LIVE_LIMIT ? LIVE_LIMIT : live;
    while (count > 0)
        for (size_t base = 8; base < (size_t)4 << 20; base *= 2)
            for (size_t quarter = 4; quarter < 8; quarter++) {
                size_t bytes = base * quarter / 4;
                for (long i = 0; i < live; i++) {
                    block[i] = malloc(bytes);
                    touch(block[i], bytes);
                }
                for (long i = 0; i < live; i++)
                    free(block[i]);
                count -= live;
            }
}
