/* SPDX-License-Identifier: MIT */
/*
 * machine.h - merlon driven by a feed of bytes, against the shadow.
 *
 * The machine plays several threads in one: an actor is what a thread is to
 * merlon, a value of its one thread-local pointer. So all of the public
 * functions run on as many heaps as one likes, and the delivery of messages,
 * the passing of time, the end of a thread and the refusal of a system call are
 * operations like any other, in an order that a feed decides and repeats.
 *
 * Nothing is left at the end of a run: all objects are freed, all messages
 * delivered, all heaps closed, and the figures are what they were before.
 */
#ifndef MERLON_TEST_MACHINE_H
#define MERLON_TEST_MACHINE_H

#include "die.h"
#include "feed.h"
#include "heap.h"
#include "shadow.h"

enum {
    MACHINE_ACTORS = 6,
    MACHINE_STALE = 128,
};

/* What a run may do. */
struct machine_rules {
    unsigned actors;  /* 1: a single thread, 2 and more: messages */
    bool crimes;      /* the program misuses its memory: machine_crime.c */
    bool faults;      /* the kernel refuses: fault.h */
    bool processes;   /* forks, and threads that end: machine_process.c */
};

/* Where an object was: what an attacker remembers. */
struct stale {
    unsigned char *p;
    size_t usable;
};

struct machine {
    struct machine_rules rules;
    struct feed *feed;
    struct shadow shadow;
    struct heap *heap[MACHINE_ACTORS]; /* NULL: it has none yet */
    struct stale stale[MACHINE_STALE];
    unsigned stale_count;
    unsigned crimes;  /* committed so far: reports are right from then on */
    unsigned forks;   /* so far, in this process */
    bool in_child;
};

/* Run until the feed is empty. */
void machine_run(const struct machine_rules *rules, struct feed *feed);

/* ---- for the parts of the machine ---- */

/* Be this actor, from here to machine_leave. */
void machine_enter(struct machine *m, unsigned actor);
void machine_leave(struct machine *m, unsigned actor);

/* What a call must do to errno: nothing, or on failure ENOMEM. */
void machine_call(void);
void machine_kept_errno(void);

/* The call returned this. NULL is right only where the kernel refuses, or
   after a crime. False: it was NULL. */
bool machine_born(struct machine *m, void *p, size_t bytes, size_t alignment,
                  bool zeroed);

/* Forget the object and remember where it was. */
struct object machine_take(struct machine *m, size_t at);

/* Operations until the feed is empty or `limit` were done. */
void machine_operate(struct machine *m, size_t limit);

/* Everything that is under way arrives. */
void machine_deliver_all(struct machine *m);

/* Free what lives, by turns, and close all heaps. */
void machine_finish(struct machine *m);

/* Reports so far, of every kind. */
unsigned long machine_reports(void);

/* One operation of each kind; the feed says which. */
void machine_crime(struct machine *m);
void machine_fork(struct machine *m);
void machine_thread(struct machine *m);

/* The end of a child, which the parent waits for: coverage is written. */
_Noreturn void machine_exit(void);

#endif
