#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What each mitigation costs, and that a mitigation which is switched off costs
# nothing: full hardening, each switch off alone, and the fast variant are
# measured and compared with tests/costs/bounds.txt.
#
#   tests/costs.sh [VARIANT]...      measure (all) and compare
#   tests/costs.sh --update          measure all and write bounds.txt anew
#
# A variant is compiled from src/ with a config.h of our own, without configure,
# and looked at with tests/costs/costs.c. libsodium is left out: its place is
# taken by tests/costs/sodium.c, so that counts do not depend on the processor.
#
# Columns:
#   record fields key  bytes of struct record, of its fields, of the slab's key
#   heap hfields       bytes of struct heap and of its fields
#   over24 over1000    bytes of the slots of malloc(24), malloc(1000) that are
#                      not usable
#   state batch pending  bytes of bits for each granule
#   guard wait         of a slab of 64-byte slots: bytes of its guard, freed
#                      slots that have to wait
#   text               bytes of code and constants that the library's names reach
#   left               bytes of functions and variables that nothing reaches,
#                      though full hardening needs them: what a switch leaves
#                      (0 once m4/merlon_flags.m4 links with --gc-sections)
#   pair64 pair1024    instructions for one malloc and free of 64, 1024 bytes
#
# Bounds are upper ones: bytes exact; code, instructions 3 % above what was
# measured. Code and instructions are those of one compiler, which bounds.txt
# names; with another they are only shown and compared with each other.
#
# In the fast variant's make check only the fast variant is measured: make check
# of the hardened one has all of them.
set -eu
LC_ALL=C
export LC_ALL

top=${abs_top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
bounds=$top/tests/costs/bounds.txt
CC=${CC:-gcc}
columns='record fields key heap hfields over24 over1000 state batch pending guard wait text left pair64 pair1024'
pairs=20000
jobs=${COSTS_JOBS:-2}

all_switches() {
    sed -n '/^## The switches/,$s/^| \([a-z-]*\) | .*/\1/p' \
        "$top/HACKING.md" | grep -v '^switch$'
}

all_variants() {
    echo full
    all_switches | sed 's/^/no-/'
    # A slab's key serves two switches: it goes with both.
    echo no-encoded-links,canary
    echo fast
}

# The switches that are off, those that need another one included.
off() { # VARIANT
    case $1 in
    full) return 0 ;;
    fast) all_switches ;;
    *)
        for switch in $(echo "${1#no-}" | tr , ' '); do
            echo "$switch"
            case $switch in
            exact-state) echo strict-remote ;;
            scrub) echo write-check ;;
            esac
        done
        ;;
    esac
}

config() { # VARIANT
    disabled=" $(off "$1" | tr '\n' ' ')"
    for switch in $(all_switches); do
        bit=1
        case $disabled in
        *" $switch "*) bit=0 ;;
        esac
        echo "#define MERLON_$(echo "$switch" | tr a-z- A-Z_) $bit"
    done
    hardening=1
    [ "$1" != fast ] || hardening=0
    echo "#define MERLON_HARDENING $hardening"
    echo '#define MERLON_LIBRARY "libmerlon"'
    echo '#define MERLON_DEBUG 0'
    echo '#define MERLON_FUZZING 0'
    echo '#define MERLON_FUZZ_ALLOCATOR 0'
    echo '#define MERLON_VARIANT "none"'
    echo '#define VERSION "0"'
    echo '#define PACKAGE_VERSION "0"'
    echo '#define MERLON_SYSCONFDIR "/etc"'
}

# ------------------------------------------------------------- one variant

