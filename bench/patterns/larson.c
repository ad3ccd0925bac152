/* SPDX-License-Identifier: MIT */
/*
 * larson - a server: each thread replaces random blocks, then ends and hands
 * them to a successor. Arguments: replacements per seat, seats, largest bytes.
 */
#include "bench.h"

enum { LIVE = 2000, TERM = 50000 };
static void *seat[THREAD_LIMIT][LIVE];
static uint64_t limit;
static long terms;

static void *serve(void *arg)
{
    void **block = arg;
    uint64_t state = 42;
    for (long i = 0; i < TERM; i++) {
        uint64_t victim = draw_below(&state, LIVE);
        free(block[victim]);
        block[victim] = malloc(8 + draw_below(&state, limit));
    }
    return arg;
}

static void *sit(void *arg) /* a seat: its threads follow one another */
{
    pthread_t thread;
    for (long i = 0; i < terms; i++) {
        pthread_create(&thread, NULL, serve, seat[(long)arg]);
        pthread_join(thread, NULL);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    terms = (number(argc, argv, 1, 1000000) + TERM - 1) / TERM;
    limit = (uint64_t)number(argc, argv, 3, 1000);
    together(number(argc, argv, 2, 2), sit);
}
