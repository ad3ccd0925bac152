#!/bin/sh
# SPDX-License-Identifier: MIT
#
# address.sh - merlon-stat --address: slots in every state, large objects,
# guards, metadata and what is not merlon's; in a process, in a core that the
# kernel wrote and in one by gcore; and the same through merlon-gdb.py.
#
#   MERLON_LIB=/path/libmerlon.so tests/address.sh
set -eu

: "${MERLON_LIB:?the library under test, as a path}"
CC=${CC:-cc}
if [ -n "${EMULATOR:-}" ]; then
    echo "address: SKIP: not under an emulator" >&2
    exit 77
fi
stat=${abs_top_builddir:-.}/merlon-stat
top=${abs_top_srcdir:-.}
variant=${MERLON_VARIANT:?hardened or fast}

work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-address.XXXXXX")
pid=
clean_up() {
    status=$?
    trap '' HUP INT TERM
    if [ -n "$pid" ]; then
        kill -KILL "$pid" || :
        wait "$pid" || :
    fi 2>/dev/null
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
failed=0
fail() {
    echo "address: $*" >&2
    failed=1
}

# It says what it did at which address, one a line, and waits.
cat >"$work/program.c" <<'END'
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static char global[64];
static void *volatile keep[64];
static void *fill(void *unused)
{
    for (int i = 0; i < 64; i++)
        keep[i] = malloc(48);
    return unused;
}
int main(int argc, char **argv)
{
    char local = 0;
    char *small = malloc(100), *gone = malloc(100), *big = malloc(100000);
    char *large = malloc(1 << 20), *large_gone = malloc(3 << 20);
    char *volatile middle[5];
    pthread_t thread;
    FILE *out = fopen(argv[1], "w");

    if (argc < 2 || !out || pthread_create(&thread, NULL, fill, NULL) != 0)
        return 1;
    pthread_join(thread, NULL);
    for (int i = 0; i < 5; i++)
        middle[i] = malloc(3000);
    free(middle[0]);
    free(gone);
    free(large_gone);
    free(keep[7]);
    fprintf(out, "live %p 0\nlive %p 99\nfreed %p 0\nfreed %p 50\n",
            (void *)small, (void *)(small + 99), (void *)gone,
            (void *)(gone + 50));
    fprintf(out, "live %p 0\nlive %p 99999\n", (void *)big,
            (void *)(big + 99999));
    fprintf(out, "live %p 0\nlive %p 1048575\n", (void *)large,
            (void *)(large + (1 << 20) - 1));
    fprintf(out, "front %p -\nbehind %p -\n", (void *)(large - 1),
            (void *)(large + (1 << 20)));
    fprintf(out, "large-freed %p -\n", (void *)large_gone);
    fprintf(out, "remote-freed %p 0\nlive %p 3\n", keep[7],
            (void *)((char *)keep[8] + 3));
    fprintf(out, "live %p 2999\n", (void *)(middle[1] + 2999));
    fprintf(out, "foreign %p -\nforeign %p -\nforeign 0x0 -\n",
            (void *)&local, (void *)global);
    fprintf(out, "foreign 0xffffffffffff0000 -\nforeign 0x123456 -\n");
    if (fputs("end - -\n", out) < 0 || fclose(out) != 0)
        return 1;
    alarm(300);
    for (;;)
        pause();
}
END

# The state that a word of the program's means in this variant.
expected() { # WORD
    case $variant:$1 in
    hardened:freed | hardened:large-freed | hardened:remote-freed)
        echo quarantine ;;
    hardened:front | hardened:behind) echo guard ;;
    # Without guards the next object may begin right behind.
    fast:front | fast:behind) echo 'unused\|live\|free' ;;
    fast:freed | fast:remote-freed) echo free ;;
    fast:large-freed) echo 'free\|unused' ;;
    *) echo "$1" ;;
    esac
}