# Bytes of the functions and variables that a link would drop, by name.
unreached() { # in the directory of the objects
    # shellcheck disable=SC2086 # CC may be several words
    $CC -shared -o linked.so ./*.o -Wl,--gc-sections \
        -Wl,--print-gc-sections 2>&1 |
        sed -n "s/.*removing unused section '\(\.[a-z.]*\.[^']*\)' in file '\(.*\)'$/\2 \1/p" |
        sort -u >dropped
    size -A ./*.o | awk '
        NR == FNR { dropped[$1 " " $2] = 1; next }
        $2 == ":" { file = $1; next }
        $2 + 0 > 0 && file " " $1 in dropped { print file " " $1, $2 }
    ' dropped -
}

collected() { # PROGRAM N64 N1024
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" pairs \
        "$2" "$3" >callgrind.log 2>&1 || {
        cat callgrind.log >&2
        return 1
    }
    sed -n 's/^.*Collected *: \([0-9]*\).*$/\1/p' callgrind.log
}

measure() { # VARIANT
    cd "$work/$1"
    config "$1" >config.h
    flags="-O2 -std=gnu17 -D_GNU_SOURCE -fPIC -fvisibility=hidden
        -ftls-model=initial-exec -fno-builtin-malloc -fno-builtin-calloc
        -fno-builtin-realloc -fno-builtin-free -fno-plt
        -fno-semantic-interposition -fno-exceptions
        -ffunction-sections -fdata-sections $(cat "$work/cf-protection")
        -I$work/include -I$top/tests/costs -iquote $PWD -iquote $work/src"
    mkdir objects
    # shellcheck disable=SC2086,SC2010,SC2046 # lists of words
    # The fuzzing allocator has an object layer of its own.
    (cd objects && $CC $flags -c $(ls "$work"/src/*.c | grep -v fuzz))
    # shellcheck disable=SC2086
    $CC $flags -o costs "$top/tests/costs/costs.c" \
        "$top/tests/costs/sodium.c" objects/*.o -pthread
    ./costs bytes >figures
    (cd objects && unreached) >unreached
    size objects/*.o | awk '
        NR == FNR { if ($2 !~ /^\.t?(data|bss)\./) sum -= $3; next }
        { sum += $1 }
        END { print "text", sum }' unreached - >>figures
    base=$(collected ./costs $pairs $pairs)
    small=$(collected ./costs $((2 * pairs)) $pairs)
    large=$(collected ./costs $pairs $((2 * pairs)))
    awk -v n=$pairs -v b="$base" -v s="$small" -v l="$large" 'BEGIN {
        printf "pair64 %.1f\npair1024 %.1f\n", (s - b) / n, (l - b) / n
    }' >>figures
}

# -------------------------------------------------------------------- main

if [ "${1:-}" = --measure ]; then
    work=$2
    measure "$3"
    exit 0
fi

update=no
if [ "${1:-}" = --update ]; then
    update=yes
    shift
    [ $# -eq 0 ] || {
        echo "--update measures all variants"
        exit 2
    }
fi
if [ $# -gt 0 ]; then
    variants=$*
elif [ $update = no ] && [ "${MERLON_VARIANT:-}" = fast ]; then
    variants='full fast'
else
    variants=$(all_variants)
fi
for variant in $variants; do
    all_variants | grep -qxF -- "$variant" || {
        echo "$variant is none of: $(all_variants | tr '\n' ' ')"
        exit 2
    }
done

command -v valgrind >/dev/null || {
    echo "valgrind is missing: install the Debian package valgrind"
    [ "${MERLON_ALLOW_MISSING:-0}" = 1 ] && exit 77
    exit 1
}

work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-costs.XXXXXX")
clean_up() {
    if [ -n "${KEEP:-}" ]; then
        echo "kept: $work"
    else
        rm -rf "$work"
    fi
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

echo 'int x;' >"$work/probe.c"
# shellcheck disable=SC2086 # CC may be several words
if $CC -Werror -fcf-protection -c -o "$work/probe.o" "$work/probe.c" \
    2>/dev/null; then
    echo -fcf-protection
fi >"$work/cf-protection"
cat >"$work/compiler.c" <<'EOF'
#if defined(__clang__)
compiler clang __clang_major__
#else
compiler gcc __GNUC__
#endif
EOF
# shellcheck disable=SC2086
compiler=$($CC -E -P "$work/compiler.c" | sed -n 's/^compiler //p')
# shellcheck disable=SC2086
compiler="$compiler $($CC -dumpmachine | sed 's/-.*//')"

# All variants are of the same sources, even if somebody edits them meanwhile.
cp -R "$top/include" "$top/src" "$work"

# shellcheck disable=SC2086 # a list of words
echo measuring: $variants
for variant in $variants; do
    mkdir "$work/$variant"
    echo "$variant"
done | CC=$CC abs_top_srcdir=$top \
    xargs -P "$jobs" -I '{}' sh -c '
        sh "$1" --measure "$2" "$3" >"$2/$3/log" 2>&1 ||
            { echo "FAILED: $3:"; cat "$2/$3/log"; exit 255; }
    ' sh "$0" "$work" '{}' || exit 1

# Reached in full hardening and not here: what the switches leave behind. It is
# no loss if the library is linked without what nothing reaches.
collect() { # VARIANT: a line of the table
    if [ -f "$work/full/unreached" ] &&
        ! grep -q -e --gc-sections "$top/m4/merlon_flags.m4"; then
        awk 'NR == FNR { full[$1 $2] = 1; next } !($1 $2 in full)' \
            "$work/full/unreached" "$work/$1/unreached" >"$work/$1/left"
        # awk reads an empty first file as if it were the second.
        [ -s "$work/full/unreached" ] ||
            cp "$work/$1/unreached" "$work/$1/left"
    else
        : >"$work/$1/left"
    fi
    awk '{ sum += $3 } END { print "left", sum + 0 }' "$work/$1/left" \
        >>"$work/$1/figures"
    printf '%s' "$1"
    for column in $columns; do
        printf ' %s' "$(sed -n "s/^$column //p" "$work/$1/figures")"
    done
    echo
}

{
    echo "variant $columns"
    for variant in $variants; do
        collect "$variant"
    done
} >"$work/table"
align() {
    awk '{ printf "%-25s", $1; for (i = 2; i <= NF; i++) printf " %8s", $i
           print "" }'
}
align <"$work/table"

