#!/bin/sh
# SPDX-License-Identifier: MIT
#
# cxx.sh - the C++ operators of a preloaded merlon, against programs.
#
#   MERLON_LIB=/path/libmerlon.so tests/cxx.sh
#
# CXX (g++), CC (cc) and srcdir (where tests/ is) may be given. Exits 77, skipped,
# without a C++ compiler that can link.
set -eu
# shellcheck disable=SC3045 # an extension that dash and bash have
ulimit -c 0

: "${MERLON_LIB:?the library under test, as a path}"
CXX=${CXX:-g++}
CC=${CC:-cc}
here=$(cd "$(dirname "$0")" && pwd)/cxx
MERLON_LIB=$(cd "$(dirname "$MERLON_LIB")" && pwd)/$(basename "$MERLON_LIB")
export MERLON_LIB

if [ -n "${EMULATOR:-}" ]; then
    echo "cxx: not under an emulator" >&2
    exit 77
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-cxx.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
cd "$work"

[ -f "$MERLON_LIB" ] || { echo "cxx: no $MERLON_LIB" >&2; exit 1; }
echo 'int main() { return 0; }' >probe.cc
if ! $CXX -std=c++17 probe.cc -o probe 2>probe.log; then
    echo "cxx: $CXX cannot build a program (Debian package g++)" >&2
    exit 77
fi

failures=0
fail()
{
    echo "FAIL: $*" >&2
    failures=$((failures + 1))
}

# $1: what it is called; the rest is run with merlon and must print nothing on
# standard error and end with 0.
run()
{
    name=$1
    shift
    status=0
    LD_PRELOAD=$MERLON_LIB "$@" >out 2>err || status=$?
    if [ $status -ne 0 ] || [ -s err ]; then
        fail "$name: exit status $status"
        cat err >&2
    else
        echo "ok: $name"
    fi
}

flags="-std=c++17 -O1 -g -faligned-new -fsized-deallocation -Wall -Wno-mismatched-new-delete"

# 1. Programs that check themselves.
for name in forms failures handler; do
    # shellcheck disable=SC2086
    $CXX $flags "$here/$name.cc" -o "$name" -ldl
    run "$name" ./"$name"
done

# 2. A C++ library that comes late and is seen by its module only.
# shellcheck disable=SC2086
$CXX $flags -fPIC -shared "$here/module.cc" -o module.so
$CC -O1 -g "$here/late.c" -o late -ldl
run "C++ library loaded late" ./late "$work/module.so"

# 3. No C++ library at all.
$CC -O1 -g "$here/plain.c" -o plain -ldl
run "no C++ library" ./plain
status=0
{ LD_PRELOAD=$MERLON_LIB ./plain fail 2>err; } 2>shell || status=$?
if [ $status -ne 134 ] || ! grep -q 'out of memory in operator new' err; then
    fail "no C++ library, out of memory: exit status $status"
    cat err >&2
else
    echo "ok: no C++ library, out of memory"
fi

# 4. Wrong sizes: all counted, the first told, fatal only if asked.
# shellcheck disable=SC2086
$CXX $flags "$here/told.cc" -o told
told() { # OPTIONS STATUS LINES COUNT [ARGUMENT]
    status=0
    { LD_PRELOAD=$MERLON_LIB MERLON_OPTIONS=$1 ./told ${5:+"$5"} >out 2>err
    } 2>shell || status=$?
    if [ $status -ne "$2" ] || [ "$(cat out)" != "$4" ] ||
        [ "$(grep -c 'size mismatch in free_sized' err)" -ne "$3" ]; then
        fail "wrong sizes, $1 ${5:-}: exit status $status, $(cat out err)"
    else
        echo "ok: wrong sizes, $1 ${5:-}"
    fi
}
told size_mismatch=report 0 1 7
told size_mismatch=ignore 0 0 0
told size_mismatch=abort 134 1 ''
told size_mismatch=abort 0 0 0 right

# 5. Programs that replace some operators: the same trace as without merlon.
# Numbers are those of replace.cc. All single ones, and mixtures.
form=0
while [ $form -lt 20 ]; do
    # shellcheck disable=SC2086
    $CXX $flags -DFORM=$form -Wno-unused-function -c "$here/replace.cc" \
        -o replace$form.o
    form=$((form + 1))
done
# shellcheck disable=SC2086
$CXX $flags -c "$here/trace.cc" -o trace.o

traces=0
same_trace()
{
    objects=
    for form in "$@"; do
        objects="$objects replace$form.o"
    done
    # shellcheck disable=SC2086
    $CXX trace.o $objects -o trace
    ./trace >expected
    status=0
    LD_PRELOAD=$MERLON_LIB ./trace >out 2>err || status=$?
    if [ $status -ne 0 ] || [ -s err ] || ! diff expected out >difference; then
        fail "replaced operators $*: exit status $status"
        cat err difference >&2
    fi
    traces=$((traces + 1))
}

same_trace
form=0
while [ $form -lt 20 ]; do
    same_trace $form
    form=$((form + 1))
done
same_trace 0 8          # new, delete
same_trace 1 9          # new[], delete[]
same_trace 0 1          # new, new[]
same_trace 8 9          # delete, delete[]
same_trace 0 1 8 9      # the four of C++98
same_trace 0 8 10       # with sized delete
same_trace 0 9          # new, delete[]
same_trace 1 8          # new[], delete
same_trace 0 2          # new, nothrow
same_trace 4 14         # aligned new and delete
same_trace 5 15         # aligned new[] and delete[]
same_trace 0 4 8 14     # all four that allocate or free
same_trace 4 5 14 15
same_trace 10 11 16 17  # all sized
same_trace 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19
echo "traces compared: $traces"

if [ $failures -ne 0 ]; then
    echo "cxx: $failures failed" >&2
    exit 1
fi
echo "cxx: all passed"
