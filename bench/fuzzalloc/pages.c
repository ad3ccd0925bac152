/* SPDX-License-Identifier: MIT */
/*
 * pages.c - the simplest allocator that puts every object at a guard: one
 * mapping for each, to compare libmerlon-fuzz with.
 *
 * malloc maps the pages and a guard behind them, free makes them inaccessible
 * and gives their memory back; addresses are never used again.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define PUBLIC __attribute__((visibility("default")))

enum { PAGE = 4096 };

/* At the beginning of an object's first page. */
struct head {
    size_t pages, bytes;
};

static struct head *head_of(void *p)
{
    uintptr_t at = (uintptr_t)p - sizeof(struct head);
    return (struct head *)(at & ~(uintptr_t)(PAGE - 1));
}

static void *take(size_t alignment, size_t bytes)
{
    size_t room = bytes + alignment + sizeof(struct head);
    size_t pages = (room + PAGE - 1) / PAGE;
    if (bytes > PTRDIFF_MAX || alignment > PAGE / 2) {
        errno = ENOMEM;
        return NULL;
    }
    char *at = mmap(NULL, (pages + 1) * PAGE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    mprotect(at + pages * PAGE, PAGE, PROT_NONE);
    char *p = (char *)(((uintptr_t)at + pages * PAGE - bytes) & -alignment);
    /* Its first page is the one that head_of finds. */
    struct head *head = head_of(p);
    if ((char *)head != at)
        munmap(at, (size_t)((char *)head - at));
    head->pages = (size_t)(at + pages * PAGE - (char *)head) / PAGE;
    head->bytes = bytes;
    memset(p, 0xbe, bytes);
    return p;
}

PUBLIC void *malloc(size_t bytes)
{
    return take(16, bytes);
}

PUBLIC void free(void *p)
{
    if (p == NULL)
        return;
    struct head *head = head_of(p);
    mmap(head, (head->pages + 1) * PAGE, PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
}

PUBLIC void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *p = take(16, bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

PUBLIC void *realloc(void *old, size_t bytes)
{
    void *p = take(16, bytes);
    if (p && old) {
        size_t kept = head_of(old)->bytes;
        memcpy(p, old, kept < bytes ? kept : bytes);
        free(old);
    }
    return p;
}

PUBLIC void *memalign(size_t alignment, size_t bytes)
{
    return take(alignment < 16 ? 16 : alignment, bytes);
}

PUBLIC void *aligned_alloc(size_t alignment, size_t bytes)
{
    return memalign(alignment, bytes);
}

PUBLIC int posix_memalign(void **result, size_t alignment, size_t bytes)
{
    *result = memalign(alignment, bytes);
    return *result ? 0 : ENOMEM;
}

PUBLIC size_t malloc_usable_size(void *p)
{
    return p ? head_of(p)->bytes : 0;
}
