/* SPDX-License-Identifier: MIT */
/*
 * check_sample.c - sampled allocations: ordinary objects to an honest program,
 * a fault or a report with both call stacks to one that is not.
 *
 * Every allocation is sampled here, as far as there are places; how many are,
 * with other rates, a second program finds out: this one, with an argument.
 */
#define _GNU_SOURCE
#include "sample.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "merlon/merlon.h"
#include "os.h"
#include "sizeclass.h"
#include "support/death.h"
#include "support/suite.h"

static const size_t sizes[] = {0, 1, 7, 8, 15, 16, 17, 24, 53, 64, 100, 128,
    1000, 1024, 4080, 4095, 4096, 4097, 10000, 65536, 100000,
    CLASS_REQUEST_MAX - 1, CLASS_REQUEST_MAX};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* Where address space is short places are small. */
static bool is_roomy(void)
{
    return MAP->sample_bytes / SAMPLE_PLACES > CLASS_SLOT_BYTES_MAX;
}

static bool fits(size_t bytes)
{
    return bytes <= 4096 || is_roomy();
}

/* The next object, which must be a sampled one. Not inlined: call stacks. */
static NOINLINE char *make_object(size_t bytes)
{
    char *p = m.malloc(bytes);

    if (!sample_has(p))
        death_fail("the object is not a sampled one");
    compiler_fence();
    return p;
}

static NOINLINE void drop_object(void *p)
{
    m.free(p);
    compiler_fence();
}

/* ---- to an honest program ---- */

START_TEST(objects_of_every_size)
{
    for (int i = 0; i < SIZES; i++) {
        size_t bytes = sizes[i];
        if (!fits(bytes))
            continue;
        char *p = make_object(bytes);
        ck_assert_uint_eq((uintptr_t)p % 16, 0);
        ck_assert_uint_eq(m.usable_size(p), bytes);
        for (size_t at = 0; at < bytes; at++)
            ck_assert_int_eq(p[at], 0);
        memset(p, 0xa5, bytes);
        /* It ends at a guard page, up to alignment. */
        ck_assert_uint_eq(align_up((uintptr_t)p + size_max(bytes, 1), 16)
                          % os_page_bytes(), 0);
        errno = 77;
        drop_object(p);
        ck_assert_int_eq(errno, 77);
    }
}
END_TEST

START_TEST(objects_of_every_alignment)
{
    for (size_t alignment = 8; alignment <= 16 * os_page_bytes();
         alignment *= 2) {
        for (int i = 0; i < SIZES; i++) {
            void *p = NULL;
            ck_assert_int_eq(
                merlon_posix_memalign(&p, alignment, sizes[i]), 0);
            ck_assert_uint_eq((uintptr_t)p % alignment, 0);
            ck_assert_uint_ge(m.usable_size(p), sizes[i]);
            memset(p, 0xa5, sizes[i]);
            merlon_free_aligned_sized(p, alignment, sizes[i]);
        }
    }
    char *p = merlon_aligned_alloc(256, 100);
    ck_assert(sample_has(p));
    m.free(p);
}
END_TEST

START_TEST(realloc_keeps_contents)
{
    char *p = make_object(1);
    size_t from = 1;

    *p = 1;
    for (int i = 0; i < 2 * SIZES; i++) {
        size_t to = sizes[i * 7 % SIZES] + 1;
        p = m.realloc(p, to);
        ck_assert_ptr_nonnull(p);
        for (size_t at = 0; at < size_min(from, to); at++)
            ck_assert_int_eq(p[at], (char)(at + 1));
        for (size_t at = 0; at < to; at++)
            p[at] = (char)(at + 1);
        from = to;
    }
    ck_assert_ptr_null(m.realloc(p, 0));
    p = m.calloc(25, 4);
    ck_assert(sample_has(p));
    for (int at = 0; at < 100; at++)
        ck_assert_int_eq(p[at], 0);
    ck_assert_ptr_null(m.realloc(p, SIZE_MAX));
    ck_assert_uint_eq(m.usable_size(p), 100);
    m.free(p);
}
END_TEST

