/* SPDX-License-Identifier: MIT */
/*
 * tool.c - see tool.h.
 */
#include "tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *tool_name = "merlon";
int tool_failure = 1;

void fail(const char *format, ...)
{
    va_list arguments;

    fflush(stdout);
    fprintf(stderr, "%s: ", tool_name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    putc('\n', stderr);
    exit(tool_failure);
}

void *allocate(size_t bytes)
{
    void *p = calloc(1, bytes != 0 ? bytes : 1);

    if (!p)
        fail("out of memory");
    return p;
}

char *text_of(const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        fail("out of memory");
    va_end(arguments);
    return text;
}
