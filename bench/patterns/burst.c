/* SPDX-License-Identifier: MIT */
/*
 * burst - a million blocks allocated by one thread, then all freed by another.
 * Arguments: blocks, bytes, blocks in a burst.
 */
#include "bench.h"

static void **block;
static long burst;

static void *drain(void *unused)
{
    for (long i = 0; i < burst; i++)
        free(block[i]);
    return unused;
}

int main(int argc, char **argv)
{
    long count = number(argc, argv, 1, 4000000);
    size_t bytes = (size_t)number(argc, argv, 2, 64);
    pthread_t thread;

    burst = number(argc, argv, 3, 1000000);
    block = malloc((size_t)burst * sizeof *block);
    for (; count > 0; count -= burst) {
        for (long i = 0; i < burst; i++)
            block[i] = memset(malloc(bytes), 1, 8);
        pthread_create(&thread, NULL, drain, NULL);
        pthread_join(thread, NULL);
    }
    free(block);
}
