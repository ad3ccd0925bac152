/* SPDX-License-Identifier: MIT */
/*
 * thrash - active false sharing: threads allocate small blocks at the same
 * time and write to them. After Hoard.
 * Arguments: blocks for each thread, threads, bytes, writes to each block.
 */
#include "bench.h"

static long count, writes;
static size_t bytes;

static void *work(void *unused)
{
    for (long i = 0; i < count; i++) {
        volatile char *p = malloc(bytes);
        for (long w = 0; w < writes; w++)
            p[(size_t)w % bytes]++;
        free((void *)p);
    }
    return unused;
}

int main(int argc, char **argv)
{
    count = number(argc, argv, 1, 10000);
    bytes = (size_t)number(argc, argv, 3, 8);
    writes = number(argc, argv, 4, 1000);
    together(number(argc, argv, 2, 2), work);
}
