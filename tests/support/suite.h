/* SPDX-License-Identifier: MIT */
/*
 * suite.h - what every test program of Check shares: its main, its seed, the
 * names under test, and how much time and memory it may take.
 *
 * Environment, beside Check's own (CK_RUN_CASE, CK_TIMEOUT_MULTIPLIER, ...):
 *   MERLON_TEST_SEED=n   repeat a run: the seed is always printed
 *   MERLON_TEST_FULL=1   longer and larger, as the nightly run wants it
 *   MERLON_TEST_TAP=1    TAP on stdout instead of Check's own lines
 *
 * suite.c compiled with -DMERLON_TEST_LIBC calls the C library's names, so that
 * the tests can be tried against any allocator.
 */
#ifndef MERLON_TEST_SUITE_H
#define MERLON_TEST_SUITE_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The calls under test. Volatile, so that the compiler knows nothing of them:
 * it may not drop a call, nor warn of what a test does on purpose.
 */
struct calls {
    void *(*malloc)(size_t bytes);
    void *(*calloc)(size_t count, size_t bytes);
    void *(*realloc)(void *p, size_t bytes);
    void *(*reallocarray)(void *p, size_t count, size_t bytes);
    void (*free)(void *p);
    void (*free_sized)(void *p, size_t bytes);
    size_t (*usable_size)(void *p);
};
extern volatile struct calls m;

enum { KIB = 1024, MIB = 1024 * 1024 };

/* ThreadSanitizer looks on: its own memory hides how much merlon has, and it
   is gone before a thread's last destructors run. */
#if defined(__SANITIZE_THREAD__)
enum { SUITE_TSAN = 1 };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
enum { SUITE_TSAN = 1 };
#else
enum { SUITE_TSAN = 0 };
#endif
#else
enum { SUITE_TSAN = 0 };
#endif

/* Run the suite; the return value is main's. */
int suite_main(int argc, char **argv, Suite *(*make)(void));

/* The seed of this run, drawn or given. The same in every forked test. */
uint64_t suite_seed(void);

/* MERLON_TEST_FULL=1 was given. */
bool suite_full(void);

/* Resident bytes of this process, without any allocation; 0 if they cannot be
   measured, which suite_main says. */
size_t suite_rss_bytes(void);

/* Monotonic seconds. */
double suite_seconds(void);
void suite_sleep_ms(unsigned ms);

/* Make the compiler forget where a pointer came from. */
static inline void *suite_hide(void *p)
{
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

/* Small and fast random numbers (splitmix64), one state for each thread. */
struct rng {
    uint64_t state;
};

static inline struct rng rng_make(uint64_t salt)
{
    return (struct rng){suite_seed() ^ (salt * UINT64_C(0x9e3779b97f4a7c15))};
}

static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline size_t rng_below(struct rng *rng, size_t bound)
{
    return (size_t)(rng_next(rng) % bound);
}

/* Small sizes are common, large ones rare: 1 to 2^top, even by octave. */
static inline size_t rng_size(struct rng *rng, unsigned top)
{
    unsigned octave = (unsigned)rng_below(rng, top) + 1;
    return 1 + rng_below(rng, (size_t)1 << octave);
}

#endif
