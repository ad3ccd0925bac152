/* SPDX-License-Identifier: MIT */
/*
 * policy.h - every build switch as a constant, with the attack it answers.
 *
 * configure writes MERLON_<NAME> as 0 or 1 into config.h; here they become
 * enumeration constants, so that code says `if (CANARY)` and both branches
 * always compile. A mitigation that is off leaves no instruction and no byte
 * behind: its condition is constant, its arrays have length zero.
 *
 * The place of a mitigation to come: memory tagging.
 */
#ifndef MERLON_POLICY_H
#define MERLON_POLICY_H

#include "config.h"

#include "base.h"

enum policy {
    /* Double frees, interior, misaligned, foreign pointers: a bit for every
       16 bytes of a slab, outside user memory, set where an object lives. */
    EXACT_STATE = MERLON_EXACT_STATE,

    /* A remote double free is caught at the call: the message is a bit
       outside user memory, set with one atomic operation. */
    STRICT_REMOTE = MERLON_STRICT_REMOTE,

    /* Forged links: free lists are XORed with random pads; a link through user
       memory (messages without strict-remote; else there is none) is keyed,
       bound to its place, and can name no address outside its slab. */
    ENCODED_LINKS = MERLON_ENCODED_LINKS,

    /* Predictable neighbours: slots and slabs in random order. */
    RANDOM_ORDER = MERLON_RANDOM_ORDER,

    /* Use after free: a freed slot rests for half a slab of allocations; one
       of a page or more for 64 KiB of them. */
    DELAYED_REUSE = MERLON_DELAYED_REUSE,

    /* Type confusion: addresses of one size class never serve another. */
    CLASS_ISOLATION = MERLON_CLASS_ISOLATION,

    /* Long overruns: guards at slab ends, around spans and metadata. */
    GUARD_PAGES = MERLON_GUARD_PAGES,

    /* Leaks of old contents: freed memory is zero. */
    SCRUB = MERLON_SCRUB,

    /* Writes after free: what should still be zero is verified at reuse. */
    WRITE_CHECK = MERLON_WRITE_CHECK,

    /* Small overflows: a keyed word behind the usable bytes of a slot. */
    CANARY = MERLON_CANARY,

    /* Overwritten configuration: read-only after start. */
    SEALED_STATE = MERLON_SEALED_STATE,

    /* Bugs of all kinds, now and then, with both call stacks: one allocation
       in some thousands stands on a page of its own. */
    SAMPLING = MERLON_SAMPLING,

    /* Internal assertions for developers. */
    DEBUG_CHECKS = MERLON_DEBUG,

    /* libmerlon-fuzz: every object at a guard, addresses by a seed. Its own
       object layer, and none of the mitigations above. */
    FUZZ_ALLOCATOR = MERLON_FUZZ_ALLOCATOR,

    /* Derived: what is free is said by bits outside user memory, and slots are
       handed out from a small array; otherwise free slots are a plain list.
       Whatever is done to single slots needs it, and so does counting them. */
    SLOT_MAP = EXACT_STATE || ENCODED_LINKS || RANDOM_ORDER || DELAYED_REUSE
        || SCRUB || CANARY || SAMPLING,

    /* Derived: slabs need a secret of their own. */
    SLAB_KEY = ENCODED_LINKS || CANARY,

    /* Derived: something needs a stream of random numbers in each heap. */
    RANDOM_STREAM = RANDOM_ORDER || SLAB_KEY || GUARD_PAGES || SAMPLING,

    /* Bytes behind the usable part of each slot. */
    CANARY_BYTES = CANARY ? 8 : 0,

    /* Any mitigation that judges pointers: wild ones are fatal. */
    CHECKED = EXACT_STATE,
};

_Static_assert(!STRICT_REMOTE || EXACT_STATE,
               "strict-remote needs exact-state: its bits are compared");
_Static_assert(!WRITE_CHECK || SCRUB,
               "write-check needs scrub: only zero memory can be verified");

/* The unit of address space, of slabs and of spans: at least 16 pages. */
enum {
    GRANULE_SHIFT = ABI_PAGE_BYTES == 4096 ? 16 : 20,
    GRANULE_BYTES = 1 << GRANULE_SHIFT,
    UNIT_SHIFT = 4, /* slots start at multiples of 16 bytes */
    UNIT_BYTES = 1 << UNIT_SHIFT,
};

#endif
