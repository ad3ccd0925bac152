/* SPDX-License-Identifier: MIT */
/*
 * few.c - slabs with few slots: a word has a bit for each.
 *
 * There is one word for each share, one for the slots that were never
 * handed out (virgins; where slots are large), one for those that have
 * settled, and one for those that were free when pages were last given back.
 * The slots that wait are in the record (`freed`).
 *
 * These words begin the slab's batch, or, where it has several granules, stand
 * in the second one's record, whose owner's line nobody needs: its page is
 * touched anyway, and a page of the batch would be for one such slab alone.
 */
#include "gather.h"

#include "arena.h"
#include "bits.h"
#include "os.h"

enum { VIRGINS = SHARE_COUNT, SETTLED, PURGED, FEW_WORDS };

_Static_assert((int)FEW_WORDS == (int)RECORD_FEW_WORDS,
               "a record has room for them");

static uint64_t *few_words(const struct record *slab)
{
    if (slab->slot_bytes <= CLASS_SINGLE_BYTES)
        return slab_batch_words(slab);
    return record_few_words((struct record *)(slab + 1));
}

uint64_t shares_virgins(const struct record *slab)
{
    return few_words(slab)[VIRGINS];
}

/* Slots that were freed, and are not in the stock. */
static uint64_t few_in(struct record *slab)
{
    const uint64_t *batch = few_words(slab);
    uint64_t in = record_shares(slab)->freed;

    for (unsigned share = 0; share < SHARE_COUNT; share++)
        in |= batch[share];
    return in;
}

/* Slots that are live, or in the stock. */
static uint64_t few_out(struct record *slab)
{
    const uint64_t *batch = few_words(slab);
    uint64_t in = few_in(slab);

    if (shares_large(slab))
        return bits_run(0, slab->slots) & ~(in | batch[VIRGINS]);
    return slab->fresh != 0 ? bits_run(0, slab->fresh) & ~in : 0;
}

struct found few_gather(struct record *slab, unsigned share, bool all)
{
    uint64_t *batch = few_words(slab);
    uint64_t freed = record_shares(slab)->freed;
    struct found found = { 0, 0 };
    uint64_t bits = gather_word(freed, few_out(slab), &batch[SETTLED], all,
                                &found);

    record_shares(slab)->freed = freed ^ bits;
    compiler_fence();
    batch[share] = bits;
    return found;
}

uint32_t few_take(struct record *slab, unsigned share, struct hand *hand,
                  const struct die_call *call)
{
    const uint64_t *pending = slab_pending_words(slab);
    uint64_t *batch = few_words(slab);
    size_t stride = slab->slot_bytes >> UNIT_SHIFT;
    struct dealer dealer = dealer_of(hand);
    uint64_t bits = batch[share];
    uint32_t lost = 0;

    for (; bits != 0 && dealer.count < hand->room; bits &= bits - 1) {
        size_t unit = bits_lowest(bits) * stride;
        if (gather_late(slab, pending, exact_word(unit), exact_bit(unit), call))
            lost++;
        else
            deal(&dealer, (uint32_t)(unit << UNIT_SHIFT) ^ hand->pad);
    }
    batch[PURGED] &= ~batch[share] | bits;
    batch[share] = bits;
    hand->count = dealer.count;
    return lost;
}

/* The whole pages of a run of slots. */
static bool purge_run(const struct record *slab, unsigned first,
                      unsigned count)
{
    size_t page = os_page_bytes(), size = slab->slot_bytes;
    uintptr_t from = align_up(slab->base + first * size, page);
    uintptr_t to = align_down(slab->base + (first + count) * size, page);

    return from < to && os_purge((void *)from, to - from);
}

/* What was written to a free slot would be gone with its pages. */
static void verify(struct record *slab, uint64_t bits, struct die_call call)
{
    const uint64_t *key = slab->key.word;
    uint32_t draw = (uint32_t)(SLAB_KEY ? *key : slab->base);

    for (; WRITE_CHECK && bits != 0; bits &= bits - 1) {
        uintptr_t slot = slab->base
            + (size_t)bits_lowest(bits) * slab->slot_bytes;
        if (likely(scrub_is_whole(slot, slab->slot_bytes, &draw)))
            continue;
        struct die_facts facts = slab_facts(slab, slot, call);
        facts.detail = "noticed when its pages were given back";
        die(DIE_WRITE_AFTER_FREE, &facts);
    }
}

bool few_purge(struct record *slab, struct die_call call)
{
    uint64_t *purged = &few_words(slab)[PURGED];
    uint64_t idle = few_in(slab), more = idle & ~*purged;
    bool any = false;

    if (more == 0)
        return false;
    verify(slab, more, call);
    *purged = idle;
    while (idle != 0) {
        unsigned first, count;
        uint64_t run = bits_lowest_run(idle, &first, &count);
        if ((run & more) != 0)
            any |= purge_run(slab, first, count);
        idle &= ~run;
    }
    return any;
}

void few_settle(struct record *slab)
{
    few_words(slab)[SETTLED] |= few_out(slab);
}

void few_open(struct record *slab)
{
    /* The record may have had another life. */
    if (slab->slot_bytes > CLASS_SINGLE_BYTES)
        few_clear(slab);
    if (shares_large(slab))
        few_words(slab)[VIRGINS] = bits_run(0, slab->slots);
}

void few_clear(struct record *slab)
{
    __builtin_memset(few_words(slab), 0, FEW_WORDS * sizeof(uint64_t));
}

uint32_t few_draw_virgin(struct record *slab, uint32_t random)
{
    uint64_t *bits = &few_words(slab)[VIRGINS];
    uint64_t left = *bits;

    for (uint32_t skip = stream_below(random, bits_count(left)); skip > 0;
         skip--)
        left &= left - 1;
    *bits &= ~(left & -left);
    return bits_lowest(left);
}
