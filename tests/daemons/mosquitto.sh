#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mosquitto: messages of quality 1 and 2 to several clients at once, kept ones,
# large ones, and a database on disk. It asks for the usable size of everything
# that it allocates. Its unit: Type=notify, mosquitto -c; ExecReload=kill -HUP
. "$(dirname "$0")/lib.sh"
needs mosquitto mosquitto_pub mosquitto_sub
round=0

prepare() {
    free_port
    mkdir "$work/data"
    chown mosquitto "$work/data"
    cat >"$work/mosquitto.conf" <<END_OF_CONFIGURATION
listener $port 127.0.0.1
allow_anonymous true
persistence true
persistence_location $work/data/
log_dest file $logs/mosquitto
log_type error
log_type warning
log_type notice
log_type information
log_type subscribe
max_queued_messages 100000
END_OF_CONFIGURATION
    head -c 300000 /dev/urandom >"$work/large"
}

publish() { # ARGUMENT...
    client mosquitto_pub -h 127.0.0.1 -p "$port" "$@"
}

subscribe() { # ARGUMENT...
    client mosquitto_sub -h 127.0.0.1 -p "$port" -W 50 "$@"
}

start() {
    launch mosquitto -c "$work/mosquitto.conf"
    await "a message" mosquitto_pub -h 127.0.0.1 -p "$port" -t first -m here
}

# Three clients wait; each gets every message, in order, as it was sent.
fan_out() { # NUMBER QUALITY
    round=$((round + 1))
    for listener in 1 2 3; do
        # shellcheck disable=SC2016 # for the shell within
        assist sh -c 'file=$1; shift; exec mosquitto_sub "$@" >"$file"' - \
            "$work/heard.$listener" -h 127.0.0.1 -p "$port" -W 50 \
            -t "out/$round/#" -q "$2" -C "$1" -i "listener-$round-$listener"
    done
    await "three listeners" three_listen
    seq "$1" | awk '{ printf "message %d", $1
        for (i = 0; i < $1 % 40; i++) printf " and so on"
        print "" }' >"$work/messages"
    timeout 60 mosquitto_pub -h 127.0.0.1 -p "$port" -t "out/$round/all" \
        -q "$2" -l <"$work/messages" >"$logs/client" 2>&1 \
        || fail "cannot publish" "$logs/client"
    for listener in 1 2 3; do
        await "all messages" cmp "$work/heard.$listener" "$work/messages"
    done
    done_requests "$1"
}

three_listen() {
    for listener in 1 2 3; do
        grep -q "listener-$round-$listener [012] out/" "$logs/mosquitto" \
            || return 1
    done
}

exercise() {
    fan_out 500 2
    publish -t kept -r -f "$work/large" -q 1
    subscribe -t kept -C 1 -N
    same "$logs/client" "$work/large"
    done_requests 2
}

load() {
    fan_out "$(scaled 2000)" 1
}

reload() {
    kill -HUP "$(main_pid)"
    await "the configuration again" \
        grep -q 'Reloading config' "$logs/mosquitto"
}

live "$@"
