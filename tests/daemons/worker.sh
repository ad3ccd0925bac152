# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154,SC2034
#
# worker.sh - programming languages as web servers: GET /work/N computes with
# much memory and answers with digests that depend on N alone. The same program
# prints them as well, which is done without merlon, and the two are compared.
# Read after lib.sh and http.sh.

work_count=6

# What the program prints for each N.
expect_work() { # COMMAND...
    for number in $(seq "$work_count"); do
        client "$@" print "$number"
        mv "$logs/client" "$work/expected.$number"
        [ -s "$work/expected.$number" ] || fail "$1 prints nothing"
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