/* Kept objects of the other kind are in nobody's way. */
START_TEST(live_ones_are_bounded)
{
    static char *kept[2000];
    unsigned sampled = 0;

    for (unsigned i = 0; i < 2000; i++) {
        kept[i] = m.malloc(40);
        sampled += sample_has(kept[i]);
        memset(kept[i], (int)i, 40);
    }
    ck_assert_uint_le(sampled, SAMPLE_PLACES / 2);
    ck_assert_uint_ge(sampled, is_roomy() ? SAMPLE_PLACES / 2 - 8 : 16);
    for (unsigned i = 0; i < 2000; i++) {
        for (int at = 0; at < 40; at++)
            ck_assert_int_eq(kept[i][at], (char)i);
        m.free(kept[i]);
    }
    /* A plain list of slots is not cut short: it must be used up first. */
    if (SLOT_MAP)
        ck_assert(sample_has(m.malloc(40)));
}
END_TEST

static unsigned mapping_count(void)
{
    static char line[4096];
    unsigned count = 0;
    FILE *file = fopen("/proc/self/maps", "r");

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file))
        count++;
    fclose(file);
    return count;
}

START_TEST(mappings_are_few)
{
    static char *kept[SAMPLE_PLACES];

    /* An object that is never a sample makes the first window writable. */
    m.free(merlon_memalign(2 * os_page_bytes(), 1));
    unsigned before = mapping_count();

    for (unsigned i = 0; i < SAMPLE_PLACES; i++)
        kept[i] = m.malloc(i * 97);
    for (unsigned i = 0; i < SAMPLE_PLACES; i++)
        m.free(kept[i]);
    for (unsigned i = 0; i < 3 * SAMPLE_PLACES; i++)
        drop_object(make_object(100));
    unsigned grown = mapping_count() - before;
    printf("# mappings: %u more\n", grown);
    if (os_guards_are_cheap())
        ck_assert_uint_le(grown, 10);
    else
        ck_assert_uint_le(grown, 2 * SAMPLE_PLACES + 8);
}
END_TEST

/* Nothing else gets the address, and it does not come back soon. */
START_TEST(addresses_wait)
{
    for (int round = 0; round < 20; round++) {
        char *p = make_object(100);
        drop_object(p);
        for (int i = 0; i < SAMPLE_PLACES / 4 - 1; i++) {
            char *q = make_object(100);
            ck_assert_ptr_ne(p, q);
            drop_object(q);
        }
    }
}
END_TEST

START_TEST(figures_add_up)
{
    size_t bytes = sample_live_bytes, count = sample_live_count();
    char *p = make_object(100), *q = make_object(1000);

    ck_assert_uint_eq(sample_live_bytes, bytes + 1100);
    ck_assert_uint_eq(sample_live_count(), count + 2);
    m.free(p);
    m.free(q);
    ck_assert_uint_eq(sample_live_bytes, bytes);
    ck_assert_uint_eq(sample_live_count(), count);
}
END_TEST

START_TEST(pages_are_given_back)
{
    size_t before = suite_rss_bytes();

    for (int i = 0; i < 2 * SAMPLE_PLACES; i++) {
        size_t bytes = is_roomy() ? 200000 : 4000;
        char *p = make_object(bytes);
        memset(p, 1, bytes);
        drop_object(p);
    }
    ck_assert_uint_lt(suite_rss_bytes(), before + 4 * MIB);
}
END_TEST

static void *exchange[64];

static void *churn(void *seed)
{
    struct rng rng = rng_make((uint64_t)(uintptr_t)seed);

    for (int i = 0; i < (suite_full() ? 20000 : 1000); i++) {
        uint64_t draw = rng_next(&rng);
        size_t bytes = 16 + (size_t)(draw >> 8) % 2000;
        unsigned char *p = m.malloc(bytes);
        memset(p, (int)(bytes % 255), bytes);
        *(size_t *)p = bytes;
        p = __atomic_exchange_n(&exchange[draw % 64], p, __ATOMIC_ACQ_REL);
        if (!p)
            continue;
        bytes = *(size_t *)p;
        for (size_t at = sizeof bytes; at < bytes; at++)
            ck_assert_int_eq(p[at], bytes % 255);
        m.free(p);
    }
    return NULL;
}

