#!/bin/sh
# SPDX-License-Identifier: MIT
#
# alarms.sh - no false alarm: correct programs at length under the hardened
# library, until so many allocations were checked. Python's own tests (every
# object by malloc), a C++ build of generated templates, perl, sqlite; round
# and round, with another seed each.
#
#   MERLON_LIB=/path/libmerlon-hardened.so tests/alarms/alarms.sh [ALLOCATIONS]
#
# Every process writes its figures (statistics=) and the reports are to stay in
# its standard error. An alarm is a report, a detection, or an end by SIGABRT
# of a program that ends well without merlon. Allocations that no figures tell
# of (of processes that were killed or called _exit, and large ones) are not
# counted. Leaves the sum and all output in $ALARMS_DIR, if that is set.
set -eu

: "${MERLON_LIB:?the library under test, as a path}"
MERLON_LIB=$(readlink -f "$MERLON_LIB")
goal=${1:-1000000000}
seconds=${ALARMS_SECONDS:-21600}
python=${PYTHON:-/usr/bin/python3}
CXX=${CXX:-g++}
here=$(cd "$(dirname "$0")" && pwd -P)
unset MERLON_OPTIONS LD_PRELOAD

if [ -n "${ALARMS_DIR:-}" ]; then
    work=$ALARMS_DIR
    mkdir -p "$work"
else
    work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-alarms.XXXXXX")
    trap 'rm -rf "$work"' EXIT
fi
child=
stop() {
    [ -z "$child" ] || kill -TERM "-$child" 2>/dev/null || :
    exit 1
}
trap stop HUP INT TERM
mkdir -p "$work/figures" "$work/output"
began=$(date +%s)
round=0
failed=0

# Last figures of each process are the largest: sum them, and forget the files.
total() {
    find "$work/figures" -type f -exec cat {} + | awk '
        /^process / { name = $4; sub(/,$/, "", name); processes++ }
        /^small allocations/ { sum += $3; of[name] += $3 }
        /^detections/ { detections += $2 }
        END {
            printf "%.0f %d %d\n", sum, processes, detections
            for (name in of)
                printf "%-20s %.0f\n", name, of[name] >"/dev/stderr"
        }' 2>>"$work/by-program" >>"$work/sums"
    find "$work/figures" -type f -delete
    awk '{ a += $1; p += $2; d += $3 }
        END { printf "%.0f %d %d\n", a, p, d }' "$work/sums"
}

# In a process group of its own, so that its children can be ended with it.
under() { # LOG COMMAND...
    log=$work/output/$round-$1
    shift
    left=$((seconds - ($(date +%s) - began)))
    [ "$left" -gt 0 ] || return 0
    setsid timeout -k 20 "$left" env LD_PRELOAD="$MERLON_LIB" \
        MERLON_OPTIONS="statistics=$work/figures/$round.%p" "$@" \
        >"$log" 2>&1 </dev/null &
    child=$!
    code=0
    wait "$child" || code=$?
    child=
    if grep -a '^merlon: [a-z]* [a-z ]* in [a-z_]*():' "$log" \
        || grep -aq 'SIGABRT\|Aborted' "$log" || [ "$code" -eq 134 ]; then
        # Python's tests abort children on purpose: those are no reports.
        if grep -aq '^merlon: .*pid [0-9]' "$log" || [ "$code" -eq 134 ]; then
            echo "alarms: see $log" >&2
            failed=1
        fi
    fi
    [ "$code" -eq 0 ] || echo "alarms: $* ended with $code ($log)"
}

report() {
    # shellcheck disable=SC2046 # three numbers
    set -- $(total)
    echo "alarms: round $round: $1 allocations in $2 processes," \
        "$3 detections, $(($(date +%s) - began)) s"
    [ "$3" -eq 0 ] || failed=1
    sum=$1
}

templates() { # FILE SEED: containers of types that nothing else has
    {
        for header in algorithm functional iostream map memory regex set \
            string tuple unordered_map variant vector; do
            echo "#include <$header>"
        done
        i=0
        while [ "$i" -lt 40 ]; do
            echo "struct T$i { int a[$((($2 + i) % 17 + 1))]; bool operator<(const T$i &o) const { return a[0] < o.a[0]; } };"
            echo "int use$i(int n) { std::map<T$i, std::vector<std::variant<T$i, std::string>>> m; std::set<std::tuple<T$i, int>> s;"
            echo "for (int i = 0; i < n; i++) { T$i t{{i}}; m[t].push_back(t); s.insert({t, i}); }"
            echo "std::function<int(int)> f = [&](int k) { return int(m.size()) + k; }; std::unordered_map<int, std::shared_ptr<T$i>> u; u[n] = std::make_shared<T$i>();"
            echo "return f(int(s.size() + u.size())); }"
            i=$((i + 1))
        done
        echo "int main() { std::regex r(\"(a|b)*c{2,$((2 + $2 % 5))}\"); int n = std::regex_match(\"abcc\", r);"
        i=0
        while [ "$i" -lt 40 ]; do
            echo "n += use$i(n % 1000 + 100);"
            i=$((i + 1))
        done
        echo "std::cout << n << std::endl; }"
    } >"$1"
}

cxx_build() {
    directory=$work/cxx
    rm -rf "$directory"
    mkdir -p "$directory"
    for unit in 1 2 3 4; do
        templates "$directory/$unit.cpp" $((round * 31 + unit * 7))
        under "g++-$unit" "$CXX" -std=c++17 -O1 -o "$directory/$unit" \
            "$directory/$unit.cpp"
        [ ! -x "$directory/$unit" ] || under "run-$unit" "$directory/$unit"
    done
}

# What takes itself for the only user of its address space or of a terminal is
# left out, and what waits for the network.
python_tests() {
    "$python" -c 'import test.regrtest, test.test_list' 2>"$work/none" || {
        echo "alarms: python's tests are not there (libpython3.11-testsuite)"
        return 0
    }
    under python env PYTHONMALLOC=malloc TMPDIR="$work" "$python" -m test \
        -j2 -r --randseed "$((round + 1))" --timeout 900 -x \
        test_gdb test_tools test_faulthandler test_socket test_ssl \
        test_urllib2net test_asyncio test_concurrent_futures test_idle \
        test_multiprocessing_spawn test_multiprocessing_fork \
        test_multiprocessing_forkserver test_nntplib test_smtpnet
}

perl_work() {
    under perl perl "$here/work.pl" "$round"
}

sqlite_work() {
    "$python" "$here/work-sql.py" "$round" >"$work/work.sql"
    rm -f "$work/work.db"
    under sqlite sqlite3 "$work/work.db" ".read $work/work.sql"
}

sum=0
while [ "$sum" -lt "$goal" ] \
    && [ $(($(date +%s) - began)) -lt "$seconds" ]; do
    perl_work
    sqlite_work
    report
    python_tests
    report
    cxx_build
    report
    round=$((round + 1))
done
awk '{ of[$1] += $2 } END { for (n in of) printf "  %-20s %.0f\n", n, of[n] }' \
    "$work/by-program" | sort -k2 -nr | head -12
[ "$failed" -eq 0 ] || exit 1
if [ "$sum" -lt "$goal" ]; then
    echo "alarms: none, but $sum allocations are fewer than $goal" >&2
    exit 1
fi
echo "alarms: none"
