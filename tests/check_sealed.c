/* SPDX-License-Identifier: MIT */
/*
 * check_sealed.c - what must not be written cannot be: guards around and
 * between our own data, read-only pages, sealed ones.
 *
 * The program starts itself anew for each way to start merlon.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "heap.h"
#include "layout.h"
#include "options.h"
#include "os.h"
#include "process.h"
#include "support/death.h"
#include "support/suite.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static void setup(void)
{
    ck_assert(process_start());
    m.free(m.malloc(100));
}

static void write_there(const void *at)
{
    *(volatile char *)(uintptr_t)at = 1;
}

static void read_there(const void *at)
{
    (void)*(volatile const char *)at;
}

static void must_fault(death_fn fn, const void *at, const char *what)
{
    struct death death;

    death_run(&death, fn, at, DEATH_SECONDS);
    ck_assert_msg(death.signal == SIGSEGV, "%s: %s", what,
                  death_describe(&death));
}

static void must_go(death_fn fn, const void *at, const char *what)
{
    struct death death;

    death_run(&death, fn, at, DEATH_SECONDS);
    ck_assert_msg(death.signal == 0 && death.status == 0, "%s: %s", what,
                  death_describe(&death));
}

/* ---- the parts of the metadata ---- */

struct part {
    const char *name;
    uint8_t *at;
    size_t writable, bytes;
};

enum { PARTS = 6, RECORDS_PART = 2 };

static size_t round_page(size_t bytes)
{
    return align_up(bytes, os_page_bytes());
}

static void find_parts(struct part part[PARTS])
{
    struct arena *arena = arena_at(0);
    struct layout layout;
    size_t word = sizeof(struct granule_word);
    size_t bits = BIT_WORDS_PER_GRANULE * sizeof(uint64_t);
    size_t window = arena->slabs.window, spans = arena->spans.window;

    layout_make(&layout, arena->slab_bytes, arena->span_bytes, true);
    const size_t *bytes = layout.bytes;
    part[0] = (struct part){"slab words", (uint8_t *)arena->slabs.words,
        round_page(window / 64 * word), bytes[PART_SLAB_WORDS]};
    part[1] = (struct part){"span words", (uint8_t *)arena->spans.words,
        round_page(spans / 64 * word), bytes[PART_SPAN_WORDS]};
    part[RECORDS_PART] = (struct part){"records", (uint8_t *)arena->records,
        round_page(window * sizeof(struct record)), bytes[PART_RECORDS]};
    part[3] = (struct part){"state", (uint8_t *)arena->state,
        round_page(window * bits), bytes[PART_STATE]};
    part[4] = (struct part){"pending", (uint8_t *)arena->pending,
        round_page(window * bits), bytes[PART_PENDING]};
    part[5] = (struct part){"heaps", arena->heaps, 0, bytes[PART_HEAPS]};
}

START_TEST(metadata_is_guarded)
{
    struct part part[PARTS];
    char what[128];
    size_t page = os_page_bytes();

    if (!GUARD_PAGES)
        return;
    ck_assert_int_ge(LAYOUT_GUARD_PAGES, 1);
    find_parts(part);
    const struct part *p = &part[_i];
    if (p->bytes == 0)
        return;
    if (p->writable != 0) {
        snprintf(what, sizeof what, "%s: the window's last byte", p->name);
        must_go(read_there, p->at + p->writable - 1, what);
        snprintf(what, sizeof what, "%s: behind the window", p->name);
        must_fault(write_there, p->at + p->writable, what);
        /* Nothing stands there; of the records that can be read. */
        if (p->writable < p->bytes && _i == RECORDS_PART)
            must_go(read_there, p->at + p->writable, what);
        else
            must_fault(read_there, p->at + p->writable, what);
    }
    snprintf(what, sizeof what, "%s: its last byte", p->name);
    if (p->writable < p->bytes)
        must_fault(write_there, p->at + p->bytes - 1, what);
    for (int i = 0; i < LAYOUT_GUARD_PAGES; i++) {
        snprintf(what, sizeof what, "%s: guard %d", p->name, i);
        must_fault(read_there, p->at + p->bytes + (size_t)i * page, what);
        must_fault(write_there, p->at - 1 - (size_t)i * page, what);
    }
    /* The next part begins right behind the guards. */
    for (int i = 0; i < PARTS; i++)
        ck_assert(part[i].bytes == 0 || i == _i || part[i].at
                  >= p->at + p->bytes + LAYOUT_GUARD_PAGES * page
                  || part[i].at + part[i].bytes + LAYOUT_GUARD_PAGES * page
                  <= p->at);
}
END_TEST

START_TEST(the_arena_is_surrounded)
{
    struct arena *arena = arena_at(0);

    must_fault(read_there, (void *)(arena->base - 1), "before the arena");
    must_fault(read_there, (void *)(arena->base
                                    + (arena->slabs.window << GRANULE_SHIFT)),
               "behind the window of slabs");
    must_fault(read_there, (void *)(arena->base + arena->slab_bytes
                                    + arena->span_bytes), "behind the arena");
}
END_TEST

/* ---- what never changes ---- */

static const void *constant(int i)
{
    switch (i) {
    case 0: return &merlon_sealed_page;
    case 1: return (char *)&merlon_sealed_page + sizeof merlon_sealed_page - 1;
    case 2: return options_get();
    default: return (char *)(uintptr_t)(options_get() + 1) - 1;
    }
}

