/* SPDX-License-Identifier: MIT */
/*
 * fork.pml - the child of a fork: who notices it, which number the child gets,
 * and whose heaps are given away (src/process.c, thread.c).
 *
 * The child begins with one thread, M, which forked, and a heap of the parent's
 * generation; a dead thread's heap, D, lies about. M makes a thread, T, before
 * or after its own first slow call, or sleeps. Both may notice at once. T also
 * buries; M may. A heap that is buried may be opened by a third thread.
 *
 * What must hold: no heap is used by two, and no heap of a living thread is
 * given away. With the handler, D is given away in the end.
 *
 * -DBARE: no fork handler ran (_Fork, clone). To be found: -DNO_SURVIVOR (the
 * handler does not tell who forked), -DBARE -DBURY_BARE (buries without it),
 * -DSTORE_ONE (the number is kept apart from the word that the kernel wipes: who
 * sees zero writes one and counts up).
 */
#define M 1
#define T 2
#define D 3
#define PARENT 1    /* generation */

byte word;          /* on the wiped page */
byte drawn = PARENT;
byte born[4];       /* generation of each heap; 0: nobody's */
byte user_of[4];    /* living thread that has this heap */
bool buries;
byte survivor;
byte next_to_bury = 1;
byte done;
bool gone;

inline generation(mine)
{
#ifdef STORE_ONE
    if
    :: word == 0 ->
        word = 1; drawn++; mine = drawn
    :: else -> mine = drawn
    fi
#else
    mine = word;
    if
    :: mine == 0 ->
        atomic { drawn++; number = drawn }
        atomic {
            if
            :: word == 0 -> word = number; mine = number
            :: else -> mine = word
            fi
        }
    :: else
    fi
#endif
}

inline bury(me)
{
    do
    :: buries ->
        atomic {
            id = next_to_bury;
            if
            :: id <= D -> next_to_bury++
            :: else -> break
            fi
        }
        generation(mine);
        age = born[id];
        if
        :: id != me && id != survivor && age != 0 && age < mine ->
            atomic {
                /* Closing it: nobody alive may have it. */
                assert(user_of[id] == 0);
                born[id] = 0;
                gone = gone || id == D
            }
        :: else
        fi
    :: else -> break
    od
}

/* thread_enter of a thread that has heap `me`, or opens it. */
inline slow_call(me)
{
    generation(mine);
    atomic { assert(user_of[me] == 0 || user_of[me] == me); user_of[me] = me }
    born[me] = mine
}

proctype thread_t()
{
    byte mine, number, id, age;

    slow_call(T);
    bury(T);
    generation(mine);
    slow_call(T);
    done++
}

proctype thread_m()
{
    byte mine, number, id, age;

#ifndef BARE
    /* in_child */
    word = 0;
#ifndef NO_SURVIVOR
    survivor = M;
#endif
    buries = true;
#else
#ifdef BURY_BARE
    buries = true;
#endif
#endif
    if
    :: slow_call(M)
    :: skip
    fi;
    run thread_t();
    if
    :: slow_call(M); bury(M)
    :: skip             /* sleeps, or keeps to its fast paths */
    fi;
    /* Awake again, and it still has its heap. */
    assert(born[M] != 0 && user_of[M] == M);
    done++
}

init {
    born[M] = PARENT; born[D] = PARENT; user_of[M] = M;
    run thread_m();
    done == 2;
#ifndef BARE
    assert(gone)
#endif
}
