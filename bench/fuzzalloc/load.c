/* SPDX-License-Identifier: MIT */
/*
 * load.c - what a fuzzed program asks of an allocator.
 *
 *   load pairs COUNT LIVE BYTES   free one of LIVE objects, allocate another
 *   load live COUNT BYTES         allocate COUNT objects, then free them
 *
 * One line: CPU nanoseconds for each allocation and its free, allocations that
 * succeeded, peak RSS in KiB, mappings at the end of the first half.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* No allocation may fail here: read(2) alone. */
static long mappings(void)
{
    static char buffer[1 << 16];
    long lines = 0;
    int file = open("/proc/self/maps", O_RDONLY);
    for (ssize_t n; (n = read(file, buffer, sizeof buffer)) > 0;)
        for (ssize_t i = 0; i < n; i++)
            lines += buffer[i] == '\n';
    close(file);
    return lines;
}

static void *object(size_t bytes, long *succeeded)
{
    char *p = malloc(bytes);
    if (p) {
        *(volatile char *)p = 1;
        ++*succeeded;
    }
    return p;
}

int main(int argc, char **argv)
{
    static void *slot[1 << 20];
    long count = argc > 2 ? atol(argv[2]) : 0, succeeded = 0, maps = 0;
    double began = now(), spent = 0;
    struct rusage usage;

    if (argc == 5 && strcmp(argv[1], "pairs") == 0) {
        long live = atol(argv[3]);
        for (long i = 0; i < count; i++) {
            free(slot[i % live]);
            slot[i % live] = object((size_t)atol(argv[4]), &succeeded);
        }
        spent = now() - began;
        maps = mappings();
    } else if (argc == 4 && strcmp(argv[1], "live") == 0) {
        for (long i = 0; i < count; i++)
            slot[i] = object((size_t)atol(argv[3]), &succeeded);
        spent = now() - began;
        maps = mappings();
        began = now();
        for (long i = 0; i < count; i++)
            free(slot[i]);
        spent += now() - began;
    } else {
        return 2;
    }
    getrusage(RUSAGE_SELF, &usage);
    dprintf(1, "%.0f %ld %ld %ld\n", spent / (double)count, succeeded,
            usage.ru_maxrss, maps);
    return 0;
}
