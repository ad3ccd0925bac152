/* SPDX-License-Identifier: MIT */
/*
 * crime.h - misuse of the heap, and what a build must make of it.
 *
 * Each crime is committed in a child. A build that has the mitigation must
 * catch it; otherwise the outcome is only recorded. Either way a line of the
 * table goes to stdout: "# | crime | bytes | outcome | wanted |".
 */
#ifndef MERLON_TEST_CRIME_H
#define MERLON_TEST_CRIME_H

#include "death.h"
#include "suite.h"

/* What a child that was not caught may say of itself by its exit status. */
enum { CRIME_UNNOTICED = 0, CRIME_HARMLESS = 10, CRIME_SUCCEEDED = 11 };

struct crime {
    const char *name;
    size_t bytes;       /* size of the objects; part of the table's line */
    death_fn commit;
    const void *arg;
    const char *kinds;  /* what the report may say, as in death_check() */
    bool caught;        /* this build must catch it */
    bool may_fault;     /* SIGSEGV will do as well: a guard was hit */
    bool may_miss;      /* CRIME_HARMLESS will do as well */
};

/* Small, medium, large and huge: what every crime is tried with. */
enum { CRIME_SIZES = 4 };
extern const size_t crime_bytes[CRIME_SIZES];

/* For use in the child: an object, written to at both ends. */
void *crime_object(size_t bytes);

/* As many objects of a size as are cheap, at most `most`. */
size_t crime_many(size_t bytes, size_t most);

/* free(p) by a thread that then ends. */
void crime_free_elsewhere(void *p);

/* Make the owner (the caller) take in what other threads sent. */
void crime_settle(size_t bytes);

/* Commit it in a child, print the line, fail the test if it was missed. */
void crime_judge(const struct crime *crime);

/* The same, but only say whether the outcome is as wanted. */
bool crime_try(const struct crime *crime, struct death *death);

#endif
