# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# lib.sh - one daemon, one allocator, one life: prepared, started, questioned,
# loaded and measured, reloaded, stopped. Read with `.` by tests/daemons/NAME.sh.
#
#   NAME.sh [--quick] [--keep] [--result FILE] SUBJECT [LIBRARY]
#
# With a LIBRARY of merlon, every process of the daemon is proven to run on it.
# SUBJECT glibc has none: the daemon runs on the C library's malloc, even if it links
# another one, and every process is proven to be without merlon. The figures go
# under the name SUBJECT. Exit status: 0 passed, 77 skipped (and why), else failed.
#
# How a daemon is written
# -----------------------
# A file tests/daemons/NAME.sh, executable (what is not is read by others), opens so
#
#   #!/bin/sh
#   # SPDX-License-Identifier: MIT
#   #
#   # NAME: what is loaded, and why it is here. Its unit: ExecStart=...
#   . "$(dirname "$0")/lib.sh"
#   needs nginx curl ab
#
# (needs: the commands it cannot do without; its packages stand in the table of
# tools/install-packages, group daemons); it defines these functions and ends by
# the line `live "$@"`:
#
#   prepare   write configuration and data below $work (open to all users)
#   start     launch COMMAND... with the unit's command line; await TEXT COMMAND
#   exercise  ask for things and compare the answers; may run more than once
#   load      the measured work of $(scaled N) requests; done_requests; checked too
#   reload    (if it can) as the unit's ExecReload, and see that it happened
#   stop      (if SIGTERM to the main process is not enough) as ExecStop would
#
# A line `# slow: REASON` in its head leaves it out of --quick (see run).
# `set -eu` holds in all of them. Other variables it may set:
#
#   user=redis          User= of the unit (default: root, as units do)
#   environment='A=b'   Environment= of the unit; words without blanks
#   processes=3         at least so many processes must be there (default 1)
#   foreign='sh|perl'   programs among its processes that run without merlon by
#                       design: an extended regular expression on their names
#   mistold=yes         it is known to delete objects by a wrong size: merlon must
#                       count that, and may say so
#   end_status=0        the exit status of an orderly stop; or several words
#
# What it may use: $work, $logs (any file there is searched for reports), $quick
# (yes or no), and
#
#   free_port           sets port to one of loopback that is ours (20 at most)
#   launch COMMAND...   the daemon: environment cleaned, own session, stdin null
#   control COMMAND...  as launch, for a short command: ExecStartPre, ExecReload
#   client COMMAND...   a client, at most 60 s, output in $logs/client;
#                       failure fails the test. Clients run without merlon
#   assist COMMAND...   a process that the test needs besides, without merlon: an
#                       origin server, a client that stays; sets assistant to
#                       its PID; ended with the test, or by dismiss PID
#   await TEXT COMMAND...  until it succeeds, at most 20 s, while the daemon lives
#   main_pid            prints the main process, however it was started
#   tree                prints all of its processes
#   same FILE FILE      the answer is, byte for byte, what it should be
#   scaled N            prints N with --quick, eight times N otherwise
#   done_requests N     adds to the requests that CPU time is divided by
#   prove               every process runs on merlon (also called by live)
#   fail TEXT [LOG]     the end
set -eu

daemons_dir=$(cd "$(dirname "$0")" && pwd -P)
source_dir=$(cd "$daemons_dir/../.." && pwd -P)
# shellcheck source=tools/steps.sh
. "$source_dir/tools/steps.sh"

# As systemd starts what it starts.
unit_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PATH=$unit_path
LC_ALL=C
export PATH LC_ALL
umask 022
ulimit -c 0 2>/dev/null || :

name=$(basename "$0" .sh)
user=
environment=
processes=1
foreign='^$'
mistold=no
end_status=0
patience=${MERLON_DAEMON_PATIENCE:-1}
quick=no
keep=no
result=/dev/null
work=
keeper=
assistants=
requests=0
allocations=0
mappings=0
mismatches=0
process_count=0
clock_ticks=$(getconf CLK_TCK)

# ------------------------------------------------------------ how it ends

# End what launch and assist started, with all that came of it.
dismiss() { # PID...
    for pid in "$@"; do
        kill -TERM "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
    done
}

clean_up() {
    status=$?
    trap '' HUP INT TERM
    # shellcheck disable=SC2086 # a list of numbers
    dismiss $keeper $assistants
    if [ -n "$work" ]; then
        if [ "$keep" = yes ]; then
            say "kept: $work"
        else
            rm -rf "$work"
        fi
    fi
    exit "$status"
}

fail() { # TEXT [LOG]
    say "FAILED: $name on $subject: $1"
    for log in "${2:-}" "$logs"/*; do
        [ -s "$log" ] || continue
        echo "    ${log##*/}:"
        tail -n 15 "$log" | cut -c 1-200 | sed 's/^/    | /'
    done
    exit 1
}

skip() { # REASON
    say "SKIP: $name: $1"
    exit 77
}

needs() { # COMMAND...
    for command in "$@"; do
        has_command "$command" \
            || skip "there is no $command (tools/install-packages daemons)"
    done
}

