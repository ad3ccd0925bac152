/* SPDX-License-Identifier: MIT */
/*
 * machine.c - actors, operations and the look at the end. See machine.h.
 */
#define _GNU_SOURCE
#include "machine.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>

#include "arena.h"
#include "face.h"
#include "fault.h"
#include "process.h"
#include "thread.h"

enum {
    LIVE_BYTES_MAX = 12 << 20,
    LIVE_MAX = SHADOW_OBJECTS - 300,
    ERRNO_MARK = 4321,
    SIZE_TOP = 19, /* sizes of up to 1 MiB */
    RESIZE_TOP = 21, /* large enough to be moved page by page */
};

static const struct die_call call = {.function = "machine"};

/* The two stand-ins: what a thread has before its first call and after its
   end. */
static struct heap *before, *after;
static struct heap *own; /* of the thread that runs the machine */

/* ---- the stand-ins ---- */

static void look_after(void *value)
{
    (void)value;
    after = merlon_thread_heap;
}

static void *look_around(void *value)
{
    static pthread_key_t key;

    before = merlon_thread_heap;
    /* Keys are destroyed in order: merlon's was made before. */
    shadow_must(pthread_key_create(&key, look_after) == 0);
    pthread_setspecific(key, &key);
    merlon_free(merlon_malloc(1));
    return value;
}

static void find_stand_ins(void)
{
    pthread_t thread;

    shadow_must(process_start());
    shadow_must(pthread_create(&thread, NULL, look_around, NULL) == 0);
    pthread_join(thread, NULL);
    shadow_must(before->id == 0 && after->id == 0 && before != after);
}

/* ---- actors ---- */

void machine_enter(struct machine *m, unsigned actor)
{
    merlon_thread_heap = m->heap[actor] ? m->heap[actor] : before;
}

void machine_leave(struct machine *m, unsigned actor)
{
    m->heap[actor] = merlon_thread_heap == before ? NULL : merlon_thread_heap;
    merlon_thread_heap = own;
}

/* As the end of a thread does. */
static void end_actor(struct machine *m, unsigned actor)
{
    struct heap *heap = m->heap[actor];

    m->heap[actor] = NULL;
    if (heap) {
        heap->generation = 0;
        heap_close(heap);
    }
}

static void post(struct machine *m, unsigned actor)
{
    struct heap *heap = m->heap[actor];

    if (heap) {
        heap->busy++;
        heap_post_all(heap);
        heap->busy--;
    }
}

static void drain(struct machine *m, unsigned actor)
{
    struct heap *heap = m->heap[actor];

    if (heap) {
        heap->busy++;
        heap_drain(heap, call);
        heap->busy--;
    }
}

void machine_deliver_all(struct machine *m)
{
    for (unsigned i = 0; i < m->rules.actors; i++)
        post(m, i);
    for (unsigned i = 0; i < m->rules.actors; i++)
        drain(m, i);
}

unsigned long machine_reports(void)
{
    unsigned long sum = 0;

    for (unsigned kind = 0; kind < DIE_KIND_COUNT; kind++)
        sum += die_count(kind);
    return sum;
}

void machine_call(void)
{
    errno = ERRNO_MARK;
}

void machine_kept_errno(void)
{
    if (errno != ERRNO_MARK)
        shadow_fail("errno was set to %d", errno);
}

/* ---- objects ---- */

bool machine_born(struct machine *m, void *p, size_t bytes, size_t alignment,
                  bool zeroed)
{
    if (p == NULL) {
        if (errno != ENOMEM)
            shadow_fail("errno %d when there is no memory", errno);
        if (!m->crimes && !fault_hits())
            shadow_fail("no memory for %zu bytes", bytes);
        return false;
    }
    machine_kept_errno();
    if (zeroed && !shadow_is_zero(p, bytes))
        shadow_fail("%zu bytes at %p are not zero", bytes, p);
    size_t usable = merlon_malloc_usable_size(p);
    /* A crime may have hit the place already. */
    if (usable == 0 && m->crimes)
        return false;
    /* What realloc could not move stays where it is, as large as it was. */
    if (alignment == 16 && bytes <= 16 << 10 && usable > 2 * bytes + 64
        && !m->crimes && !fault_hits())
        shadow_fail("%zu bytes usable at %p for %zu", usable, p, bytes);
    shadow_add(&m->shadow, p, bytes, usable, alignment);
    return true;
}

