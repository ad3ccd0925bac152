// SPDX-License-Identifier: MIT
//
// orders.cc - src/'s message queue, mail word, pool, ring and granule bitmaps
// under relacy; see orders.h for how.
//
//   orders [-n SCHEDULES] [-s SEED] [-w FUNCTION.WHAT:FROM:TO] [-m STEP] TEST
//   orders -l TEST        lists the orders and steps that the test meets
//
// Exit status: 0 every schedule was right, 1 one was wrong (its history is
// printed), 2 usage, 3 what was to be weakened was never met.
//
// Where a function of src/heap_free.c or heap_slabs.c is repeated here it has
// its name, and its order of steps; what it does to memory is left out.
#include "orders.h"

#include <unistd.h>

// Headers of merlon, as they are.
struct heap;
#define class size_class
#include "inbox.h"
#include "mail.h"
#include "pool.h"
#include "ring.h"
#include "granules.c"
#undef class

// What granules.c calls when granules are given back that nobody had.
void die(enum die_kind, const struct die_facts *)
{
    RL_ASSERT(false);
}

union sealed_page merlon_sealed_page;
struct arena arenas[ARENA_COUNT_MAX];

// ------------------------------------------------------------- the world

enum { HEAPS = 3, SLABS = 3, SLOTS = 4, SLOT_BYTES = 16, RECORDS = 8 };

static struct record record[RECORDS];
static struct inbox inbox[HEAPS + 1];
static struct pool pool;
static struct ring queue;
alignas(16) static unsigned char memory[SLOTS * SLOT_BYTES];

// What every test has: words that are shared, and what they guard.
template<typename TEST, int THREADS>
struct world : rl::test_suite<TEST, THREADS> {
    shared_words shared;
    rl::var<int> owners_line[RECORDS]; // touched by who owns the record
    rl::var<int> slot[SLOTS];          // the contents of a freed slot
    rl::var<struct record *> next[RECORDS]; // what mail_next names

    void begin()
    {
        shared.count = 0;
        words = &shared;
        memset(record, 0, sizeof record);
        arenas[0].records = record;
        for (int i = 0; i < RECORDS; i++) {
            shared.share(&record[i].mail, 0);
            shared.share(&record[i].pool_next, 0);
            record[i].base = (uintptr_t)memory;
            record[i].slot_bytes = SLOT_BYTES;
            record[i].slots = SLOTS;
            owners_line[i]($) = 0;
            next[i]($) = NULL;
        }
        for (int i = 0; i < SLOTS; i++)
            slot[i]($) = 0;
        for (int i = 0; i <= HEAPS; i++)
            shared.share(&inbox[i].first, 0);
    }

    static uint64_t owned_by(uint32_t id)
    {
        return (uint64_t)id << MAIL_OWNER_SHIFT;
    }

    void set_mail(int slab, uint64_t value)
    {
        cell_of(&record[slab].mail).store(value, rl::mo_relaxed, $);
    }

    // Whoever owns a slab writes to its second line.
    void touch(struct record *slab)
    {
        int i = (int)(slab - record);
        owners_line[i]($) = owners_line[i]($) + 1;
    }

    // The last step of a sender.
    template<typename DRAIN>
    void notify(struct record *slab, uint64_t sent, DRAIN drain)
    {
        uint32_t owner = mail_owner(sent);

        push(owner, slab);
        if (missing("look-after-push"))
            return;
        if (mail_owner(mail_look(slab)) != owner)
            drain(owner);
    }

    void push(uint32_t id, struct record *slab)
    {
        next[slab - record]($) = NULL;
        inbox_push(&inbox[id], slab);
    }

    struct record *next_of(struct record *slab)
    {
        (void)(struct record *)next[slab - record]($);
        return inbox_next(slab);
    }
};

// ------------------------------------------------------------- the queue

// Two producers, one consumer that takes twice: nothing lost, nothing twice,
// and what was written before the push is seen.
struct inbox_test : world<inbox_test, 3> {
    int met[RECORDS];

    void before()
    {
        begin();
        memset(met, 0, sizeof met);
    }

    void take()
    {
        struct record *slab = inbox_take_all(&inbox[1]);

        while (slab) {
            struct record *after = next_of(slab);
            touch(slab);
            met[slab - record]++;
            slab = after;
        }
    }