check() { # NAME TARGET
    lines=0
    while read -r word at offset; do
        [ "$word" != end ] || continue
        lines=$((lines + 1))
        wanted=$(expected "$word")
        code=0
        timeout 60 "$stat" --address "$at" "$2" >"$work/out" 2>&1 \
            || code=$?
        if ! grep -q "^state: *\\($wanted\\)\\( (\\|$\\)" "$work/out"; then
            fail "$1: $word $at is not $wanted:"
            sed 's/^/    | /' "$work/out" >&2
        fi
        case $word:$code in
        foreign:1 | [!f]*:0 | freed:0 | front:0) ;;
        *) fail "$1: $word $at: status $code" ;;
        esac
        [ "$offset" = - ] \
            || grep -q "^offset in it: *$offset\$" "$work/out" \
            || fail "$1: $word $at is not at offset $offset"
    done <"$work/ready"
    [ "$lines" -ge 15 ] || fail "$1: only $lines addresses"
}

$CC -O1 -g -pthread -o "$work/program" -D_GNU_SOURCE "$work/program.c"
# shellcheck disable=SC3045 # an extension that dash and bash have
(
    ulimit -c unlimited
    cd "$work"
    LD_PRELOAD=$MERLON_LIB exec "$work/program" "$work/ready"
) &
pid=$!
for _ in $(seq 300); do
    ! grep -q '^end' "$work/ready" 2>/dev/null || break
    sleep 0.1
done
grep -q '^end' "$work/ready" || { echo "address: did not start" >&2; exit 1; }

# merlon's own records are what is writable before what can only be read. What
# follows the writable beginning of an arena, of 4 MiB at least, is in use by
# nobody.
awk 'function number(hex,   value, i) {
    for (i = 1; i <= length(hex); i++)
        value = 16 * value + index("0123456789abcdef", substr(hex, i, 1)) - 1
    return value
}
{
    split($1, range, "-")
    if ($5 == 0 && $2 == "r--p" && before == "rw-p" && end == range[1] &&
        !found++)
        print "metadata 0x" start " -"
    if ($5 == 0 && $2 == "---p" && before == "rw-p" && end == range[1] &&
        found && number(end) - number(start) >= 4194304 && !beyond++)
        print "unused 0x" range[1] " -"
    before = $5 == 0 ? $2 : ""
    start = range[1]
    end = range[2]
}' "/proc/$pid/maps" >"$work/own"
case $(grep -c . "$work/own") in
2) cat "$work/own" >>"$work/ready" ;;
*) fail "metadata or unused addresses were not found in maps" ;;
esac

# 1. Alive. Then JSON, the slab, metadata: a slab's address is in no object.
check process "$pid"
address=$(awk '$1 == "live" { print $2; exit }' "$work/ready")
"$stat" --json --address "$address" "$pid" >"$work/json" || fail "JSON: status"
if command -v python3 >/dev/null 2>&1; then
    python3 - "$work/json" "$address" <<'END' || fail "JSON: content"
import json, sys
place = json.load(open(sys.argv[1]))
assert place["state"] == "live", place
assert place["address"] == place["object"] == int(sys.argv[2], 16), place
assert place["object_bytes"] == 112 and place["slab"] % 65536 == 0, place
END
fi
slab=$("$stat" --address "$address" "$pid" | sed -n 's/^slab: *\(0x[^,]*\),.*/\1/p')
last=$(printf '0x%x' $((slab + 65535)))
if [ "$variant" = hardened ]; then
    "$stat" --address "$last" "$pid" | grep -q '^state: *guard' \
        || fail "the last byte of a slab is no guard: $last"
fi
"$stat" --address "$address" --prometheus "$pid" >/dev/null 2>&1 \
    && fail "--address --prometheus is accepted"
code=0
"$stat" --address zero "$pid" >/dev/null 2>&1 || code=$?
[ "$code" -eq 2 ] || fail "--address zero: status $code"

