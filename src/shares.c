/* SPDX-License-Identifier: MIT */
/*
 * shares.c - when free slots are gathered, and which of them come next.
 *
 * How it is done depends on how many slots a slab has: quarters.c and few.c.
 */
#include "shares.h"

#include "bits.h"
#include "gather.h"
#include "slab.h"

enum {
    AGE_RESTED = 1 << 15, /* of 16 bits; more than any delay */
    /* Sleepers of a share are counted up to here. */
    ASLEEP_BITS = 4,
    ASLEEP_MAX = (1 << ASLEEP_BITS) - 1,
    /* Hands of so few slots are looked through for neighbours. */
    PART_SLOTS_MIN = 4,
    PART_SLOTS_MAX = 72,
    HAND_MIN = 2,
    HAND_LARGE_BYTES = 64 << 10,
};

/*
 * Strict mode: a slot that was freed here, while a remote free of it is under
 * way, is not handed out again. The owner cleared its state long ago; the
 * sender saw it live and set its bit. The fence is for a sender whose bit
 * is on its way: what rested for half a slab of allocations is seen by now.
 */
void gather_report(struct record *slab, uint64_t bits, size_t word,
                   struct die_call call)
{
    for (; bits != 0; bits &= bits - 1) {
        size_t unit = word * WORD_UNITS + bits_lowest(bits);
        struct die_facts facts =
            slab_facts(slab, slab->base + (unit << UNIT_SHIFT), call);
        facts.detail = "freed here and by another thread";
        die(DIE_DOUBLE_FREE, &facts);
    }
}

/* Few slots: the first share stands for all of them. */
static void note_asleep(struct record *slab, unsigned share, uint32_t count)
{
    unsigned shift = shares_few(slab->slot_bytes) ? 0 : share * ASLEEP_BITS;

    slab->asleep &= (uint16_t)~(ASLEEP_MAX << shift);
    slab->asleep |= (uint16_t)(size_min(count, ASLEEP_MAX) << shift);
}

/* About; many may be more. */
static uint32_t count_asleep(const struct record *slab)
{
    uint32_t sum = 0;

    for (uint32_t rest = slab->asleep; rest != 0; rest >>= ASLEEP_BITS)
        sum += rest & ASLEEP_MAX;
    return sum;
}

static void gather(struct record *slab, unsigned share, uint32_t now, bool all)
{
    struct found found = shares_few(slab->slot_bytes)
        ? few_gather(slab, share, all) : quarters_gather(slab, share, all);

    record_shares(slab)->left[share] = (uint16_t)found.left;
    record_shares(slab)->stamp[share] = (uint16_t)now;
    note_asleep(slab, share, found.asleep);
}

/* Whenever fresh slots are taken. */
static void settle(struct record *slab)
{
    if (!DELAYED_REUSE)
        return;
    if (shares_few(slab->slot_bytes))
        few_settle(slab);
    else
        quarters_settle(slab);
}

static void take(struct record *slab, unsigned share, struct hand *hand,
                 const struct die_call *call)
{
    uint32_t left = record_shares(slab)->left[share];
    uint32_t place = order_draw(&hand->noise, hand->count,
                                size_min(left, hand->room - hand->count),
                                hand->stream);
    uint32_t taken = 0 - hand->count;

    if (STRICT_REMOTE)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    taken += shares_few(slab->slot_bytes)
        ? few_take(slab, share, hand, call)
        : quarters_take(slab, share, hand, place, call);
    taken += hand->count;
    record_shares(slab)->left[share] = (uint16_t)(left - taken);
}

void shares_take_fresh(struct record *slab, struct hand *hand, uint32_t count)
{
    struct dealer dealer = dealer_of(hand);
    uint32_t size = slab->slot_bytes;

    settle(slab);
    order_draw(&hand->noise, hand->count, count, hand->stream);
    if (shares_large(slab)) {
        for (uint32_t i = 0; i < count; i++) {
            uint32_t random = (uint32_t)stream_draw(hand->stream);
            deal(&dealer, few_draw_virgin(slab, random) * size ^ hand->pad);
        }
    } else {
        for (uint32_t i = 0; i < count; i++)
            deal(&dealer, (slab->fresh + i) * size ^ hand->pad);
    }
    slab->fresh += count;
    hand->count = dealer.count;
}

void shares_open(struct record *slab)
{
    *record_shares(slab) = (struct shares){ 0 };
    slab->asleep = slab->settled = 0;
    if (shares_few(slab->slot_bytes))
        few_open(slab);
}

void shares_rest(struct record *slab, uint32_t now, bool rested)
{
    uint16_t *left = record_shares(slab)->left;

    if (rested)
        now -= AGE_RESTED;
    for (unsigned share = 0; share < SHARE_COUNT; share++) {
        if (left[share] == 0)
            gather(slab, share, now, true);
        record_shares(slab)->stamp[share] = (uint16_t)now;
    }
}

