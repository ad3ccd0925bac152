/* SPDX-License-Identifier: MIT */
/*
 * stack.h - who called, and who called him: a call stack, without unwinding
 * tables.
 *
 * The idea: follow the frame pointers, upwards only. Code that was built
 * without them puts anything into that register, so nothing is believed: a
 * frame must lie above the last one, on the same stack (no hole between the
 * two, and below what is known to end the stack), and a page that was not yet
 * seen is read only after the kernel said that it can be.
 *
 * Nothing here allocates, locks, asks the loader or faults, and errno is
 * kept. One futex call that waits for nothing for each page of stack that is
 * looked at; the stack of a page or two costs one or two.
 */
#ifndef MERLON_STACK_H
#define MERLON_STACK_H

#include "text.h"

enum { STACK_FRAMES = 16 };

struct stack {
    uint32_t count;
    uintptr_t site[STACK_FRAMES]; /* return addresses, innermost first */
};

/*
 * Fill in `stack`. `site` is the return address to begin with: frames within
 * are left out, and if no frame has it, it alone is recorded. NULL: begin with
 * the first frame. `frame` is __builtin_frame_address(0) of the function that
 * returns to `site`, or of one that it called with frame pointers; NULL: the
 * site is all. Any thread; a signal handler too.
 */
void stack_capture(struct stack *stack, const void *frame, const void *site);

/* What an instruction that was interrupted leaves: its address, and the frame
   pointer at that instant. */
void stack_capture_fault(struct stack *stack, const void *frame,
                         const void *site);

/* " module+0xoffset module+0xoffset ...", innermost first. */
void stack_print(struct text *text, const struct stack *stack);

#endif
