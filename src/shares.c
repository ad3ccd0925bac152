/* SPDX-License-Identifier: MIT */
/*
 * shares.c - gathering free slots by their bits, and handing them out.
 *
 * Many slots: quarters are scanned word by word; the bits where slots begin
 * are a pattern that moves from word to word, and the batch has the layout of
 * the state. Few slots: the batch is one word for each share, one for the
 * slots that were never handed out, and one for those that have settled.
 */
#include "shares.h"

#include "arena.h"
#include "bits.h"
#include "slab.h"

enum {
    WORD_UNITS = 64,
    AGE_RESTED = 1 << 15, /* of 16 bits; more than any delay */
    VIRGINS = SHARE_COUNT, /* the word behind those of the shares */
    SETTLED,
    FEW_WORDS,
    /* Sleepers of a share are counted up to here. */
    ASLEEP_BITS = 4,
    ASLEEP_MAX = (1 << ASLEEP_BITS) - 1,
    /* Hands of so few slots are looked through for neighbours. */
    PART_SLOTS_MIN = 4,
    PART_SLOTS_MAX = 72,
};

/* The words of one quarter. */
struct quarter {
    uint32_t begin, end;
    uint32_t stride; /* units from slot to slot */
    uint32_t over;   /* what a word has beyond whole strides */
    uint32_t limit;  /* units that were ever handed out */
    uint64_t pattern; /* of a word that begins with a slot */
};

/* Local copies: nothing that is written in a loop can be an alias of them. */
struct dealer {
    uint32_t *slots;
    const uint8_t *noise;
    uint32_t count;
};

static ALWAYS_INLINE void deal(struct dealer *dealer, uint32_t value)
{
    order_insert(dealer->slots, dealer->count, value, dealer->noise);
    dealer->count++;
}

static struct dealer dealer_of(const struct hand *hand)
{
    return (struct dealer){ hand->slots, hand->noise.byte, hand->count };
}

/* --- many slots -------------------------------------------------------- */

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

/* What a gathering found. */
struct found {
    uint32_t left, asleep;
};

/* The bits of one word: what is free of it, but for the sleepers. */
static ALWAYS_INLINE uint64_t gather_word(uint64_t free_bits, uint64_t live,
                                          uint64_t *settled, bool all,
                                          struct found *found)
{
    uint64_t kept = DELAYED_REUSE && !all ? free_bits & *settled : 0;

    if (DELAYED_REUSE)
        *settled = kept | live;
    if (kept != 0)
        found->asleep += bits_count(kept);
    free_bits ^= kept;
    if (free_bits != 0)
        found->left += bits_count(free_bits);
    return free_bits;
}

/*
 * The words of the settled are written late: while a slab's slots are handed out
 * for the first time and none is free, all of them have settled, and one number
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

static struct found gather_quarter(struct record *slab, unsigned share,
                                   bool all)
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
                                   uint64_t bits, const struct die_call *call)
{
    if (!STRICT_REMOTE)
        return 0;
    bits &= __atomic_load_n(&pending[word], __ATOMIC_RELAXED);
    if (unlikely(bits != 0))
        report_pending(slab, bits, word, *call);
    return bits;
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
        uint64_t given_up = late(slab, pending, word, bits, call);
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
static uint32_t take_quarter(struct record *slab, unsigned share,
                             struct hand *hand, uint32_t place,
                             const struct die_call *call)
{
    struct quarter q;

    quarter_find(&q, slab, share);
    uint32_t middle = q.begin + stream_below(place, q.end - q.begin);
    return take_words(slab, &q, middle, q.end, hand, call)
        + take_words(slab, &q, q.begin, middle, hand, call);
}

/* --- few slots --------------------------------------------------------- */

uint64_t shares_virgins(const struct record *slab)
{
    return slab_batch_words(slab)[VIRGINS];
}

/* Slots that are live, or in the stock. */
static uint64_t few_out(struct record *slab)
{
    const uint64_t *batch = slab_batch_words(slab);
    uint64_t in = record_shares(slab)->freed;

    for (unsigned share = 0; share < SHARE_COUNT; share++)
        in |= batch[share];
    if (shares_large(slab))
        return bits_run(0, slab->slots) & ~(in | batch[VIRGINS]);
    return slab->fresh != 0 ? bits_run(0, slab->fresh) & ~in : 0;
}

static struct found gather_few(struct record *slab, unsigned share, bool all)
{
    uint64_t *batch = slab_batch_words(slab);
    uint64_t freed = record_shares(slab)->freed;
    struct found found = { 0, 0 };
    uint64_t bits = gather_word(freed, few_out(slab), &batch[SETTLED], all,
                                &found);

