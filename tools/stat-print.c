/* SPDX-License-Identifier: MIT */
/*
 * stat-print.c - see stat-print.h.
 */
#include "stat-print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "figures.h"
#include "tool.h"

enum { LABEL_COLUMNS = 23 };

static const struct figure {
    const char *key, *label;
    const uint64_t *value;
    bool counter; /* it only grows */
} table[] = {
    { "allocations_served", "allocations served", &figures.served, true },
    { "large_served", "  large ones", &figures.spans_served, true },
    { "sampled_served", "  sampled ones", &figures.samples_served, true },
    { "live_objects", "live objects", &figures.live_objects, false },
    { "large_objects", "  large ones", &figures.span_objects, false },
    { "sampled_objects", "  sampled ones", &figures.sample_objects, false },
    { "live_bytes", "live bytes", &figures.live_bytes, false },
    { "large_bytes", "  in large objects", &figures.span_bytes, false },
    { "slabs", "slabs", &figures.slabs, false },
    { "slab_bytes", "slab bytes", &figures.slab_bytes, false },
    { "committed_bytes", "committed bytes", &figures.committed_bytes, false },
    { "purgeable_bytes", "purgeable bytes", &figures.purgeable_bytes, false },
    { "waiting_slots", "waiting slots", &figures.waiting, false },
    { "waiting_bytes", "  their bytes", &figures.waiting_bytes, false },
    { "retired_slabs", "emptied slabs waiting", &figures.retired, false },
    { "retired_bytes", "  their addresses", &figures.retired_bytes, false },
    { "quarantined_large", "large ones waiting", &figures.quarantined,
      false },
    { "quarantined_large_bytes", "  their addresses", &figures.quarantined_bytes,
      false },
    { "guards", "guards", &figures.guards, false },
    { "guard_mappings", "  mappings they cost", &figures.guard_mappings,
      false },
    { "arenas", "arenas", &figures.arenas, false },
    { "heaps", "heaps", &figures.heaps, false },
    { "heaps_in_use", "  in use", &figures.heaps_used, false },
    { "size_mismatches", "size mismatches", &figures.mismatches, true },
    { "detections", "detections", &figures.detections, true },
};
enum { FIGURE_COUNT = sizeof table / sizeof *table };

static char version[TEXT_BYTES], variant[TEXT_BYTES], report[TEXT_BYTES];

static void read_texts(void)
{
    const uint64_t *address = library.address;

    image_text(&image, address[ADDRESS_VERSION], version, sizeof version);
    image_text(&image, address[ADDRESS_VARIANT], variant, sizeof variant);
    image_text(&image, address[ADDRESS_LAST_REPORT], report, sizeof report);
}

static uint64_t row_live(const struct row *row)
{
    return below(row->used, row->stocked);
}

static void print_line(const char *label, const char *value)
{
    int length = (int)strlen(label);

    printf("%s:%*s%s\n", label,
           length < LABEL_COLUMNS ? LABEL_COLUMNS - length : 1, "", value);
}

static void print_number(const char *label, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, value);
    print_line(label, text);
}

/* --------------------------------------------------------------------- text */

static void print_choices(void)
{
    char name[TEXT_BYTES], value[TEXT_BYTES];

    printf("switches:%*s", LABEL_COLUMNS - 9, "");
    for (unsigned i = 0; i < library.number[NUMBER_SWITCH_COUNT]; i++)
        if (library_switch(i, name, sizeof name))
            printf(" %s", name);
    printf("\noptions:%*s", LABEL_COLUMNS - 8, "");
    for (unsigned i = 0; i < library.number[NUMBER_OPTION_COUNT]; i++) {
        library_option(i, name, value, sizeof name);
        if (value[0] != '\0')
            printf(" %s=%s", name, value);
    }
    putchar('\n');
}

static void print_classes(void)
{
    printf("\n%10s %8s %10s %10s %10s %10s %14s\n", "slot bytes", "slabs",
           "slots", "live", "at hand", "waiting", "live bytes");
    for (unsigned i = 0; i < library.number[NUMBER_CLASS_COUNT]; i++) {
        const struct row *row = &figures.row[i];
        if (row->slabs != 0)
            printf("%10" PRIu64 " %8" PRIu64 " %10" PRIu64 " %10" PRIu64
                   " %10" PRIu64 " %10" PRIu64 " %14" PRIu64 "\n",
                   row->slot_bytes, row->slabs, row->slots, row_live(row),
                   row->stocked, row->waiting,
                   row_live(row) * row->slot_bytes);
    }
}

static void print_text(bool classes)
{
    char name[TEXT_BYTES], label[TEXT_BYTES + 2];

    printf("library:%*s merlon %s %s\n", LABEL_COLUMNS - 8, "", version,
           variant);
    print_line("mapped from", library.path);
    print_choices();
    for (size_t i = 0; i < FIGURE_COUNT; i++)
        print_number(table[i].label, *table[i].value);
    for (unsigned i = 0; i < library.number[NUMBER_DETECTION_COUNT]; i++) {
        uint64_t count = library_detection(i, name, sizeof name);
        snprintf(label, sizeof label, "  %s", name);
        print_number(label, count);
    }
    if (report[0])
        print_line("last report", report);
    if (classes)
        print_classes();
}

