/* SPDX-License-Identifier: MIT */
/*
 * mail.pml - who owns a slab, who hears of what was freed into it (src/mail.h,
 * inbox.h, heap_free.c, heap_slabs.c), in every interleaving.
 *
 * One slab, two slots, three heaps. Heap 1 owns the slab at first and ends
 * (-DCLOSES) or lets go once and then sleeps for ever (-DSLEEPS). Heaps 2 and 3
 * free one slot each and take in what comes. -DSTANDIN: heap 3 is a stand-in
 * without a number. A compare-and-swap loop is one step: what it read before
 * the swap that succeeded has no effect.
 *
 * What must hold: one owner at a time touches the slab, the slab stands in one
 * inbox at most, no slot is taken in twice, and at the end nothing is under way
 * unless heap 1 sleeps and owns the slab.
 *
 * Left out on request, to be found: -DNO_LOOK (who pushes does not look again
 * at the owner), -DNO_AGAIN (who closes does not look into its inbox again),
 * -DLEAVE_NOTED (lets go of a noted slab and sleeps), -DLATE_UNNOTE (the note
 * is taken out after the post), -DASK_AFTER (a claim out of the inbox asks the
 * word whether post came), -DNO_FORWARD.
 */
#if defined(STANDIN)
#define ID3 0
#else
#define ID3 3
#endif

byte owner = 1;
bool noted, loose;
bool pend[2];
byte taken[2];
bool stands[4];     /* the slab is in this heap's inbox */
byte inside;        /* who works on the slab's second line */
byte done;

inline enter(me) { assert(inside == 0); inside = me }
inline leave() { inside = 0 }

inline take_bits(me)
{
    enter(me);
    loose = false;
    i = 0;
    do
    :: i < 2 ->
        atomic {
            if
            :: pend[i] -> pend[i] = false; taken[i]++;
                assert(taken[i] == 1)
            :: else
            fi
        }
        i++
    :: else -> break
    od;
    leave()
}

/* mail_note; `loose` may be left by a stand-in, or when passing on. */
inline note(may_loose)
{
    atomic {
        if
        :: owner == 0 && !(may_loose) -> to = 255
        :: owner != 0 && !noted -> noted = true; to = owner
        :: noted -> to = 0
        :: owner == 0 && (may_loose) && !noted -> loose = true; to = 0
        fi
    }
}

inline push()
{
    atomic {
        assert(!stands[1] && !stands[2] && !stands[3]);
        stands[to] = true
    }
}

/* Take in the inbox of heap `from`, as heap `me`; pushes and looks again. */
inline drain(me)
{
    do
    ::  atomic { got = stands[from]; stands[from] = false }
        if
        :: !got -> break
        :: else
        fi;
#ifdef LATE_UNNOTE
        if
        :: owner == me && me != 0 -> take_bits(me)
        :: else
        fi;
#endif
        atomic { noted = false; was = owner }
        to = 0;
        if
        :: was == me && me != 0 ->
#ifndef LATE_UNNOTE
            take_bits(me)
#else
            skip
#endif
        :: else ->
            mine = false;
            if
            :: was == 0 && me != 0 ->
                atomic { if :: owner == 0 -> owner = me; mine = true :: else fi }
            :: else
            fi;
            if
            :: mine ->
#ifdef ASK_AFTER
                if
                :: loose || noted -> take_bits(me)
                :: else
                fi
#else
                take_bits(me)
#endif
            :: else ->
#ifndef NO_FORWARD
                note(true);
                if
                :: to != 0 -> push()
                :: else
                fi
#else
                skip
#endif
            fi
        fi;
#ifndef NO_LOOK
        if
        :: to != 0 && owner != to -> from = to
        :: else -> break
        fi
#else
        break
#endif
    od
}

inline send(me, slot)
{
    atomic { assert(!pend[slot]); pend[slot] = true }
    do
    ::  note(me == 0);
        if
        :: to == 255 ->
            mine = false;
            atomic { if :: owner == 0 -> owner = me; mine = true :: else fi }
            if
            :: mine -> take_bits(me); break
            :: else
            fi
        :: to == 0 -> break
        :: else ->
            push();
#ifndef NO_LOOK
            if
            :: owner != to -> from = to; drain(me)
            :: else
            fi;
#endif
            break
        fi
    od
}

proctype first()
{
    byte i, to, was, from;
    bool got, mine;

#ifdef CLOSES
    do
    ::  from = 1; drain(1);
        do
        :: owner == 1 ->
            enter(1); leave();
            atomic {
                if
                :: !loose -> owner = 0
                :: else
                fi
            }
            if
            :: owner == 1 -> take_bits(1)
            :: else
            fi
        :: else -> break
        od;
#ifdef NO_AGAIN
        break
#else
        if
        :: stands[1]
        :: else -> break
        fi
#endif
    od;
#else
    from = 1; drain(1);
    if
    :: owner == 1 ->
        enter(1); leave();
        atomic {
            if
#ifdef LEAVE_NOTED
            :: owner == 1 && !loose -> owner = 0
#else
            :: owner == 1 && !loose && !noted -> owner = 0
#endif
            :: else
            fi
        }
    :: else
    fi;
#endif
    done++
}

proctype other(byte me; byte slot)
{
    byte i, to, was, from;
    bool got, mine;

    send(me, slot);
    if
    :: me != 0 -> from = me; drain(me)
    :: else
    fi;
    done++
}

/* Heaps 2 and 3 are awake: they look into their inboxes again, and somebody
   who frees into a slab of nobody's, or takes it from the pool, claims it. */
proctype last()
{
    byte i, to, was, from;
    bool got, mine;

    done == 3;
    from = 2; drain(2);
    from = 3; drain(3);
    from = 2; drain(2);
    if
    :: owner == 0 ->
        owner = 2;
        if
        :: loose || noted -> take_bits(2)
        :: else
        fi
    :: else
    fi;
#ifdef CLOSES
    assert(owner != 1);
#endif
    if
    :: owner == 1
    :: else ->
        assert(taken[0] == 1 && taken[1] == 1);
        /* Whoever frees into it next is heard. */
        assert(!noted)
    fi
}

init {
    atomic {
        run first();
        run other(2, 0);
        run other(ID3, 1);
        run last()
    }
}
