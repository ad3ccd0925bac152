/* SPDX-License-Identifier: MIT */
/* trace.h - between trace.cc and the operators of replace.cc. */
#ifndef MERLON_TEST_TRACE_H
#define MERLON_TEST_TRACE_H

/* An operator of the program was called. */
void trace_note(const char *name);

#endif