static void clear_words(uint64_t *words, size_t count)
{
    __builtin_memset(words, 0, count * sizeof *words);
}

void shares_clear(struct record *slab)
{
    size_t units = (size_t)slab->fresh * (slab->slot_bytes >> UNIT_SHIFT);
    size_t words = units / WORD_UNITS + 1;

    if (shares_few(slab->slot_bytes)) {
        few_clear(slab);
    } else {
        if (shares_left(slab) != 0)
            clear_words(slab_batch_words(slab), words);
        if (DELAYED_REUSE)
            clear_words(slab_settled_words(slab), words);
    }
    *record_shares(slab) = (struct shares){ 0 };
    slab->asleep = slab->settled = 0;
}

bool shares_purge(struct record *slab, struct die_call call)
{
    return SCRUB && shares_few(slab->slot_bytes) && few_purge(slab, call);
}

uint32_t shares_left(struct record *slab)
{
    uint32_t sum = 0;

    for (unsigned share = 0; share < SHARE_COUNT; share++)
        sum += record_shares(slab)->left[share];
    return sum;
}

/* The youngest share that rested for `delay`; SHARE_COUNT: none. */
static unsigned rested(struct record *slab, uint32_t now, uint32_t delay)
{
    unsigned best = SHARE_COUNT;
    uint32_t youngest = UINT32_MAX;

    for (unsigned share = 0; share < SHARE_COUNT; share++) {
        const struct shares *shares = record_shares(slab);
        uint32_t age = (uint16_t)(now - shares->stamp[share]);
        if (shares->left[share] != 0 && age >= delay && age < youngest) {
            youngest = age;
            best = share;
        }
    }
    return best;
}

void shares_part(const struct record *slab, struct hand *hand, uint32_t from)
{
    uint32_t size = slab->slot_bytes, count = hand->count;

    if (!RANDOM_ORDER || count > PART_SLOTS_MAX || count < PART_SLOTS_MIN)
        return;
    uint32_t *slots = hand->slots, pad = hand->pad;
    uint32_t begin = (uint32_t)size_max(from, 1);
    uint32_t before = slots[begin - 1] ^ pad;

    for (uint32_t i = begin; i < count; i++) {
        uint32_t slot = slots[i] ^ pad;
        /* Distances are multiples of the size, and none is zero: plus one
           size, a neighbour's is zero or two sizes. */
        bool apart = ((slot - before + size) & ~(2 * size)) != 0;
        before = slot;
        if (likely(apart))
            continue;
        uint32_t other = stream_below((uint32_t)stream_draw(hand->stream),
                                      count);
        slots[i] = slots[other];
        slots[other] = slot ^ pad;
        before = slots[i] ^ pad;
    }
}

uint32_t shares_hand(const struct record *slab, uint32_t room)
{
    uint32_t wanted = slab->slots / SHARE_COUNT;

    if (shares_large(slab))
        wanted = (uint32_t)size_min(wanted, HAND_LARGE_BYTES
                                                / slab->slot_bytes);
    return (uint32_t)size_max(size_min(wanted, room / 2), HAND_MIN);
}

/* Slots that could be gathered. */
static uint32_t count_waiting(struct record *slab, bool all)
{
    uint32_t queued = slab_queued(slab);
    uint32_t other = shares_left(slab) + (all ? 0 : count_asleep(slab));

    return queued > other ? queued - other : 0;
}

static void gather_waiting(struct record *slab, uint32_t now, uint32_t least,
                           bool all)
{
    for (unsigned share = 0; share < SHARE_COUNT; share++) {
        /* Of few slots the first empty share takes all. */
        if (record_shares(slab)->left[share] == 0
            && count_waiting(slab, all) >= least)
            gather(slab, share, now, all);
    }
}

void shares_take(struct record *slab, struct hand *hand, uint32_t now,
                 uint32_t delay, uint32_t least, struct die_call call)
{
    uint32_t wanted = hand->count + shares_hand(slab, hand->room);
    /* So many sleepers are not left alone. */
    uint32_t enough = (uint32_t)size_max(size_min(slab->wake, least) / 4,
                                         size_min(least, 2));
    bool all = least == 1 || count_asleep(slab) >= enough;
    uint32_t before;
    unsigned share;

    gather_waiting(slab, now, least, all);
    /* They may all have been freed since. */
    if (!all && count_asleep(slab) >= enough)
        gather_waiting(slab, now, least, true);
    do {
        before = hand->count;
        share = rested(slab, now, delay);
        if (share < SHARE_COUNT)
            take(slab, share, hand, &call);
    } while (hand->count != before && hand->count < wanted);
}
