#!/bin/sh
# SPDX-License-Identifier: MIT
#
# unbound: a resolver with two threads in a chroot, in front of a BIND that has
# the names; answers from there and from its cache, which is emptied on reload.
# A third of its frees come from another thread. Its unit: Type=notify,
# unbound -d -p; ExecReload=kill -HUP
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/dns.sh"
needs unbound unbound-control named dig dnsperf

prepare() {
    make_zone
    free_port
    authority=$port
    free_port
    control_port=$port
    free_port
    cat >"$work/named.conf" <<END_OF_NAMED
options {
    directory "$work";
    pid-file none;
    session-keyfile none;
    listen-on port $authority { 127.0.0.1; };
    listen-on-v6 { none; };
    recursion no;
    dnssec-validation no;
};
zone "example.test" { type primary; file "$work/zone"; };
END_OF_NAMED
    assist named -g -n 1 -c "$work/named.conf"
    cat >"$work/unbound.conf" <<END_OF_UNBOUND
server:
    interface: 127.0.0.1
    port: $port
    num-threads: 2
    chroot: "$work"
    directory: "$work"
    username: "unbound"
    use-syslog: no
    logfile: "$logs/unbound"
    module-config: "iterator"
    do-not-query-localhost: no
    access-control: 127.0.0.0/8 allow
    local-zone: "test." nodefault
stub-zone:
    name: "example.test"
    stub-addr: 127.0.0.1@$authority
remote-control:
    control-enable: yes
    control-interface: 127.0.0.1
    control-port: $control_port
    control-use-cert: no
END_OF_UNBOUND
}

start() {
    launch unbound -d -p -c "$work/unbound.conf"
    await "a name from the server behind it" \
        dns_says "$port" ns.example.test A 127.0.0.1
}

exercise() {
    dns_compare "$port"
    dns_compare "$port"
}

# All from the cache, then all from behind, again and again.
load() {
    for _ in $(seq "$(scaled 3)"); do
        dns_load "$port" 2
        control unbound-control -c "$work/unbound.conf" flush_zone example.test
    done
}

reload() {
    kill -HUP "$(main_pid)"
    await "an empty cache" cache_is_empty
}

cache_is_empty() {
    unbound-control -c "$work/unbound.conf" stats_noreset \
        | grep -qx 'total.num.queries=0'
}

live "$@"
