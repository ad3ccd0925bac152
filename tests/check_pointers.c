/* SPDX-License-Identifier: MIT */
/*
 * check_pointers.c - pointers that never came from merlon, in every call.
 *
 * Whatever is handed to free, realloc, malloc_usable_size, free_sized,
 * free_aligned_sized or a sized delete: with exact-state it gives a report, and
 * merlon itself never faults.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"
#include "die.h"
#include "face.h"
#include "merlon/merlon.h"
#include "policy.h"
#include "slab.h"
#include "span.h"
#include "support/crime.h"

static const char freed_twice[] = "double free|invalid pointer";
static const char invalid[] = "invalid pointer";

static char global_array[256] __attribute__((aligned(16)));

static void *interior(char *p, size_t bytes) { return p + bytes / 2; }
static void *second_unit(char *p, size_t bytes) { (void)bytes; return p + 16; }
static void *unit_before(char *p, size_t bytes) { (void)bytes; return p - 16; }
static void *last_unit(char *p, size_t bytes) { return p + bytes - 16; }
static void *plus_one(char *p, size_t bytes) { (void)bytes; return p + 1; }
static void *plus_eight(char *p, size_t bytes) { (void)bytes; return p + 8; }
static void *last_byte(char *p, size_t bytes) { return p + bytes - 1; }

static void *granule_tail(char *p, size_t bytes)
{
    (void)bytes;
    return (char *)((uintptr_t)p | (GRANULE_BYTES - 1)) - 15;
}

static void *granule_end(char *p, size_t bytes)
{
    return (char *)(((uintptr_t)p + bytes) | (GRANULE_BYTES - 1)) + 1;
}

static void *stack_address(char *p, size_t bytes)
{
    static void *kept;
    char on_stack[64] __attribute__((aligned(16)));
    (void)p;
    (void)bytes;
    kept = suite_hide(on_stack);
    return kept;
}

static void *global_address(char *p, size_t bytes)
{
    (void)p;
    (void)bytes;
    return global_array + 32;
}

static void free_address(const void *arg);

static void *code_address(char *p, size_t bytes)
{
    (void)p;
    (void)bytes;
    return (void *)((uintptr_t)(void *)free_address & ~(uintptr_t)15);
}

static void *mapped_address(char *p, size_t bytes)
{
    (void)p;
    (void)bytes;
    return mmap(NULL, 65536, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* In the core's tests malloc is the C library's: another allocator. */
static void *others_object(char *p, size_t bytes)
{
    (void)p;
#ifdef MERLON_TEST_LIBC
    (void)bytes;
    return global_array + 16;
#else
    return malloc(bytes);
#endif
}

#define FIXED(name, value)                                                   \
    static void *name(char *p, size_t bytes)                                 \
    {                                                                        \
        (void)p;                                                             \
        (void)bytes;                                                         \
        return (void *)(uintptr_t)(value);                                   \
    }
FIXED(null_page, 0x10)
FIXED(odd_null_page, 0x1)
/* With 32 bits every address is canonical: the ends of it must do. */
FIXED(non_canonical, sizeof(void *) == 8 ? UINT64_C(0xdead000000000000) : 0xdead0000)
FIXED(just_non_canonical, sizeof(void *) == 8 ? UINT64_C(0x0000800000000000) : 0xfffff000)
FIXED(kernel_address, UINT64_C(0xffffffff81000000))
FIXED(last_address, UINTPTR_MAX - 15)
FIXED(minus_one, UINTPTR_MAX)

static void *far_up(char *p, size_t bytes)
{
    (void)bytes;
    return p + ((size_t)1 << (sizeof p == 8 ? 38 : 26));
}

static void *far_down(char *p, size_t bytes)
{
    (void)bytes;
    return p - ((size_t)1 << (sizeof p == 8 ? 38 : 26));
}

static void *never_allocated(char *p, size_t bytes)
{
    (void)bytes;
    return p + 256 * GRANULE_BYTES;
}

static const struct pointer {
    const char *name;
    void *(*make)(char *p, size_t bytes);
} pointers[] = {
    {"interior", interior},
    {"second unit", second_unit},
    {"unit before", unit_before},
    {"last unit", last_unit},
    {"plus 1", plus_one},
    {"plus 8", plus_eight},
    {"last byte", last_byte},
    {"tail of the granule", granule_tail},
    {"end of the granule", granule_end},
    {"stack", stack_address},
    {"global", global_address},
    {"code", code_address},
    {"mapped", mapped_address},
    {"another allocator's", others_object},
    {"NULL page", null_page},
    {"1", odd_null_page},
    {"non-canonical", non_canonical},
    {"first non-canonical", just_non_canonical},
    {"kernel", kernel_address},
    {"last unit of all", last_address},
    {"-1", minus_one},
    {"256 GiB above", far_up},
    {"256 GiB below", far_down},
    {"never allocated", never_allocated},
};
enum { POINTER_COUNT = sizeof pointers / sizeof *pointers };

