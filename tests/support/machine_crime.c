/* SPDX-License-Identifier: MIT */
/*
 * machine_crime.c - what a broken program, or an attacker, does to its memory.
 *
 * Writes anywhere in user memory, freed or live; frees, reallocs and questions
 * of pointers that are no object's. A free that has no right is reported at the
 * call; a write may be noticed late or never. Whatever was done, the shadow
 * goes on judging: no overlap, nothing lost but what was written over, and no
 * wild access inside merlon, which would end the process by a signal.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"
#include "face.h"
#include "machine.h"
#include "thread.h"

enum { POKE_BYTES = 256 };

/*
 * Write through the kernel: what is closed, guarded or gone stays as it is, and
 * the machine itself cannot fault.
 */
static void poke(struct machine *m, unsigned char *to, const void *from,
                 size_t bytes)
{
    static int file = -1;

    if (file < 0) {
        file = memfd_create("merlon-test-poke", MFD_CLOEXEC);
        shadow_must(file >= 0);
    }
    shadow_must(pwrite(file, from, bytes, 0) == (ssize_t)bytes);
    shadow_spoil(&m->shadow, to, bytes);
    ssize_t written = pread(file, to, bytes, 0);
    shadow_must(written > 0 || errno == EFAULT);
}

/* What an attacker knows to write. */
static size_t make_bytes(struct machine *m, unsigned char *bytes,
                         const unsigned char *from)
{
    struct feed *feed = m->feed;
    unsigned how = feed_u8(feed);
    size_t count = how / 8 * 2 + 1;
    uint64_t word;

    memset(bytes, 0, POKE_BYTES);
    switch (how % 8) {
    case 0: /* zeros: a string's end */
        break;
    case 1:
        memset(bytes, feed_u8(feed), count);
        break;
    case 2:
        word = feed_u64(feed);
        for (size_t i = 0; i < count; i++)
            bytes[i] = (unsigned char)(word >> (i % 8 * 8));
        break;
    case 3: /* an address */
        word = (uint64_t)(uintptr_t)from;
        memcpy(bytes, &word, count = sizeof word);
        break;
    case 4: /* an address in our own data */
        word = (uint64_t)(uintptr_t)arena_at(0)->records;
        memcpy(bytes, &word, count = sizeof word);
        break;
    default: /* what stands elsewhere: a link, a canary, an old value */
        if (shadow_find(&m->shadow, from) != SIZE_MAX)
            memcpy(bytes, from, 1);
        else
            memcpy(bytes, &from, sizeof from);
    }
    return count;
}

static struct stale pick_stale(struct machine *m)
{
    unsigned known = m->stale_count < MACHINE_STALE ? m->stale_count
                                                    : MACHINE_STALE;

    return m->stale[feed_below(m->feed, known)];
}

/* Freed memory, from its start or its end on or anywhere in it. */
static void write_after_free(struct machine *m)
{
    unsigned char bytes[POKE_BYTES];
    struct stale stale = pick_stale(m);
    size_t place = feed_u16(m->feed);

    size_t count = make_bytes(m, bytes, pick_stale(m).p);
    if (place % 4 == 0)
        place = 0;
    place %= stale.usable;
    if (count > stale.usable - place)
        count = stale.usable - place;
    poke(m, stale.p + place, bytes, count);
}

/* One bit of freed memory. */
static void flip(struct machine *m)
{
    struct stale stale = pick_stale(m);
    size_t place = feed_u16(m->feed) % stale.usable;
    unsigned char byte;

    /* Spans may be inaccessible, and are not worth it. */
    struct record *record = arena_record((uintptr_t)stale.p);
    if (!record || record->kind != RECORD_SLAB)
        return;
    byte = stale.p[place] ^ (unsigned char)(1 << feed_u8(m->feed) % 8);
    poke(m, stale.p + place, &byte, 1);
}

static void copy_around(struct machine *m)
{
    struct stale from = pick_stale(m);
    struct stale to = pick_stale(m);
    struct record *record = arena_record((uintptr_t)from.p);
    size_t count = from.usable < to.usable ? from.usable : to.usable;

    if (!record || record->kind != RECORD_SLAB)
        return;
    if (count > POKE_BYTES)
        count = POKE_BYTES;
    poke(m, to.p, from.p, count);
}