# ------------------------------------------------- the daemon's processes

# The processes below keeper, each as "PID CPU-TICKS", those of its children
# that are gone included; keeper's own first. One look at /proc for all.
snapshot() {
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v root="$keeper" '
        {
            pid = $1
            sub(/^.*\) /, "") # the name may hold anything
            parent[pid] = $2
            ticks[pid] = $12 + $13 + $14 + $15
            if (pid == root)
                ticks[pid] = $14 + $15
        }
        END {
            for (pid in parent) {
                for (up = pid; up in parent && up != root; )
                    up = parent[up]
                if (up == root)
                    print pid, ticks[pid]
            }
        }' | sort -n
}

tree() {
    snapshot | awk -v root="$keeper" '$1 != root { print $1 }'
}

cpu_ms() {
    snapshot | awk -v hz="$clock_ticks" '{ sum += $2 }
        END { printf "%d\n", sum * 1000 / hz }'
}

# Proportional set size, all processes together, in KiB.
pss_kib() {
    for pid in $(tree); do
        cat "/proc/$pid/smaps_rollup" 2>/dev/null || : # it may have ended
    done | awk '/^Pss:/ { sum += $2 } END { print sum + 0 }'
}

# The oldest of keeper's own children: a daemon that goes into the background
# ends up there as well, and before any process that it leaves behind.
main_pid() {
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v root="$keeper" '
        {
            pid = $1
            sub(/^.*\) /, "")
            if ($2 == root)
                print $20, pid
        }' | sort -n | awk 'NR == 1 { print $2 }'
}

# --------------------------------------------------- starting and waiting

# Twenty ports that no other test takes while this one lives: somebody else's
# server with the same files would answer just as well.
reserve_ports() { # sets port
    for range in $(seq 0 44); do
        exec 9>"/run/lock/merlon-daemons.$range"
        if flock -n 9; then
            port=$((${MERLON_DAEMON_PORTS:-21000} + 20 * range))
            return 0
        fi
    done
    fail "no free range of ports"
}

free_port() { # sets port
    for _ in $(seq 20); do
        port=$((port + 1))
        ! port_is_free "$port" || return 0
    done
    fail "no free port on loopback"
}

# Become a command with the surroundings that systemd gives: a clean environment,
# its soft limit of files, the unit's user.
in_unit() { # WRAPPER COMMAND...
    wrapper=$1
    shift
    # shellcheck disable=SC2086 # a list of words
    set -- env -i PATH="$unit_path" LANG=C.UTF-8 $environment \
        LD_PRELOAD="$preload" "$@"
    if [ -n "$user" ]; then
        set -- setpriv --reuid "$user" --regid "$(id -gn "$user")" \
            --init-groups "$@"
    fi
    ulimit -S -n 1024
    # shellcheck disable=SC2086 # a list of words
    exec $wrapper "$@"
}

launch() { # COMMAND...
    (in_unit "python3 $daemons_dir/keeper.py" "$@") \
        </dev/null >"$logs/stdout" 2>"$logs/stderr" 9>&- &
    keeper=$!
}

control() { # COMMAND...
    (in_unit "timeout -k 5 $((30 * patience))" "$@") >"$logs/control" 2>&1 </dev/null 9>&- \
        || fail "$*: status $?" "$logs/control"
}

assist() { # COMMAND...
    python3 "$daemons_dir/keeper.py" "$@" >>"$logs/assist" 2>&1 \
        </dev/null 9>&- &
    assistant=$!
    assistants="$assistants $assistant"
}

client() { # COMMAND...
    timeout -k 5 $((60 * patience)) "$@" >"$logs/client" 2>&1 \
        || fail "client, status $?: $*" "$logs/client"
}

await() { # TEXT COMMAND...
    waited_for=$1
    shift
    for _ in $(seq $((200 * patience))); do
        ! "$@" >"$logs/await" 2>&1 </dev/null || return 0
        [ -z "$keeper" ] || kill -0 "$keeper" 2>/dev/null \
            || fail "it ended before: $waited_for"
        sleep 0.1
    done
    fail "waited in vain: $waited_for" "$logs/await"
}

scaled() { # NUMBER
    if [ "$quick" = yes ]; then
        echo "$1"
    else
        echo $(($1 * 8))
    fi
}

done_requests() { # NUMBER
    requests=$((requests + $1))
}

same() { # FILE FILE
    cmp "$1" "$2" >"$logs/compare" 2>&1 || fail "answers differ" "$logs/compare"
}

# ------------------------------------------------------------- the proof

# A figure of merlon-stat's, from $work/stat.
figure() { # LABEL
    sed -n "s/^$1: *\([0-9][0-9]*\).*/\1/p" "$work/stat"
}

# A process of the daemon that still runs, by the name of its program.
program_of() { # PID
    program=$(readlink "/proc/$1/exe") && echo "${program##*/}"
}

# What ends while it is looked at proves nothing, either way.
unproven() { # PID TEXT
    ! program_of "$1" >/dev/null || fail "process $1: $2" "$work/stat"
}

