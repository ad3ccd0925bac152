/* SPDX-License-Identifier: MIT */
/*
 * crimes.c - misuse of memory, one kind for each name, under libmerlon-fuzz.
 *
 *   crimes NAME [NUMBER]
 *
 * A crime that goes unnoticed ends with status 0. tests/fuzzalloc.sh says what
 * has to happen instead. Other names print addresses and contents.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "merlon/fuzz.h"
#include "refuse.h"

#pragma weak merlon_fuzz_reset
#pragma weak merlon_fuzz_verify
#pragma weak merlon_fuzz_seed

#pragma GCC diagnostic ignored "-Wuse-after-free"

/* The compiler must not know what a pointer points to. */
static char *hide(void *p)
{
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

static volatile char sink;
static long number;

/* ---- crimes: the number is a size or an offset --------------------------- */

static void write_behind(void)
{
    char *p = hide(malloc(24));
    p[24 + number] = 0;
    free(p);
}

static void read_behind(void)
{
    sink = hide(malloc(24))[24 + number];
}

static void write_before(void)
{
    char *p = hide(malloc(24));
    p[-number] = 0;
    free(p);
}

static void read_before(void)
{
    sink = hide(malloc(24))[-number];
}

/* Never freed: only a sweep can find it. */
static void write_behind_and_leave(void)
{
    hide(malloc(24))[24 + number] = 0;
}

static void write_behind_and_verify(void)
{
    write_behind_and_leave();
    merlon_fuzz_verify();
}

/* The same, and `number` operations follow; then the end without atexit. */
static void write_behind_and_go_on(void)
{
    hide(malloc(24))[24] = 0;
    for (long i = 0; i < number; i++)
        free(hide(malloc(8)));
    _exit(0);
}

static void read_after_free(void)
{
    char *p = hide(malloc((size_t)number));
    free(p);
    sink = hide(p)[number / 2];
}

static void write_after_free(void)
{
    char *p = hide(malloc((size_t)number));
    free(p);
    hide(p)[number - 1] = 1;
}

/* After many others were allocated and freed. */
static void write_long_after_free(void)
{
    char *p = hide(malloc(24));
    free(p);
    for (long i = 0; i < number; i++)
        free(hide(malloc(24)));
    hide(p)[0] = 1;
}

static void free_twice(void)
{
    char *p = hide(malloc((size_t)number));
    free(p);
    for (int i = 0; i < 100; i++)
        free(hide(malloc((size_t)number)));
    free(hide(p));
}

static void free_inside(void)
{
    free(hide(malloc(100000) + 0) + number);
}

static void free_foreign(void)
{
    char on_stack[64];
    free(hide(on_stack) + 16);
}

static void free_number(void)
{
    free(hide((void *)(uintptr_t)number));
}

static void use_after_realloc(void)
{
    char *p = hide(malloc(100));
    char *q = hide(realloc(p, (size_t)number));
    q[0] = 1;
    sink = hide(p)[0];
}

static void realloc_freed(void)
{
    char *p = hide(malloc(10));
    free(p);
    sink = *hide(realloc(hide(p), 20));
}

static void size_of_freed(void)
{
    char *p = hide(malloc(10));
    free(p);
    sink = (char)malloc_usable_size(hide(p));
}

static void use_nothing(void)
{
    sink = hide(malloc(0))[0];
}

/* In the page behind a large object, and behind that of aligned_alloc. */
static void behind_large(void)
{
    char *p = hide(malloc((size_t)number));
    memset(p, 1, (size_t)number);
    p[(number + 15) / 16 * 16] = 1;
}

static void behind_aligned(void)
{
    char *p = hide(aligned_alloc(64, 128));
    p[128] = 1;
}

/* A sandbox that lets nobody make memory inaccessible: what was freed is
   filled, and verified. */
static void write_after_lost(void)
{
    char *p = hide(malloc(24)), *q = hide(malloc(24));
    if (!refuse(true))
        exit(77);
    free(p);
    free(q);
    printf("%d\n", (unsigned char)hide(q)[3]);
    fflush(stdout);
    hide(p)[3] = 1;
    merlon_fuzz_verify();
}

/* The buffer of stdio counts as well, and the C library's own. */
static void limits_of_total(void)
{
    for (int i = 0; i < 7; i++)
        printf("%s%d", i ? " " : "", hide(malloc(16000)) != NULL);
    printf("\n");
}

static void limits(void)
{
    void *p = hide(malloc(1000)), *q = hide(malloc(1001));
    printf("%d %d", p != NULL, q != NULL || errno != ENOMEM);
    free(p);
    for (int i = 0; i < 5; i++)
        printf(" %d", hide(malloc(900)) != NULL);
    printf("\n");
}

/* ---- what can be seen ------------------------------------------------------ */

static void put(const void *p, size_t bytes)
{
    const unsigned char *byte = p;
    for (size_t i = 0; i < bytes; i++)
        printf("%02x", byte[i]);
    printf("\n");
}

static void contents(void)
{
    char *p = hide(malloc(4)), *q = hide(calloc(1, 4));
    put(p, 4);
    put(q, 4);
    memset(p, 1, 4);
    p = hide(realloc(p, 8));
    put(p, 8);
    put(hide(malloc(3 << 20)), 2);
}

/* A parser that forgets to set a field when its input is short. */
static void uninitialised(void)
{
    struct header {
        int length;
        int flags;
    } *header = (struct header *)(void *)hide(malloc(sizeof *header));
    header->length = 5;
    printf("length %d flags %d\n", header->length, header->flags);
}

static void walk(char *text, size_t bytes, unsigned seed)
{
    char *live[50] = {NULL};
    uint64_t sum = 0;
    for (int i = 0; i < 4000; i++) {
        unsigned k = (seed = seed * 1103515245 + 12345) >> 16 & 31;
        size_t size = seed >> 8 & 1023;
        if (i % 7 == 0)
            live[k] = hide(realloc(live[k], size + 1));
        else
            free(live[k]), live[k] = hide(i % 5 ? malloc(size)
                                          : memalign(256, size));
        sum = sum * 31 + (uintptr_t)live[k];
        if (i == 3999)
            snprintf(text, bytes, "%p %016llx", (void *)live[k],
                     (unsigned long long)sum);
    }
    for (int i = 0; i < 50; i++)
        free(live[i]);
}

static void addresses(void)
{
    char text[64];
    for (long i = 0; i < number; i++) {
        walk(text, sizeof text, (unsigned)i);
        puts(text);
    }
}

static void *walk_in_thread(void *arg)
{
    walk(arg, 64, 7);
    return NULL;
}

/* Threads that run at the same time, but begin one after the other. */
struct walker {
    pthread_t thread;
    pthread_barrier_t gate;
    char text[64];
};

static void *thread_main(void *arg)
{
    struct walker *walker = arg;
    free(hide(malloc(1)));
    pthread_barrier_wait(&walker->gate);
    return walk_in_thread(walker->text);
}

static void thread_addresses(void)
{
    enum { COUNT = 8 };
    static struct walker walker[COUNT];
    for (int i = 0; i < COUNT; i++) {
        pthread_barrier_init(&walker[i].gate, NULL, 2);
        pthread_create(&walker[i].thread, NULL, thread_main, &walker[i]);
        pthread_barrier_wait(&walker[i].gate);
    }
    for (int i = 0; i < COUNT; i++) {
        pthread_join(walker[i].thread, NULL);
        puts(walker[i].text);
    }
}

/* A fork server: its children are all alike, and so is what they draw. */
static void fork_addresses(void)
{
    char text[64];
    free(hide(malloc(1)));
    fflush(stdout);
    for (long i = 0; i < number; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            walk(text, sizeof text, 3);
            for (int k = 0; k < 64; k++)
                putchar(hide(malloc(1)) ? '.' : 'N');
            printf(" %s\n", text);
            exit(0);
        }
        waitpid(pid, NULL, 0);
    }
}