static void overflow(struct machine *m, bool down)
{
    unsigned char bytes[POKE_BYTES];

    if (m->shadow.count == 0)
        return;
    size_t at = feed_below(m->feed, m->shadow.count);
    struct object object = m->shadow.object[at];
    size_t count = make_bytes(m, bytes, object.p);
    if (down)
        poke(m, object.p - count, bytes, count);
    else
        poke(m, object.p + object.usable, bytes, count);
}

/* Pointers of every sort; live ones come by chance only. */
static void *pick_wild(struct machine *m)
{
    static char global[64];
    struct feed *feed = m->feed;
    unsigned how = feed_u8(feed);
    uint64_t word = feed_u64(feed);
    const struct arena *arena = arena_at(how / 16 % arena_count());
    size_t window = how & 0x80 ? arena->slabs.window
                    : extent_size(&arena->slabs.extent);

    switch (how % 12) {
    case 0:
        return (void *)(uintptr_t)word;
    case 1:
        return m->feed; /* on the stack */
    case 2:
        return global + word % sizeof global;
    case 3:
        return (void *)(uintptr_t)(word % 4096 + 1);
    case 4:
        return (char *)arena->records + word % (1 << 20);
    case 5:
        return (char *)arena->heaps + word % (1 << 20);
    case 6:
        return (void *)(uintptr_t)(arena->base + word % (window << GRANULE_SHIFT));
    case 7:
        return (void *)(uintptr_t)(arena->base + arena->slab_bytes
                        + word % (arena->spans.window << GRANULE_SHIFT | 1));
    case 8:
        return (void *)(uintptr_t)(arena->base + arena->slab_bytes + arena->span_bytes
                        - word % 4096);
    case 9:
        return (void *)(uintptr_t)(arena->base - 1 - word % 4096);
    default: /* inside an object, or freed */
        if (how & 0x40 && m->shadow.count > 0) {
            struct object *object =
                &m->shadow.object[word % m->shadow.count];
            return object->p + (word >> 16) % (object->usable + 8) + 1;
        }
        struct stale stale = pick_stale(m);
        return stale.p + (how & 0x20 ? (word >> 16) % (stale.usable + 1) : 0);
    }
}

static void use_wild(struct machine *m)
{
    struct feed *feed = m->feed;
    unsigned actor = (unsigned)feed_below(feed, m->rules.actors);
    void *p = pick_wild(m);
    unsigned how = feed_u8(feed);
    unsigned long reports = machine_reports();

    if (p == NULL || shadow_find(&m->shadow, p) != SIZE_MAX)
        return; /* it has every right */
    machine_enter(m, actor);
    machine_call();
    switch (how % 4) {
    case 0:
        shadow_must(merlon_malloc_usable_size(p) == 0);
        break;
    case 1:
        shadow_must(merlon_realloc(p, 100) == NULL);
        machine_call();
        break;
    case 2:
        merlon_free_sized(p, 16);
        break;
    default:
        merlon_free(p);
    }
    machine_kept_errno();
    machine_leave(m, actor);
    if (machine_reports() == reports)
        shadow_fail("%p was taken for an object", p);
}

/* The program is wrong about a size: noted, and freed all the same. */
static void lie_about_size(struct machine *m)
{
    if (m->shadow.count == 0)
        return;
    size_t at = feed_below(m->feed, m->shadow.count);
    if (m->shadow.object[at].usable == 0)
        return;
    unsigned long mismatches = face_mismatches(), reports = machine_reports();
    struct object object = machine_take(m, at);
    machine_call();
    merlon_free_sized(object.p, object.usable * 3);
    machine_kept_errno();
    /* Or it was found to be overwritten, and is leaked. */
    if (face_mismatches() == mismatches) {
        shadow_must(machine_reports() != reports);
        m->stale_count--;
    }
}

void machine_crime(struct machine *m)
{
    unsigned how = feed_u8(m->feed);

    m->crimes++;
    if (how % 8 < 5 && m->stale_count == 0)
        return;
    switch (how % 8) {
    case 0: case 1:
        write_after_free(m);
        break;
    case 2:
        flip(m);
        break;
    case 3:
        copy_around(m);
        break;
    case 4: case 5:
        use_wild(m);
        break;
    case 6:
        overflow(m, false);
        break;
    default:
        if (how & 8)
            overflow(m, true);
        else
            lie_about_size(m);
    }
}