    void thread(unsigned index)
    {
        if (index == 2) {
            take();
            take();
            return;
        }
        for (unsigned i = 0; i < 2; i++) {
            touch(&record[index * 2 + i]);
            push(1, &record[index * 2 + i]);
        }
    }

    void after()
    {
        take();
        for (int i = 0; i < 4; i++)
            RL_ASSERT(met[i] == 1);
    }
};

// ------------------------------------------------ chains in the mail word

// heap_free.c without the slots' state. `taken` says how often a slot came in.
template<typename TEST, int THREADS>
struct chains : world<TEST, THREADS> {
    int taken[SLOTS];

    typedef world<TEST, THREADS> base;
    using base::touch;
    using base::notify;
    using base::slot;
    using base::next_of;

    void begin_chains()
    {
        base::begin();
        memset(taken, 0, sizeof taken);
    }

    void take_one(int i)
    {
        slot[i]($) = 0; // scrubs the link
        taken[i]++;
    }

    void take_chain(struct record *slab, uint32_t head, uint32_t count)
    {
        while (count-- > 0) {
            uint32_t unit = 0;
            RL_ASSERT(slot[head / SLOT_BYTES]($) == 1);
            chain_read(slab, head, &unit);
            take_one((int)(head / SLOT_BYTES));
            if (count != 0) {
                RL_ASSERT(unit != 0);
                head = (unit - 1) << UNIT_SHIFT;
            }
        }
    }

    void heap_take_post(struct record *slab)
    {
        uint64_t mail = mail_take(slab);

        touch(slab);
        if (mail_count(mail) != 0)
            take_chain(slab, (mail_head(mail) - 1) << UNIT_SHIFT,
                       mail_count(mail));
    }

    bool heap_claim(uint32_t id, struct record *slab)
    {
        if (!mail_claim(slab, id))
            return false;
        touch(slab);
        if (mail_may_have_post(mail_load(slab)))
            heap_take_post(slab);
        return true;
    }

    void take_in(uint32_t id, struct record *slab)
    {
        uint64_t mail, sent;

        if (missing("unnote-before-take") && mail_owner(mail_load(slab)) == id)
            heap_take_post(slab);
        mail = mail_unnote(slab);
        if (id != 0 && mail_owner(mail) == id) {
            if (!missing("unnote-before-take"))
                heap_take_post(slab);
            return;
        }
        if (missing("forward"))
            return;
        if (!mail_has_post(mail))
            return;
        if (mail_owner(mail) == 0 && id != 0 && mail_claim(slab, id)) {
            touch(slab);
            heap_take_post(slab);
            return;
        }
        if (mail_note(slab, true, &sent) == MAIL_NOTIFY)
            notify(slab, sent, [&](uint32_t from) { drain(id, from); });
    }

    void heap_drain(uint32_t id)
    {
        drain(id, id);
    }

    // Take in heap `from`'s inbox as heap `id`.
    void drain(uint32_t id, uint32_t from)
    {
        struct record *slab = inbox_take_all(&inbox[from]);

        while (slab) {
            struct record *after = NULL;
            bool late = missing("next-read-first");
            if (!late)
                after = next_of(slab);
            take_in(id, slab);
            slab = late ? next_of(slab) : after;
        }
    }

    // A parcel of the slots [first, first + count).
    void post(uint32_t id, struct record *slab, int first, int count)
    {
        enum mail_result result;
        uint64_t sent;
        uint32_t link = 0;

        for (int i = first; i < first + count; i++) {
            slot[i]($) = 1;
            chain_write(slab, (uint32_t)i * SLOT_BYTES, link);
            link = (uint32_t)i + 1;
        }
        uint32_t head = (uint32_t)(first + count - 1) * SLOT_BYTES;
        uint32_t tail = (uint32_t)first * SLOT_BYTES;
        while ((result = mail_send_chain(slab, head, tail, (uint32_t)count,
                                         id == 0, &sent)) == MAIL_NOBODY) {
            if (!mail_claim(slab, id))
                continue;
            touch(slab);
            take_chain(slab, head, (uint32_t)count);
            heap_take_post(slab);
            return;
        }
        if (result == MAIL_NOTIFY)
            notify(slab, sent, [&](uint32_t from) { drain(id, from); });
    }

    void settle_all()
    {
        for (int round = 0; round < 2; round++) {
            for (uint32_t id = 1; id <= HEAPS; id++)
                heap_drain(id);
        }
        uint64_t mail = cell_of(&record[0].mail).load(rl::mo_relaxed, $);
        if (mail_owner(mail) == 0 && mail_has_post(mail))
            heap_claim(1, &record[0]);
    }
};

