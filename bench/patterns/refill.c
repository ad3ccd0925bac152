/* SPDX-License-Identifier: MIT */
/*
 * refill - a thread allocates a large block, writes all of it, and frees it.
 * After the older malloc-large. Arguments: blocks, bytes.
 */
#include "bench.h"

static long count;
static size_t bytes;

static void *work(void *unused)
{
    for (; count > 0; count--) {
        void *p = malloc(bytes);
        memset(p, 'x', bytes);
        keep(p);
        free(p);
    }
    return unused;
}

int main(int argc, char **argv)
{
    count = number(argc, argv, 1, 1000);
    bytes = (size_t)number(argc, argv, 2, 2 << 20);
    together(1, work);
}
