# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154,SC2034
#
# worker.sh - programming languages as web servers: GET /work/N computes with
# much memory and answers with a line of digests that depend on N alone. The same
# program prints these lines as well, which is done without merlon, and the two
# are compared.
# Read after lib.sh and http.sh.

work_count=6

# What the program prints for each N.
expect_work() { # COMMAND...
    # shellcheck disable=SC2046 # a list of numbers
    client "$@" print $(seq "$work_count")
    for number in $(seq "$work_count"); do
        sed -n "${number}p" "$logs/client" >"$work/expected.$number"
        grep -q "^$number [0-9a-f]" "$work/expected.$number" \
            || fail "$1 prints something else" "$logs/client"
    done
}

# Some at a time, as threads or processes share the work.
compare_work() { # PORT ROUNDS
    rm -f "$work/urls"
    for round in $(seq "$2"); do
        for number in $(seq "$work_count"); do
            printf 'url = "http://127.0.0.1:%s/work/%s"\noutput = "%s"\n' "$1" \
                "$number" "$work/got.$number.$round" >>"$work/urls"
        done
    done
    client curl -sS --fail --parallel --parallel-max 4 -K "$work/urls"
    for round in $(seq "$2"); do
        for number in $(seq "$work_count"); do
            same "$work/got.$number.$round" "$work/expected.$number"
            rm "$work/got.$number.$round"
        done
    done
    done_requests $(($2 * work_count))
}