// Two send, the owner takes in.
struct post_test : chains<post_test, 3> {
    void before()
    {
        begin_chains();
        set_mail(0, owned_by(1));
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            heap_drain(1);
            heap_drain(1);
        } else if (index == 1) {
            post(2, &record[0], 0, 2);
            post(2, &record[0], 2, 1);
        } else {
            post(3, &record[0], 3, 1);
        }
    }

    void after()
    {
        settle_all();
        for (int i = 0; i < SLOTS; i++)
            RL_ASSERT(taken[i] == 1);
    }
};

// The owner lets go while others send, and one of them may claim.
struct claim_test : chains<claim_test, 3> {
    void before()
    {
        begin_chains();
        set_mail(0, owned_by(1));
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            heap_drain(1);
            touch(&record[0]);
            if (mail_let_go(&record[0], 0, false, false) == MAIL_KEPT)
                heap_take_post(&record[0]);
            heap_drain(1);
        } else {
            post(index + 1, &record[0], (int)index - 1, 1);
            heap_drain(index + 1);
        }
    }

    void after()
    {
        settle_all();
        RL_ASSERT(taken[0] == 1 && taken[1] == 1);
    }
};

// The owner ends: lets go even of what is noted, then looks at its inbox until
// it is empty, and never again. Nothing may stay there.
struct close_test : chains<close_test, 2> {
    void before()
    {
        begin_chains();
        set_mail(0, owned_by(1));
    }

    void heap_close()
    {
        do {
            heap_drain(1);
            // Taking in may have claimed what was let go a moment ago.
            while (mail_owner(mail_load(&record[0])) == 1) {
                touch(&record[0]);
                if (mail_let_go(&record[0], 0, false, true) == MAIL_KEPT)
                    heap_take_post(&record[0]);
            }
            if (missing("look-again"))
                return;
        } while (!inbox_is_empty(&inbox[1]));
    }

    void thread(unsigned index)
    {
        if (index == 0)
            heap_close();
        else
            post(2, &record[0], 0, 1);
    }

    void after()
    {
        // Heap 1 sleeps; what drains is the others, and whoever claims.
        for (int i = 0; i < 2; i++)
            heap_drain(2);
        uint64_t mail = cell_of(&record[0].mail).load(rl::mo_relaxed, $);
        RL_ASSERT(mail_owner(mail) != 1);
        if (mail_owner(mail) == 0)
            heap_claim(2, &record[0]);
        RL_ASSERT(taken[0] == 1);
        RL_ASSERT(!(cell_of(&record[0].mail).load(rl::mo_relaxed, $)
                    & MAIL_NOTED));
    }
};

// A thread without a heap posts into a slab that somebody is claiming and
// letting go again.
struct loose_test : chains<loose_test, 3> {
    void before()
    {
        begin_chains();
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            post(0, &record[0], 0, 1);
            return;
        }
        if (heap_claim(index, &record[0])) {
            touch(&record[0]);
            if (mail_let_go(&record[0], 0, false, false) == MAIL_KEPT)
                heap_take_post(&record[0]);
        }
        heap_drain(index);
    }

    void after()
    {
        settle_all();
        RL_ASSERT(taken[0] == 1);
    }
};

// ------------------------------------------------------ bits (strict-remote)

// One pending word of slab 0; its state word. `taken` as above.
template<typename TEST, int THREADS>
struct bits : world<TEST, THREADS> {
    int taken[SLOTS];
    int reported;
    uint64_t pending_word, state_word;

    typedef world<TEST, THREADS> base;
    using base::shared;
    using base::touch;
    using base::notify;
    using base::slot;
    using base::next_of;

    void begin_bits()
    {
        base::begin();
        memset(taken, 0, sizeof taken);
        reported = 0;
        shared.share(&pending_word, 0);
        shared.share(&state_word, ~UINT64_C(0));
    }

    static uint64_t bit(int i)
    {
        return UINT64_C(1) << i;
    }

