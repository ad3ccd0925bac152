#!/bin/sh
# SPDX-License-Identifier: MIT
#
# units.sh - systemd itself reads the drop-ins of doc/systemd, and understands
# every line; nothing there points anywhere but to what make install installs.
# That daemons really run on them is for tests/daemons to show.
#
#   tests/units.sh
set -eu

top=${abs_top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
examples=$top/doc/systemd
work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-units.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failed=0

fail() { # TEXT
    echo "units: $*" >&2
    failed=1
}

# 1. Every library named is one of ours, where Debian's packages put it, and the
# only thing preloaded.
for file in "$examples"/system/*/*.conf "$examples"/daemons/*; do
    paths=$(grep -o '/usr/lib/[^ '"'"']*' "$file" || :)
    case $file in
    */system/*) [ -n "$paths" ] || fail "$file preloads nothing" ;;
    esac
    for path in $paths; do
        [ "$path" = /usr/lib/x86_64-linux-gnu/libmerlon-hardened.so ] \
            || fail "$file names $path"
    done
done

# 2. systemd's own reader. The unit is a copy, so that it need not be installed.
if ! command -v systemd-analyze >/dev/null 2>&1; then
    [ "$failed" -eq 0 ] || exit 1
    echo "units: SKIP: there is no systemd-analyze to read the drop-ins"
    exit 77
fi
verify() { # DIRECTORY-OF-UNITS UNIT
    SYSTEMD_UNIT_PATH="$1:" timeout 60 systemd-analyze verify --man=no \
        --recursive-errors=no "$1/$2" >"$work/said" 2>&1 || :
    grep "/$2.d/\|$2: " "$work/said"
}
make_unit() { # DIRECTORY UNIT DROP-IN
    mkdir -p "$1/$2.d"
    printf '[Service]\nExecStart=/bin/true\n' >"$1/$2"
    cp "$3" "$1/$2.d/merlon.conf"
}
for drop_in in "$examples"/system/*.d/merlon.conf; do
    unit=$(basename "$(dirname "$drop_in")" .d | sed 's/@/@merlon/')
    make_unit "$work/units" "$unit" "$drop_in"
    ! verify "$work/units" "$unit" >"$work/errors" || {
        fail "systemd does not like $drop_in"
        sed 's/^/    | /' "$work/errors" >&2
    }
done

# And it does complain: of a key that it does not know.
printf '[Service]\nEnvironmint=LD_PRELOAD=x\n' >"$work/wrong.conf"
make_unit "$work/wrong" nginx.service "$work/wrong.conf"
verify "$work/wrong" nginx.service >"$work/errors" \
    || fail "systemd-analyze says nothing of a wrong line"

[ "$failed" -eq 0 ] || exit 1
echo "units: all passed"