struct object machine_take(struct machine *m, size_t at)
{
    struct object object = shadow_take(&m->shadow, at);
    struct stale *stale = &m->stale[m->stale_count++ % MACHINE_STALE];

    *stale = (struct stale){object.p, object.usable};
    return object;
}

static bool has_room(const struct machine *m)
{
    return m->shadow.count < LIVE_MAX && m->shadow.bytes < LIVE_BYTES_MAX;
}

static void allocate(struct machine *m, unsigned how, size_t bytes)
{
    size_t page = os_page_bytes(), alignment = 16;
    bool zeroed = false;
    void *p = NULL;

    machine_call();
    switch (how % 8) {
    case 0:
        p = merlon_calloc(1, bytes);
        zeroed = true;
        break;
    case 1:
        p = merlon_calloc(bytes / 8 + 1, 8);
        bytes = (bytes / 8 + 1) * 8;
        zeroed = true;
        break;
    case 2:
        alignment = (size_t)16 << how / 8 % 14;
        if (merlon_posix_memalign(&p, alignment, bytes) == ENOMEM)
            errno = ENOMEM;
        break;
    case 3:
        alignment = (size_t)1 << how / 8 % 18;
        p = merlon_aligned_alloc(alignment, bytes);
        break;
    case 4:
        alignment = page;
        if (how & 8) {
            p = merlon_valloc(bytes);
        } else {
            p = merlon_pvalloc(bytes);
            bytes = align_up(bytes + (bytes == 0), page);
        }
        break;
    case 5:
        p = merlon_realloc(NULL, bytes);
        break;
    default:
        p = merlon_malloc(bytes);
    }
    machine_born(m, p, bytes, alignment < 16 ? 16 : alignment, zeroed);
}

static void release(struct machine *m, unsigned how, size_t at)
{
    unsigned long reports = machine_reports();
    unsigned long mismatches = face_mismatches();
    struct object object = machine_take(m, at);

    if (how % 5 == 1 && object.alignment > 16)
        how++; /* only this one may be told of such an object */
    machine_call();
    switch (how % 5) {
    case 0:
        merlon_cfree(object.p);
        break;
    case 1:
        merlon_free_sized(object.p, object.bytes);
        break;
    case 2:
        merlon_free_aligned_sized(object.p, object.alignment, object.bytes);
        break;
    case 3:
        shadow_must(merlon_realloc(object.p, 0) == NULL);
        break;
    default:
        merlon_free(object.p);
    }
    machine_kept_errno();
    if (face_mismatches() != mismatches && !m->crimes)
        shadow_fail("%zu bytes at a multiple of %zu are no mismatch for "
                    "%zu at %p (%u)", object.bytes, object.alignment,
                    object.usable, (void *)object.p, how % 5);
    /* A reported object is leaked: the program has no right to it. */
    if (machine_reports() != reports)
        m->stale_count--;
}

static void resize(struct machine *m, unsigned how, size_t at, size_t bytes)
{
    unsigned long reports = machine_reports();
    struct object object = machine_take(m, at);

    bytes += bytes == 0;
    machine_call();
    void *p = how & 1 ? merlon_realloc(object.p, bytes)
                      : merlon_reallocarray(object.p, bytes, 1);
    if (p == NULL && machine_reports() != reports) {
        m->stale_count--;
        return;
    }
    if (p == NULL || p == object.p)
        m->stale_count--; /* it is where it was */
    if (p == NULL) {
        bool born = machine_born(m, NULL, bytes, 16, false);
        shadow_must(!born && bytes > object.usable);
        bytes = object.bytes;
        errno = ERRNO_MARK;
        p = object.p;
    }
    shadow_verify(&object, p, bytes < object.bytes ? bytes : object.bytes);
    if (machine_born(m, p, bytes, p == object.p ? object.alignment : 16,
                     false)
        && object.spoiled)
        shadow_spoil(&m->shadow, p, 1);
}

static size_t pick(struct machine *m)
{
    return feed_below(m->feed, m->shadow.count);
}

/* ---- operations ---- */

static size_t pick_size(struct machine *m)
{
    return feed_size(m->feed, SIZE_TOP);
}

