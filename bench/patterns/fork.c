/* SPDX-License-Identifier: MIT */
/*
 * fork - a parent with live blocks forks a child for each request; the child
 * frees some of the parent's, makes its own, and ends.
 * Arguments: requests, the parent's blocks, blocks for each request.
 */
#include "bench.h"

static void serve(void **block, uint64_t live, long blocks, uint64_t seed)
{
    for (long i = 0; i < blocks; i++) {
        uint64_t victim = draw_below(&seed, live);
        free(block[victim]);
        block[victim] = memset(malloc(8 + draw_below(&seed, 500)), 1, 8);
    }
}

int main(int argc, char **argv)
{
    long count = number(argc, argv, 1, 1000);
    uint64_t live = (uint64_t)number(argc, argv, 2, 20000);
    long blocks = number(argc, argv, 3, 2000);
    void **block = calloc(live, sizeof *block);

    serve(block, live, 4 * (long)live, 42);
    for (; count > 0; count--) {
        pid_t child = fork();
        if (child == 0) {
            serve(block, live, blocks, (uint64_t)count);
            _exit(0);
        }
        if (child < 0 || waitpid(child, NULL, 0) < 0)
            return 1;
    }
}