    record_shares(slab)->freed = freed ^ bits;
    compiler_fence();
    batch[share] = bits;
    return found;
}

static uint32_t take_few(struct record *slab, unsigned share,
                         struct hand *hand, const struct die_call *call)
{
    const uint64_t *pending = slab_pending_words(slab);
    uint64_t *batch = slab_batch_words(slab);
    size_t stride = slab->slot_bytes >> UNIT_SHIFT;
    struct dealer dealer = dealer_of(hand);
    uint64_t bits = batch[share];
    uint32_t lost = 0;

    for (; bits != 0 && dealer.count < hand->room; bits &= bits - 1) {
        size_t unit = bits_lowest(bits) * stride;
        if (late(slab, pending, exact_word(unit), exact_bit(unit), call))
            lost++;
        else
            deal(&dealer, (uint32_t)(unit << UNIT_SHIFT) ^ hand->pad);
    }
    batch[share] = bits;
    hand->count = dealer.count;
    return lost;
}

/* One of these bits, and *bits without it. */
static uint32_t draw_bit(uint64_t *bits, uint32_t random)
{
    uint64_t left = *bits;

    for (uint32_t skip = stream_below(random, bits_count(left)); skip > 0;
         skip--)
        left &= left - 1;
    *bits &= ~(left & -left);
    return bits_lowest(left);
}

/* --- both -------------------------------------------------------------- */

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
        ? gather_few(slab, share, all) : gather_quarter(slab, share, all);

    record_shares(slab)->left[share] = (uint16_t)found.left;
    record_shares(slab)->stamp[share] = (uint16_t)now;
    note_asleep(slab, share, found.asleep);
}

/* Whenever fresh slots are taken: what is live now has settled. */
static void settle(struct record *slab)
{
    const uint64_t *state = slab_state_words(slab);
    uint64_t *settled = slab_settled_words(slab);
    uint32_t units = slab->fresh * (slab->slot_bytes >> UNIT_SHIFT);

    if (!DELAYED_REUSE)
        return;
    if (shares_few(slab->slot_bytes)) {
        slab_batch_words(slab)[SETTLED] |= few_out(slab);
        return;
    }
    if (slab_queued(slab) == 0 && slab->fresh < UINT16_MAX) {
        slab->settled = (uint16_t)slab->fresh;
        return;
    }
    if (slab->settled != 0)
        write_settled(slab);
    for (uint32_t word = 0; word * WORD_UNITS < units; word++)
        settled[word] |= __atomic_load_n(&state[word], __ATOMIC_RELAXED);
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
        ? take_few(slab, share, hand, call)
        : take_quarter(slab, share, hand, place, call);
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
        uint64_t *virgins = &slab_batch_words(slab)[VIRGINS];
        uint64_t random = 0;
        for (uint32_t i = 0; i < count; i++) {
            random = i % 2 == 0 ? stream_draw(hand->stream) : random >> 32;
            deal(&dealer, draw_bit(virgins, (uint32_t)random) * size
                              ^ hand->pad);
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
    if (shares_large(slab))
        slab_batch_words(slab)[VIRGINS] = bits_run(0, slab->slots);
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
        clear_words(slab_batch_words(slab), FEW_WORDS);
    } else {
        if (shares_left(slab) != 0)
            clear_words(slab_batch_words(slab), words);
        if (DELAYED_REUSE)
            clear_words(slab_settled_words(slab), words);
    }
    *record_shares(slab) = (struct shares){ 0 };
    slab->asleep = slab->settled = 0;
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
    for (uint32_t i = size_max(from, 1); i < count; i++) {
        uint32_t before = hand->slots[i - 1] ^ hand->pad;
        uint32_t slot = hand->slots[i] ^ hand->pad;
        if (slot + size != before && before + size != slot)
            continue;
        uint32_t other = stream_below((uint32_t)stream_draw(hand->stream),
                                      count);
        hand->slots[i] = hand->slots[other];
        hand->slots[other] = slot ^ hand->pad;
    }
}

/* So many slots are enough: of few half, that the others may rest. */
static uint32_t hand_wanted(const struct record *slab,
                            const struct hand *hand)
{
    uint32_t part = shares_few(slab->slot_bytes) ? 2 : SHARE_COUNT;

    return (uint32_t)size_min(slab->slots / part, hand->room / 2);
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
    uint32_t wanted = hand->count + hand_wanted(slab, hand);
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
