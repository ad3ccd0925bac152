/* SPDX-License-Identifier: MIT */
/*
 * drives.c - the table of drives, and those of them that are one machine with
 * different rules.
 */
#include "drives.h"

#include "fault.h"
#include "machine.h"

const struct drive_entry drives[DRIVE_COUNT] = {
    {"api", drive_api, NULL},
    {"heaps", drive_heaps, NULL},
    {"corrupt", drive_corrupt,
     MERLON_HARDENING && EXACT_STATE
         ? NULL : "this build promises nothing to who corrupts memory"},
    {"sizes", drive_sizes, NULL},
    {"options", drive_options, NULL},
    {"backend", drive_backend, NULL},
    {"ends", drive_ends, NULL},
};

static void run(const struct machine_rules *rules, const uint8_t *bytes,
                size_t count)
{
    struct feed feed = {bytes, bytes + count};

    machine_run(rules, &feed);
}

void drive_api(const uint8_t *bytes, size_t count)
{
    static const struct machine_rules rules = {.actors = 1};

    run(&rules, bytes, count);
}

void drive_heaps(const uint8_t *bytes, size_t count)
{
    static const struct machine_rules rules = {.actors = 4};

    run(&rules, bytes, count);
}

void drive_corrupt(const uint8_t *bytes, size_t count)
{
    static const struct machine_rules rules = {.actors = 3, .crimes = true};

    run(&rules, bytes, count);
}

void drive_ends(const uint8_t *bytes, size_t count)
{
    static const struct machine_rules rules = {.actors = 3,
                                               .processes = true};

    run(&rules, bytes, count);
}
