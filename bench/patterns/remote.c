/* SPDX-License-Identifier: MIT */
/*
 * remote - one thread allocates, another frees: batches go through a ring.
 * Arguments: pairs (whole batches are done), bytes.
 */
#include "bench.h"

enum { WIDTH = 1000, DEPTH = 4 };
static void *ring[DEPTH][WIDTH];
static sem_t full, room;
static long batches;

static void *consume(void *unused)
{
    for (long b = 0; b < batches; b++) {
        sem_wait(&full);
        for (int i = 0; i < WIDTH; i++)
            free(ring[b % DEPTH][i]);
        sem_post(&room);
    }
    return unused;
}

int main(int argc, char **argv)
{
    size_t bytes = (size_t)number(argc, argv, 2, 64);
    pthread_t thread;

    batches = (number(argc, argv, 1, 1000000) + WIDTH - 1) / WIDTH;
    sem_init(&full, 0, 0);
    sem_init(&room, 0, DEPTH);
    pthread_create(&thread, NULL, consume, NULL);
    for (long b = 0; b < batches; b++) {
        sem_wait(&room);
        for (int i = 0; i < WIDTH; i++)
            keep(ring[b % DEPTH][i] = malloc(bytes));
        sem_post(&full);
    }
    pthread_join(thread, NULL);
}
