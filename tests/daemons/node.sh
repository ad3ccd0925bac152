#!/bin/sh
# SPDX-License-Identifier: MIT
#
# node: a web server whose worker threads parse JSON, pack, hash, and send large
# buffers to each other; two come and go with each answer. C++ with sized
# deletes, a fifth of which come from another thread. There is no unit.
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/http.sh"
. "$daemons_dir/worker.sh"
needs node curl
end_status=143

prepare() {
    cp "$daemons_dir/worker.js" "$work"
    free_port
    expect_work node "$work/worker.js"
}

start() {
    launch node "$work/worker.js" "$port"
    await "an answer" curl -sf "http://127.0.0.1:$port/work/1"
}

exercise() {
    compare_work "$port" 1
}

load() {
    compare_work "$port" "$(scaled 3)"
}

live "$@"
