#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2013 # names are words
#
# manuals.sh - the man pages are sound mdoc, and complete: every option of the
# library, every switch, every function, and every option of the tools.
set -u

top=${abs_top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
failed=0
fail() {
    echo "manuals: $*" >&2
    failed=1
}

# What is made in a page; \- and the like are how mdoc spells it.
has() { # PAGE TEXT
    sed 's/\\&//g; s/ Ns / /g' "$top/doc/$1" | grep -qF -- "$2" \
        || fail "doc/$1: nothing about $2"
}

count=0
for option in $(sed -n 's/^    { "\([a-z_]*\)", OPTION_KIND.*/\1/p' \
    "$top/src/options.c"); do
    has merlon.7 ".It Cm $option"
    count=$((count + 1))
done
[ "$count" -ge 5 ] || fail "only $count options found in src/options.c"

count=0
for switch in $(sed -n '/^## The switches/,$s/^| \([a-z-]*\) | .*/\1/p' \
    "$top/HACKING.md" | grep -v '^switch$'); do
    has merlon.7 ".It Cm $switch"
    count=$((count + 1))
done
[ "$count" -ge 11 ] || fail "only $count switches found in HACKING.md"

count=0
for name in $(sed -n '/# only fuzz/d; s/^\(merlon_[a-z0-9_]*\).*/\1/p' \
    "$top/src/exports.txt"); do
    case $name in
    merlon_process) continue ;;
    merlon_last_report) has merlon.7 "$name" ;;
    *) has merlon.3 ".Fn $name" ;;
    esac
    count=$((count + 1))
done
[ "$count" -ge 20 ] || fail "only $count functions found in src/exports.txt"

# What only libmerlon-fuzz has.
count=0
for name in $(sed -n 's/^\(merlon_[a-z_]*\) # only fuzz$/.Fn \1/p
    ' "$top/src/exports.txt" | tr ' ' :) \
    $(sed -n 's/.*word_is(name, name_length, "\([a-z_]*\)").*/Cm:\1/p' \
    "$top/src/fuzz_options.c"); do
    has merlon-fuzz.7 "$(echo "$name" | tr : ' ')"
    count=$((count + 1))
done
[ "$count" -ge 20 ] || fail "only $count options and functions for fuzzing"

for tool in merlon-run merlon-stat; do
    count=0
    for option in $(sed -n 's/^        { "\([a-z-]*\)", [a-z]*_argument.*/\1/p' \
        "$top/tools/$tool.c"); do
        has "$tool.1" "Fl -$option"
        count=$((count + 1))
    done
    [ "$count" -ge 5 ] || fail "only $count options found in tools/$tool.c"
done

if command -v mandoc >/dev/null 2>&1; then
    # Pages of others need not be installed here.
    for page in "$top"/doc/*.[1-9]; do
        mandoc -T lint -W warning "$page" || fail "$page: see above"
    done
elif [ "$failed" -eq 0 ]; then
    echo "manuals: SKIP: mandoc is missing: the form is not checked" >&2
    exit 77
fi
exit "$failed"
