/* SPDX-License-Identifier: MIT */
/*
 * steps.c - counts the instructions of a program by single-stepping it.
 *
 *     steps [-p LIBRARY] PROGRAM [ARGUMENT...]
 *
 * Slow (some 50,000 instructions in a second), but it counts where
 * valgrind cannot: allocators that reserve more address space than valgrind
 * has (Scudo, hardened_malloc). Like callgrind it counts each round of a rep
 * instruction and no kernel instruction. Threads are followed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static void start(const char *library, char **command)
{
    if (library)
        setenv("LD_PRELOAD", library, 1);
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    execvp(command[0], command);
    fprintf(stderr, "steps: %s: %s\n", command[0], strerror(errno));
    _exit(127);
}

int main(int argc, char **argv)
{
    const char *library = NULL;
    unsigned long long steps = 0;
    int option, status, code = 1;

    while ((option = getopt(argc, argv, "+p:")) != -1) {
        if (option != 'p')
            return 2;
        if (optarg[0])
            library = optarg;
    }
    if (optind == argc) {
        fprintf(stderr, "usage: steps [-p LIBRARY] PROGRAM...\n");
        return 2;
    }
    cpu_set_t one; /* on one processor a step costs a quarter */
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);

    pid_t main_pid = fork();
    if (main_pid == 0)
        start(library, argv + optind);
    if (main_pid < 0 || waitpid(main_pid, &status, 0) < 0)
        return 2;
    ptrace(PTRACE_SETOPTIONS, main_pid, NULL,
           PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
    ptrace(PTRACE_CONT, main_pid, NULL, NULL); /* up to the exec's trap */

    pid_t pid;
    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        if (!WIFSTOPPED(status)) {
            if (pid == main_pid)
                code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
            continue;
        }
        int signal = WSTOPSIG(status);
        steps += signal == SIGTRAP && status >> 16 == 0;
        if (signal == SIGTRAP || signal == SIGSTOP)
            signal = 0;
        ptrace(PTRACE_SINGLESTEP, pid, NULL, (void *)(long)signal);
    }
    printf("%llu\n", steps);
    return code;
}