enum call { CALL_FREE, CALL_REALLOC, CALL_SHRINK, CALL_USABLE_SIZE,
            CALL_FREE_SIZED, CALL_FREE_ALIGNED_SIZED, CALL_DELETE_SIZED,
            CALL_HERE_COUNT, CALL_FREE_THERE = CALL_HERE_COUNT, CALL_COUNT };
static const char *const call_names[] = {
    "free", "realloc", "realloc to 0", "malloc_usable_size", "free_sized",
    "free_aligned_sized", "delete with size", "free by another thread",
};

static void call_with(enum call call, void *p, size_t bytes)
{
    switch (call) {
    case CALL_FREE: m.free(p); break;
    case CALL_REALLOC: (void)m.realloc(p, 100); break;
    case CALL_SHRINK: (void)m.realloc(p, 0); break;
    case CALL_USABLE_SIZE: (void)m.usable_size(p); break;
    case CALL_FREE_SIZED: m.free_sized(p, bytes); break;
    case CALL_FREE_ALIGNED_SIZED:
        merlon_free_aligned_sized(p, 16, bytes);
        break;
    /* What the C++ operators come to: cxx_memory.h. */
    case CALL_DELETE_SIZED: face_free_sized(p, bytes, 0, true); break;
    default:
        crime_free_elsewhere(p);
        crime_settle(bytes);
    }
}

struct misuse {
    const struct pointer *pointer;
    enum call call;
    size_t bytes;
};

static void commit_misuse(const void *arg)
{
    const struct misuse *misuse = arg;
    char *before = crime_object(misuse->bytes);
    char *p = crime_object(misuse->bytes);
    char *wrong = misuse->pointer->make(p, misuse->bytes);
    /* Neighbours may be where the pointer happens to point. */
    if (wrong == before || wrong == p)
        _exit(CRIME_HARMLESS);
    call_with(misuse->call, wrong, misuse->bytes);
}

START_TEST(invalid_pointer)
{
    const struct pointer *pointer = &pointers[_i];
    char name[128];
    for (int i = 0; i < CALL_COUNT * CRIME_SIZES; i++) {
        struct misuse misuse = {pointer, i / CRIME_SIZES,
                                crime_bytes[i % CRIME_SIZES]};
        snprintf(name, sizeof name, "%s of %s", call_names[misuse.call],
                 pointer->name);
        /* What was never handed out may look like a slot that was freed. */
        bool may_look_freed = pointer->make == granule_end ||
                              pointer->make == never_allocated;
        crime_judge(&(struct crime){
            .name = name, .bytes = misuse.bytes, .commit = commit_misuse,
            .arg = &misuse, .kinds = may_look_freed ? freed_twice : invalid,
            .caught = EXACT_STATE, .may_miss = may_look_freed});
    }
}
END_TEST

/* ---- addresses taken from the map of the process ---- */

static void free_address(const void *arg)
{
    m.free((void *)(uintptr_t)arg);
}

static void judge_address(uintptr_t address)
{
    struct crime crime = {"free of a mapped address", 0, free_address,
                          (void *)address, freed_twice, EXACT_STATE, false,
                          false};
    struct death death;
    ck_assert_msg(crime_try(&crime, &death), "free(%#zx): %s", address,
                  death_describe(&death));
}

/*
 * Both ends and the middle of every mapping: guards, records, state, heaps and
 * tables of merlon's are all among them, and nothing of it may be freed.
 */
START_TEST(mapped_addresses)
{
    for (int i = 0; i < CRIME_SIZES; i++)
        m.free(crime_object(crime_bytes[i]));
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx", &start, &end) != 2)
            continue;
        uintptr_t middle = (start + (end - start) / 2) & ~(uintptr_t)15;
        const uintptr_t addresses[] = {start, start + 16, middle, end - 16};
        for (int i = 0; i < 4; i++)
            judge_address(addresses[i]);
    }
    fclose(maps);
}
END_TEST

/* Near and far from live objects: reports, no fault, whatever is hit. */
static uintptr_t random_address(struct rng *rng, uintptr_t near)
{
    unsigned bits = 4 + (unsigned)rng_below(rng, sizeof near == 8 ? 43 : 27);
    uintptr_t mask = ((uintptr_t)1 << bits) - 1;
    uintptr_t distance = (uintptr_t)rng_next(rng) & mask;
    if (rng_below(rng, 4) != 0)
        distance &= ~(uintptr_t)15;
    return rng_below(rng, 2) ? near + distance : near - distance;
}

