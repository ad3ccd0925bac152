#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh - merlon-run: every verdict, on programs made for it; and that what it
# starts gets its arguments, its status and merlon.
#
#   MERLON_LIB=/path/libmerlon.so tests/run.sh
set -eu

: "${MERLON_LIB:?the library under test, as a path}"
CC=${CC:-cc}
if [ -n "${EMULATOR:-}" ]; then
    echo "run: SKIP: not under an emulator" >&2
    exit 77
fi
run=${abs_top_builddir:-.}/merlon-run
MERLON_LIB=$(readlink -f "$MERLON_LIB")
unset MERLON_OPTIONS LD_PRELOAD

work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-run.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$work"
failed=0
fail() {
    echo "run: $*" >&2
    failed=1
}

# A verdict is a status and a text that names the reason.
check() { # STATUS TEXT PROGRAM
    code=0
    # shellcheck disable=SC2086 # as may be several words
    $as "$run" --library "$MERLON_LIB" --check "$3" >"$work/out" 2>&1 \
        || code=$?
    if [ "$code" -ne "$1" ] || ! grep -q -- "$2" "$work/out"; then
        fail "$3: status $code, wanted $1 and \"$2\": $(cat "$work/out")"
    fi
    # Nor is it started.
    [ "$1" -eq 0 ] && return
    code=0
    # shellcheck disable=SC2086
    $as "$run" --library "$MERLON_LIB" "$3" >"$work/out" 2>&1 || code=$?
    if [ "$code" -ne 125 ] || ! grep -q 'not started' "$work/out" \
        || grep -q 'I run' "$work/out"; then
        fail "$3: not refused: status $code: $(cat "$work/out")"
    fi
}
as=

build() { # NAME SWITCH... ; false: this compiler cannot
    name=$1
    shift
    # shellcheck disable=SC2086 # CC may be several words
    ${compiler:-$CC} -o "$work/$name" "$work/program.c" "$@" \
        >"$work/out" 2>&1
}
skip() {
    echo "run: SKIP: $*"
}

cat >"$work/program.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#ifdef OWN
static char memory[1 << 20];
static size_t at;
void *malloc(size_t n)
{
    void *p = memory + at;
    at += (n + 15) / 16 * 16;
    return p;
}
void free(void *p)
{
    (void)p;
}
#endif
int main(int argc, char **argv)
{
    void *volatile p = malloc(10);
    free(p);
    puts("I run");
    for (int i = 1; i < argc; i++)
        printf("<%s>", argv[i]);
    return argc == 4 ? 33 : 0;
}
END

build plain || { cat "$work/out" >&2; exit 1; }
check 0 'can run on' "$work/plain"
build pie -fPIE -pie && check 0 'can run on' "$work/pie"
build fixed -fno-pie -no-pie && check 0 'can run on' "$work/fixed"
build oldhash -Wl,--hash-style=sysv && check 0 'can run on' "$work/oldhash"
if build static -static; then
    check 10 'linked statically' "$work/static"
else
    skip "no static C library"
fi
build staticpie -static-pie && check 10 'linked statically' "$work/staticpie"
build own -DOWN -fno-builtin || fail "own: does not build"
check 13 'malloc of its own' "$work/own"
build ownhash -DOWN -fno-builtin -Wl,--hash-style=sysv \
    && check 13 'malloc of its own' "$work/ownhash"
sodium=$(${PKG_CONFIG:-pkg-config} --libs libsodium 2>/dev/null) || sodium=-lsodium
# shellcheck disable=SC2086 # may be several words
build linked -Wl,-E "${abs_top_builddir:-.}/lib${MERLON_MODULE:-merlon}.a" \
    $sodium && check 13 'linked in already' "$work/linked"

if build address -fsanitize=address; then
    check 14 'sanitizer' "$work/address"
else
    skip "$CC has no address sanitizer"
fi
compiler=clang
if build clanged -fsanitize=address; then
    check 14 'sanitizer' "$work/clanged"
else
    skip "there is no clang with its sanitizers"
fi
compiler=musl-gcc
if build musl; then
    check 16 'program for musl' "$work/musl"
else
    skip "there is no musl-gcc"
fi
compiler=

# Another machine, another class, another order of bytes: the header says it.
for change in 18:377 4:1 5:2; do
    cp "$work/plain" "$work/other"
    # shellcheck disable=SC2059 # an octal number is meant
    printf "\\${change#*:}" | dd of="$work/other" bs=1 conv=notrunc \
        seek="${change%:*}" 2>/dev/null
    code=0
    "$run" -l "$MERLON_LIB" --check "$work/other" >"$work/out" 2>&1 || code=$?
    case $code in
    15) ;;
    17) [ "$change" = 4:1 ] || fail "byte $change: status 17" ;;
    *) fail "byte $change: status $code" ;;
    esac
done

