#!/bin/sh
# SPDX-License-Identifier: MIT
#
# squid: a proxy with a cache on disk and in memory, hits and misses compared.
# C++; it deletes 28 bytes as 16 (Ip::Address::FreeAddr), which other hardened
# allocators die of. Its unit: Type=notify, squid --foreground -sYC;
# ExecReload=kill -HUP; the drop-in starts it as user proxy.
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/http.sh"
. "$daemons_dir/shipped.sh"
needs squid nginx curl ab
# squid's first process, its worker, and unlinkd.
processes=3
mistold=yes

prepare() {
    drop_in squid.service
    make_files "$work/www"
    http_origin "$work/www"
    behind=$port
    free_port
    mkdir "$work/cache" "$work/run"
    chown "$user" "$work/cache" "$work/run"
    ship squid.conf
    sed -i "s|/run/squid/|$work/run/|" "$work/squid.conf"
    cat >>"$work/squid.conf" <<END_OF_CONFIGURATION
http_port 127.0.0.1:$port accel defaultsite=127.0.0.1:$behind
cache_peer 127.0.0.1 parent $behind 0 no-query originserver
acl here src 127.0.0.1
http_access allow here
cache_log $logs/squid
access_log stdio:$logs/access
cache_dir ufs $work/cache 64 4 4
coredump_dir $work
cache_mem 16 MB
maximum_object_size 4 MB
shutdown_lifetime 1 seconds
visible_hostname squid.test
pinger_enable off
icp_port 0
netdb_filename none
END_OF_CONFIGURATION
}

start() {
    control squid --foreground -z -f "$work/squid.conf"
    launch squid --foreground -YC -f "$work/squid.conf"
    await "an answer" curl -sf -o "$work/first" \
        "http://127.0.0.1:$port/small.txt"
}

exercise() {
    http_compare "$work/www" 3 "http://127.0.0.1:$port/"
    http_compare "$work/www" 3 "http://127.0.0.1:$port/"
    grep -q 'TCP_\(MEM_\)*HIT' "$logs/access" || fail "nothing was cached"
    # Each is another object for squid, and none for the server behind it.
    for number in $(seq 20); do
        client curl -sf -o "$work/miss" \
            "http://127.0.0.1:$port/image.bin?$number.$requests"
        same "$work/miss" "$work/www/image.bin"
        done_requests 1
    done
}

load() {
    http_load "http://127.0.0.1:$port/page.html" "$(scaled 2000)" -k
    http_load "http://127.0.0.1:$port/page.html" "$(scaled 1000)" \
        -H 'Cache-Control: no-cache'
}

reload() {
    kill -HUP "$(main_pid)"
    await "the configuration again" \
        grep -q 'Reconfiguring Squid Cache' "$logs/squid"
    await "an answer" curl -sf -o "$work/first" \
        "http://127.0.0.1:$port/small.txt"
}

live "$@"
