/* SPDX-License-Identifier: MIT */
/*
 * memalign.c - allocation with an alignment, and free with a size.
 *
 * The functions differ only in which alignments they accept and how they
 * refuse: posix_memalign returns a code and touches nothing, the others set
 * errno. What is left then goes to face_allocate_aligned.
 */
#include "face.h"

#include <errno.h>

#include "base.h"
#include "bits.h"
#include "os.h"

/* The tail of every refused alignment. */
static COLD void *memalign_invalid(void)
{
    errno = EINVAL;
    return NULL;
}

MERLON_EXPORT int merlon_posix_memalign(void **result, size_t alignment,
                                        size_t bytes)
{
    int saved_errno = errno;

    if (unlikely(!is_power_of_two(alignment) ||
                 alignment < sizeof(void *)))
        return EINVAL;

    void *p = face_allocate_aligned(alignment, bytes);
    if (unlikely(p == NULL)) {
        errno = saved_errno;
        return ENOMEM;
    }
    *result = p;
    return 0;
}

MERLON_EXPORT void *merlon_aligned_alloc(size_t alignment, size_t bytes)
{
    if (unlikely(!is_power_of_two(alignment)))
        return memalign_invalid();
    return face_allocate_aligned(alignment, bytes);
}

MERLON_EXPORT void *merlon_memalign(size_t alignment, size_t bytes)
{
    if (unlikely(alignment > SIZE_MAX / 2 + 1))
        return memalign_invalid();
    /* 0 counts as 1, as in glibc. */
    return face_allocate_aligned(bits_round_up_power(alignment), bytes);
}

MERLON_EXPORT void *merlon_valloc(size_t bytes)
{
    return face_allocate_aligned(os_page_bytes(), bytes);
}

MERLON_EXPORT void *merlon_pvalloc(size_t bytes)
{
    size_t page_bytes = os_page_bytes();
    size_t rounded_bytes = align_up(bytes, page_bytes);

    if (bytes == 0)
        rounded_bytes = page_bytes;
    if (unlikely(rounded_bytes < bytes))
        return face_no_memory();
    return face_allocate_aligned(page_bytes, rounded_bytes);
}

MERLON_EXPORT void merlon_free_sized(void *p, size_t bytes)
{
    if (p != NULL)
        face_free_sized(p, bytes, 0, false);
}

MERLON_EXPORT void merlon_free_aligned_sized(void *p, size_t alignment,
                                             size_t bytes)
{
    if (p != NULL)
        face_free_sized(p, bytes, alignment, false);
}
