/* SPDX-License-Identifier: MIT */
/*
 * check_stack.c - call stacks: right where there are frame pointers, short
 * but harmless where the register holds anything else.
 */
#define _GNU_SOURCE
#include "stack.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os.h"
#include "support/death.h"
#include "support/suite.h"

/* This file is compiled with frame pointers: tests/local.mk. */

static struct stack seen;
static const void *expected[4];

#define HERE __builtin_frame_address(0)
#define CALLER __builtin_return_address(0)

/* After each call something is done, or it would be a jump. */
static NOINLINE int innermost(void)
{
    expected[0] = CALLER;
    stack_capture(&seen, HERE, CALLER);
    compiler_fence();
    return 1;
}

static NOINLINE int middle(void)
{
    expected[1] = CALLER;
    int result = innermost() + 1;
    compiler_fence();
    return result;
}

static NOINLINE int outer(void)
{
    expected[2] = CALLER;
    int result = middle() + 1;
    compiler_fence();
    return result;
}

static NOINLINE int outermost(void)
{
    expected[3] = CALLER;
    int result = outer() + 1;
    compiler_fence();
    return result;
}

static void find_all(void)
{
    memset(&seen, 0, sizeof seen);
    errno = 77;
    ck_assert_int_eq(outermost(), 4);
    ck_assert_int_eq(errno, 77);
    ck_assert_uint_ge(seen.count, 4);
    ck_assert_uint_le(seen.count, STACK_FRAMES);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_ptr_eq((void *)seen.site[i], expected[i]);
}

START_TEST(callers_are_found)
{
    find_all();
}
END_TEST

static void *find_in_thread(void *arg)
{
    find_all();
    return arg;
}

START_TEST(callers_are_found_in_a_thread)
{
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, find_in_thread, NULL), 0);
    pthread_join(thread, NULL);
}
END_TEST

static void find_in_handler(int number)
{
    (void)number;
    find_all();
}

