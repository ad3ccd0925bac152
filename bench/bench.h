/* SPDX-License-Identifier: MIT */
/*
 * bench.h - the little that every pattern needs.
 *
 * A pattern is a program of at most 40 lines that calls malloc and free as a
 * program would. Its first argument is the number of operations, so that two
 * runs can be subtracted. Compiled with BENCH_NULL, the same program calls
 * stand-ins that do nothing: what it then costs is the loop, to be subtracted.
 *
 * Invariant: the null program has the same loop, instruction by instruction:
 * the stand-ins are opaque to the compiler (noipa) just as malloc is.
 */
#ifndef BENCH_H
#define BENCH_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The compiler must take p for used, and memory for changed. */
static inline void keep(void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* Argument number i, or `otherwise` when it is not there. */
static inline long number(int argc, char **argv, int i, long otherwise)
{
    return i < argc ? strtol(argv[i], NULL, 10) : otherwise;
}

/* xorshift64*: the same numbers in every run; the state is not zero. */
static inline uint64_t draw(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du >> 32;
}

/* A number from 0 to below - 1. */
static inline uint64_t draw_below(uint64_t *state, uint64_t below)
{
    return draw(state) * below >> 32;
}

/* Write a byte to each page of a block, and to its last byte. */
static inline void touch(void *p, size_t bytes)
{
    volatile char *c = p;
    for (size_t i = 0; i < bytes; i += 4096)
        c[i] = 1;
    c[bytes - 1] = 1;
}

enum { THREAD_LIMIT = 64 };

/* Start `count` threads on work(0), work(1), ... and wait for them all. */
static inline void together(long count, void *(*work)(void *))
{
    pthread_t thread[THREAD_LIMIT];

    count = count > THREAD_LIMIT ? THREAD_LIMIT : count;
    for (long t = 0; t < count; t++)
        if (pthread_create(&thread[t], NULL, work, (void *)t) != 0)
            exit(1);
    for (long t = 0; t < count; t++)
        pthread_join(thread[t], NULL);
}

#ifdef BENCH_NULL
#ifdef __clang__
#define OPAQUE __attribute__((noinline, unused)) static
#else
#define OPAQUE __attribute__((noipa, unused)) static
#endif

static char null_block[4 << 20];

/* Two instructions each, free one: bench/count adds them back. */
OPAQUE void *null_malloc(size_t bytes)
{
    void *block = null_block;
    __asm__ volatile("" : "+r"(block) : "r"(bytes) : "memory");
    return block;
}

OPAQUE void *null_calloc(size_t count, size_t bytes)
{
    void *block = null_block;
    __asm__ volatile("" : "+r"(block) : "r"(count), "r"(bytes) : "memory");
    return block;
}

OPAQUE void *null_realloc(void *p, size_t bytes)
{
    void *block = null_block;
    __asm__ volatile("" : "+r"(block) : "r"(p), "r"(bytes) : "memory");
    return block;
}

OPAQUE void null_free(void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

#define malloc null_malloc
#define calloc null_calloc
#define realloc null_realloc
#define free null_free
#endif

#endif
