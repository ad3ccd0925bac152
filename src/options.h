/* SPDX-License-Identifier: MIT */
/*
 * options.h - MERLON_OPTIONS, read once, at the first call.
 *
 * A list "name=value,name=value". Under AT_SECURE nothing is read. An unknown
 * name or value is one line of warning and changes nothing else.
 */
#ifndef MERLON_OPTIONS_H
#define MERLON_OPTIONS_H

#include "policy.h"

enum option_action { OPTION_IGNORE, OPTION_REPORT, OPTION_ABORT };

struct options {
    /* on_error=abort|report: after a detection, end or leak and go on. */
    enum option_action on_error;
    /* size_mismatch=ignore|report|abort: sized frees with a wrong size. */
    enum option_action size_mismatch;
    /* report_fd=N: where reports go, whatever it is by then. Not given (-1):
       to descriptor 2, if that is still the file that it was at start. */
    int report_fd;
    /* arena=BYTES[K|M|G|T]: address space to reserve at once; 0: by the
       machine and its limits. For emulators, which pay for each page. */
    size_t arena_bytes;
    /* sample=N: one allocation in N is guarded; 0: none. */
    size_t sample;
    /* guard_signals=on|off: handle SIGSEGV, to report what touched a guarded
       allocation; other faults go to the handler that was there. */
    bool guard_signals;
    /* seal=on|off: what is read-only after start is sealed as well (mseal),
       unless a filter of system calls is in force. Finding that out is half
       of what a start costs: 48 microseconds, measured. */
    bool seal;
};

enum { OPTION_SAMPLE_DEFAULT = SAMPLING ? 5000 : 0 };

/* Read-only after options_seal. */
const struct options *options_get(void);

void options_read(void);
void options_seal(void);

/* The parser alone, for tests: false and *bad at the first thing that is not
   understood; what was understood before it is applied. */
bool options_parse(struct options *options, const char *text,
                   const char **bad);

#endif
