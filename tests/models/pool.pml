/* SPDX-License-Identifier: MIT */
/*
 * pool.pml - the tagged stacks (src/pool.h; the stack of ended heaps in
 * heap_life.c is the same): a slab comes out into one hand at a time.
 *
 * Reading the top, reading the link and the compare-and-swap are steps of their
 * own, so that others can take and put in between. -DNO_TAG: the tag stays as
 * it is, and ABA must be found.
 */
#define SLABS 3

byte place;         /* the top: 0 is the end */
byte tag;
byte next[SLABS + 1];
bool held[SLABS + 1];

inline put(slab)
{
    do
    ::  atomic { seen = place; mark = tag }
        next[slab] = seen;
        atomic {
            if
            :: place == seen && tag == mark ->
                place = slab;
#ifndef NO_TAG
                tag++;
#endif
                break
            :: else
            fi
        }
    od
}

inline take(slab)
{
    slab = 0;
    do
    ::  atomic { seen = place; mark = tag }
        if
        :: seen == 0 -> break
        :: else
        fi;
        after = next[seen];
        atomic {
            if
            :: place == seen && tag == mark ->
                place = after;
                slab = seen;
                assert(!held[slab]);
                held[slab] = true;
                break
            :: else
            fi
        }
    od
}

proctype user(byte rounds)
{
    byte seen, mark, after, one, two;

    do
    :: rounds > 0 ->
        rounds--;
        take(one);
        take(two);
        if
        :: one != 0 -> held[one] = false; put(one)
        :: else
        fi;
        if
        :: two != 0 -> held[two] = false; put(two)
        :: else
        fi
    :: else -> break
    od
}

init {
    atomic {
        next[2] = 1; next[3] = 2; place = 3;
        run user(1);
        run user(1);
        run user(1)
    }
}
