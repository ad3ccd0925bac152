/* SPDX-License-Identifier: MIT */
/*
 * conf.c - merlon.conf, line by line through a small buffer on the stack: a
 * thread that starts merlon may have little of it.
 */
#include "conf.h"

#include <string.h>

#include "os.h"

#define CONF_PATH MERLON_SYSCONFDIR "/merlon.conf"

enum {
    PIECE_BYTES = 512,
    FILE_BYTES_MAX = 1 << 20, /* against files without end */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Without the blanks at both ends. */
static const char *trim(const char *text, size_t *length)
{
    for (; *length != 0 && is_blank(*text); text++)
        --*length;
    while (*length != 0 && is_blank(text[*length - 1]))
        --*length;
    return text;
}

/* Is the program's name, or *, one of these words? */
static bool names_program(const char *text, size_t length,
                          const char *program)
{
    size_t wanted = strlen(program);

    while (length != 0) {
        size_t word = 0;
        text = trim(text, &length);
        while (word < length && !is_blank(text[word]))
            word++;
        if ((word == 1 && *text == '*')
            || (word == wanted && memcmp(text, program, word) == 0))
            return true;
        text += word;
        length -= word;
    }
    return false;
}

static bool set(struct options *options, const char *text, size_t length)
{
    const char *equals = memchr(text, '=', length);

    if (!equals)
        return false;
    size_t name_length = (size_t)(equals - text);
    size_t value_length = length - name_length - 1;
    const char *name = trim(text, &name_length);
    const char *value = trim(equals + 1, &value_length);
    return options_set(options, name, name_length, value, value_length);
}

/* False: this line is not understood. */
static bool take_line(struct conf *conf)
{
    size_t length = conf->length;
    const char *text = trim(conf->text, &length);

    if (length == 0 || *text == '#' || *text == ';')
        return true;
    if (*text == '[') {
        bool whole = text[length - 1] == ']';
        conf->elsewhere = !whole
            || !names_program(text + 1, length - 2, conf->program);
        return whole;
    }
    /* A line that fills the buffer was cut. */
    return conf->elsewhere || (conf->length < CONF_LINE_BYTES
                               && set(conf->options, text, length));
}

void conf_feed(struct conf *conf, const char *piece, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (piece[i] != '\n') {
            if (conf->length < CONF_LINE_BYTES)
                conf->text[conf->length++] = piece[i];
            continue;
        }
        conf->line++;
        if (!take_line(conf) && conf->bad_line == 0)
            conf->bad_line = conf->line;
        conf->length = 0;
    }
}

static void warn(unsigned line)
{
    static const char start[] = "merlon: " CONF_PATH ":";
    static const char end[] = ": not understood, see merlon.conf(5)\n";
    char text[sizeof start + sizeof end + 3 * sizeof line];
    size_t at = sizeof start - 1, digits = 1;

    memcpy(text, start, at);
    for (unsigned rest = line; rest >= 10; rest /= 10)
        digits++;
    for (size_t i = digits; i-- > 0; line /= 10)
        text[at + i] = (char)('0' + line % 10);
    at += digits;
    memcpy(text + at, end, sizeof end - 1);
    os_write(2, text, at + sizeof end - 1);
}

void conf_read(struct options *options)
{
    struct conf conf = { .options = options, .program = os_program_name() };
    char piece[PIECE_BYTES];
    size_t total = 0, count;
    int file = os_file_open(CONF_PATH);

    if (file < 0)
        return;
    while (total < FILE_BYTES_MAX
           && (count = os_file_read(file, piece, sizeof piece)) != 0) {
        conf_feed(&conf, piece, count);
        total += count;
    }
    os_file_close(file);
    conf_feed(&conf, "\n", 1);
    if (conf.bad_line != 0)
        warn(conf.bad_line);
}
