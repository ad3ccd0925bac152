/* SPDX-License-Identifier: MIT */
/* calloc - one cleared block at a time. Arguments: pairs, bytes. */
#include "bench.h"

int main(int argc, char **argv)
{
    long count = number(argc, argv, 1, 1000000);
    size_t bytes = (size_t)number(argc, argv, 2, 64);

    for (; count > 0; count--) {
        void *p = calloc(1, bytes);
        keep(p);
        free(p);
    }
}
