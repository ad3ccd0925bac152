/* SPDX-License-Identifier: MIT */
/*
 * main.c - a C program with a malloc of its own. What the C library allocates
 * for it is the program's, and can be freed by it.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"

#define NEED(x) do { if (!(x)) { printf("line %d: %s\n", __LINE__, #x);      \
    return 1; } } while (0)

int main(void)
{
    char *line = NULL, *text = NULL, *copy = strdup("copied");
    size_t room = 0, before = heap_mallocs;
    FILE *file = fopen("/dev/null", "r");

    NEED(copy != NULL && heap_has(copy));
    free(copy);
    NEED(file != NULL && getline(&line, &room, file) == -1);
    NEED(line == NULL || heap_has(line));
    free(line);
    fclose(file);
    NEED(asprintf(&text, "%d", 42) == 2 && heap_has(text));
    text = realloc(text, 1000);
    NEED(heap_has(text) && strcmp(text, "42") == 0);
    free(text);
    NEED(setenv("NAME", "value", 1) == 0);
    NEED(heap_mallocs > before && heap_frees > 0);
#ifdef WHOLE
    void *p = NULL;
    NEED(posix_memalign(&p, 64, 100) == 0 && heap_has(p));
    free(p);
    NEED(heap_has(p = calloc(3, 5)));
    free(p);
#endif
    puts("done");
    return 0;
}
