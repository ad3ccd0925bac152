/* SPDX-License-Identifier: MIT */
/*
 * fuzz_heap.c - one object, one place: allocate, free, find.
 *
 * What is done with all objects at once is in fuzz_sweep.c.
 */
#include "fuzz_heap.h"

#include <string.h>

#include "fuzz_slack.h"
#include "merlon/fuzz.h"
#include "options.h"

/* Filling a giant object would cost more than it shows. */
enum { FILL_BYTES_MAX = 64 << 10 };

/* What figures call large, as in the other variants. */
enum { LARGE_BYTES = 256 << 10 };

static struct fuzz_figures figures; /* atomic */

static const struct fuzz_options *fuzz(void)
{
    return options_get()->fuzz;
}

struct fuzz_figures fuzz_figures(void)
{
    /* Relaxed: figures. */
    return (struct fuzz_figures){
        .count = __atomic_load_n(&figures.count, __ATOMIC_RELAXED),
        .bytes = __atomic_load_n(&figures.bytes, __ATOMIC_RELAXED),
        .large_count = __atomic_load_n(&figures.large_count, __ATOMIC_RELAXED),
        .large_bytes = __atomic_load_n(&figures.large_bytes, __ATOMIC_RELAXED),
    };
}

/* `count` is 1, or SIZE_MAX for one less. */
static void account(size_t count, size_t bytes)
{
    __atomic_fetch_add(&figures.count, count, __ATOMIC_RELAXED);
    __atomic_fetch_add(&figures.bytes, count * bytes, __ATOMIC_RELAXED);
    if (bytes < LARGE_BYTES)
        return;
    __atomic_fetch_add(&figures.large_count, count, __ATOMIC_RELAXED);
    __atomic_fetch_add(&figures.large_bytes, count * bytes, __ATOMIC_RELAXED);
}

void fuzz_count(struct lane *lane, struct fuzz_call call)
{
    const struct fuzz_options *options = fuzz();
    uint64_t operation = ++lane->operations;

    if (unlikely(operation == options->stop_at
                 && lane->number == options->stop_lane))
        merlon_fuzz_stop();
    if (unlikely(options->verify_every != 0
                 && operation % options->verify_every == 0))
        fuzz_verify(lane, call);
}

/* --- allocating --------------------------------------------------------- */

static bool is_refused(struct lane *lane, size_t bytes, uint32_t chance,
                       struct fuzz_call call)
{
    const struct fuzz_options *options = fuzz();
    size_t live = __atomic_load_n(&figures.bytes, __ATOMIC_RELAXED);

    if (options->fail_one_in != 0
        && stream_below(chance, (uint32_t)options->fail_one_in) == 0)
        return true;
    if (likely(bytes <= options->max_alloc_bytes
               && bytes <= options->max_total_bytes
               && live <= options->max_total_bytes - bytes))
        return false;
    if (options->oom_is_fatal) {
        const struct fuzz_finding finding = {
            .kind = DIE_OUT_OF_MEMORY, .call = call,
            .detail = bytes > options->max_alloc_bytes ? "max_alloc"
                : "max_total",
            .lane = lane->number, .operation = lane->operations,
        };
        fuzz_report(&finding);
    }
    return true;
}

/* The thread's own lane, or any other that nobody is using just now. */
static struct place *take(struct lane *lane, size_t bytes, size_t alignment)
{
    struct place *place = place_take(lane, bytes, alignment);

    for (uint32_t i = 1; !place && i < fuzz_window.lane_count; i++) {
        uint32_t number = (lane->number + i) % fuzz_window.lane_count;
        struct lane *other = &fuzz_window.lane[number];
        if (!lane_claim(other))
            continue;
        place = place_take(other, bytes, alignment);
        lane_release(other);
    }
    return place;
}

/* At the right end of its data pages, or at the left one. */
static uintptr_t put(const struct place *place, size_t bytes,
                     size_t alignment, bool left)
{
    if (left || bytes == 0)
        return place_start_address(place);
    return align_down(place_end_address(place) - bytes, alignment);
}

static bool is_left(uint32_t chance)
{
    return fuzz()->side == FUZZ_LEFT
        || (fuzz()->side == FUZZ_ALTERNATE && chance >> 31);
}

static void sign_birth(struct place *place, const struct lane *lane,
                       struct fuzz_call call)
{
    struct stack *stacks = place_stacks(place);

    place->born = lane->operations;
    place->born_lane = (uint8_t)lane->number;
    place->born_site = (uintptr_t)call.site;
    place->born_thread = lane->thread;
    if (stacks)
        stack_capture(&stacks[0], call.frame, call.site);
}

static void sign_end(struct place *place, const struct lane *lane,
                     struct fuzz_call call)
{
    struct stack *stacks = place_stacks(place);

