/* SPDX-License-Identifier: MIT */
/* prodcons - after xmalloc-test. Arguments: blocks, producers, consumers,
 * least size in bytes, number of sizes. */
#include "bench.h"

enum { WIDTH = 4096, DEPTH = 100 };
static void **queue[DEPTH];
static _Atomic long made, taken;
static long wanted, producers, least, range, depth;
static sem_t full, room, lock;

static void *work(void *arg)
{
    uint64_t state = 42 + (uint64_t)arg;
    while ((long)arg < producers && atomic_fetch_add(&made, WIDTH) < wanted) {
        void **batch = malloc(WIDTH * sizeof *batch);
        for (int i = 0; i < WIDTH; i++)
            batch[i] = memset(malloc(least + draw_below(&state, range)), i, 8);
        sem_wait(&room), sem_wait(&lock);
        queue[depth++] = batch;
        sem_post(&lock), sem_post(&full);
    }
    while ((long)arg >= producers && atomic_fetch_add(&taken, WIDTH) < wanted) {
        sem_wait(&full), sem_wait(&lock);
        void **batch = queue[--depth];
        sem_post(&lock), sem_post(&room);
        for (int i = 0; i < WIDTH; i++)
            free(batch[i]);
        free(batch);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    wanted = number(argc, argv, 1, 0), producers = number(argc, argv, 2, 1);
    least = number(argc, argv, 4, 64), range = number(argc, argv, 5, 1);
    sem_init(&full, 0, 0), sem_init(&room, 0, DEPTH), sem_init(&lock, 0, 1);
    together(producers + number(argc, argv, 3, 1), work);
}
