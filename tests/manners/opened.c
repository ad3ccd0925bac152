/* SPDX-License-Identifier: MIT */
/*
 * opened.c - merlon as somebody's plugin: opened by dlopen, used by name, and
 * the C library's malloc beside it.
 *
 *   opened LIBRARY
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, OBJECTS = 500 };

static void *(*take)(size_t);
static void *(*grow)(void *, size_t);
static void (*drop)(void *);
static int same;

static void *run(void *arg)
{
    char *object[OBJECTS];

    for (int i = 0; i < OBJECTS; i++)
        memset(object[i] = take((size_t)i * 997), 1, (size_t)i);
    for (int i = 0; i < OBJECTS; i++)
        drop(object[i]);
    drop(grow(take(10), 1000000));
    free(strdup("the C library's"));
    same += take == malloc;
    return arg;
}

int main(int argc, char **argv)
{
    pthread_t thread[THREADS];
    void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    int (*info)(void);

    if (library == NULL) {
        puts(dlerror());
        return 1;
    }
    take = (void *(*)(size_t))dlsym(library, "merlon_malloc");
    grow = (void *(*)(void *, size_t))dlsym(library, "merlon_realloc");
    drop = (void (*)(void *))dlsym(library, "merlon_free");
    info = (int (*)(void))dlsym(library, "merlon_malloc_trim");
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, run, NULL) != 0)
            return 2;
    run(NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    if (!info() || same != 0) /* it had something: it was not aside */
        return 3;
    dlclose(library);
    run(NULL);
    return 0;
}
