/* SPDX-License-Identifier: MIT */
/*
 * clean.c - a program that valgrind has nothing to say about, or, with the
 * argument leak, that has lost an object.
 */
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    char *p = malloc(100);

    memset(p, 1, 100);
    p = realloc(p, 200);
    if (argc > 1 && strcmp(argv[1], "leak") == 0)
        p = NULL;
    free(p);
    return 0;
}
