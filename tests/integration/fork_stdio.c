/* SPDX-License-Identifier: MIT */
/*
 * fork_stdio.c - fork while other threads hold locks of stdio inside malloc.
 *
 * After glibc bug 19431: getline() holds a stream's lock and waits for malloc;
 * fflush(NULL) holds the list of streams; fork takes all of these. A malloc
 * whose fork handler takes its own locks first ends in a deadlock. The alarm
 * ends it, and the exit status is not 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READERS = 6, FORKERS = 3, FORKS = 150, SECONDS = 60 };

static atomic_bool done;

static void too_late(int signal)
{
    static const char text[] = "failed: stuck\n";
    (void)signal;
    if (write(1, text, sizeof text - 1) < 0)
        _exit(3);
    _exit(1);
}

static void *read_lines(void *arg)
{
    (void)arg;
    while (!atomic_load(&done)) {
        FILE *stream = fopen("/proc/self/maps", "r");
        if (stream == NULL)
            continue;
        char *line = NULL;
        size_t room = 0;
        while (getline(&line, &room, stream) > 0) {
            /* A fresh buffer for each line, while the stream is locked. */
            free(line);
            line = NULL;
            room = 0;
        }
        free(line);
        fclose(stream);
    }
    return NULL;
}

static void *flush_all(void *arg)
{
    (void)arg;
    while (!atomic_load(&done)) {
        fflush(NULL);
        usleep(20);
    }
    return NULL;
}

static void *fork_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < FORKS; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            char *text = NULL;
            alarm(SECONDS);
            if (asprintf(&text, "%d", i) < 0)
                _exit(1);
            free(text);
            FILE *stream = fopen("/dev/null", "w");
            if (stream == NULL || fprintf(stream, "%d", i) < 0)
                _exit(1);
            fclose(stream);
            _exit(0);
        }
        int status = 1;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        if (pid < 0 || status != 0)
            _exit(1);
    }
    return NULL;
}

int main(void)
{
    pthread_t reader[READERS], forker[FORKERS], flusher;
    signal(SIGALRM, too_late);
    alarm(SECONDS);
    for (int i = 0; i < READERS; i++)
        pthread_create(&reader[i], NULL, read_lines, NULL);
    pthread_create(&flusher, NULL, flush_all, NULL);
    for (int i = 0; i < FORKERS; i++)
        pthread_create(&forker[i], NULL, fork_often, NULL);
    for (int i = 0; i < FORKERS; i++)
        pthread_join(forker[i], NULL);
    atomic_store(&done, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(reader[i], NULL);
    pthread_join(flusher, NULL);
    puts("done");
    return 0;
}
