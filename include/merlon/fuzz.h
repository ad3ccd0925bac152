/* SPDX-License-Identifier: MIT */
/*
 * merlon/fuzz.h - what libmerlon-fuzz has beside merlon/merlon.h.
 *
 * For harnesses in persistent mode, and for debuggers. A harness that shall
 * also run without the library declares them weak and asks whether they are
 * there:
 *
 *     #pragma weak merlon_fuzz_reset
 *     if (merlon_fuzz_reset)
 *         merlon_fuzz_reset(MERLON_FUZZ_DROP);
 *
 * merlon-fuzz(7) explains the library and its options.
 */
#ifndef MERLON_FUZZ_H
#define MERLON_FUZZ_H

#include "merlon/merlon.h"

#ifdef __cplusplus
extern "C" {
#endif

enum merlon_fuzz_reset_how {
    MERLON_FUZZ_KEEP = 0, /* objects allocated since the mark live on */
    MERLON_FUZZ_DROP = 1, /* they are freed */
    MERLON_FUZZ_MARK = 2  /* set a new mark here */
};

/*
 * Between two iterations: everything that decides about addresses, sides and
 * injected failures goes back to what it was at the mark, and the addresses
 * used since then are used again. So an iteration repeats, whatever ran before
 * it. The first call sets the mark, as does MERLON_FUZZ_MARK: objects that live
 * then stay where they are.
 *
 * All slack is verified first; a finding is fatal as everywhere. Returns how
 * many objects that were allocated since the mark are not freed; without
 * MERLON_FUZZ_DROP they keep their addresses, and the next iteration's differ.
 *
 * No other thread may allocate or free meanwhile. errno is kept.
 */
MERLON_EXPORT size_t merlon_fuzz_reset(int how) MERLON_PLAIN;

/*
 * Verify the slack around all live objects now. Returns how many there are. A
 * finding is fatal. Any thread, at any time.
 */
MERLON_EXPORT size_t merlon_fuzz_verify(void) MERLON_PLAIN;

/* The seed of this process: given, or drawn at its start. Any thread. */
MERLON_EXPORT unsigned merlon_fuzz_seed(void) MERLON_PLAIN;

/*
 * Called before the operation that the option stop_at names: set a breakpoint
 * here. It raises SIGTRAP, which a debugger shows and which ends the process
 * when there is none.
 */
MERLON_EXPORT void merlon_fuzz_stop(void) MERLON_PLAIN;

#ifdef __cplusplus
}
#endif

#endif
