/* SPDX-License-Identifier: MIT */
/*
 * replay.c - run drives on files, without any fuzzer.
 *
 *   replay DRIVE FILE...      each file in a child of its own
 *   replay --here DRIVE FILE  in this process: for a debugger
 *   replay --random SECONDS SEED DRIVE   random bytes, for machines without
 *                             a fuzzer; what fails is kept as crash-DRIVE
 *   replay --list             the drives
 *
 * Exit status: 0 all went well, 1 some file ended by a signal or hung, 2 wrong
 * usage, 77 this build cannot run the drive.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../tests/support/drives.h"
#include "../tests/support/fault.h"

enum { INPUT_MAX = 1 << 16, SECONDS_MAX = 300 };

static uint8_t input[INPUT_MAX];

static const struct drive_entry *find(const char *name)
{
    for (int i = 0; i < DRIVE_COUNT; i++)
        if (strcmp(drives[i].name, name) == 0)
            return &drives[i];
    fprintf(stderr, "replay: no drive \"%s\"; replay --list names them\n",
            name);
    exit(2);
}

static size_t read_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, input, sizeof input);

    if (got < 0) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        exit(2);
    }
    close(fd);
    return (size_t)got;
}

static void run(const struct drive_entry *drive, size_t count)
{
    fault_fix_random(count);
    drive->run(input, count);
}

/* In a child, so that each file begins with a fresh process. */
static int run_apart(const struct drive_entry *drive, size_t count,
                     const char *path)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        alarm(SECONDS_MAX);
        run(drive, count);
        exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("replay: fork");
        exit(2);
    }
    if (status == 0)
        return 0;
    printf("FAILED: %s %s: %s %d\n", drive->name, path,
           WIFSIGNALED(status) ? "signal" : "status",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return 1;
}

/* ---- random bytes ---- */

static uint64_t state;

static uint64_t draw(void)
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void keep(const char *path, size_t count)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, input, count) != (ssize_t)count)
        perror(path);
    close(fd);
}

static int run_random(const struct drive_entry *drive, double seconds,
                      uint64_t seed)
{
    struct timespec start, now;
    unsigned long runs = 0;
    char path[64];

    snprintf(path, sizeof path, "crash-%s", drive->name);
    state = seed;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        size_t count = 1 + draw() % (draw() % 8 ? 400 : 4000);
        for (size_t i = 0; i < count; i++)
            input[i] = (uint8_t)draw();
        if (run_apart(drive, count, path) != 0) {
            keep(path, count);
            return 1;
        }
        runs++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - start.tv_sec)
                 + (double)(now.tv_nsec - start.tv_nsec) / 1e9
             < seconds);
    printf("%s: %lu random inputs, seed %#llx\n", drive->name, runs,
           (unsigned long long)seed);
    return 0;
}

static int check_skip(const struct drive_entry *drive)
{
    if (drive->skip)
        printf("SKIP: %s: %s\n", drive->name, drive->skip);
    return drive->skip ? 77 : 0;
}

int main(int argc, char **argv)
{
    int failed = 0;

    drives_child();
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (int i = 0; i < DRIVE_COUNT; i++)
            puts(drives[i].name);
        return 0;
    }
    if (argc == 5 && strcmp(argv[1], "--random") == 0) {
        const struct drive_entry *drive = find(argv[4]);
        return drive->skip ? check_skip(drive)
            : run_random(drive, atof(argv[2]), strtoull(argv[3], NULL, 0));
    }
    if (argc == 4 && strcmp(argv[1], "--here") == 0) {
        const struct drive_entry *drive = find(argv[2]);
        if (!drive->skip)
            run(drive, read_file(argv[3]));
        return check_skip(drive);
    }
    if (argc < 3) {
        fprintf(stderr, "usage: replay DRIVE FILE...\n");
        return 2;
    }
    const struct drive_entry *drive = find(argv[1]);
    if (drive->skip)
        return check_skip(drive);
    for (int i = 2; i < argc; i++)
        failed += run_apart(drive, read_file(argv[i]), argv[i]);
    printf("%s: %d files, %d failed\n", drive->name, argc - 2, failed);
    return failed != 0;
}
