#!/bin/sh
# SPDX-License-Identifier: MIT
#
# attacks.sh - the tests bite: every attack on the hardened variant, on it with
# each mitigation switched off alone, and on the fast variant.
#
#   tests/attacks.sh [--write] [BUILD-DIRECTORY]
#
# The tables of crimes (check_death, check_overwrite, check_pointers,
# check_attacks) and the properties (tests/properties) run in each build. What
# the full variant catches must go unnoticed somewhere when its mitigation is
# off: the script fails if it does not. The table is printed; with --write it
# becomes doc/attacks.md. Some minutes; no part of make check.
#
# Exit status: 0 every mitigation is missed when it is off, 1 not so.
set -eu
LC_ALL=C
export LC_ALL

top=$(cd "$(dirname "$0")/.." && pwd -P)
write=no
if [ "${1:-}" = --write ]; then
    write=yes
    shift
fi
if [ $# -gt 0 ]; then
    mkdir -p "$1"
    work=$(cd "$1" && pwd -P)
else
    work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-attacks.XXXXXX")
    trap 'rm -rf "$work"' EXIT
fi
trap 'exit 1' HUP INT TERM
unset LD_PRELOAD MERLON_OPTIONS MAKEFLAGS
programs='check_death check_overwrite check_pointers check_attacks
    properties/properties'
failed=0

# A build: its name, and what is off. A to D are for mitigations that others
# stand in for: what strict-remote catches at the call, a canary that is missing
# shows as well; and links pass through freed memory without strict-remote only,
# where exact-state catches much of what they lead to. So encoded-links is judged
# by exact-state against C, and once more by itself: links is the fast variant
# and nothing else on. A wrong pointer has no canary behind it: D.
builds() {
    cat <<'END'
full
exact-state       exact-state strict-remote
strict-remote     strict-remote
encoded-links     encoded-links
random-order      random-order
delayed-reuse     delayed-reuse
class-isolation   class-isolation
guard-pages       guard-pages
scrub             scrub write-check
write-check       write-check
canary            canary
sealed-state      sealed-state
sampling          sampling
A                 canary strict-remote
B                 encoded-links strict-remote
C                 encoded-links exact-state strict-remote
D                 canary exact-state strict-remote
links
fast
END
}

# A mitigation; a build with it, one without it, and a kind of attack of which
# the second must catch fewer.
must_bite() {
    cat <<'END'
exact-state     full   exact-state     double free, one thread
exact-state     full   exact-state     double free, several threads
exact-state     canary D               wrong pointer
exact-state     full   exact-state     frees in a race, counted
strict-remote   canary A               double free, several threads
encoded-links   exact-state C          forged message
encoded-links   links  fast            forged message
random-order    full   random-order    neighbours, fresh process
random-order    full   random-order    neighbours, 256 objects
random-order    full   random-order    layout of children
delayed-reuse   full   delayed-reuse   early reuse
class-isolation full   class-isolation class crossing
guard-pages     full   guard-pages     long overrun
guard-pages     full   guard-pages     early reuse of spans
scrub           full   scrub           read of old contents
scrub           full   scrub           read of freed slots
write-check     full   write-check     write after free
write-check     full   write-check     write after free, then purge
write-check     full   write-check     forged words, 10,000
canary          full   canary          small overflow
sealed-state    full   sealed-state    write to the configuration
sampling        full   sampling        stale read, now and then
END
}

build() { # NAME SWITCH-OFF...
    dir=$work/$1
    mkdir -p "$dir"
    cd "$dir"
    hardening=--enable-hardening
    case $1 in
    fast) hardening= ;;
    links) hardening=--enable-encoded-links ;;
    esac
    shift
    for switch in "$@"; do
        hardening="$hardening --disable-$switch"
    done
    targets=
    for program in $programs; do
        targets="$targets tests/$program"
    done
    if [ ! -f Makefile ]; then
        # shellcheck disable=SC2086 # a list of options
        "$top/configure" -q --cache-file="$work/cache" $hardening
    fi
    # shellcheck disable=SC2086 # a list of words
    make -s -j2 $targets
}

