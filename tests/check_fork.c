/* SPDX-License-Identifier: MIT */
/*
 * check_fork.c - fork in every situation in which a program may do it.
 *
 * A child never waits for anybody, so one that does not end in time is stuck:
 * that is the deadlock these tests look for. The parent kills it and fails.
 *
 * stdio's own buffers come from the C library here; locked streams enter
 * merlon through fopencookie(). tests/integration/fork_stdio.c does it with the
 * real thing, under LD_PRELOAD.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/block.h"

/* glibc has it from 2.34 on; the tests that use it are skipped without. */
extern pid_t _Fork(void) __attribute__((weak));

enum { STUCK_SECONDS = 15, SHARED = 512 };

/*
 * Each test makes so many forks, or as many as fit into so many seconds: a fork
 * costs what the machine and the size of the heap make of it.
 */
static double fork_deadline;

static void begin_forks(double seconds)
{
    fork_deadline = suite_seconds() + (suite_full() ? 30 : 1) * seconds;
}

static bool time_is_up(const char *what, int forks)
{
    if (suite_seconds() < fork_deadline)
        return false;
    printf("# %s: time is up after %d forks\n", what, forks);
    fflush(stdout);
    return true;
}

static _Atomic(struct block *) shared[SHARED];
static atomic_bool done;
static pid_t (*fork_call)(void) = fork;

/* Threads of the parent: allocate, exchange, free, until told to stop. */
static void *churn(void *arg)
{
    struct rng rng = rng_make(1000 + (uintptr_t)arg);
    while (!atomic_load_explicit(&done, memory_order_relaxed)) {
        struct block *block = block_make(&rng, rng_size(&rng, 14));
        block = atomic_exchange(&shared[rng_below(&rng, SHARED)], block);
        if (!block_end(block))
            abort();
    }
    return NULL;
}

/* ---- what children do; their exit status says what went wrong ---- */

enum verdict { FINE, BAD_CONTENT, NO_MEMORY, BAD_THREAD, BAD_GRANDCHILD };

static enum verdict use_heap(struct rng *rng, int count)
{
    enum { LIVE = 32 };
    struct block *live[LIVE] = {NULL};
    for (int i = 0; i < count; i++) {
        struct block **at = &live[rng_below(rng, LIVE)];
        if (!block_end(*at))
            return BAD_CONTENT;
        *at = block_make(rng, rng_size(rng, i % 50 == 0 ? 20 : 12));
        if (*at == NULL)
            return NO_MEMORY;
    }
    for (int i = 0; i < LIVE; i++)
        if (!block_end(live[i]))
            return BAD_CONTENT;
    return FINE;
}

/*
 * Objects of the parent, most of them of threads that do not exist here. A
 * thread may have been about to free what it took out, or to fill in what it
 * put in; only what the table holds is whole.
 */
static enum verdict free_inherited(struct rng *rng)
{
    for (int i = 0; i < SHARED; i++)
        if (rng_below(rng, 4) == 0 &&
            !block_end(atomic_exchange(&shared[i], NULL)))
            return BAD_CONTENT;
    return FINE;
}

static void *child_thread(void *arg)
{
    struct rng rng = rng_make((uintptr_t)arg);
    enum verdict verdict = use_heap(&rng, 300);
    if (verdict == FINE)
        verdict = free_inherited(&rng);
    return (void *)(uintptr_t)verdict;
}

static enum verdict run_child_threads(uintptr_t salt)
{
    pthread_t thread[3];
    enum verdict verdict = FINE;
    for (uintptr_t i = 0; i < 3; i++)
        if (pthread_create(&thread[i], NULL, child_thread,
                           (void *)(salt + i)) != 0)
            return BAD_THREAD;
    for (int i = 0; i < 3; i++) {
        void *result = NULL;
        pthread_join(thread[i], &result);
        if (result != NULL)
            verdict = (enum verdict)(uintptr_t)result;
    }
    return verdict;
}

/* Wait for a child; its exit status, or -1 with a signal, or -2 when stuck. */
static int reap(pid_t pid)
{
    int status = 0;
    double end = suite_seconds() + STUCK_SECONDS;
    for (unsigned i = 0;; i++) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid)
            break;
        if (got < 0 && errno != EINTR)
            return -3;
        if (suite_seconds() > end) {
            kill(pid, SIGKILL);
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
            return -2;
        }
        struct timespec pause = {0, i < 20 ? 50000 : 1000000};
        nanosleep(&pause, NULL);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1 - WTERMSIG(status) * 10;
}

static void expect_fine(pid_t pid, int round)
{
    ck_assert_msg(pid > 0, "fork: %d", errno);
    int verdict = reap(pid);
    ck_assert_msg(verdict != -2, "child %d is stuck", round);
    ck_assert_msg(verdict == FINE, "child %d: verdict %d", round, verdict);
}

