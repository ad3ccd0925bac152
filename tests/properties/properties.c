/* SPDX-License-Identifier: MIT */
/*
 * properties.c - the suite and what its cases share. See properties.h.
 */
#define _GNU_SOURCE
#include "properties.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { CHILD_SECONDS = 100 };

bool property_child(death_fn fn, const void *arg)
{
    struct death death;
    death_run(&death, fn, arg, CHILD_SECONDS);
    if (death.signal != 0 || death.status != 0 || death.timed_out)
        PROPERTY_SAY("a child: %s\n", death_describe(&death));
    return death.signal == 0 && death.status == 0 && !death.timed_out;
}

void *property_shared(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(p, MAP_FAILED);
    return p;
}

void property_report_only(void)
{
    die_configure(true, open("/dev/null", O_WRONLY | O_CLOEXEC));
}

unsigned long property_reports(void)
{
    unsigned long sum = 0;
    for (int kind = 0; kind < DIE_KIND_COUNT; kind++)
        sum += die_count(kind);
    return sum;
}

/* The square root by Newton: no library for one call. */
double property_six(double p, double n)
{
    double square = p * (1 - p) / n, root = 1;
    for (int i = 0; i < 60; i++)
        root = (root + square / root) / 2;
    return p + 6 * root;
}

static Suite *make(void)
{
    Suite *suite = suite_create("properties");
    suite_add_tcase(suite, layout_case());
    suite_add_tcase(suite, reuse_case());
    suite_add_tcase(suite, patience_case());
    suite_add_tcase(suite, leaks_case());
    suite_add_tcase(suite, canaries_case());
    suite_add_tcase(suite, race_case());
    return suite;
}

int main(int argc, char **argv)
{
    if (getenv(LAYOUT_VARIABLE) != NULL)
        return layout_print();
    if (!SLOT_MAP && getenv(PROPERTY_ALL) == NULL) {
        puts("SKIP: the fast variant promises none of these properties");
        return 77;
    }
    /* Sampled objects lie elsewhere; read when suite_main starts us anew. */
    setenv("MERLON_OPTIONS", "sample=0", 1);
    return suite_main(argc, argv, make);
}
