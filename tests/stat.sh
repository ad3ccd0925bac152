#!/bin/sh
# SPDX-License-Identifier: MIT
#
# stat.sh - merlon-stat on processes with merlon and without: preloaded, with a
# known number of objects, in a chroot, in a sandbox, with heap bugs behind
# them, with merlon linked in statically.
#
#   MERLON_LIB=/path/libmerlon.so tests/stat.sh
#
# Every process that is started is ended.
set -eu

: "${MERLON_LIB:?the library under test, as a path}"
CC=${CC:-cc}
if [ -n "${EMULATOR:-}" ]; then
    echo "stat: not under an emulator" >&2
    exit 77
fi
stat=${abs_top_builddir:-.}/merlon-stat
[ -x "$stat" ] || { echo "stat: there is no $stat" >&2; exit 1; }
archive=${abs_top_builddir:-.}/lib${MERLON_MODULE:-merlon}.a

work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-stat.XXXXXX")
started=
clean_up() {
    status=$?
    trap '' HUP INT TERM
    # The shell tells of each by whom it was killed: not here.
    for pid in $started; do
        kill -KILL "$pid" || :
        wait "$pid" || :
    done 2>/dev/null
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

failed=0
fail() { # TEXT
    echo "stat: $*" >&2
    [ ! -s "$work/out" ] || sed 's/^/    | /' "$work/out" >&2
    failed=1
}

# Wait until a program says that it is ready: by a file, as long as it takes.
await() { # FILE PID
    for _ in $(seq 300); do
        [ ! -s "$1" ] || return 0
        kill -0 "$2" 2>/dev/null || break
        sleep 0.1
    done
    echo "stat: a test program did not start" >&2
    exit 1
}

# Run merlon-stat with a status expected; its output goes to $work/out.
run() { # STATUS ARGUMENT...
    wanted=$1
    shift
    code=0
    timeout 60 "$stat" "$@" >"$work/out" 2>&1 || code=$?
    [ "$code" -eq "$wanted" ] || fail "merlon-stat $*: status $code, not $wanted"
}

figure() { # LABEL
    sed -n "s/^$1: *//p" "$work/out"
}

at_least() { # LABEL NUMBER
    value=$(figure "$1")
    [ "${value:-0}" -ge "$2" ] || fail "$1 is ${value:-missing}, not $2 or more"
}

at_most() { # LABEL NUMBER
    value=$(figure "$1")
    [ "${value:-$(($2 + 1))}" -le "$2" ] || fail "$1 is ${value:-missing}, above $2"
}

# Two threads, 20,000 objects of 40 bytes that stay, 5,000 that go, 3 large
# ones of which 2 stay. Then it waits to be killed.
cat >"$work/program.c" <<'END'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void *volatile kept[10000 * 2], *volatile gone;
static void *work(void *from)
{
    int first = *(int *)from;
    for (int i = 0; i < 10000; i++)
        kept[first + i] = malloc(40);
    for (int i = 0; i < 2500; i++) {
        gone = malloc(100);
        free(gone);
    }
    return NULL;
}
int main(int argc, char **argv)
{
    int first = 0, second = 10000;
    pthread_t thread;
    void *volatile large[3];
    FILE *ready;

    if (argc > 2 && (chroot(argv[2]) != 0 || chdir("/") != 0))
        return 1;
    if (pthread_create(&thread, NULL, work, &second) != 0)
        return 1;
    work(&first);
    pthread_join(thread, NULL);
    for (int i = 0; i < 3; i++)
        large[i] = malloc(1 << 20);
    free(large[1]);
    ready = fopen(argv[1], "w");
    if (!ready || fputs("ready\n", ready) < 0 || fclose(ready) != 0)
        return 1;
    alarm(300);
    for (;;)
        pause();
}
END

check_program() { # NAME PID
    run 0 --classes "$2"
    [ "$(figure active)" = yes ] || fail "$1: not active"
    case $(figure library) in
    "merlon "*" ${MERLON_VARIANT:-}"*) ;;
    *) fail "$1: library is $(figure library)" ;;
    esac
    at_least "allocations served" 25003
    at_most "allocations served" 26000
    at_least "live objects" 20002
    at_most "live objects" 21000
    at_least "live bytes" $((20000 * 40 + 2 * 1048576))
    at_least "slabs" 2
    at_least "heaps" 2
    at_least "committed bytes" 1
    [ "$(figure "  large ones" | tr '\n' ' ')" = "3 2 " ] \
        || fail "$1: 3 large ones were served, 2 live"
    [ "$(figure detections)" = 0 ] || fail "$1: detections"
    sampled=$(figure "  sampled ones" | tail -n 1)
    awk -v sampled="$sampled" \
        '$1 == 48 && $4 + sampled >= 20000 { found = 1 } END { exit !found }' \
        "$work/out" || fail "$1: no 20,000 objects in class 48"
}

# 1. Preloaded.
$CC -O1 -g -pthread -o "$work/program" -D_GNU_SOURCE "$work/program.c"
LD_PRELOAD=$MERLON_LIB "$work/program" "$work/ready1" &
plain=$!
started="$started $plain"
await "$work/ready1" "$plain"
check_program preloaded "$plain"
run 0 --json --classes "$plain"
if command -v python3 >/dev/null 2>&1; then
    python3 -m json.tool "$work/out" >/dev/null || fail "not JSON"
