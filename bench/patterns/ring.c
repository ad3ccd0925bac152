/* SPDX-License-Identifier: MIT */
/*
 * ring - threads in a ring: each fills a batch for the next one and frees the
 * one it got from the last. Arguments: blocks in all, threads, bytes.
 */
#include "bench.h"

enum { WIDTH = 1000, DEPTH = 4 };
static struct box {
    sem_t full, room;
    void *block[DEPTH][WIDTH];
} box[THREAD_LIMIT];
static long batches, threads;
static size_t bytes;

static void *work(void *arg)
{
    struct box *own = &box[(long)arg], *next = &box[((long)arg + 1) % threads];
    for (long b = 0; b < batches; b++) {
        sem_wait(&next->room);
        for (int i = 0; i < WIDTH; i++)
            keep(next->block[b % DEPTH][i] = malloc(bytes));
        sem_post(&next->full);
        sem_wait(&own->full);
        for (int i = 0; i < WIDTH; i++)
            free(own->block[b % DEPTH][i]);
        sem_post(&own->room);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    bytes = (size_t)number(argc, argv, 3, 64);
    threads = 1 + (number(argc, argv, 2, 2) - 1) % THREAD_LIMIT;
    batches = number(argc, argv, 1, 1000000) / threads / WIDTH;
    for (long t = 0; t < threads; t++)
        sem_init(&box[t].full, 0, 0), sem_init(&box[t].room, 0, DEPTH);
    together(threads, work);
}
