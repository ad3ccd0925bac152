/* SPDX-License-Identifier: MIT */
/*
 * idle.c - a program that has some memory, says so, and sleeps.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OBJECTS = 100000, LARGE_BYTES = 5000000 };

int main(void)
{
    static char *object[OBJECTS];

    for (int i = 0; i < OBJECTS; i++)
        memset(object[i] = malloc(100), 1, 100);
    memset(malloc(LARGE_BYTES), 1, LARGE_BYTES);
    puts("ready");
    fflush(stdout);
    return (int)sleep(60);
}
