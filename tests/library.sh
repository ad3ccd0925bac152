#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The library that was built: exports, ELF properties, the static library's
# names. And a library with every fault, to see that the tools find them.
set -eu
LC_ALL=C
export LC_ALL

top=${abs_top_srcdir:?run me with make check}
library=${MERLON_LIB:?run me with make check}
nm=${NM:-nm}
nm=${nm%% -B}
work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-library.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failed=0

case ${MERLON_SODIUM:-static} in
shared) sodium=--shared-sodium ;;
*) sodium= ;;
esac
"$top/tools/check-exports" "$library" || failed=1
# shellcheck disable=SC2086 # nothing or one word
"$top/tools/check-elf" $sodium "$library" || failed=1

# The static library defines the same names and no others.
archive=${abs_top_builddir:?}/lib$MERLON_MODULE.a
"$nm" -D --defined-only "$library" | awk '{ print $NF }' | sort >"$work/shared"
"$nm" -g --defined-only "$archive" |
    awk 'NF == 3 && $NF !~ /^__x86[.]/ { print $NF }' | sort >"$work/static"
if ! diff "$work/shared" "$work/static"; then
    echo "$archive: does not define the names that $library exports"
    failed=1
fi

cat >"$work/bad.c" <<'END'
#include <string.h>
void free(void *p);
void free(void *p)
{
    (void)p;
}
char *sodium_init(void);
__thread char big[100];
void *versioned(unsigned long n);
__asm__(".symver versioned,malloc@@MERLON_1");
void *versioned(unsigned long n)
{
    sodium_init();
    return big + n;
}
END
echo 'MERLON_1 { malloc; };' >"$work/bad.map"
# shellcheck disable=SC2086 # CC may be several words
if ! $CC -shared -fPIC -nostdlib -o "$work/bad.so" "$work/bad.c" \
    -Wl,--version-script="$work/bad.map" -Wl,-z,norelro -Wl,-z,lazy \
    -Wl,-z,execstack -Wl,-rpath,/nowhere >"$work/out" 2>&1; then
    cat "$work/out"
    echo "the bad library could not be built: the tools are not tested"
    exit 1
fi
{
    "$top/tools/check-exports" "$work/bad.so" || :
    "$top/tools/check-elf" "$work/bad.so" || :
} >"$work/out" 2>&1
while IFS= read -r wanted; do
    grep -qF -- "$wanted" "$work/out" || {
        echo "the tools did not find in a bad library: $wanted"
        failed=1
    }
done <<'END'
calloc is not exported, but src/exports.txt lists it
big is exported, but src/exports.txt does not list it
malloc@@MERLON_1 has a version
no RELRO
not BIND_NOW
not NODELETE
no soname
executable stack
a path to search
bytes of thread-local storage
names of libsodium that others could replace: sodium_init
END
exit $failed