/* --------------------------------------------------------------------- JSON */

/* In quotes, for JSON and for Prometheus. Bytes above ASCII are left alone. */
static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar((unsigned char)*text < ' ' ? '?' : *text);
    }
    putchar('"');
}

static void print_member(const char *key, const char *text)
{
    printf(",\n  \"%s\": ", key);
    print_quoted(text);
}

static void print_json_classes(void)
{
    const char *separator = "";

    printf(",\n  \"classes\": [");
    for (unsigned i = 0; i < library.number[NUMBER_CLASS_COUNT]; i++) {
        const struct row *row = &figures.row[i];
        if (row->slabs == 0)
            continue;
        printf("%s\n    {\"slot_bytes\": %" PRIu64 ", \"slabs\": %" PRIu64
               ", \"slots\": %" PRIu64 ", \"live\": %" PRIu64
               ", \"at_hand\": %" PRIu64 ", \"waiting\": %" PRIu64 "}",
               separator, row->slot_bytes, row->slabs, row->slots,
               row_live(row), row->stocked, row->waiting);
        separator = ",";
    }
    printf("\n  ]");
}

static void print_json_choices(void)
{
    char name[TEXT_BYTES], value[TEXT_BYTES];

    printf(",\n  \"switches\": {");
    for (unsigned i = 0; i < library.number[NUMBER_SWITCH_COUNT]; i++) {
        bool on = library_switch(i, name, sizeof name);
        printf(i != 0 ? ", " : "");
        print_quoted(name);
        printf(": %s", on ? "true" : "false");
    }
    printf("},\n  \"options\": {");
    for (unsigned i = 0; i < library.number[NUMBER_OPTION_COUNT]; i++) {
        library_option(i, name, value, sizeof name);
        printf(i != 0 ? ", " : "");
        print_quoted(name);
        printf(": ");
        print_quoted(value);
    }
    putchar('}');
}

static void print_json(bool classes)
{
    char name[TEXT_BYTES];

    print_member("version", version);
    print_member("variant", variant);
    print_member("library", library.path);
    for (size_t i = 0; i < FIGURE_COUNT; i++)
        printf(",\n  \"%s\": %" PRIu64, table[i].key, *table[i].value);
    print_json_choices();
    printf(",\n  \"detections_by_kind\": {");
    for (unsigned i = 0; i < library.number[NUMBER_DETECTION_COUNT]; i++) {
        uint64_t count = library_detection(i, name, sizeof name);
        printf(i != 0 ? ", " : "");
        print_quoted(name);
        printf(": %" PRIu64, count);
    }
    putchar('}');
    print_member("last_report", report);
    if (classes)
        print_json_classes();
}

/* --------------------------------------------------------------- Prometheus */

static void print_metric(const char *key, const char *label, bool counter)
{
    printf("# HELP merlon_%s%s merlon: %s\n# TYPE merlon_%s%s %s\n", key,
           counter ? "_total" : "", label, key, counter ? "_total" : "",
           counter ? "counter" : "gauge");
}

static void print_sample(const char *key, bool counter, const char *label,
                         const char *label_value, uint64_t value)
{
    printf("merlon_%s%s{pid=\"%ld\"", key, counter ? "_total" : "",
           image.process_id);
    if (label) {
        printf(",%s=", label);
        print_quoted(label_value);
    }
    printf("} %" PRIu64 "\n", value);
}

static uint64_t row_figure(const struct row *row, int what)
{
    return what == 0 ? row_live(row) : what == 1 ? row->slabs : row->waiting;
}

static void print_prometheus_classes(void)
{
    static const char *const text[][2] = {
        { "class_live_objects", "live objects by slot bytes" },
        { "class_slabs", "slabs by slot bytes" },
        { "class_waiting_slots", "freed slots that wait, by slot bytes" },
    };
    char slot_bytes[24];

    for (int what = 0; what < 3; what++) {
        print_metric(text[what][0], text[what][1], false);
        for (unsigned i = 0; i < library.number[NUMBER_CLASS_COUNT]; i++) {
            const struct row *row = &figures.row[i];
            if (row->slabs == 0)
                continue;
            snprintf(slot_bytes, sizeof slot_bytes, "%" PRIu64,
                     row->slot_bytes);
            print_sample(text[what][0], false, "slot_bytes", slot_bytes,
                         row_figure(row, what));
        }
    }
}

