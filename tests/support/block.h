/* SPDX-License-Identifier: MIT */
/*
 * block.h - blocks that say themselves how large they are and what is in them,
 * so that whoever ends one, in whichever thread, can tell whether it is whole.
 */
#ifndef MERLON_TEST_BLOCK_H
#define MERLON_TEST_BLOCK_H

#include "pattern.h"
#include "suite.h"

struct block {
    size_t bytes;
    uint64_t tag;
    unsigned char contents[];
};

/* At least `bytes`, a quarter of them by calloc; NULL when there are none. */
static inline struct block *block_make(struct rng *rng, size_t bytes)
{
    if (bytes < sizeof(struct block))
        bytes = sizeof(struct block);
    struct block *block =
        rng_below(rng, 4) ? m.malloc(bytes) : m.calloc(bytes, 1);
    if (block == NULL)
        return NULL;
    block->bytes = bytes;
    block->tag = rng_next(rng);
    pattern_fill(block->contents, bytes - sizeof *block, block->tag);
    return block;
}

static inline bool block_is_whole(const struct block *block)
{
    return pattern_holds(block->contents, block->bytes - sizeof *block,
                         block->tag);
}

/* Free it; false if it was not whole. */
static inline bool block_end(struct block *block)
{
    if (block == NULL)
        return true;
    bool whole = block_is_whole(block);
    block->tag = 0;
    m.free(block);
    return whole;
}

#endif
