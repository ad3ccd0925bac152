/* SPDX-License-Identifier: MIT */
/*
 * options.c - from the environment to a struct on a page of its own.
 */
#include "options.h"

#include <string.h>

#include "die.h"
#include "os.h"

static union {
    struct options options;
    uint8_t page[ABI_PAGE_BYTES];
} sealed SEALED;

static const struct options defaults = {
    .on_error = OPTION_ABORT,
    .size_mismatch = OPTION_REPORT,
    .report_fd = 2,
};

const struct options *options_get(void)
{
    return &sealed.options;
}

/* Is the text up to `length` exactly this word? */
static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

static bool parse_action(const char *value, size_t length, bool may_ignore,
                         enum option_action *action)
{
    if (is_word(value, length, "abort"))
        *action = OPTION_ABORT;
    else if (is_word(value, length, "report"))
        *action = OPTION_REPORT;
    else if (may_ignore && is_word(value, length, "ignore"))
        *action = OPTION_IGNORE;
    else
        return false;
    return true;
}

/* Decimal digits at the start of the text; false without one or when they do
   not fit. */
static bool parse_digits(const char *value, size_t length, size_t *used,
                         size_t *number)
{
    *number = 0;
    for (*used = 0; *used < length; ++*used) {
        unsigned digit = (unsigned)(value[*used] - '0');
        if (digit > 9)
            break;
        if (__builtin_mul_overflow(*number, 10, number)
            || __builtin_add_overflow(*number, digit, number))
            return false;
    }
    return *used != 0;
}

static bool parse_descriptor(const char *value, size_t length, int *descriptor)
{
    size_t used, number;

    if (!parse_digits(value, length, &used, &number) || used != length
        || number > 1 << 20)
        return false;
    *descriptor = (int)number;
    return true;
}

static bool parse_bytes(const char *value, size_t length, size_t *bytes)
{
    static const char units[] = "KMGT";
    size_t used, number;

    if (!parse_digits(value, length, &used, &number))
        return false;
    if (used != length) {
        const char *unit = memchr(units, value[used], sizeof units - 1);
        unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
        if (!unit || used + 1 != length || shift >= 8 * sizeof(size_t)
            || number > SIZE_MAX >> shift)
            return false;
        number <<= shift;
    }
    *bytes = number;
    return true;
}

static bool parse_one(struct options *options, const char *name, size_t length)
{
    const char *equals = memchr(name, '=', length);

    if (!equals)
        return false;
    size_t name_length = (size_t)(equals - name);
    const char *value = equals + 1;
    size_t value_length = length - name_length - 1;
    if (is_word(name, name_length, "on_error"))
        return parse_action(value, value_length, false, &options->on_error);
    if (is_word(name, name_length, "size_mismatch"))
        return parse_action(value, value_length, true,
                            &options->size_mismatch);
    if (is_word(name, name_length, "own_malloc"))
        return !is_word(value, value_length, "abort")
            && parse_action(value, value_length, true, &options->own_malloc);
    if (is_word(name, name_length, "report_fd"))
        return parse_descriptor(value, value_length, &options->report_fd);
    if (is_word(name, name_length, "arena"))
        return parse_bytes(value, value_length, &options->arena_bytes);
    return false;
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
    static bool done; /* a start that a fork interrupted begins anew */

    if (done)
        return;
    sealed.options = defaults;
    /* One warning; what follows the bad part is read all the same. */
    for (bool warned = false; text && *text;) {
        if (options_parse(&sealed.options, text, &bad))
            break;
        if (!warned)
            warn(bad);
        warned = true;
        text = bad + strcspn(bad, ",");
    }
    done = true;
    die_configure(sealed.options.on_error == OPTION_REPORT,
                  sealed.options.report_fd);
}
