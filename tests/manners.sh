#!/bin/sh
# SPDX-License-Identifier: MIT
#
# manners.sh - how merlon behaves as a guest: system calls at start, threads,
# mappings, memory of small programs and of many threads, core dumps; and use
# with gdb, strace, valgrind and by dlopen.
#
#   MERLON_LIB=/path/libmerlon.so tests/manners.sh
#
# Counts, not times. Each figure is printed beside its bound.
set -eu
# shellcheck disable=SC3045 # an extension that dash and bash have
ulimit -S -c 0
LC_ALL=C
export LC_ALL

: "${MERLON_LIB:?the library under test, as a path}"
CC=${CC:-cc}
here=$(cd "$(dirname "$0")" && pwd)/manners
MERLON_LIB=$(cd "$(dirname "$MERLON_LIB")" && pwd)/$(basename "$MERLON_LIB")
if [ -n "${EMULATOR:-}" ]; then
    echo "SKIP: not under an emulator" >&2
    exit 77
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-manners.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# What is not yet as good as it should be has a bound that keeps it from
# becoming worse, and says what the aim is.
at_most() { # TITLE FIGURE BOUND
    if [ "$2" -le "$3" ]; then
        echo "passed: $1: $2, at most $3"
    else
        fail "$1: $2, but $3 are allowed"
    fi
}

have() { # COMMAND
    command -v "$1" >/dev/null 2>&1 && return 0
    echo "SKIP: $1 is not installed"
    return 1
}

with() { # COMMAND...
    LD_PRELOAD=$MERLON_LIB timeout -k 5 120 "$@"
}

for name in peak threads idle clean opened; do
    # shellcheck disable=SC2086 # CC may be several words
    $CC -std=gnu17 -O1 -g -fno-builtin -pthread -o $name "$here/$name.c" -ldl
done
echo 'char an_empty_library;' >empty.c
# shellcheck disable=SC2086 # CC may be several words
$CC -shared -fPIC -o empty.so empty.c

# --------------------------------------------------------- system calls

# What the loader does for any library it does for an empty one as well.
count_calls() { # LIBRARY
    strace -f -o calls -E LD_PRELOAD="$1" true
    grep -c '^[0-9]* *[a-z]' calls
}
if have strace; then
    # One of them is the loader's, for static data.
    at_most 'system calls at start' \
        $(($(count_calls "$MERLON_LIB") - $(count_calls "$PWD/empty.so"))) 10
    strace -f -o calls -E LD_PRELOAD="$MERLON_LIB" sh -c 'true; (true)' ||
        fail 'strace'
fi

# ---------------------------------------------- memory, threads, mappings

# The peak of several runs in the middle.
peak_of() { # LIBRARY COMMAND...
    for _ in 1 2 3 4 5 6 7; do
        ./peak "$@"
    done | sort -n | sed -n 4p
}
more_memory() { # COMMAND...
    echo $(($(peak_of "$MERLON_LIB" "$@") - $(peak_of '' "$@")))
}
at_most 'KiB that true has more' "$(more_memory true)" 1024
if have bash; then
    # shellcheck disable=SC2016 # for bash
    at_most 'KiB that bash has more' \
        "$(more_memory bash -c 'for i in $(seq 100); do x=$x$i; done')" 1024
fi
if have python3; then
    # What stands first in the PATH may be a script that starts another.
    python=$(command -v /usr/bin/python3 || command -v python3)
    if [ "${MERLON_VARIANT:-hardened}" = fast ]; then
        at_most 'KiB that python3 has more' \
            "$(more_memory "$python" -c pass)" 1024
    else
        at_most 'KiB that python3 has more (the aim is 1024)' \
            "$(more_memory "$python" -c pass)" 1664
    fi
    maps='x = [str(i) * (i % 300) for i in range(100000)]
y = [bytearray(300000) for i in range(200)]
del y[::2], x[::3]
print(len(open("/proc/self/maps").readlines()))'
    at_most 'mappings that python3 has more' \
        $(($(with "$python" -c "$maps") - $("$python" -c "$maps"))) 199
fi
# shellcheck disable=SC2016 # for the shell that is looked at
at_most 'threads of a shell' \
    "$(with sh -c 'set -- /proc/$$/task/*; echo $#')" 1

with ./threads >out
read -r each after <out
at_most 'KiB for each of 1,000 threads' "$each" 64
at_most 'KiB for each when they have ended' "$after" 10

# ------------------------------------------------------------- core dumps

# As the kernel writes it, in KiB on disk.
kernel_core_of() { # LIBRARY
    # shellcheck disable=SC2016,SC3045 # for the shell that dumps
    sh -c 'ulimit -S -c unlimited
        LD_PRELOAD=$1 ./idle >ready &
        for _ in $(seq 100); do [ -s ready ] && break; sleep 0.1; done
        kill -ABRT $!; wait $!' sh "$1" >/dev/null 2>&1 || :
    for file in core core.*; do
        [ ! -f "$file" ] || du -k "$file" | cut -f 1
    done
    rm -f core core.* ready
}
if (ulimit -S -c unlimited) 2>/dev/null &&
    grep -q '^[^|/]*$' /proc/sys/kernel/core_pattern; then
    plain=$(kernel_core_of '')
    at_most "KiB of the kernel's core dump (glibc's $plain)" \
        "$(kernel_core_of "$MERLON_LIB")" $((2 * plain))
else
    echo "SKIP: the kernel's core dumps do not come here"
fi

# As gdb writes it, untouched pages and all, in kB.
core_of() { # LIBRARY
    LD_PRELOAD=$1 ./idle >ready &
    idle=$!
    for _ in $(seq 100); do
        [ -s ready ] && break
        sleep 0.1
    done
    timeout -k 5 60 gdb -batch -nx -p $idle -ex "gcore $PWD/core" \
        >gdb.log 2>&1 || :
    kill $idle
    wait $idle 2>/dev/null || :
    stat -c %s core 2>/dev/null | sed 's/...$//'
    rm -f core ready
}
if have gdb; then
    plain=$(core_of '')
    ours=$(core_of "$MERLON_LIB")
    if [ -z "$plain" ]; then
        echo "SKIP: core dumps: gdb may not attach here"
    else
        at_most "kB of gdb's core dump (glibc's $plain)" \
            "${ours:-999999999}" $((2 * plain))
    fi
    with gdb -batch -nx -ex run -ex 'info threads' --args true >gdb.log 2>&1
    grep -q 'exited normally' gdb.log || fail "gdb: $(tail -n 3 gdb.log)"
fi

# --------------------------------------------------- valgrind and dlopen

if have valgrind; then
    for what in clean leak; do
        status=0
        with valgrind -q --leak-check=full --error-exitcode=7 \
            --soname-synonyms="somalloc=$(basename "$MERLON_LIB")*" \
            ./clean $what >log 2>&1 || status=$?
        case $what$status in
        clean0 | leak7) echo "passed: valgrind, $what" ;;
        *) fail "valgrind, $what: status $status: $(head -c 500 log)" ;;
        esac
    done
fi
if timeout -k 5 60 ./opened "$MERLON_LIB" >log 2>&1; then
    echo "passed: opened by dlopen"
else
    fail "opened by dlopen: $(cat log)"
fi

if [ $failures -ne 0 ]; then
    echo "manners: $failures failed" >&2
    exit 1
fi