static void many(struct machine *m, unsigned actor)
{
    struct feed *feed = m->feed;
    unsigned count = 4u * (feed_u8(feed) + 1u), other = feed_u8(feed);
    unsigned step = other / m->rules.actors % 8 + 1;
    size_t bytes = feed_size(feed, 15);

    other %= m->rules.actors;
    machine_enter(m, actor);
    for (unsigned i = 0; i < count && has_room(m); i++)
        allocate(m, 7, bytes);
    machine_leave(m, actor);
    machine_enter(m, other);
    for (size_t i = 0, at = 0; i < count && m->shadow.count > 0; i++) {
        at = (at + step) % m->shadow.count;
        if (m->shadow.object[at].bytes == bytes)
            release(m, 4, at);
    }
    machine_leave(m, other);
}

static void ask(struct machine *m, unsigned how)
{
    char text[2048];
    FILE *stream;

    switch (how % 5) {
    case 0:
        shadow_must(merlon_mallinfo2().uordblks <= merlon_mallinfo2().arena);
        break;
    case 1:
        shadow_must(merlon_mallinfo().fordblks >= 0);
        break;
    case 2:
        fault_mute(true);
        merlon_malloc_stats();
        fault_mute(false);
        break;
    case 3:
        stream = fmemopen(text, sizeof text, "w");
        shadow_must(stream && merlon_malloc_info(0, stream) == 0);
        shadow_must(merlon_malloc_info(1, stream) == -1);
        fclose(stream);
        break;
    default:
        shadow_must(merlon_mallopt(-1, 0) == 1 && merlon_mallopt(9, 0) == 0);
        shadow_verify_all(&m->shadow);
    }
}

/* The operations that concern a heap as a whole. */
static void manage(struct machine *m, unsigned actor, unsigned how)
{
    struct heap *heap = m->heap[actor];
    unsigned more = feed_u8(m->feed);

    switch (how % 8) {
    case 0:
        post(m, actor);
        break;
    case 1:
        drain(m, actor);
        break;
    case 2:
        machine_deliver_all(m);
        break;
    case 3:
        end_actor(m, actor);
        break;
    case 4:
        machine_enter(m, actor);
        merlon_malloc_trim(0);
        machine_leave(m, actor);
        break;
    case 5:
        fault_clock_pass(more * 10);
        if (heap) {
            heap->busy++;
            heap_tick(heap);
            heap->busy--;
        }
        break;
    case 6:
        /* After the end of its thread: a destructor of the program's. */
        merlon_thread_heap = after;
        if (more & 1 && m->shadow.count > 0)
            release(m, 4, more % m->shadow.count);
        else if (has_room(m))
            allocate(m, 7, more * 8);
        shadow_must(merlon_thread_heap == after);
        merlon_thread_heap = own;
        break;
    default:
        ask(m, more);
    }
}

static void arm(struct machine *m)
{
    struct feed *feed = m->feed;
    unsigned which = feed_u8(feed), nth = feed_u8(feed);

    if (which & 0x80)
        fault_disarm();
    else
        fault_arm(which % FAULT_CALL_COUNT, nth % 32 + 1,
                  nth & 0x80 ? UINT_MAX : nth / 32 + 1,
                  fault_errors[which / 8 % FAULT_ERRORS]);
}

static void operate(struct machine *m)
{
    struct feed *feed = m->feed;
    unsigned operation = feed_u8(feed), how = operation / 16;
    unsigned actor = (unsigned)feed_below(feed, m->rules.actors);
    struct heap *heap = m->heap[actor];
    /* A signal has interrupted the actor in the allocator. */
    bool busy = (operation & 0xf) == 11 && heap != NULL;
    struct machine_rules rules = m->rules;

    if (busy) {
        heap->busy++;
        operation = how;
    }
    machine_enter(m, actor);
    switch (operation & 0xf) {
    case 0: case 1: case 2:
        if (has_room(m))
            allocate(m, 7, pick_size(m));
        break;
    case 3: case 4:
        if (has_room(m)) {
            unsigned kind = feed_u8(feed);
            allocate(m, kind, pick_size(m));
        }
        break;
    case 5: case 6: case 7:
        if (m->shadow.count > 0)
            release(m, how, pick(m));
        break;
    case 8:
        if (m->shadow.count > 0 && has_room(m)) {
            size_t at = pick(m);
            resize(m, how, at, how & 2 ? feed_size(feed, RESIZE_TOP)
                                       : pick_size(m));
        }
        break;
    default:
        break;
    }
    machine_leave(m, actor);
    if (busy) {
        heap->busy--;
        return;
    }
    switch (operation & 0xf) {
    case 9: case 10:
        many(m, actor);
        break;
    case 12: case 13:
        manage(m, actor, how);
        break;
    case 14:
        if (rules.crimes)
            machine_crime(m);
        else if (rules.faults)
            arm(m);
        else if (rules.processes)
            machine_fork(m);
        break;
    case 15:
        if (rules.crimes)
            machine_crime(m);
        else if (rules.processes)
            machine_thread(m);
        break;
    default:
        break;
    }
}

