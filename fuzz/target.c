/* SPDX-License-Identifier: MIT */
/*
 * target.c - a drive as a fuzz target: what libFuzzer and AFL++ call. DRIVE is
 * its name.
 */
#include "../tests/support/drives.h"

#include "../tests/support/fault.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    drives_child();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    /* The same input draws the same numbers. */
    fault_fix_random(count);
    DRIVE(bytes, count);
    return 0;
}
