/* SPDX-License-Identifier: MIT */
/*
 * properties.h - what the hardened variant promises in figures: the cases, and
 * what they share.
 *
 * Every threshold is one that a sound build misses with a probability below
 * 1e-6; where chance is involved, `six` deviations are allowed for. Each test
 * prints what it saw, so that the figures of any build can be read in its log.
 * A build without a mitigation says SKIP instead of testing for it.
 */
#ifndef MERLON_TEST_PROPERTIES_H
#define MERLON_TEST_PROPERTIES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "die.h"
#include "sizeclass.h"
#include "../support/death.h"
#include "../support/suite.h"

TCase *layout_case(void);
TCase *reuse_case(void);
TCase *patience_case(void);
TCase *leaks_case(void);
TCase *canaries_case(void);
TCase *race_case(void);

/* The program started anew for its layout: print the next addresses. */
int layout_print(void);
#define LAYOUT_VARIABLE "MERLON_TEST_LAYOUT"

/* Classes of 16 bytes to 64 KiB. */
enum { PROPERTY_CLASSES = CLASS_LINEAR_COUNT + 9 * CLASS_STEPS };

/* The largest request that a class serves. */
static inline size_t property_request(unsigned class)
{
    return class_slot_bytes(class) - CANARY_BYTES;
}

/* `fn` in a child, with memory that it shares with us; false unless it exits
   with status 0. */
bool property_child(death_fn fn, const void *arg);

/* Memory that children share with their parent, zero. */
void *property_shared(size_t bytes);

/* With on_error=report and nothing printed: reports of all kinds so far. */
void property_report_only(void);
unsigned long property_reports(void);

/* The bound of six deviations above `p` for n trials, as a share. */
double property_six(double p, double n);

/* In the environment: test for what this build does not promise as well. */
#define PROPERTY_ALL "MERLON_TEST_ALL_PROPERTIES"

#define PROPERTY_SKIP(condition, name)                                       \
    do {                                                                     \
        if ((condition) && getenv(PROPERTY_ALL) == NULL) {                   \
            printf("# SKIP %s: this build is without " name "\n", __func__); \
            fflush(stdout);                                                  \
            return;                                                          \
        }                                                                    \
    } while (0)

#define PROPERTY_SAY(...)                                                    \
    do {                                                                     \
        printf("# " __VA_ARGS__);                                            \
        fflush(stdout);                                                      \
    } while (0)

#endif
