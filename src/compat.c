/* SPDX-License-Identifier: MIT */
/*
 * compat.c - what programs ask and tune beside allocating: the figures in
 * glibc's shapes, its knobs, and two old names.
 *
 * Left to the C library these would set up its own heap and report that. The
 * texts are put together on the stack and written at once: malloc_stats uses
 * neither stdio nor anything that may be cancelled.
 */
#include <errno.h>
#include <limits.h>

#include "base.h"
#include "face.h"
#include "policy.h"
#include "sizeclass.h"

MERLON_EXPORT const char *merlon_version(void)
{
    return "merlon " PACKAGE_VERSION " " MERLON_VARIANT;
}

MERLON_EXPORT void merlon_cfree(void *p)
{
    merlon_free(p);
}

/* ---- tuning ------------------------------------------------------------- */

MERLON_EXPORT int merlon_malloc_trim(size_t pad)
{
    (void)pad;
    return face_trim();
}

/*
 * From M_MXFAST, 1, to M_KEEP, 4, and from M_TRIM_THRESHOLD, -1, down to
 * M_ARENA_MAX, -8. Programs set them before anything else, and some end if
 * they are refused.
 */
MERLON_EXPORT int merlon_mallopt(int option, int value)
{
    (void)value;
    return (option >= -8 && option <= -1) || (option >= 1 && option <= 4);
}

/* ---- figures in glibc's shapes ------------------------------------------ */

/* Figures are gathered while others change them: never below zero. */
static size_t compat_difference(size_t a, size_t b)
{
    return a > b ? a - b : 0;
}

/*
 * As glibc counts: arena == uordblks + fordblks, and what is mapped object by
 * object (its mmap threshold, our spans) stands beside it in hblkhd.
 */
MERLON_EXPORT struct merlon_mallinfo2 merlon_mallinfo2(void)
{
    struct merlon_mallinfo2 info = {0};
    struct face_stats stats;

    face_gather(&stats, NULL);
    info.hblks = stats.span_count;
    info.hblkhd = stats.span_bytes;
    info.uordblks = compat_difference(stats.live_bytes, stats.span_bytes);
    info.fordblks = stats.free_bytes;
    info.arena = info.uordblks + info.fordblks;
    info.keepcost = stats.purgeable_bytes;
    return info;
}

static int compat_int(size_t value)
{
    return value < INT_MAX ? (int)value : INT_MAX;
}

MERLON_EXPORT struct merlon_mallinfo merlon_mallinfo(void)
{
    struct merlon_mallinfo2 wide = merlon_mallinfo2();
    struct merlon_mallinfo info = {0};

    info.hblks = compat_int(wide.hblks);
    info.hblkhd = compat_int(wide.hblkhd);
    info.uordblks = compat_int(wide.uordblks);
    info.fordblks = compat_int(wide.fordblks);
    info.arena = compat_int(wide.arena);
    info.keepcost = compat_int(wide.keepcost);
    return info;
}

/* ---- figures as text ---------------------------------------------------- */

/* A text that grows on the stack; what does not fit is left out. */
enum { COMPAT_TEXT_BYTES = 1024 };

struct compat_text {
    size_t count;
    char bytes[COMPAT_TEXT_BYTES];
};

static void compat_add(struct compat_text *text, const char *more)
{
    while (*more != '\0' && text->count < sizeof text->bytes)
        text->bytes[text->count++] = *more++;
}

/* In decimal, at least `width` characters wide. */
static void compat_add_number(struct compat_text *text, size_t value,
                              size_t width)
{
    char digits[3 * sizeof value + 1]; /* a byte is under 3 digits */
    size_t at = sizeof digits - 1;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (size_t n = sizeof digits - 1 - at; n < width; n++)
        compat_add(text, " ");
    compat_add(text, digits + at);
}

/* A piece of text and the figure that follows it. */
struct compat_piece {
    const char *before;
    size_t offset; /* of the figure in struct face_stats */
};

#define FIGURE(text, name) {text, offsetof(struct face_stats, name)}

static void compat_add_pieces(struct compat_text *text, size_t width,
                              const struct face_stats *stats,
                              const struct compat_piece *piece, size_t count)
{
    for (; count > 0; count--, piece++) {
        const char *figure = (const char *)stats + piece->offset;
        compat_add(text, piece->before);
        compat_add_number(text, *(const size_t *)(const void *)figure, width);
    }
}

