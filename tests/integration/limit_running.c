/* SPDX-License-Identifier: MIT */
/*
 * limit_running.c - a program that limits its address space while it runs, as
 * vsftpd does in its children.
 *
 *   limit_running MIB BYTES WAY   has MIB of objects of BYTES, then sets 200 MB
 *
 * WAY: setrlimit, prlimit, vfork (the child sets it, and this one is used
 * again afterwards).
 *
 * The limit means the program's memory: nearly all that it leaves can be mapped,
 * getrlimit says what was asked, the kernel was told at most 64 MiB more, and
 * so is a program that is started then. Objects stay whole, the heap works on
 * at the limit, and what the program maps where merlon was is not merlon's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20, LIMIT_MIB = 200, ALLOWANCE_MIB = 64, SLACK_MIB = 12 };

static void fail(const char *text)
{
    if (write(1, text, strlen(text)) < 0 || write(1, "\n", 1) < 0)
        _exit(3);
    _exit(1);
}

/* What the kernel has, whoever has taken the C library's names. */
static uint64_t kernel_limit(void)
{
    uint64_t limit[2];

    if (syscall(SYS_prlimit64, 0, RLIMIT_AS, NULL, limit) != 0)
        fail("prlimit64");
    return limit[0];
}

struct object {
    struct object *next;
    size_t number;
};

static struct object *fill(struct object *chain, size_t bytes, size_t most)
{
    for (size_t i = 0; i < most; i++) {
        struct object *object = malloc(bytes);
        if (object == NULL) {
            if (errno != ENOMEM)
                fail("malloc: errno is not ENOMEM");
            break;
        }
        memset(object, 0x5a, bytes);
        object->number = chain != NULL ? chain->number + 1 : 1;
        object->next = chain;
        chain = object;
    }
    return chain;
}

/* Down to the object that is to stay. */
static void empty(struct object *chain, const struct object *last,
                  size_t bytes)
{
    while (chain != last) {
        struct object *next = chain->next;
        for (size_t i = sizeof *chain; i < bytes; i += 512)
            if (((char *)chain)[i] != 0x5a)
                fail("an object has changed");
        if (chain->number != (next != NULL ? next->number : 0) + 1)
            fail("the chain has changed");
        free(chain);
        chain = next;
    }
}

static void *run(void *arg)
{
    void *p = malloc(1000);
    if (p == NULL)
        fail("malloc in a thread");
    free(p);
    return arg;
}

static void set_limit(const char *way, rlim_t bytes)
{
    struct rlimit limit, old;

    if (getrlimit(RLIMIT_AS, &limit) != 0)
        fail("getrlimit");
    limit.rlim_cur = bytes;
    if (strcmp(way, "prlimit") != 0) {
        if (setrlimit(RLIMIT_AS, &limit) != 0)
            fail("setrlimit");
    } else if (prlimit(getpid(), RLIMIT_AS, &limit, &old) != 0
               || old.rlim_cur == bytes) {
        fail("prlimit");
    }
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != bytes)
        fail("getrlimit says something else");
    if (prlimit(0, RLIMIT_AS, NULL, &limit) != 0 || limit.rlim_cur != bytes)
        fail("prlimit says something else");
    if (bytes != RLIM_INFINITY
        && (kernel_limit() < bytes
            || kernel_limit() > bytes + (rlim_t)ALLOWANCE_MIB * MIB))
        fail("the kernel was told more than 64 MiB too much");
    limit.rlim_cur = 2;
    limit.rlim_max = 1;
    if (setrlimit(RLIMIT_AS, &limit) != -1 || errno != EINVAL)
        fail("a soft limit above the hard one");
}

/* Map as much as there is, a MiB at a time; all of it is the program's. */
static size_t map_all(char **map, size_t most)
{
    size_t count = 0;

    while (count < most) {
        map[count] = mmap(NULL, MIB, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map[count] == MAP_FAILED)
            break;
        memset(map[count++], 0x77, 4096);
    }
    return count;
}

static void check_maps(char **map, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < 4096; at++)
            if (map[i][at] != 0x77)
                fail("merlon wrote to the program's mapping");
        munmap(map[i], MIB);
    }
}

static void at_the_limit(size_t used_mib, struct object **chain, size_t bytes)
{
    static char *map[LIMIT_MIB + ALLOWANCE_MIB];
    struct object *old = *chain;
    pthread_t thread;
    size_t count = map_all(map, LIMIT_MIB + ALLOWANCE_MIB);

    /* In addresses a large object takes a power of two of 64 KiB. */
    used_mib += bytes > 256 << 10 ? used_mib : used_mib / 4;
    if (count + used_mib + SLACK_MIB < LIMIT_MIB) {
        dprintf(1, "only %zu MiB can be mapped\n", count);
        fail("the limit does not mean the program's memory");
    }
    if (count > LIMIT_MIB)
        fail("the limit does not limit");
    *chain = fill(*chain, bytes, (size_t)-1);
    empty(*chain, old, bytes);
    *chain = old;
    check_maps(map, count);
    if (pthread_create(&thread, NULL, run, NULL) != 0
        || pthread_join(thread, NULL) != 0)
        fail("a thread");
    /* And arenas are opened where the maps were. */
    *chain = fill(*chain, bytes, (size_t)16 * MIB / bytes);
    if ((*chain)->number < (old != NULL ? old->number : 0)
        + (size_t)16 * MIB / bytes)
        fail("no heap behind the first arena");
}

/* The program that is started: what is its limit? */
static int show(void)
{
    char *p = malloc(100000);

    if (p == NULL)
        return 1;
    free(p);
    return kernel_limit() > (uint64_t)(LIMIT_MIB + ALLOWANCE_MIB) * MIB;
}

static void start_another(char *self)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        execl(self, self, "show", (char *)NULL);
        _exit(9);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        fail("the program that was started");
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "show") == 0)
        return show();
    if (argc != 4)
        return 2;
    /* No pointer at all: a question whether one may ask. */
    if (prlimit(0, RLIMIT_AS, NULL, NULL) != 0
        || prlimit64(0, RLIMIT_AS, NULL, NULL) != 0)
        fail("prlimit without limits");
    size_t mib = strtoul(argv[1], NULL, 0), bytes = strtoul(argv[2], NULL, 0);
    struct object *chain = fill(NULL, bytes, mib * MIB / bytes);
    if (strcmp(argv[3], "vfork") == 0) {
        int status;
        pid_t child = vfork();
        if (child == 0) {
            struct rlimit limit = {(rlim_t)LIMIT_MIB * MIB, RLIM_INFINITY};
            if (setrlimit(RLIMIT_AS, &limit) == 0)
                execl(argv[0], argv[0], "show", (char *)NULL);
            _exit(9);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            fail("the child of vfork");
    }
    set_limit(argv[3], (rlim_t)LIMIT_MIB * MIB);
    start_another(argv[0]);
    at_the_limit(mib, &chain, bytes);
    /* Lower, and higher again. What the heap has had, it may keep. */
    empty(chain, NULL, bytes);
    set_limit(argv[3], (rlim_t)(LIMIT_MIB / 2) * MIB);
    set_limit(argv[3], (rlim_t)LIMIT_MIB * MIB);
    chain = NULL;
    at_the_limit(LIMIT_MIB, &chain, bytes);
    set_limit(argv[3], RLIM_INFINITY);
    chain = fill(chain, bytes, (size_t)256 * MIB / bytes);
    if (chain == NULL || chain->number < (size_t)256 * MIB / bytes)
        fail("no memory without a limit");
    puts("done");
    return 0;
}