/* ---- fork while four threads allocate ---- */

enum { CHURNERS = 4 };

static void start_threads(pthread_t *thread, int count, void *(*run)(void *))
{
    atomic_store(&done, false);
    for (uintptr_t i = 0; i < (uintptr_t)count; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, run, (void *)i), 0);
}

static void end_threads(pthread_t *thread, int count)
{
    atomic_store(&done, true);
    for (int i = 0; i < count; i++)
        pthread_join(thread[i], NULL);
}

static enum verdict child_life(int round)
{
    struct rng rng = rng_make(2000 + (uint64_t)round);
    enum verdict verdict = use_heap(&rng, 60);
    if (verdict == FINE)
        verdict = free_inherited(&rng);
    if (verdict == FINE && round % 16 == 0 && fork_call == fork)
        verdict = run_child_threads(3000 + (uintptr_t)round);
    if (verdict == FINE && round % 16 == 1) {
        pid_t pid = fork_call();
        if (pid == 0) {
            verdict = use_heap(&rng, 200);
            _exit(verdict == FINE ? free_inherited(&rng) : verdict);
        }
        int result = reap(pid);
        verdict = result == FINE ? FINE : BAD_GRANDCHILD;
    }
    if (verdict == FINE)
        verdict = use_heap(&rng, 60);
    return verdict;
}

static void fork_while_others_allocate(int rounds)
{
    begin_forks(7);
    pthread_t thread[CHURNERS];
    struct rng rng = rng_make(5000);
    start_threads(thread, CHURNERS, churn);
    for (int round = 0; round < rounds; round++) {
        if (time_is_up("threads allocate", round))
            break;
        pid_t pid = fork_call();
        if (pid == 0)
            _exit(child_life(round));
        /* The parent's own heap goes on as well. */
        ck_assert_int_eq(use_heap(&rng, 20), FINE);
        expect_fine(pid, round);
    }
    end_threads(thread, CHURNERS);
}

START_TEST(fork_in_threaded_program)
{
    fork_call = fork;
    fork_while_others_allocate(suite_full() ? 20000 : 2000);
}
END_TEST

START_TEST(raw_fork_in_threaded_program)
{
    fork_call = _Fork;
    if (_Fork == NULL) {
        printf("# skipped: no _Fork in this C library\n");
        return;
    }
    fork_while_others_allocate(suite_full() ? 10000 : 1000);
}
END_TEST

/* ---- several threads fork at once ---- */

static atomic_int fork_failures;

static void *fork_often(void *arg)
{
    struct rng rng = rng_make(6000 + (uintptr_t)arg);
    for (int round = 0; round < 150; round++) {
        if (time_is_up("several threads fork", round))
            break;
        struct block *mine = block_make(&rng, rng_size(&rng, 12));
        pid_t pid = fork();
        if (pid == 0) {
            bool fine = block_end(mine);
            _exit(fine ? child_life(round) : BAD_CONTENT);
        }
        if (!block_end(mine) || pid < 0 || reap(pid) != FINE)
            atomic_fetch_add(&fork_failures, 1);
    }
    return NULL;
}

START_TEST(several_threads_fork)
{
    pthread_t churner[2], forker[3];
    begin_forks(4);
    start_threads(churner, 2, churn);
    start_threads(forker, 3, fork_often);
    for (int i = 0; i < 3; i++)
        pthread_join(forker[i], NULL);
    end_threads(churner, 2);
    int failures = atomic_load(&fork_failures);
    ck_assert_int_eq(failures, 0);
}
END_TEST

/* ---- generations: child of child of child ---- */

START_TEST(generations)
{
    enum { DEPTH = 40 };
    struct rng rng = rng_make(7000);
    pthread_t thread[2];
    start_threads(thread, 2, churn);
    suite_sleep_ms(20);
    pid_t first = fork();
    for (int depth = 0; first == 0 && depth < DEPTH; depth++) {
        if (use_heap(&rng, 100) != FINE)
            _exit(BAD_CONTENT);
        pid_t pid = fork();
        if (pid == 0)
            continue;
        if (use_heap(&rng, 100) != FINE)
            _exit(BAD_CONTENT);
        int verdict = reap(pid);
        _exit(verdict == FINE ? FINE : BAD_GRANDCHILD);
    }
    if (first == 0)
        _exit(run_child_threads(7100));
    expect_fine(first, 0);
    end_threads(thread, 2);
}
END_TEST

/* ---- fork in a signal handler that interrupted malloc ---- */

static volatile sig_atomic_t storm_forks, storm_failures, is_child;

/*
 * Half of the children end here, the others return into the malloc that was
 * interrupted and go on with it.
 */