    void take_pending(struct record *slab)
    {
        touch(slab);
        if (__atomic_load_n(&pending_word, __ATOMIC_SEQ_CST) == 0)
            return;
        uint64_t now = __atomic_exchange_n(&pending_word, 0, __ATOMIC_ACQ_REL);
        for (int i = 0; i < SLOTS; i++) {
            if (!(now & bit(i)))
                continue;
            RL_ASSERT(slot[i]($) == 1); // the sender's scrubbing
            slot[i]($) = 0;
            taken[i]++;
        }
        uint64_t live = __atomic_load_n(&state_word, __ATOMIC_RELAXED);
        __atomic_store_n(&state_word, live & ~now, __ATOMIC_RELAXED);
    }

    void heap_take_post(struct record *slab)
    {
        if (missing("begin-intake")) {
            cell_of(&slab->mail).fetch_and(~MAIL_LOOSE, rl::mo_seq_cst, $);
            take_pending(slab);
            return;
        }
        mail_take(slab);
        take_pending(slab);
        mail_taken(slab);
    }

    // Has the owner freed the slot, whose bit was set just now? He has not.
    bool is_freed_by_owner(struct record *slab, int i)
    {
        for (int attempt = 0; attempt < 3; attempt++) {
            uint64_t mail = mail_look(slab);
            uint64_t bits = __atomic_load_n(&pending_word, __ATOMIC_ACQUIRE);
            uint64_t live = __atomic_load_n(&state_word, __ATOMIC_RELAXED);
            __atomic_thread_fence(__ATOMIC_ACQUIRE);
            if (missing("compare-intakes"))
                return !(live & bit(i)) && (bits & bit(i)) != 0;
            if (!mail_is_taken_in(mail)
                && ((mail ^ mail_look(slab)) & MAIL_INTAKES) == 0)
                return !(live & bit(i)) && (bits & bit(i)) != 0;
        }
        return false;
    }

    bool heap_claim(uint32_t id, struct record *slab)
    {
        if (!mail_claim(slab, id))
            return false;
        touch(slab);
        if (missing("look-at-claim"))
            return true;
        if (mail_may_have_post(mail_load(slab)))
            heap_take_post(slab);
        return true;
    }

    void take_in(uint32_t id, struct record *slab)
    {
        uint64_t mail, sent;

        if (missing("unnote-before-take") && mail_owner(mail_load(slab)) == id)
            heap_take_post(slab);
        mail = mail_unnote(slab);
        if (id != 0 && mail_owner(mail) == id) {
            if (!missing("unnote-before-take"))
                heap_take_post(slab);
            return;
        }
        if (mail_owner(mail) == MAIL_ARENA || missing("forward"))
            return;
        if (mail_owner(mail) == 0 && id != 0 && mail_claim(slab, id)) {
            touch(slab);
            if (!missing("take-what-was-noted")
                || mail_may_have_post(mail_load(slab)))
                heap_take_post(slab);
            return;
        }
        if (mail_note(slab, true, &sent) == MAIL_NOTIFY)
            notify(slab, sent, [&](uint32_t from) { drain(id, from); });
    }

    void heap_drain(uint32_t id)
    {
        drain(id, id);
    }

    // Take in heap `from`'s inbox as heap `id`.
    void drain(uint32_t id, uint32_t from)
    {
        struct record *slab = inbox_take_all(&inbox[from]);

        while (slab) {
            struct record *after = next_of(slab);
            take_in(id, slab);
            slab = after;
        }
    }

    // free_remote_strict, after is_sound. False: reported.
    bool send(uint32_t id, struct record *slab, int i)
    {
        enum mail_result result;
        uint64_t sent;

        slot[i]($) = 1;
        uint64_t old = __atomic_fetch_or(&pending_word, bit(i),
                                         __ATOMIC_SEQ_CST);
        if (old & bit(i)) {
            reported++;
            return false;
        }
        while ((result = mail_note(slab, id == 0, &sent)) == MAIL_NOBODY) {
            if (mail_claim(slab, id)) {
                touch(slab);
                heap_take_post(slab);
                return true;
            }
        }
        if (result == MAIL_NOTIFY)
            notify(slab, sent, [&](uint32_t from) { drain(id, from); });
        return true;
    }

    void settle_all()
    {
        for (int round = 0; round < 2; round++) {
            for (uint32_t id = 1; id <= HEAPS; id++)
                heap_drain(id);
        }
        uint64_t mail = cell_of(&record[0].mail).load(rl::mo_relaxed, $);
        if (mail_owner(mail) == 0 && mail_may_have_post(mail))
            heap_claim(1, &record[0]);
    }
};

