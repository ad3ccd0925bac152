#!/bin/sh
# SPDX-License-Identifier: MIT
#
# apparmor.sh - doc/apparmor/merlon is sound for AppArmor's parser, in a profile
# as Debian's are; and abstractions/base has what doc/deploying.md says it has.
# Nothing is loaded into the kernel.
set -eu
LC_ALL=C
export LC_ALL

top=${abs_top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
PATH=$PATH:/usr/sbin:/sbin
base=/etc/apparmor.d/abstractions/base
command -v apparmor_parser >/dev/null || {
    echo "SKIP: there is no apparmor_parser (Debian package apparmor)" >&2
    exit 77
}
[ -r $base ] || { echo "SKIP: there is no $base" >&2; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-apparmor.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failed=0
fail() {
    echo "FAILED: $*" >&2
    failed=1
}

profile() { # LINES-OF-ITS-OWN
    cat <<END
include <tunables/global>
profile daemon /usr/sbin/daemon {
  include <abstractions/base>
  /usr/sbin/daemon mr,
$1
}
END
}
compile() { # FILE
    apparmor_parser -Q -K -S "$1" >"$work/binary" 2>"$work/log" \
        && [ -s "$work/binary" ]
}

mkdir "$work/abstractions"
cp "$top/doc/apparmor/merlon" "$work/abstractions/"
profile "  include \"$work/abstractions/merlon\"" >"$work/with"
if compile "$work/with"; then
    echo "passed: doc/apparmor/merlon in a profile"
else
    fail "doc/apparmor/merlon: $(head -c 500 "$work/log")"
fi
# Would a mistake be noticed?
profile "  /etc/merlon.conf rz," >"$work/wrong"
if compile "$work/wrong"; then
    fail "the parser takes anything"
fi

# What base allows, in its own words.
for rule in '/{usr/,}lib/@{multiarch}/**.so* *mr,' 'ptrace (readby),' \
    'ptrace (tracedby),'; do
    if grep -q "^ *$(echo "$rule" | sed 's/\*\*/[*][*]/; s/so\*/so[*]/')" \
        $base; then
        echo "passed: base has $rule"
    else
        fail "base has no $rule"
    fi
done
if grep -q '/usr/local/lib.*m\|merlon.conf' $base; then
    fail "base has more than doc/deploying.md says"
fi
[ $failed -eq 0 ]
