/* SPDX-License-Identifier: MIT */
/*
 * fuzz_options.h - the options that only libmerlon-fuzz has; merlon-fuzz(7)
 * explains them. In every other variant their names are not understood.
 */
#ifndef MERLON_FUZZ_OPTIONS_H
#define MERLON_FUZZ_OPTIONS_H

#include "base.h"

enum fuzz_side { FUZZ_RIGHT, FUZZ_LEFT, FUZZ_ALTERNATE };

enum { FUZZ_PATH_BYTES = 256 };

struct fuzz_options {
    /* seed=N: all addresses and decisions follow from it. Not given: drawn,
       and told by every report. */
    uint32_t seed;
    bool seeded;
    /* side=right|left|alternate: where objects touch a guard. */
    enum fuzz_side side;
    /* align=1|2|4|8|16: least alignment of an object. */
    size_t alignment;
    /* budget=BYTES: address space that a lane uses before it reuses any. */
    size_t budget_bytes;
    /* fill=0..255: fresh memory. free_fill=0..255: freed memory that could
       not be made inaccessible. */
    uint8_t fill, free_fill;
    /* max_alloc, max_total=BYTES: larger objects, and more live memory, are
       refused. oom=null|abort: how. */
    size_t max_alloc_bytes, max_total_bytes;
    bool oom_is_fatal;
    /* fail_one_in=N: one allocation in N fails, by the seed. 0: none. */
    uint64_t fail_one_in;
    /* verify=N: all slack is verified every N operations. 0: at exit only. */
    uint64_t verify_every;
    /* stop_at=[LANE:]N: the operation before which a debugger is called. */
    uint64_t stop_lane, stop_at;
    /* exit_code=N: end with it after a report. 0: by a signal. */
    int exit_code;
    /* report=text|json; report_file=PATH: where it is appended. */
    bool json;
    char report_file[FUZZ_PATH_BYTES];
    /* faults=on|off: explain faults. stacks=on|off: remember call stacks.
       leaks=on|off: list at exit what lives. */
    bool faults, stacks, leaks;
};

void fuzz_options_default(struct fuzz_options *options);

/* One option; false when it is not understood, and nothing is changed. */
bool fuzz_options_parse(struct fuzz_options *options, const char *name,
                        size_t name_length, const char *value,
                        size_t value_length);

#endif
