#!/bin/sh
# SPDX-License-Identifier: MIT
#
# limits.sh - hard places: limits, sandboxes, a chroot without anything, a
# memory cgroup. live.c goes there and allocates, merlon being preloaded.
#
#   MERLON_LIB=/path/libmerlon.so tests/integration/limits.sh
#
# Each case must end with 0 and say only what it should. What the machine does
# not permit is named as SKIP, with the reason.
set -eu
# shellcheck disable=SC3045 # an extension that dash and bash have
ulimit -c 0
LC_ALL=C
export LC_ALL

: "${MERLON_LIB:?the library under test, as a path}"
CC=${CC:-cc}
here=$(cd "$(dirname "$0")" && pwd)
MERLON_LIB=$(cd "$(dirname "$MERLON_LIB")" && pwd)/$(basename "$MERLON_LIB")
if [ -n "${EMULATOR:-}" ]; then
    echo "SKIP: not under an emulator" >&2
    exit 77
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-limits.XXXXXX")
cgroup=
clean_up() {
    [ -z "$cgroup" ] || rmdir "$cgroup" 2>/dev/null || :
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
failures=0

# The calls that systemd's group has, with the groups it consists of.
calls_of() { # GROUP
    systemd-analyze syscall-filter "$1" </dev/null |
        sed -n 's/^ *\([-@a-z_0-9]*\)$/\1/p' | while read -r name; do
            case $name in
            "$1") ;;
            @*) calls_of "$name" ;;
            *) echo "$name" ;;
            esac
        done
}
if command -v systemd-analyze >/dev/null; then
    calls_of @system-service | sort -u | while read -r name; do
        echo "#ifdef SYS_$name"
        echo "{SANDBOX_ALLOW, SYS_$name, 0, 0},"
        echo "#endif"
    done >system_service.h
else
    : >system_service.h
fi

# shellcheck disable=SC2086 # CC may be several words
$CC -std=gnu17 -O1 -g -fno-builtin -pthread -I. -o live "$here/live.c"

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

skip() { # TITLE REASON
    echo "SKIP: $1: $2"
}

# live with words, in a shell that may set limits before.
lives() { # TITLE BEFORE WORD...
    title=$1
    before=$2
    shift 2
    status=0
    timeout -k 5 120 sh -c "$before"' exec "$@"' sh \
        env LD_PRELOAD="$MERLON_LIB" ./live "$@" >out 2>err || status=$?
    if [ $status -ne 0 ] || [ -s err ] || [ "$(cat out)" != lived ]; then
        fail "$title: status $status: $(head -c 300 err)"
    else
        echo "passed: $title"
    fi
}

# ------------------------------------------------------------------ limits

lives 'RLIMIT_AS of 512 MB before start' 'ulimit -v 524288;' partner run
lives 'RLIMIT_AS of 100 MB before start' 'ulimit -v 102400;' may-fail run
lives 'RLIMIT_DATA of 512 MB before start' 'ulimit -d 524288;' partner run
lives 'RLIMIT_DATA of 256 MB before start' 'ulimit -d 262144;' partner \
    may-fail run
lives 'RLIMIT_DATA of 20 MB before start' 'ulimit -d 20480;' may-fail run
lives 'RLIMIT_DATA of 20 MB while running' '' data=20 may-fail run
lives 'RLIMIT_NPROC of 0, no more files' '' partner nproc=0 files=0 run
lives 'RLIMIT_MEMLOCK of 0' '' memlock=0 partner run
lives 'stacks of 64 KiB' '' stacks
lives 'a stack of 64 KiB for main' 'ulimit -s 64;' run
lives 'all mappings used up' '' maps may-fail run
lives 'all mappings used up, with memory' '' run partner maps may-fail run
if ./live mlockall >/dev/null 2>&1; then
    lives 'mlockall of what is to come' '' run mlockall partner run
    lives 'mlockall of all' '' run mlockall-now partner run
    lives 'mlockall of all before anything' '' mlockall-now run
    lives 'mlockall and no lockable memory' '' mlockall memlock=0 may-fail run
else
    skip mlockall 'not permitted'
fi

# vm.overcommit_memory=2 charges what is private and writable, and refuses more
# at the same places as RLIMIT_DATA above. So what a program is charged is looked
# at, and nobody's machine is switched. In KiB, of a program that reads a file.
charge() { # LIBRARY
    # shellcheck disable=SC2016 # for awk
    LD_PRELOAD=$1 awk '/^[0-9a-f]+-[0-9a-f]+ / { counts = $2 ~ /^.w.p/ }
        /^Size:/ && counts { sum += $2 }
        END { print sum }' /proc/self/smaps
}
more=$(($(charge "$MERLON_LIB") - $(charge '')))
if [ "$more" -le 16384 ]; then
    echo "passed: vm.overcommit_memory=2 would charge $more KiB more"
else
    fail "vm.overcommit_memory=2 would charge $more KiB more"
fi
if [ "$(cat /proc/sys/vm/overcommit_memory)" = 2 ]; then
    echo "passed: vm.overcommit_memory is 2: all of this was with it"
else
    skip 'vm.overcommit_memory of 2' 'the machine has another; not switched'
fi

# --------------------------------------------------------------- sandboxes

lives 'no file is opened after the first call' '' filter=no-open partner run
lives 'what OpenSSH kills and refuses' '' filter=openssh partner run
lives 'the same before exec' '' filter=openssh exec partner run
if [ -s system_service.h ]; then
    lives '@system-service' '' filter=system-service partner run
    lives '@system-service before exec' '' filter=system-service exec \
        partner run
else
    skip '@system-service' 'there is no systemd-analyze'
fi

mkdir empty
if ./live chroot=empty >/dev/null 2>&1; then
    lives 'an empty chroot' '' chroot=empty partner run
    mkdir -p "root$(dirname "$MERLON_LIB")"
    cp "$MERLON_LIB" "root$MERLON_LIB"
    cp live root/
    # What the loader maps, and nothing else.
    ldd ./live "$MERLON_LIB" | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p' |
        sort -u | while read -r file; do
        mkdir -p "root$(dirname "$file")"
        cp "$file" "root$file"
    done
    status=0
    LD_PRELOAD=$MERLON_LIB timeout -k 5 120 chroot root /live partner run \
        >out 2>err || status=$?
    if [ $status -eq 0 ] && [ "$(cat out)" = lived ]; then
        echo "passed: started in a chroot without /dev and /proc"
    else
        fail "started in a chroot: status $status: $(head -c 300 err)"
    fi
else
    skip 'an empty chroot' 'not permitted'
fi

# ----------------------------------------------------------- memory cgroup

# A directory where a limit can be set, or nothing.
make_cgroup() {
    for parent in /sys/fs/cgroup/memory /sys/fs/cgroup; do
        cgroup=$parent/merlon-test-$$
        mkdir "$cgroup" 2>/dev/null || continue
        for file in memory.limit_in_bytes memory.max; do
            if { echo $((64 << 20)) >"$cgroup/$file"; } 2>/dev/null; then
                return 0
            fi
        done
        rmdir "$cgroup"
    done
    cgroup=
    return 1
}
if make_cgroup; then
    # shellcheck disable=SC2016 # for the shell that goes there
    cgroup=$cgroup
    export cgroup
    # shellcheck disable=SC2016
    lives 'a memory cgroup of 64 MiB' 'echo $$ >"$cgroup/cgroup.procs";' \
        partner run run run
    rmdir "$cgroup" || sleep 1
else
    skip 'a memory cgroup' 'none can be made or limited here'
fi

if [ $failures -ne 0 ]; then
    echo "$failures failed" >&2
    exit 1
fi
