/* SPDX-License-Identifier: MIT */
/*
 * tool.h - what the operator's tools share: how they fail, and memory.
 */
#ifndef MERLON_TOOL_H
#define MERLON_TOOL_H

#include <stddef.h>

/* The tool's name and the status that it fails with; set by its main. */
extern const char *tool_name;
extern int tool_failure;

/* One line to standard error, and the end. */
void __attribute__((noreturn, format(printf, 1, 2)))
fail(const char *format, ...);

/* Zeroed memory; never NULL. */
void *allocate(size_t bytes);

/* A formatted text in memory of its own; never NULL. */
char *__attribute__((format(printf, 1, 2))) text_of(const char *format, ...);

#endif
