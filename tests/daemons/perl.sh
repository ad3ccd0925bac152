#!/bin/sh
# SPDX-License-Identifier: MIT
#
# perl: a web server with four processes, who match, sort, pack and hash; new
# ones on SIGHUP, when it executes itself again. There is no unit.
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/http.sh"
. "$daemons_dir/worker.sh"
needs perl curl
processes=5

prepare() {
    cp "$daemons_dir/worker.pl" "$work"
    free_port
    expect_work perl "$work/worker.pl"
}

start() {
    launch perl "$work/worker.pl" "$port"
    await "an answer" curl -sf "http://127.0.0.1:$port/work/1"
}

exercise() {
    compare_work "$port" 4
}

load() {
    compare_work "$port" "$(scaled 8)"
}

reload() {
    before_reload=$(tree | tail -n 1)
    kill -HUP "$(main_pid)"
    await "new processes" renewed
}

renewed() {
    [ ! -d "/proc/$before_reload" ] && [ "$(tree | wc -l)" -eq 5 ]
}

live "$@"
