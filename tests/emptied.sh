#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Switched off, a mitigation leaves no instruction behind: the fast variant's
# code is the same when the headers of the mitigations are replaced by the
# emptied ones in tests/emptied/. And with hardening it is not the same, or the
# comparison would be worth nothing.
#
# Every file's instructions are compared, with all addresses, names and
# relocations; two files are compiled as one in the same place, so that nothing
# else can differ. KEEP=1 leaves the two trees and listings.
set -eu
LC_ALL=C
export LC_ALL

top=${abs_top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-emptied.XXXXXX")
clean_up() {
    [ -n "${KEEP:-}" ] && echo "kept: $work" || rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
CC=${CC:-gcc}
OBJDUMP=${OBJDUMP:-objdump}
jobs=2
failed=0

# shellcheck disable=SC2086 # CC may be several words
probe() {
    echo 'int x;' >"$work/probe.c"
    $CC -c -o "$work/probe.o" "$work/probe.c" || {
        echo "$CC does not compile"
        exit 1
    }
    command -v "$OBJDUMP" >/dev/null || {
        echo "$OBJDUMP is missing: install the Debian package binutils"
        exit 1
    }
}

config() { # BIT
    sed -n 's/^#undef \(MERLON_[A-Z_]*\)$/\1/p' "$top/config.h.in" |
        while read -r name; do
            case $name in
            MERLON_LIBRARY) echo "#define $name \"libmerlon\"" ;;
            MERLON_SYSCONFDIR) echo "#define $name \"/etc\"" ;;
            MERLON_VARIANT) echo "#define $name \"none\"" ;;
            MERLON_DEBUG | MERLON_FUZZING | MERLON_FUZZ_ALLOCATOR) echo "#define $name 0" ;;
            *) echo "#define $name $1" ;;
            esac
        done
    printf '#define VERSION "0"\n#define PACKAGE_VERSION "0"\n'
}

# Listings of all objects of a tree. The compiler works in the same place with
# the same names for each tree.
compile() { # TREE CONFIG LISTINGS
    rm -rf "$work/src" "$work/config.h"
    cp -R "$1" "$work/src"
    cp "$2" "$work/config.h"
    mkdir "$3"
    # shellcheck disable=SC2086,SC2016 # the flags are a list; sh -c expands
    (cd "$work/src" && printf '%s\n' ./*.c | xargs -P $jobs -n 4 sh -c '
        for file in "$@"; do
            name=${file##*/}
            $CC -O2 -c -std=gnu17 -g0 -Werror=implicit -fPIC -fvisibility=hidden \
                -ftls-model=initial-exec -fno-builtin -fno-plt \
                -fno-semantic-interposition -fexceptions \
                -frandom-seed="$name" -D_GNU_SOURCE -I"$TOP/include" \
                -iquote .. -iquote . -o "$OUT/${name%.c}.o" "$file" || exit 255
            "$OBJDUMP" -dr --no-show-raw-insn "$OUT/${name%.c}.o" \
                >"$OUT/${name%.c}.s" || exit 255
            # The first lines name the file and its format.
            sed -i "1,/file format/d" "$OUT/${name%.c}.s"
        done' sh) || return 1
}

same() { # LISTINGS LISTINGS; prints the names of what differs
    for listing in "$1"/*.s; do
        cmp -s "$listing" "$2/${listing##*/}" || basename "$listing" .s
    done
}

probe
TOP=$top
export CC OBJDUMP TOP OUT
config 0 >"$work/fast.h"
config 1 >"$work/hardened.h"
mkdir "$work/real"
cp "$top"/src/*.[ch] "$work/real"
cp -R "$work/real" "$work/emptied"
for header in "$top"/tests/emptied/*.h; do
    name=${header##*/}
    [ -f "$top/src/$name" ] || {
        echo "tests/emptied/$name stands in for no file of src/"
        exit 1
    }
    cp "$header" "$work/emptied/$name"
done

for variant in fast hardened; do
    for tree in real emptied; do
        OUT=$work/$variant.$tree
        compile "$work/$tree" "$work/$variant.h" "$OUT" || {
            echo "FAILED: the $tree sources do not compile ($variant)"
            [ $tree = real ] ||
                echo "has a header of tests/emptied/ fewer functions than its model in src/?"
            exit 1
        }
    done
done

count=$(find "$work/fast.real" -name '*.s' -size +0 | wc -l)
lines=$(cat "$work"/fast.real/*.s | wc -l)
[ "$count" -ge 20 ] && [ "$lines" -ge 2000 ] || {
    echo "FAILED: only $count listings of $lines lines: nothing was compared"
    exit 1
}

for name in $(same "$work/fast.real" "$work/fast.emptied"); do
    echo "FAILED: $name.c: the fast variant holds code of a mitigation" \
        "(< as it is, > emptied):"
    diff "$work/fast.real/$name.s" "$work/fast.emptied/$name.s" | head -n 40
    failed=1
done

# Every emptied header must matter to the hardened variant.
differing=$(same "$work/hardened.real" "$work/hardened.emptied" | tr '\n' ' ')
for name in malloc override heap_alloc heap_free slab; do
    case " $differing" in
    *" $name "*) ;;
    *)
        echo "FAILED: $name.c of the hardened variant does not differ" \
            "when the mitigations are emptied: the comparison is blind"
        failed=1
        ;;
    esac
done
[ $failed -ne 0 ] ||
    echo "$count objects, $lines lines: the same when emptied;" \
        "hardened, these differ: $differing"
exit $failed
