/* SPDX-License-Identifier: MIT */
/*
 * text.h - a line of text that is put together without libc.
 *
 * The memory is the caller's. What does not fit is left out; the text always
 * ends with a zero byte. Any thread may call everything here, a signal handler
 * too.
 */
#ifndef MERLON_TEXT_H
#define MERLON_TEXT_H

#include "base.h"

struct text {
    char *at;
    size_t bytes;  /* room, the terminator included; at least 1 */
    size_t length;
};

/* An empty text in this memory. */
static inline struct text text_in(char *at, size_t bytes)
{
    *at = '\0';
    return (struct text){ .at = at, .bytes = bytes };
}

void text_put(struct text *text, const char *string);
void text_decimal(struct text *text, uintptr_t number);

/* With 0x in front. */
void text_hex(struct text *text, uintptr_t number);

/* A code address as module+0xoffset; as a number when no module has it. */
void text_code(struct text *text, const void *address);

/* A newline, for which room is made if need be. */
void text_end_line(struct text *text);

#endif