# Asked slot by slot, a slab has as many of each kind as the table of classes
# says: 4 live, and one freed that waits (or is at hand).
middle=$(awk '$1 == "live" && $3 == 2999 { print $2 }' "$work/ready")
"$stat" --address "$middle" "$pid" >"$work/out"
slab=$(sed -n 's/^slab: *\(0x[^,]*\),.*/\1/p' "$work/out")
bytes=$(sed -n 's/^slot: *[^,]*, \([0-9]*\) bytes.*/\1/p' "$work/out")
"$stat" --classes "$pid" >"$work/classes"
row=$(awk -v bytes="$bytes" 'NF == 7 && $1 == bytes && $2 == 1 {
    print $3, $4, $5 }' "$work/classes")
[ -n "$row" ] || fail "class $bytes has not one slab"
i=0
: >"$work/states"
while [ "$i" -lt "${row%% *}" ]; do
    "$stat" --address "$(printf '0x%x' $((slab + i * bytes)))" "$pid" \
        >>"$work/states"
    i=$((i + 1))
done
live=$(grep -c '^state: *live' "$work/states" || :)
hand=$(grep -c '^state: *free (at hand' "$work/states" || :)
[ "$row" = "$i 4 $hand" ] \
    || fail "slots, live, at hand: $row by class, $i $live $hand one by one"

# 2. gcore, and what gdb's script says of the same core.
# shellcheck disable=SC3045
if command -v gcore >/dev/null 2>&1 \
    && (ulimit -f 131072
        gcore -o "$work/by-gdb" "$pid" >"$work/gcore.log" 2>&1); then
    core=$work/by-gdb.$pid
    check gcore "$core"
    "$stat" --json "$core" >"$work/json" || fail "figures of a core: status"
    grep -q '"active": true' "$work/json" || fail "figures of a core"
    kilobytes=$(du -k "$core" | cut -f 1)
    [ "$kilobytes" -le 65536 ] || fail "gcore's core has $kilobytes KiB"
    cat >"$work/commands" <<END
source $top/tools/merlon-gdb.py
merlon address $address
merlon stat
merlon report
END
    PATH=${stat%/*}:$PATH timeout 120 gdb -nx -batch -x "$work/commands" \
        "$work/program" "$core" >"$work/out" 2>&1 </dev/null || :
    if ! grep -q '^state: *live' "$work/out" \
        || ! grep -q '^active: *yes' "$work/out"; then
        fail "merlon-gdb.py:"
        sed 's/^/    | /' "$work/out" >&2
    fi
else
    echo "address: SKIP: gcore and merlon-gdb.py (install the Debian package gdb)"
fi

# 3. The kernel's core, which lacks what is unchanged in its files.
kill -ABRT "$pid"
wait "$pid" 2>/dev/null || :
core=
for file in "$work"/core*; do
    [ ! -f "$file" ] || core=$file
done
if [ -n "$core" ]; then
    check kernel "$core"
    kilobytes=$(du -k "$core" | cut -f 1)
    [ "$kilobytes" -le 65536 ] || fail "the kernel's core has $kilobytes KiB"
    # Half a core is told, not believed.
    size=$(wc -c <"$core")
    for part in 2 3 8 100 10000; do
        head -c $((size / part)) "$core" >"$work/cut"
        code=0
        timeout 60 "$stat" --address "$address" "$work/cut" \
            >"$work/out" 2>&1 || code=$?
        case $code in
        0) grep -q '^state: *live' "$work/out" || fail "cut core: nonsense" ;;
        2) ;;
        *) fail "cut core, 1/$part: status $code" ;;
        esac
    done
else
    echo "address: SKIP: a kernel's core (core_pattern is $(cat \
        /proc/sys/kernel/core_pattern))"
fi
pid=
for file in "$work/program" "$work/ready" "$work/nothing"; do
    code=0
    "$stat" "$file" >"$work/out" 2>&1 || code=$?
    [ "$code" -eq 2 ] || fail "$file as a core: status $code"
done

[ "$failed" -eq 0 ] || exit 1
echo "address: all passed"
