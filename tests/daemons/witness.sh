# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154,SC2034
#
# witness.sh - proof for processes that live too shortly to be looked at:
# witness.py holds each of them at its end. Read after lib.sh.

# Every process of the command runs on merlon and is served by it; at least so
# many were there.
witness() { # NUMBER COMMAND...
    least=$1
    shift
    rm -f "$work/ending" "$work/looked"
    mkfifo "$work/ending" "$work/looked"
    (in_unit "timeout -k 5 150 python3 $daemons_dir/witness.py \
        $work/ending $work/looked" "$@") >"$logs/witnessed" 2>&1 </dev/null &
    witnessed=$!
    seen=0
    exec 3<"$work/ending" 4>"$work/looked"
    while read -r pid <&3; do
        seen=$((seen + 1))
        served_before=$allocations
        prove_process "$pid"
        [ -z "$library" ] || [ "$allocations" -gt "$served_before" ] \
            || fail "process $pid of $* escaped" "$work/stat"
        echo "$pid" >&4
    done
    exec 3<&- 4>&-
    status=0
    wait "$witnessed" || status=$?
    [ "$status" -eq 0 ] || fail "$*: status $status" "$logs/witnessed"
    [ "$seen" -ge "$least" ] || fail "$*: only $seen processes were seen"
}
