/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - what starting and ending a process costs under each allocator.
 *
 *     spawn COUNT PROGRAM [NAME=LIBRARY...]
 *
 * Starts PROGRAM count times under each library in turn (NAME= for none), so
 * that whatever else the machine does falls on all alike, and prints for each
 * the quartiles of its CPU time in microseconds: NAME, median, lower, upper.
 */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { LIBRARY_LIMIT = 32 };

extern char **environ;

static long spawn_once(char **command, const char *library)
{
    pid_t pid;
    int status;
    struct rusage used;

    if (library[0])
        setenv("LD_PRELOAD", library, 1);
    else
        unsetenv("LD_PRELOAD");
    if (posix_spawnp(&pid, command[0], NULL, NULL, command, environ) != 0 ||
        wait4(pid, &status, 0, &used) < 0 || status != 0) {
        fprintf(stderr, "spawn: %s fails under %s\n", command[0], library);
        exit(1);
    }
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
           used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

static int order(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static long *spent[LIBRARY_LIMIT];
    int libraries = argc - 3;
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 0;

    if (libraries < 1 || libraries > LIBRARY_LIMIT || count < 1) {
        fprintf(stderr, "usage: spawn COUNT PROGRAM NAME=LIBRARY...\n");
        return 2;
    }
    for (int i = 0; i < libraries; i++) {
        spent[i] = malloc((size_t)count * sizeof(long));
        if (!spent[i] || !strchr(argv[i + 3], '='))
            return 2;
    }
    for (long n = 0; n < count; n++)
        for (int i = 0; i < libraries; i++)
            spent[i][n] = spawn_once((char *[]){ argv[2], NULL },
                                     strchr(argv[i + 3], '=') + 1);
    for (int i = 0; i < libraries; i++) {
        qsort(spent[i], (size_t)count, sizeof(long), order);
        printf("%.*s %ld %ld %ld\n", (int)strcspn(argv[i + 3], "="),
               argv[i + 3], spent[i][count / 2], spent[i][count / 4],
               spent[i][count * 3 / 4]);
    }
}
