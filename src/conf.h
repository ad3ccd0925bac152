/* SPDX-License-Identifier: MIT */
/*
 * conf.h - merlon.conf: the same options as in MERLON_OPTIONS, by program.
 *
 *   # a comment
 *   on_error = report          for every program, before the first section
 *
 *   [nginx redis-server]       for programs of these names; * is any name
 *   arena = 64G
 *
 * Later lines win, and MERLON_OPTIONS wins over the file. The file is read
 * before anything else happens, and never again; a line that is not
 * understood is one warning, and changes nothing.
 */
#ifndef MERLON_CONF_H
#define MERLON_CONF_H

#include "options.h"

enum { CONF_LINE_BYTES = 256 };

/* A text that comes in pieces. */
struct conf {
    struct options *options;
    const char *program;
    bool elsewhere;    /* in a section of other programs */
    unsigned line;     /* how many are complete */
    unsigned bad_line; /* the first that was not understood; 0: none */
    size_t length;     /* of the line at hand */
    char text[CONF_LINE_BYTES];
};

/* Take the next piece in; the last line may lack its end, so finish with
   "\n". Pure: for the tests, too. */
void conf_feed(struct conf *conf, const char *piece, size_t count);

/* Read the file that configure's sysconfdir names; none is fine. Start only. */
void conf_read(struct options *options);

#endif
