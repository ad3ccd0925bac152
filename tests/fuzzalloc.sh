#!/bin/sh
# SPDX-License-Identifier: MIT
#
# fuzzalloc.sh - libmerlon-fuzz, preloaded: every kind of misuse is found, in the
# right way, and everything repeats by the seed.
#
#   MERLON_LIB=/path/libmerlon-fuzz.so tests/fuzzalloc.sh
#
# Skipped (77) for other variants. tests/fuzzalloc/crimes.c is what commits it.
set -eu
# shellcheck disable=SC3045 # an extension that dash and bash have
ulimit -c 0
LC_ALL=C
export LC_ALL

: "${MERLON_LIB:?the library under test, as a path}"
case $MERLON_LIB in
*merlon-fuzz*) ;;
*) echo "skipped: only for libmerlon-fuzz"; exit 77 ;;
esac
if [ -n "${EMULATOR:-}" ]; then
    echo "skipped: not under an emulator"
    exit 77
fi
top=${abs_top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
MERLON_LIB=$(readlink -f "$MERLON_LIB")
CC=${CC:-gcc}
work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-fuzzalloc.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"

for program in crimes oldkernel; do
    # shellcheck disable=SC2086 # CC may be several words
    $CC -std=gnu17 -O1 -fno-omit-frame-pointer -Wall -I"$top/include" \
        -pthread -o $program "$top/tests/fuzzalloc/$program.c"
done

failed=0
count=0
launcher=

# Run a crime; its outputs are in the files out and err.
run() { # OPTIONS NAME...
    options=$1
    shift
    status=0
    # shellcheck disable=SC2086 # the launcher is nothing or a word
    timeout 60 $launcher env LD_PRELOAD="$MERLON_LIB" MERLON_OPTIONS="$options" \
        ./crimes "$@" >out 2>err || status=$?
}

complain() { # TEXT
    echo "FAILED: $options: $crime: $1"
    sed 's/^/    /' err out | head -n 12
    failed=$((failed + 1))
}

# A crime must end with this status and say this.
commit() { # STATUS REGEX OPTIONS NAME...
    wanted=$1
    regex=$2
    shift 2
    count=$((count + 1))
    crime="$*"
    # shellcheck disable=SC2068
    run $@
    [ "$status" = "$wanted" ] || complain "status $status, not $wanted"
    cat err out >both
    [ -z "$regex" ] || grep -qE -- "$regex" both || complain "does not say: $regex"
    # Every line of ours is whole and has our mark.
    if grep -vE '^(merlon: |\{"merlon":)' err | grep -qvE 'Terminated|Aborted|fault|trap'
    then
        complain "a line that is not a report"
    fi
}

# Two runs differ in nothing, or in something.
alike() { # OPTIONS NAME...
    count=$((count + 1))
    crime="alike $*"
    run "$@"
    cp out first
    run "$@"
    if [ "$status" != 0 ] || [ ! -s out ] || ! cmp -s first out; then
        complain "two runs differ, or status $status"
    fi
}

unlike() { # OPTIONS OPTIONS NAME...
    count=$((count + 1))
    one=$1
    other=$2
    shift 2
    crime="unlike $*"
    run "$one" "$@"
    cp out first
    run "$other" "$@"
    if cmp -s first out || [ ! -s out ]; then
        complain "both runs are the same"
    fi
}

# Status 139: the faulting instruction ended it. 134: noticed later.
crimes() {
    while IFS='|' read -r wanted regex rest; do
        # shellcheck disable=SC2086 # words
        [ -z "$wanted" ] || commit "$wanted" "$regex" $rest
    done <<'END'
139|buffer overflow \(write behind the object\)|seed=1 write_behind 8
139|buffer overflow \(write behind the object\)|seed=1,align=1 write_behind 0
139|buffer overflow \(read behind the object\)|seed=1 read_behind 8
139|buffer overflow \(read behind the object\)|seed=1,align=1 read_behind 0
134|buffer overflow in free\(\) \(behind the object\)|seed=1 write_behind 0
134|buffer overflow in free\(\) \(behind the object\)|seed=1 write_behind 7
134|buffer overflow in free\(\) \(behind the object\)|seed=1,side=left write_behind 0
134|buffer overflow in free\(\) \(behind the object\)|seed=1,side=left write_behind 31
134|buffer overflow in free\(\) \(before the object\)|seed=1 write_before 1
134|buffer overflow in free\(\) \(before the object\)|seed=1 write_before 32
139|buffer overflow \(write before the object\)|seed=1,side=left write_before 1
139|buffer overflow \(read before the object\)|seed=1,side=left read_before 1
134|buffer overflow in exit\(\) \(behind the object, found by a sweep\)|seed=1 write_behind_and_leave 0
134|buffer overflow in malloc\(\) \(behind the object, found by a sweep\)|seed=1,verify=4 write_behind_and_go_on 20
134|buffer overflow in merlon_fuzz_verify\(\)|seed=1 write_behind_and_verify 0
0||seed=1 write_behind_and_go_on 20
139|use after free \(read\)|seed=1 read_after_free 24
139|use after free \(write\)|seed=1 write_after_free 24
139|use after free \(write\)|seed=1 write_after_free 5000
139|use after free \(write\)|seed=1 write_after_free 3000000
139|use after free \(write\)|seed=1 write_long_after_free 10000
134|double free in free\(\)|seed=1 free_twice 1
134|double free in free\(\)|seed=1 free_twice 24
134|double free in free\(\)|seed=1 free_twice 0
134|double free in free\(\)|seed=1 free_twice 1000000
134|invalid pointer in free\(\) \(not the start of an object\)|seed=1 free_inside 16
134|invalid pointer in free\(\) \(not the start of an object\)|seed=1 free_inside 1
134|invalid pointer in free\(\) \(not the start of an object\)|seed=1 free_inside 90000
134|invalid pointer in free\(\) \(not from merlon\)|seed=1 free_foreign
134|invalid pointer in free\(\) \(not from merlon\)|seed=1 free_number 4096
134|invalid pointer in free\(\) \(not from merlon\)|seed=1 free_number -16
139|use after free \(read\)|seed=1 use_after_realloc 100
139|use after free \(read\)|seed=1 use_after_realloc 50
139|use after free \(read\)|seed=1 use_after_realloc 5000
134|use after free in realloc\(\)|seed=1 realloc_freed
134|use after free in malloc_usable_size\(\)|seed=1 size_of_freed
139|buffer overflow \(read behind the object\)|seed=1 use_nothing
139|buffer overflow \(write behind the object\)|seed=1 behind_large 700001
139|buffer overflow \(write behind the object\)|seed=1 behind_large 3000000
139|buffer overflow \(write behind the object\)|seed=1 behind_aligned
139|use after free \(read\)|seed=1 used_after_reset
END
}

echo "crimes, with guards inside one mapping if the kernel has them"
crimes

echo "crimes, on a kernel without them"
launcher=./oldkernel
run seed=1 seed
if [ "$status" = 77 ]; then
    echo "SKIP: system calls cannot be filtered here"
else
    crimes
    alike seed=5 addresses 3
fi
launcher=

echo "memory that cannot be closed is filled and verified"
run seed=1,free_fill=201 write_after_lost
if [ "$status" = 77 ]; then
    echo "SKIP: system calls cannot be filtered here"
else
    commit 134 'write after free in merlon_fuzz_verify' seed=1 write_after_lost
    commit 134 '^201$' seed=1,free_fill=201 write_after_lost
fi

echo "everything repeats by the seed"
alike seed=5 addresses 3
alike seed=5,side=alternate,budget=1M addresses 3
alike seed=5,stacks=off,align=1 addresses 1
unlike seed=5 seed=6 addresses 1
unlike seed=5 '' addresses 1
unlike '' '' addresses 1
alike seed=5 thread_addresses
alike seed=5,fail_one_in=10 fork_addresses 3
run seed=5,fail_one_in=10 fork_addresses 5
count=$((count + 1))
crime="children of a fork server"
if [ "$(sort -u out | wc -l)" != 1 ] || [ "$(wc -l <out)" != 5 ]; then
    complain "are not all alike"
fi
commit 0 '^all alike$' seed=5,side=alternate dropped_iterations 50
commit 0 '^all alike$' seed=5,budget=1M dropped_iterations 20
commit 0 '^not alike$' seed=5 kept_iterations 2
commit 0 '^1 still me 1$' seed=5 mark_keeps
commit 0 '' seed=5 fork_from_threads 20
commit 0 '^17$' seed=17 seed
commit 0 '^all gone$' seed=5,verify=20 exchange 3000
commit 0 '^all gone$' seed=5,budget=1M,verify=20,side=alternate exchange 3000
run '' free_twice 5
its_seed=$(sed -n 's/.*repeat with seed=//p' err)
its_pointer=$(sed -n '1s/.*pointer \(0x[0-9a-f]*\),.*/\1/p' err)
commit 134 "pointer $its_pointer," "seed=$its_seed" free_twice 5

echo "placing"
commit 0 '^right$' seed=1 sides
commit 0 '^left$' seed=1,side=left sides
commit 0 '^both$' seed=1,side=alternate sides
for n in 1 2 4 8 16; do
    commit 0 '' seed=1,align=$n alignment $n
done
commit 0 '^never$' seed=1 reuse 2000
commit 0 '^after 128$' seed=1,budget=1M reuse 2000
commit 0 '^few$' seed=1 mappings 5000

echo "contents"
commit 0 '^bebebebe$' seed=1 contents
commit 0 '^01010101bebebebe$' seed=1 contents
commit 0 '^00000000$' seed=1,fill=7 contents
commit 0 '^07070707$' seed=1,fill=7 contents
unlike fill=0 fill=255 uninitialised

echo "failures and limits"
commit 0 'N.*N' seed=1,fail_one_in=5 failures 100
alike seed=1,fail_one_in=5 failures 200
unlike seed=1,fail_one_in=5 seed=2,fail_one_in=5 failures 200
commit 0 '^1 0 1 1 1 1 1$' seed=1,max_alloc=1000 limits
commit 0 '^1 1 1 1 0 0 0$' seed=1,max_total=70000 limits_of_total
commit 134 'out of memory in malloc\(\) \(max_alloc\)' \
    seed=1,max_alloc=1000,oom=abort limits
commit 134 'out of memory in malloc\(\) \(max_total\)' \
    seed=1,max_total=70000,oom=abort limits_of_total

echo "how it ends, and what is told"
commit 77 'double free' seed=1,exit_code=77 free_twice 24
commit 77 'use after free' seed=1,exit_code=77 read_after_free 24
commit 77 'found by a sweep' seed=1,exit_code=77 write_behind_and_leave
commit 133 '' seed=1,stop_at=2 alignment 1
commit 0 '' seed=1,stop_at=7:2 alignment 16
commit 139 '' seed=1,faults=off read_after_free 24
count=$((count + 1))
if [ -s err ] && grep -q merlon err; then
    complain "explains a fault without being asked"
fi
commit 0 'double free' seed=1,on_error=report free_twice 24
commit 0 '3 objects, 30 bytes, were not freed' seed=1,leaks=on leave 3
commit 134 'allocated at operation 0:[0-9]+ by tid [0-9]+: crimes.*crimes' \
    seed=1 free_twice 24
commit 134 'freed at operation 0:[0-9]+ by tid [0-9]+: crimes.*crimes' \
    seed=1 free_twice 24
commit 134 'freed at operation 0:[0-9]+ by tid [0-9]+: crimes[^ ]*$' \
    seed=1,stacks=off free_twice 24

# JSON: whole, and with what scripts want. python3 reads it, if there is one.
rm -f report
commit 134 'double free' seed=1,report=json,report_file="$work/report" \
    free_twice 24
commit 139 'use after free' seed=1,report=json,report_file="$work/report" \
    read_after_free 24
count=$((count + 1))
if ! command -v python3 >/dev/null; then
    echo "SKIP: JSON is not parsed without python3"
elif ! python3 - report <<'END'
import json, sys
double, use = [json.loads(line) for line in open(sys.argv[1])]
assert double["merlon"] == "double free", double
assert double["function"] == "free" and double["seed"] == 1
assert double["object"]["bytes"] == 24 and double["object"]["offset"] == 0
assert double["object"]["state"] == "freed"
for event in "allocated", "freed":
    assert double["object"][event]["stack"][0].startswith("crimes+0x")
    assert double["object"][event]["operation"].startswith("0:")
assert use["merlon"] == "use after free" and use["access"] == "read"
assert use["object"]["offset"] == 12, use
END
then
    options=report=json
    crime=JSON
    complain "is not as it should be"
fi

# Kinds of misuse end in functions of their own: the library must have them.
nm=${NM:-nm}
"${nm%% -B}" "$MERLON_LIB" >names
for kind in double_free invalid_pointer buffer_overflow use_after_free \
    write_after_free out_of_memory; do
    count=$((count + 1))
    grep -q "merlon_abort_$kind" names || {
        crime=symbols
        complain "there is no merlon_abort_$kind"
    }
done

# And a crime ends in the one of its kind, which the debugger sees.
ends_in() { # KIND OPTIONS NAME...
    kind=$1
    options=$2
    crime="$3, ending"
    shift 2
    count=$((count + 1))
    timeout 60 gdb -nx -batch -ex 'set startup-with-shell off' \
        -ex "set environment LD_PRELOAD $MERLON_LIB" \
        -ex "set environment MERLON_OPTIONS $options" \
        -ex run -ex backtrace --args ./crimes "$@" >out 2>err || :
    grep -q "in merlon_abort_$kind " out ||
        complain "does not end in merlon_abort_$kind"
}

if command -v gdb >/dev/null; then
    ends_in double_free seed=1 free_twice 24
    ends_in invalid_pointer seed=1 free_inside 16
    ends_in buffer_overflow seed=1 write_behind 0
    ends_in use_after_free seed=1 realloc_freed
    ends_in out_of_memory seed=1,max_alloc=1000,oom=abort limits
else
    echo "SKIP: how it ends is not looked at without gdb"
fi

echo "$count checks, $failed failed"
[ "$failed" = 0 ]
