#!/bin/sh
# SPDX-License-Identifier: MIT
#
# redis: it links jemalloc, asks malloc_usable_size for every block and writes
# to all of it; BGSAVE forks and copies on write. Debian's own configuration.
# Its unit: User=redis, redis-server redis.conf --supervised systemd
# --daemonize no
. "$(dirname "$0")/lib.sh"
needs redis-server redis-cli redis-benchmark redis-check-rdb
user=redis

prepare() {
    free_port
    mkdir -m 777 "$work/data"
    cat >"$work/redis.conf" <<END
include /etc/redis/redis.conf
port $port
bind 127.0.0.1
dir $work/data
pidfile $work/data/pid
logfile $logs/redis
save ""
enable-debug-command yes
END
}

redis() { # COMMAND...
    timeout 30 redis-cli -p "$port" "$@" </dev/null
}

start() {
    launch redis-server "$work/redis.conf" --supervised systemd --daemonize no
    await "a PONG" redis ping
}

# Keys of every type, with values of up to 4,000 bytes; 1,500 of them go again.
write_keys() {
    awk 'BEGIN {
        text = "merlon"
        while (length(text) < 4000)
            text = text text
        for (i = 0; i < 5000; i++) {
            print "SET s:" i, "\"" substr(text, 1, (i * i) % 4000) "\""
            print "HSET h:" i % 300, "f" i, substr(text, 1, 1 + i % 900)
            print "RPUSH l:" i % 50, substr(text, 1, 1 + i % 3000)
            print "ZADD z:" i % 20, i * 7 % 1000, "member" i
            print "XADD x:" i % 10, "1-" i + 1, "f", substr(text, 1, 1 + i % 70)
            print "APPEND a:" i % 40, substr(text, 1, 1 + i % 200)
            if (i % 10 < 3)
                print "DEL s:" i
        }
    }'
}

saved() {
    redis info persistence | grep -q '^rdb_bgsave_in_progress:0'
}

exercise() {
    redis flushall >/dev/null
    write_keys >"$work/commands"
    client redis-cli -p "$port" --pipe <"$work/commands"
    [ "$(redis dbsize)" = $((3500 + 300 + 50 + 20 + 10 + 40)) ] \
        || fail "$(redis dbsize) keys"
    text=$(redis get s:77)
    [ ${#text} -eq 1929 ] || fail "a value of ${#text} bytes, not 1929"
    redis eval 'local t = {} for i = 1, 20000 do t[i] = "x" .. i end
        return #table.concat(t)' 0 | grep -qx 108894 || fail "Lua miscounts"
    before=$(redis debug digest)
    redis debug reload >/dev/null
    [ "$(redis debug digest)" = "$before" ] || fail "the data changed on reload"

    # A child saves while the parent changes what both share.
    redis config set rdb-key-save-delay 200 >/dev/null
    redis bgsave >/dev/null
    processes=2
    prove
    processes=1
    redis config set rdb-key-save-delay 0 >/dev/null
    client redis-benchmark -p "$port" -q -P 8 -n 10000 -r 20000 -t set,lpush
    await "the end of BGSAVE" saved
    redis info persistence | grep -q '^rdb_last_bgsave_status:ok' \
        || fail "BGSAVE failed"
    client redis-check-rdb "$work/data/dump.rdb"
    redis memory purge >/dev/null
    redis memory stats >/dev/null
}

load() {
    count=$(scaled 25000)
    client redis-benchmark -p "$port" -q -P 8 -n "$count" -r 100000 -d 100 \
        -t set,get,incr,lpush,lpop,sadd,hset,zadd
    done_requests $((count * 8))
    count=$(scaled 3000)
    client redis-benchmark -p "$port" -q -n "$count" -r 10000 -d 3000 \
        -t set,get
    done_requests $((count * 2))
}

live "$@"
