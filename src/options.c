/* SPDX-License-Identifier: MIT */
/*
 * options.c - from file and environment to a struct on the sealed page.
 */
#include "options.h"

#include <string.h>

#include "conf.h"
#include "die.h"
#include "os.h"
#include "sealed.h"
#include "words.h"

HIDDEN union sealed_page merlon_sealed_page;
#define values (&merlon_sealed_page.options)

const struct options *const option_values = values;

static const struct options defaults = {
    .on_error = OPTION_ABORT,
    .size_mismatch = OPTION_REPORT,
    .report_fd = 2,
    .sample = OPTION_SAMPLE_DEFAULT,
};

const struct options *options_get(void)
{
    return values;
}

static bool parse_number(const char *value, size_t length, size_t *number)
{
    uint64_t parsed;

    if (!word_number(value, length, UINT32_MAX, &parsed))
        return false;
    *number = (size_t)parsed;
    return true;
}

/* The words of an action are what publish.h says, in its order. */
const char *const option_action_text[] = {
    [OPTION_IGNORE] = "ignore",
    [OPTION_REPORT] = "report",
    [OPTION_ABORT] = "abort",
};

static bool parse_action(const char *value, size_t length, bool may_ignore,
                         enum option_action *action)
{
    for (int i = may_ignore ? OPTION_IGNORE : OPTION_REPORT;
         i <= OPTION_ABORT; i++) {
        if (word_is(value, length, option_action_text[i])) {
            *action = (enum option_action)i;
            return true;
        }
    }
    return false;
}

static bool parse_descriptor(const char *value, size_t length, int *descriptor)
{
    uint64_t number;

    if (!word_number(value, length, 1 << 20, &number))
        return false;
    *descriptor = (int)number;
    return true;
}

/* A relative path would mean another file in each directory. */
static bool parse_output(const char *value, size_t length, char *path)
{
    if (length == 0 || length >= OPTION_PATH_BYTES
        || (*value != '/' && !word_is(value, length, "exit")))
        return false;
    memset(path, 0, OPTION_PATH_BYTES);
    memcpy(path, value, length);
    return true;
}

#define PLACE(member)                                                        \
    offsetof(struct options, member), sizeof ((struct options *)0)->member

const struct option_place option_table[] = {
    { "on_error", OPTION_KIND_ACTION, PLACE(on_error) },
    { "size_mismatch", OPTION_KIND_ACTION_OR_IGNORE, PLACE(size_mismatch) },
    { "report_fd", OPTION_KIND_DESCRIPTOR, PLACE(report_fd) },
    { "arena", OPTION_KIND_BYTES, PLACE(arena_bytes) },
    { "own_malloc", OPTION_KIND_ACTION_OR_IGNORE, PLACE(own_malloc) },
    { "statistics", OPTION_KIND_OUTPUT, PLACE(statistics) },
    { "sample", OPTION_KIND_NUMBER, PLACE(sample) },
    { "guard_signals", OPTION_KIND_SWITCH, PLACE(guard_signals) },
    { "seal", OPTION_KIND_SWITCH, PLACE(seal) },
};

static bool parse_value(const char *value, size_t length,
                        enum option_kind kind, void *place)
{
    switch (kind) {
    case OPTION_KIND_ACTION:
    case OPTION_KIND_ACTION_OR_IGNORE:
        return parse_action(value, length,
                            kind == OPTION_KIND_ACTION_OR_IGNORE, place);
    case OPTION_KIND_DESCRIPTOR:
        return parse_descriptor(value, length, place);
    case OPTION_KIND_BYTES:
        return word_bytes(value, length, place);
    case OPTION_KIND_OUTPUT:
        return parse_output(value, length, place);
    case OPTION_KIND_NUMBER:
        return parse_number(value, length, place);
    case OPTION_KIND_SWITCH:
        return word_switch(value, length, place);
    }
    return false;
}

bool options_set(struct options *options, const char *name, size_t name_length,
                 const char *value, size_t value_length)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct option_place *option = &option_table[i];
        if (!word_is(name, name_length, option->name))
            continue;
        if (!parse_value(value, value_length, (enum option_kind)option->kind,
                         (char *)options + option->offset))
            return false;
        options->report_chosen |= option->kind == OPTION_KIND_DESCRIPTOR;
        return true;
    }
    /* Reproducible addresses are for fuzzing; elsewhere they are refused. */
    return FUZZ_ALLOCATOR
        && fuzz_options_parse(options->fuzz, name, name_length, value,
                              value_length);
}

static bool parse_one(struct options *options, const char *name, size_t length)
{
    const char *equals = memchr(name, '=', length);

    if (!equals)
        return false;
    size_t name_length = (size_t)(equals - name);
    return options_set(options, name, name_length, equals + 1,
                       length - name_length - 1);
}

bool options_parse(struct options *options, const char *text, const char **bad)
{
    while (*text) {
        size_t length = strcspn(text, ",");
        if (length != 0 && !parse_one(options, text, length)) {
            *bad = text;
            return false;
        }
        text += length;
        text += *text == ',';
    }
    return true;
}

static void warn(const char *bad)
{
    static const char start[] = "merlon: option not understood: ";
    char line[128];
    size_t length = sizeof start - 1;

    memcpy(line, start, length);
    while (*bad && *bad != ',' && length < sizeof line - 1)
        line[length++] = *bad++;
    line[length++] = '\n';
    os_write(2, line, length);
}

void options_read(void)
{
    const char *text = os_environment("MERLON_OPTIONS");
    const char *bad;
    static EARLY bool done; /* a start that a fork interrupted begins anew */

    if (done)
        return;
    *values = defaults;
    if (FUZZ_ALLOCATOR)
        fuzz_options_default(values->fuzz);
    if (!os_is_privileged())
        conf_read(values);
    /* One warning; what follows the bad part is read all the same. */
    for (bool warned = false; text && *text;) {
        if (options_parse(values, text, &bad))
            break;
        if (!warned)
            warn(bad);
        warned = true;
        text = bad + strcspn(bad, ",");
    }
    done = true;
    die_configure(values->on_error == OPTION_REPORT,
                  values->report_chosen
                  ? values->report_fd : -1);
}
