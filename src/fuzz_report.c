/* SPDX-License-Identifier: MIT */
/*
 * fuzz_report.c - findings as text and as JSON.
 *
 * Nothing here allocates. The text is put together in static memory, for a
 * signal's stack may be small; one thread at a time: a second finding meanwhile
 * has its first line only.
 */
#include "fuzz_report.h"

#include <string.h>

#include "fuzz_options.h"
#include "options.h"
#include "text.h"

enum { LEAKS_SHOWN = 20 };

static char report_memory[16384];
static bool report_busy;

static bool begin(void)
{
    /* Acquire and release: the memory is one writer's. */
    return !__atomic_test_and_set(&report_busy, __ATOMIC_ACQUIRE);
}

static void finish(void)
{
    __atomic_clear(&report_busy, __ATOMIC_RELEASE);
}

static const struct fuzz_options *fuzz(void)
{
    return options_get()->fuzz;
}

/* What is just being freed was alive until then. */
static bool is_live(const struct place *place)
{
    enum place_state state = place_state(place);

    return state == PLACE_LIVE || state == PLACE_CHECKING
        || state == PLACE_CLOSING;
}

/* A thread-safe copy of a number; on 32 bits it may be half of a newer one. */
static void put_operation(struct text *text, uint32_t lane, uint64_t operation)
{
    text_decimal(text, lane);
    text_put(text, ":");
    text_decimal(text, (uintptr_t)operation);
}

/* How a place was allocated or freed; without stacks, who called. */
struct history {
    uint32_t lane, thread;
    uint64_t operation;
    struct stack stack;
};

static void recall(struct history *history, const struct place *place,
                   bool freed)
{
    const struct stack *stacks = place_stacks(place);
    uintptr_t site = freed ? place->freed_site : place->born_site;

    history->lane = freed ? place->freed_lane : place->born_lane;
    history->thread = freed ? place->freed_thread : place->born_thread;
    history->operation = freed ? place->freed : place->born;
    if (stacks)
        history->stack = stacks[freed];
    else
        stack_capture(&history->stack, NULL, (const void *)site);
}

/* --- text --------------------------------------------------------------- */

/* Where the pointer is, seen from the object. */
static void put_distance(struct text *text, const struct place *place,
                         uintptr_t pointer)
{
    uintptr_t end = place->object + place->bytes;

    if (pointer < place->object) {
        text_decimal(text, place->object - pointer);
        text_put(text, " bytes before it");
    } else if (pointer >= end) {
        text_decimal(text, pointer - end);
        text_put(text, " bytes behind its end");
    } else {
        text_put(text, "at its byte ");
        text_decimal(text, pointer - place->object);
    }
}

static void put_event(struct text *text, const char *what,
                      const struct history *history)
{
    text_put(text, "merlon:   ");
    text_put(text, what);
    text_put(text, " at operation ");
    put_operation(text, history->lane, history->operation);
    text_put(text, " by tid ");
    text_decimal(text, history->thread);
    text_put(text, ":");
    stack_print(text, &history->stack);
    text_end_line(text);
}

static void put_object(struct text *text, const struct place *place,
                       uintptr_t pointer)
{
    struct history history;

    text_put(text, is_live(place) ? "merlon:   live object of "
             : "merlon:   freed object of ");
    text_decimal(text, place->bytes);
    text_put(text, " bytes at ");
    text_hex(text, place->object);
    text_put(text, ", pointer is ");
    put_distance(text, place, pointer);
    text_end_line(text);
    recall(&history, place, false);
    put_event(text, "allocated", &history);
    if (is_live(place))
        return;
    recall(&history, place, true);
    put_event(text, "freed", &history);
}

static void put_text(struct text *text, const struct fuzz_finding *finding,
                     const struct history *now)
{
    if (finding->place && finding->place->object)
        put_object(text, finding->place, finding->pointer);
    put_event(text, "noticed", now);
    text_put(text, "merlon:   repeat with seed=");
    text_decimal(text, (uintptr_t)fuzz_window.seed);
    text_end_line(text);
}

/* --- JSON --------------------------------------------------------------- */

static void put_string(struct text *text, const char *string)
{
    char one[2] = "";

    text_put(text, "\"");
    for (; *string; string++) {
        unsigned char c = (unsigned char)*string;
        one[0] = c < ' ' || c == 0x7f ? '?' : (char)c;
        if (c == '"' || c == '\\')
            text_put(text, "\\");
        text_put(text, one);
    }
    text_put(text, "\"");
}

static void put_name(struct text *text, const char *name)
{
    text_put(text, ",\"");
    text_put(text, name);
    text_put(text, "\":");
}

static void put_address(struct text *text, const char *name, uintptr_t address)
{
    put_name(text, name);
    text_put(text, "\"");
    text_hex(text, address);
    text_put(text, "\"");
}

