/* SPDX-License-Identifier: MIT */
/*
 * shares.c - gathering free slots by their bits, and handing them out.
 *
 * Where a slab has many slots its shares are quarters, scanned word by word:
 * the bits where slots begin are a pattern that moves from word to word, and
 * the batch has the layout of the state. Where there are few, shares are sets
 * that two rotations of the slab's random mask choose, and the batch has one
 * bit for each slot.
 */
#include "shares.h"

#include "arena.h"
#include "bits.h"
#include "slab.h"

enum {
    WORD_UNITS = 64,
    /* With so many slots a quarter is enough to choose among. */
    QUARTERS_SLOTS = 288,
    AGE_RESTED = 1 << 15, /* of 16 bits; more than any delay */
    STEP_LEAST = 5,
    SET_STEP = 7, /* of the rotations, from word to word */
    SET_APART = 29, /* of the two rotations */
};

/* The words of one quarter. */
struct quarter {
    uint32_t begin, end;
    uint32_t stride; /* units from slot to slot */
    uint32_t over;   /* what a word has beyond whole strides */
    uint32_t limit;  /* units that were ever handed out */
    uint64_t pattern; /* of a word that begins with a slot */
};

static bool in_quarters(const struct record *slab)
{
    return slab->slots >= QUARTERS_SLOTS;
}

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

static uint32_t gather_quarter(struct record *slab, unsigned share)
{
    const uint64_t *state = slab_state_words(slab);
    uint64_t *batch = slab_batch_words(slab);
    uint32_t left = 0;
    struct quarter q;

    quarter_find(&q, slab, share);
    uint32_t first = q.begin * WORD_UNITS % q.stride;
    first = first == 0 ? 0 : q.stride - first;
    for (uint32_t word = q.begin; word < q.end; word++) {
        uint64_t bits = q.pattern << first
            & ~__atomic_load_n(&state[word], __ATOMIC_RELAXED);
        if (q.limit - word * WORD_UNITS < WORD_UNITS)
            bits &= bits_run(0, q.limit - word * WORD_UNITS);
        first = first >= q.over ? first - q.over : first + q.stride - q.over;
        batch[word] = bits;
        left += bits_count(bits);
    }
    return left;
}

static uint64_t rotate(uint64_t word, uint32_t by)
{
    return word << (by & 63) | word >> (-by & 63);
}

/* The slots of 64 that belong to a share. */
static uint64_t set_members(struct record *slab, unsigned share,
                            uint32_t word)
{
    uint64_t mask = record_shares(slab)->mask;
    uint64_t low = rotate(mask, word * SET_STEP);
    uint64_t high = rotate(mask, word * SET_STEP + SET_APART);
    uint64_t members = (share & 1 ? low : ~low) & (share & 2 ? high : ~high);
    uint32_t left = slab->fresh - word * WORD_UNITS;

    return left < WORD_UNITS ? members & bits_run(0, left) : members;
}

static uint32_t set_words(const struct record *slab)
{
    return (slab->fresh + WORD_UNITS - 1) / WORD_UNITS;
}

static uint32_t gather_set(struct record *slab, unsigned share)
{
    const uint64_t *state = slab_state_words(slab);
    uint64_t *batch = slab_batch_words(slab);
    uint32_t stride = slab->slot_bytes >> UNIT_SHIFT;
    uint32_t left = 0;

    for (uint32_t word = 0; word < set_words(slab); word++) {
        uint64_t members = set_members(slab, share, word);
        uint64_t found = 0;
        for (uint64_t rest = members; rest != 0; rest &= rest - 1) {
            unsigned bit = bits_lowest(rest);
            size_t unit = (size_t)shares_place(slab, word * WORD_UNITS + bit)
                * stride;
            uint64_t live = exact_load(state, unit) >> (unit & 63) & 1;
            found |= (live ^ 1) << bit;
            left += (uint32_t)(live ^ 1);
        }
        batch[word] = (batch[word] & ~members) | found;
    }
    return left;
}

