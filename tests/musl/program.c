/* SPDX-License-Identifier: MIT */
/*
 * program.c - a static program for musl whose malloc is merlon's: threads that
 * free each other's objects, a fork, musl's own functions that allocate. With
 * an argument it frees twice.
 */
#define _GNU_SOURCE
#include <merlon/merlon.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 20000, PLACES = 512 };

static char *place[PLACES];

static void *run(void *arg)
{
    unsigned seed = (unsigned)(size_t)arg;

    for (int i = 0; i < ROUNDS; i++) {
        size_t bytes = 1 + (size_t)rand_r(&seed) % 3000;
        char *p = realloc(malloc(bytes / 2 + 1), bytes);
        if (p == NULL)
            abort();
        memset(p, 1, bytes);
        unsigned at = (unsigned)rand_r(&seed) % PLACES;
        free(__atomic_exchange_n(&place[at], p, __ATOMIC_ACQ_REL));
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread[THREADS];
    char *text = NULL;
    int status = -1;

    if (argc > 1) {
        char *volatile p = strdup(argv[1]);
        free(p);
        free(p);
        return 1;
    }
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, run, (void *)(i + 1)) != 0)
            return 1;
    pid_t child = fork();
    if (child == 0) {
        run((void *)9);
        _exit(0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    if (waitpid(child, &status, 0) != child || status != 0)
        return 1;
    /* Both sets of names serve one heap. */
    if (asprintf(&text, "%s %zu", merlon_version(),
                 merlon_malloc_usable_size(place[0])) < 0)
        return 1;
    merlon_free(text);
    return 0;
}
