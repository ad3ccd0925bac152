/* SPDX-License-Identifier: MIT */
/*
 * merlon-stat - what merlon does in a process, read from outside: figures, and
 * what an address is. See merlon-stat(1).
 *
 * The idea: only /proc/PID/maps, auxv and mem are read, or a core. The process
 * gets no signal and runs no code of ours, so it may be stopped, sandboxed or
 * in a chroot; no file of its is opened either.
 *
 * What is read comes from somebody else's memory and may change, or lie:
 * every count, offset and size is bounded before it is used, and no text is
 * printed that a terminal could obey.
 */
#include <elf.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "elf-fields.h"
#include "figures.h"
#include "stat-print.h"
#include "tool.h"

/* 0: merlon is active; 1: it is not, or the address is not its; 2: it cannot
   be told. */
enum { EXIT_YES, EXIT_NO, EXIT_UNKNOWN };

static const char usage[] =
    "usage: merlon-stat [--classes] [--json | --prometheus] PID|CORE\n"
    "       merlon-stat --address ADDRESS [--json] PID|CORE\n"
    "       merlon-stat --report PID|CORE\n"
    "\n"
    "Says whether merlon is active in a process and its figures, or what an\n"
    "address is to it; reads the process from outside. See merlon-stat(1).\n"
    "\n"
    "  --address ADDRESS  which slot it lies in, and that one's state\n"
    "  --classes          a table of size classes as well\n"
    "  --json             as one JSON object\n"
    "  --prometheus       as metrics in Prometheus's text format\n"
    "  --report           only the text of the last report\n"
    "  --help             this text\n"
    "\n"
    "Exit status: 0 merlon is active (the address is its), 1 it is not,\n"
    "2 it cannot be told.\n";

struct wish {
    enum output output;
    bool classes, report, place;
    uint64_t address;
};

static void __attribute__((noreturn)) misuse(void)
{
    fputs(usage, stderr);
    exit(EXIT_UNKNOWN);
}

static uint64_t parse_number(const char *text, int base)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, base);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0)
        misuse();
    return value;
}

static const char *parse(int argc, char **argv, struct wish *wish)
{
    static const struct option options[] = {
        { "address", required_argument, NULL, 'a' },
        { "classes", no_argument, NULL, 'c' },
        { "json", no_argument, NULL, 'j' },
        { "prometheus", no_argument, NULL, 'p' },
        { "report", no_argument, NULL, 'r' },
        { "help", no_argument, NULL, 'h' },
        { 0 },
    };
    int option;

    while ((option = getopt_long(argc, argv, "a:cjprh", options, NULL))
           != -1) {
        switch (option) {
        case 'a':
            wish->place = true;
            wish->address = parse_number(optarg, 0);
            break;
        case 'c':
            wish->classes = true;
            break;
        case 'j':
            wish->output = OUTPUT_JSON;
            break;
        case 'p':
            wish->output = OUTPUT_PROMETHEUS;
            break;
        case 'r':
            wish->report = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(EXIT_YES);
        default:
            misuse();
        }
    }
    if (optind + 1 != argc
        || (wish->place && wish->output == OUTPUT_PROMETHEUS))
        misuse();
    return argv[optind];
}

/* Digits are a process, anything else is a core; ./17 is a core, too. */
static void open_image(const char *name)
{
    if (strspn(name, "0123456789") == strlen(name)) {
        uint64_t process_id = parse_number(name, 10);
        if (process_id == 0 || process_id > INT32_MAX)
            misuse();
        image_open_process(&image, (long)process_id);
        return;
    }
    if (!image_open_file(&image, name))
        fail("%s: %s", name, errno != 0 ? strerror(errno)
             : "this is no ELF core file");
    if (image.type != ET_CORE || image.order != ELF_OUR_ORDER)
        fail("%s: this is an ELF file, but not a core of this machine's kind",
             name);
}

int main(int argc, char **argv)
{
    struct wish wish = { .output = OUTPUT_TEXT };
    struct place place;

    tool_name = "merlon-stat";
    tool_failure = EXIT_UNKNOWN;
    open_image(parse(argc, argv, &wish));
    bool mapped = library_find();
    bool active = mapped && library_is_running();
    if (active)
        library_check();
    if ((wish.place || wish.report) && !active)
        fail("merlon is not active in %s", image.name);
    if (wish.report) {
        print_report();
        return EXIT_YES;
    }
    if (wish.place) {
        place_find(wish.address, &place);
        print_place(wish.output, wish.address, &place);
        return place.state == PLACE_FOREIGN ? EXIT_NO : EXIT_YES;
    }
    if (active)
        figures_gather();
    print_figures(wish.output, mapped, active, wish.classes);
    return active ? EXIT_YES : EXIT_NO;
}
