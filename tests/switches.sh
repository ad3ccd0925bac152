#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Wrong switches stop configure at once, and the message tells what to do.
set -eu

top=${abs_top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-switches.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
failed=0

if [ ! -x "$top/configure" ]; then
    echo "there is no $top/configure"
    exit 77
fi

# As much of a source tree as configure asks for before it knows the switches.
# The real one may be configured in place, and would be refused.
mkdir tree tree/src
cp "$top/configure" tree
cp "$top/src/face.h" tree/src
ln -s "$top/build-aux" tree

fails() { # WANTED-TEXT SWITCH...
    wanted=$1
    shift
    if timeout 60 tree/configure "$@" >out 2>&1; then
        echo "FAILED: configure $* went through"
    elif grep -qF -- "$wanted" out; then
        return 0
    else
        echo "FAILED: configure $*: no \"$wanted\" in:"
        tail -n 3 out | sed 's/^/    /'
    fi
    failed=1
}

# What gets past the switches stops at a system that merlon is not for: that
# comes right after them, and saves the rest of configure.
passes() { # SWITCH...
    fails 'merlon runs on Linux only' --host=x86_64-unknown-freebsd "$@"
}

# Misspelt.
fails 'unrecognized options: --enable-hardning' --enable-hardning
fails 'unrecognized options: --disable-canarys' --enable-hardening \
    --disable-canarys
fails 'unrecognized options: --with-shared-sodum' --with-shared-sodum
passes --enable-hardning --disable-option-checking
fails '--enable-canary takes yes or no, not "maybe"' --enable-canary=maybe
fails '--enable-hardening takes yes or no, not "full"' --enable-hardening=full
fails '--enable-sanitizers needs a list' --enable-sanitizers
fails 'was not found' --with-emulator=no-such-emulator

# The fuzz allocator has none of the mitigations.
fails '--enable-fuzz-allocator builds a library without mitigations' \
    --enable-fuzz-allocator --enable-hardening
fails '--enable-fuzz-allocator builds a library without mitigations' \
    --enable-fuzz-allocator --enable-canary
passes --enable-fuzz-allocator

# Contradictory: said by the user, and implied by --enable-hardening.
fails '--enable-strict-remote needs --enable-exact-state: add --enable-exact-state or --disable-strict-remote' \
    --enable-strict-remote
fails '--enable-write-check needs --enable-scrub: add --enable-scrub or --disable-write-check' \
    --enable-write-check
fails 'add --enable-scrub or --disable-write-check' \
    --enable-hardening --disable-scrub
fails 'add --enable-exact-state or --disable-strict-remote' \
    --enable-hardening --disable-exact-state
fails 'add --enable-scrub or --disable-write-check' \
    --enable-hardening --enable-write-check --enable-scrub=no

# Right.
passes
passes --enable-hardening
passes --enable-hardening --disable-scrub --disable-write-check
passes --enable-hardening --disable-exact-state --disable-strict-remote
passes --disable-hardening --enable-scrub --enable-write-check
for switch in exact-state encoded-links random-order delayed-reuse \
    class-isolation guard-pages scrub canary sealed-state sampling; do
    passes --enable-$switch
done
for switch in strict-remote encoded-links random-order delayed-reuse \
    class-isolation guard-pages write-check canary sealed-state sampling; do
    passes --enable-hardening --disable-$switch
done
exit $failed
