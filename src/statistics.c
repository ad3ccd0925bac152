/* SPDX-License-Identifier: MIT */
/*
 * statistics.c - see statistics.h.
 *
 * The idea: the file is made and mapped at the start, and then only stored
 * to. So it needs no descriptor that a daemon could close, no right that it
 * could drop and no system call that a sandbox could forbid, and a process
 * that is killed has left its figures.
 *
 * Forked children share the mapping. It has a few slots; each process claims
 * an unused one, which is full of line ends, by one compare-and-swap of its
 * first word, and writes to no other. When they are used up, further processes
 * write nothing.
 */
#include "statistics.h"

#include <string.h>

#include "die.h"
#include "face.h"
#include "options.h"
#include "os.h"
#include "process.h"

enum {
    SLOT_BYTES = 1024,
    SLOT_COUNT = 64,
    PERIOD_MS = 10000,
};

#define UNUSED "\n\n\n\n\n\n\n\n"
#define CLAIMED "process "

HIDDEN bool statistics_wanted;

static char *file;
static char *slot;               /* ours; NULL: there was none left */
static uint64_t slot_generation; /* of the process that claimed it */
static size_t inherited;         /* allocations before that: a parent's */
static uint64_t written_ms;
static uint32_t writing;

static size_t add(char *text, size_t at, const char *more)
{
    while (*more && at < SLOT_BYTES)
        text[at++] = *more++;
    return at;
}

static size_t add_number(char *text, size_t at, size_t value)
{
    char digits[3 * sizeof value + 1];
    size_t first = sizeof digits - 1;

    digits[first] = '\0';
    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    return add(text, at, digits + first);
}

/* All of a slot. Returns how much of it is text. */
static size_t describe(char *text, const char *state)
{
    size_t at = add_number(text, add(text, 0, CLAIMED), os_process_id());

    at = add(text, add(text, at, " of "), os_program_name());
    at = add(text, add(text, at, state), "\n");
    at += face_describe(text + at, SLOT_BYTES - at);
    at = add(text, at, "small allocations   ");
    at = add_number(text, at, face_allocations() - inherited);
    at = add(text, at, "\n");
    memset(text + at, '\n', SLOT_BYTES - at);
    return at;
}

static char *claim(void)
{
    uint64_t unused, claimed;

    memcpy(&claimed, CLAIMED, sizeof claimed);
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        uint64_t *word = (uint64_t *)(void *)(file + i * SLOT_BYTES);
        memcpy(&unused, UNUSED, sizeof unused);
        /* Relaxed: the claim is all that is shared. */
        if (__atomic_compare_exchange_n(word, &unused, claimed, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return file + i * SLOT_BYTES;
    }
    return NULL;
}

static void write_slot(const char *state)
{
    char text[SLOT_BYTES];
    uint64_t generation = process_generation();

    if (slot_generation != generation) {
        if (slot_generation != 0)
            inherited = face_allocations();
        slot_generation = generation;
        slot = claim();
    }
    if (!slot)
        return;
    describe(text, state);
    memcpy(slot, text, sizeof text);
}

void statistics_beat(uint64_t now_ms)
{
    uint64_t last = __atomic_load_n(&written_ms, __ATOMIC_RELAXED);

    if (now_ms - last < PERIOD_MS && slot_generation == process_generation())
        return;
    /* Acquire and release: one at a time has the slot. In a child the flag may
       stand for a thread of the parent's; then it is told only at the end. */
    if (__atomic_exchange_n(&writing, 1, __ATOMIC_ACQUIRE) != 0)
        return;
    __atomic_store_n(&written_ms, now_ms, __ATOMIC_RELAXED);
    write_slot(", running");
    __atomic_store_n(&writing, 0, __ATOMIC_RELEASE);
}

/* %p in the path is the number of the process, so that a program and those
   that it starts can have a file each. */
static bool expand(char *path, const char *wanted)
{
    size_t at = 0;

    for (; *wanted && at < OPTION_PATH_BYTES; wanted++) {
        if (wanted[0] == '%' && wanted[1] == 'p') {
            at = add_number(path, at, os_process_id());
            wanted++;
        } else {
            path[at++] = *wanted;
        }
    }
    if (at >= OPTION_PATH_BYTES)
        return false;
    path[at] = '\0';
    return true;
}

__attribute__((constructor)) static void statistics_start(void)
{
    char path[OPTION_PATH_BYTES + 3 * sizeof(size_t)];
    const char *wanted = options_get()->statistics;

    if (!process_start() || *wanted != '/' || !expand(path, wanted))
        return;
    file = os_file_map(path, SLOT_COUNT * SLOT_BYTES, '\n');
    if (!file) {
        static const char text[] =
            "merlon: the file of statistics= cannot be made\n";
        die_write(text, sizeof text - 1);
        return;
    }
    statistics_wanted = true;
    statistics_beat(0);
}

/* exit() comes by here, _exit() and signals do not. */
__attribute__((destructor)) static void statistics_end(void)
{
    char text[SLOT_BYTES];

    if (file)
        write_slot(", ended");
    else if (strcmp(options_get()->statistics, "exit") == 0)
        die_write(text, describe(text, ", ended"));
}
