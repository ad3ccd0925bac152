#!/bin/sh
# SPDX-License-Identifier: MIT
#
# conf.sh - merlon.conf as the library reads it: by program name, below
# MERLON_OPTIONS, with one warning, and not at all with set-user-ID.
#
# The path is built in and nothing can point elsewhere, so its directory is
# covered by an empty file system in a mount namespace of our own.
set -eu

: "${MERLON_LIB:?the library under test, as a path}"
: "${sysconfdir:?run me with make check}"
CC=${CC:-cc}
if [ -n "${EMULATOR:-}" ]; then
    echo "conf: SKIP: not under an emulator" >&2
    exit 77
fi
stat=${abs_top_builddir:-.}/merlon-stat

if [ "${1:-}" != --inside ]; then
    user=
    [ "$(id -u)" -eq 0 ] || user=--map-root-user
    # shellcheck disable=SC2086 # nothing or one word
    if ! unshare -m $user true 2>/dev/null; then
        echo "conf: SKIP: mount namespaces are not allowed here" >&2
        exit 77
    fi
    # shellcheck disable=SC2086
    exec unshare -m $user sh "$0" --inside
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-conf.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failed=0
fail() {
    echo "conf: $*" >&2
    failed=1
}

# The nearest directory that exists is covered, if it has not what we need.
covered=$sysconfdir
while [ ! -d "$covered" ]; do
    covered=$(dirname "$covered")
done
case $MERLON_LIB/$work/$stat in
*"$covered"/*)
    if ! mkdir -p "$sysconfdir" 2>/dev/null; then
        echo "conf: SKIP: $sysconfdir cannot be made" >&2
        exit 77
    fi
    covered=$sysconfdir ;;
esac
mount -t tmpfs none "$covered"
mkdir -p "$sysconfdir"
conf=$sysconfdir/merlon.conf

# Its options, as merlon-stat sees them, then what it said.
cp "$(command -v sleep)" "$work/first"
cp "$(command -v sleep)" "$work/second"
options() { # PROGRAM
    LD_PRELOAD=$MERLON_LIB "$work/$1" 60 2>"$work/said" &
    pid=$!
    for _ in $(seq 100); do
        "$stat" "$pid" >"$work/stat" 2>/dev/null && break
        sleep 0.1
    done
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null || :
    sed -n 's/^options: *//p' "$work/stat"
}
expect() { # PROGRAM OPTION WARNING-OR-NOTHING
    got=$(options "$1")
    case " $got " in
    *" $2 "*) ;;
    *) fail "$1: no $2 in: $got" ;;
    esac
    said=$(cat "$work/said")
    [ "$said" = "$3" ] || fail "$1: it said \"$said\", not \"$3\""
}

expect first report_fd=2 ''
cat >"$conf" <<'END'
# For all of them.
size_mismatch = ignore
[first]
report_fd = 7
END
expect first size_mismatch=ignore ''
expect first report_fd=7 ''
expect second size_mismatch=ignore ''
expect second report_fd=2 ''
MERLON_OPTIONS=report_fd=8
export MERLON_OPTIONS
expect first report_fd=8 ''
expect first size_mismatch=ignore ''
unset MERLON_OPTIONS

# One warning, with the line.
printf '[first]\n\nreport_df=7\nnonsense\nreport_fd=9\n' >"$conf"
warning="merlon: $conf:3: not understood, see merlon.conf(5)"
expect first report_fd=9 "$warning"
expect second report_fd=2 ''

# The variable is warned of by itself, once; what is understood counts.
rm "$conf"
MERLON_OPTIONS=nonsense=1,report_fd=9,more=2
export MERLON_OPTIONS
expect first report_fd=9 'merlon: option not understood: nonsense=1'
unset MERLON_OPTIONS

# Longer than any buffer; no file; a directory; a pipe that nobody writes to.
{
    seq 20000 | sed 's/^/# /'
    echo report_fd=5
} >"$conf"
expect first report_fd=5 ''
chmod 0 "$conf"
[ "$(id -u)" -eq 0 ] || expect first report_fd=2 ''
rm "$conf"
mkdir "$conf"
expect first report_fd=2 ''
rmdir "$conf"
mkfifo "$conf"
expect first report_fd=2 ''
rm "$conf"

# Set-user-ID: merlon is linked in, since nobody could preload it. The program
# ends by a double free, unless the file or the variable is believed.
cat >"$work/crime.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
int main(void)
{
    char *volatile p = malloc(10), *volatile q = p;
    printf("%s\n", getauxval(AT_SECURE) ? "secure" : "plain");
    fflush(stdout);
    free(p);
    free(q);
    puts("survived");
    return 0;
}
END
# shellcheck disable=SC3045 # an extension that dash and bash have
ulimit -c 0
archive=${abs_top_builddir:-.}/lib${MERLON_MODULE:-merlon}.a
sodium=$(${PKG_CONFIG:-pkg-config} --libs libsodium 2>/dev/null) || sodium=-lsodium
echo 'on_error=report' >"$conf"
crime() {
    MERLON_OPTIONS=on_error=report "$work/crime" 2>/dev/null | tr '\n' ' ' || :
}
# shellcheck disable=SC2086 # CC and sodium may be several words
if [ "${MERLON_VARIANT:-}" != hardened ]; then
    echo "conf: SKIP: set-user-ID: the fast variant has no detection to see"
elif ! $CC -O0 -w -o "$work/crime" "$work/crime.c" "$archive" $sodium; then
    fail "cannot link with $archive"
else
    [ "$(crime)" = "plain survived " ] || fail "plain: $(crime)"
    chmod 755 "$work"
    if [ -n "$(awk '$1 == 0 && $3 >= 65536' /proc/self/uid_map)" ] \
        && chown 65534 "$work/crime" && chmod 4755 "$work/crime" \
        && crime | grep -q secure; then
        [ "$(crime)" = "secure " ] \
            || fail "set-user-ID believed the file or the variable: $(crime)"
    else
        echo "conf: SKIP: set-user-ID programs have no effect here"
    fi
fi

[ "$failed" -eq 0 ] || exit 1
echo "conf: all passed"
