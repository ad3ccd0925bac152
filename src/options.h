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
    /* own_malloc=ignore|report: a line when merlon steps aside (aside.h). */
    enum option_action own_malloc;
    /* report_fd=N: where reports go; 2 means "descriptor 2 as at start". */
    int report_fd;
    /* arena=BYTES[K|M|G|T]: address space to reserve at once; 0: by the
       machine and its limits. For emulators, which pay for each page. */
    size_t arena_bytes;
};

/* Read-only after start under SEALED_STATE. */
const struct options *options_get(void);

void options_read(void);

/* The parser alone, for tests: false and *bad at the first thing that is not
   understood; what was understood before it is applied. */
bool options_parse(struct options *options, const char *text,
                   const char **bad);

#endif
