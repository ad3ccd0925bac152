/* SPDX-License-Identifier: MIT */
/*
 * layout.c - the sizes and places of an arena's metadata.
 */
#include "layout.h"

#include "os.h"
#include "record.h"

enum { HEAPS_SHARE = 64 }; /* of the slab part, for heaps */

static size_t guard_bytes(void)
{
    return LAYOUT_GUARD_PAGES * os_page_bytes();
}

static size_t word_bytes(size_t granules)
{
    return granules / GRANULES_WORD * sizeof(struct granule_word);
}

void layout_make(struct layout *layout, size_t slab_bytes, size_t span_bytes,
                 bool first)
{
    size_t slabs = slab_bytes >> GRANULE_SHIFT;
    size_t spans = span_bytes >> GRANULE_SHIFT;
    size_t bits = slabs * BIT_WORDS_PER_GRANULE * sizeof(uint64_t);

    *layout = (struct layout){ .bytes = {
        [PART_SLAB_WORDS] = word_bytes(slabs),
        [PART_SPAN_WORDS] = word_bytes(spans),
        [PART_RECORDS] = (slabs + spans) * sizeof(struct record),
        [PART_STATE] = SLOT_MAP ? bits : 0,
        [PART_BATCH] = SLOT_MAP ? BATCH_PARTS * bits : 0,
        [PART_PENDING] = STRICT_REMOTE ? bits : 0,
        /* Small arenas need room for a few hundred heaps all the same. */
        [PART_HEAPS] = !first ? 0
            : slab_bytes / (slab_bytes >> 30 ? HEAPS_SHARE : 4),
        [PART_SAMPLES] = SAMPLING && first ? LAYOUT_SAMPLE_TABLE_BYTES : 0,
    } };
    layout->total = guard_bytes();
    for (unsigned i = 0; i < PART_COUNT; i++) {
        layout->bytes[i] = align_up(layout->bytes[i], os_page_bytes());
        if (layout->bytes[i] != 0)
            layout->total += layout->bytes[i] + guard_bytes();
    }
}

bool layout_place(const struct layout *layout, uint8_t *at,
                  uint8_t *part[PART_COUNT])
{
    at += guard_bytes();
    for (unsigned i = 0; i < PART_COUNT; i++) {
        part[i] = at;
        if (layout->bytes[i] != 0)
            at += layout->bytes[i] + guard_bytes();
    }
    return os_protect_read(part[PART_RECORDS], layout->bytes[PART_RECORDS]);
}
