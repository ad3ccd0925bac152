/* SPDX-License-Identifier: MIT */
/*
 * suite.c - main, seed and measurements of the test programs. See suite.h.
 */
#define _GNU_SOURCE
#include "suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "death.h"

#ifdef MERLON_TEST_LIBC
#include <malloc.h>

static void libc_free_sized(void *p, size_t bytes)
{
    (void)bytes;
    free(p);
}

volatile struct calls m = {
    malloc, calloc, realloc, reallocarray, free, libc_free_sized,
    malloc_usable_size,
};
#else
#include "merlon/merlon.h"

volatile struct calls m = {
    merlon_malloc, merlon_calloc, merlon_realloc, merlon_reallocarray,
    merlon_free, merlon_free_sized, merlon_malloc_usable_size,
};
#endif

/* Set in the environment of the program that has descriptor 2 captured. */
static const char STDERR_VARIABLE[] = "MERLON_TEST_STDERR";

uint64_t suite_seed(void)
{
    static uint64_t seed;
    if (seed == 0) {
        const char *given = getenv("MERLON_TEST_SEED");
        if (given != NULL)
            seed = strtoull(given, NULL, 0);
        else if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
            seed = (uint64_t)time(NULL);
        seed |= seed == 0;
    }
    return seed;
}

bool suite_full(void)
{
    const char *full = getenv("MERLON_TEST_FULL");
    return full != NULL && strcmp(full, "1") == 0;
}

/* From the text in kB, not from statm: under an emulator with larger pages the
   pages of statm are the host's. What is anonymous of it: pages of the
   program's files come and go as the kernel pleases. */
size_t suite_rss_bytes(void)
{
    static const char name[] = "\nRssAnon:";
    char text[4096];
    int fd = SUITE_TSAN ? -1 : open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0)
        return 0;
    text[got] = 0;
    const char *line = strstr(text, name);
    return line ? (size_t)strtoul(line + sizeof name - 1, NULL, 10) * 1024 : 0;
}

double suite_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void suite_sleep_ms(unsigned ms)
{
    struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

/*
 * Start this program again with descriptor 2 captured (death.h says why). Where
 * that cannot be (qemu without binfmt), capture in place: right as long as
 * merlon did not start before main.
 */
static int capture_stderr(char **argv)
{
    const char *kept = getenv(STDERR_VARIABLE);
    if (kept != NULL)
        return atoi(kept);
    int original = fcntl(2, F_DUPFD, 10);
    if (original < 0 || !death_capture())
        return -1;
    char number[16];
    snprintf(number, sizeof number, "%d", original);
    setenv(STDERR_VARIABLE, number, 1);
    execv("/proc/self/exe", argv);
    return original;
}

/* What nobody expected on descriptor 2 is shown after all. */
static void show_stderr(int original)
{
    char text[4096];
    off_t offset = 0;
    ssize_t got;
    while (original >= 0 && (got = pread(2, text, sizeof text, offset)) > 0) {
        if (write(original, text, (size_t)got) != got)
            break;
        offset += got;
    }
}

int suite_main(int argc, char **argv, Suite *(*make)(void))
{
    (void)argc;
    int original = capture_stderr(argv);
    const char *tap = getenv("MERLON_TEST_TAP");
    bool is_tap = tap != NULL && strcmp(tap, "1") == 0;
    printf("# seed: MERLON_TEST_SEED=0x%llx\n",
           (unsigned long long)suite_seed());
    if (SUITE_TSAN)
        printf("# memory is not measured: ThreadSanitizer has its own\n");
    fflush(stdout);
    SRunner *runner = srunner_create(make());
    if (is_tap)
        srunner_set_tap(runner, "-");
    srunner_run_all(runner, is_tap ? CK_SILENT : CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    fflush(stdout);
    show_stderr(original);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
