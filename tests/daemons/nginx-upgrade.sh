#!/bin/sh
# SPDX-License-Identifier: MIT
#
# nginx-upgrade: a new binary takes over from the old one, on SIGUSR2, while
# clients go on. nginx executes it with those variables only that its
# configuration names: the shipped one names ours. Its unit: as nginx
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/http.sh"
. "$daemons_dir/shipped.sh"
needs nginx curl ab
processes=3

prepare() {
    drop_in nginx.service
    ship nginx.conf
    make_files "$work/www"
    free_port
    mkdir -m 777 "$work/tmp"
    cat >"$work/main.conf" <<END
include $work/nginx.conf;
user www-data;
worker_processes 2;
pid $work/nginx.pid;
error_log $logs/error notice;
events { worker_connections 256; }
http {
    access_log off;
    types { text/html html; text/css css; text/plain txt; }
    client_body_temp_path $work/tmp/body;
    proxy_temp_path $work/tmp/proxy;
    fastcgi_temp_path $work/tmp/fastcgi;
    uwsgi_temp_path $work/tmp/uwsgi;
    scgi_temp_path $work/tmp/scgi;
    gzip on;
    server { listen 127.0.0.1:$port; root $work/www; }
}
END
}

# The path in full, as units have it: nginx executes what it was called.
start() {
    launch "$(command -v nginx)" -c "$work/main.conf" -g 'daemon on; master_process on;'
    await "an answer" curl -sf -o "$work/first" \
        "http://127.0.0.1:$port/small.txt"
}

exercise() {
    http_compare "$work/www" 2 "http://127.0.0.1:$port/"
}

load() {
    http_load "http://127.0.0.1:$port/page.html" "$(scaled 1000)" -k
}

# Both are there for a while; the old one ends when it is told to.
reload() {
    old=$(cat "$work/nginx.pid")
    assist ab -q -n 20000 -c 4 "http://127.0.0.1:$port/small.txt"
    kill -USR2 "$old"
    await "a second nginx" upgraded
    processes=6
    prove
    processes=3
    kill -QUIT "$old"
    await "the end of the first" test ! -d "/proc/$old"
}

upgraded() {
    [ -s "$work/nginx.pid" ] && [ "$(cat "$work/nginx.pid")" != "$old" ] \
        && [ "$(tree | wc -l)" -eq 6 ]
}

stop() {
    kill -QUIT "$(cat "$work/nginx.pid")"
}

live "$@"
