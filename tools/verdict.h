/* SPDX-License-Identifier: MIT */
/*
 * verdict.h - can merlon serve a program, and if not, why?
 *
 * Judged by the program's file alone, before it is started: by what the kernel
 * and the dynamic loader will look at. Where they would leave merlon out in
 * silence, a verdict says so.
 */
#ifndef MERLON_VERDICT_H
#define MERLON_VERDICT_H

#include <stdbool.h>

/* The values are merlon-run's exit statuses; see merlon-run(1). */
enum verdict {
    VERDICT_WORKS = 0,
    VERDICT_STATIC = 10,
    VERDICT_SET_ID = 11,
    VERDICT_CAPABILITIES = 12,
    VERDICT_OWN_MALLOC = 13,
    VERDICT_SANITIZER = 14,
    VERDICT_MACHINE = 15,
    VERDICT_C_LIBRARY = 16,
    VERDICT_NO_PROGRAM = 17,
};

enum { VERDICT_TEXT_BYTES = 1024 };

struct judgement {
    enum verdict verdict;
    char text[VERDICT_TEXT_BYTES]; /* one line, without its end */
};

/* `program` and `library` are paths of files. A script is judged by its
   interpreter. */
void verdict_judge(struct judgement *judgement, const char *program,
                   const char *library);

/* The path that a shell would start for this name, in memory of its own; NULL
   and errno if there is none. */
char *verdict_find_program(const char *name);

#endif
