/* SPDX-License-Identifier: MIT */
/*
 * os_move.c - moving pages to another place without a copy, or not at all.
 *
 * mremap with MREMAP_FIXED may fail in its middle. It first unmaps where the
 * pages are to go, and then asks whether all of the source is one mapping, as
 * kernels before 6.17 want it; later ones move mapping by mapping and stop at
 * the first that they cannot. Both leave a hole where the caller has memory,
 * and nobody knows what went where. So the pages first go where the kernel
 * likes, which it does whole or not at all; then they are one mapping, of which
 * nothing but the want of kernel memory keeps it from going on.
 *
 * What was moved before is a mapping of its own for ever, so large objects that
 * grew twice are several. Then the pieces are looked for by halves: a question
 * that fails is cheap beside a copy.
 */
#include "policy.h" /* first: it asks libc for all its declarations */

#include "os.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifdef SYS_mmap2
#define MAP_CALL SYS_mmap2
#else
#define MAP_CALL SYS_mmap
#endif

/* More questions than this are as dear as the copy. */
enum { QUESTIONS_MAX = 100 };

enum answer { MOVED, SEVERAL_MAPPINGS, REFUSED, HOLE };

/* There was memory at `to`, and the kernel may have taken it away. */
static enum answer close_hole(void *to, size_t bytes)
{
    long flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        | MAP_FIXED_NOREPLACE;
    long at = syscall(MAP_CALL, (long)to, (long)bytes,
                      (long)(PROT_READ | PROT_WRITE), flags, -1L, 0L);

    return at != -1 || errno == EEXIST ? REFUSED : HOLE;
}

static enum answer move(void *from, void *to, size_t bytes)
{
    long aside = syscall(SYS_mremap, (long)from, (long)bytes, (long)bytes,
                         (long)(MREMAP_MAYMOVE | MREMAP_DONTUNMAP), 0L);

    if (aside == -1)
        return errno == EFAULT ? SEVERAL_MAPPINGS : REFUSED;
    if (syscall(SYS_mremap, aside, (long)bytes, (long)bytes,
                (long)(MREMAP_MAYMOVE | MREMAP_FIXED), (long)to) != -1)
        return MOVED;
    memcpy(from, (void *)aside, bytes);
    os_release((void *)aside, bytes);
    return close_hole(to, bytes);
}

size_t os_move(void *from, void *to, size_t bytes)
{
    char *source = from, *target = to;
    size_t moved = 0, step = bytes, page = os_page_bytes();
    int saved = errno;
    enum answer answer = MOVED;

    if (!os_kernel_is_real(to))
        return 0;
    for (int i = 0; moved < bytes && i < QUESTIONS_MAX; i++) {
        answer = move(source + moved, target + moved, step);
        if (answer == MOVED) {
            moved += step;
            step = bytes - moved;
        } else if (answer == SEVERAL_MAPPINGS && step > page) {
            step = align_up(step / 2, page);
        } else {
            break;
        }
    }
    if (answer == HOLE)
        memcpy(from, to, moved);
    errno = saved;
    return answer == HOLE ? SIZE_MAX : moved;
}
