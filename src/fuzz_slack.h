/* SPDX-License-Identifier: MIT */
/*
 * fuzz_slack.h - the bytes of an object's pages that are not the object's.
 *
 * A guard stops only what reaches it. What lies between the object and the
 * ends of its data pages is slack: the SLACK_NEAR bytes next to the object
 * carry a pattern that depends on the address and the seed and has no zero
 * byte (a terminator written too far must change it); all others are zero, as
 * the pages came from the kernel, and have to stay so.
 */
#ifndef MERLON_FUZZ_SLACK_H
#define MERLON_FUZZ_SLACK_H

#include "fuzz_place.h"

enum { SLACK_NEAR = 32 };

static inline uint64_t slack_word(uintptr_t at)
{
    return fold_product(fuzz_window.key ^ at, UINT64_C(0x9e3779b97f4a7c15))
        | UINT64_C(0x0101010101010101);
}

static inline uint8_t slack_byte(uintptr_t at)
{
    return (uint8_t)(slack_word(align_down(at, 8)) >> 8 * (at % 8));
}

static inline void slack_write(uintptr_t from, uintptr_t to)
{
    for (; from < to; from++)
        *(uint8_t *)from = slack_byte(from);
}

/* The first byte of [from, to) that is not the pattern, or `to`. */
static inline uintptr_t slack_near(uintptr_t from, uintptr_t to)
{
    while (from < to && *(const volatile uint8_t *)from == slack_byte(from))
        from++;
    return from;
}

/* The first byte of [from, to) that is not zero, or `to`. */
static inline uintptr_t slack_far(uintptr_t from, uintptr_t to)
{
    while (from % 8 != 0 && from < to && *(const uint8_t *)from == 0)
        from++;
    while (from % 8 == 0 && to - from >= 32 && from < to) {
        const user_word *word = (const user_word *)from;
        if (word[0] | word[1] | word[2] | word[3])
            break;
        from += 32;
    }
    while (from < to && *(const uint8_t *)from == 0)
        from++;
    return from;
}

/* The places's slack: [start, object) and [object_end, end). */
struct slack {
    uintptr_t start, near_start, object, object_end, near_end, end;
};

static inline struct slack slack_of(const struct place *place)
{
    uintptr_t start = place_start_address(place);
    uintptr_t end = place_end_address(place);
    uintptr_t object_end = place->object + place->bytes;

    return (struct slack){
        .start = start,
        .near_start = place->object - size_min(place->object - start,
                                               SLACK_NEAR),
        .object = place->object,
        .object_end = object_end,
        .near_end = object_end + size_min(end - object_end, SLACK_NEAR),
        .end = end,
    };
}

static inline void slack_arm(const struct place *place)
{
    struct slack slack = slack_of(place);

    slack_write(slack.near_start, slack.object);
    slack_write(slack.object_end, slack.near_end);
}

/* As it was when the object was new. */
static inline void slack_renew(const struct place *place)
{
    struct slack slack = slack_of(place);

    __builtin_memset((void *)slack.start, 0, slack.near_start - slack.start);
    __builtin_memset((void *)slack.near_end, 0, slack.end - slack.near_end);
    slack_arm(place);
}

/* The wrong byte that is nearest to the object, or 0: all is as it was. */
static inline uintptr_t slack_verify(const struct place *place)
{
    struct slack slack = slack_of(place);
    uintptr_t at;

    at = slack_near(slack.object_end, slack.near_end);
    if (unlikely(at != slack.near_end))
        return at;
    at = slack_far(slack.near_end, slack.end);
    if (unlikely(at != slack.end))
        return at;
    at = slack_near(slack.near_start, slack.object);
    if (unlikely(at != slack.object)) {
        /* The last one, not the first. */
        for (uintptr_t byte = at; byte < slack.object; byte++) {
            if (*(const uint8_t *)byte != slack_byte(byte))
                at = byte;
        }
        return at;
    }
    at = slack_far(slack.start, slack.near_start);
    return at != slack.near_start ? at : 0;
}

#endif