struct bits_post_test : bits<bits_post_test, 3> {
    void before()
    {
        begin_bits();
        set_mail(0, owned_by(1));
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            heap_drain(1);
            heap_drain(1);
        } else if (index == 1) {
            send(2, &record[0], 0);
            send(2, &record[0], 1);
        } else {
            send(3, &record[0], 2);
        }
    }

    void after()
    {
        settle_all();
        for (int i = 0; i < 3; i++)
            RL_ASSERT(taken[i] == 1);
    }
};

struct bits_claim_test : bits<bits_claim_test, 3> {
    void before()
    {
        begin_bits();
        set_mail(0, owned_by(1));
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            heap_drain(1);
            touch(&record[0]);
            if (mail_let_go(&record[0], 0, false, false) == MAIL_KEPT)
                heap_take_post(&record[0]);
            heap_drain(1);
        } else {
            send(index + 1, &record[0], (int)index - 1);
            heap_drain(index + 1);
        }
    }

    void after()
    {
        settle_all();
        RL_ASSERT(taken[0] == 1 && taken[1] == 1);
    }
};

// The owner ends: lets go even of what is noted, then looks at its inbox until
// it is empty, and never again. Nothing may stay there.
struct bits_close_test : bits<bits_close_test, 2> {
    void before()
    {
        begin_bits();
        set_mail(0, owned_by(1));
    }

    void heap_close()
    {
        do {
            heap_drain(1);
            // Taking in may have claimed what was let go a moment ago.
            while (mail_owner(mail_load(&record[0])) == 1) {
                touch(&record[0]);
                if (mail_let_go(&record[0], 0, false, true) == MAIL_KEPT)
                    heap_take_post(&record[0]);
            }
            if (missing("look-again"))
                return;
        } while (!inbox_is_empty(&inbox[1]));
    }

    void thread(unsigned index)
    {
        if (index == 0)
            heap_close();
        else
            send(2, &record[0], 0);
    }

    void after()
    {
        // Heap 1 sleeps; what drains is the others, and whoever claims.
        for (int i = 0; i < 2; i++)
            heap_drain(2);
        uint64_t mail = cell_of(&record[0].mail).load(rl::mo_relaxed, $);
        RL_ASSERT(mail_owner(mail) != 1);
        if (mail_owner(mail) == 0)
            heap_claim(2, &record[0]);
        RL_ASSERT(taken[0] == 1);
        RL_ASSERT(!(cell_of(&record[0].mail).load(rl::mo_relaxed, $)
                    & MAIL_NOTED));
    }
};

// Sound programs only: a slot is sent, taken in, used again and sent again by
// another thread. No sender may believe that the owner has freed it.
struct bits_seen_test : bits<bits_seen_test, 3> {
    uint64_t handed;
    int sent;

    void before()
    {
        begin_bits();
        shared.share(&handed, 0);
        sent = 0;
        set_mail(0, owned_by(1));
    }

    void send_and_look(uint32_t id)
    {
        send(id, &record[0], 0);
        sent++;
        RL_ASSERT(!is_freed_by_owner(&record[0], 0));
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            heap_drain(1);
            if (taken[0] == 1) {
                __atomic_store_n(&state_word, ~UINT64_C(0), __ATOMIC_RELAXED);
                __atomic_store_n(&handed, 1, __ATOMIC_RELEASE);
            }
            heap_drain(1);
        } else if (index == 1) {
            send_and_look(2);
        } else if (__atomic_load_n(&handed, __ATOMIC_ACQUIRE) == 1) {
            send_and_look(3);
        }
    }

    void after()
    {
        settle_all();
        RL_ASSERT(taken[0] == sent);
    }
};

struct bits_loose_test : bits<bits_loose_test, 3> {
    void before()
    {
        begin_bits();
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            send(0, &record[0], 0);
            return;
        }
        if (heap_claim(index, &record[0])) {
            touch(&record[0]);
            if (mail_let_go(&record[0], 0, false, false) == MAIL_KEPT)
                heap_take_post(&record[0]);
        }
        heap_drain(index);
    }

    void after()
    {
        settle_all();
        RL_ASSERT(taken[0] == 1);
    }
};

// The owner frees a slot itself while another thread frees it too. The slot is
// then in the owner's stock, or the empty slab is given back: somebody must have
// reported it by then. (A clear state in "recheck" may be an intake's as well:
// there is none here, and bits_seen_test has them.)
struct bits_race_test : bits<bits_race_test, 2> {
    bool sent;

