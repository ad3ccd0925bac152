/* SPDX-License-Identifier: MIT */
/* prodcons - producers and consumers with one queue of batches. After
 * xmalloc-test. Arguments: blocks, producers, consumers, least, most bytes. */
#include "bench.h"

enum { WIDTH = 4096, DEPTH = 100 };
static void **queue[DEPTH];
static _Atomic long made, taken; /* tickets, one for each batch */
static long wanted, producers, head, tail, least, range;
static sem_t full, room, lock;

static void *work(void *arg)
{
    uint64_t state = 42 + (uint64_t)(uintptr_t)arg;
    while ((long)arg < producers && atomic_fetch_add(&made, 1) < wanted) {
        void **batch = malloc(WIDTH * sizeof *batch);
        for (int i = 0; i < WIDTH; i++) {
            size_t bytes = least + draw_below(&state, range);
            batch[i] = memset(malloc(bytes), i, bytes < 128 ? bytes : 128);
        }
        sem_wait(&room), sem_wait(&lock);
        queue[head++ % DEPTH] = batch;
        sem_post(&lock), sem_post(&full);
    }
    while ((long)arg >= producers && atomic_fetch_add(&taken, 1) < wanted) {
        sem_wait(&full), sem_wait(&lock);
        void **batch = queue[tail++ % DEPTH];
        sem_post(&lock), sem_post(&room);
        for (int i = 0; i < WIDTH; i++)
            free(batch[i]);
        free(batch);
    }
    return NULL;
}
int main(int argc, char **argv)
{
    wanted = number(argc, argv, 1, 1000000) / WIDTH + 1;
    producers = number(argc, argv, 2, 1), least = number(argc, argv, 4, 64);
    range = number(argc, argv, 5, least) - least + 1;
    sem_init(&full, 0, 0), sem_init(&room, 0, DEPTH), sem_init(&lock, 0, 1);
    together(producers + number(argc, argv, 3, 1), work);
}
