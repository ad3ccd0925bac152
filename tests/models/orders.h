/* SPDX-License-Identifier: MIT */
/*
 * orders.h - merlon's own headers under relacy, a checker of C11 orders.
 *
 * The idea: the headers of src/ are compiled as they are, as C++, but their
 * __atomic builtins become operations on cells of relacy, one for each word
 * that a test has shared. relacy then runs the threads of a test in many
 * schedules and lets every load return any value that its order allows.
 *
 * Plain accesses of the headers are not seen by relacy. Beside them stand
 * variables of the tests (rl::var): a race on one of these is a race on what
 * the headers hand over.
 *
 * One order at a time can be weakened, or one step left out, by name: a test
 * that then still passes does not test it.
 */
#ifndef MERLON_MODELS_ORDERS_H
#define MERLON_MODELS_ORDERS_H

/* The checker's own allocator takes a snapshot of the C library's. */
#include <relacy/relacy.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

/* C of our headers that C++ says otherwise. */
#define _Static_assert static_assert
#define _Alignof alignof

/* --------------------------------------------------------- weakening ---- */

/*
 * One order to weaken, FUNCTION.WHAT:FROM:TO as given; or one step to leave out.
 * No C++ strings: inside a test relacy owns operator new.
 */
static const char *wanted_site = "", *wanted_from = "", *wanted_to = "";
static const char *wanted_missing = "";
static bool wanted_met;

/* What the test has met: places with their orders, and steps. */
enum { SITES_MAX = 200 };
static struct site {
    const char *function, *what, *order;
} sites[SITES_MAX];
static unsigned site_count;

static inline void note_site(const char *function, const char *what,
                             const char *order)
{
    for (unsigned i = 0; i < site_count; i++) {
        if (strcmp(sites[i].function, function) == 0
            && strcmp(sites[i].what, what) == 0
            && strcmp(sites[i].order, order) == 0)
            return;
    }
    if (site_count == SITES_MAX)
        abort();
    sites[site_count++] = (struct site){ function, what, order };
}

/* Is this step of a test left out? */
static inline bool missing(const char *step)
{
    note_site(step, "", "step");
    if (strcmp(wanted_missing, step) != 0)
        return false;
    wanted_met = true;
    return true;
}

static inline const char *order_name(int order)
{
    switch (order) {
    case __ATOMIC_RELAXED: return "relaxed";
    case __ATOMIC_ACQUIRE: return "acquire";
    case __ATOMIC_RELEASE: return "release";
    case __ATOMIC_ACQ_REL: return "acq_rel";
    default: return "seq_cst";
    }
}

static inline rl::memory_order order_named(const char *name)
{
    return strcmp(name, "relaxed") == 0 ? rl::mo_relaxed
        : strcmp(name, "acquire") == 0 ? rl::mo_acquire
        : strcmp(name, "release") == 0 ? rl::mo_release
        : strcmp(name, "acq_rel") == 0 ? rl::mo_acq_rel : rl::mo_seq_cst;
}

/* The order of one place of the source, as written or as weakened. `what` is
   "load", "store", "rmw", "cas", "failed" (a cas) or "fence". */
static inline rl::memory_order order_at(int order, const char *what,
                                        rl::debug_info_param at)
{
    const char *name = order_name(order);
    size_t length = strlen(at.func_);

    note_site(at.func_, what, name);
    if (strncmp(wanted_site, at.func_, length) == 0
        && wanted_site[length] == '.'
        && strcmp(wanted_site + length + 1, what) == 0
        && strcmp(wanted_from, name) == 0) {
        wanted_met = true;
        name = wanted_to;
    }
    return order_named(name);
}

/* ------------------------------------------------------ shared words ---- */

enum { SHARED_WORDS = 96 };

struct shared_words {
    rl::atomic<uint64_t> cell[SHARED_WORDS];
    const volatile void *address[SHARED_WORDS];
    unsigned count;

    template<typename T> void share(const T *word, uint64_t value)
    {
        RL_ASSERT(count < SHARED_WORDS);
        address[count] = word;
        cell[count++].store(value, rl::mo_relaxed, $);
    }
};

static shared_words *words;

static inline rl::atomic<uint64_t> &cell_of(const volatile void *address)
{
    for (unsigned i = 0; i < words->count; i++) {
        if (words->address[i] == address)
            return words->cell[i];
    }
    fprintf(stderr, "a word that no test has shared\n");
    abort();
}

template<typename T> uint64_t to_bits(T value) { return (uint64_t)value; }
template<typename T> T from_bits(uint64_t bits) { return (T)bits; }

/* The type that a value converts to: `x` in __atomic_store_n(p, x, order). */
template<typename T> struct same { typedef T type; };

template<typename T>
T checked_load(const T *p, int order, rl::debug_info_param at)
{
    return from_bits<T>(cell_of(p).load(order_at(order, "load", at), at));
}

template<typename T>
void checked_store(T *p, typename same<T>::type x, int order,
                   rl::debug_info_param at)
{
    cell_of(p).store(to_bits(x), order_at(order, "store", at), at);
}

/* relacy knows only some pairs of orders: the failure's is a fence here. */
template<typename T>
bool checked_cas(T *p, T *expected, typename same<T>::type desired,
                 bool weak, int order, int failure, rl::debug_info_param at)
{
    uint64_t old = to_bits(*expected);
    rl::memory_order mo = order_at(order, "cas", at);
    rl::memory_order fail = order_at(failure, "failed", at);
    bool done = weak
        ? cell_of(p).compare_exchange(rl::bool_t<true>(), old,
                                      to_bits(desired), mo, rl::mo_relaxed,
                                      at)
        : cell_of(p).compare_exchange(rl::bool_t<false>(), old,
                                      to_bits(desired), mo, rl::mo_relaxed,
                                      at);
    if (!done && fail != rl::mo_relaxed)
        rl::atomic_thread_fence(fail, at);
    *expected = from_bits<T>(old);
    return done;
}

#define CHECKED_RMW(name, method)                                            \
    template<typename T>                                                     \
    T checked_##name(T *p, typename same<T>::type x, int order,              \
                     rl::debug_info_param at)                                \
    {                                                                        \
        return from_bits<T>(cell_of(p).method(                               \
            to_bits(x), order_at(order, "rmw", at), at));                    \
    }
CHECKED_RMW(exchange, exchange)
CHECKED_RMW(add, fetch_add)
CHECKED_RMW(sub, fetch_sub)
CHECKED_RMW(and, fetch_and)
CHECKED_RMW(or, fetch_or)

static inline void checked_fence(int order, rl::debug_info_param at)
{
    rl::memory_order mo = order_at(order, "fence", at);

    if (mo != rl::mo_relaxed)
        rl::atomic_thread_fence(mo, at);
}

#define __atomic_load_n(p, o) checked_load(p, o, $)
#define __atomic_store_n(p, x, o) checked_store(p, x, o, $)
#define __atomic_compare_exchange_n(p, e, d, w, s, f)                        \
    checked_cas(p, e, d, w, s, f, $)
#define __atomic_exchange_n(p, x, o) checked_exchange(p, x, o, $)
#define __atomic_fetch_add(p, x, o) checked_add(p, x, o, $)
#define __atomic_fetch_sub(p, x, o) checked_sub(p, x, o, $)
#define __atomic_fetch_and(p, x, o) checked_and(p, x, o, $)
#define __atomic_fetch_or(p, x, o) checked_or(p, x, o, $)
#define __atomic_thread_fence(o) checked_fence(o, $)
#define __atomic_signal_fence(o) ((void)0)

#endif