    void before()
    {
        begin_bits();
        set_mail(0, owned_by(1));
        sent = false;
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            // heap_put; then, at the refill, check_pending.
            uint64_t word = __atomic_load_n(&state_word, __ATOMIC_RELAXED);
            __atomic_store_n(&state_word, word & ~bit(0), __ATOMIC_RELAXED);
            if (!missing("fence-at-refill"))
                __atomic_thread_fence(__ATOMIC_SEQ_CST);
            if (missing("check-pending"))
                return;
            if (__atomic_load_n(&pending_word, __ATOMIC_RELAXED) & bit(0))
                reported++;
        } else {
            // is_sound, and then the bit.
            if (!(__atomic_load_n(&state_word, __ATOMIC_RELAXED) & bit(0))) {
                reported++;
                return;
            }
            __atomic_fetch_or(&pending_word, bit(0), __ATOMIC_SEQ_CST);
            sent = true;
            // C11 29.3p4 and p5: what is seq_cst on this side and a fence on
            // the other. relacy knows fence against fence only.
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
            if (missing("recheck"))
                return;
            if (!(__atomic_load_n(&state_word, __ATOMIC_RELAXED) & bit(0)))
                reported++;
        }
    }

    void after()
    {
        RL_ASSERT(!sent || reported != 0);
    }
};

// ------------------------------------------------------------------ pool

// Slabs go into the pool and out of it; one is claimed by a free as well.
struct pool_test : world<pool_test, 3> {
    void before()
    {
        begin();
        shared.share(&pool.top, 0);
        for (int i = 0; i < 2; i++) {
            set_mail(i, MAIL_POOLED);
            pool_put(&pool, &record[i]);
        }
    }

    void leave(struct record *slab)
    {
        touch(slab);
        if (mail_let_go(slab, 0, true, false) == MAIL_LEFT_TO_POOL)
            pool_put(&pool, slab);
    }

    void take(uint32_t id)
    {
        struct record *slab = pool_take(&pool);

        if (slab && mail_claim(slab, id))
            leave(slab);
    }

    void thread(unsigned index)
    {
        if (index == 2) {
            if (mail_claim(&record[0], 3))
                leave(&record[0]);
            take(3);
        } else {
            take(index + 1);
            take(index + 1);
        }
    }

    void after()
    {
        int met[RECORDS] = {0};
        while (struct record *slab = pool_take(&pool))
            met[slab - record]++;
        for (int i = 0; i < 2; i++)
            RL_ASSERT(met[i] == 1);
    }
};

// ------------------------------------------------------------------ ring

// A ring that is full but for one: what falls out is in one hand.
struct ring_test : world<ring_test, 3> {
    void before()
    {
        begin();
        shared.share(&queue.head, 1);
        shared.share(&queue.tail, RING_COUNT);
        for (int i = 0; i < 4; i++)
            shared.share(&queue.place[i],
                         i == 0 ? 0 : (uint64_t)(uintptr_t)&record[i]);
    }

    void hold(struct record *held)
    {
        if (held)
            touch(held);
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            touch(&record[4]);
            hold(ring_put(&queue, &record[4]));
            touch(&record[5]);
            hold(ring_put(&queue, &record[5]));
        } else if (index == 1) {
            hold(ring_take(&queue));
        } else {
            hold(ring_take(&queue));
            touch(&record[6]);
            hold(ring_put(&queue, &record[6]));
        }
    }
};

// -------------------------------------------------------------- granules

// Takers, who use and give back, and a purger. `page` is what a granule holds.
struct granules_test : world<granules_test, 3> {
    struct granule_word word;
    struct granules part;
    rl::var<int> page[4];

    void before()
    {
        begin();
        part.words = &word;
        // Four granules are in play.
        shared.share(&word.used, ~UINT64_C(15));
        shared.share(&word.dirty, 1);
        shared.share(&word.aged, 0);
        shared.share(&part.window, GRANULES_WORD);
        shared.share(&part.taken, 0);
        shared.share(&part.hint, 0);
        shared.share(&part.group, 0);
        shared.share(&part.dirty, 1);
        for (int i = 0; i < 4; i++)
            page[i]($) = i == 0;
    }

