/* SPDX-License-Identifier: MIT */
/*
 * stopped.h - what stopped.c and the life of its children have in common.
 */
#ifndef MERLON_TEST_STOPPED_H
#define MERLON_TEST_STOPPED_H

#include <stdatomic.h>

#include "../support/block.h"

enum {
    TABLE = 300,
    CHILD_SECONDS = 60,
};

/* How a child ends. */
enum { FINE, NOT_WHOLE, NO_MEMORY, NOT_ZERO, GROWS, LOST };

/* What the worker has. */
extern _Atomic(struct block *) table[TABLE];

/* The child of a fork while the worker, which is not there any more, was
   stopped in the allocator. */
_Noreturn void live_as_child(bool buries);

#endif
