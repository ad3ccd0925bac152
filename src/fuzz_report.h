/* SPDX-License-Identifier: MIT */
/*
 * fuzz_report.h - what libmerlon-fuzz says of a detection, and how it ends.
 *
 * After the line of die.h: the object, where in it, the operations and call
 * stacks of its allocation and its free, and the seed that repeats it all. On
 * request as one line of JSON, for scripts.
 */
#ifndef MERLON_FUZZ_REPORT_H
#define MERLON_FUZZ_REPORT_H

#include "die.h"
#include "fuzz_place.h"
#include "os.h"

/* The public function that the program called, from where, and its frame
   (stack.h). */
struct fuzz_call {
    const char *function;
    const void *site;
    const void *frame;
};

struct fuzz_finding {
    enum die_kind kind;
    struct fuzz_call call;
    uintptr_t pointer;     /* what the program passed or touched */
    const char *detail;    /* constant text, or NULL */
    const struct place *place; /* whose object it concerns, or NULL */
    uint32_t lane;         /* the operation that noticed */
    uint64_t operation;
    enum os_access access; /* of a fault */
};

/* Say it. Returns. */
COLD void fuzz_tell(const struct fuzz_finding *finding);

/* Say it and end as the options want; on_error=report returns. */
COLD void fuzz_report(const struct fuzz_finding *finding);

/* One line for an object that nobody freed, as long as `count` is small. */
COLD void fuzz_tell_leak(const struct place *place, size_t count);
COLD void fuzz_tell_leaks(size_t count, size_t bytes);

#endif
