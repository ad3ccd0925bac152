# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# steps.sh - what quickstart and check share: time, progress, and commands
# that are watched and never outlive the script. Read with `.`.
#
# A watched command runs under timeout(1), in a process group of its own, with
# its output in a log. Every few seconds a line says that it is still alive.

steps_began=$(date +%s)
steps_beat_seconds=${MERLON_BEAT_SECONDS:-15}
steps_pid_file=

steps_elapsed() {
    echo $(($(date +%s) - steps_began))
}

# A line with the time since the start.
say() {
    printf '[%4d s] %s\n' "$(steps_elapsed)" "$*"
}

has_command() {
    command -v "$1" >/dev/null 2>&1
}

# The last thing that a log says, in one short line.
steps_last_line() { # LOG
    tail -n 1 "$1" 2>/dev/null | tr -cd '[:print:]' | cut -c 1-60
}

# Run a command with at most SECONDS of time and its output in LOG. Returns
# its exit status; 124 or 137 when time was up.
run_watched() { # NAME SECONDS LOG COMMAND...
    steps_name=$1
    steps_limit=$2
    steps_log=$3
    shift 3
    rm -f "$steps_log.status" "$steps_log.pid"
    (
        timeout -k 10 "$steps_limit" "$@" >"$steps_log" 2>&1 </dev/null &
        echo $! >"$steps_log.pid"
        wait $! && status=0 || status=$?
        echo "$status" >"$steps_log.status.new"
        mv "$steps_log.status.new" "$steps_log.status"
    ) &
    steps_shell=$!
    steps_pid_file=$steps_log.pid
    steps_next=$(($(date +%s) + steps_beat_seconds))
    while [ ! -f "$steps_log.status" ]; do
        sleep 0.2
        if [ "$(date +%s)" -ge "$steps_next" ]; then
            steps_next=$((steps_next + steps_beat_seconds))
            say "    $steps_name: $(steps_last_line "$steps_log")"
        fi
    done
    wait "$steps_shell"
    steps_status=$(cat "$steps_log.status")
    rm -f "$steps_log.status" "$steps_log.pid"
    steps_pid_file=
    return "$steps_status"
}

# End the watched command, if one runs: timeout(1) passes the signal on to
# its whole group.
stop_watched() {
    [ -n "$steps_pid_file" ] || return 0
    steps_pid=$(cat "$steps_pid_file" 2>/dev/null) || return 0
    if kill "$steps_pid" 2>/dev/null; then
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            kill -0 "$steps_pid" 2>/dev/null || break
            sleep 0.2
        done
        kill -KILL "$steps_pid" 2>/dev/null || :
    fi
    rm -f "$steps_pid_file"
    steps_pid_file=
}

# Exit codes of a shell for the usual signals, so that the EXIT trap runs.
trap_signals() {
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# The direct children of a process.
children_of() { # PID
    for steps_stat in /proc/[0-9]*/stat; do
        # The name is in parentheses and may hold anything: cut it away.
        sed 's/^\([0-9]*\) (.*) [A-Za-z] \([0-9]*\) .*/\1 \2/' "$steps_stat" \
            2>/dev/null || : # it may have ended since
    done | awk -v parent="$1" '$2 == parent { print $1 }'
}

# Nobody listens on a port of loopback.
port_is_free() { # PORT
    ! cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '{ print $2 " " }' \
        | grep -q "$(printf ':%04X ' "$1")"
}

# How many jobs make may run.
job_count() {
    nproc 2>/dev/null || echo 2
}

# The source tree must be able to build elsewhere.
require_clean_source() { # SOURCE
    case $1 in
    *[[:space:]:]*)
        say "the path of this tree has a space or a colon in it: $1"
        say "LD_PRELOAD and automake cannot take that; move the tree"
        return 1
        ;;
    esac
    if [ -f "$1/config.status" ]; then
        say "this tree was configured in place; run 'make distclean' first"
        return 1
    fi
}

# configure comes with a tarball; a git checkout has to make it, and again when
# what it is made from has changed.
configure_is_fresh() { # SOURCE
    [ -x "$1/configure" ] || return 1
    [ -f "$1/autogen.sh" ] || return 0
    [ -f "$1/Makefile.in" ] && [ -z "$(find "$1" -path "$1/build*" -prune \
        -o \( -name configure.ac -o -name '*.am' -o -name '*.mk' \
        -o -name 'merlon_*.m4' \) -newer "$1/Makefile.in" -print)" ]
}