/* What was chosen, as labels: switches that are on, and options. */
static void print_prometheus_choices(void)
{
    char name[TEXT_BYTES], value[TEXT_BYTES];

    print_metric("switch", "mitigations: 1 if built in", false);
    for (unsigned i = 0; i < library.number[NUMBER_SWITCH_COUNT]; i++) {
        bool on = library_switch(i, name, sizeof name);
        print_sample("switch", false, "name", name, on);
    }
    print_metric("option", "options, as labels", false);
    for (unsigned i = 0; i < library.number[NUMBER_OPTION_COUNT]; i++) {
        library_option(i, name, value, sizeof name);
        printf("merlon_option{pid=\"%ld\",name=", image.process_id);
        print_quoted(name);
        printf(",value=");
        print_quoted(value);
        puts("} 1");
    }
}

static void print_prometheus(bool classes)
{
    char name[TEXT_BYTES];

    print_metric("info", "version and variant", false);
    printf("merlon_info{pid=\"%ld\",version=", image.process_id);
    print_quoted(version);
    printf(",variant=");
    print_quoted(variant);
    puts("} 1");
    print_prometheus_choices();
    for (size_t i = 0; i < FIGURE_COUNT; i++) {
        const struct figure *figure = &table[i];
        if (figure->value == &figures.detections)
            continue; /* by kind instead: the sum is Prometheus's business */
        print_metric(figure->key, figure->key, figure->counter);
        print_sample(figure->key, figure->counter, NULL, NULL,
                     *figure->value);
    }
    print_metric("detections", "detections by kind", true);
    for (unsigned i = 0; i < library.number[NUMBER_DETECTION_COUNT]; i++) {
        uint64_t count = library_detection(i, name, sizeof name);
        print_sample("detections", true, "kind", name, count);
    }
    if (classes)
        print_prometheus_classes();
}

/* ---------------------------------------------------------------------- all */

static void end_output(void)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        fail("writing failed: %s", strerror(errno));
}

void print_figures(enum output output, bool mapped, bool active, bool classes)
{
    if (active)
        read_texts();
    switch (output) {
    case OUTPUT_TEXT:
        print_line("active", active ? "yes"
                   : mapped ? "no (merlon is mapped, but has served nothing)"
                            : "no (merlon is not mapped)");
        if (active)
            print_text(classes);
        break;
    case OUTPUT_JSON:
        printf("{\n  \"pid\": %ld,\n  \"active\": %s,\n  \"mapped\": %s",
               image.process_id, active ? "true" : "false",
               mapped ? "true" : "false");
        if (active)
            print_json(classes);
        puts("\n}");
        break;
    case OUTPUT_PROMETHEUS:
        print_metric("active", "whether it serves the process", false);
        print_sample("active", false, NULL, NULL, active);
        if (active)
            print_prometheus(classes);
        break;
    }
    end_output();
}

void print_report(void)
{
    read_texts();
    puts(report);
    end_output();
}

static void print_offset(uint64_t address, const struct place *place)
{
    uint64_t end = place->object + place->object_bytes;

    if (address < place->object)
        print_number("bytes in front of it", place->object - address);
    else if (address >= end)
        print_number("bytes behind it", address - end);
    else
        print_number("offset in it", address - place->object);
    if (address < end && address - place->object >= place->usable_bytes
        && address >= place->object)
        print_line("there", "the canary");
}

static void print_place_text(uint64_t address, const struct place *place)
{
    char text[TEXT_BYTES];

    snprintf(text, sizeof text, "0x%" PRIx64, address);
    print_line("address", text);
    snprintf(text, sizeof text, "%s%s%s%s", place_state_text[place->state],
             place->detail[0] != '\0' ? " (" : "", place->detail,
             place->detail[0] != '\0' ? ")" : "");
    print_line("state", text);
    if (place->object_bytes == 0)
        return;
    snprintf(text, sizeof text, "0x%" PRIx64 ", %" PRIu64
             " bytes, %" PRIu64 " usable", place->object, place->object_bytes,
             place->usable_bytes);
    print_line(place->slab != 0 ? "slot" : "object", text);
    if (place->slab != 0) {
        snprintf(text, sizeof text, "0x%" PRIx64 ", slot %" PRIu64,
                 place->slab, place->slot_index);
        print_line("slab", text);
    }
    print_offset(address, place);
}

void print_place(enum output output, uint64_t address,
                 const struct place *place)
{
    if (output == OUTPUT_TEXT) {
        print_place_text(address, place);
        end_output();
        return;
    }
    printf("{\n  \"address\": %" PRIu64 ",\n  \"state\": \"%s\",\n"
           "  \"sure\": %s", address, place_state_text[place->state],
           place->sure ? "true" : "false");
    print_member("detail", place->detail);
    if (place->object_bytes != 0)
        printf(",\n  \"object\": %" PRIu64 ",\n  \"object_bytes\": %" PRIu64
               ",\n  \"usable_bytes\": %" PRIu64, place->object,
               place->object_bytes, place->usable_bytes);
    if (place->slab != 0)
        printf(",\n  \"slab\": %" PRIu64 ",\n  \"slot_index\": %" PRIu64,
               place->slab, place->slot_index);
    puts("\n}");
    end_output();
}