void machine_operate(struct machine *m, size_t limit)
{
    while (limit-- > 0 && !feed_is_empty(m->feed)) {
        unsigned long reports = machine_reports();
        operate(m);
        if (!m->crimes && machine_reports() != reports)
            shadow_fail("a false alarm: %s", merlon_last_report);
    }
}

/* ---- the beginning and the end ---- */

struct look {
    size_t live_count, live_bytes, slabs;
};

/* Figures that are the same before and after a run. */
static struct look look(void)
{
    struct look look = {0};
    struct face_stats stats;

    face_gather(&stats, NULL);
    look.live_count = stats.live_count;
    look.live_bytes = stats.live_bytes;
    for (unsigned a = 0; a < arena_count(); a++) {
        const struct arena *arena = arena_at(a);
        for (size_t i = 0; i < arena->slabs.window; i++)
            look.slabs += arena->records[i].kind == RECORD_SLAB
                && arena->records[i].slab == &arena->records[i];
    }
    return look;
}

/* A slab that the kernel did not let go was left to all: whoever needs one of
   its class has it, and can give it back. */
static size_t use_pools(struct machine *m, size_t wanted)
{
    size_t slabs = look().slabs, before_that = SIZE_MAX;

    while (m->rules.faults && slabs > wanted && slabs != before_that) {
        before_that = slabs;
        for (unsigned class = 0; class < CLASS_COUNT; class++) {
            machine_enter(m, 0);
            merlon_free(merlon_malloc(class_slot_bytes(class) - CANARY_BYTES));
            machine_leave(m, 0);
        }
        end_actor(m, 0);
        slabs = look().slabs;
    }
    return slabs;
}

void machine_finish(struct machine *m)
{
    shadow_verify_all(&m->shadow);
    for (unsigned i = 0; m->shadow.count > 0; i++) {
        unsigned actor = i % m->rules.actors;
        machine_enter(m, actor);
        release(m, 4, m->shadow.count - 1);
        machine_leave(m, actor);
    }
    machine_deliver_all(m);
    machine_deliver_all(m);
    for (unsigned i = 0; i < MACHINE_ACTORS; i++)
        end_actor(m, i);
}

void machine_run(const struct machine_rules *rules, struct feed *feed)
{
    static struct machine machine;
    struct machine *m = &machine;

    if (before == NULL)
        find_stand_ins();
    die_configure(true, -1);
    fault_disarm();
    fault_arm(FAULT_CALL_COUNT, 0, 0, 0);
    own = merlon_thread_heap;
    shadow_clear(&m->shadow);
    m->rules = *rules;
    m->feed = feed;
    m->stale_count = m->forks = 0;
    /* What was written in one run of a process may be noticed in another. */
    m->crimes = rules->crimes;
    for (unsigned i = 0; i < MACHINE_ACTORS; i++)
        m->heap[i] = NULL;
    struct look first = look();
    unsigned long reports = machine_reports();
    machine_operate(m, SIZE_MAX);
    fault_disarm();
    machine_finish(m);
    if (m->crimes)
        return;
    if (machine_reports() != reports)
        shadow_fail("a false alarm: %s", merlon_last_report);
    struct look last = look();
    if (last.live_count != first.live_count
        || last.live_bytes != first.live_bytes)
        shadow_fail("%zd objects, %zd bytes are lost",
                    last.live_count - first.live_count,
                    last.live_bytes - first.live_bytes);
    last.slabs = use_pools(m, first.slabs);
    if (last.slabs != first.slabs)
        shadow_fail("%zd slabs are lost", last.slabs - first.slabs);
}
