/* SPDX-License-Identifier: MIT */
/*
 * options.h - what the operator chose, read once, at the first call: first
 * from merlon.conf (conf.h), then from MERLON_OPTIONS.
 *
 * A list "name=value,name=value". Under AT_SECURE nothing is read. An unknown
 * name or value is one line of warning and changes nothing else.
 */
#ifndef MERLON_OPTIONS_H
#define MERLON_OPTIONS_H

#include "fuzz_options.h"
#include "policy.h"

enum { OPTION_PATH_BYTES = 256 };

enum option_action { OPTION_IGNORE, OPTION_REPORT, OPTION_ABORT };

struct options {
    /* on_error=abort|report: after a detection, end or leak and go on. */
    enum option_action on_error;
    /* size_mismatch=ignore|report|abort: sized frees with a wrong size. */
    enum option_action size_mismatch;
    /* own_malloc=ignore|report|abort: when merlon steps aside (aside.h). */
    enum option_action own_malloc;
    /* report_fd=N: where reports go, whatever it is by then. Not given: to
       descriptor 2, if that is still the file that it was at start. */
    int report_fd;
    bool report_chosen;
    /* arena=BYTES[K|M|G|T]: address space to reserve at once; 0: by the
       machine and its limits. For emulators, which pay for each page. */
    size_t arena_bytes;
    /* sample=N: one allocation in N is guarded; 0: none. */
    size_t sample;
    /* guard_signals=on|off: handle SIGSEGV, to report what touched a guarded
       allocation; other faults go to the handler that was there. */
    bool guard_signals;
    /* seal=on|off: what is read-only after start is sealed as well (mseal),
       unless a filter of system calls is in force. Finding that out takes as
       long as the rest of the start: 48 microseconds, measured. */
    bool seal;
    /* statistics=exit|/PATH: figures to standard error when the process
       exits, or kept up to date in a file; empty: none. */
    char statistics[OPTION_PATH_BYTES];
    /* What the fuzz allocator has beside these; elsewhere not a byte. */
    struct fuzz_options fuzz[FUZZ_ALLOCATOR];
};

/* What a name in a list sets. publish.c shows the table to who reads a process
   from outside, so its elements are four words each. */
enum option_kind {
    OPTION_KIND_ACTION, /* report or abort */
    OPTION_KIND_ACTION_OR_IGNORE,
    OPTION_KIND_DESCRIPTOR,
    OPTION_KIND_BYTES,
    OPTION_KIND_OUTPUT, /* exit, or a path */
    OPTION_KIND_NUMBER,
    OPTION_KIND_SWITCH, /* on or off */
};

struct option_place {
    const char *name;
    uintptr_t kind;
    uintptr_t offset, bytes; /* in struct options */
};

enum { OPTION_COUNT = 9 };
extern const struct option_place option_table[OPTION_COUNT];
extern const struct options *const option_values;
extern const char *const option_action_text[];

enum { OPTION_SAMPLE_DEFAULT = SAMPLING ? 5000 : 0 };

/* Read-only after start under SEALED_STATE. */
const struct options *options_get(void);

void options_read(void);

/* Set one option; false: there is no such name, or no such value. */
bool options_set(struct options *options, const char *name, size_t name_length,
                 const char *value, size_t value_length);

/* The parser alone, for tests: false and *bad at the first thing that is not
   understood; what was understood before it is applied. */
bool options_parse(struct options *options, const char *text,
                   const char **bad);

#endif
