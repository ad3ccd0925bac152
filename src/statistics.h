/* SPDX-License-Identifier: MIT */
/*
 * statistics.h - statistics=exit and statistics=/PATH: figures that a program
 * leaves behind. Without the option nothing here does anything.
 */
#ifndef MERLON_STATISTICS_H
#define MERLON_STATISTICS_H

#include "base.h"

/* There is a file that is kept up to date. Written at start only. */
extern HIDDEN bool statistics_wanted;

/* From slow calls, with a clock that somebody has looked at: writes the
   figures if they are old. No system call. */
COLD void statistics_beat(uint64_t now_ms);

/* After a slow call, with the time of the heap's last look at the clock. */
static inline void statistics_tick(uint64_t now_ms)
{
    if (unlikely(statistics_wanted))
        statistics_beat(now_ms);
}

#endif
