#!/bin/sh
# SPDX-License-Identifier: MIT
#
# varnish: a cache of files, packed and unpacked, with threads; its
# configuration is compiled by gcc, loaded as a library, and unloaded again on
# reload. It links jemalloc. Its unit: varnishd -j unix,user=vcache -F -T -S;
# ExecReload=varnishreload
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/http.sh"
needs varnishd varnishadm nginx curl ab gcc
# The manager, and the child that serves.
processes=2
generation=1

write_vcl() {
    cat >"$work/default.vcl" <<END_OF_VCL
vcl 4.1;
import std;
backend default { .host = "127.0.0.1"; .port = "$behind"; }
sub vcl_backend_response {
    set beresp.ttl = 1h;
    if (beresp.http.Content-Type ~ "text") {
        set beresp.do_gzip = true;
    }
}
sub vcl_deliver {
    set resp.http.Generation = std.toupper("generation $generation");
}
END_OF_VCL
}

prepare() {
    make_files "$work/www"
    http_origin "$work/www"
    behind=$port
    write_vcl
    free_port
    management=$port
    free_port
    head -c 32 /dev/urandom | base64 >"$work/secret"
    # Whoever compiles says first whether it has merlon.
    : >"$work/compilers"
    chmod 666 "$work/compilers"
    compiler="grep -c libmerlon /proc/\$\$/maps >>$work/compilers;"
    compiler="$compiler exec gcc -g -O2 -pthread -fpic -shared -Wl,-x -o %o %s"
}

start() {
    # varnish has no log but what it says.
    launch varnishd -j unix,user=vcache -F -n "$work/varnish" \
        -a "127.0.0.1:$port" -T "127.0.0.1:$management" -S "$work/secret" \
        -f "$work/default.vcl" -p "cc_command=$compiler" -s malloc,64m
    await "an answer" curl -sf -o "$work/first" \
        "http://127.0.0.1:$port/small.txt"
}

compilers_had_merlon() {
    wanted=0
    [ -z "$library" ] || wanted=1
    while read -r count; do
        [ $((count > 0)) -eq "$wanted" ] \
            || fail "gcc was run with $count mappings of merlon"
    done <"$work/compilers"
    [ "$(wc -l <"$work/compilers")" -ge "$generation" ] \
        || fail "nobody compiled generation $generation"
}

exercise() {
    http_compare "$work/www" 3 "http://127.0.0.1:$port/"
    http_gzip "$work/www" "http://127.0.0.1:$port/" page.html
    grep -q "^Generation: GENERATION $generation" "$work/head" \
        || fail "not generation $generation" "$work/head"
    compilers_had_merlon
}

load() {
    http_load "http://127.0.0.1:$port/page.html" "$(scaled 2000)" -k
    http_load "http://127.0.0.1:$port/page.html" "$(scaled 1000)" -k \
        -H 'Accept-Encoding: gzip'
    for number in $(seq "$(scaled 20)"); do
        client curl -sf -o "$work/miss" \
            "http://127.0.0.1:$port/page.html?$number"
        same "$work/miss" "$work/www/page.html"
        done_requests 1
    done
}

reload() {
    generation=2
    write_vcl
    for words in "vcl.load two $work/default.vcl" "vcl.use two" \
        "vcl.discard boot"; do
        # shellcheck disable=SC2086 # several words
        control varnishadm -n "$work/varnish" $words
    done
}

live "$@"