/* The same while another thread of the parent is always in the allocator. */
static volatile int stop;
static void *churn(void *arg)
{
    while (!stop)
        free(hide(malloc(50)));
    return arg;
}

static void fork_from_threads(void)
{
    pthread_t thread[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&thread[i], NULL, churn, NULL);
    for (long i = 0; i < number; i++) {
        pid_t pid = fork();
        int status;
        if (pid == 0) {
            char text[64];
            alarm(20);
            walk(text, sizeof text, 3);
            _exit(42);
        }
        if (waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 42)
            exit(1);
    }
    stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
}

/* Objects wander from thread to thread while all slack is being verified. */
enum { STATIONS = 64 };
static char *station[STATIONS];

static void *carry(void *arg)
{
    unsigned at = (unsigned)(uintptr_t)arg;
    for (long i = 0; i < number; i++) {
        size_t bytes = (size_t)(i * 7 % 300);
        char *p = hide(malloc(bytes));
        memset(p, 5, bytes);
        at = at * 1103515245 + 12345;
        free(__atomic_exchange_n(&station[at >> 20 & (STATIONS - 1)], p,
                                 __ATOMIC_ACQ_REL));
    }
    return NULL;
}

static void exchange(void)
{
    enum { COUNT = 6 };
    pthread_t thread[COUNT];
    size_t before = merlon_fuzz_verify();
    for (int i = 0; i < COUNT; i++)
        pthread_create(&thread[i], NULL, carry, (void *)(uintptr_t)i);
    for (int i = 0; i < 20; i++)
        merlon_fuzz_verify();
    for (int i = 0; i < COUNT; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < STATIONS; i++)
        free(station[i]);
    /* What pthread_create keeps for the next threads may stay. */
    size_t after = merlon_fuzz_verify();
    printf("%s\n", after <= before + COUNT ? "all gone" : "some are left");
}

/* Many iterations; one object is left behind in each. */
static void iterations(int how)
{
    char text[64], first[64] = "";
    for (long i = 0; i <= number; i++) {
        size_t left = merlon_fuzz_reset(how);
        if (left != (i == 0 ? 0 : how == MERLON_FUZZ_DROP ? 1 : (size_t)i))
            printf("%zu objects left\n", left);
        char *kept = hide(malloc(77));
        kept[76] = 1;
        walk(text, sizeof text, 5);
        if (i == 0)
            strcpy(first, text);
        else if (strcmp(first, text) != 0)
            break;
    }
    puts(strcmp(first, text) == 0 ? "all alike" : "not alike");
}