START_TEST(threads_exchange_objects)
{
    pthread_t thread[4];

    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, churn,
                       (void *)(uintptr_t)(suite_seed() + i));
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < 64; i++)
        m.free(exchange[i]);
    ck_assert_uint_eq(sample_live_bytes, 0);
}
END_TEST

/* ---- to one that is not: reports of calls ---- */

static const size_t odd = 53;

static void free_twice(const void *arg)
{
    (void)arg;
    char *p = make_object(odd);
    drop_object(p);
    drop_object(p);
}

static void free_twice_far_apart(const void *arg)
{
    (void)arg;
    char *p = make_object(odd);
    drop_object(p);
    for (int i = 0; i < 300; i++)
        drop_object(make_object(i));
    drop_object(p);
}

static void *free_it(void *p)
{
    m.free(p);
    return NULL;
}

static void free_there_then_here(const void *arg)
{
    (void)arg;
    pthread_t thread;
    char *p = make_object(odd);
    pthread_create(&thread, NULL, free_it, p);
    pthread_join(thread, NULL);
    drop_object(p);
}

static void free_in_a_race(const void *arg)
{
    (void)arg;
    pthread_t thread[4];
    char *p = make_object(odd);
    for (int i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, free_it, p);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
}

static void realloc_freed(const void *arg)
{
    (void)arg;
    char *p = make_object(odd);
    drop_object(p);
    (void)m.realloc(p, 1000);
}

static void ask_freed(const void *arg)
{
    (void)arg;
    char *p = make_object(odd);
    drop_object(p);
    (void)m.usable_size(p);
}

static void free_sized_freed(const void *arg)
{
    (void)arg;
    char *p = make_object(odd);
    drop_object(p);
    m.free_sized(p, odd);
}

static void free_inside(const void *arg)
{
    (void)arg;
    drop_object(make_object(odd) + 16);
}

static void free_guard(const void *arg)
{
    (void)arg;
    drop_object(make_object(odd) + 64);
}

static void free_before(const void *arg)
{
    (void)arg;
    drop_object(make_object(odd) - os_page_bytes());
}

static void free_never_allocated(const void *arg)
{
    (void)arg;
    drop_object((void *)(MAP->sample_base + MAP->sample_bytes - 64));
}

static void write_behind(const void *arg)
{
    char *p = make_object(odd);
    p[odd] = *(const char *)arg;
    drop_object(p);
}

static void write_behind_realloc(const void *arg)
{
    char *p = make_object(odd);
    p[odd + 10] = *(const char *)arg;
    (void)m.realloc(p, 1000);
}

static void write_before(const void *arg)
{
    char *p = make_object(odd);
    p[-1] = (char)(*(const char *)arg + 1);
    drop_object(p);
}