START_TEST(random_addresses)
{
    struct rng rng = rng_make(20);
    uintptr_t live[CRIME_SIZES];
    for (int i = 0; i < CRIME_SIZES; i++)
        live[i] = (uintptr_t)crime_object(crime_bytes[i]);
    for (int i = 0; i < (suite_full() ? 10000 : 200); i++) {
        uintptr_t address = random_address(&rng, live[i % CRIME_SIZES]);
        if (address != live[0] && address != live[1] && address != live[2] &&
            address != live[3] && address != 0)
            judge_address(address);
    }
}
END_TEST

static unsigned long reports(void)
{
    unsigned long sum = 0;
    for (int kind = 0; kind < DIE_KIND_COUNT; kind++)
        sum += die_count(kind);
    return sum;
}

/* Does something that lives begin here, the C library's own blocks included? A
   mapping may well begin where the first slot of a slab does. */
static bool is_start(uintptr_t address)
{
    struct record *record = arena_record(address);

    if (record == NULL || record->kind == RECORD_NONE)
        return false;
    if (record->kind != RECORD_SLAB)
        return span_of(record, address) != NULL;
    return exact_is_live(slab_state_words(record->slab),
                         address - record->slab->base);
}

/* Each call, one after the other, in a process that goes on: as many reports,
   and what lives is whole. */
static void hand_over_mappings(const void *arg)
{
    (void)arg;
    static uintptr_t address[40000];
    static char *live[CRIME_SIZES];
    size_t count = 0;
    char line[512];
    for (int i = 0; i < CRIME_SIZES; i++) {
        m.free(crime_object(crime_bytes[i]));
        live[i] = crime_object(crime_bytes[i]);
    }
    FILE *maps = fopen("/proc/self/maps", "re");
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx", &start, &end) != 2
            || count + 4 > sizeof address / sizeof *address)
            continue;
        address[count++] = start;
        address[count++] = start + 16;
        address[count++] = (start + (end - start) / 2) & ~(uintptr_t)15;
        address[count++] = end - 16;
    }
    fclose(maps);
    die_configure(true, open("/dev/null", O_WRONLY));
    for (size_t i = 0; i < count; i++)
        for (int call = 0; call < CALL_HERE_COUNT && !is_start(address[i]);
             call++) {
            unsigned long before = reports();
            call_with(call, (void *)address[i], 64);
            if (reports() == before + 1)
                continue;
            fprintf(stderr, "%s(%#zx): %lu reports", call_names[call],
                    address[i], reports() - before);
            _exit(1);
        }
    for (int i = 0; i < CRIME_SIZES; i++) {
        if (live[i][0] != 1 || live[i][crime_bytes[i] - 1] != 1)
            death_fail("a live object was changed");
        m.free(live[i]);
    }
    printf("# %zu addresses of the map of the process, each in %d calls\n",
           count, CALL_HERE_COUNT);
    fflush(stdout);
}

START_TEST(mapped_addresses_in_every_call)
{
    if (EXACT_STATE)
        death_expect_exit(hand_over_mappings, NULL, 0);
}
END_TEST

/* Random ones, 10,000 times in one process that goes on after each report. */
START_TEST(random_addresses_reported)
{
    if (!EXACT_STATE)
        return;
    struct rng rng = rng_make(21);
    uintptr_t live[CRIME_SIZES];
    for (int i = 0; i < CRIME_SIZES; i++)
        live[i] = (uintptr_t)crime_object(crime_bytes[i]);
    die_configure(true, -1);
    unsigned long done = reports();
    for (int i = 0; i < 10000; i++) {
        uintptr_t address = random_address(&rng, live[i % CRIME_SIZES]);
        if (address == live[0] || address == live[1] || address == live[2] ||
            address == live[3] || address == 0)
            continue;
        call_with(i % CALL_HERE_COUNT, (void *)address, 64);
        done++;
        ck_assert_msg(reports() == done, "%#zx: %lu reports, not %lu", address,
                      reports(), done);
    }
    for (int i = 0; i < CRIME_SIZES; i++) {
        ck_assert_int_eq(*(char *)live[i], 1);
        m.free((void *)live[i]);
    }
    ck_assert_uint_eq(reports(), done);
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("pointers");
    TCase *wild = tcase_create("invalid pointer");
    tcase_set_timeout(wild, 120);
    tcase_add_loop_test(wild, invalid_pointer, 0, POINTER_COUNT);
    tcase_add_test(wild, mapped_addresses);
    tcase_add_test(wild, mapped_addresses_in_every_call);
    tcase_add_test(wild, random_addresses);
    tcase_add_test(wild, random_addresses_reported);
    suite_add_tcase(suite, wild);
    return suite;
}

int main(int argc, char **argv)
{
    /* One crime in some thousands would be committed on a sampled object, of
       which more is said, and other things. Read when we are started anew. */
    setenv("MERLON_OPTIONS", "sample=0", 1);
    return suite_main(argc, argv, make);
}
