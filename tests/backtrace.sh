#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A crash collector tells detections apart: the function that is named after
# the kind is on the stack, also in a library without debugging information.
# And each of these functions is one of its own, which calls and never jumps.
set -eu
LC_ALL=C
export LC_ALL

library=${MERLON_LIB:?run me with make check}
CC=${CC:-gcc}
nm=${NM:-nm}
nm=${nm%% -B}
work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-backtrace.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failed=0

# 1. By the code. x86 only: other machines have other names for a call.
"$nm" -D --defined-only "$library" | grep ' T merlon_abort_' >"$work/kinds"
kinds=$(wc -l <"$work/kinds")
places=$(awk '{ print $1 }' "$work/kinds" | sort -u | wc -l)
if [ "$kinds" -ne 9 ] || [ "$places" -ne 9 ]; then
    echo "FAILED: $kinds functions for kinds at $places places, not 9 at 9"
    failed=1
fi
case ${host:-} in
x86_64-*)
    ${OBJDUMP:-objdump} -d --no-show-raw-insn "$library" |
        awk '/^[0-9a-f]+ </ { name = $2 }
            name ~ /merlon_abort_/ && / call/ { calls[name] = 1 }
            name ~ /merlon_abort_/ && / jmp/ { jumps[name] = 1 }
            END { for (n in calls) c++; for (n in jumps) j++
                print c + 0, j + 0 }' >"$work/code"
    if [ "$(cat "$work/code")" != "9 0" ]; then
        echo "FAILED: of 9 functions so many call, jump: $(cat "$work/code")"
        failed=1
    fi
    ;;
esac

# 2. By a debugger.
if ! command -v gdb >/dev/null 2>&1; then
    echo "SKIP: no gdb (Debian package gdb)"
    [ "$failed" -eq 0 ] || exit 1
    exit 77
fi
cat >"$work/program.c" <<'END'
#include <stdlib.h>
#include <malloc.h>
#include <string.h>
int main(int argc, char **argv)
{
    char *volatile p = malloc(100);
    char *volatile q = p;
    if (argc < 2)
        return 1;
    switch (argv[1][0]) {
    case 'd': free(p); free(q); break;
    case 'i': free(q + 16); break;
    case 'o': memset(p, 7, malloc_usable_size(p) + 1); free(p); break;
    case 'u': free(p); q[1] = 1; break;
    }
    return 0;
}
END
$CC -O0 -g -w -o "$work/program" "$work/program.c"
${STRIP:-strip} -o "$work/libmerlon.so" "$library"

stack() { # LETTER OPTIONS
    timeout 60 gdb -q -nx -batch -ex "set env LD_PRELOAD $work/libmerlon.so" \
        -ex "set env MERLON_OPTIONS $2" -ex 'set confirm off' \
        -ex 'handle SIGSEGV nostop noprint pass' -ex "run $1" -ex bt \
        "$work/program" >"$work/out" 2>&1 </dev/null || true
    grep -qi 'ptrace\|not being run' "$work/out" && {
        echo "SKIP: gdb cannot run a program here"
        exit 77
    }
    return 0
}

shows() { # LETTER OPTIONS FUNCTION
    stack "$1" "$2"
    # main too: what happened must be found from there.
    if grep -q "^#.* $3 " "$work/out" && grep -q '^#.* main (' "$work/out"
    then
        return 0
    fi
    echo "FAILED: $1: no $3 above main in:"
    sed 's/^/    /' "$work/out"
    failed=1
}

case ${MERLON_VARIANT:-} in
hardened)
    shows d sample=0 merlon_abort_double_free
    shows i sample=0 merlon_abort_invalid_pointer
    shows o sample=0 merlon_abort_buffer_overflow
    shows d sample=1 merlon_abort_double_free
    shows o sample=1 merlon_abort_buffer_overflow
    shows u sample=1,guard_signals=on merlon_abort_use_after_free
    ;;
esac

# 3. Without a signal handler: the fault, and what merlon knows of it.
case ${MERLON_VARIANT:-} in
hardened)
    # shellcheck disable=SC2016 # a variable of gdb
    timeout 60 gdb -q -nx -batch -ex "set env LD_PRELOAD $work/libmerlon.so" \
        -ex 'set env MERLON_OPTIONS sample=1' -ex 'set confirm off' \
        -ex 'run u' -ex "source ${abs_top_srcdir:?}/tools/merlon-sample-gdb.py" \
        -ex 'merlon-sample $_siginfo._sifields._sigfault.si_addr' \
        "$work/program" >"$work/out" 2>&1 </dev/null || true
    for wanted in 'Program received signal SIGSEGV' \
        '1 bytes into a freed object of 100 bytes' \
        'allocated by thread' 'freed by thread' 'main.*program.c:6' \
        'main.*program.c:14'; do
        grep -q "$wanted" "$work/out" || {
            echo "FAILED: no \"$wanted\" in:"
            sed 's/^/    /' "$work/out"
            failed=1
        }
    done
    ;;
esac
exit $failed
