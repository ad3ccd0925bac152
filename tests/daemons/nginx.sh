#!/bin/sh
# SPDX-License-Identifier: MIT
#
# nginx: static files, gzip, TLS without session reuse, a proxy to itself, and
# new workers on reload. Pools of its own, zlib and OpenSSL on top of malloc.
# Its unit: Type=forking, nginx -g 'daemon on; master_process on;'
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/http.sh"
needs nginx curl ab openssl
again=again/
processes=3

prepare() {
    prepare_web
    mkdir -m 777 "$work/tmp"
    cat >"$work/nginx.conf" <<END
user www-data;
worker_processes 2;
pid $work/nginx.pid;
error_log $logs/error notice;
events { worker_connections 256; }
http {
    access_log $logs/access;
    types { text/html html; text/css css; text/plain txt; }
    default_type application/octet-stream;
    client_body_temp_path $work/tmp/body;
    proxy_temp_path $work/tmp/proxy;
    fastcgi_temp_path $work/tmp/fastcgi;
    uwsgi_temp_path $work/tmp/uwsgi;
    scgi_temp_path $work/tmp/scgi;
    keepalive_requests 500;
    gzip on;
    gzip_min_length 200;
    gzip_types text/plain text/css;
    ssl_certificate $work/cert.pem;
    ssl_certificate_key $work/key.pem;
    ssl_session_cache off;
    ssl_session_tickets off;
    server {
        listen 127.0.0.1:$plain;
        listen 127.0.0.1:$tls ssl;
        root $work/www;
        location / { }
        # The same files through a proxy: more buffers, more frees.
        location /again/ { proxy_pass http://127.0.0.1:$plain/; }
    }
}
END
}

# nginx with the arguments that the unit gives to start, to test and to reload.
nginx() { # HOW [ARGUMENT...]
    how=$1
    shift
    "$how" nginx -c "$work/nginx.conf" -e "$logs/error" \
        -g 'daemon on; master_process on;' "$@"
}

start() {
    nginx control -t -q
    nginx launch
    await_answer
}

workers() {
    children_of "$(main_pid)" | sort
}

# New workers only, and as many.
changed() {
    workers >"$work/new"
    [ "$(wc -l <"$work/new")" -eq 2 ] \
        && [ -z "$(comm -12 "$work/old" "$work/new")" ]
}

reload() {
    workers >"$work/old"
    nginx control -s reload
    await "new workers" changed
}

stop() {
    kill -QUIT "$(main_pid)"
}

live "$@"
