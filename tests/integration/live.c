/* SPDX-License-Identifier: MIT */
/*
 * live.c - a program that puts itself into a hard place, and lives there.
 *
 *   live WORD...      does what the words say, in this order:
 *
 * data=MIB nproc=N memlock=N files=N   set a limit
 * mlockall          lock all memory that is to come
 * mlockall-now      lock all memory; what merlon reserved is not memory
 * maps              use up the mappings that a process may have, but for a few
 * chroot=DIR        go there
 * filter=NAME       enter a sandbox: system-service, openssh, no-open
 * may-fail          NULL is an answer from now on
 * partner           start a thread that frees what this one allocates
 * stacks            the workload, in threads with stacks of 64 KiB
 * run               the workload
 * exec              become this program anew, with the words that follow
 *
 * Prints "lived" in the end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../support/sandbox.c"
#include "../support/workload.c"

enum { ROUNDS_HERE = 3, STACK_BYTES = 64 << 10, STACKS = 6 };

static struct workload calls = {malloc, calloc, realloc, free, malloc_trim,
                                false};

static const struct sandbox_rule system_service[] = {
#include "system_service.h"
    {SANDBOX_ALLOW, -1, 0, 0},
};

/* What a newer OpenSSH takes of the advice, the rest of its rules being about
   what a program does. */
static const struct sandbox_rule openssh[] = {
    {SANDBOX_ALLOW, SYS_madvise, 3, MADV_NORMAL},
    {SANDBOX_ALLOW, SYS_madvise, 3, MADV_FREE},
    {SANDBOX_ALLOW, SYS_madvise, 3, MADV_DONTNEED},
    {SANDBOX_ALLOW, SYS_madvise, 3, MADV_DONTFORK},
    {SANDBOX_ALLOW, SYS_madvise, 3, MADV_DONTDUMP},
    {SANDBOX_ALLOW, SYS_madvise, 3, MADV_WIPEONFORK},
    {SANDBOX_FAIL(EINVAL), SYS_madvise, 0, 0},
    {SANDBOX_KILL, SYS_prctl, 0, 0},
    {SANDBOX_KILL, SYS_membarrier, 0, 0},
    {SANDBOX_KILL, SYS_sched_yield, 0, 0},
    {SANDBOX_KILL, SYS_getcpu, 0, 0},
    {SANDBOX_KILL, SYS_sched_getaffinity, 0, 0},
    {SANDBOX_KILL, SYS_mincore, 0, 0},
    {SANDBOX_KILL, SYS_mlock, 0, 0},
    {SANDBOX_KILL, 462 /* mseal */, 0, 0},
};

/* From now on no file is opened. */
static const struct sandbox_rule no_open[] = {
#ifdef SYS_open
    {SANDBOX_KILL, SYS_open, 0, 0},
    {SANDBOX_KILL, SYS_creat, 0, 0},
#endif
    {SANDBOX_KILL, SYS_openat, 0, 0},
    {SANDBOX_KILL, SYS_openat2, 0, 0},
    {SANDBOX_KILL, SYS_socket, 0, 0},
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

static void enter(const char *name)
{
    bool inside = false;

    if (strcmp(name, "system-service") == 0 && COUNT(system_service) > 100)
        inside = sandbox_enter(system_service, COUNT(system_service),
                               SANDBOX_KILL);
    else if (strcmp(name, "openssh") == 0)
        inside = sandbox_enter(openssh, COUNT(openssh), SANDBOX_ALLOW);
    else if (strcmp(name, "no-open") == 0)
        inside = sandbox_enter(no_open, COUNT(no_open), SANDBOX_ALLOW);
    expect(inside, "live: no such sandbox");
}

static void limit(int resource, const char *value, rlim_t unit)
{
    struct rlimit both = {strtoul(value, NULL, 0) * unit,
                          strtoul(value, NULL, 0) * unit};

    expect(setrlimit(resource, &both) == 0, "live: setrlimit");
}

/* What is locked now, without allocating. */
static unsigned long locked_kib(void)
{
    char text[4096];
    FILE *file = fopen("/proc/self/status", "r");
    size_t length = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    const char *at;

    if (file != NULL)
        fclose(file);
    text[length] = '\0';
    at = strstr(text, "VmLck:");
    return at != NULL ? strtoul(at + 6, NULL, 10) : 0;
}

static void lock_all(void)
{
    expect(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "live: mlockall");
    expect(locked_kib() > 0, "live: nothing is locked");
    expect(locked_kib() < 1 << 20, "live: more than 1 GiB is locked");
}

/* Every second page has another protection: a mapping each. Some are left for
   the stacks of threads and the like. */
static void use_up_mappings(void)
{
    enum { PAGE = 65536, PAGES = 200000, LEFT = 40 };
    char *p = mmap(NULL, (size_t)PAGE * PAGES, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t i = 0;

    expect(p != MAP_FAILED, "live: mmap");
    while (i < PAGES && mprotect(p + i * PAGE, PAGE, PROT_READ) == 0)
        i += 2;
    expect(i < PAGES, "live: there are mappings without an end");
    munmap(p, (size_t)LEFT * PAGE);
}

static void *in_a_thread(void *arg)
{
    workload_run(arg, 1);
    return NULL;
}

/* One after the other: the workload has objects of its own. */
static void run_on_small_stacks(void)
{
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    expect(pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0,
           "live: stack size");
    for (int i = 0; i < STACKS; i++) {
        expect(pthread_create(&thread, &attributes, in_a_thread, &calls) == 0,
               "live: thread");
        pthread_join(thread, NULL);
    }
}

static void obey(const char *word)
{
    const char *value = strchr(word, '=');
    size_t length = value != NULL ? (size_t)(value++ - word) : strlen(word);

#define IS(name) (length == strlen(name) && memcmp(word, name, length) == 0)
    if (IS("data"))
        limit(RLIMIT_DATA, value, 1 << 20);
    else if (IS("nproc"))
        limit(RLIMIT_NPROC, value, 1);
    else if (IS("memlock"))
        limit(RLIMIT_MEMLOCK, value, 1);
    else if (IS("files"))
        limit(RLIMIT_NOFILE, value, 1);
    else if (IS("mlockall"))
        expect(mlockall(MCL_FUTURE) == 0, "live: mlockall");
    else if (IS("mlockall-now"))
        lock_all();
    else if (IS("maps"))
        use_up_mappings();
    else if (IS("chroot"))
        expect(chroot(value) == 0 && chdir("/") == 0, "live: chroot");
    else if (IS("filter"))
        enter(value);
    else if (IS("may-fail"))
        calls.may_fail = true;
    else if (IS("partner"))
        expect(workload_start_partner(&calls), "live: partner");
    else if (IS("stacks"))
        run_on_small_stacks();
    else if (IS("run"))
        expect(workload_run(&calls, ROUNDS_HERE) > 0, "live: nothing");
    else
        fail("live: no such word");
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "exec") == 0) {
            argv[i] = argv[0];
            execv("/proc/self/exe", argv + i);
            return 9;
        }
        obey(argv[i]);
    }
    return write(1, "lived\n", 6) == 6 ? 0 : 9;
}
