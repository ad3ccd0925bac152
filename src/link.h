/* SPDX-License-Identifier: MIT */
/*
 * link.h - links between free slots.
 *
 * Two kinds. The stock of a class, outside user memory, names its slots by
 * offsets that are XORed with a random pad, drawn anew for each refill: who
 * can read it learns nothing of what comes next.
 *
 * A link through user memory exists only in messages of builds without
 * strict-remote. It stands in a freed slot's first word and names another slot
 * of the slab by its place in units of 16 bytes, never by an address, beside a
 * check of 40 bits; both are hidden under a pad. Pad and check are keyed by the
 * slab's secret and bound to the slot that holds the link and to its use, so
 * that a link copied from elsewhere does not verify. The end of a chain is a
 * link too: there is no bare mask to read.
 *
 * A link is a tripwire, not an authority: what is free is said by the state
 * bits, outside user memory.
 */
#ifndef MERLON_LINK_H
#define MERLON_LINK_H

#include "entropy.h"
#include "record.h"

enum { LINK_UNIT_BITS = 24 };

/* A pad for the offsets of a stock. */
static inline uint32_t link_draw_pad(struct stream *stream)
{
    return ENCODED_LINKS ? (uint32_t)stream_draw(stream) : 0;
}

static ALWAYS_INLINE uint64_t link_check(const struct slab_key *key,
                                         uint64_t pad, uint64_t unit)
{
    return fold_product(pad ^ key->word[1], (unit << 1) + key->word[0])
        << LINK_UNIT_BITS;
}

static ALWAYS_INLINE uint64_t link_pad(const struct slab_key *key,
                                       uint32_t place, uint32_t use)
{
    return fold_product(key->word[0] ^ ((uint64_t)use << 32 | place),
                        key->word[1]);
}

/* The word for the slot at byte offset `place`, link number `use`, that names
   the slot at byte offset `next`. */
static ALWAYS_INLINE uint64_t link_encode(const struct slab_key *key,
                                          uint32_t place, uint32_t use,
                                          uint32_t next)
{
    uint64_t unit = next >> UNIT_SHIFT;

    if (!ENCODED_LINKS)
        return unit;
    uint64_t pad = link_pad(key, place, use);
    return pad ^ (unit | link_check(key, pad, unit));
}

/* The byte offset that the word names; false if it does not verify. */
static ALWAYS_INLINE bool link_decode(const struct slab_key *key,
                                      uint32_t place, uint32_t use,
                                      uint64_t word, uint32_t *next)
{
    uint64_t unit = word;

    if (ENCODED_LINKS) {
        uint64_t pad = link_pad(key, place, use);
        word ^= pad;
        unit = word & ((UINT64_C(1) << LINK_UNIT_BITS) - 1);
        if (word != (unit | link_check(key, pad, unit)))
            return false;
    }
    *next = (uint32_t)(unit << UNIT_SHIFT);
    return true;
}

#endif
