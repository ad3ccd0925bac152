#!/bin/sh
# SPDX-License-Identifier: MIT
#
# own.sh - programs with an allocator of their own, merlon preloaded: where the
# program defines malloc merlon steps aside, where it links another allocator
# merlon comes first.
#
#   MERLON_LIB=/path/libmerlon.so tests/own.sh
set -eu
# shellcheck disable=SC3045 # an extension that dash and bash have
ulimit -c 0

: "${MERLON_LIB:?the library under test, as a path}"
CC=${CC:-cc}
CXX=${CXX:-g++}
here=$(cd "$(dirname "$0")" && pwd)/own
MERLON_LIB=$(cd "$(dirname "$MERLON_LIB")" && pwd)/$(basename "$MERLON_LIB")
if [ -n "${EMULATOR:-}" ]; then
    echo "SKIP: not under an emulator" >&2
    exit 77
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-own.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# The program in ./program, with the option on and off. It says "done".
steps_aside() { # TITLE
    for options in '' own_malloc=report; do
        status=0
        LD_PRELOAD=$MERLON_LIB MERLON_OPTIONS=$options timeout -k 5 60 \
            ./program >out 2>err || status=$?
        line='merlon: inactive: the program has a malloc of its own'
        [ -n "$options" ] || line=
        if [ $status -ne 0 ] || [ "$(cat out)" != "done" ]; then
            fail "$1: status $status: $(head -c 300 out err)"
        elif [ "$(cat err)" != "$line" ]; then
            fail "$1: said: $(head -c 300 err)"
        else
            echo "passed: $1${options:+, $options}"
        fi
    done
}

build() { # SOURCE FLAG...
    source=$1
    shift
    # shellcheck disable=SC2086 # CC and CXX may be several words
    {
        $CC -std=gnu17 -O1 -g -fno-builtin -fPIE "$@" -c -o heap.o \
            "$here/heap.c"
        case $source in
        *.cc) $CXX -std=c++17 -O1 -g -fPIE "$@" -c -o main.o "$here/$source"
              $CXX -rdynamic -o program main.o heap.o -ldl ;;
        *) $CC -std=gnu17 -O1 -g -fno-builtin -fPIE "$@" -c -o main.o \
               "$here/$source"
           $CC -rdynamic -o program main.o heap.o -ldl ;;
        esac
    }
}

build main.c -DPART
steps_aside 'a part of the family'
build main.c -DWHOLE
steps_aside 'the whole family'
build main.c -DWRAP
steps_aside 'malloc that wraps the next one'
build main.c -DLIBC
steps_aside 'malloc that wraps __libc_malloc'
if [ "${CXX_WORKS:-yes}" = yes ]; then
    build main.cc -DPART
    steps_aside 'C++, a part of the family'
    build main.cc -DWHOLE
    steps_aside 'C++, the whole family'
    build main.cc -DWHOLE -DREPLACE_DELETE
    steps_aside 'C++, the whole family and operator delete'
    build main.cc -DLIBC
    steps_aside 'C++, malloc that wraps __libc_malloc'
    for other in libjemalloc.so.2 libtcmalloc_minimal.so.4; do
        # shellcheck disable=SC2086 # CXX may be several words
        if ! $CXX -std=c++17 -O1 -pthread -DOTHER=mallctl -o beside \
            "$here/beside.cc" -Wl,--no-as-needed -l:$other -ldl 2>log; then
            echo "SKIP: $other is not here: $(tail -n 1 log)"
            continue
        fi
        status=0
        LD_PRELOAD=$MERLON_LIB timeout -k 5 60 ./beside "$MERLON_LIB" \
            >out 2>&1 || status=$?
        if [ $status -ne 0 ] || [ -s out ]; then
            fail "beside $other: status $status: $(head -c 300 out)"
        else
            echo "passed: beside $other"
        fi
        # Operators of its own: those call merlon's malloc.
        for some in 1 2; do
            # shellcheck disable=SC2086 # CXX may be several words
            $CXX -std=c++17 -O1 -pthread -DREPLACE=$some -o linked \
                "$here/linked.cc" -Wl,--no-as-needed -l:$other
            status=0
            LD_PRELOAD=$MERLON_LIB MERLON_OPTIONS=statistics=exit \
                timeout -k 5 60 ./linked >out 2>err || status=$?
            calls=$(sed -n 's/^small allocations  *//p' err)
            if [ $status -ne 0 ] || [ "$(cat out)" != "done" ] ||
                [ "${calls:-0}" -lt 10000 ]; then
                fail "operators ($some) beside $other: status $status:" \
                    "$(head -c 300 out err)"
            else
                echo "passed: operators ($some) beside $other," \
                    "$calls objects of merlon's"
            fi
        done
    done
    # Linked into the program, another allocator is the program's own.
    for other in libjemalloc.a libtcmalloc_minimal.a; do
        # shellcheck disable=SC2086 # CXX may be several words
        if $CXX -std=c++17 -O1 -pthread -o program "$here/linked.cc" \
            -l:$other -ldl 2>log; then
            steps_aside "$other linked"
        else
            echo "SKIP: $other is not here: $(tail -n 1 log)"
        fi
    done
else
    echo "SKIP: C++: no compiler"
fi

if [ $failures -ne 0 ]; then
    echo "own: $failures failed" >&2
    exit 1
fi
