# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# origin.sh - a web server for the proxies to stand in front of. Read after
# lib.sh and http.sh.

# A web server for the files of a directory.
serve_origin() { # DIRECTORY ; sets origin to its port
    free_port
    origin=$port
    mkdir -m 777 "$work/origin"
    cat >"$work/origin/nginx.conf" <<END
daemon off;
user www-data;
pid $work/origin/pid;
error_log $work/origin/log;
events { worker_connections 256; }
http {
    access_log off;
    types { text/html html; text/css css; text/plain txt; }
    client_body_temp_path $work/origin/body;
    proxy_temp_path $work/origin/proxy;
    fastcgi_temp_path $work/origin/fastcgi;
    uwsgi_temp_path $work/origin/uwsgi;
    scgi_temp_path $work/origin/scgi;
    server { listen 127.0.0.1:$origin; root $1; expires 1h; }
}
END
    assist nginx -p "$work/origin" -c "$work/origin/nginx.conf"
    for _ in $(seq 100); do
        ! curl -sf -o "$work/origin/try" "http://127.0.0.1:$origin/small.txt" \
            || return 0
        sleep 0.1
    done
    fail "the web server behind it did not start" "$work/origin/log"
}
