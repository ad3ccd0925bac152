/* SPDX-License-Identifier: MIT */
/*
 * timed.c - runs one program under an allocator and prints what it used.
 *
 *     timed [-p LIBRARY] [-o FILE] PROGRAM [ARGUMENT...]
 *
 * One line of JSON on FILE, else on descriptor 2: wall, user and system time
 * in seconds, the largest resident set in KiB (of the largest process in the
 * tree), page faults, the largest VmPTE seen (sampled; of PROGRAM alone), and
 * the exit status.
 *
 * The library is put into LD_PRELOAD of the program only: this runner stays
 * small, so that its own memory is never the largest in the tree.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLE_MS = 10 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* VmPTE of a process in KiB, 0 when it is gone. */
static long page_tables(pid_t pid)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = 0;
    const char *line = strstr(text, "VmPTE:");
    return line ? strtol(line + 6, NULL, 10) : 0;
}

static pid_t start(const char *library, char **command)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    if (library)
        setenv("LD_PRELOAD", library, 1);
    execvp(command[0], command);
    fprintf(stderr, "timed: %s: %s\n", command[0], strerror(errno));
    _exit(127);
}

static volatile sig_atomic_t child;

/* Whoever ends the runner ends the program. */
static void pass_on(int signal)
{
    if (child > 0)
        kill((pid_t)child, signal);
}

int main(int argc, char **argv)
{
    const char *library = NULL, *file = NULL;
    int option;
    while ((option = getopt(argc, argv, "+p:o:")) != -1) {
        if (option == 'p' && optarg[0])
            library = optarg;
        else if (option == 'o')
            file = optarg;
        else if (option != 'p')
            return 2;
    }
    if (optind == argc) {
        fprintf(stderr, "usage: timed [-p LIBRARY] [-o FILE] PROGRAM...\n");
        return 2;
    }
    signal(SIGTERM, pass_on);
    signal(SIGINT, pass_on);

    double begin = now();
    pid_t pid = start(library, argv + optind);
    if (pid < 0)
        return 2;
    child = pid;

    struct pollfd end = { .fd = (int)syscall(SYS_pidfd_open, pid, 0),
                          .events = POLLIN };
    long tables = 0;
    while (end.fd >= 0 && poll(&end, 1, SAMPLE_MS) <= 0) {
        long seen = page_tables(pid);
        tables = seen > tables ? seen : tables;
    }
    int status;
    struct rusage used;
    while (wait4(pid, &status, 0, &used) < 0)
        if (errno != EINTR)
            return 2;
    double wall = now() - begin;
    int code = WIFEXITED(status) ? WEXITSTATUS(status)
                                 : 128 + WTERMSIG(status);

    FILE *out = file ? fopen(file, "w") : stderr;
    if (!out) {
        fprintf(stderr, "timed: %s: %s\n", file, strerror(errno));
        return 2;
    }
    fprintf(out, "{\"wall\": %.6f, \"user\": %.6f, \"system\": %.6f, "
            "\"rss_kib\": %ld, \"minor\": %ld, \"major\": %ld, "
            "\"pte_kib\": %ld, \"status\": %d}\n", wall, seconds(used.ru_utime),
            seconds(used.ru_stime), used.ru_maxrss, used.ru_minflt,
            used.ru_majflt, tables, code);
    return fclose(out) == 0 ? code : 2;
}