static void free_in_child(const void *arg)
{
    (void)arg;
    int status;
    char *p = make_object(odd), *q = make_object(odd);
    pid_t pid = fork();
    if (pid == 0) {
        drop_object(q);
        drop_object(make_object(odd));
        drop_object(p);
        drop_object(p);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    drop_object(p);
    if (!WIFSIGNALED(status))
        _exit(1);
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
}

static const struct {
    const char *name, *says, *place;
    death_fn commit;
    int byte;
} calls[] = {
    {"free twice", "double free", "0 bytes into a freed object of 53 bytes",
     free_twice, 0},
    {"free twice, far apart", "double free|invalid pointer", "",
     free_twice_far_apart, 0},
    {"free there, then here", "double free", "into a freed object",
     free_there_then_here, 0},
    {"free in a race", "double free", "object of 53 bytes",
     free_in_a_race, 0},
    {"realloc of a freed one", "double free in realloc()", "", realloc_freed,
     0},
    {"usable size of a freed one", "double free in malloc_usable_size()", "",
     ask_freed, 0},
    {"free_sized of a freed one", "double free in free_sized()", "",
     free_sized_freed, 0},
    {"free inside", "invalid pointer", "16 bytes into a live object of 53",
     free_inside, 0},
    {"free of the guard", "invalid pointer", "11 bytes behind a live object",
     free_guard, 0},
    {"free before", "invalid pointer", "bytes before a live object",
     free_before, 0},
    {"free where nothing was", "invalid pointer", "", free_never_allocated,
     0},
    {"a zero behind", "buffer overflow", "0 bytes behind a live object of 53",
     write_behind, 0},
    {"a letter behind", "buffer overflow", "0 bytes behind a live object",
     write_behind, 'A'},
    {"far behind, realloc", "buffer overflow in realloc()",
     "10 bytes behind a live object", write_behind_realloc, 0},
    {"before", "buffer overflow", "1 bytes before a live object",
     write_before, 1},
    {"free twice in a child", "double free", "0 bytes into a freed object",
     free_in_child, 0},
};

START_TEST(wrong_calls_are_reported)
{
    for (int i = 0; i < (calls[_i].commit == free_in_a_race ? 100 : 1); i++) {
        struct death death;
        char byte = (char)calls[_i].byte;
        death_run(&death, calls[_i].commit, &byte, DEATH_SECONDS);
        ck_assert_msg(death.signal == SIGABRT
                      && death_says(death.text, calls[_i].says)
                      && strstr(death.text, calls[_i].place), "%s: %s",
                      calls[_i].name, death_describe(&death));
    }
}
END_TEST

/* ---- faults ---- */

static volatile char seen;

static void read_freed(const void *arg)
{
    char *p = make_object(odd);
    drop_object(p);
    seen = p[*(const int *)arg];
}

static void write_freed(const void *arg)
{
    char *p = make_object(odd);
    drop_object(p);
    p[*(const int *)arg] = 0;
}

static void write_freed_later(const void *arg)
{
    char *p = make_object(odd);
    drop_object(p);
    for (int i = 0; i < 100; i++)
        drop_object(make_object(2000));
    p[*(const int *)arg] = 0;
}

static void write_freed_large(const void *arg)
{
    size_t bytes = is_roomy() ? CLASS_REQUEST_MAX : 4096;
    char *p = make_object(bytes);
    drop_object(p);
    p[*(const int *)arg + bytes / 2] = 1;
}

static void touch_beyond(const void *arg)
{
    char *p = make_object(odd);
    p[*(const int *)arg] = 1;
}

static void *touch_freed(void *p)
{
    *(char *)p = 1;
    return NULL;
}

static void write_freed_elsewhere(const void *arg)
{
    (void)arg;
    pthread_t thread;
    char *p = make_object(odd);
    drop_object(p);
    pthread_create(&thread, NULL, touch_freed, p);
    pthread_join(thread, NULL);
}

/* What the parent made inaccessible is so in the child. */
static void write_freed_in_child(const void *arg)
{
    (void)arg;
    int status;
    char *p = make_object(odd);
    drop_object(p);
    pid_t pid = fork();
    if (pid == 0) {
        touch_freed(p);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (!WIFSIGNALED(status))
        return;
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
}

/* The program has little stack left: a thread with a signal stack. */
static void *touch_with_signal_stack(void *p)
{
    size_t bytes = (size_t)sysconf(_SC_MINSIGSTKSZ) + 4096;
    stack_t stack = {.ss_size = bytes};
    stack.ss_sp = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaltstack(&stack, NULL);
    return touch_freed(p);
}

static void write_freed_with_signal_stack(const void *arg)
{
    (void)arg;
    pthread_t thread;
    char *p = make_object(odd);
    drop_object(p);
    pthread_create(&thread, NULL, touch_with_signal_stack, p);
    pthread_join(thread, NULL);
}

static const struct {
    const char *name, *says, *place;
    death_fn commit;
    int offset;
} accesses[] = {
    {"read", "use after free", "0 bytes into a freed object of 53 bytes",
     read_freed, 0},
    {"read the end", "use after free", "52 bytes into a freed object",
     read_freed, 52},
    {"write", "use after free", "7 bytes into a freed object", write_freed,
     7},
    {"write later", "use after free", "7 bytes into a freed object",
     write_freed_later, 7},
    {"write a large one", "use after free", "into a freed object",
     write_freed_large, 1},
    {"write in another thread", "use after free", "0 bytes into a freed",
     write_freed_elsewhere, 0},
    {"write in a child", "use after free", "0 bytes into a freed",
     write_freed_in_child, 0},
    {"with a signal stack", "use after free", "0 bytes into a freed",
     write_freed_with_signal_stack, 0},
    {"overrun", "buffer overflow", "11 bytes behind a live object of 53",
     touch_beyond, 64},
    {"long overrun", "buffer overflow", "947 bytes behind a live object",
     touch_beyond, 1000},
    {"underrun", "buffer overflow", "bytes before a live object",
     touch_beyond, -8000},
};
enum { ACCESSES = sizeof accesses / sizeof *accesses };

START_TEST(misuse_faults)
{
    struct death death;

    if (accesses[_i].offset == -8000 && os_page_bytes() > 4096)
        return;
    death_run(&death, accesses[_i].commit, &accesses[_i].offset,
              DEATH_SECONDS);
    ck_assert_msg(death.signal == SIGSEGV && death.text[0] == 0, "%s: %s",
                  accesses[_i].name, death_describe(&death));
}
END_TEST

static void with_handler(const void *arg)
{
    int i = *(const int *)arg;

    sample_catch_faults();
    accesses[i].commit(&accesses[i].offset);
}

/* Addresses of code after " from" in the line that begins so. */
static unsigned frames_of(const char *text, const char *begin)
{
    const char *line = strstr(text, begin);
    unsigned count = 0;

    if (!line || !(line = strstr(line, " from")))
        return 0;
    for (line += 5; *line == ' '; line += strcspn(line, " \n"))
        line++, count++;
    return count;
}

START_TEST(misuse_is_reported)
{
    struct death death;
    unsigned least = FRAME_RECORDS ? 2 : 1;

    if (accesses[_i].offset == -8000 && os_page_bytes() > 4096)
        return;
    death_run(&death, with_handler, &_i, DEATH_SECONDS);
    ck_assert_msg(death.signal == SIGABRT
                  && death_says(death.text, accesses[_i].says)
                  && strstr(death.text, accesses[_i].place), "%s: %s",
                  accesses[_i].name, death.text);
    /* The C library, which starts threads, may have no frame pointers. */
    ck_assert_msg(frames_of(death.text, "merlon: accessed by tid ") >= 1
                  && frames_of(death.text, "merlon: allocated by tid ")
                     >= least, "%s", death.text);
    if (strcmp(accesses[_i].says, "use after free") == 0)
        ck_assert_msg(frames_of(death.text, "merlon: freed by tid ") >= least,
                      "%s", death.text);
}
END_TEST

START_TEST(threads_are_named)
{
    struct death death;
    unsigned accessed, allocated, freed;
    int which;

    for (which = 0; accesses[which].commit != write_freed_elsewhere; which++)
        ;
    death_run(&death, with_handler, &which, DEATH_SECONDS);
    const char *a = strstr(death.text, "accessed by tid ");
    const char *b = strstr(death.text, "allocated by tid ");
    const char *c = strstr(death.text, "freed by tid ");
    ck_assert_msg(a && b && c, "%s", death.text);
    ck_assert_int_eq(sscanf(a, "accessed by tid %u", &accessed), 1);
    ck_assert_int_eq(sscanf(b, "allocated by tid %u", &allocated), 1);
    ck_assert_int_eq(sscanf(c, "freed by tid %u", &freed), 1);
    ck_assert_uint_eq(allocated, freed);
    ck_assert_uint_ne(allocated, accessed);
    ck_assert_uint_ne(allocated, 0);
}
END_TEST

/* ---- on_error=report: the program goes on ---- */

static void go_on(const void *arg)
{
    int i = *(const int *)arg;

    die_configure(true, -1);
    sample_catch_faults();
    accesses[i].commit(&accesses[i].offset);
    for (int round = 0; round < 3 * SAMPLE_PLACES; round++)
        drop_object(make_object(100));
    _exit(7);
}

START_TEST(reported_and_let_pass)
{
    struct death death;

    if (accesses[_i].offset == -8000 && os_page_bytes() > 4096)
        return;
    death_run(&death, go_on, &_i, DEATH_SECONDS);
    ck_assert_msg(death.signal == 0 && death.status == 7
                  && death_says(death.text, accesses[_i].says), "%s: %s",
                  accesses[_i].name, death_describe(&death));
    ck_assert_msg(!strstr(strstr(death.text, accesses[_i].says) + 1,
                          accesses[_i].says), "said twice: %s", death.text);
}
END_TEST

/* ---- what was there before stays in force ---- */

static void *hole;

static void leave_with_7(int number)
{
    (void)number;
    _exit(7);
}

static void leave_with_address(int number, siginfo_t *info, void *context)
{
    sigset_t blocked;

    (void)number;
    (void)context;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    _exit(info->si_addr == hole && sigismember(&blocked, SIGUSR2) ? 7 : 8);
}

struct chain {
    const char *name;
    int flags;           /* of the handler; -1: none, SIG_DFL or SIG_IGN */
    void (*handler)(int);
    bool sent;           /* by kill, not by a fault */
    int signal, status;  /* how it ends */
};

static const struct chain chains[] = {
    {"default", -1, SIG_DFL, false, SIGSEGV, 0},
    {"default, sent", -1, SIG_DFL, true, SIGSEGV, 0},
    {"ignored", -1, SIG_IGN, false, SIGSEGV, 0},
    {"ignored, sent", -1, SIG_IGN, true, 0, 9},
    {"plain handler", 0, leave_with_7, false, 0, 7},
    {"plain handler, sent", 0, leave_with_7, true, 0, 7},
    {"handler with information", SA_SIGINFO, NULL, false, 0, 7},
};

static void fault_elsewhere(const void *arg)
{
    const struct chain *chain = arg;
    struct sigaction action = {.sa_flags = 0};

    hole = mmap(NULL, os_page_bytes(), PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    action.sa_handler = chain->handler;
    if (chain->flags == SA_SIGINFO) {
        action.sa_sigaction = leave_with_address;
        action.sa_flags = SA_SIGINFO;
        sigaddset(&action.sa_mask, SIGUSR2);
    }
    sigaction(SIGSEGV, &action, NULL);
    sample_catch_faults();
    if (chain->sent)
        kill(getpid(), SIGSEGV);
    else
        *(volatile char *)hole = 1;
    _exit(9);
}

START_TEST(other_faults_are_passed_on)
{
    struct death death;

    death_run(&death, fault_elsewhere, &chains[_i], DEATH_SECONDS);
    ck_assert_msg(death.signal == chains[_i].signal
                  && death.status == chains[_i].status
                  && death.text[0] == 0, "%s: %s", chains[_i].name,
                  death_describe(&death));
}
END_TEST

/* ---- where guards cost mappings ---- */

static void all_with_locked_memory(const void *arg)
{
    (void)arg;
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
        _exit(77);
    for (int i = 0; i < 3 * SAMPLE_PLACES; i++) {
        if (!fits(sizes[i % SIZES]))
            continue;
        char *p = make_object(sizes[i % SIZES]);
        for (size_t at = 0; at < sizes[i % SIZES]; at++) {
            if (p[at] != 0)
                death_fail("not zero");
        }
        memset(p, 1, sizes[i % SIZES]);
        drop_object(p);
    }
    if (os_guards_are_cheap())
        _exit(77);
    read_freed(&(int){0});
}

START_TEST(works_with_locked_memory)
{
    struct death death;

    death_run(&death, all_with_locked_memory, NULL, DEATH_SECONDS);
    if (death.status == 77) {
        printf("# SKIP: memory cannot be locked, or guards work all the "
               "same\n");
        return;
    }
    ck_assert_msg(death.signal == SIGSEGV, "%s", death_describe(&death));
}
END_TEST

/* ---- how many, of which ---- */

static size_t kinds[] = {24, 24, 40, 200, 3000, 60000};
enum { KINDS = sizeof kinds / sizeof *kinds, RATE_PAIRS = 2000000,
       PACE_PAIRS = 10000000 };

/* The other program: pairs of all kinds in turn, some kept for a while. */
static int print_rates(void)
{
    static void *kept[KINDS * 16];
    unsigned count[KINDS] = {0};

    m.free(m.malloc(1));
    if (!is_roomy())
        kinds[KINDS - 1] = 600;
    for (unsigned i = 0; i < RATE_PAIRS; i++) {
        unsigned kind = i % KINDS, place = i % (KINDS * 16);
        m.free(kept[place]);
        kept[place] = m.malloc(kinds[kind]);
        count[kind] += sample_has(kept[place]);
    }
    for (unsigned kind = 0; kind < KINDS; kind++)
        printf("%u ", count[kind]);
    printf("\n");
    return 0;
}

/* The other program: small pairs as fast as it can. How many were sampled, in
   how many milliseconds. */
static int print_pace(void)
{
    uint64_t begin = os_clock_ms();
    unsigned count = 0;

    for (unsigned i = 0; i < PACE_PAIRS; i++) {
        void *p = m.malloc(24);
        count += sample_has(p);
        m.free(p);
    }
    printf("%u %u\n", count, (unsigned)(os_clock_ms() - begin));
    return 0;
}

/* Options beside those that are there already (an emulator's arena). */
static void add_options(const char *options)
{
    static char all[256];
    const char *given = getenv("MERLON_OPTIONS");

    snprintf(all, sizeof all, "%s,%s", given ? given : "", options);
    setenv("MERLON_OPTIONS", all, 1);
}

static FILE *run_self(const char *what, const char *options, pid_t *pid)
{
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    *pid = fork();
    if (*pid == 0) {
        add_options(options);
        dup2(ends[1], 1);
        execl("/proc/self/exe", "check_sample", what, (char *)NULL);
        _exit(77);
    }
    close(ends[1]);
    return fdopen(ends[0], "r");
}

/* The number of samples is known to better than the root of the mean: each
   distance is even on 1 to 2N-1. How they fall on the kinds is chance. */
static void check_rate(const char *options, double rate)
{
    pid_t pid;
    unsigned count[KINDS] = {0}, sum = 0;
    int status;
    FILE *output = run_self("rates", options, &pid);
    double all = RATE_PAIRS / rate, each = all / KINDS;

    for (unsigned kind = 0; kind < KINDS; kind++) {
        if (fscanf(output, "%u", &count[kind]) != 1)
            break;
        sum += count[kind];
    }
    fclose(output);
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        printf("# SKIP: this program cannot be started again\n");
        return;
    }
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    printf("# %s: %u of %d:", options, sum, RATE_PAIRS);
    for (unsigned kind = 0; kind < KINDS; kind++)
        printf(" %u", count[kind]);
    printf("\n");
    ck_assert_msg((sum - all) * (sum - all) <= 25 * all, "%s: %u, not %.0f",
                  options, sum, all);
    /* With a small N stocks are short, and classes whose stocks are shortest
       are a little less (hundreds) or not at all (units) in proportion. */
    if (!SLOT_MAP || rate < 100)
        return;
    double most = 6 * sqrt(each) + (rate < 1000 ? each / 10 : 0);
    for (unsigned kind = 0; kind < KINDS; kind++)
        ck_assert_msg(fabs(count[kind] - each) <= most,
                      "%s: %u of %zu bytes, not %.0f", options, count[kind],
                      kinds[kind], each);
}

START_TEST(rates_are_true)
{
    check_rate("sample=100", 100);
    check_rate("sample=1000", 1000);
    check_rate("sample=7", 7);
}
END_TEST

/* The default, a thread that allocates faster than it can be sampled at little
   cost: about one in two milliseconds, and no more. One with a number of its
   own has that many. */
START_TEST(default_is_paced)
{
    unsigned count[2], ms[2];

    for (int named = 0; named < 2; named++) {
        pid_t pid;
        int status;
        FILE *output = run_self("pace", named ? "sample=4999" : "sample=5000",
                                &pid);
        int read = fscanf(output, "%u %u", &count[named], &ms[named]);
        fclose(output);
        waitpid(pid, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
            printf("# SKIP: this program cannot be started again\n");
            return;
        }
        ck_assert_int_eq(read, 2);
        printf("# %u samples in %u ms\n", count[named], ms[named]);
    }
    ck_assert_uint_ge(count[0], 1);
    ck_assert_msg(count[0] <= ms[0] / 2 * 5 / 4 + 20, "%u samples in %u ms",
                  count[0], ms[0]);
    ck_assert_msg(abs((int)count[1] - 2000) <= 250, "%u samples, not 2,000",
                  count[1]);
}
END_TEST

START_TEST(none_when_off)
{
    pid_t pid;
    unsigned count = 1;
    int status;
    FILE *output = run_self("rates", "sample=0", &pid);

    for (unsigned kind = 0; kind < KINDS; kind++) {
        if (fscanf(output, "%u", &count) == 1)
            ck_assert_uint_eq(count, 0);
    }
    fclose(output);
    waitpid(pid, &status, 0);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("sample");
    if (!SAMPLING) {
        printf("# SKIP: sampling is not built in\n");
        return suite;
    }
    TCase *honest = tcase_create("honest");
    tcase_set_timeout(honest, 60);
    tcase_add_test(honest, objects_of_every_size);
    tcase_add_test(honest, objects_of_every_alignment);
    tcase_add_test(honest, realloc_keeps_contents);
    tcase_add_test(honest, live_ones_are_bounded);
    tcase_add_test(honest, mappings_are_few);
    tcase_add_test(honest, addresses_wait);
    tcase_add_test(honest, figures_add_up);
    tcase_add_test(honest, pages_are_given_back);
    tcase_add_test(honest, threads_exchange_objects);
    suite_add_tcase(suite, honest);

    TCase *misuse = tcase_create("misuse");
    tcase_set_timeout(misuse, 60);
    tcase_add_loop_test(misuse, wrong_calls_are_reported, 0,
                        sizeof calls / sizeof *calls);
    tcase_add_loop_test(misuse, misuse_faults, 0, ACCESSES);
    tcase_add_loop_test(misuse, misuse_is_reported, 0, ACCESSES);
    tcase_add_test(misuse, threads_are_named);
    tcase_add_loop_test(misuse, reported_and_let_pass, 0, ACCESSES);
    tcase_add_loop_test(misuse, other_faults_are_passed_on, 0,
                        sizeof chains / sizeof *chains);
    tcase_add_test(misuse, works_with_locked_memory);
    suite_add_tcase(suite, misuse);

    TCase *rates = tcase_create("rates");
    tcase_set_timeout(rates, 120);
    tcase_add_test(rates, rates_are_true);
    tcase_add_test(rates, default_is_paced);
    tcase_add_test(rates, none_when_off);
    suite_add_tcase(suite, rates);
    return suite;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "rates") == 0)
        return print_rates();
    if (argc > 1 && strcmp(argv[1], "pace") == 0)
        return print_pace();
    /* Heard when suite_main starts the program anew. */
    add_options("sample=1");
    return suite_main(argc, argv, make);
}