    place->freed = lane->operations;
    place->freed_lane = (uint8_t)lane->number;
    place->freed_site = (uintptr_t)call.site;
    place->freed_thread = lane->thread;
    if (stacks)
        stack_capture(&stacks[1], call.frame, call.site);
}

void *fuzz_allocate(struct lane *lane, size_t bytes, size_t alignment,
                    bool zero, struct fuzz_call call)
{
    /* One draw for each allocation, whether it is used or not. */
    uint64_t chance = stream_draw(&lane->stream);

    alignment = size_max(alignment, fuzz()->alignment);
    if (bytes > PTRDIFF_MAX || alignment > PTRDIFF_MAX
        || is_refused(lane, bytes, (uint32_t)(chance >> 32), call))
        return NULL;
    struct place *place = take(lane, bytes, alignment);
    if (!place)
        return NULL;
    place->object = put(place, bytes, alignment, is_left((uint32_t)chance));
    if (!zero && fuzz()->fill != 0)
        memset((void *)place->object, fuzz()->fill,
               size_min(bytes, FILL_BYTES_MAX));
    slack_arm(place);
    sign_birth(place, lane, call);
    account(1, bytes);
    /* Release: who finds it live finds it complete. */
    __atomic_store_n(&place->state, PLACE_LIVE, __ATOMIC_RELEASE);
    return (void *)place->object;
}

/* --- finding ------------------------------------------------------------ */

static bool is_live(enum place_state state)
{
    return state == PLACE_LIVE || state == PLACE_CHECKING;
}

/* The place whose object begins, or began, at p. */
static struct place *lookup(uintptr_t p)
{
    struct place *place = NULL;

    if (likely(window_has(p)))
        place = place_of_page(window_page(p));
    return place && place->object == p ? place : NULL;
}

static void report_pointer(const struct lane *lane, uintptr_t p,
                           const struct place *place, enum die_kind kind,
                           const char *detail, struct fuzz_call call)
{
    const struct fuzz_finding finding = {
        .kind = kind, .call = call, .pointer = p, .detail = detail,
        .place = place, .lane = lane->number, .operation = lane->operations,
    };

    fuzz_report(&finding);
}

static void report_wild(const struct lane *lane, uintptr_t p,
                        struct fuzz_call call)
{
    const struct place *place = window_has(p) ? place_around(p) : NULL;
    const char *detail = "not from merlon";

    if (window_has(p))
        detail = "no object was there";
    if (place && place->object)
        detail = "not the start of an object";
    report_pointer(lane, p, place, DIE_INVALID_POINTER, detail, call);
}

struct place *fuzz_find(const struct lane *lane, void *p, struct fuzz_call call)
{
    struct place *place = lookup((uintptr_t)p);

    if (likely(place && is_live(place_state(place))))
        return place;
    if (place)
        report_pointer(lane, (uintptr_t)p, place, DIE_USE_AFTER_FREE,
                       "passed to a function", call);
    else
        report_wild(lane, (uintptr_t)p, call);
    return NULL;
}

/* --- freeing ------------------------------------------------------------ */

/* One of several frees wins. True: the caller closes the place. *dead: it was
   no live object any more. */
static bool win(struct place *place, bool *dead)
{
    *dead = false;
    while (is_live(place_state(place))) {
        if (place_change(place, PLACE_LIVE, PLACE_CLOSING))
            return true;
        /* Somebody verifies it, and will close it. */
        if (place_change(place, PLACE_CHECKING, PLACE_DOOMED))
            return false;
    }
    *dead = true;
    return false;
}

void fuzz_free(struct lane *lane, void *p, struct fuzz_call call)
{
    struct place *place = lookup((uintptr_t)p);
    bool dead;

    if (unlikely(!place)) {
        report_wild(lane, (uintptr_t)p, call);
        return;
    }
    bool mine = win(place, &dead);
    if (unlikely(dead)) {
        report_pointer(lane, (uintptr_t)p, place, DIE_DOUBLE_FREE, NULL, call);
        return;
    }
    account(SIZE_MAX, place->bytes);
    uintptr_t wrong = mine ? slack_verify(place) : 0;
    if (unlikely(wrong))
        report_pointer(lane, wrong, place, DIE_OVERFLOW,
                       wrong < place->object ? "before the object"
                       : "behind the object", call);
    sign_end(place, lane, call);
    if (mine)
        place_close(place, fuzz()->free_fill);
}

void *fuzz_reallocate(struct lane *lane, void *old, size_t bytes,
                      struct fuzz_call call)
{
    struct place *place = fuzz_find(lane, old, call);

    if (!place)
        return NULL;
    void *p = fuzz_allocate(lane, bytes, 1, false, call);
    if (!p)
        return NULL;
    memcpy(p, old, size_min(bytes, place->bytes));
    fuzz_free(lane, old, call);
    return p;
}