fi
grep -q '"active": true' "$work/out" || fail "JSON: not active"
run 0 --prometheus --classes "$plain"
grep -q '^merlon_active{pid="[0-9]*"} 1$' "$work/out" || fail "no metric"
if grep -Evq '^(# (HELP|TYPE) |)merlon_[a-z_]+([{ ]).*$' "$work/out"; then
    fail "not in Prometheus's format"
fi

# 2. A process that only sleeps, and one without merlon; nobody at all.
LD_PRELOAD=$MERLON_LIB sleep 300 &
sleeper=$!
sleep 300 &
other=$!
started="$started $sleeper $other"
for _ in $(seq 100); do
    "$stat" "$sleeper" >/dev/null 2>&1 && break
    sleep 0.1
done
run 0 "$sleeper"
at_least "live objects" 1
at_least "allocations served" 1
run 1 "$other"
grep -q '^active: *no (merlon is not mapped)$' "$work/out" \
    || fail "a process without merlon"
run 1 --json "$other"
grep -q '"active": false' "$work/out" || fail "JSON of one without merlon"
kill -KILL "$other"
wait "$other" 2>/dev/null || :
run 2 "$other"
run 2
run 2 --nonsense 1

# 3. Stopped, and in an empty chroot.
kill -STOP "$plain"
check_program stopped "$plain"
if [ "$(id -u)" -eq 0 ]; then
    mkdir "$work/root"
    LD_PRELOAD=$MERLON_LIB "$work/program" /ready "$work/root" &
    inside=$!
    started="$started $inside"
    await "$work/root/ready" "$inside"
    check_program chrooted "$inside"
fi

# 4. In the strictest sandbox, having given its rights away, with detections
# that were survived, waiting slots and an option.
cat >"$work/crime.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>
void free_sized(void *p, size_t size);
int main(int argc, char **argv)
{
    int pipes[2];
    char *volatile p, *volatile q, byte;
    FILE *ready = fopen(argv[1], "w");

    if (argc < 2 || !ready || pipe(pipes) != 0)
        return 1;
    for (int i = 0; i < 500; i++) {
        p = malloc(40);
        q = malloc(600000);
        free(p);
        free(q);
    }
    free_sized(malloc(5000), 8);
    if (argc > 2) {
        p = malloc(10);
        q = p;
        free(p);
        free(q);
        free((void *)16);
    }
    fputs("ready\n", ready);
    fclose(ready);
    if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return 1;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
        return 1;
    return read(pipes[0], &byte, 1) < 0; /* for ever */
}
END
# Linked, not preloaded: glibc 2.36 has no free_sized.
crimes=
[ "${MERLON_VARIANT:-}" != hardened ] || crimes=crimes
$CC -O0 -w -o "$work/crime" "$work/crime.c" "$MERLON_LIB"
# shellcheck disable=SC2086 # nothing or one word
LD_LIBRARY_PATH=${MERLON_LIB%/*} MERLON_OPTIONS=on_error=report,arena=64G \
    "$work/crime" "$work/ready5" $crimes 2>"$work/reports" &
sandboxed=$!
started="$started $sandboxed"
await "$work/ready5" "$sandboxed"
run 0 --classes "$sandboxed"
case " $(figure options) " in
*" on_error=report "*" arena=68719476736 "*) ;;
*) fail "options are $(figure options)" ;;
esac
[ "$(figure "size mismatches")" = 1 ] || fail "no size mismatch"
[ "$(figure "  size mismatch")" = 1 ] || fail "no report of it"
if [ -n "$crimes" ]; then
    [ "$(figure detections)" = 3 ] || fail "detections: $(figure detections)"
    [ "$(figure "  double free")" = 1 ] || fail "no double free"
    [ "$(figure "  invalid pointer")" = 1 ] || fail "no invalid pointer"
    figure "last report" | grep -q '^merlon: invalid pointer in free()' \
        || fail "last report: $(figure "last report")"
    at_least "waiting slots" 1
    at_least "large ones waiting" 1
    at_least guards 2
    at_most "  mappings they cost" 8000
    [ "$("$stat" --report "$sandboxed")" = "$(tail -n 1 "$work/reports")" ] \
        || fail "--report is not the last line that was reported"
    run 0 --prometheus "$sandboxed"
    grep -q '^merlon_option{pid="[0-9]*",name="on_error",value="report"} 1$' \
        "$work/out" || fail "no metric of an option"
    grep -q '^merlon_switch{pid="[0-9]*",name="canary"} 1$' "$work/out" \
        || fail "no metric of a switch"
    grep -q '^merlon_detections_total{pid="[0-9]*",kind="double free"} 1$' \
        "$work/out" || fail "no metric of a double free"
fi

# 5. Linked in; fully static there is no symbol table to ask.
sodium=$(${PKG_CONFIG:-pkg-config} --libs libsodium 2>/dev/null) || sodium=-lsodium
for how in '' -static; do
    [ -f "$archive" ] || continue
    # shellcheck disable=SC2086 # CC and sodium may be several words, how none
    if ! $CC -O1 -g -pthread $how -o "$work/linked$how" -D_GNU_SOURCE \
        "$work/program.c" "$archive" $sodium >"$work/out" 2>&1; then
        [ -n "$how" ] || fail "cannot link with $archive"
        continue
    fi
    "$work/linked$how" "$work/ready4$how" &
    linked=$!
    started="$started $linked"
    await "$work/ready4$how" "$linked"
    check_program "linked $how" "$linked"
done

[ "$failed" -eq 0 ] || exit 1
echo "stat: all passed"
