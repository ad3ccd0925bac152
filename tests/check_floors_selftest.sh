#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Does tools/check-floors find every kind of violation? Each case is a small
# tree with one fault, and names the line that must be told. A tree without
# faults must pass.
set -eu

top=${abs_top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-floors.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failed=0
tried=0

header() { # FILE INCLUDE...
    its_file=$1
    its_guard=M_$(echo "$its_file" | tr 'a-z.' 'A-Z_')
    shift
    {
        echo "/* #if in a comment and"
        echo " * #include \"heap.h\" as well: neither counts */"
        echo "#ifndef $its_guard"
        echo "#define $its_guard"
        for its_include in "$@"; do
            echo "#include \"$its_include\""
        done
        echo "int x; // __thread"
        echo "#endif"
    } >"src/$its_file"
}

# The tree that every case starts from.
fresh_tree() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree/src" "$work/tree/tools"
    cd "$work/tree"
    echo '3. No #if. Exempt: base.h, os*.c/h (guards do not count).' >HACKING.md
    cat >tools/floors.txt <<'END'
# a comment
floor 0 base
base.h
floor 1 platform
os.h os_linux.c
floor 7 heap
heap.h slab.h heap.c
floor 8 process
thread.h thread.c
END
    cat >src/local.mk <<'END'
core = src/base.h src/os.h src/os_linux.c
core += src/heap.h src/slab.h src/heap.c src/thread.h src/thread.c
END
    header base.h
    printf '#if defined(X)\n#endif\n' >>src/base.h
    header os.h base.h
    printf '#include "os.h"\n#include <sys/mman.h>\n#ifdef X\n#endif\n' \
        >src/os_linux.c
    header heap.h base.h os.h
    header slab.h heap.h
    printf '#include "merlon/merlon.h"\n#include "slab.h"\n' >src/heap.c
    header thread.h heap.h
    printf '#include "thread.h"\n__thread int heap;\n' >src/thread.c
}

judge() { # NAME EXPECTED-LINE
    tried=$((tried + 1))
    if "$top/tools/check-floors" "$work/tree" >"$work/out" 2>&1; then
        status=0
    else
        status=$?
    fi
    if [ -z "$2" ]; then
        [ "$status" -eq 0 ] && [ ! -s "$work/out" ] && return 0
    else
        [ "$status" -eq 1 ] && grep -qF -- "$2" "$work/out" && return 0
    fi
    failed=$((failed + 1))
    echo "FAILED: $1 (exit status $status); wanted: ${2:-nothing}; got:"
    sed 's/^/    /' "$work/out"
}

fresh_tree
judge 'a good tree' ''

fresh_tree
header os.h heap.h
judge 'an upward include' 'src/os.h:5: os.h (floor 1) includes heap.h from floor 7'

fresh_tree
header heap.h slab.h
judge 'an include of what stands after' 'src/heap.h:5: heap.h includes slab.h, which'
judge 'a cycle' 'src/slab.h:5: cycle: heap.h slab.h heap.h'

fresh_tree
printf 'char *s = "\\"/*";\n#if 1\n#endif\n' >>src/heap.c
judge 'a string is no comment' 'src/heap.c:4: #if in the core'

fresh_tree
header base.h base.h
judge 'a cycle of one' 'src/base.h:5: cycle: base.h base.h'

for word in 'if 1' 'ifdef X' 'ifndef X' '  if X'; do
    fresh_tree
    printf 'int y;\n#%s\n#endif\n' "$word" >>src/heap.c
    judge "#$word" 'src/heap.c:4: #if'
done

fresh_tree
printf '#define X\n#ifndef M_SLAB_H\n#define M_SLAB_H\n#endif\n' >src/slab.h
judge 'a guard that does not come first' 'src/slab.h:2: #ifndef in the core'

fresh_tree
printf '#ifndef M_SLAB_H\nint x;\n#define OTHER\n#endif\n' >src/slab.h
judge 'a false guard' 'src/slab.h:1: #ifndef M_SLAB_H is no include guard'

fresh_tree
printf 'int z;\n__thread int state;\n' >>src/heap.c
judge 'thread-local state below floor 8' 'src/heap.c:4: thread-local state'

fresh_tree
echo 'int stray;' >src/stray.c
judge 'a file on no floor' 'src/stray.c:1: no floor lists it'

fresh_tree
mkdir src/deep
echo 'int stray;' >src/deep/stray.h
judge 'a file in a directory of src' 'src/deep/stray.h:1: no floor lists it'

fresh_tree
rm src/thread.c
judge 'a file that does not exist' 'tools/floors.txt:9: thread.c does not exist'

fresh_tree
echo '#include "nowhere.h"' >>src/heap.c
judge 'an include of what no floor lists' 'src/heap.c:3: heap.c includes nowhere.h'

fresh_tree
echo '#include "config.h"' >>src/heap.c
judge 'config.h outside policy.h' 'src/heap.c:3: only policy.h'

fresh_tree
echo '#include HEADER' >>src/heap.c
judge 'a computed include' 'src/heap.c:3: an include must name its file'

fresh_tree
echo 'base.h' >>tools/floors.txt
judge 'a file listed twice' 'tools/floors.txt:10: base.h is listed twice'

fresh_tree
echo 'floor 3 wrong' >>tools/floors.txt
judge 'floors out of order' 'tools/floors.txt:10: floor 3 does not follow 8'

fresh_tree
sed -i 's| src/slab.h||' src/local.mk
judge 'a file that the makefile forgot' 'tools/floors.txt:7: slab.h is missing in src/local.mk'

fresh_tree
echo 'more = src/gone.c' >>src/local.mk
judge 'a file that only the makefile knows' 'src/local.mk:3: gone.c is on no floor'

echo "$tried cases, $failed failed"
[ "$failed" -eq 0 ]
