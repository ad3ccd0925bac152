/* SPDX-License-Identifier: MIT */
/*
 * die.h - the end of a process whose heap is not what it should be.
 *
 * One line to what was descriptor 2 at start, written with one write(2), no
 * secret in it, then abort: also when SIGABRT is blocked, handled or filtered.
 * A sampled allocation adds a line for each call stack that is known, in the
 * same write; each line begins with "merlon:".
 * With on_error=report the line is written, the caller leaks the object and
 * the program goes on.
 *
 * Every kind has a function of its own in die.c, which is on the stack when the
 * process ends, so that crash collectors tell them apart.
 */
#ifndef MERLON_DIE_H
#define MERLON_DIE_H

#include "stack.h"

enum die_kind {
    DIE_DOUBLE_FREE,
    DIE_INVALID_POINTER,
    DIE_WRITE_AFTER_FREE,
    DIE_OVERFLOW,
    DIE_LINK,
    DIE_SIZE_MISMATCH,
    DIE_METADATA,
    DIE_USE_AFTER_FREE,
    DIE_OUT_OF_MEMORY, /* only where a limit was set to be fatal */
    DIE_KIND_COUNT
};

/* The public function that the program called, and from where. */
struct die_call {
    const char *function;
    const void *site;
    const void *frame; /* of the function that returns to the site: stack.h */
};

/* What is known of a sampled allocation: sample.h. */
struct die_history {
    uintptr_t place;       /* what was touched, or found changed */
    uintptr_t object;      /* its first byte */
    size_t bytes;
    unsigned allocated_by; /* thread numbers */
    unsigned freed_by;
    const struct stack *allocation;
    const struct stack *release; /* NULL: it is live */
    const struct stack *access;  /* by a fault; NULL: the call's */
};

/* The number of the thread whose message is concerned, or that nobody knows
   it, or that another may have sent it as well. */
#define DIE_SENDER_UNKNOWN UINT32_C(0xffffff)
#define DIE_SENDER_SEVERAL (UINT32_C(1) << 31)

/* What is known at the place of detection; zero where it is not. */
struct die_facts {
    struct die_call call;
    const void *pointer;
    size_t slot_bytes;  /* size class */
    uintptr_t slab;     /* first byte of the slab */
    uint32_t sender;    /* as above; 0: no message is concerned */
    const char *detail; /* constant text, or NULL */
    const struct die_history *history; /* or NULL */
};

/* The line is kept here as well, for debuggers and core dumps. */
enum { DIE_REPORT_BYTES = 4096 };
extern char merlon_last_report[DIE_REPORT_BYTES];

/* How to end, and where to write, whatever is there; below zero: to
   descriptor 2, if it is what it was. Set once by the process floor. */
void die_configure(bool keep_going, int descriptor);

/* Remember what descriptor 2 is, before the program can close it. */
void die_remember_output(void);

/*
 * Report. Returns only with on_error=report; the caller must then leave the
 * object alone for ever.
 */
COLD void die(enum die_kind kind, const struct die_facts *facts);

/* The line alone, for what is never fatal by default. */
COLD void die_note(enum die_kind kind, const struct die_facts *facts);

/* Text to where reports go, if that is still what it was. */
void die_write(const char *text, size_t bytes);

/* The end alone, in a function of the kind's own. */
NORETURN void die_end(enum die_kind kind);

/* How often each kind was reported; readable from outside. */
unsigned long die_count(enum die_kind kind);

/* The counts, and what the kinds are called: for publish.c. */
extern unsigned long die_counts[DIE_KIND_COUNT];
extern const char *const die_kind_text[DIE_KIND_COUNT];

#endif
