#!/bin/sh
# SPDX-License-Identifier: MIT
#
# java: javac, then a web server with eight threads, who pack by zlib outside
# of Java's heap, and use direct buffers. There is no unit.
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/http.sh"
. "$daemons_dir/worker.sh"
needs java javac curl
end_status=143

prepare() {
    mkdir "$work/classes"
    control javac -d "$work/classes" "$daemons_dir/Worker.java"
    free_port
    expect_work java -cp "$work/classes" Worker
}

start() {
    launch java -Xmx256m -cp "$work/classes" Worker "$port"
    await "an answer" curl -sf "http://127.0.0.1:$port/work/1"
}

exercise() {
    compare_work "$port" 1
}

load() {
    compare_work "$port" "$(scaled 4)"
}

live "$@"