# Scripts: the interpreter counts; through env, what that starts.
script() { # NAME FIRST-LINE
    printf '%s\necho I run\n' "$2" >"$work/$1"
    chmod 755 "$work/$1"
}
script sh '#!/bin/sh'
check 0 'is a script: .*/sh can run' "$work/sh"
script blanks "#! $(printf '\t') /bin/sh -e"
check 0 'is a script: .*/sh can run' "$work/blanks"
script twice "#!$work/sh"
check 0 'is a script: .*is a script: .*/sh can run' "$work/twice"
script env '#!/usr/bin/env sh'
check 0 'is a script: .*/sh can run' "$work/env"
script own.sh "#!$work/own"
check 13 'is a script: .*malloc of its own' "$work/own.sh"
script circle "#!$work/circle"
check 17 'neither' "$work/circle"
script none 'echo no interpreter'
check 17 'neither' "$work/none"
script lost '#!/nowhere/interpreter'
check 17 'No such file' "$work/lost"
: >"$work/empty"
chmod 755 "$work/empty"
check 17 'neither' "$work/empty"
head -c 200 "$work/plain" >"$work/cut"
chmod 755 "$work/cut"
check 17 '' "$work/cut"

# Rights that are gained. Root has them already, so somebody else asks.
cp "$work/plain" "$work/setuid"
cp "$work/plain" "$work/capable"
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null 2>&1; then
    as='setpriv --reuid=65534 --regid=65534 --clear-groups'
    # The build directory may be closed to others.
    cp "$run" "$work/merlon-run"
    cp "$MERLON_LIB" "$work/libmerlon.so"
    old_run=$run old_lib=$MERLON_LIB
    run=$work/merlon-run MERLON_LIB=$work/libmerlon.so
    check 0 'can run on' "$work/setuid"
    chmod 4755 "$work/setuid"
    check 11 'set-user-ID' "$work/setuid"
    as="$as --no-new-privs"
    check 0 'can run on' "$work/setuid"
    as=${as% --no-new-privs}
    chown 65534:65534 "$work/setuid"
    chmod 4755 "$work/setuid"
    check 0 'can run on' "$work/setuid"
    chown 65534:0 "$work/setuid"
    chmod 2755 "$work/setuid"
    check 11 'set-group-ID' "$work/setuid"
    if command -v setcap >/dev/null 2>&1 \
        && setcap cap_net_bind_service+ep "$work/capable" 2>/dev/null; then
        check 12 'file capabilities' "$work/capable"
    else
        skip "setcap is not there, or not allowed"
    fi
    as=
    check 0 'can run on' "$work/capable"
    run=$old_run MERLON_LIB=$old_lib
else
    skip "set-user-ID and capabilities: only root can make such programs"
fi

# Starting: arguments, status, the library, and what was there before.
code=0
"$run" -l "$MERLON_LIB" -- "$work/plain" --check -x 'a b' >"$work/out" 2>&1 \
    || code=$?
if [ "$code" -ne 33 ] || ! grep -qx '<--check><-x><a b>' "$work/out"; then
    fail "arguments: status $code: $(cat "$work/out")"
fi
"$run" -l "$MERLON_LIB" "$work/plain" -h >"$work/out" 2>&1 || :
grep -qx '<-h>' "$work/out" || fail "the program's own options"
# shellcheck disable=SC2016 # the shell that is started expands them
show='echo "$LD_PRELOAD|${MERLON_OPTIONS-none}"'
[ "$("$run" -l "$MERLON_LIB" sh -c "$show")" = "$MERLON_LIB|none" ] \
    || fail "LD_PRELOAD"
[ "$("$run" -l "$MERLON_LIB" --report --option report_fd=2 --statistics=/x/y \
    sh -c "$show" 2>/dev/null)" = \
    "$MERLON_LIB|on_error=report,report_fd=2,statistics=/x/y" ] \
    || fail "MERLON_OPTIONS"
got=$(LD_PRELOAD=/no/such.so MERLON_OPTIONS=arena=1G "$run" -l "$MERLON_LIB" \
    --report sh -c "$show" 2>/dev/null)
[ "$got" = "$MERLON_LIB:/no/such.so|arena=1G,on_error=report" ] \
    || fail "what was there before: $got"
# shellcheck disable=SC2016
"$run" -l "$MERLON_LIB" sh -c 'grep -q libmerlon /proc/$$/maps' \
    || fail "merlon is not mapped"

# Misuse.
status_of() { # STATUS ARGUMENT...
    wanted=$1
    shift
    code=0
    "$run" "$@" >"$work/out" 2>&1 || code=$?
    [ "$code" -eq "$wanted" ] || fail "merlon-run $*: status $code"
}
status_of 0 --help
status_of 125
status_of 125 --check
status_of 125 --check ls more
status_of 125 --nonsense ls
status_of 125 --variant odd ls
status_of 125 -l /no/such/library ls
status_of 125 -l "$work/plain" ls
status_of 125 -l "$MERLON_LIB" --option nonsense ls
status_of 125 -l "$MERLON_LIB" --statistics=relative ls
status_of 127 -l "$MERLON_LIB" no-such-program-anywhere
status_of 127 -l "$MERLON_LIB" "$work/no-such-program"
status_of 126 -l "$MERLON_LIB" "$work/program.c"
ln "$MERLON_LIB" "$work/a b.so" 2>/dev/null || cp "$MERLON_LIB" "$work/a b.so"
status_of 125 -l "$work/a b.so" ls

[ "$failed" -eq 0 ] || exit 1
echo "run: all passed"