# A line for each attack: kind, 1 caught or 0 not. A child that died of a
# signal was caught where a guard is meant to; elsewhere it was the attack.
crimes() {
    awk -F ' *[|] *' '
        function kind(name) {
            if (name ~ /message forged/) return "forged message"
            if (name ~ /configuration/) return "write to the configuration"
            if (name ~ /100,000 times/) return "stale read, now and then"
            if (name ~ /read of uninit|read after|read of a freed span/)
                return "read of old contents"
            if (name ~ /write to a freed/) return "write to a freed span"
            if (name ~ /pages (go back|were gone)/) return "write after free, then purge"
            if (name ~ /write after.*middle/ && $3 > 256)
                return "write after free, middle of a long object"
            if (name ~ /write after/) return "write after free"
            if (name ~ /overrun of|before a span/) return "long overrun"
            if (name ~ /past the end|canary/) return "small overflow"
            if (name ~ /link|ones|zero$|small offset|whole slot|freed slots/)
                return "forged word in a freed slot"
            if (name ~ /at the call|when taken in/)
                return "double free, several threads"
            if (name ~ /free twice|freed object|moved|then free$/)
                return "double free, one thread"
            return "wrong pointer"
        }
        /^# [|]/ {
            k = kind($2)
            fault = \
                k ~ /overrun|overflow|stale|configuration|contents|span/
            harmless = $4 ~ /no effect/
            good = $4 ~ /^report/ || $4 ~ /SIGSEGV|SIGBUS/ && fault
            # Contents that were gone are as good as a report.
            if (harmless && k ~ /contents|span/) good = 1
            # What had no effect is neither.
            if (harmless && !good) next
            print k "\t" (good ? 1 : 0)
        }'
}

# Kinds of the properties, by the name of the test.
properties() {
    awk '
        BEGIN {
            kind["neighbours_in_a_fresh_process"] = "neighbours, fresh process"
            kind["neighbours_among_many"] = "neighbours, 256 objects"
            kind["layout_of_another_run"] = "layout of another run"
            kind["layout_of_children"] = "layout of children"
            kind["layout_of_raw_children"] = "layout of children"
            kind["freed_slots_rest"] = "early reuse"
            kind["freed_spans_rest"] = "early reuse of spans"
            kind["no_address_serves_two_classes"] = "class crossing"
            kind["free_slots_tell_nothing"] = "read of freed slots"
            kind["forgeries_change_nothing"] = "forged words, 10,000"
            kind["canaries_predict_no_other"] = "predicted canaries"
            kind["two_frees_at_once"] = "frees in a race, counted"
        }
        /^(not )?ok / {
            for (name in kind)
                if (index($0, ":" name ":"))
                    print kind[name] "\t" ($1 == "ok" ? 1 : 0)
        }'
}

run() { # NAME
    cd "$work/$1"
    for program in $programs; do
        log=$work/$1/${program##*/}.log
        status=0
        MERLON_TEST_ALL_PROPERTIES=1 \
            MERLON_TEST_TAP=1 timeout 600 "tests/$program" \
            >"$log" 2>"$log.err" || status=$?
        [ "$status" -lt 124 ] || echo "$1: $program: status $status" >&2
        case $program in
        properties*) properties <"$log" ;;
        *) crimes <"$log" ;;
        esac
    done >"$work/$1.seen"
    # Kind, caught, all.
    awk -F '\t' '{ all[$1]++; caught[$1] += $2 }
        END { for (k in all) print k "\t" caught[k] "\t" all[k] }' \
        "$work/$1.seen" | sort >"$work/$1.result"
}

share() { # NAME KIND; caught in per mille
    awk -F '\t' -v kind="$2" '$1 == kind { print int(1000 * $2 / $3) }' \
        "$work/$1.result"
}

