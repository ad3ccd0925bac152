/* SPDX-License-Identifier: MIT */
/*
 * threads.c - what a thousand threads cost that have ten small objects each:
 * KiB for a thread while they live, and when they have ended.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 1000, OBJECTS = 10, STACK_BYTES = 64 << 10 };

static pthread_barrier_t begin, allocated, end;

static long rss_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1)
        exit(1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void *run(void *arg)
{
    void *object[OBJECTS];

    pthread_barrier_wait(&begin);
    for (int i = 0; i < OBJECTS; i++)
        memset(object[i] = malloc((size_t)(20 + 30 * i)), 1, 20);
    pthread_barrier_wait(&allocated);
    pthread_barrier_wait(&end);
    for (int i = 0; i < OBJECTS; i++)
        free(object[i]);
    return arg;
}

int main(void)
{
    static pthread_t thread[THREADS];
    pthread_attr_t attributes;
    long before, during, after;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_barrier_init(&begin, NULL, THREADS + 1);
    pthread_barrier_init(&allocated, NULL, THREADS + 1);
    pthread_barrier_init(&end, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], &attributes, run, NULL) != 0)
            return 1;
    sleep(1);
    before = rss_kib();
    pthread_barrier_wait(&begin);
    pthread_barrier_wait(&allocated);
    during = rss_kib();
    pthread_barrier_wait(&end);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    malloc_trim(0);
    after = rss_kib();
    printf("%ld %ld\n", (during - before) / THREADS,
           after > before ? (after - before) / THREADS : 0);
    return 0;
}