    void use(size_t count)
    {
        bool clean = false;
        size_t index = granules_take(&part, count, 0, &clean);

        if (index == GRANULES_NONE)
            return;
        for (size_t i = index; i < index + count; i++) {
            if (clean)
                RL_ASSERT(page[i]($) == 0);
            page[i]($) = 1;
        }
        granules_give(&part, index, count, true);
    }

    void purge(bool now)
    {
        uint64_t ripe = granules_claim_ripe(&part, 0, now);

        for (int i = 0; i < 4; i++) {
            if (ripe >> i & 1)
                page[i]($) = 0;
        }
        if (ripe)
            granules_purged(&part, 0, ripe, true);
    }

    void thread(unsigned index)
    {
        if (index == 2) {
            purge(true);
            purge(false);
            purge(false);
        } else {
            use(index + 1);
            use(1);
        }
    }

    void after()
    {
        RL_ASSERT(cell_of(&word.used).load(rl::mo_relaxed, $)
                  == ~UINT64_C(15));
        // What is clean by the bits is clean.
        uint64_t dirty = cell_of(&word.dirty).load(rl::mo_relaxed, $);
        for (int i = 0; i < 4; i++)
            RL_ASSERT((dirty >> i & 1) || page[i]($) == 0);
    }
};

// ------------------------------------------------------------------ main

static long schedules = 10000;
static unsigned long seed = 1;

template<typename TEST> bool run()
{
    rl::test_params params;

    params.search_type = rl::random_scheduler_type;
    params.iteration_count = (rl::iteration_t)schedules;
    params.initial_state = std::to_string(seed);
    return rl::simulate<TEST>(params);
}

static const struct {
    const char *name;
    bool strict; // in builds with strict-remote, or without
    bool (*run)();
} tests[] = {
    { "inbox", false, run<inbox_test> },
    { "post", false, run<post_test> },
    { "claim", false, run<claim_test> },
    { "loose", false, run<loose_test> },
    { "close", false, run<close_test> },
    { "bits-post", true, run<bits_post_test> },
    { "bits-claim", true, run<bits_claim_test> },
    { "bits-loose", true, run<bits_loose_test> },
    { "bits-close", true, run<bits_close_test> },
    { "bits-seen", true, run<bits_seen_test> },
    { "bits-race", true, run<bits_race_test> },
    { "pool", false, run<pool_test> },
    { "ring", false, run<ring_test> },
    { "granules", false, run<granules_test> },
};

static void usage()
{
    fprintf(stderr, "usage: orders [-n SCHEDULES] [-s SEED]"
            " [-w FUNCTION.WHAT:FROM:TO] [-m STEP] [-l] TEST\nTests:");
    for (auto &test : tests) {
        if (test.strict == STRICT_REMOTE)
            fprintf(stderr, " %s", test.name);
    }
    fprintf(stderr, "\n");
    exit(2);
}

// Cuts the text at its colons.
static void parse_change(char *text)
{
    char *from = strchr(text, ':');
    char *to = from ? strchr(from + 1, ':') : NULL;

    if (!to)
        usage();
    *from = *to = 0;
    wanted_site = text;
    wanted_from = from + 1;
    wanted_to = to + 1;
}

// One a line: "order FUNCTION.WHAT:ORDER" or "step NAME".
static void print_sites()
{
    for (unsigned i = 0; i < site_count; i++) {
        if (strcmp(sites[i].order, "step") == 0)
            printf("step %s\n", sites[i].function);
        else
            printf("order %s.%s:%s\n", sites[i].function, sites[i].what,
                   sites[i].order);
    }
}

int main(int argc, char **argv)
{
    bool list = false;
    int option;

    while ((option = getopt(argc, argv, "n:s:w:m:l")) != -1) {
        switch (option) {
        case 'n': schedules = atol(optarg); break;
        case 's': seed = strtoul(optarg, NULL, 0); break;
        case 'w': parse_change(optarg); break;
        case 'm': wanted_missing = optarg; break;
        case 'l': list = true; break;
        default: usage();
        }
    }
    if (optind + 1 != argc)
        usage();
    for (auto &test : tests) {
        if (strcmp(test.name, argv[optind]) != 0
            || test.strict != STRICT_REMOTE)
            continue;
        bool right = test.run();
        if (list)
            print_sites();
        if (right && !wanted_met
            && (*wanted_site || *wanted_missing)) {
            fprintf(stderr, "orders: not met\n");
            return 3;
        }
        return right ? 0 : 1;
    }
    usage();
}
