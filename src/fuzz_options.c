/* SPDX-License-Identifier: MIT */
/*
 * fuzz_options.c - the options of libmerlon-fuzz, by a table of names.
 */
#include "fuzz_options.h"

#include "words.h"

void fuzz_options_default(struct fuzz_options *options)
{
    *options = (struct fuzz_options){
        .side = FUZZ_RIGHT,
        .alignment = 16,
        .budget_bytes = (size_t)1 << (sizeof(size_t) == 8 ? 28 : 26),
        .fill = 0xbe,
        .free_fill = 0xdf,
        .max_alloc_bytes = SIZE_MAX,
        .max_total_bytes = SIZE_MAX,
        .faults = true,
        .stacks = true,
    };
}

/* The place of a word in a list of two or three; false when it is in none. */
static bool parse_choice(const char *value, size_t length,
                         const char *const *words, unsigned *chosen)
{
    for (unsigned i = 0; words[i]; i++) {
        if (word_is(value, length, words[i])) {
            *chosen = i;
            return true;
        }
    }
    return false;
}

static bool parse_flag(const char *value, size_t length,
                       const char *const *words, bool *flag)
{
    unsigned chosen;

    if (!parse_choice(value, length, words, &chosen))
        return false;
    *flag = chosen == 1;
    return true;
}

static bool parse_seed(const char *value, size_t length,
                       struct fuzz_options *options)
{
    uint64_t number;

    if (!word_number(value, length, UINT32_MAX, &number))
        return false;
    options->seed = (uint32_t)number;
    options->seeded = true;
    return true;
}

static bool parse_count(const char *value, size_t length, uint64_t *count)
{
    uint64_t number;

    if (!word_number(value, length, UINT32_MAX, &number))
        return false;
    *count = number;
    return true;
}

static bool parse_byte(const char *value, size_t length, uint8_t *byte)
{
    uint64_t number;

    if (!word_number(value, length, 255, &number))
        return false;
    *byte = (uint8_t)number;
    return true;
}

static bool parse_alignment(const char *value, size_t length, size_t *bytes)
{
    uint64_t number;

    if (!word_number(value, length, 16, &number) || number == 0
        || !is_power_of_two((size_t)number))
        return false;
    *bytes = (size_t)number;
    return true;
}

/* "N" or "LANE:N". */
static bool parse_stop(const char *value, size_t length,
                       struct fuzz_options *options)
{
    const char *colon = memchr(value, ':', length);
    uint64_t lane = 0, at;

    if (colon) {
        size_t before = (size_t)(colon - value);
        if (!word_number(value, before, UINT32_MAX, &lane))
            return false;
        value = colon + 1;
        length -= before + 1;
    }
    if (!word_number(value, length, UINT64_MAX, &at) || at == 0)
        return false;
    options->stop_lane = lane;
    options->stop_at = at;
    return true;
}

static bool parse_path(const char *value, size_t length, char *path)
{
    if (length == 0 || length >= FUZZ_PATH_BYTES)
        return false;
    memcpy(path, value, length);
    path[length] = '\0';
    return true;
}

static bool parse_exit_code(const char *value, size_t length, int *code)
{
    uint64_t number;

    if (!word_number(value, length, 255, &number))
        return false;
    *code = (int)number;
    return true;
}

static const char *const null_abort[] = { "null", "abort", NULL };
static const char *const text_json[] = { "text", "json", NULL };
static const char *const sides[] = { "right", "left", "alternate", NULL };

/* How the program is treated. */
static bool parse_placing(struct fuzz_options *options, const char *name,
                          size_t name_length, const char *value, size_t length)
{
    if (word_is(name, name_length, "seed"))
        return parse_seed(value, length, options);
    if (word_is(name, name_length, "side")) {
        unsigned side;
        bool known = parse_choice(value, length, sides, &side);
        if (known)
            options->side = (enum fuzz_side)side;
        return known;
    }
    if (word_is(name, name_length, "align"))
        return parse_alignment(value, length, &options->alignment);
    if (word_is(name, name_length, "budget"))
        return word_bytes(value, length, &options->budget_bytes);
    if (word_is(name, name_length, "fill"))
        return parse_byte(value, length, &options->fill);
    if (word_is(name, name_length, "free_fill"))
        return parse_byte(value, length, &options->free_fill);
    if (word_is(name, name_length, "max_alloc"))
        return word_bytes(value, length, &options->max_alloc_bytes);
    if (word_is(name, name_length, "max_total"))
        return word_bytes(value, length, &options->max_total_bytes);
    if (word_is(name, name_length, "oom"))
        return parse_flag(value, length, null_abort, &options->oom_is_fatal);
    return word_is(name, name_length, "fail_one_in")
        && parse_count(value, length, &options->fail_one_in);
}

bool fuzz_options_parse(struct fuzz_options *options, const char *name,
                        size_t name_length, const char *value, size_t length)
{
    if (parse_placing(options, name, name_length, value, length))
        return true;
    /* What is reported, when and how. */
    if (word_is(name, name_length, "verify"))
        return parse_count(value, length, &options->verify_every);
    if (word_is(name, name_length, "stop_at"))
        return parse_stop(value, length, options);
    if (word_is(name, name_length, "exit_code"))
        return parse_exit_code(value, length, &options->exit_code);
    if (word_is(name, name_length, "report"))
        return parse_flag(value, length, text_json, &options->json);
    if (word_is(name, name_length, "report_file"))
        return parse_path(value, length, options->report_file);
    if (word_is(name, name_length, "faults"))
        return word_switch(value, length, &options->faults);
    if (word_is(name, name_length, "stacks"))
        return word_switch(value, length, &options->stacks);
    return word_is(name, name_length, "leaks")
        && word_switch(value, length, &options->leaks);
}