static void gather(struct record *slab, unsigned share, uint32_t now)
{
    uint32_t left = in_quarters(slab) ? gather_quarter(slab, share)
        : gather_set(slab, share);

    record_shares(slab)->left[share] = (uint16_t)left;
    record_shares(slab)->stamp[share] = (uint16_t)now;
}

/*
 * Strict mode: a slot that was freed here, while a remote free of it is under
 * way, is not handed out again. The owner cleared its state long ago; the
 * sender saw it live and set its bit. The fence is for a sender whose bit
 * is on its way: what rested for half a slab of allocations is seen by now.
 */
static COLD void report_pending(struct record *slab, uint64_t bits,
                                size_t word, struct die_call call)
{
    for (; bits != 0; bits &= bits - 1) {
        size_t unit = word * WORD_UNITS + bits_lowest(bits);
        struct die_facts facts =
            slab_facts(slab, slab->base + (unit << UNIT_SHIFT), call);
        facts.detail = "freed here and by another thread";
        die(DIE_DOUBLE_FREE, &facts);
    }
}

/* Of these free slots of a word of state, those that are under way. They are
   reported, and given up. */
static ALWAYS_INLINE uint64_t late(struct record *slab,
                                   const uint64_t *pending, size_t word,
                                   uint64_t bits, struct die_call call)
{
    if (!STRICT_REMOTE)
        return 0;
    bits &= __atomic_load_n(&pending[word], __ATOMIC_RELAXED);
    if (unlikely(bits != 0))
        report_pending(slab, bits, word, call);
    return bits;
}

/* Words [from, to) of a quarter, as long as the hand has room for a whole one.
   Returns how many slots are given up. */
static uint32_t take_words(struct record *slab, const struct quarter *q,
                           uint32_t from, uint32_t to, struct hand *hand,
                           struct die_call call)
{
    const uint64_t *pending = slab_pending_words(slab);
    uint64_t *batch = slab_batch_words(slab);
    /* At least one word fits: a hand has room for 64 or more. */
    uint32_t room = hand->room - (WORD_UNITS - 1) / q->stride;
    uint32_t count = hand->count, lost = 0;

    for (uint32_t word = from; word < to && count < room; word++) {
        uint64_t bits = batch[word];
        if (bits == 0)
            continue;
        batch[word] = 0;
        uint64_t given_up = late(slab, pending, word, bits, call);
        lost += given_up != 0 ? bits_count(given_up) : 0;
        uint32_t base = word * (WORD_UNITS * UNIT_BYTES);
        for (bits &= ~given_up; bits != 0; bits &= bits - 1)
            hand_put(hand, count++,
                     base + (bits_lowest(bits) << UNIT_SHIFT));
    }
    hand->count = count;
    return lost;
}

/* From a random word on, and then from the beginning. */
static uint32_t take_quarter(struct record *slab, unsigned share,
                             struct hand *hand, uint32_t place,
                             struct die_call call)
{
    struct quarter q;

    quarter_find(&q, slab, share);
    uint32_t middle = q.begin + stream_below(place, q.end - q.begin);
    return take_words(slab, &q, middle, q.end, hand, call)
        + take_words(slab, &q, q.begin, middle, hand, call);
}

static uint32_t take_set(struct record *slab, unsigned share,
                         struct hand *hand, struct die_call call)
{
    const uint64_t *pending = slab_pending_words(slab);
    uint64_t *batch = slab_batch_words(slab);
    uint32_t stride = slab->slot_bytes >> UNIT_SHIFT;
    uint32_t count = hand->count, lost = 0;

    for (uint32_t word = 0; word < set_words(slab); word++) {
        uint64_t bits = batch[word] & set_members(slab, share, word);
        uint64_t left = bits;
        for (; left != 0 && count < hand->room; left &= left - 1) {
            uint32_t place = shares_place(slab, word * WORD_UNITS
                                                    + bits_lowest(left));
            size_t unit = (size_t)place * stride;
            if (late(slab, pending, exact_word(unit), exact_bit(unit), call))
                lost++;
            else
                hand_put(hand, count++, (uint32_t)(unit << UNIT_SHIFT));
        }
        batch[word] &= ~bits | left;
    }
    hand->count = count;
    return lost;
}