table() {
    names=$(awk '{ print $1 }' "$work/builds")
    printf '| attack |'
    for name in $names; do
        printf ' %s |' "$name"
    done
    printf '\n|---|'
    for name in $names; do printf -- '---|'; done
    echo
    cut -f 1 "$work/full.result" | while read -r kind; do
        printf '| %s |' "$kind"
        for name in $names; do
            awk -F '\t' -v kind="$kind" '
                $1 == kind {
                    found = 1
                    if ($2 == $3) printf " caught |"
                    else if ($2 == 0) printf " **unnoticed** |"
                    else printf " **%d of %d** |", $2, $3
                }
                END { if (!found) printf " - |" }' "$work/$name.result"
        done
        echo
    done
}

document() {
    cat <<'END'
# Attacks, and what catches them

Written by `tests/attacks.sh --write`; do not edit. A row is a kind of attack:
crimes of `tests/check_death.c`, `check_overwrite.c`, `check_pointers.c` and
`check_attacks.c` with objects of several sizes, and properties of
`tests/properties`, each counted as caught if it held. A column is a build: the
hardened variant (full), it without one mitigation (exact-state takes
strict-remote with it, scrub takes write-check), and the fast variant. The rest
is for mitigations that others stand in for: A is without canary and
strict-remote, B without encoded-links and strict-remote, C the same and without
exact-state, D without canary, exact-state and strict-remote; links is the fast
variant with encoded-links alone.

**caught**: every one, whatever the report said, or by a fault where a guard is
meant to end an overrun, an overflow or a stale access; **n of m**: so many;
**unnoticed**: none, or the child died of the attack, or hung. What had no
effect in a build is not counted there.

END
    table
    cat <<'END'

Where a mitigation is off and its row says caught all the same, another one
caught it. Every mitigation has a row that gets worse without it, or the script
would have failed.

For encoded-links that row is not in the column of its name. In the hardened
variant no link passes through freed memory: free slots are known by bits, a
message is a bit, and both lie in merlon's own tables, so there is nothing to
forge. Links do pass through freed memory where messages are chains, which is
without strict-remote, and what a forged one leads to is then caught by
exact-state. Without both (exact-state, against C; links, against fast) it is
encoded-links alone that stops a forged message: without it merlon follows the
forged link, faults, or hands out what the attacker named.

END
    cat "$top/tests/attacks/promises.md"
}

running=
builds >"$work/builds"
while read -r name off; do
    echo "attacks: $name" >&2
    # shellcheck disable=SC2086 # a list of words
    (build "$name" $off) >"$work/$name.build" 2>&1 || {
        echo "attacks: $name does not build:" >&2
        tail -n 20 "$work/$name.build" >&2
        exit 1
    }
    # While the next one is built.
    [ -z "$running" ] || wait "$running"
    run "$name" &
    running=$!
done <"$work/builds"
wait "$running"

document >"$work/attacks.md"
cat "$work/attacks.md"

must_bite >"$work/must"
while read -r mitigation base name kind; do
    with=$(share "$base" "$kind")
    without=$(share "$name" "$kind")
    if [ -z "$with" ] || [ -z "$without" ] || [ "$without" -ge "$with" ]; then
        echo "FAILED: $kind: ${with:-none} of 1000 caught in $base, and" \
            "${without:-none} in $name, without $mitigation"
        failed=1
    fi
done <"$work/must"

# And with everything on, nothing may get through.
tab=$(printf '\t')
while IFS=$tab read -r kind caught all; do
    # SECURITY.md promises three places of it, one of them at random.
    [ "$kind" != 'write after free, middle of a long object' ] || continue
    if [ "$caught" -ne "$all" ]; then
        echo "FAILED: $kind: the full variant caught $caught of $all"
        failed=1
    fi
done <"$work/full.result"

if [ $failed -eq 0 ] && [ $write = yes ]; then
    cp "$work/attacks.md" "$top/doc/attacks.md"
fi
exit $failed
