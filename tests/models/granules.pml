/* SPDX-License-Identifier: MIT */
/*
 * granules.pml - the used, dirty and aged bits of granules (src/granules.c) and
 * what their pages hold, with two takers and a purger, in every interleaving.
 *
 * Each access to a word is a step of its own. What must hold: a granule is in
 * one hand at a time, nobody purges what another uses, who is told "clean" finds
 * zeros, and at the end everything that holds memory is marked dirty, so that
 * nothing stays resident for ever.
 *
 * To be found: -DUSED_FIRST (the giver clears used before it marks dirty),
 * -DGIVE_FIRST (the purger gives the granule back before it clears dirty). That
 * the purger looks at dirty once more after its claim saves work only.
 */
byte used, dirty, aged; /* bits 0 and 1 */
byte page;              /* these hold memory */
byte inside;            /* these are in somebody's hand */
byte done;

inline hold(mask) { assert(!(inside & mask)); inside = inside | mask }
inline drop(mask) { inside = inside & ~mask }

inline give(mask)
{
#ifdef USED_FIRST
    atomic { drop(mask); used = used & ~mask }
    dirty = dirty | mask
#else
    dirty = dirty | mask;
    atomic { drop(mask); used = used & ~mask }
#endif
}

/* granules_take_at: claim, then take_clean. */
inline use(mask)
{
    mine = false;
    atomic {
        if
        :: !(used & mask) -> used = used | mask; mine = true; hold(mask)
        :: else
        fi
    }
    if
    :: mine ->
        clean = !(dirty & mask);
        if
        :: !clean -> dirty = dirty & ~mask; aged = aged & ~mask
        :: else
        fi;
        assert(!clean || !(page & mask));
        page = page | mask;
        give(mask)
    :: else
    fi
}

proctype user(byte first, second)
{
    bool mine, clean;

    use(first);
    use(second);
    done++
}

/* granules_claim_ripe for each bit, then granules_purged. */
inline tick(now)
{
    atomic { seen = dirty }
    seen = seen & ~used;
    if
    :: now -> ripe = seen
    :: else -> ripe = seen & aged
    fi;
    claimed = 0;
    at = 1;
    do
    :: at <= 2 ->
        if
        :: ripe & at ->
            atomic {
                if
                :: !(used & at) ->
                    used = used | at; claimed = claimed | at; hold(at)
                :: else
                fi
            }
        :: else
        fi;
        at = at * 2
    :: else -> break
    od;
    still = claimed & dirty;
    if
    :: still != claimed ->
        atomic { drop(claimed & ~still); used = used & ~(claimed & ~still) }
    :: else
    fi;
    aged = aged | (seen & ~still);
    aged = aged & ~still;
#ifdef GIVE_FIRST
    atomic { drop(still); used = used & ~still }
    dirty = dirty & ~still;
    page = page & ~still
#else
    dirty = dirty & ~still;
    page = page & ~still;
    atomic { drop(still); used = used & ~still }
#endif
}

proctype purger()
{
    byte seen, ripe, claimed, at, still;

    tick(false);
    tick(false);
    tick(true);
    done++
}

init {
    atomic {
        dirty = 1; page = 1;
        run user(1, 3);
        run user(2, 1);
        run purger()
    }
    done == 3;
    assert(used == 0);
    assert(!(page & ~dirty))
}