# One process: on merlon and served by it, or not on merlon at all.
prove_process() { # PID
    if [ -z "$library" ]; then
        ! grep -q libmerlon "/proc/$1/maps" || fail "process $1 has merlon"
        return 0
    fi
    timeout 20 "$stat" "$1" >"$work/stat" 2>&1 || {
        unproven "$1" "runs without merlon"
        return 0
    }
    grep -q "^mapped from: *$library\$" "$work/stat" \
        || fail "process $1 has another merlon" "$work/stat"
    count=$(figure 'allocations served')
    [ "$count" -gt 0 ] || fail "process $1 never used merlon" "$work/stat"
    wrong_sizes=$(figure 'size mismatches')
    found=$(figure detections)
    if [ "$mistold" = yes ]; then
        found=$((found - $(figure '  size mismatch')))
    fi
    [ "$found" -eq 0 ] \
        || fail "process $1: merlon detected something" "$work/stat"
    mismatches=$((mismatches + wrong_sizes))
    allocations=$((allocations + count))
}

prove() {
    allocations=0
    mappings=0
    mismatches=0
    process_count=0
    for pid in $(tree); do
        program=$(program_of "$pid") || continue
        ! echo "$program" | grep -Eqx -e "$foreign" || continue
        prove_process "$pid"
        process_count=$((process_count + 1))
        count=$(cat "/proc/$pid/maps" 2>/dev/null | wc -l)
        [ "$count" -le "$mappings" ] || mappings=$count
    done
    [ "$process_count" -ge "$processes" ] \
        || fail "$process_count processes; at least $processes should be there"
    [ "$mistold" = no ] || [ -z "$library" ] || [ "$mismatches" -gt 0 ] \
        || fail "no wrong size was counted, and it is known for them"
}

# Nobody complains: not merlon, nor a parent whose child crashed.
search_logs() {
    harmless='^$'
    [ "$mistold" = no ] || harmless='merlon: size mismatch in free_sized'
    if grep -rHaE 'merlon: |signal (4|6|7|11)([^0-9]|$)|Segmentation|Aborted' \
        "$logs" | grep -aEv -e "$harmless" >"$work/complaints"; then
        fail "there are complaints" "$work/complaints"
    fi
}

# -------------------------------------------------------------- one life

# The end that most units leave to systemd.
stop() {
    kill -TERM "$(main_pid)"
}

reload() {
    :
}

await_end() {
    for _ in $(seq $((200 * patience))); do
        kill -0 "$keeper" 2>/dev/null || break
        sleep 0.1
    done
    left=$(tree)
    [ -z "$left" ] || fail "still there after the stop: $left"
    status=0
    wait "$keeper" || status=$?
    keeper=
    case " $end_status " in
    *" $status "*) ;;
    *) fail "it ended with status $status" ;;
    esac
}

usage() {
    sed -n '4,14s/^# \{0,1\}//p' "$daemons_dir/lib.sh"
}

live() { # ARGUMENT...
    while [ $# -gt 0 ]; do
        case $1 in
        --quick) quick=yes ;;
        --keep) keep=yes ;;
        --result)
            result=$2
            shift
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        -*)
            usage >&2
            exit 2
            ;;
        *) break ;;
        esac
        shift
    done
    subject=${1:?the name of what is tested}
    library=${2:+$(readlink -e "$2")}
    if [ "$subject" != glibc ] && [ ! -f "$library" ]; then
        echo "$name: where is the library of $subject?" >&2
        exit 2
    fi
    [ "$(id -u)" -eq 0 ] || skip "not root: units start daemons as root"
    needs python3 setpriv flock
    if [ -n "$library" ]; then
        preload=$library
    else
        preload=$(ldd /bin/sh | awk '$1 == "libc.so.6" { print $3 }')
    fi
    stat=${MERLON_STAT:-$(dirname "$library")/../merlon-stat}
    # Daemons give up root, and have sockets there whose names must be short.
    work=$(mktemp -d /tmp/merlon-daemon.XXXXXX)
    logs=$work/logs
    trap clean_up EXIT
    trap_signals
    trap "exit 141" PIPE
    mkdir -m 1777 "$logs"
    chmod 755 "$work"

    reserve_ports
    prepare
    start
    exercise
    requests=0
    before=$(cpu_ms)
    load
    sleep 0.2
    cpu=$(($(cpu_ms) - before))
    pss=$(pss_kib)
    loaded=$requests
    prove
    served=$allocations
    reload
    exercise
    prove
    stop
    await_end
    search_logs
    printf '{"daemon": "%s", "subject": "%s", "requests": %d, "cpu_ms": %d,' \
        "$name" "$subject" "$loaded" "$cpu" >"$result"
    printf ' "pss_kib": %d, "processes": %d, "mappings": %d,' \
        "$pss" "$process_count" "$mappings" >>"$result"
    printf ' "allocations": %d, "seconds": %d}\n' \
        "$served" "$(steps_elapsed)" >>"$result"
    say "$name on $subject: passed, $process_count processes," \
        "$loaded requests, $cpu ms of CPU, $pss KiB, $mappings mappings," \
        "$served allocations"
}
