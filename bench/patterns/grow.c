/* SPDX-License-Identifier: MIT */
/*
 * grow - a block grown by realloc in steps up to a limit, then freed.
 * Arguments: reallocs, step in bytes, limit in bytes.
 */
#include "bench.h"

int main(int argc, char **argv)
{
    long count = number(argc, argv, 1, 1000000);
    size_t step = (size_t)number(argc, argv, 2, 16);
    size_t limit = (size_t)number(argc, argv, 3, 16384);

    while (count > 0) {
        void *p = NULL;
        for (size_t bytes = step; bytes <= limit; bytes += step, count--) {
            p = realloc(p, bytes);
            keep(p);
        }
        free(p);
    }
}
