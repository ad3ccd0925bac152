/* SPDX-License-Identifier: MIT */
/*
 * fault.h - a kernel that refuses on demand, a clock that runs on demand, and
 * random numbers that repeat.
 *
 * The platform floor asks the kernel through syscall(2) alone. Programs that
 * use this are linked with --wrap=syscall and --wrap=clock_gettime, so that all
 * of these calls pass through fault.c. Everything is off until it is asked for.
 */
#ifndef MERLON_TEST_FAULT_H
#define MERLON_TEST_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_call {
    FAULT_MMAP,
    FAULT_MUNMAP,
    FAULT_MPROTECT,
    FAULT_MADVISE,
    FAULT_MREMAP,
    FAULT_ANY,       /* whichever of these comes */
    FAULT_CALL_COUNT
};

extern const char *const fault_call_name[FAULT_CALL_COUNT];

/* What a refused call says: one after the other they are what it can say. */
enum { FAULT_ERRORS = 5 };
extern const int fault_errors[FAULT_ERRORS];

/* From now on the n-th such call (1 is the next) fails with `error`, and
   `times - 1` after it; UINT_MAX: all after it. */
void fault_arm(enum fault_call call, unsigned nth, unsigned times, int error);
void fault_disarm(void);

/* How many calls were refused since fault_arm. */
unsigned fault_hits(void);

/* How many such calls there were since the start of the process. */
unsigned long fault_calls(enum fault_call call);

/* Bytes mapped by merlon: what mmap gave less what munmap took. */
size_t fault_mapped_bytes(void);

/* Let this much time pass on the clock that merlon reads (the coarse one). */
void fault_clock_pass(unsigned ms);

/* What goes to a descriptor by the platform floor is dropped. */
void fault_mute(bool mute);

/* From now on libsodium's numbers follow from this one; streams that are open
   already go on as they are. */
void fault_fix_random(uint64_t seed);

/*
 * In the environment of a program: a fault that is armed from the start on, as
 * "call,nth,times,error" in numbers. For what happens before main.
 */
#define FAULT_VARIABLE "MERLON_TEST_FAULT"

#endif
