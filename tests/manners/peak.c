/* SPDX-License-Identifier: MIT */
/*
 * peak.c - the largest resident size of a command, in KiB.
 *
 *   peak LIBRARY COMMAND...    LIBRARY is preloaded; '' is none
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct rusage used;
    int status;

    if (argc < 3)
        return 2;
    pid_t child = fork();
    if (child == 0) {
        if (*argv[1])
            setenv("LD_PRELOAD", argv[1], 1);
        execvp(argv[2], argv + 2);
        _exit(9);
    }
    if (child < 0 || wait4(child, &status, 0, &used) < 0 || status != 0)
        return 1;
    printf("%ld\n", used.ru_maxrss);
    return 0;
}
