#!/bin/sh
# SPDX-License-Identifier: MIT
#
# lighttpd: the smallest of the web servers shows the fixed cost; TLS, deflate,
# a proxy to itself, a graceful reload.
# Its unit: lighttpd -tt -f FILE, lighttpd -D -f FILE, SIGUSR1 to reload
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/http.sh"
needs lighttpd curl ab openssl
again=again/

prepare() {
    prepare_web
    mkdir -m 777 "$work/cache" "$work/uploads"
    : >"$logs/error"
    chown www-data "$logs/error"
    cat >"$work/lighttpd.conf" <<END
server.modules = ( "mod_deflate", "mod_openssl", "mod_proxy" )
server.document-root = "$work/www"
server.upload-dirs = ( "$work/uploads" )
server.errorlog = "$logs/error"
server.pid-file = "$work/pid"
server.username = "www-data"
server.groupname = "www-data"
server.bind = "127.0.0.1"
server.port = $plain
server.feature-flags += ( "server.graceful-shutdown-timeout" => 5 )
mimetype.assign = ( ".html" => "text/html", ".css" => "text/css",
    ".txt" => "text/plain", "" => "application/octet-stream" )
deflate.mimetypes = ( "text/html", "text/css", "text/plain" )
deflate.allowed-encodings = ( "gzip" )
\$SERVER["socket"] == "127.0.0.1:$tls" {
    ssl.engine = "enable"
    ssl.pemfile = "$work/both.pem"
}
\$HTTP["url"] =~ "^/again/" {
    proxy.server = ( "" => ( ( "host" => "127.0.0.1", "port" => $plain ) ) )
    proxy.header = ( "map-urlpath" => ( "/again/" => "/" ) )
}
END
}

start() {
    control lighttpd -tt -f "$work/lighttpd.conf"
    launch lighttpd -D -f "$work/lighttpd.conf"
    await_answer
}

restarted() {
    [ "$(grep -c 'server started' "$logs/error")" -eq 2 ] \
        && curl -sf -m 5 "http://127.0.0.1:$plain/small.txt"
}

reload() {
    kill -USR1 "$(main_pid)"
    await "the reload" restarted
}

# SIGINT lets requests come to their end.
stop() {
    kill -INT "$(main_pid)"
}

live "$@"
