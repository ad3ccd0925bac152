/* SPDX-License-Identifier: MIT */
/*
 * fuzz_sweep.c - what libmerlon-fuzz does with all places at once: verify,
 * return to the mark, list leaks; and the explanation of a fault.
 *
 * Other threads go on meanwhile. A place that is being verified is marked, so
 * that a free leaves it to the verifier; a row of places that is just being cut
 * or joined may be left early, and is walked whole the next time.
 */
#include "fuzz_heap.h"

#include "fuzz_slack.h"
#include "merlon/fuzz.h"
#include "options.h"

static bool marked;

void merlon_fuzz_stop(void)
{
    os_trap();
}

static struct place *first_place(const struct lane *lane)
{
    return lane->end != 0 ? place_of_page(lane->first) : NULL;
}

/* --- verifying ---------------------------------------------------------- */

static void report_slack(const struct lane *lane, const struct place *place,
                         uintptr_t wrong, enum die_kind kind,
                         struct fuzz_call call)
{
    const struct fuzz_finding finding = {
        .kind = kind, .call = call, .pointer = wrong, .place = place,
        .detail = kind != DIE_OVERFLOW ? "found by a sweep"
            : wrong < place->object ? "before the object, found by a sweep"
            : "behind the object, found by a sweep",
        .lane = lane ? lane->number : 0,
        .operation = lane ? lane->operations : 0,
    };

    fuzz_report(&finding);
}

/* True when the object lives. */
static bool verify_live(const struct lane *lane, struct place *place,
                        struct fuzz_call call)
{
    if (!place_change(place, PLACE_LIVE, PLACE_CHECKING))
        return false;
    uintptr_t wrong = slack_verify(place);
    if (unlikely(wrong)) {
        report_slack(lane, place, wrong, DIE_OVERFLOW, call);
        slack_renew(place); /* once is enough */
    }
    if (place_change(place, PLACE_CHECKING, PLACE_LIVE))
        return true;
    place_close(place, options_get()->fuzz->free_fill);
    return false;
}

/* Freed, but still accessible: nobody may have written there. */
static void verify_lost(const struct lane *lane, struct place *place,
                        struct fuzz_call call)
{
    uint8_t fill = options_get()->fuzz->free_fill;
    uintptr_t end = place_end_address(place);

    for (uintptr_t at = place_start_address(place); at < end; at++) {
        if (*(const volatile uint8_t *)at != fill) {
            *(volatile uint8_t *)at = fill;
            report_slack(lane, place, at, DIE_WRITE_AFTER_FREE, call);
        }
    }
}

size_t fuzz_verify(const struct lane *lane, struct fuzz_call call)
{
    size_t count = 0;

    for (uint32_t i = 0; i < fuzz_window.lane_count; i++) {
        struct place *place = first_place(&fuzz_window.lane[i]);
        for (; place; place = place_next(place)) {
            enum place_state state = place_state(place);
            if (state == PLACE_LIVE)
                count += verify_live(lane, place, call);
            else if (state == PLACE_LOST)
                verify_lost(lane, place, call);
        }
    }
    return count;
}

/* --- the mark ----------------------------------------------------------- */

/* `lane` is claimed by the caller, the others are nobody's: so it is agreed. */
static void mark_lane(struct lane *lane)
{
    if (lane->end != 0)
        place_mark(lane);
}

void fuzz_mark(void)
{
    for (uint32_t i = 0; i < fuzz_window.lane_count; i++)
        mark_lane(&fuzz_window.lane[i]);
    marked = true;
}

static bool is_since_mark(const struct place *place)
{
    return place_state(place) == PLACE_LIVE && place->born
        > fuzz_window.lane[place->born_lane].mark.operations;
}

size_t fuzz_return(struct lane *lane, bool drop, struct fuzz_call call)
{
    size_t count = 0;

    if (!marked) {
        fuzz_mark();
        return 0;
    }
    for (uint32_t i = 0; i < fuzz_window.lane_count; i++) {
        struct place *place = first_place(&fuzz_window.lane[i]);
        for (; place; place = place_next(place)) {
            if (!is_since_mark(place))
                continue;
            count++;
            if (drop)
                fuzz_free(lane, (void *)place->object, call);
        }
    }
    for (uint32_t i = 0; i < fuzz_window.lane_count; i++) {
        if (fuzz_window.lane[i].end != 0)
            place_reset(&fuzz_window.lane[i]);
    }
    return count;
}

/* --- leaks -------------------------------------------------------------- */

void fuzz_list_leaks(void)
{
    size_t count = 0, bytes = 0;

    for (uint32_t i = 0; i < fuzz_window.lane_count; i++) {
        struct place *place = first_place(&fuzz_window.lane[i]);
        for (; place; place = place_next(place)) {
            if (place_state(place) != PLACE_LIVE)
                continue;
            bytes += place->bytes;
            fuzz_tell_leak(place, ++count);
        }
    }
    if (count != 0)
        fuzz_tell_leaks(count, bytes);
}

/* --- faults ------------------------------------------------------------- */

/* How far an address is from the nearest byte of the place's object. */
static uintptr_t distance(const struct place *place, uintptr_t address)
{
    uintptr_t end = place->object + place->bytes;

    if (address < place->object)
        return place->object - address;
    return address < end ? 0 : address - end;
}

/* Of the objects around an address that does not belong to a live one: that of
   its place, or the next one when that is nearer. */
static const struct place *blame(uintptr_t address)
{
    const struct lane *lane = lane_of_page(window_page(address));
    const struct place *place = place_around(address);
    const struct place *next = place ? place_next(place) : NULL;

    /* The guard before the first place. */
    if (window_page(address) < lane->first)
        return first_place(lane);

    if (next && next->object && place_state(next) != PLACE_FREE
        && (!place->object
            || distance(next, address) < distance(place, address)))
        return next;
    return place && place->object ? place : NULL;
}

bool fuzz_explain(const struct os_fault *fault)
{
    static const char *const details[3][3] = {
        { "access", "read", "write" },
        { "access behind the object", "read behind the object",
          "write behind the object" },
        { "access before the object", "read before the object",
          "write before the object" },
    };
    /* As if the instruction had called us: stack.h. */
    volatile uintptr_t frame[2] = { (uintptr_t)fault->frame,
                                    (uintptr_t)fault->site };
    struct fuzz_finding finding = {
        .kind = DIE_INVALID_POINTER, .pointer = fault->address,
        .call = { NULL, fault->site, (const void *)frame },
        .access = fault->access,
    };
    unsigned where = 0;

    if (!window_has(fault->address))
        return false;
    finding.place = blame(fault->address);
    if (finding.place && place_state(finding.place) == PLACE_LIVE) {
        finding.kind = DIE_OVERFLOW;
        where = fault->address < finding.place->object ? 2 : 1;
    } else if (finding.place && distance(finding.place, fault->address)
               < fuzz_window.page_bytes) {
        finding.kind = DIE_USE_AFTER_FREE;
    }
    finding.detail = details[where][fault->access];
    finding.lane = (uint32_t)(lane_of_page(window_page(fault->address))
                              - fuzz_window.lane);
    finding.operation = fuzz_window.lane[finding.lane].operations;
    fuzz_tell(&finding);
    if (options_get()->fuzz->exit_code != 0)
        os_exit(options_get()->fuzz->exit_code);
    return false; /* it happens again, and counts */
}
