/* SPDX-License-Identifier: MIT */
/*
 * threads - many short-lived threads; each frees what the last one left, and
 * leaves a quarter of its own blocks. Arguments: threads, blocks for each.
 */
#include "bench.h"

enum { LIMIT = 10000 };
static void *left[LIMIT];
static long blocks;

static void *live(void *arg)
{
    uint64_t state = 42 + (uint64_t)(uintptr_t)arg;
    void *mine[LIMIT];

    for (long i = 0; i < blocks; i++)
        mine[i] = memset(malloc(8 + draw_below(&state, 500)), 1, 8);
    for (long i = 0; i < blocks; i++) {
        void *last = i % 4 == 0 ? left[i] : mine[i];
        left[i] = i % 4 == 0 ? mine[i] : NULL;
        free(last);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    long count = number(argc, argv, 1, 10000);

    blocks = number(argc, argv, 2, 200);
    blocks = blocks > LIMIT ? LIMIT : blocks;
    for (long i = 0; i < count; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, live, (void *)i);
        pthread_join(thread, NULL);
    }
}
