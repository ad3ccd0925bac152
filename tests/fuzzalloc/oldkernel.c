/* SPDX-License-Identifier: MIT */
/*
 * oldkernel.c - run a program as on a kernel without MADV_GUARD_INSTALL.
 *
 *   oldkernel PROGRAM ARGUMENT...
 *
 * Exit status 77 where system calls cannot be filtered.
 */
#include "refuse.h"

#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 2 || !refuse(false))
        return 77;
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 1;
}