static void fork_in_handler(int signal)
{
    (void)signal;
    int kept = errno;
    pid_t pid = fork_call();
    if (pid == 0) {
        struct itimerval off = {{0, 0}, {0, 0}};
        setitimer(ITIMER_REAL, &off, NULL);
        if (storm_forks % 2 == 0)
            _exit(FINE);
        is_child = 1;
        errno = kept;
        return;
    }
    storm_forks++;
    if (pid < 0 || reap(pid) != FINE)
        storm_failures++;
    errno = kept;
}

static void storm(int forks)
{
    struct rng rng = rng_make(8000);
    struct sigaction action = {.sa_handler = fork_in_handler,
                               .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    storm_forks = storm_failures = 0;
    begin_forks(5);
    /* One shot at a time, at an odd distance, so that handlers do not starve
       the loop that they are to interrupt. */
    while (storm_forks < forks && storm_failures == 0) {
        if (time_is_up("signal handler", (int)storm_forks))
            break;
        sig_atomic_t before = storm_forks;
        struct itimerval once = {{0, 0},
                                 {0, 20 + (long)rng_below(&rng, 300)}};
        setitimer(ITIMER_REAL, &once, NULL);
        while (storm_forks == before && !is_child)
            if (use_heap(&rng, 20) != FINE)
                abort();
        if (is_child) {
            enum verdict verdict = use_heap(&rng, 200);
            _exit(verdict == FINE ? free_inherited(&rng) : verdict);
        }
    }
    ck_assert_int_eq(storm_failures, 0);
}

START_TEST(fork_in_signal_handler)
{
    fork_call = fork;
    storm(suite_full() ? 20000 : 600);
}
END_TEST

/* With threads only _Fork is allowed in a handler. */
START_TEST(raw_fork_in_signal_handler)
{
    fork_call = _Fork;
    if (_Fork == NULL) {
        printf("# skipped: no _Fork in this C library\n");
        return;
    }
    pthread_t thread[2];
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    start_threads(thread, 2, churn);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    storm(suite_full() ? 10000 : 300);
    end_threads(thread, 2);
}
END_TEST

/* ---- locked streams whose reader allocates (glibc bug 19431) ---- */

static ssize_t cookie_read(void *cookie, char *buffer, size_t bytes)
{
    struct rng *rng = cookie;
    struct block *block[8];
    for (int i = 0; i < 8; i++)
        block[i] = block_make(rng, rng_size(rng, 13));
    for (int i = 0; i < 8; i++)
        if (!block_end(block[i]))
            abort();
    memset(buffer, 'x', bytes);
    buffer[bytes - 1] = '\n';
    return (ssize_t)bytes;
}

static void *read_lines(void *arg)
{
    struct rng rng = rng_make(9000 + (uintptr_t)arg);
    cookie_io_functions_t calls = {.read = cookie_read};
    FILE *stream = fopencookie(&rng, "r", calls);
    setvbuf(stream, NULL, _IOFBF, 128);
    char *line = NULL;
    size_t room = 0;
    /* With a pause: glibc's locks are not fair, and fork needs them all. */
    for (int i = 1; !atomic_load(&done) && getline(&line, &room, stream) > 0;
         i++)
        if (i % 8 == 0)
            usleep(50);
    free(line);
    fclose(stream);
    return NULL;
}

static void *flush_all(void *arg)
{
    (void)arg;
    while (!atomic_load(&done)) {
        fflush(NULL);
        usleep(50);
    }
    return NULL;
}

START_TEST(fork_with_locked_streams)
{
    pthread_t reader[4], flusher, forker[2];
    begin_forks(5);
    start_threads(reader, 4, read_lines);
    start_threads(&flusher, 1, flush_all);
    start_threads(forker, 2, fork_often);
    for (int i = 0; i < 2; i++)
        pthread_join(forker[i], NULL);
    end_threads(reader, 4);
    end_threads(&flusher, 1);
    int failures = atomic_load(&fork_failures);
    ck_assert_int_eq(failures, 0);
}
END_TEST

/* ---- a fork before anything else ---- */

START_TEST(fork_before_first_malloc)
{
    for (int round = 0; round < 50; round++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(child_life(round));
        expect_fine(pid, round);
    }
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("fork");
    TCase *plain = tcase_create("fork");
    tcase_set_timeout(plain, suite_full() ? 900 : 90);
    tcase_add_test(plain, fork_before_first_malloc);
    tcase_add_test(plain, fork_in_threaded_program);
    tcase_add_test(plain, raw_fork_in_threaded_program);
    tcase_add_test(plain, several_threads_fork);
    tcase_add_test(plain, generations);
    suite_add_tcase(suite, plain);
    TCase *odd = tcase_create("odd places");
    tcase_set_timeout(odd, suite_full() ? 900 : 90);
    tcase_add_test(odd, fork_in_signal_handler);
    tcase_add_test(odd, raw_fork_in_signal_handler);
    tcase_add_test(odd, fork_with_locked_streams);
    suite_add_tcase(suite, odd);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
