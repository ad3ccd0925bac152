/* SPDX-License-Identifier: MIT */
/*
 * sample.c - places for sampled allocations.
 */
#include "sample.h"

#include "arena.h"
#include "guard.h"
#include "layout.h"
#include "os.h"
#include "sizeclass.h"

_Static_assert(sizeof(struct sample) * SAMPLE_PLACES
                   <= LAYOUT_SAMPLE_TABLE_BYTES,
               "the table has room for all places");

enum {
    STATUS_BITS = 8,
    /* Guard, two pages, guard: less is not worth a place. */
    PLACE_PAGES_MIN = 4,
};

size_t sample_live_bytes, sample_born_count, sample_freed_count;

static uint32_t next_place;
/* 0: not yet; the addresses may be given up until then. */
enum { TABLE_OPEN = 1, TABLE_GIVEN_UP = 2 };
static uint32_t table_state;

static struct sample *table(void)
{
    return arena_at(0)->sample_table;
}

/* --- geometry ---------------------------------------------------------- */

/* A place has room for the largest class, if the region is large enough. */
static size_t place_bytes(void)
{
    size_t page = os_page_bytes();
    size_t largest = align_up(CLASS_SLOT_BYTES_MAX, page) + 2 * page;
    size_t share = align_down(MAP->sample_bytes / SAMPLE_PLACES, page);

    return size_max(size_min(share, largest), PLACE_PAGES_MIN * page);
}

static size_t place_count(void)
{
    return size_min(MAP->sample_bytes / place_bytes(), SAMPLE_PLACES);
}

static uintptr_t place_base(size_t index)
{
    return MAP->sample_base + index * place_bytes();
}

/* NULL: behind the last place, or there never was a sample. */
static struct sample *sample_at(uintptr_t address)
{
    size_t index = (address - MAP->sample_base) / place_bytes();

    /* Acquire: the table can be read. */
    if (__atomic_load_n(&table_state, __ATOMIC_ACQUIRE) != TABLE_OPEN
        || index >= place_count())
        return NULL;
    return &table()[index];
}

/* The pages of an object. */
static uintptr_t pages_begin(const struct sample *sample)
{
    return align_down(sample->object, os_page_bytes());
}

static uintptr_t pages_end(const struct sample *sample)
{
    return align_up(sample->object + size_max(sample->bytes, 1),
                    os_page_bytes());
}

/* Where the object goes, seen from the base of its place; 0: too large. */
static size_t object_offset(size_t bytes, size_t alignment)
{
    size_t page = os_page_bytes(), room = place_bytes() - page;

    if (alignment > place_bytes() || size_max(bytes, 1) > room - page)
        return 0;
    /* Bases of places are multiples of the page only. */
    if (alignment > page)
        return 0;
    return align_down(room - size_max(bytes, 1), size_max(alignment,
                                                          UNIT_BYTES));
}

/* --- states ------------------------------------------------------------ */

static enum sample_status status_of(uint64_t state)
{
    return (enum sample_status)(state & ((1U << STATUS_BITS) - 1));
}

static uint64_t state_of(enum sample_status status, size_t frees)
{
    return (uint64_t)frees << STATUS_BITS | (uint64_t)status;
}

/* Acquire: the fields of a place that is live or freed are complete. */
static uint64_t load_state(const struct sample *sample)
{
    return __atomic_load_n(&sample->state, __ATOMIC_ACQUIRE);
}

