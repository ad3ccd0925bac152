/* SPDX-License-Identifier: MIT */
/*
 * churn - threads swap new blocks into random places of a shared table and
 * free what was there, whoever made it. Arguments: swaps for each thread,
 * threads, places, largest bytes.
 */
#include "bench.h"

static _Atomic(void *) *place;
static uint64_t places, limit;
static long swaps;

static void *churn(void *arg)
{
    uint64_t state = 42 + (uint64_t)(uintptr_t)arg;
    for (long i = 0; i < swaps; i++) {
        void *p = memset(malloc(8 + draw_below(&state, limit)), 1, 8);
        free(atomic_exchange(&place[draw_below(&state, places)], p));
    }
    return NULL;
}

int main(int argc, char **argv)
{
    swaps = number(argc, argv, 1, 1000000);
    places = (uint64_t)number(argc, argv, 3, 20000);
    limit = (uint64_t)number(argc, argv, 4, 500);
    place = calloc(places, sizeof *place);
    together(number(argc, argv, 2, 2), churn);
    for (uint64_t i = 0; i < places; i++)
        free(place[i]);
}
