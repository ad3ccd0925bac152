#!/bin/sh
# SPDX-License-Identifier: MIT
#
# haproxy: master and worker, compression, TLS; a reload makes the master execute
# itself again. It calls malloc_trim, mallinfo2 and, if it is there, mallctl.
# Its unit: haproxy -Ws -f haproxy.cfg -p haproxy.pid -S haproxy-master.sock
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/http.sh"
needs haproxy nginx curl ab openssl
processes=2

prepare() {
    prepare_web
    http_origin "$work/www"
    mkdir "$work/empty"
    cat >"$work/haproxy.cfg" <<END
global
    user haproxy
    group haproxy
    chroot $work/empty
    stats socket $work/admin.sock mode 600 level admin
    nbthread 2
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    http-reuse safe
frontend web
    bind 127.0.0.1:$plain
    bind 127.0.0.1:$tls ssl crt $work/both.pem no-tls-tickets
    filter compression
    compression algo gzip
    compression type text/html text/css text/plain
    http-request set-header X-Road %[rand(100000)]
    default_backend origin
backend origin
    server one ${origin#http://}
END
    sed -i 's|^\(    server one .*\)/$|\1|' "$work/haproxy.cfg"
}

start() {
    # The unit tests the configuration, as it does before a reload.
    set -- haproxy -Ws -f "$work/haproxy.cfg"
    control "$@" -c -q -S "$work/master.sock"
    launch "$@" -p "$work/pid" -S "$work/master.sock"
    await_answer
}

worker() {
    children_of "$(main_pid)"
}

changed() {
    new=$(worker)
    [ "$(echo "$new" | wc -w)" -eq 1 ] && [ "$new" != "$old" ]
}

reload() {
    old=$(worker)
    control haproxy -Ws -f "$work/haproxy.cfg" -c -q -S "$work/master.sock"
    kill -USR2 "$(main_pid)"
    await "a new worker" changed
}

live "$@"