static bool change(struct sample *sample, uint64_t from,
                   enum sample_status to)
{
    /* Acquire and release: the fields travel with the state. */
    return __atomic_compare_exchange_n(&sample->state, &from,
                                       state_of(to, from >> STATUS_BITS),
                                       false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

static void settle(struct sample *sample, enum sample_status status,
                   size_t frees)
{
    __atomic_store_n(&sample->state, state_of(status, frees),
                     __ATOMIC_RELEASE);
}

/* --- allocating -------------------------------------------------------- */

/* May the place be used now? Freed addresses wait. */
static bool is_ripe(uint64_t state)
{
    size_t freed = __atomic_load_n(&sample_freed_count, __ATOMIC_RELAXED);

    if (status_of(state) == SAMPLE_FREED)
        return freed - (size_t)(state >> STATUS_BITS)
            >= place_count() / SAMPLE_HOLD_SHARE;
    return status_of(state) == SAMPLE_NEVER;
}

/* Round and round, so that those that were freed first come first. The next
   one is claimed: BUSY. */
static struct sample *claim(void)
{
    size_t count = place_count();

    for (size_t tries = 0; tries < count; tries++) {
        uint32_t next = __atomic_fetch_add(&next_place, 1, __ATOMIC_RELAXED);
        struct sample *sample = &table()[next % count];
        uint64_t state = load_state(sample);
        if (is_ripe(state) && change(sample, state, SAMPLE_BUSY))
            return sample;
    }
    return NULL;
}

/*
 * A place that is used for the first time. Writable places are neighbours, so
 * that they are one mapping, and are made inaccessible by guards; where these
 * cost mappings it stays closed, and its pages alone will be opened.
 */
static void prepare(struct sample *sample)
{
    void *base = (void *)place_base((size_t)(sample - table()));
    bool open = os_guards_are_cheap() && os_commit(base, place_bytes());

    sample->closed_by = CLOSED_BY_PROTECTION;
    if (open && os_guard(base, place_bytes()) && os_guards_are_cheap())
        sample->closed_by = CLOSED_BY_GUARDS;
    else if (open)
        os_close(base, place_bytes());
}

static bool open_pages(const struct sample *sample)
{
    uintptr_t begin = pages_begin(sample), bytes = pages_end(sample) - begin;

    if (sample->closed_by == CLOSED_BY_GUARDS && os_guards_are_cheap())
        return os_unguard((void *)begin, bytes);
    /* A place may have known both. */
    return guard_unlock(begin, bytes, true);
}

static void close_pages(struct sample *sample)
{
    guard_lock(pages_begin(sample), pages_end(sample) - pages_begin(sample));
    if (!os_guards_are_cheap())
        sample->closed_by = CLOSED_BY_PROTECTION;
}

static bool open_table(void)
{
    uint32_t closed = 0;

    if (likely(__atomic_load_n(&table_state, __ATOMIC_ACQUIRE) != 0))
        return __atomic_load_n(&table_state, __ATOMIC_ACQUIRE) == TABLE_OPEN;
    /* Idempotent: two threads may both do it. */
    if (!os_commit(table(), align_up(LAYOUT_SAMPLE_TABLE_BYTES,
                                     os_page_bytes())))
        return false;
    os_dump(table(), align_up(LAYOUT_SAMPLE_TABLE_BYTES, os_page_bytes()));
    return __atomic_compare_exchange_n(&table_state, &closed, TABLE_OPEN,
                                       false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE)
        || closed == TABLE_OPEN;
}

bool sample_give_up(void)
{
    uint32_t closed = 0;

    return SAMPLING
        && __atomic_compare_exchange_n(&table_state, &closed, TABLE_GIVEN_UP,
                                       false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static void fill_slack(const struct sample *sample)
{
    uintptr_t end = sample->object + sample->bytes;

    __builtin_memset((void *)end, (int)sample->pattern,
                     pages_end(sample) - end);
}

static void count_live(size_t bytes, bool born)
{
    /* Relaxed: statistics; sample_live_count reads them in order. */
    if (born) {
        __atomic_fetch_add(&sample_live_bytes, bytes, __ATOMIC_RELAXED);
        __atomic_fetch_add(&sample_born_count, 1, __ATOMIC_RELAXED);
    } else {
        __atomic_fetch_sub(&sample_live_bytes, bytes, __ATOMIC_RELAXED);
        __atomic_fetch_add(&sample_freed_count, 1, __ATOMIC_RELEASE);
    }
}

void *sample_allocate(size_t bytes, size_t alignment, uint64_t random,
                      struct die_call call)
{
    size_t offset = object_offset(bytes, alignment);
    struct sample *sample;

    /* The bound may be passed by as many threads as are here at once. */
    if (!SAMPLING || offset == 0
        || sample_live_count() >= place_count() / SAMPLE_LIVE_SHARE
        || !open_table() || !(sample = claim()))
        return NULL;
    if (sample->closed_by == CLOSED_FROM_START)
        prepare(sample);
    sample->object = place_base((size_t)(sample - table())) + offset;
    sample->bytes = bytes;
    sample->pattern = (uint8_t)random | 1U; /* a zero too many must change it */
    if (!open_pages(sample)) {
        settle(sample, SAMPLE_FREED, sample_freed_count);
        return NULL;
    }
    fill_slack(sample);
    sample->allocated_by = os_thread_id();
    sample->freed_by = 0;
    sample->release.count = 0;
    stack_capture(&sample->allocation, call.frame, call.site);
    count_live(bytes, true);
    settle(sample, SAMPLE_LIVE, 0);
    return (void *)sample->object;
}

/* --- reports ----------------------------------------------------------- */

static void report_with(const struct sample *sample, enum die_kind kind,
                        uintptr_t place, const char *detail,
                        const struct stack *access, struct die_call call)
{
    bool freed = status_of(load_state(sample)) == SAMPLE_FREED;
    struct die_history history = {
        .place = place,
        .object = sample->object,
        .bytes = sample->bytes,
        .allocated_by = sample->allocated_by,
        .freed_by = freed ? sample->freed_by : 0,
        .allocation = &sample->allocation,
        .release = freed ? &sample->release : NULL,
        .access = access,
    };
    struct die_facts facts = { .call = call, .pointer = (void *)place,
                               .detail = detail, .history = &history };

    die(kind, &facts);
}

static void report(const struct sample *sample, enum die_kind kind,
                   uintptr_t place, const char *detail, struct die_call call)
{
    report_with(sample, kind, place, detail, NULL, call);
}

/* Why p can not be freed. */
static void report_pointer(const struct sample *sample, uintptr_t p,
                           struct die_call call)
{
    enum sample_status status = sample ? status_of(load_state(sample))
        : SAMPLE_NEVER;

    if (status == SAMPLE_NEVER) {
        struct die_facts facts = { .call = call, .pointer = (void *)p,
                                   .detail = "never allocated" };
        die(DIE_INVALID_POINTER, &facts);
    } else if (sample->object != p) {
        report(sample, DIE_INVALID_POINTER, p, "not the start of an object",
               call);
    } else {
        report(sample, DIE_DOUBLE_FREE, p, NULL, call);
    }
}

/* The first byte near the object that is not as it was left; 0: none. */
static uintptr_t changed_byte(const struct sample *sample)
{
    uintptr_t end = sample->object + sample->bytes;
    const uint8_t *byte;

    for (byte = (const uint8_t *)end; byte < (uint8_t *)pages_end(sample);
         byte++) {
        if (*byte != sample->pattern)
            return (uintptr_t)byte;
    }
    /* Objects are aligned to units. */
    for (const user_word *word = (const user_word *)sample->object;
         word > (user_word *)pages_begin(sample);) {
        if (*--word != 0) {
            for (byte = (const uint8_t *)(word + 1); *--byte == 0;)
                ;
            return (uintptr_t)byte;
        }
    }
    return 0;
}

/* Does what the table says of a place lie in that place? */
static bool is_sane(const struct sample *sample)
{
    uintptr_t base = place_base((size_t)(sample - table()));

    return sample->object - base < place_bytes()
        && sample->bytes <= place_bytes() - (sample->object - base);
}

/* The live object at p, whole; else a report and NULL. */
static struct sample *find(uintptr_t p, struct die_call call)
{
    struct sample *sample = sample_at(p);

    if (sample && status_of(load_state(sample)) == SAMPLE_LIVE
        && !is_sane(sample)) {
        struct die_facts facts = { .call = call, .pointer = sample,
                                   .detail = "table of samples" };
        die(DIE_METADATA, &facts);
        return NULL;
    }

    if (!sample || status_of(load_state(sample)) != SAMPLE_LIVE
        || sample->object != p) {
        report_pointer(sample, p, call);
        return NULL;
    }
    uintptr_t changed = changed_byte(sample);
    if (changed) {
        report(sample, DIE_OVERFLOW, changed, "found later", call);
        return NULL;
    }
    return sample;
}

/* --- freeing, asking --------------------------------------------------- */

void sample_free(void *pointer, struct die_call call)
{
    struct sample *sample = SAMPLING ? find((uintptr_t)pointer, call) : NULL;

    if (!sample)
        return;
    uint64_t state = load_state(sample);
    if (status_of(state) != SAMPLE_LIVE
        || !change(sample, state, SAMPLE_BUSY)) {
        report(sample, DIE_DOUBLE_FREE, (uintptr_t)pointer,
               "freed by two threads at once", call);
        return;
    }
    sample->freed_by = os_thread_id();
    stack_capture(&sample->release, call.frame, call.site);
    count_live(sample->bytes, false);
    close_pages(sample);
    settle(sample, sample->spoilt ? SAMPLE_BUSY : SAMPLE_FREED,
           __atomic_load_n(&sample_freed_count, __ATOMIC_RELAXED));
}

size_t sample_size(void *p, struct die_call call)
{
    const struct sample *sample = SAMPLING ? find((uintptr_t)p, call) : NULL;

    return sample ? sample->bytes : SIZE_MAX;
}

/* --- faults ------------------------------------------------------------ */

static bool has_history(const struct sample *sample)
{
    enum sample_status status = status_of(load_state(sample));

    return status == SAMPLE_LIVE || status == SAMPLE_FREED;
}

/* The object that the access was meant for: that of the place, or the one
   before it, whichever is nearer. */
static struct sample *nearest(uintptr_t address)
{
    struct sample *here = sample_at(address);
    struct sample *before = here && here > table() ? here - 1 : NULL;

    if (!before || !has_history(before))
        return here && has_history(here) ? here : NULL;
    if (!has_history(here))
        return before;
    if (address >= here->object
        || here->object - address
            < address - (before->object + before->bytes))
        return here;
    return before;
}

/* After a report, with on_error=report: the page is open from now on, and the
   place is not used again. */
static bool let_pass(uintptr_t address)
{
    struct sample *sample = sample_at(address);
    uintptr_t page = align_down(address, os_page_bytes());

    if (!sample)
        return false;
    sample->spoilt = true;
    if (status_of(load_state(sample)) != SAMPLE_LIVE)
        settle(sample, SAMPLE_BUSY, 0);
    return guard_unlock(page, os_page_bytes(), true);
}

static bool on_fault(const struct os_fault *fault)
{
    struct die_call call = { .site = fault->site };
    struct stack access;

    if (!sample_has((const void *)fault->address))
        return false;
    const struct sample *sample = nearest(fault->address);
    stack_capture_fault(&access, fault->frame, fault->site);
    if (!sample) {
        struct die_facts facts = { .call = call, .detail = "never allocated",
                                   .pointer = (void *)fault->address };
        die(DIE_OVERFLOW, &facts);
    } else {
        bool freed = status_of(load_state(sample)) == SAMPLE_FREED;
        report_with(sample, freed ? DIE_USE_AFTER_FREE : DIE_OVERFLOW,
                    fault->address, NULL, &access, call);
    }
    return let_pass(fault->address);
}

void sample_catch_faults(void)
{
    if (SAMPLING)
        os_catch_faults(on_fault);
}
