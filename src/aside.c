/* SPDX-License-Identifier: MIT */
/*
 * aside.c - finding the malloc that everybody else uses.
 */
#include "aside.h"

#include "options.h"
#include "os.h"

struct aside aside_next, aside_first;

static void fill(struct aside *aside, enum os_symbol_place place)
{
    aside->malloc = (void *(*)(size_t))os_symbol("malloc", place);
    aside->calloc = (void *(*)(size_t, size_t))os_symbol("calloc", place);
    aside->realloc = (void *(*)(void *, size_t))os_symbol("realloc", place);
    aside->aligned_alloc =
        (void *(*)(size_t, size_t))os_symbol("aligned_alloc", place);
    aside->malloc_usable_size =
        (size_t (*)(void *))os_symbol("malloc_usable_size", place);
    aside->free = (void (*)(void *))os_symbol("free", place);
}

static bool is_whole(const struct aside *aside)
{
    return aside->malloc && aside->calloc && aside->realloc
        && aside->aligned_alloc && aside->malloc_usable_size && aside->free;
}

bool aside_detect(void)
{
    static const char line[] =
        "merlon: inactive: the program has a malloc of its own\n";

    /* The C library before us: somebody has loaded us by dlopen. */
    if (!os_symbol("malloc", OS_SYMBOL_BEFORE)
        || os_symbol("__libc_start_main", OS_SYMBOL_BEFORE)
        || os_program_needs("merlon_"))
        return false;
    fill(&aside_next, OS_SYMBOL_AFTER);
    fill(&aside_first, OS_SYMBOL_OTHER);
    if (!is_whole(&aside_next) || !is_whole(&aside_first))
        return false;
    if (options_get()->own_malloc != OPTION_IGNORE)
        os_write(2, line, sizeof line - 1);
    if (options_get()->own_malloc == OPTION_ABORT)
        os_abort();
    return true;
}
