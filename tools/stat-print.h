/* SPDX-License-Identifier: MIT */
/*
 * stat-print.h - merlon-stat's three forms of output.
 */
#ifndef MERLON_STAT_PRINT_H
#define MERLON_STAT_PRINT_H

#include "place.h"

enum output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_PROMETHEUS };

/* After figures_gather, if it is active. */
void print_figures(enum output output, bool mapped, bool active,
                   bool classes);

/* OUTPUT_TEXT or OUTPUT_JSON. */
void print_place(enum output output, uint64_t address,
                 const struct place *place);

/* The text of the last report alone. */
void print_report(void);

#endif