awk 'NF != 17 { print "FAILED: not all was measured: " $0; bad = 1 }
    END { exit bad }' "$work/table"

# --------------------------------------------------- variants and each other

# Without some mitigations something else is there in their place: remote frees
# are grouped in an outbox (no strict-remote), freed spans wait in a cache (no
# guard-pages), more slots fit into a slab.
awk '
BEGIN {
    instead["no-exact-state heap"] = instead["no-exact-state hfields"] = 1
    instead["no-strict-remote heap"] = instead["no-strict-remote hfields"] = 1
    instead["no-strict-remote text"] = 1
    # A slab that is given back is verified, wiped and rid of its guard.
    instead["no-class-isolation text"] = 1
    instead["no-class-isolation pair1024"] = 1
    # Nothing rests, so less is gathered at a time.
    instead["no-delayed-reuse pair64"] = instead["no-delayed-reuse pair1024"] = 1
    instead["no-guard-pages heap"] = instead["no-guard-pages hfields"] = 1
}
NR == 1 { for (i = 2; i <= NF; i++) name[i] = $i; next }
{ for (i = 2; i <= NF; i++) value[$1, name[i]] = $i; variants[++n] = $1 }
function fail(text) { print "FAILED: " text; bad = 1 }
function is(variant, column, wanted) {
    if ((variant, column) in value && value[variant, column] != wanted)
        fail(variant ": " column " is " value[variant, column] \
            ", and must be " wanted)
}
function less(variant, column) {
    if ((variant, column) in value && ("full", column) in value \
        && value[variant, column] + 0 >= value["full", column] + 0)
        fail(variant ": " column " is " value[variant, column] \
            ", not less than with full hardening: " value["full", column])
}
END {
    # Nothing costs more when something is switched off. Two percent of
    # play: a compiler lays out smaller functions differently.
    for (v = 1; v <= n; v++)
        for (i = 2; i in name; i++) {
            variant = variants[v]
            play = name[i] ~ /^pair/ ? 0.02 * value["full", name[i]] : 0
            if (("full", name[i]) in value && name[i] !~ /^(left|wait)$/ \
                && !((variant " " name[i]) in instead) \
                && value[variant, name[i]] > value["full", name[i]] + play)
                fail(variant ": " name[i] " is " value[variant, name[i]] \
                    ", more than with full hardening: " \
                    value["full", name[i]])
        }
    # What is there must be seen, or zeros below would say nothing.
    if (("full", "key") in value) {
        is("full", "key", 16)
        is("full", "over24", 8)
        is("full", "over1000", 8)
        if (value["full", "state"] == 0 || value["full", "pending"] == 0 \
            || value["full", "batch"] == 0 || value["full", "guard"] == 0 || value["full", "wait"] == 0)
            fail("full: state, pending, guard and wait must not be 0")
    }
    # The bytes of each switch are gone.
    is("no-exact-state", "pending", 0)
    is("no-strict-remote", "pending", 0)
    is("no-guard-pages", "guard", 0)
    is("no-delayed-reuse", "wait", 0)
    is("no-canary", "over24", 0)
    is("no-canary", "over1000", 0)
    is("no-encoded-links,canary", "key", 0)
    if (value["full", "fields"] != 0) # 0: this compiler cannot tell
        less("no-encoded-links,canary", "fields")
    for (i = split("key over24 over1000 state batch pending guard wait", gone);
         i > 0; i--)
        is("fast", gone[i], 0)
    less("fast", "heap")
    # And its instructions.
    for (v = 1; v <= n; v++)
        if (variants[v] != "full" && !((variants[v] " text") in instead))
            less(variants[v], "text")
    for (i = split("exact-state encoded-links random-order scrub " \
                   "write-check canary", paid); i > 0; i--) {
        less("no-" paid[i], "pair64")
        less("no-" paid[i], "pair1024")
    }
    less("fast", "pair64")
    less("fast", "pair1024")
    exit bad
}' "$work/table" && failed=0 || failed=1

