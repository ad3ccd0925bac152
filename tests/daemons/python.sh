#!/bin/sh
# SPDX-License-Identifier: MIT
#
# python: a threaded web server of Debian's Python, whose threads parse JSON,
# pack, hash, sort and ask SQLite, and parts of Python's own test suite. Its small
# objects live in pools of its own; see python-malloc. There is no unit.
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/http.sh"
. "$daemons_dir/worker.sh"
needs /usr/bin/python3 curl
/usr/bin/python3 -c 'import test.test_json' 2>/dev/null \
    || skip "python3 has no test suite (libpython3-testsuite)"
environment=${python_environment-}
end_status=143
suite=pending

prepare() {
    cp "$daemons_dir/worker.py" "$work"
    free_port
    expect_work /usr/bin/python3 "$work/worker.py"
}

start() {
    launch /usr/bin/python3 "$work/worker.py" "$port"
    await "an answer" curl -sf "http://127.0.0.1:$port/work/1"
}

# Its own tests take ten seconds: once, and not with --quick.
exercise() {
    compare_work "$port" 2
    [ "$suite$quick" = pendingno ] || return 0
    suite=ran
    mkdir "$work/suite"
    (in_unit 'timeout -k 5 200' sh -c \
        'cd "$0" && exec /usr/bin/python3 -m test --tempdir "$0" -q \
        test_json test_zlib test_bz2 test_lzma test_hashlib test_pickle \
        test_threading test_gc test_ctypes test_re test_bytes test_struct' \
        "$work/suite") >"$work/suite.log" 2>&1 </dev/null \
        || fail "Python's own tests failed" "$work/suite.log"
}

load() {
    compare_work "$port" "$(scaled 5)"
}

live "$@"