static void dropped_iterations(void)
{
    iterations(MERLON_FUZZ_DROP);
}

static void kept_iterations(void)
{
    iterations(MERLON_FUZZ_KEEP);
}

/* What lived before the mark stays as it is. */
static void mark_keeps(void)
{
    char *before = hide(malloc(10));
    strcpy(before, "still me");
    merlon_fuzz_reset(MERLON_FUZZ_MARK);
    char *dropped = hide(malloc(10));
    printf("%zu ", merlon_fuzz_reset(MERLON_FUZZ_DROP));
    char *again = hide(malloc(10));
    printf("%s %d\n", before, dropped == again);
    free(before);
}

static void used_after_reset(void)
{
    merlon_fuzz_reset(MERLON_FUZZ_MARK);
    char *p = hide(malloc(10));
    merlon_fuzz_reset(MERLON_FUZZ_DROP);
    sink = p[0];
}

/* Distance of the ends of objects from what cannot be accessed. */
static void sides(void)
{
    int left = 0, right = 0;
    for (int i = 0; i < 400; i++) {
        uintptr_t p = (uintptr_t)hide(malloc(48));
        left += p % 4096 == 0;
        right += (p + 48) % 4096 == 0;
    }
    printf("%s\n", left + right != 400 ? "loose" : left == 0 ? "right"
           : right == 0 ? "left" : left > 100 && right > 100 ? "both"
           : "few");
}

static void alignment(void)
{
    for (size_t n = 1; n <= 64; n++) {
        char *p = hide(malloc(n));
        if ((uintptr_t)p % (size_t)number != 0 || malloc_usable_size(p) != n)
            printf("%p of %zu\n", (void *)p, n);
        if (number == 1 && ((uintptr_t)p + n) % 4096 != 0)
            printf("%p of %zu does not end at a page\n", (void *)p, n);
    }
}

static void reuse(void)
{
    char *first = hide(malloc(24));
    free(first);
    for (long i = 1; i <= number; i++) {
        char *p = hide(malloc(24));
        if (p == first) {
            printf("after %ld\n", i);
            return;
        }
        free(p);
    }
    puts("never");
}

static void failures(void)
{
    for (long i = 0; i < number; i++)
        putchar(hide(malloc(8)) ? '.' : 'N');
    putchar('\n');
}

/* How many mappings do objects cost? */
static void mappings(void)
{
    int lines[2] = {0, 0};
    for (int k = 0; k < 2; k++) {
        FILE *maps = fopen("/proc/self/maps", "r");
        for (int c; (c = getc(maps)) != EOF;)
            lines[k] += c == '\n';
        fclose(maps);
        for (long i = 0; k == 0 && i < number; i++) {
            char *p = hide(malloc(100));
            if (i % 3)
                free(p);
        }
    }
    printf("%s\n", lines[1] - lines[0] < 20 ? "few" : "many");
}

static void leave(void)
{
    for (long i = 0; i < number; i++)
        sink = *hide(malloc(10));
}

static void seed(void)
{
    printf("%u\n", merlon_fuzz_seed());
}

/* ---- by name ------------------------------------------------------------------- */

#define ENTRY(name) {#name, name}
static const struct {
    const char *name;
    void (*run)(void);
} table[] = {
    ENTRY(write_behind), ENTRY(read_behind), ENTRY(write_before),
    ENTRY(read_before), ENTRY(write_behind_and_leave),
    ENTRY(write_behind_and_verify), ENTRY(write_behind_and_go_on),
    ENTRY(limits_of_total), ENTRY(leave), ENTRY(read_after_free),
    ENTRY(write_after_free), ENTRY(write_long_after_free), ENTRY(free_twice),
    ENTRY(free_inside), ENTRY(free_foreign), ENTRY(free_number),
    ENTRY(use_after_realloc), ENTRY(realloc_freed), ENTRY(size_of_freed),
    ENTRY(use_nothing), ENTRY(behind_large), ENTRY(behind_aligned),
    ENTRY(write_after_lost), ENTRY(limits), ENTRY(contents),
    ENTRY(uninitialised), ENTRY(addresses), ENTRY(thread_addresses),
    ENTRY(fork_addresses), ENTRY(fork_from_threads),
    ENTRY(dropped_iterations), ENTRY(kept_iterations), ENTRY(mark_keeps),
    ENTRY(used_after_reset), ENTRY(sides), ENTRY(alignment), ENTRY(reuse),
    ENTRY(failures), ENTRY(mappings), ENTRY(seed),
    ENTRY(exchange),
};

int main(int argc, char **argv)
{
    static char buffer[1 << 16];

    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    number = argc > 2 ? atol(argv[2]) : 0;
    for (size_t i = 0; argc > 1 && i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].name, argv[1]) == 0) {
            table[i].run();
            return 0;
        }
    }
    fprintf(stderr, "crimes: no crime of this name\n");
    return 2;
}
