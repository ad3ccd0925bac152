/* SPDX-License-Identifier: MIT */
/*
 * merlon-run - start a program on merlon, or say why that would not work. See
 * merlon-run(1).
 *
 * The checks come first, because the dynamic loader leaves a library out in
 * silence: a person who is told nothing believes that he is protected.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "tool.h"
#include "verdict.h"

/* As env(1), timeout(1) and others have it. */
enum { EXIT_REFUSED = 125, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

static const char usage[] =
    "usage: merlon-run [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
    "       merlon-run [OPTION...] --check PROGRAM\n"
    "\n"
    "Starts a program on the allocator merlon, after checking that this can\n"
    "work. See merlon-run(1); what to choose is in merlon(7).\n"
    "\n"
    "  --check              say whether it can work, start nothing\n"
    "  --variant VARIANT    hardened or fast; else the hardened one, if there\n"
    "  --library PATH       this library and no other\n"
    "  --option NAME=VALUE  an option of merlon's, after those that\n"
    "                       MERLON_OPTIONS has already\n"
    "  --report             --option on_error=report: tell of heap bugs and\n"
    "                       go on\n"
    "  --statistics[=FILE]  --option statistics=exit, or =FILE\n"
    "  --help               this text\n"
    "\n"
    "Exit status: the program's. 125: it was not started, because it could\n"
    "not run on merlon; 126: it cannot be executed; 127: there is none.\n"
    "--check: 0 it works, 10 static, 11 set-user-ID, 12 file capabilities,\n"
    "13 own malloc, 14 sanitizer, 15 other machine, 16 other C library,\n"
    "17 no program.\n";

struct wish {
    bool check;
    const char *variant, *library;
    char *options; /* what is added to MERLON_OPTIONS */
};

static void __attribute__((noreturn)) misuse(void)
{
    fputs(usage, stderr);
    exit(EXIT_REFUSED);
}

/* "a,b", or one of them if the other is empty or missing. */
static char *joined(const char *a, const char *between, const char *b)
{
    bool both = a && *a && b && *b;

    return text_of("%s%s%s", a ? a : "", both ? between : "", b ? b : "");
}

static void add_option(struct wish *wish, const char *option)
{
    if (!strchr(option, '=') || strchr(option, ','))
        fail("--option takes one NAME=VALUE, not \"%s\"", option);
    char *old = wish->options;
    wish->options = joined(old, ",", option);
    free(old);
}

static void add_statistics(struct wish *wish, const char *file)
{
    char *option = text_of("statistics=%s", file ? file : "exit");

    if (file && *file != '/')
        fail("--statistics takes an absolute path, not \"%s\"", file);
    add_option(wish, option);
    free(option);
}

static void parse(int argc, char **argv, struct wish *wish)
{
    static const struct option options[] = {
        { "check", no_argument, NULL, 'c' },
        { "variant", required_argument, NULL, 'v' },
        { "library", required_argument, NULL, 'l' },
        { "option", required_argument, NULL, 'o' },
        { "report", no_argument, NULL, 'r' },
        { "statistics", optional_argument, NULL, 's' },
        { "help", no_argument, NULL, 'h' },
        { 0 },
    };
    int option;

    /* The program's own options are not ours: stop at its name. */
    while ((option = getopt_long(argc, argv, "+cv:l:o:rs::h", options, NULL))
           != -1) {
        switch (option) {
        case 'c':
            wish->check = true;
            break;
        case 'v':
            wish->variant = optarg;
            break;
        case 'l':
            wish->library = optarg;
            break;
        case 'o':
            add_option(wish, optarg);
            break;
        case 'r':
            add_option(wish, "on_error=report");
            break;
        case 's':
            add_statistics(wish, optarg);
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            misuse();
        }
    }
    if (optind == argc || (wish->check && optind + 1 != argc))
        misuse();
}

static bool is_there(const char *path)
{
    return access(path, R_OK) == 0;
}

/* Absolute, for the program may change its directory before it starts others;
   and without what separates names in LD_PRELOAD. */
static char *absolute(const char *path)
{
    char *full = realpath(path, NULL);

    if (!full)
        fail("%s: %s", path, strerror(errno));
    if (full[strcspn(full, " \t\n:")] != '\0')
        fail("%s: LD_PRELOAD cannot name a path with a blank or a colon",
             full);
    return full;
}

static char *choose_library(const struct wish *wish)
{
    static const char hardened[] =
        MERLON_LIBDIR "/libmerlon-hardened.so." MERLON_SO;
    static const char fast[] = MERLON_LIBDIR "/libmerlon.so." MERLON_SO;

    if (wish->library)
        return absolute(wish->library);
    if (wish->variant && strcmp(wish->variant, "hardened") != 0
        && strcmp(wish->variant, "fast") != 0)
        fail("--variant is hardened or fast, not \"%s\"", wish->variant);
    bool want_fast = wish->variant ? strcmp(wish->variant, "fast") == 0
        : !is_there(hardened);
    const char *path = want_fast ? fast : hardened;
    if (!is_there(path))
        fail("%s is not installed", path);
    /* The name and not what it points to: upgrades replace that. */
    return text_of("%s", path);
}

/* Ours goes first: the first malloc wins. */
static void set_environment(const char *library, const char *options)
{
    char *preload = joined(library, ":", getenv("LD_PRELOAD"));
    char *all = joined(getenv("MERLON_OPTIONS"), ",", options);

    if (setenv("LD_PRELOAD", preload, 1) != 0
        || (*all != '\0' && setenv("MERLON_OPTIONS", all, 1) != 0))
        fail("out of memory");
    free(preload);
    free(all);
}

int main(int argc, char **argv)
{
    struct wish wish = { 0 };
    struct judgement judgement;

    tool_name = "merlon-run";
    tool_failure = EXIT_REFUSED;
    parse(argc, argv, &wish);
    char *library = choose_library(&wish);
    char *program = verdict_find_program(argv[optind]);
    if (!program) {
        int error = errno;
        fprintf(stderr, "merlon-run: %s: %s\n", argv[optind],
                strerror(error));
        return error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
    }
    verdict_judge(&judgement, program, library);
    if (wish.check) {
        puts(judgement.text);
        return fflush(stdout) == 0 ? (int)judgement.verdict : EXIT_REFUSED;
    }
    if (judgement.verdict != VERDICT_WORKS)
        fail("not started: %s", judgement.text);
    set_environment(library, wish.options);
    execv(program, argv + optind);
    fprintf(stderr, "merlon-run: %s: %s\n", program, strerror(errno));
    return EXIT_CANNOT_RUN;
}
