#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The sources obey the laws that scripts can judge, and the version is the same
# wherever it is written.
set -u

top=${abs_top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
failed=0

"$top/tools/check-floors" "$top" || failed=1
"$top/tools/check-style" "$top" || failed=1

configured=$(sed -n 's/^AC_INIT(\[merlon\], \[\(.*\)\])$/\1/p' \
    "$top/configure.ac")
header=$(awk '/^#define MERLON_VERSION_(MAJOR|MINOR|PATCH) / {
    printf "%s%s", dot, $3
    dot = "."
}' "$top/include/merlon/merlon.h")
if [ "$configured" != "$header" ]; then
    echo "configure.ac says version $configured, merlon.h says $header"
    failed=1
fi
exit $failed