static void put_count(struct text *text, const char *name, uint64_t number)
{
    put_name(text, name);
    text_decimal(text, (uintptr_t)number);
}

static void put_frames(struct text *text, const struct stack *stack)
{
    char memory[192];

    put_name(text, "stack");
    text_put(text, "[");
    for (uint32_t i = 0; i < stack->count; i++) {
        struct text code = text_in(memory, sizeof memory);
        text_code(&code, (const void *)stack->site[i]);
        if (i != 0)
            text_put(text, ",");
        put_string(text, memory);
    }
    text_put(text, "]");
}

static void put_json_event(struct text *text, const char *name,
                           const struct history *history)
{
    put_name(text, name);
    text_put(text, "{\"operation\":\"");
    put_operation(text, history->lane, history->operation);
    text_put(text, "\"");
    put_count(text, "tid", history->thread);
    put_frames(text, &history->stack);
    text_put(text, "}");
}

static void put_json_object(struct text *text, const struct place *place,
                            uintptr_t pointer)
{
    struct history history;

    put_name(text, "object");
    text_put(text, "{\"state\":");
    text_put(text, is_live(place) ? "\"live\"" : "\"freed\"");
    put_address(text, "address", place->object);
    put_count(text, "bytes", place->bytes);
    put_name(text, "offset");
    if (pointer < place->object)
        text_put(text, "-");
    text_decimal(text, pointer < place->object ? place->object - pointer
                 : pointer - place->object);
    recall(&history, place, false);
    put_json_event(text, "allocated", &history);
    if (!is_live(place)) {
        recall(&history, place, true);
        put_json_event(text, "freed", &history);
    }
    text_put(text, "}");
}

static void put_json(struct text *text, const struct fuzz_finding *finding,
                     const struct history *now)
{
    static const char *const access[] = { NULL, "read", "write" };

    text_put(text, "{\"merlon\":");
    put_string(text, die_kind_text[finding->kind]);
    if (finding->call.function) {
        put_name(text, "function");
        put_string(text, finding->call.function);
    }
    if (finding->detail) {
        put_name(text, "detail");
        put_string(text, finding->detail);
    }
    if (access[finding->access]) {
        put_name(text, "access");
        put_string(text, access[finding->access]);
    }
    put_address(text, "pointer", finding->pointer);
    put_count(text, "pid", os_process_id());
    put_count(text, "seed", fuzz_window.seed);
    put_json_event(text, "noticed", now);
    if (finding->place && finding->place->object)
        put_json_object(text, finding->place, finding->pointer);
    text_put(text, "}");
    text_end_line(text);
}

/* --- saying ------------------------------------------------------------- */

void fuzz_tell(const struct fuzz_finding *finding)
{
    struct die_facts facts = { .call.function = finding->call.function,
                               .call.site = finding->call.site,
                               .pointer = (const void *)finding->pointer,
                               .detail = finding->detail };
    const char *file = fuzz()->report_file;
    struct history now = { .lane = finding->lane,
                           .thread = os_thread_id(),
                           .operation = finding->operation };

    die_note(finding->kind, &facts);
    if (!begin())
        return;
    stack_capture(&now.stack, finding->call.frame, finding->call.site);
    struct text text = text_in(report_memory, sizeof report_memory);
    put_text(&text, finding, &now);
    die_write(report_memory, text.length);
    if (fuzz()->json) {
        text = text_in(report_memory, sizeof report_memory);
        put_json(&text, finding, &now);
        if (!*file)
            die_write(report_memory, text.length);
    } else if (*file) {
        os_append(file, merlon_last_report, strlen(merlon_last_report));
    }
    if (*file)
        os_append(file, report_memory, text.length);
    finish();
}

void fuzz_report(const struct fuzz_finding *finding)
{
    fuzz_tell(finding);
    if (options_get()->on_error == OPTION_REPORT)
        return;
    if (fuzz()->exit_code != 0)
        os_exit(fuzz()->exit_code);
    die_end(finding->kind);
}

void fuzz_tell_leak(const struct place *place, size_t count)
{
    struct history history;

    if (count > LEAKS_SHOWN || !begin())
        return;
    struct text text = text_in(report_memory, sizeof report_memory);
    text_put(&text, "merlon: leak: ");
    text_decimal(&text, place->bytes);
    text_put(&text, " bytes at ");
    text_hex(&text, place->object);
    text_end_line(&text);
    recall(&history, place, false);
    put_event(&text, "allocated", &history);
    die_write(report_memory, text.length);
    finish();
}

void fuzz_tell_leaks(size_t count, size_t bytes)
{
    char memory[128];
    struct text text = text_in(memory, sizeof memory);

    text_put(&text, "merlon: ");
    text_decimal(&text, count);
    text_put(&text, " objects, ");
    text_decimal(&text, bytes);
    text_put(&text, " bytes, were not freed");
    text_end_line(&text);
    die_write(memory, text.length);
}
