/* SPDX-License-Identifier: MIT */
/*
 * base.h - attributes and arithmetic that every file uses.
 *
 * Nothing here knows about allocation. This file, bits.h, policy.h, os*.c,
 * override.c and cxx.c are the only ones that may look at the compiler or the
 * system with #if.
 */
#ifndef MERLON_BASE_H
#define MERLON_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define COLD __attribute__((cold, noinline))
#define NORETURN __attribute__((noreturn))
#define HIDDEN __attribute__((visibility("hidden")))
#define UNCHECKED __attribute__((no_sanitize("address")))
#define MAY_ALIAS __attribute__((may_alias))

/* In a function marked TAIL_CALLS `TAIL_CALL return f(x);` is a jump, also
   with -O0. Its parameters must be those of f. */
#if defined(__clang__)
#define TAIL_CALLS
#define TAIL_CALL __attribute__((musttail))
#else
#define TAIL_CALLS __attribute__((optimize("O2"), no_stack_protector))
#define TAIL_CALL
#endif

/* Two cache lines apart: what different threads write never shares a line. */
enum { CACHE_LINE_BYTES = 64 };

/*
 * The largest page the architecture's ABI allows. Objects that are made
 * read-only after start are aligned to it.
 */
#if defined(__x86_64__) || defined(__i386__)
enum { ABI_PAGE_BYTES = 4096 };
#else
enum { ABI_PAGE_BYTES = 65536 };
#endif

/* Small variables that every start writes to: in a page that the loader has
   written to already, and not spread over ours, for each is a page fault. */
#define EARLY __attribute__((section(".data")))

/* A frame begins with the caller's frame pointer and the return address. */
#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__)
enum { FRAME_RECORDS = 1 };
#else
enum { FRAME_RECORDS = 0 };
#endif

/* Words of user memory are read and written through this type. */
typedef uint64_t MAY_ALIAS user_word;

/* alignment must be a power of two. */
static ALWAYS_INLINE uintptr_t align_up(uintptr_t value, uintptr_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

static ALWAYS_INLINE uintptr_t align_down(uintptr_t value, uintptr_t alignment)
{
    return value & ~(alignment - 1);
}

static ALWAYS_INLINE bool is_power_of_two(size_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static ALWAYS_INLINE size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static ALWAYS_INLINE size_t size_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Tell the compiler, not the processor, to keep the order. */
static ALWAYS_INLINE void compiler_fence(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/*
 * The two halves of the 128-bit product, folded. Linear neither over GF(2) nor
 * modulo 2^64.
 */
static ALWAYS_INLINE uint64_t fold_product(uint64_t a, uint64_t b)
{
#if defined __x86_64__
    /* gcc would save a pair of registers for the product, and use none. */
    uint64_t high;

    __asm__("mulq %2" : "+a"(a), "=d"(high) : "rm"(b) : "cc");
    return high ^ a;
#elif defined __SIZEOF_INT128__
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)(product >> 64) ^ (uint64_t)product;
#else
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t low = al * bl, high = ah * bh;
    uint64_t middle = ah * bl + (low >> 32);
    uint64_t cross = al * bh + (uint32_t)middle;

    high += (middle >> 32) + (cross >> 32);
    return high ^ ((cross << 32) | (uint32_t)low);
#endif
}

/* The calling thread's control block, or 0 where the compiler cannot tell. */
static ALWAYS_INLINE uintptr_t base_thread_pointer(void)
{
#if defined(__x86_64__) && !defined(__ILP32__)
    uintptr_t self;

    __asm__("mov %%fs:0, %0" : "=r"(self));
    return self;
#elif defined(__i386__)
    uintptr_t self;

    __asm__("mov %%gs:0, %0" : "=r"(self));
    return self;
#elif defined(__aarch64__)
    return (uintptr_t)__builtin_thread_pointer();
#else
    return 0;
#endif
}

/* A return address as it is in memory, without a signature. */
static ALWAYS_INLINE uintptr_t base_plain_return_address(uintptr_t address)
{
#if defined(__aarch64__)
    register uintptr_t x30 __asm__("x30") = address;

    __asm__("hint #7" : "+r"(x30)); /* xpaclri */
    return x30;
#else
    return address;
#endif
}

/* A pause inside a short retry loop. */
static ALWAYS_INLINE void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    compiler_fence();
#endif
}

#endif
