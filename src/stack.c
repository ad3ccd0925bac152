/* SPDX-License-Identifier: MIT */
/*
 * stack.c - following frame pointers without trusting them.
 *
 * Invariant: no word is read but on a page that was found readable in this
 * very walk, in one run of such pages from the first frame on. (That of a
 * function that is running is readable.) (A stack that
 * another thread unmaps meanwhile is not that of the caller.)
 */
#include "stack.h"

#include "os.h"

enum {
    /* A frame that is larger ends the walk: it is hardly one. */
    FRAME_BYTES_MAX = 64 << 10,
    /* Nothing is mapped there, and no code is. */
    LOWEST_CODE = 4096,
    FRAMES_SEEN_MAX = 2 * STACK_FRAMES,
};

struct walk {
    uintptr_t end;     /* the stack cannot reach beyond */
    uintptr_t read_end; /* what is below was found readable */
};

/*
 * The thread's own stack lies below its control block (the C libraries put
 * that at the stack's end) or, the first thread's, below the random bytes that
 * the kernel left there. Other stacks (a signal's, a coroutine's) are found
 * out page by page only.
 */
static uintptr_t stack_end(uintptr_t frame)
{
    uintptr_t end = UINTPTR_MAX;
    const uintptr_t marks[] = { base_thread_pointer(), os_first_stack_end() };

    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (marks[i] > frame && marks[i] < end)
            end = marks[i];
    }
    return end;
}

/* May the two words of a frame be read? */
static bool is_readable(struct walk *walk, uintptr_t frame)
{
    uintptr_t end = frame + 2 * sizeof(uintptr_t);

    if (end < frame || end > walk->end)
        return false;
    while (walk->read_end < end) {
        if (!os_can_read((const void *)walk->read_end))
            return false;
        walk->read_end += os_page_bytes();
    }
    return true;
}

static bool is_above(uintptr_t next, uintptr_t frame)
{
    return next > frame && next - frame <= FRAME_BYTES_MAX
        && next % sizeof(uintptr_t) == 0;
}

/* Frames of ours may come first: what counts begins with the site. */
UNCHECKED static void follow(struct stack *stack, uintptr_t frame,
                             uintptr_t first, bool trusted)
{
    uintptr_t page = align_down(frame, os_page_bytes());
    struct walk walk = { .end = stack_end(frame),
                         .read_end = trusted ? page + os_page_bytes()
                             : page };

    for (unsigned seen = 0; seen < FRAMES_SEEN_MAX
         && stack->count < STACK_FRAMES && is_readable(&walk, frame); seen++) {
        const uintptr_t *word = (const uintptr_t *)frame;
        uintptr_t site = base_plain_return_address(word[1]);
        if (site < LOWEST_CODE)
            return;
        if (stack->count != 0 || first == 0 || site == first)
            stack->site[stack->count++] = site;
        if (!is_above(word[0], frame))
            return;
        frame = word[0];
    }
}

void stack_capture_fault(struct stack *stack, const void *frame,
                         const void *site)
{
    stack->count = 0;
    if (site)
        stack->site[stack->count++] = (uintptr_t)site;
    if (FRAME_RECORDS && (uintptr_t)frame % sizeof(uintptr_t) == 0)
        follow(stack, (uintptr_t)frame, 0, false);
}

void stack_capture(struct stack *stack, const void *frame, const void *site)
{
    stack->count = 0;
    if (FRAME_RECORDS && frame)
        follow(stack, (uintptr_t)frame, (uintptr_t)site, true);
    if (stack->count != 0)
        return;
    /* A function of ours without a frame pointer lies between: then what it
       left in the register is that of the function that the site is in. */
    if (FRAME_RECORDS && frame && is_above(*(const uintptr_t *)frame,
                                           (uintptr_t)frame))
        stack_capture_fault(stack, *(void *const *)frame, site);
    else if (site)
        stack->site[stack->count++] = (uintptr_t)site;
}

void stack_print(struct text *text, const struct stack *stack)
{
    for (uint32_t i = 0; i < stack->count && i < STACK_FRAMES; i++) {
        text_put(text, " ");
        text_code(text, (const void *)stack->site[i]);
    }
}