size_t face_describe(char *to, size_t room)
{
    static const struct compat_piece table[] = {
        FIGURE("\nlive objects         ", live_count),
        FIGURE("\n  large ones         ", span_count),
        FIGURE("\nlive bytes           ", live_bytes),
        FIGURE("\n  in large objects   ", span_bytes),
        FIGURE("\nfree bytes           ", free_bytes),
        FIGURE("\npurgeable bytes      ", purgeable_bytes),
        FIGURE("\ncommitted bytes      ", committed_bytes),
        FIGURE("\nquarantined addresses", quarantine_bytes),
        FIGURE("\nheaps                ", heap_count),
        FIGURE("\nsized frees refuted  ", mismatch_count),
        FIGURE("\ndetections           ", detection_count),
    };
    struct compat_text text = {.count = 0};
    struct face_stats stats;

    face_gather(&stats, NULL);
    compat_add(&text, merlon_version());
    compat_add_pieces(&text, 20, &stats, table, sizeof table / sizeof *table);
    compat_add(&text, "\n");
    if (text.count > room)
        text.count = room;
    for (size_t i = 0; i < text.count; i++)
        to[i] = text.bytes[i];
    return text.count;
}

MERLON_EXPORT void merlon_malloc_stats(void)
{
    char text[COMPAT_TEXT_BYTES];
    int saved_errno = errno;

    face_print(text, face_describe(text, sizeof text));
    errno = saved_errno;
}

/* Write what there is, and begin anew. */
static bool compat_flush(struct compat_text *text, FILE *stream)
{
    size_t count = text->count;

    text->count = 0;
    return fwrite(text->bytes, 1, count, stream) == count;
}

static void compat_add_class(struct compat_text *text,
                             const struct face_row *row)
{
    compat_add(text, "<class bytes=\"");
    compat_add_number(text, row->slot_bytes, 0);
    compat_add(text, "\" slabs=\"");
    compat_add_number(text, row->slabs, 0);
    compat_add(text, "\" slots=\"");
    compat_add_number(text, row->slots, 0);
    compat_add(text, "\" used=\"");
    compat_add_number(text, row->used, 0);
    compat_add(text, "\"/>\n");
}

/* glibc's elements where they mean the same, and one of our own. */
MERLON_EXPORT int merlon_malloc_info(int options, FILE *stream)
{
    static const struct compat_piece table[] = {
        FIGURE("<total type=\"live\" count=\"", live_count),
        FIGURE("\" size=\"", live_bytes),
        FIGURE("\"/>\n<total type=\"mmap\" count=\"", span_count),
        FIGURE("\" size=\"", span_bytes),
        FIGURE("\"/>\n<system type=\"current\" size=\"", committed_bytes),
        FIGURE("\"/>\n<merlon slabs=\"", slab_bytes),
        FIGURE("\" free=\"", free_bytes),
        FIGURE("\" purgeable=\"", purgeable_bytes),
        FIGURE("\" quarantined=\"", quarantine_bytes),
        FIGURE("\" heaps=\"", heap_count),
        FIGURE("\" mismatches=\"", mismatch_count),
        FIGURE("\" detections=\"", detection_count),
    };
    struct compat_text text = {.count = 0};
    struct face_row rows[CLASS_COUNT];
    struct face_stats stats;
    int saved_errno = errno;

    if (options != 0) {
        errno = EINVAL;
        return -1;
    }
    face_gather(&stats, rows);
    compat_add(&text, "<malloc version=\"1\" allocator=\"");
    compat_add(&text, merlon_version());
    compat_add(&text, "\">\n");
    compat_add_pieces(&text, 0, &stats, table, sizeof table / sizeof *table);
    compat_add(&text, "\">\n");
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        if (rows[i].slabs == 0)
            continue;
        if (!compat_flush(&text, stream))
            return -1;
        compat_add_class(&text, &rows[i]);
    }
    compat_add(&text, "</merlon>\n</malloc>\n");
    if (!compat_flush(&text, stream))
        return -1;
    errno = saved_errno;
    return 0;
}
