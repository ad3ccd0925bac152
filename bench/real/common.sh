# SPDX-License-Identifier: MIT
#
# For the scripts beside it. Each of them is called by bench/run as
#     SCRIPT prepare DIRECTORY SCALE    make its inputs, the same every time
#     SCRIPT run DIRECTORY SCALE        run the program once, measured
# in a directory of its own; SCALE is percent of the full work. What is
# measured, and only that, is started by `timed`. 77: something is missing.
# bench/run sets BENCH_TIMED, BENCH_LIBRARY (empty: glibc) and BENCH_RESULT.

set -eu
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
what=${1:-}
directory=${2:-.}
scale=${3:-100}
cd "$directory"

need() {
    command -v "$1" >/dev/null 2>&1 && return
    echo "missing: $1 (Debian package: $2)" >&2
    exit 77
}

timed() {
    "$BENCH_TIMED" -p "$BENCH_LIBRARY" -o "$BENCH_RESULT" "$@"
}

# The same in the background: $! is then the runner, which passes signals on.
timed_exec() {
    exec "$BENCH_TIMED" -p "$BENCH_LIBRARY" -o "$BENCH_RESULT" "$@"
}

# share NUMBER: this much at full scale
share() {
    echo $(($1 * scale / 100))
}

case $what in
prepare | run) ;;
*)
    echo "usage: $0 prepare|run DIRECTORY SCALE" >&2
    exit 2
    ;;
esac