START_TEST(constants_cannot_be_written)
{
    char what[32];

    if (!SEALED_STATE)
        return;
    snprintf(what, sizeof what, "constant %d", _i);
    must_go(read_there, constant(_i), what);
    must_fault(write_there, constant(_i), what);
}
END_TEST

/* The other program: can the protection be taken back? 1 yes, 0 no. */
static int unprotect(void)
{
    int result = 0;

    m.free(m.malloc(1));
    for (int i = 0; i < 4; i += 2) {
        void *page = (void *)align_down((uintptr_t)constant(i),
                                        os_page_bytes());
        if (mprotect(page, os_page_bytes(), PROT_READ | PROT_WRITE) == 0)
            result = 1;
        else if (errno != EPERM)
            result = 2;
    }
    return result;
}

enum filter { FILTER_NONE, FILTER_ALL, FILTER_MSEAL_KILLS };

static bool filter(enum filter which)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                 which == FILTER_MSEAL_KILLS ? SYS_mseal : 99999, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return which == FILTER_NONE
        || (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

struct start {
    const char *options;
    enum filter filter;
    bool sealed;
};

static const struct start starts[] = {
    {"seal=on", FILTER_NONE, true},
    {"seal=off", FILTER_NONE, false},
    {"", FILTER_NONE, false},
    {"seal=on", FILTER_ALL, false},
    {"seal=on", FILTER_MSEAL_KILLS, false},
};

static void start_anew(const void *arg)
{
    const struct start *start = arg;

    const char *given = getenv("MERLON_OPTIONS");
    char options[256];

    snprintf(options, sizeof options, "%s,%s", given ? given : "",
             start->options);
    setenv("MERLON_OPTIONS", options, 1);
    if (!filter(start->filter))
        _exit(77);
    execl("/proc/self/exe", "check_sealed", "unprotect", (char *)NULL);
    _exit(77);
}

static bool can_seal(void)
{
    size_t page = os_page_bytes();
    void *p = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return sizeof(void *) == 8 && p != MAP_FAILED
        && syscall(SYS_mseal, p, page, 0) == 0
        && prctl(PR_GET_SECCOMP) == 0;
}

START_TEST(sealed_where_that_is_harmless)
{
    const struct start *start = &starts[_i];
    struct death death;

    if (!SEALED_STATE)
        return;
    death_run(&death, start_anew, start, DEATH_SECONDS);
    if (death.status == 77 || !can_seal()) {
        printf("# SKIP: no mseal, no filters, or no second start here\n");
        return;
    }
    ck_assert_msg(death.signal == 0 && death.status == !start->sealed,
                  "%s, filter %d: %s", start->options, start->filter,
                  death_describe(&death));
}
END_TEST

/* ---- many guards, few mappings ---- */

static unsigned mapping_count(void)
{
    static char line[4096];
    unsigned count = 0;
    FILE *file = fopen("/proc/self/maps", "r");

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file))
        count++;
    fclose(file);
    return count;
}

static bool kernel_has_guards(void)
{
    size_t page = os_page_bytes();
    char *p = mmap(NULL, page, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p != MAP_FAILED && madvise(p, page, 102) == 0 && !os_can_read(p);
}

/* Empty slabs of all classes: their guards are what counts, and nothing else
   of them is touched. */
START_TEST(many_slabs_few_mappings)
{
    /* Where address space is short, as many as there is room for. */
    size_t granules = MAP->slab_granules;
    unsigned slabs = (unsigned)size_min(100000, granules / 40);
    static struct stream stream;
    size_t guarded = 0;

    if (!GUARD_PAGES)
        return;
    for (unsigned i = 0; i < slabs; i++) {
        unsigned class = i % 10 ? i % 24 : i / 10 % CLASS_COUNT;
        struct record *slab = arena_take_slab(class, stream_draw(&stream));
        ck_assert_ptr_nonnull(slab);
        slab_open(slab, class, &stream);
        uintptr_t end = slab->base
            + ((uintptr_t)class_slab_granules(class) << GRANULE_SHIFT);
        guarded += !os_can_read((void *)(end - os_page_bytes()));
        if (i == 0)
            must_fault(write_there, (void *)(end - 1), "a slab's guard");
    }
    unsigned mappings = mapping_count();
    printf("# %u slabs, %zu guarded, %u mappings, %zu MiB resident\n", slabs,
           guarded, mappings, suite_rss_bytes() / MIB);
    if (!kernel_has_guards()) {
        printf("# SKIP: guards cost mappings here\n");
        return;
    }
    ck_assert_uint_eq(guarded, slabs);
    ck_assert_uint_lt(mappings, 200);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("sealed");
    TCase *sealed = tcase_create("sealed");
    tcase_add_checked_fixture(sealed, setup, NULL);
    tcase_set_timeout(sealed, 120);
    tcase_add_loop_test(sealed, metadata_is_guarded, 0, PARTS);
    tcase_add_test(sealed, the_arena_is_surrounded);
    tcase_add_loop_test(sealed, constants_cannot_be_written, 0, 4);
    tcase_add_loop_test(sealed, sealed_where_that_is_harmless, 0,
                        sizeof starts / sizeof *starts);
    tcase_add_test(sealed, many_slabs_few_mappings);
    suite_add_tcase(suite, sealed);
    return suite;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "unprotect") == 0)
        return unprotect();
    return suite_main(argc, argv, make);
}
