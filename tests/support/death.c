/* SPDX-License-Identifier: MIT */
/*
 * death.c - children that are meant to die, and what they said. See death.h.
 *
 * Invariant: one child at a time; what it wrote is cut off the shared file
 * again, so that the file holds only what nobody expected.
 */
#define _GNU_SOURCE
#include "death.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

bool death_capture(void)
{
    int fd = memfd_create("merlon-test-stderr", 0);
    if (fd < 0)
        return false;
    int flags = fcntl(fd, F_GETFL);
    bool done = flags >= 0 && fcntl(fd, F_SETFL, flags | O_APPEND) == 0 &&
                dup2(fd, 2) == 2;
    close(fd);
    return done;
}

static off_t captured_bytes(void)
{
    struct stat st;
    return fstat(2, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : -1;
}

/*
 * A limit of 1 byte, not 0: it also stops the kernel from starting a crash
 * collector that core_pattern pipes to.
 */
static void forbid_core(void)
{
    struct rlimit limit = {1, 1};
    (void)setrlimit(RLIMIT_CORE, &limit);
}

/* Wait for the child; false when it had to be killed. */
static bool wait_bounded(pid_t pid, unsigned seconds, int *status)
{
    struct timespec pause = {0, 100000};
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        pid_t got = waitpid(pid, status, WNOHANG);
        if (got == pid)
            return true;
        if (got < 0 && errno != EINTR)
            return false;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - start.tv_sec > (time_t)seconds)
            break;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 5000000)
            pause.tv_nsec *= 2;
    }
    kill(pid, SIGKILL);
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
    return false;
}

void death_run(struct death *death, death_fn fn, const void *arg,
               unsigned seconds)
{
    memset(death, 0, sizeof *death);
    fflush(NULL);
    off_t start = captured_bytes();
    pid_t pid = fork();
    if (pid == 0) {
        forbid_core();
        fn(arg);
        _exit(0);
    }
    if (pid < 0) {
        death->status = 98;
        snprintf(death->text, sizeof death->text, "fork: %s", strerror(errno));
        return;
    }
    int status = 0;
    death->timed_out = !wait_bounded(pid, seconds, &status);
    if (WIFSIGNALED(status))
        death->signal = WTERMSIG(status);
    else
        death->status = WEXITSTATUS(status);
    if (start < 0)
        return;
    ssize_t got = pread(2, death->text, sizeof death->text - 1, start);
    death->text[got > 0 ? got : 0] = 0;
    if (ftruncate(2, start) != 0)
        perror("death: ftruncate");
}

const char *death_describe(const struct death *death)
{
    static char line[DEATH_TEXT_BYTES + 128];
    char how[64];
    if (death->timed_out)
        snprintf(how, sizeof how, "timed out");
    else if (death->signal)
        snprintf(how, sizeof how, "SIG%s", sigabbrev_np(death->signal));
    else
        snprintf(how, sizeof how, "exit %d", death->status);
    size_t first = strcspn(death->text, "\n");
    snprintf(line, sizeof line, "%s%s%.*s", how, first ? ", said: " : "",
             (int)first, death->text);
    return line;
}

bool death_says(const char *text, const char *alternatives)
{
    if (alternatives == NULL || *alternatives == 0)
        return true;
    while (*alternatives) {
        size_t bytes = strcspn(alternatives, "|");
        if (memmem(text, strlen(text), alternatives, bytes) != NULL)
            return true;
        alternatives += bytes + (alternatives[bytes] == '|');
    }
    return false;
}

/* A report is one line, whole, and begins with our name. */
static bool is_report(const char *text)
{
    const char *line = strstr(text, "merlon: ");
    return line != NULL && (line == text || line[-1] == '\n') &&
           strchr(line, '\n') != NULL;
}

static const char *explain(const struct death *death, const char *wanted)
{
    static char buffer[DEATH_TEXT_BYTES + 512];
    snprintf(buffer, sizeof buffer, "wanted %s; got %s", wanted,
             death_describe(death));
    return buffer;
}

const char *death_check(death_fn fn, const void *arg, int signal,
                        const char *text)
{
    struct death death;
    char wanted[256];
    death_run(&death, fn, arg, DEATH_SECONDS);
    snprintf(wanted, sizeof wanted, "SIG%s and \"%s\"", sigabbrev_np(signal),
             text ? text : "");
    if (death.timed_out || death.signal != signal)
        return explain(&death, wanted);
    if (!death_says(death.text, text))
        return explain(&death, wanted);
    if (signal == SIGABRT && !is_report(death.text))
        return explain(&death, "a whole line that begins with \"merlon: \"");
    return NULL;
}

const char *death_check_exit(death_fn fn, const void *arg, int status)
{
    struct death death;
    char wanted[32];
    death_run(&death, fn, arg, DEATH_SECONDS);
    snprintf(wanted, sizeof wanted, "exit %d", status);
    if (death.timed_out || death.signal != 0 || death.status != status)
        return explain(&death, wanted);
    return NULL;
}

_Noreturn void death_fail(const char *why)
{
    dprintf(2, "failed: %s\n", why);
    _exit(99);
}
