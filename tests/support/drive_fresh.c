/* SPDX-License-Identifier: MIT */
/*
 * drive_fresh.c - what is decided at the start of a process, or at its end:
 * options from outside, the file of statistics, faults in sampled objects, the
 * last report. And who defines a name, which the start asks.
 *
 * The drive starts its own program anew with MERLON_OPTIONS as the bytes say.
 * There drives_child takes over from main, does what it is told by DRIVE_TASK,
 * and judges what it can see; the parent judges what it leaves behind.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "die.h"
#include "drives.h"
#include "face.h"
#include "fault.h"
#include "feed.h"
#include "machine.h"
#include "options.h"
#include "os.h"
#include "sample.h"

enum {
    ANSWER_BYTES = 1 << 14,
    OPTIONS_BYTES = 1 << 10,
    ARGUMENTS = 12,
    CHILD_SECONDS = 60,
    BEATS = 3000, /* slow calls, in which statistics are written */
};

/* ---- the parent's side ---- */

struct fresh {
    const char *task;
    char options[OPTIONS_BYTES];
    char arguments[2 * ARGUMENTS + 1]; /* hexadecimal */
    char answer[ANSWER_BYTES];         /* what it wrote to descriptor 2 */
    size_t length;
    pid_t pid;
    int status;
};

_Noreturn static void become(const struct fresh *f, int output)
{
    char program[] = "fresh";
    char *argv[] = {program, NULL};

    dup2(output, 2);
    setenv("MERLON_OPTIONS", f->options, 1);
    setenv("DRIVE_TASK", f->task, 1);
    setenv("DRIVE_ARGUMENTS", f->arguments, 1);
    execv("/proc/self/exe", argv);
    _exit(99);
}

static void run_fresh(struct fresh *f)
{
    int ends[2];
    ssize_t got;

    shadow_must(pipe2(ends, O_CLOEXEC) == 0);
    f->pid = fork();
    shadow_must(f->pid >= 0);
    if (f->pid == 0)
        become(f, ends[1]);
    close(ends[1]);
    while ((got = read(ends[0], f->answer + f->length,
                       sizeof f->answer - 1 - f->length)) != 0) {
        if (got > 0)
            f->length += (size_t)got;
        else
            shadow_must(errno == EINTR);
    }
    close(ends[0]);
    f->answer[f->length] = '\0';
    while (waitpid(f->pid, &f->status, 0) != f->pid)
        shadow_must(errno == EINTR);
}

static void must_be_fine(const struct fresh *f)
{
    size_t skip = f->length > 400 ? f->length - 400 : 0;

    if (f->status != 0)
        shadow_fail("%s with %s: status %#x, %s", f->task, f->options,
                    (unsigned)f->status, f->answer + skip);
}

static void take_arguments(struct fresh *f, struct feed *feed)
{
    for (unsigned i = 0; i < ARGUMENTS; i++)
        snprintf(f->arguments + 2 * i, 3, "%02x", feed_u8(feed));
}

/* ---- options as they come ---- */

/* A bad one is told of, once; good ones are not. */
static void drive_start(struct feed *feed)
{
    struct fresh f = {.task = "start"};
    struct options options = *options_get();
    char copy[OPTIONS_BYTES];
    const char *bad;
    size_t length = 0;

    while (!feed_is_empty(feed) && length < 200) {
        char c = (char)feed_u8(feed);
        if (c != '\0')
            f.options[length++] = c;
    }
    /* These would write files, or need more memory than there is. */
    if (strstr(f.options, "statistics") || strstr(f.options, "arena")
        || strstr(f.options, "report_fd"))
        return;
    memcpy(copy, f.options, sizeof copy);
    bool fine = options_parse(&options, copy, &bad);
    run_fresh(&f);
    must_be_fine(&f);
    bool told = strncmp(f.answer, "merlon: ", 8) == 0;
    /* The line has their text in it, which may look like another. */
    if (told == fine || (f.length == 0) != fine
        || (!strstr(f.options, "merlon") && told
            && strstr(f.answer + 1, "merlon: ")))
        shadow_fail("%s said: %s", f.options, f.answer);
}

