/* SPDX-License-Identifier: MIT */
/*
 * rlimit.c - a program that uses up what `ulimit -v` leaves it.
 *
 *   rlimit BYTES   allocates objects of BYTES until there are no more
 *
 * When memory ends, each call says NULL and ENOMEM; what was allocated before
 * is whole; and what is freed then can be allocated again. Prints nothing of
 * what depends on the allocator.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct object {
    struct object *next;
    size_t number;
};

static void fail(const char *text)
{
    if (write(1, text, strlen(text)) < 0 || write(1, "\n", 1) < 0)
        _exit(3);
    _exit(1);
}

static size_t fill(struct object **chain, size_t bytes, size_t most)
{
    size_t count = 0;
    while (count < most) {
        errno = 0;
        struct object *object = malloc(bytes);
        if (object == NULL) {
            if (errno != ENOMEM)
                fail("malloc: errno is not ENOMEM");
            break;
        }
        object->next = *chain;
        object->number = count++;
        ((char *)object)[bytes - 1] |= 1;
        *chain = object;
    }
    return count;
}

static void expect_no_memory(const void *p, const char *text)
{
    if (p != NULL || errno != ENOMEM)
        fail(text);
    errno = 0;
}

static void empty(struct object *chain, size_t count)
{
    while (chain != NULL) {
        struct object *next = chain->next;
        if (chain->number != --count)
            fail("an object has changed");
        free(chain);
        chain = next;
    }
}

static void *run(void *arg)
{
    free(malloc(100));
    return arg;
}

/* The heap must leave room for the stacks of a few threads. */
static void run_threads(void)
{
    enum { THREADS = 8 };
    pthread_t thread[THREADS];
    free(malloc(100));
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, run, NULL) != 0)
            fail("pthread_create");
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}

int main(int argc, char **argv)
{
    size_t bytes = argc > 1 ? strtoul(argv[1], NULL, 0) : 64;
    struct object *chain = NULL;
    run_threads();
    size_t first = fill(&chain, bytes, (size_t)-1);
    if (first * bytes < ((size_t)64 << 20))
        fail("less than 64 MiB could be had");
    errno = 0;
    size_t vast = (size_t)600 << 20;
    expect_no_memory(malloc(vast), "malloc");
    expect_no_memory(calloc(vast, 1), "calloc");
    expect_no_memory(realloc(chain, vast), "realloc");
    expect_no_memory(aligned_alloc(65536, vast), "aligned_alloc");
    if (chain->number != first - 1)
        fail("realloc changed what it could not move");
    empty(chain, first);

    /* Twice: what was given back can be had again, nearly all of it. */
    for (int round = 0; round < 2; round++) {
        chain = NULL;
        size_t again = fill(&chain, bytes, first);
        if (again < first - first / 8)
            fail("freed memory did not come back");
        empty(chain, again);
    }
    puts("done");
    return 0;
}
