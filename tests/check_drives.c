/* SPDX-License-Identifier: MIT */
/*
 * check_drives.c - every drive on random bytes, in one process each: what the
 * fuzzers of fuzz/ do without their cunning, for machines that have none.
 */
#include <stdio.h>

#include "support/drives.h"
#include "support/fault.h"
#include "support/suite.h"

enum { BYTES_MAX = 300 };

static void feed_random(const struct drive_entry *drive, double seconds)
{
    static uint8_t bytes[BYTES_MAX];
    double end = suite_seconds() + seconds;
    struct rng rng = rng_make(101);
    unsigned long count = 0;

    do {
        size_t length = 1 + rng_below(&rng, BYTES_MAX);
        for (size_t i = 0; i < length; i++)
            bytes[i] = (uint8_t)rng_next(&rng);
        drive->run(bytes, length);
        count++;
    } while (suite_seconds() < end);
    printf("# %s: %lu inputs\n", drive->name, count);
    fflush(stdout);
}

START_TEST(random_bytes)
{
    const struct drive_entry *drive = &drives[_i];

    if (drive->skip) {
        printf("# SKIP %s: %s\n", drive->name, drive->skip);
        fflush(stdout);
        return;
    }
    fault_fix_random(suite_seed());
    feed_random(drive, suite_full() ? 120 : 1.5);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("drives");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, suite_full() ? 400 : 180);
    tcase_add_loop_test(all, random_bytes, 0, DRIVE_COUNT);
    suite_add_tcase(suite, all);
    return suite;
}

int main(int argc, char **argv)
{
    drives_child();
    return suite_main(argc, argv, make);
}
