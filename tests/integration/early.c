/* SPDX-License-Identifier: MIT */
/*
 * early.c - a program that allocates where few do: before main, in
 * thread-specific destructors, at exit, and after that.
 *
 * Run it with merlon preloaded. It prints one line for each place, always the
 * same, and ends with 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIVE = 64 };

static char *live[LIVE];
static int errno_at_start = -1;
static pthread_key_t key;

static void say(const char *text)
{
    if (write(1, text, strlen(text)) < 0)
        _exit(3);
}

static void fail(const char *text)
{
    say("failed: ");
    say(text);
    say("\n");
    _exit(1);
}

/* Replace every live block, checking what the last place left in it. */
static void work(const char *place)
{
    for (int i = 0; i < LIVE; i++) {
        size_t bytes = (size_t)(20 + i * i * 40);
        if (live[i] != NULL && (live[i][0] != i || live[i][bytes - 1] != i))
            fail(place);
        char *p = i % 3 == 0 ? calloc(1, bytes) : malloc(bytes);
        if (p == NULL || ((size_t)p & 15) != 0)
            fail(place);
        if (i % 3 == 0 && (p[0] | p[bytes / 2] | p[bytes - 1]) != 0)
            fail(place);
        memset(p, i, bytes);
        free(live[i]);
        live[i] = p;
        if (i % 5 == 0) {
            live[i] = realloc(p, bytes * 2);
            if (live[i] == NULL || live[i][bytes - 1] != i)
                fail(place);
        }
    }
    say(place);
    say("\n");
}

/* The very first code of the program's own. */
static void first(int argc, char **argv, char **environment)
{
    (void)argc;
    (void)argv;
    (void)environment;
    errno = 0;
    work("preinit_array");
    if (errno != 0)
        fail("errno in preinit_array");
}
__attribute__((section(".preinit_array"), used)) static void (*const entry)(
    int, char **, char **) = first;

__attribute__((constructor(101))) static void early(void)
{
    work("constructor");
}

static void at_exit_again(void)
{
    work("atexit from atexit");
}

static void at_exit(void)
{
    work("atexit");
    atexit(at_exit_again);
}

__attribute__((destructor(101))) static void late(void)
{
    work("destructor");
}

__attribute__((section(".fini_array.00001"), used)) static void (*const last)(
    void) = late;

/* ---- the ends of threads ---- */

/* glibc and libstdc++ end C++'s thread_local objects through this one. */
extern int __cxa_thread_atexit_impl(void (*call)(void *), void *arg,
                                    void *module);
extern void *__dso_handle;

static void end_of_object(void *p)
{
    free(p);
    free(malloc(1000));
    /* The first destructor of a key comes only after this. */
    pthread_setspecific(key, malloc(30));
}

static void end_of_key(void *p)
{
    static _Thread_local int round;
    free(p);
    free(malloc(5000));
    if (++round < 4)
        pthread_setspecific(key, malloc(40));
}

static void *run(void *arg)
{
    void *p = malloc(100);
    free(arg);
    if (p == NULL ||
        __cxa_thread_atexit_impl(end_of_object, p, &__dso_handle) != 0)
        fail("thread");
    return malloc(200);
}

/* Nothing of malloc in it but what happens at its end. */
static void *run_idle(void *arg)
{
    pthread_setspecific(key, arg);
    return NULL;
}

static void run_threads(void)
{
    for (int i = 0; i < 200; i++) {
        pthread_t thread[2];
        void *result = NULL;
        if (pthread_create(&thread[0], NULL, run, malloc(50)) != 0 ||
            pthread_create(&thread[1], NULL, run_idle, malloc(60)) != 0)
            fail("pthread_create");
        pthread_join(thread[0], &result);
        free(result);
        pthread_join(thread[1], NULL);
    }
    say("threads\n");
}

/* A thread that goes on while the process ends under it. */
static void *run_for_ever(void *arg)
{
    (void)arg;
    for (size_t i = 0;; i++)
        free(malloc(i % 3000));
    return NULL;
}

int main(void)
{
    errno_at_start = errno;
    if (errno_at_start != 0)
        fail("errno is not 0 at the start of main");
    work("main");
    if (errno != 0)
        fail("errno in main");
    pthread_key_create(&key, end_of_key);
    run_threads();
    atexit(at_exit);
    pthread_t thread;
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, NULL, run_for_ever, NULL);
    /* stdio has a buffer of its own, flushed after all of this. */
    setvbuf(stdout, NULL, _IOFBF, 4096);
    printf("stdio\n");
    return 0;
}
