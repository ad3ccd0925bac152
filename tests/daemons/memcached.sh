#!/bin/sh
# SPDX-License-Identifier: MIT
#
# memcached: threads that accept, read and answer; slabs of its own.
# Its unit: systemd-memcached-wrapper memcached.conf, a Perl script that executes
# memcached, which gives up root by itself.
. "$(dirname "$0")/lib.sh"
needs memcached perl

prepare() {
    free_port
    printf '%s\n' '-m 64' "-p $port" '-u memcache' '-l 127.0.0.1' '-t 4' \
        "-P $work/pid" >"$work/memcached.conf"
}

answers() {
    python3 "$daemons_dir/memcached.py" "$port" 1 10
}

start() {
    launch /usr/share/memcached/scripts/systemd-memcached-wrapper \
        "$work/memcached.conf"
    await "an answer" answers
}

exercise() {
    client python3 "$daemons_dir/memcached.py" "$port" 8 200
}

load() {
    rounds=$(scaled 1200)
    client python3 "$daemons_dir/memcached.py" "$port" 8 "$rounds"
    done_requests "$(cat "$logs/client")"
}

live "$@"
