#!/bin/sh
# SPDX-License-Identifier: MIT
#
# preload_programs.sh - small programs of ours with merlon preloaded.
#
#   MERLON_LIB=/path/libmerlon.so tests/integration/preload_programs.sh
#
# Each is run without merlon and with it; both must print the same, end with 0
# and say nothing on standard error. (Those that use up memory: only with it.)
set -eu
# shellcheck disable=SC3045 # an extension that dash and bash have
ulimit -c 0

: "${MERLON_LIB:?the library under test, as a path}"
CC=${CC:-cc}
here=$(cd "$(dirname "$0")" && pwd)
MERLON_LIB=$(cd "$(dirname "$MERLON_LIB")" && pwd)/$(basename "$MERLON_LIB")
sizes='48 600 5000 70000 400000 5000000'
# fork copies a table entry for each page that libmerlon-fuzz has guarded; and
# there small objects take two pages each, so that few fit into any limit.
case $MERLON_LIB in
*merlon-fuzz*)
    sizes='70000 400000 5000000'
    MERLON_OPTIONS=budget=4M
    export MERLON_OPTIONS
    ;;
esac
[ -f "$MERLON_LIB" ] || { echo "no $MERLON_LIB" >&2; exit 1; }
if [ -n "${EMULATOR:-}" ]; then
    echo "skipped: not under an emulator" >&2
    exit 77
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-programs.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
failures=0

build() { # NAME
    # shellcheck disable=SC2086 # CC may be several words
    $CC -std=gnu17 -O1 -g -fno-builtin -rdynamic -pthread -o "$1" \
        "$here/$1.c"
}

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# Both runs, and what they said.
run() { # TITLE COMMAND...
    title=$1
    shift
    status=0
    timeout -k 5 90 "$@" >plain.out 2>plain.err || status=$?
    [ $status -eq 0 ] || echo "    without merlon: status $status" >&2
    plain=$status
    run_with "$title" "$@"
}

# What merlon's run said, against plain.out.
run_with() { # TITLE COMMAND...
    title=$1
    shift
    status=0
    timeout -k 5 90 env LD_PRELOAD="$MERLON_LIB" "$@" >out 2>err || status=$?
    if [ $status -ne 0 ]; then
        fail "$title: status $status: $(head -c 300 out err)"
    elif [ -s err ]; then
        fail "$title: said: $(head -c 300 err)"
    elif [ $plain -eq 0 ] && ! cmp -s plain.out out; then
        fail "$title: printed something else: $(diff plain.out out)"
    else
        echo "passed: $title"
    fi
}

for name in early rand_interpose rlimit limit_running fork_stdio; do
    build $name
done
run 'allocation before main, at exit and after' ./early
run "a program with libsodium's names" ./rand_interpose
run 'fork while stdio allocates' ./fork_stdio
echo "done" >plain.out
plain=0
for bytes in $sizes; do
    run_with "no memory left, objects of $bytes bytes" \
        sh -c "ulimit -v 524288 && exec ./rlimit $bytes"
done
# The fuzzing allocator leaves limits alone.
if [ "${MERLON_VARIANT:-}" != fuzz ]; then
    for way in setrlimit prlimit vfork; do
        for had in '1 100' '40 64' '40 3000' '90 300000'; do
            # shellcheck disable=SC2086 # two words
            run_with "200 MB set while running by $way, having $had" \
                ./limit_running $had $way
        done
    done
fi

if [ $failures -ne 0 ]; then
    echo "$failures failed" >&2
    exit 1
fi
