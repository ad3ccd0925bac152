#!/bin/sh
# SPDX-License-Identifier: MIT
#
# fuzzexample.sh - fuzz/examples/run, shortly: 10 seconds for each program, a
# minute with MERLON_TEST_FULL=1. Skipped for other variants and without AFL++.
set -eu

: "${MERLON_LIB:?the library under test, as a path}"
case $MERLON_LIB in
*merlon-fuzz*) ;;
*) echo "skipped: only for libmerlon-fuzz"; exit 77 ;;
esac
[ -z "${EMULATOR:-}" ] || {
    echo "skipped: not under an emulator"
    exit 77
}
top=${abs_top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
seconds=10
[ "${MERLON_TEST_FULL:-0}" = 0 ] || seconds=60
exec timeout -k 5 $((2 * seconds + 150)) \
    "$top/fuzz/examples/run" "$MERLON_LIB" $seconds
