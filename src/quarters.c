/* SPDX-License-Identifier: MIT */
/*
 * quarters.c - slabs with many slots: their shares are quarters.
 *
 * A quarter is scanned word by word. The bits where slots begin are a pattern
 * that moves from word to word; the batch, and the bits that say which slots
 * have settled, have the layout of the state.
 */
#include "gather.h"

#include "arena.h"
#include "bits.h"

/* The words of one quarter. */
struct quarter {
    uint32_t begin, end;
    uint32_t stride; /* units from slot to slot */
    uint32_t over;   /* what a word has beyond whole strides */
    uint32_t limit;  /* units that were ever handed out */
    uint64_t pattern; /* of a word that begins with a slot */
};

static void quarter_find(struct quarter *q, const struct record *slab,
                         unsigned share)
{
    uint32_t stride = slab->slot_bytes >> UNIT_SHIFT;
    uint32_t total = slab->slots * stride / WORD_UNITS + 1;

    q->stride = stride;
    q->over = WORD_UNITS % stride;
    q->limit = slab->fresh * stride;
    q->begin = total * share / SHARE_COUNT;
    q->end = (uint32_t)size_min((q->limit + WORD_UNITS - 1) / WORD_UNITS,
                                total * (share + 1) / SHARE_COUNT);
    q->pattern = 1;
    for (uint32_t at = stride; at < WORD_UNITS; at += stride)
        q->pattern |= UINT64_C(1) << at;
}

/*
 * The words of the settled are written late: while slots are handed out for the
 * first time and none is free, all of them have settled, and one number
 * says so. A heap that only grows touches no page for it.
 */
static void write_settled(struct record *slab)
{
    uint64_t *settled = slab_settled_words(slab);
    uint32_t units = slab->settled * (slab->slot_bytes >> UNIT_SHIFT);

    slab->settled = 0;
    for (uint32_t word = 0; word * WORD_UNITS < units; word++) {
        uint32_t left = units - word * WORD_UNITS;
        settled[word] |= bits_run(0, left < WORD_UNITS ? left : WORD_UNITS);
    }
}

struct found quarters_gather(struct record *slab, unsigned share, bool all)
{
    const uint64_t *state = slab_state_words(slab);
    uint64_t *batch = slab_batch_words(slab);
    uint64_t *settled = slab_settled_words(slab);
    struct found found = { 0, 0 };
    struct quarter q;

    if (DELAYED_REUSE && slab->settled != 0)
        write_settled(slab);
    quarter_find(&q, slab, share);
    uint32_t first = q.begin * WORD_UNITS % q.stride;
    first = first == 0 ? 0 : q.stride - first;
    for (uint32_t word = q.begin; word < q.end; word++) {
        uint64_t live = __atomic_load_n(&state[word], __ATOMIC_RELAXED);
        /* Where granules are large, a stride may be longer than a word. */
        uint64_t bits = first < WORD_UNITS ? q.pattern << first & ~live : 0;
        if (q.limit - word * WORD_UNITS < WORD_UNITS)
            bits &= bits_run(0, q.limit - word * WORD_UNITS);
        first = first >= q.over ? first - q.over : first + q.stride - q.over;
        batch[word] = gather_word(bits, live, &settled[word], all, &found);
    }
    return found;
}

/* Words [from, to) of a quarter, as long as the hand has room for a whole one.
   Returns how many slots are given up. */
static uint32_t take_words(struct record *slab, const struct quarter *q,
                           uint32_t from, uint32_t to, struct hand *hand,
                           const struct die_call *call)
{
    const uint64_t *pending = slab_pending_words(slab);
    uint64_t *batch = slab_batch_words(slab);
    /* At least one word fits: a hand has room for 64 or more. */
    uint32_t room = hand->room - (WORD_UNITS - 1) / q->stride;
    uint32_t pad = hand->pad, lost = 0;
    struct dealer dealer = dealer_of(hand);

    for (uint32_t word = from; word < to && dealer.count < room; word++) {
        uint64_t bits = batch[word];
        if (bits == 0)
            continue;
        batch[word] = 0;
        uint64_t given_up = gather_late(slab, pending, word, bits, call);
        lost += given_up != 0 ? bits_count(given_up) : 0;
        /* The place in the word is below: XOR adds it. */
        uint32_t base = word * (WORD_UNITS * UNIT_BYTES) ^ pad;
        for (bits &= ~given_up; bits != 0; bits &= bits - 1)
            deal(&dealer, bits_lowest(bits) << UNIT_SHIFT ^ base);
    }
    hand->count = dealer.count;
    return lost;
}

/* From a random word on, and then from the beginning. */
uint32_t quarters_take(struct record *slab, unsigned share, struct hand *hand,
                       uint32_t place, const struct die_call *call)
{
    struct quarter q;

    quarter_find(&q, slab, share);
    uint32_t middle = q.begin + stream_below(place, q.end - q.begin);
    return take_words(slab, &q, middle, q.end, hand, call)
        + take_words(slab, &q, q.begin, middle, hand, call);
}

void quarters_settle(struct record *slab)
{
    const uint64_t *state = slab_state_words(slab);
    uint64_t *settled = slab_settled_words(slab);
    uint32_t units = slab->fresh * (slab->slot_bytes >> UNIT_SHIFT);

    if (slab_queued(slab) == 0 && slab->fresh < UINT16_MAX) {
        slab->settled = (uint16_t)slab->fresh;
        return;
    }
    if (slab->settled != 0)
        write_settled(slab);
    for (uint32_t word = 0; word * WORD_UNITS < units; word++)
        settled[word] |= __atomic_load_n(&state[word], __ATOMIC_RELAXED);
}
