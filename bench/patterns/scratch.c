/* SPDX-License-Identifier: MIT */
/*
 * scratch - passive false sharing: each thread frees a block that main made
 * beside the others' and then works on blocks of its own. After Hoard.
 * Arguments: blocks for each thread, threads, bytes, writes to each block.
 */
#include "bench.h"

static long count, writes;
static size_t bytes;
static void *given[THREAD_LIMIT];

static void *work(void *arg)
{
    free(given[(long)arg]);
    for (long i = 0; i < count; i++) {
        volatile char *p = malloc(bytes);
        for (long w = 0; w < writes; w++)
            p[(size_t)w % bytes]++;
        free((void *)p);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    long threads = number(argc, argv, 2, 2);

    count = number(argc, argv, 1, 10000);
    bytes = (size_t)number(argc, argv, 3, 8);
    writes = number(argc, argv, 4, 1000);
    for (long t = 0; t < threads && t < THREAD_LIMIT; t++)
        given[t] = malloc(bytes);
    together(threads, work);
}
