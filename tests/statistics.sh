#!/bin/sh
# SPDX-License-Identifier: MIT
#
# statistics.sh - statistics=exit and statistics=/PATH: figures at exit, in a
# file of one's own, of forked children, of a process that is killed, and with
# every descriptor closed.
#
#   MERLON_LIB=/path/libmerlon.so tests/statistics.sh
set -eu

: "${MERLON_LIB:?the library under test, as a path}"
CC=${CC:-cc}
if [ -n "${EMULATOR:-}" ]; then
    echo "statistics: SKIP: not under an emulator" >&2
    exit 77
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-statistics.XXXXXX")
killed=
clean_up() {
    status=$?
    trap '' HUP INT TERM
    [ -z "$killed" ] || kill -KILL "$killed" 2>/dev/null || :
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
failed=0
fail() {
    echo "statistics: $*" >&2
    failed=1
}

cat >"$work/program.c" <<'END'
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void *volatile keep[5000];
static void allocate(int from, int to)
{
    for (int i = from; i < to; i++)
        keep[i] = malloc(40);
}
int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";

    allocate(0, 1000);
    if (strcmp(how, "fork") == 0) {
        if (fork() == 0) {
            allocate(1000, 4000);
            exit(0);
        }
        wait(NULL);
    } else if (strcmp(how, "closed") == 0) {
        for (int i = 0; i < 1024; i++)
            close(i);
    } else if (strcmp(how, "other") == 0) {
        close(2);
        if (open(argv[2], O_WRONLY | O_CREAT, 0600) != 2)
            return 1;
    } else if (strcmp(how, "late") == 0) {
        usleep(100000);
        allocate(1000, 4000);
        /* Slow calls look at the clock now and then. */
        for (alarm(300);; usleep(10000))
            for (int j = 0; j < 10; j++)
                free(memset(malloc(1 << 19), 1, 1));
    }
    return 0;
}
END
$CC -O1 -o "$work/program" "$work/program.c"

run() { # OPTION ARGUMENT... ; standard error in $work/err
    option=$1
    shift
    code=0
    LD_PRELOAD=$MERLON_LIB MERLON_OPTIONS=statistics=$option \
        "$work/program" "$@" 2>"$work/err" || code=$?
    [ "$code" -eq 0 ] || fail "$option $*: status $code"
}
processes() { # FILE NUMBER STATE
    count=$(grep -c "^process [0-9]* of program, $3\$" "$1" || :)
    [ "$count" -eq "$2" ] || fail "$1: $count processes $3, not $2"
}
live() { # FILE AT-LEAST: the largest number of live objects
    most=$(awk '/^live objects/ && $3 > most { most = $3 }
        END { print most + 0 }' "$1")
    [ "$most" -ge "$2" ] || fail "$1: $most live objects, not $2"
}

# It takes longest: 10 s pass before a file is written again.
LD_PRELOAD=$MERLON_LIB MERLON_OPTIONS=statistics=$work/late \
    "$work/program" late &
killed=$!

run exit
processes "$work/err" 1 ended
live "$work/err" 1000
run exit fork
processes "$work/err" 2 ended
live "$work/err" 4000
# Descriptor 2 is somebody else's by now.
run exit other "$work/somebody"
[ ! -s "$work/somebody" ] || fail "figures were written to another file"
run exit closed

echo "what was here before" >"$work/file"
run "$work/file"
processes "$work/file" 1 ended
live "$work/file" 1000
grep -q 'here before' "$work/file" && fail "the old file was not replaced"
[ ! -s "$work/err" ] || fail "it said: $(cat "$work/err")"
run "$work/forked" fork
processes "$work/forked" 2 ended
live "$work/forked" 4000
run "$work/closed" closed
processes "$work/closed" 1 ended
run "$work/number.%p"
set -- "$work"/number.[0-9]*
[ $# -eq 1 ] || fail "%p: $*"
processes "$1" 1 ended

# A directory is no file, and a link of somebody's is not followed.
mkdir "$work/directory"
run "$work/directory"
grep -q '^merlon: the file of statistics= cannot be made$' "$work/err" \
    || fail "a directory: it said: $(cat "$work/err")"
echo victim >"$work/victim"
ln -s "$work/victim" "$work/link"
run "$work/link"
[ "$(cat "$work/victim")" = victim ] || fail "a symbolic link was followed"
run relative
grep -q '^merlon: option not understood: statistics=relative' "$work/err" \
    || fail "a relative path: it said: $(cat "$work/err")"

# Killed: the figures of some seconds before are there.
for _ in $(seq 300); do
    grep -q '^process' "$work/late" 2>/dev/null \
        && [ "$(awk '/^live objects/ { print $3 }' "$work/late")" -ge 2000 ] \
        && break
    kill -0 "$killed" || break
    sleep 0.1
done
kill -KILL "$killed"
wait "$killed" 2>/dev/null || :
killed=
processes "$work/late" 1 running
live "$work/late" 2000

[ "$failed" -eq 0 ] || exit 1
echo "statistics: all passed"
