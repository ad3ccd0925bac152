/* SPDX-License-Identifier: MIT */
/*
 * check_fatal.c - size_mismatch=abort: a sized free that is told a wrong size
 * ends the process, with the line, and a right one does not.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>

#include "face.h"
#include "merlon/merlon.h"
#include "support/crime.h"

enum wrong { TOO_MUCH, TOO_LITTLE, RIGHT, WRONG_COUNT };

struct sized {
    size_t bytes;
    enum wrong wrong;
    enum { BY_FREE_SIZED, BY_FREE_ALIGNED_SIZED, BY_DELETE, WAYS } way;
};

static void free_with_size(const void *arg)
{
    const struct sized *sized = arg;
    char *p = crime_object(sized->bytes);
    size_t told = sized->wrong == TOO_MUCH ? 2 * sized->bytes + 4096
        : sized->wrong == TOO_LITTLE ? sized->bytes / 4 : sized->bytes;
    switch (sized->way) {
    case BY_FREE_SIZED: m.free_sized(p, told); break;
    case BY_FREE_ALIGNED_SIZED: merlon_free_aligned_sized(p, 16, told); break;
    default: face_free_sized(p, told, 0, true);
    }
}

START_TEST(wrong_sizes_end_it)
{
    struct sized sized = {.way = _i};
    for (int i = 0; i < CRIME_SIZES; i++)
        for (sized.wrong = 0; sized.wrong < WRONG_COUNT; sized.wrong++) {
            sized.bytes = crime_bytes[i];
            if (sized.wrong == RIGHT)
                death_expect_exit(free_with_size, &sized, 0);
            else
                death_expect(free_with_size, &sized, SIGABRT,
                             "merlon: size mismatch in free_sized()");
        }
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("fatal");
    TCase *fatal = tcase_create("fatal");
    tcase_set_timeout(fatal, 60);
    tcase_add_loop_test(fatal, wrong_sizes_end_it, 0, WAYS);
    suite_add_tcase(suite, fatal);
    return suite;
}

int main(int argc, char **argv)
{
    /* Read when suite_main starts us anew. */
    setenv("MERLON_OPTIONS", "sample=0,size_mismatch=abort", 1);
    return suite_main(argc, argv, make);
}