static void take(struct record *slab, unsigned share, struct hand *hand,
                 struct die_call call)
{
    uint32_t left = record_shares(slab)->left[share];
    uint32_t place = order_draw(&hand->noise, hand->count,
                                size_min(left, hand->room - hand->count),
                                hand->stream);
    uint32_t taken = 0 - hand->count;

    if (STRICT_REMOTE)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    taken += in_quarters(slab) ? take_quarter(slab, share, hand, place, call)
        : take_set(slab, share, hand, call);
    taken += hand->count;
    record_shares(slab)->left[share] = (uint16_t)(left - taken);
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* A step that meets every slot once; a small or a large one would make
   neighbours follow each other. */
static uint64_t draw_step(uint32_t slots, uint64_t random)
{
    uint64_t least = slots > 4 * STEP_LEAST ? STEP_LEAST : 1;
    uint32_t step = (uint32_t)(least + random % (slots - 2 * least + 1));

    while (common_divisor(slots, step) != 1)
        step++;
    return step;
}

void shares_open(struct record *slab, uint64_t mask)
{
    uint64_t low = mask & ((UINT64_C(1) << SHARES_STEP_SHIFT) - 1);

    mask = low | draw_step(slab->slots, mask >> SHARES_STEP_SHIFT)
        << SHARES_STEP_SHIFT;
    *record_shares(slab) = (struct shares){ .mask = mask };
}

void shares_rest(struct record *slab, uint32_t now, bool rested)
{
    if (rested)
        now -= AGE_RESTED;
    for (unsigned share = 0; share < SHARE_COUNT; share++) {
        if (record_shares(slab)->left[share] == 0)
            gather(slab, share, now);
        record_shares(slab)->stamp[share] = (uint16_t)now;
    }
}

void shares_clear(struct record *slab)
{
    size_t units = (size_t)slab->fresh * (slab->slot_bytes >> UNIT_SHIFT);
    size_t words = in_quarters(slab) ? units / WORD_UNITS + 1
        : set_words(slab);

    if (shares_left(slab) != 0)
        __builtin_memset(slab_batch_words(slab), 0, words * sizeof(uint64_t));
    shares_open(slab, 0);
}

uint32_t shares_left(struct record *slab)
{
    uint32_t sum = 0;

    for (unsigned share = 0; share < SHARE_COUNT; share++)
        sum += record_shares(slab)->left[share];
    return sum;
}

/* The share that rested longest, and for `delay`; SHARE_COUNT: none. */
static unsigned rested(struct record *slab, uint32_t now, uint32_t delay)
{
    unsigned best = SHARE_COUNT;
    uint32_t longest = 0;

    for (unsigned share = 0; share < SHARE_COUNT; share++) {
        const struct shares *shares = record_shares(slab);
        uint32_t age = (uint16_t)(now - shares->stamp[share]);
        if (shares->left[share] != 0 && age >= delay && age >= longest) {
            longest = age;
            best = share;
        }
    }
    return best;
}

void shares_take(struct record *slab, struct hand *hand, uint32_t now,
                 uint32_t delay, uint32_t least, struct die_call call)
{
    uint32_t queued = slab_queued(slab), left = shares_left(slab);
    uint32_t waiting = queued > left ? queued - left : 0;
    uint32_t before;
    unsigned share;

    for (share = 0; share < SHARE_COUNT; share++)
        if (record_shares(slab)->left[share] == 0 && waiting >= least)
            gather(slab, share, now);
    do {
        before = hand->count;
        share = rested(slab, now, delay);
        if (share < SHARE_COUNT)
            take(slab, share, hand, call);
    } while (hand->count != before && hand->count < hand->room / 2);
}