START_TEST(callers_are_found_on_a_signal_stack)
{
    size_t page = os_page_bytes(), bytes = align_up(65536, page);
    char *at = mmap(NULL, bytes + 2 * page, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(at, MAP_FAILED);
    ck_assert_int_eq(mprotect(at + page, bytes, PROT_READ | PROT_WRITE), 0);
    stack_t stack = {.ss_sp = at + page, .ss_size = bytes};
    struct sigaction action = {.sa_handler = find_in_handler,
                               .sa_flags = SA_ONSTACK};
    ck_assert_int_eq(sigaltstack(&stack, NULL), 0);
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    ck_assert_int_eq(raise(SIGUSR1), 0);
    ck_assert_uint_ne(seen.count, 0);
}
END_TEST

static NOINLINE unsigned recurse(unsigned depth)
{
    unsigned result = depth == 0 ? (unsigned)innermost() : recurse(depth - 1);

    compiler_fence();
    return result + 1;
}

START_TEST(depth_is_bounded)
{
    recurse(1000);
    ck_assert_uint_eq(seen.count, STACK_FRAMES);
}
END_TEST

START_TEST(without_a_frame_there_is_the_site)
{
    stack_capture(&seen, NULL, (const void *)0x123456);
    ck_assert_uint_eq(seen.count, 1);
    ck_assert_uint_eq(seen.site[0], 0x123456);
    stack_capture(&seen, NULL, NULL);
    ck_assert_uint_eq(seen.count, 0);
}
END_TEST

/* As if a function without a frame pointer had been between. */
START_TEST(a_frame_that_is_not_the_sites)
{
    uintptr_t words[8] = {0};

    words[0] = (uintptr_t)&words[4];
    words[1] = 0x7000; /* in that function */
    words[4] = 0;
    words[5] = 0x6000; /* whoever called the one that has the site */
    stack_capture(&seen, words, (const void *)0x5000);
    ck_assert_uint_eq(seen.count, 2);
    ck_assert_uint_eq(seen.site[0], 0x5000);
    ck_assert_uint_eq(seen.site[1], 0x6000);
}
END_TEST

/* ---- what is in the register when nobody keeps a frame pointer ---- */

enum { ROOM = 4 << 20, LAST_WORD = 4096 - sizeof(uintptr_t) };

struct lie {
    const char *what;
    intptr_t next;    /* of the first frame: so far above it */
    bool absolute;    /* no, an address */
    unsigned believed; /* frames */
};

static const struct lie lies[] = {
    {"nothing", 0, true, 1},
    {"itself", 0, false, 1},
    {"below", -64, false, 1},
    {"misaligned", 20, false, 1},
    {"far above", ROOM / 2, false, 1},
    {"a small number", 17, true, 1},
    {"the end of the address space", -16, true, 1},
    {"a kernel address", INTPTR_MIN + 4096, true, 1},
    {"the last word before a hole", LAST_WORD, false, 1},
    {"in a hole", 4096 + 64, false, 1},
    {"behind a hole", 2 * 4096 + 64, false, 1},
    {"a frame that ends the chain", 64, false, 2},
};

/* A page with a frame at its beginning, a hole of a page, further memory. */
static uintptr_t make_stack(void)
{
    size_t page = os_page_bytes();
    char *at = mmap(NULL, ROOM, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(at, MAP_FAILED);
    for (size_t i = 0; i < ROOM / sizeof(uintptr_t); i += 2)
        ((uintptr_t *)at)[i + 1] = 0x4000; /* could be code */
    ck_assert_int_eq(mprotect(at + page, page, PROT_NONE), 0);
    return (uintptr_t)at;
}

START_TEST(lies_are_not_followed)
{
    const struct lie *lie = &lies[_i];
    uintptr_t frame = make_stack();
    uintptr_t scale = os_page_bytes() / 4096;
    intptr_t next = lie->next;

    /* Offsets were written for pages of 4096 bytes. */
    if (next >= LAST_WORD && next < ROOM / 2)
        next = next / 4096 * (intptr_t)(4096 * scale) + next % 4096
            + (next == LAST_WORD ? (intptr_t)(4096 * (scale - 1)) : 0);
    *(uintptr_t *)frame = (lie->absolute ? 0 : frame) + (uintptr_t)next;
    stack_capture(&seen, (void *)frame, (const void *)0x4000);
    ck_assert_msg(seen.count == lie->believed, "%s: %u frames", lie->what,
                  seen.count);
}
END_TEST

/* Random words, most of them near: the walk must never fault or hang. */
START_TEST(random_words_are_harmless)
{
    struct rng rng = rng_make(suite_seed());
    uintptr_t frame = make_stack();

    for (int round = 0; round < 20000; round++) {
        for (unsigned i = 0; i < 64; i++) {
            uint64_t draw = rng_next(&rng);
            ((uintptr_t *)frame)[i] = draw % 4 == 0 ? (uintptr_t)draw
                : frame + (uintptr_t)((draw >> 8) % (3 * os_page_bytes()));
        }
        stack_capture(&seen, (void *)frame, (const void *)0x4000);
        ck_assert_uint_ge(seen.count, 1);
        ck_assert_uint_le(seen.count, STACK_FRAMES);
    }
}
END_TEST

/* ---- readable or not ---- */

START_TEST(readable_or_not)
{
    size_t page = os_page_bytes();
    char *at = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(at, MAP_FAILED);
    ck_assert_int_eq(mprotect(at + page, page, PROT_NONE), 0);
    ck_assert_int_eq(mprotect(at + 2 * page, page, PROT_READ), 0);
    ck_assert(os_guard(at + 3 * page, page));
    *(uint32_t *)at = 0x6d6c6e; /* what the futex call compares with */
    errno = 77;
    ck_assert(os_can_read(at));
    ck_assert(os_can_read(at + 4));
    ck_assert(!os_can_read(at + page));
    ck_assert(os_can_read(at + 2 * page));
    ck_assert(!os_can_read(at + 3 * page));
    ck_assert(!os_can_read(NULL));
    ck_assert(!os_can_read((void *)(UINTPTR_MAX - 4095)));
    ck_assert_int_eq(errno, 77);
}
END_TEST

/* ---- in print ---- */

START_TEST(printed_with_modules)
{
    char line[1024];
    struct text text = text_in(line, sizeof line);

    ck_assert_int_eq(outermost(), 4);
    seen.count = 2;
    stack_print(&text, &seen);
    ck_assert_msg(strstr(line, "+0x") != NULL, "%s", line);
    ck_assert_msg(strchr(line + 1, ' ') != NULL, "%s", line);
    ck_assert_uint_eq(text.length, strlen(line));
}
END_TEST

/* Memory that no module has: what a compiler at run time makes. */
START_TEST(printed_without_a_module)
{
    char line[64], wanted[64];
    struct text text = text_in(line, sizeof line);
    void *code = mmap(NULL, os_page_bytes(), PROT_READ,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    text_code(&text, code);
    snprintf(wanted, sizeof wanted, "%p", code);
    ck_assert_str_eq(line, wanted);
    text = text_in(line, sizeof line);
    text_code(&text, (void *)getpid);
    ck_assert_msg(strstr(line, "+0x"), "%s", line);
}
END_TEST

START_TEST(text_is_cut_off)
{
    char line[16];
    struct text text = text_in(line, 12);

    memset(line, 'x', sizeof line);
    text_put(&text, "0123456789");
    text_decimal(&text, 4567);
    ck_assert_str_eq(line, "01234567894");
    text_end_line(&text);
    ck_assert_str_eq(line, "0123456789\n");
    ck_assert_int_eq(line[12], 'x');
    text = text_in(line, sizeof line);
    text_hex(&text, 0);
    text_hex(&text, 0xabc);
    ck_assert_str_eq(line, "0x00xabc");
}
END_TEST

static Suite *make(void)
{
    Suite *suite = suite_create("stack");
    TCase *walk = tcase_create("walk");
    if (FRAME_RECORDS) {
        tcase_add_test(walk, callers_are_found);
        tcase_add_test(walk, callers_are_found_in_a_thread);
        tcase_add_test(walk, callers_are_found_on_a_signal_stack);
        tcase_add_test(walk, depth_is_bounded);
        tcase_add_loop_test(walk, lies_are_not_followed, 0,
                            sizeof lies / sizeof *lies);
        tcase_add_test(walk, a_frame_that_is_not_the_sites);
    }
    tcase_add_test(walk, without_a_frame_there_is_the_site);
    tcase_add_test(walk, random_words_are_harmless);
    tcase_add_test(walk, readable_or_not);
    suite_add_tcase(suite, walk);

    TCase *print = tcase_create("print");
    if (FRAME_RECORDS)
        tcase_add_test(print, printed_with_modules);
    tcase_add_test(print, printed_without_a_module);
    tcase_add_test(print, text_is_cut_off);
    suite_add_tcase(suite, print);
    return suite;
}

int main(int argc, char **argv)
{
    return suite_main(argc, argv, make);
}