/* ---- statistics ---- */

static size_t figure(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    if (at == NULL)
        shadow_fail("no figure \"%s\" in: %s", name, text);
    return strtoul(at + strlen(name), NULL, 10);
}

/* The child allocates 4 * a + 8 objects and frees half of them. */
static void judge_statistics(const struct fresh *f, const char *text)
{
    size_t made = 4 * strtoul((char[]){f->arguments[0], f->arguments[1], 0},
                              NULL, 16) + 8;
    char first[64];

    snprintf(first, sizeof first, "process %d of ", (int)f->pid);
    if (strncmp(text, first, strlen(first)) != 0 || !strstr(text, ", ended\n"))
        shadow_fail("not \"%s\", ended: %s", first, text);
    shadow_must(figure(text, "\nlive objects         ") == made / 2);
    shadow_must(figure(text, "\nlive bytes           ") >= made / 2);
    shadow_must(figure(text, "\ndetections           ") == 0);
    /* In list mode they are counted late. */
    size_t counted = figure(text, "\nsmall allocations   ");
    shadow_must(!SLOT_MAP || counted >= made);
}

static void drive_statistics(struct feed *feed)
{
    struct fresh f = {.task = "statistics"};
    static char text[64 << 10];
    char path[128], directory[] = "/tmp/merlon-drive.XXXXXX";

    unsigned how = feed_u8(feed);
    take_arguments(&f, feed);
    if (how & 1) {
        strcpy(f.options, "sample=0,statistics=exit");
        run_fresh(&f);
        must_be_fine(&f);
        /* Behind those of the process that it forked. */
        snprintf(path, sizeof path, "process %d of ", (int)f.pid);
        judge_statistics(&f, strstr(f.answer, path) ? strstr(f.answer, path)
                                                    : f.answer);
        return;
    }
    shadow_must(mkdtemp(directory) != NULL);
    snprintf(f.options, sizeof f.options, "sample=0,statistics=%s/%s",
             how & 2 ? "/no/such" : directory, "of-%p");
    run_fresh(&f);
    must_be_fine(&f);
    snprintf(path, sizeof path, "%s/of-%d", directory, (int)f.pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (how & 2) {
        shadow_must(file < 0 && strstr(f.answer, "cannot be made"));
    } else {
        ssize_t got = file < 0 ? -1 : read(file, text, sizeof text - 1);
        shadow_must(got > 2048);
        text[got] = '\0';
        judge_statistics(&f, text);
        /* And the slot of the process that it forked. */
        shadow_must(strncmp(text + 1024, "process ", 8) == 0);
        shadow_must(strstr(text + 1024, ", ended\n") != NULL);
        size_t own = figure(text + 1024, "\nsmall allocations   ");
        /* What the parent had in stock is counted when it is used. */
        if ((SLOT_MAP && own + 64 < BEATS) || own > BEATS + 64)
            shadow_fail("%zu allocations are its own", own);
    }
    if (file >= 0)
        close(file);
    unlink(path);
    rmdir(directory);
}

/* ---- names ---- */

/* The loader's own answer. The drives are in the program, so that what comes
   before them is nothing. */
static void drive_names(struct feed *feed)
{
    static const char *const known[] = {
        "malloc", "calloc", "realloc", "free", "aligned_alloc", "getpid",
        "malloc_usable_size", "strtoul", "dlsym", "__libc_start_main",
        "environ", "no_such_name", "qsort", "pthread_create",
    };
    char name[32];
    unsigned length = 0;

    for (unsigned i = feed_u8(feed) % 16; i > 0 && !feed_is_empty(feed); i--) {
        unsigned which = feed_u8(feed) % (sizeof known / sizeof *known);
        void *after = os_symbol(known[which], OS_SYMBOL_AFTER);
        void *wanted = dlsym(RTLD_NEXT, known[which]);
        /* Data is none of its business. */
        if (after != wanted && !(after == NULL && which == 10))
            shadow_fail("%s is at %p, not %p", known[which], wanted, after);
        shadow_must(after == os_symbol(known[which], OS_SYMBOL_OTHER));
        shadow_must(os_symbol(known[which], OS_SYMBOL_BEFORE) == NULL);
        shadow_must(!os_program_needs(known[which]) || wanted != NULL);
    }
    while (!feed_is_empty(feed) && length < sizeof name - 1)
        name[length++] = (char)(feed_u8(feed) | 0x80); /* nobody's */
    name[length] = '\0';
    shadow_must(os_symbol(name, OS_SYMBOL_OTHER) == NULL);
    shadow_must(length == 0 || !os_program_needs(name));
}

/* ---- the end of a process by a report ---- */

static void drive_last_report(struct feed *feed)
{
    struct fresh f = {.task = "report", .options = "on_error=abort"};
    char begin[64];

    unsigned kind = feed_u8(feed) % DIE_KIND_COUNT;
    snprintf(f.arguments, sizeof f.arguments, "%02x", kind);
    run_fresh(&f);
    snprintf(begin, sizeof begin, "merlon: %s in drive() (told to): pointer "
             "0x", die_kind_text[kind]);
    if (!WIFSIGNALED(f.status) || WTERMSIG(f.status) != SIGABRT
        || strncmp(f.answer, begin, strlen(begin)) != 0)
        shadow_fail("%s ended by %#x: %s", die_kind_text[kind],
                    (unsigned)f.status, f.answer);
}

static void drive_samples(struct feed *feed)
{
    struct fresh f = {
        .task = "samples",
        .options = "sample=1,guard_signals=on,on_error=report",
    };

    take_arguments(&f, feed);
    if (!SAMPLING)
        return;
    run_fresh(&f);
    must_be_fine(&f);
}

void drive_fresh(const uint8_t *bytes, size_t count)
{
    struct feed feed = {bytes, bytes + count};

    switch (feed_u8(&feed) % 8) {
    case 0:
        drive_start(&feed);
        break;
    case 1:
        drive_statistics(&feed);
        break;
    case 2:
        drive_last_report(&feed);
        break;
    case 3: case 4:
        drive_samples(&feed);
        break;
    default:
        drive_names(&feed);
    }
}

/* ---- the child's side ---- */

static uint8_t argument[ARGUMENTS];

static void do_start(void)
{
    merlon_free(merlon_malloc(1));
}

/* Slow calls look at the clock, and at the statistics then. */
static void beat(void)
{
    for (unsigned i = 0; i < BEATS; i++)
        merlon_free(merlon_malloc((size_t)200 << 10));
}

static void do_statistics(void)
{
    size_t count = (size_t)argument[0] * 4 + 8, bytes = argument[1] + 1u;
    static void *objects[4 * 256 + 8];
    int status;

    fault_clock_pass(20000);
    for (size_t i = 0; i < count; i++)
        objects[i] = merlon_malloc(bytes);
    pid_t child = fork();
    if (child == 0) {
        beat();
        exit(0);
    }
    shadow_must(child > 0 && waitpid(child, &status, 0) == child
                && status == 0);
    fault_clock_pass(20000);
    beat();
    for (size_t i = 0; i < count; i += 2)
        merlon_free(objects[i]);
}

static void do_report(void)
{
    int on_stack;
    struct die_facts facts = {
        .call = {.function = "drive", .site = __builtin_return_address(0)},
        .pointer = &on_stack,
        .detail = "told to",
    };

    shadow_must(argument[0] < DIE_KIND_COUNT);
    do_start();
    die(argument[0], &facts);
}

/* The next sampled object of so many bytes. */
static unsigned char *sampled(size_t bytes)
{
    for (unsigned i = 0; i < 100000; i++) {
        unsigned char *p = merlon_malloc(bytes);
        shadow_must(p != NULL);
        if (sample_has(p)) {
            /* The compiler knows better than to write behind it. */
            __asm__("" : "+r"(p));
            return p;
        }
        merlon_free(p);
    }
    shadow_fail("no sample of %zu bytes", bytes);
}

/* One crime, or what is none: the kind that must be reported for it. */
static int misuse_sample(unsigned how, size_t bytes)
{
    volatile unsigned char *p = sampled(bytes);
    uintptr_t page = os_page_bytes(), at = (uintptr_t)p;
    size_t usable = merlon_malloc_usable_size((void *)p);
    unsigned long mismatches;

    shadow_must(usable == bytes && shadow_is_zero((void *)p, bytes));
    switch (how % 9) {
    case 0: /* the page behind */
        (void)*(volatile unsigned char *)align_up(at + bytes, page);
        merlon_free((void *)p);
        return DIE_OVERFLOW;
    case 1: /* the page in front */
        *(volatile unsigned char *)(align_down(at, page) - 1) = 1;
        merlon_free((void *)p);
        return DIE_OVERFLOW;
    case 2:
        merlon_free((void *)p);
        (void)p[bytes / 2];
        return DIE_USE_AFTER_FREE;
    case 3:
        merlon_free((void *)p);
        merlon_free((void *)p);
        return DIE_DOUBLE_FREE;
    case 4:
        merlon_free((void *)(p + 1));
        merlon_free((void *)p);
        return DIE_INVALID_POINTER;
    case 5: /* the slack, which is looked at later */
        if ((at + bytes) % page == 0) {
            merlon_free((void *)p);
            return -1;
        }
        p[bytes] ^= 1;
        merlon_free((void *)p);
        return DIE_OVERFLOW;
    case 6:
        if (at % page == 0) {
            merlon_free((void *)p);
            return -1;
        }
        p[-1] ^= 1;
        merlon_free((void *)p);
        return DIE_OVERFLOW;
    case 7: /* counted; told of once */
        mismatches = face_mismatches();
        merlon_free_sized((void *)p, bytes + 1);
        shadow_must(face_mismatches() == mismatches + 1);
        return DIE_SIZE_MISMATCH;
    default:
        p[0] = 7;
        p = merlon_realloc((void *)p, bytes / 2 + 1);
        p = merlon_realloc((void *)p, bytes * 3);
        shadow_must(p[0] == 7);
        merlon_free((void *)p);
        return -1;
    }
}

static void do_samples(void)
{
    for (unsigned i = 0; i < ARGUMENTS; i++) {
        unsigned how = argument[i] % 9;
        unsigned long before[DIE_KIND_COUNT];
        for (unsigned kind = 0; kind < DIE_KIND_COUNT; kind++)
            before[kind] = die_count(kind);
        int wanted = misuse_sample(how, argument[i] * 5u % 3000 + 24);
        for (int kind = 0; kind < DIE_KIND_COUNT; kind++)
            if (kind != DIE_SIZE_MISMATCH
                && die_count((enum die_kind)kind) - before[kind]
                       != (kind == wanted))
                shadow_fail("misuse %u: %s was reported %lu times", how,
                            die_kind_text[kind],
                            die_count((enum die_kind)kind) - before[kind]);
        if (wanted >= 0 && wanted != DIE_SIZE_MISMATCH
            && !strstr(merlon_last_report, "merlon: allocated by tid "))
            shadow_fail("no history: %s", merlon_last_report);
    }
}

void drives_child(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tasks[] = {
        {"start", do_start},   {"statistics", do_statistics},
        {"report", do_report}, {"samples", do_samples},
    };
    const char *task = getenv("DRIVE_TASK");
    const char *text = getenv("DRIVE_ARGUMENTS");

    if (task == NULL || text == NULL)
        return;
    alarm(CHILD_SECONDS);
    for (unsigned i = 0; i < ARGUMENTS && text[0] && text[1]; i++, text += 2)
        argument[i] =
            (uint8_t)strtoul((char[]){text[0], text[1], 0}, NULL, 16);
    for (unsigned i = 0; i < sizeof tasks / sizeof *tasks; i++)
        if (strcmp(task, tasks[i].name) == 0)
            tasks[i].run();
    exit(0);
}
