#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Every seed that fuzzing has left behind still ends well: fuzz/README.md.
set -u

top=${abs_top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
replay=${abs_top_builddir:-.}/fuzz/replay
failed=0

for name in $(${EMULATOR:-} "$replay" --list); do
    if [ ! -d "$top/fuzz/seeds/$name" ]; then
        echo "FAILED: there are no seeds for $name"
        failed=1
        continue
    fi
    status=0
    ${EMULATOR:-} "$replay" "$name" "$top/fuzz/seeds/$name"/* || status=$?
    [ $status = 0 ] || [ $status = 77 ] || failed=1
done
exit $failed
