#!/bin/sh
# SPDX-License-Identifier: MIT
#
# named: BIND 9, with names, a transfer of the whole zone, dynamic updates, and
# a changed zone on reload. Threads (libuv); it links jemalloc.
# Its unit: Type=notify, named -f $OPTIONS, -u bind
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/dns.sh"
needs named rndc dig nsupdate dnsperf
rounds=0

prepare() {
    make_zone
    free_port
    dns=$port
    free_port
    chmod 777 "$work"
    printf '@ 60 IN SOA ns root 1 60 60 60 60\n@ 60 IN NS ns\nns 60 A 127.0.0.1\n' \
        >"$work/moving"
    cat >"$work/key" <<END_OF_KEY
key "control" {
    algorithm hmac-sha256;
    secret "$(head -c 32 /dev/urandom | base64)";
};
END_OF_KEY
    cat >"$work/rndc.conf" <<END_OF_RNDC
include "$work/key";
options { default-key "control"; default-server 127.0.0.1; default-port $port; };
END_OF_RNDC
    cat >"$work/named.conf" <<END_OF_NAMED
include "$work/key";
controls { inet 127.0.0.1 port $port allow { 127.0.0.1; } keys { "control"; }; };
logging {
    channel log { file "$logs/named"; };
    category default { log; };
};
options {
    directory "$work";
    pid-file "$work/named.pid";
    session-keyfile "$work/session.key";
    listen-on port $dns { 127.0.0.1; };
    listen-on-v6 { none; };
    recursion no;
    dnssec-validation no;
};
zone "example.test" {
    type primary;
    file "$work/zone";
    allow-transfer { 127.0.0.1; };
};
zone "moving.test" {
    type primary;
    file "$work/moving";
    allow-update { key "control"; };
};
END_OF_NAMED
    chmod 644 "$work/key"
    chown bind "$work/moving"
}

start() {
    launch named -f -u bind -n 2 -c "$work/named.conf"
    await "the zone" dns_says "$dns" ns.example.test A 127.0.0.1
}

exercise() {
    dns_compare "$dns"
    client dig @127.0.0.1 -p "$dns" +noall +answer +nottlid example.test AXFR
    tr -s '\t ' ' ' <"$logs/client" \
        | grep '^h[0-9]' | sort >"$work/transferred"
    same "$work/transferred" "$work/answers"

    rounds=$((rounds + 1))
    for number in $(seq 50); do
        echo "update add n$number.moving.test 60 TXT \"round $rounds\""
    done >"$work/updates"
    { echo "server 127.0.0.1 $dns"; cat "$work/updates"; echo send; } \
        >"$work/update"
    client nsupdate -k "$work/key" "$work/update"
    client dig @127.0.0.1 -p "$dns" +short n37.moving.test TXT
    grep -qx "\"round $rounds\"" "$logs/client" \
        || fail "an update is not there" "$logs/client"
    done_requests 52
}

load() {
    dns_load "$dns" "$(scaled 5)"
}

reload() {
    echo "later IN A 127.0.0.77" >>"$work/zone"
    sed -i 's/root 1 /root 2 /' "$work/zone"
    control rndc -c "$work/rndc.conf" reload
    await "the changed zone" \
        dns_says "$dns" later.example.test A 127.0.0.77
}

stop() {
    control rndc -c "$work/rndc.conf" stop
}

live "$@"