# Say what is left: a bound may allow it.
for variant in $variants; do
    case $variant in
    no-encoded-links,canary) continue ;;
    esac
    awk -v variant="$variant" '
        {
            bytes += $3
            sub(/^\.[a-z.]*\./, "", $2)
            names = names " " $2
        }
        END { if (bytes) print "note: " variant " leaves " bytes \
                  " bytes that nothing reaches:" names }' "$work/$variant/left"
done

if [ $update = yes ]; then
    {
        echo "# SPDX-License-Identifier: MIT"
        echo "# Upper bounds; see tests/costs.sh, whose --update wrote this."
        echo "# compiler $compiler"
        awk '
        NR == 1 { for (i = 2; i <= NF; i++) name[i] = $i }
        NR > 1 {
            for (i = 2; i <= NF; i++)
                if (name[i] ~ /^pair/)
                    $i = sprintf("%.1f", $i * 1.03 + 0.1)
                else if (name[i] == "text")
                    $i = int($i * 1.03)
        }
        { print }' "$work/table" | align
    } >"$work/bounds.txt"
    cp "$work/bounds.txt" "$bounds.new"
    mv "$bounds.new" "$bounds"
    echo "$bounds is written"
    exit $failed
fi

# ---------------------------------------------------- variants and the bounds

same_compiler=yes
grep -qxF "# compiler $compiler" "$bounds" || {
    same_compiler=no
    echo "the bounds of code and instructions are not for $compiler:" \
        "they are not compared"
}
grep -v '^#' "$bounds" >"$work/bounds"
awk -v same=$same_compiler '
FNR == 1 { for (i = 2; i <= NF; i++) name[i] = $i; next_file++; next }
next_file == 1 { for (i = 2; i <= NF; i++) bound[$1, name[i]] = $i; next }
{
    for (i = 2; i <= NF; i++) {
        if (!(($1, name[i]) in bound)) {
            print "FAILED: " $1 ": bounds.txt has no bound for " name[i]
            bad = 1
        } else if (name[i] ~ /^(text|left|pair64|pair1024)$/ && same == "no") {
            continue
        } else if ($i + 0 > bound[$1, name[i]] + 0) {
            if (!exceeded++)
                printf "FAILED: %-25s %-9s %10s %10s\n", "variant", \
                    "of", "measured", "bound"
            printf "        %-25s %-9s %10s %10s\n", $1, name[i], $i, \
                bound[$1, name[i]]
            bad = 1
        }
    }
}
END { exit bad }' "$work/bounds" "$work/table" || failed=1
exit $failed
