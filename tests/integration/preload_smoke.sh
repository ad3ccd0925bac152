#!/bin/sh
# SPDX-License-Identifier: MIT
#
# preload_smoke.sh - real programs with merlon preloaded.
#
#   MERLON_LIB=/path/libmerlon.so tests/integration/preload_smoke.sh [NAME...]
#
# bash, python3, perl, git, gcc, sqlite3, nginx and redis run twice: without
# merlon and with it. Both runs must give the same answers, each program shows
# from /proc that the library is mapped, and every process that was started is
# ended. Every step is bounded by timeout(1).
#
# A missing program is a failure that names its Debian package; with
# MERLON_ALLOW_MISSING=1 it is skipped, and the status is 77 if all are missing.
set -eu
# shellcheck disable=SC3045 # an extension that dash and bash have
ulimit -c 0
LC_ALL=C
export LC_ALL

: "${MERLON_LIB:?the library under test, as a path}"
MERLON_LIB=$(cd "$(dirname "$MERLON_LIB")" && pwd -P)/$(basename "$MERLON_LIB")
MERLON_LIB=$(readlink -f "$MERLON_LIB")
[ -f "$MERLON_LIB" ] || { echo "no $MERLON_LIB" >&2; exit 1; }
mark=$(basename "$MERLON_LIB")
if [ -n "${EMULATOR:-}" ]; then
    echo "skipped: not under an emulator" >&2
    exit 77
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-smoke.XXXXXX")
chmod 755 "$work"
servers=
failures=0
passed=0
skipped=0

end_server() { # PID
    kill -TERM "$1" 2>/dev/null || return 0
    for _ in $(seq 100); do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$1" 2>/dev/null || :
    wait "$1" 2>/dev/null || :
}

clean_up() {
    status=$?
    trap '' HUP INT TERM
    for pid in $servers; do
        end_server "$pid"
    done
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# Under merlon when the variable library is set.
run() { # SECONDS COMMAND...
    seconds=$1
    shift
    timeout -k 5 "$seconds" env ${library:+"LD_PRELOAD=$library"} "$@" \
        </dev/null
}

have() { # COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 && return 0
    if [ "${MERLON_ALLOW_MISSING:-0}" = 1 ]; then
        echo "skipped: $1 not installed"
        skipped=$((skipped + 1))
    else
        echo "FAILED: $1 is not installed (Debian package $2)" >&2
        failures=$((failures + 1))
    fi
    return 1
}

# Is the library mapped into process PID? Says so on standard output, the same
# in both runs when it is as it should be.
show_maps() { # PID
    if grep -q -F "$mark" "/proc/$1/maps"; then
        mapped=yes
    else
        mapped=no
    fi
    if [ $mapped = "$([ -n "$library" ] && echo yes || echo no)" ]; then
        echo "maps as expected"
    else
        echo "the library is mapped: $mapped"
    fi
}

# The same question for a program to put to itself: 1 or 0 lines.
expected_lines() {
    [ -n "$library" ] && echo yes || echo no
}

free_port() {
    port=$((20000 + ($$ * 7 + $(date +%s)) % 30000))
    for _ in $(seq 200); do
        port=$((port + 1))
        hex=$(printf ':%04X ' "$port")
        cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
            awk '{ print $2 " " }' | grep -q "$hex" || return 0
    done
    echo "no free port" >&2
    return 1
}

# ------------------------------------------------------------------- bash

smoke_bash() {
    cat >script.bash <<'END'
mapped=no
while read -r line; do
    [[ $line == *"$MARK"* ]] && mapped=yes
done </proc/self/maps
echo "mapped: $([[ $mapped == "$EXPECTED" ]] && echo right || echo wrong)"
declare -A count
for ((i = 0; i < 20000; i++)); do
    key=k$((i * 7919 % 997))
    count[$key]=$((${count[$key]:-0} + i))
done
for key in "${!count[@]}"; do echo "$key ${count[$key]}"; done | sort | tail -3
text=
for ((i = 0; i < 3000; i++)); do text+="$i,"; done
echo ${#text} "${text: -20}"
parts=(${text//,/ })
echo "${#parts[@]}"
for i in 1 2 3 4 5; do (echo "sub $i" | sed s/sub/shell/) & wait; done
END
    run 60 MARK="$mark" EXPECTED="$(expected_lines)" bash script.bash
}

# ----------------------------------------------------------------- python3

smoke_python3() {
    cat >script.py <<'END'
import gc, hashlib, json, os, re, sqlite3, subprocess, threading, zlib
mapped = os.environ["MARK"] in open("/proc/self/maps").read()
print("mapped:", "right" if mapped == (os.environ["EXPECTED"] == "yes")
      else "wrong")
results = {}
def work(n):
    data = [{"id": i, "name": "x" * (i % 97), "list": list(range(i % 13))}
            for i in range(3000)]
    text = json.dumps(data)
    back = json.loads(text)
    assert back == data
    base = sqlite3.connect(":memory:")
    base.execute("create table t (a integer, b text)")
    base.executemany("insert into t values (?, ?)",
                     [(i, "v%d" % (i * n)) for i in range(4000)])
    total, = base.execute("select sum(a * length(b)) from t").fetchone()
    packed = zlib.compress(text.encode(), 6)
    assert zlib.decompress(packed).decode() == text
    words = len(re.findall(r"x{5,9}", text))
    results[n] = (total, words, hashlib.sha256(text.encode()).hexdigest())
threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for n in sorted(results): print(n, results[n])
big = bytearray(50000000)
big.extend(b"end")
print(len(big), bytes(big[-3:]))
trees = [{"k": [str(i)] * 20} for i in range(50000)]
del trees
gc.collect()
print(subprocess.run(["echo", "child"], capture_output=True).stdout)
pid = os.fork()
if pid == 0:
    print("fork", sum(len(str(i)) for i in range(100000)), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
END
    python=python3
    [ -x /usr/bin/python3 ] && python=/usr/bin/python3
    run 120 MARK="$mark" EXPECTED="$(expected_lines)" PYTHONMALLOC=malloc \
        $python script.py
}

# -------------------------------------------------------------------- perl

smoke_perl() {
    cat >script.pl <<'END'
use strict;
open(my $maps, '<', '/proc/self/maps') or die;
my $mapped = grep(/\Q$ENV{MARK}\E/, <$maps>) ? 'yes' : 'no';
print "mapped: ", ($mapped eq $ENV{EXPECTED} ? "right" : "wrong"), "\n";
my %h;
for my $i (0 .. 200000) { push @{$h{$i % 5003}}, "value $i" if $i % 3; }
my $sum = 0;
$sum += length(join ',', @{$h{$_}}) for sort keys %h;
print "$sum\n";
my $text = join ' ', map { $_ * $_ } 0 .. 50000;
my $count = () = $text =~ /\b\d*7\d*\b/g;
$text =~ s/(\d+)/<$1>/g;
print "$count ", length($text), "\n";
my @sorted = sort { $a cmp $b } map { "k" . ($_ * 7919 % 100003) } 0 .. 60000;
print "$sorted[0] $sorted[-1]\n";
for (1 .. 5) {
    my $pid = fork();
    if (!$pid) { my @x = map { "c$_" } 1 .. 10000; exit(@x == 10000 ? 0 : 1); }
    waitpid($pid, 0);
    print "child $?\n";
}
print eval { my $s = 'a' x 30000000; length $s }, "\n";
END
    run 60 MARK="$mark" EXPECTED="$(expected_lines)" perl script.pl
}

# --------------------------------------------------------------------- git

git_here() {
    run 60 git "$@"
}

smoke_git() {
    HOME=$work
    GIT_CONFIG_NOSYSTEM=1
    GIT_AUTHOR_DATE='1700000000 +0000'
    GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
    export HOME GIT_CONFIG_NOSYSTEM GIT_AUTHOR_DATE GIT_COMMITTER_DATE
    mkdir repository
    cd repository
    git_here init -q -b trunk .
    git_here config user.name tester
    git_here config user.email tester@localhost
    # Run by git itself, whose process is then the parent.
    # shellcheck disable=SC2016 # for the shell that git starts
    git_here config alias.maps '!cat /proc/$PPID/maps'
    if git_here maps | grep -q -F "$mark"; then echo yes; else echo no; fi |
        grep -q -x "$(expected_lines)" && echo "maps as expected"
    for commit in $(seq 12); do
        for file in $(seq 40); do
            seq "$commit" $((commit * file + 50)) >"file$file"
        done
        git_here add .
        git_here commit -q -m "commit $commit"
    done
    git_here gc -q --aggressive --prune=now
    git_here fsck --full --strict
    git_here log --stat --format='%H %s'
    git_here diff --stat trunk~5 trunk
    git_here blame file7 | tail -2
    git_here checkout -q -b other trunk~3
    echo change >>file1
    git_here commit -q -a -m other
    git_here grep -c 77 trunk | head -5
    git_here clone -q . ../clone
    git_here -C ../clone log --oneline --all | sort
    cd ..
}

# --------------------------------------------------------------------- gcc

# The compiler proper is asked: it runs long enough to be looked at.
watch_compiler() {
    seen=no
    for _ in $(seq 600); do
        for maps in /proc/[0-9]*/maps; do
            case $(cat "${maps%/maps}/comm" 2>/dev/null) in
            cc1plus)
                tr '\0' ' ' 2>/dev/null <"${maps%/maps}/cmdline" |
                    grep -q -F "$work" || continue
                seen=$(grep -q -F "$mark" "$maps" 2>/dev/null && echo yes ||
                    echo no)
                # Not yet all mapped, or gone already: look once more.
                [ "$seen" = "$(expected_lines)" ] && break 2
                ;;
            esac
        done
        kill -0 "$1" 2>/dev/null || break
        sleep 0.02
    done
    [ "$seen" = "$(expected_lines)" ] && echo "maps as expected"
}

smoke_gcc() {
    cat >heavy.cc <<'END'
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>
struct node { std::variant<int, std::string> value; std::shared_ptr<node> next; };
int main()
{
    std::map<std::string, std::vector<int>> table;
    for (int i = 0; i < 20000; i++)
        table["key" + std::to_string(i % 701)].push_back(i);
    std::unordered_map<int, std::string> names;
    for (auto &entry : table)
        names[(int)entry.second.size()] += entry.first;
    std::regex pattern("key([0-9]+)");
    std::smatch match;
    std::string last = table.rbegin()->first;
    std::regex_match(last, match, pattern);
    std::shared_ptr<node> list;
    for (int i = 0; i < 1000; i++)
        list = std::make_shared<node>(node{std::to_string(i), list});
    std::vector<std::thread> threads;
    std::vector<std::vector<std::string>> out(4);
    for (int t = 0; t < 4; t++)
        threads.emplace_back([&out, t] {
            for (int i = 0; i < 10000; i++)
                out[t].push_back(std::string((size_t)(i % 100), 'x'));
        });
    for (auto &thread : threads)
        thread.join();
    try {
        throw std::runtime_error("thrown");
    } catch (std::exception &e) {
        std::cout << e.what() << ' ' << match[1] << ' ' << names.size() << '\n';
    }
    std::cout << std::get<std::string>(list->value) << ' ' << out[3].size()
              << std::endl;
}
END
    run 120 g++ -std=c++17 -O1 -frandom-seed=merlon -c "$PWD/heavy.cc" \
        -o heavy.o &
    compiler=$!
    watch_compiler $compiler
    wait $compiler
    cksum <heavy.o
    run 60 g++ -pthread heavy.o -o heavy
    run 60 ./heavy
}

# ----------------------------------------------------------------- sqlite3

smoke_sqlite3() {
    cat >script.sql <<'END'
.shell cat /proc/$PPID/maps >sqlite.maps
create table a (id integer primary key, name text, data blob);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 60000)
insert into a select i, 'name' || (i * 7919 % 10007), zeroblob(i % 200) from n;
create index by_name on a (name);
select count(*), sum(length(data)) from a;
select name, count(*) c from a group by name order by c desc, name limit 3;
select count(*) from a x join a y on x.name = y.name and x.id < y.id;
begin; update a set name = name || 'x' where id % 3 = 0; commit;
delete from a where id % 5 = 0;
vacuum;
pragma integrity_check;
select group_concat(name) is not null from a;
select json_array_length(json_group_array(name)) from a;
END
    run 60 sh -c 'exec sqlite3 base.db <script.sql'
    if grep -q -F "$mark" sqlite.maps; then echo yes; else echo no; fi |
        grep -q -x "$(expected_lines)" && echo "maps as expected"
}

# ------------------------------------------------------------------- nginx

wait_for() { # PID SECONDS COMMAND...
    waited=$1
    tries=$(($2 * 20))
    shift 2
    for _ in $(seq $tries); do
        "$@" >/dev/null 2>&1 && return 0
        kill -0 "$waited" 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

smoke_nginx() {
    free_port
    mkdir -p site tmp
    for i in $(seq 60); do
        seq "$i" $((i * 300)) >"site/f$i.txt"
    done
    head -c 6000000 /dev/zero | tr '\0' z >site/large
    # The workers of a root's nginx give up root, unless told not to.
    [ "$(id -u)" -ne 0 ] || user='user root;'
    cat >nginx.conf <<END
daemon off;
${user:-}
worker_processes 2;
pid $PWD/nginx.pid;
error_log stderr crit;
events { worker_connections 128; }
http {
    access_log off;
    gzip on;
    gzip_min_length 100;
    gzip_types text/plain;
    client_body_temp_path tmp/body;
    proxy_temp_path tmp/proxy;
    fastcgi_temp_path tmp/fastcgi;
    uwsgi_temp_path tmp/uwsgi;
    scgi_temp_path tmp/scgi;
    types { text/plain txt; }
    server {
        listen 127.0.0.1:$port;
        root site;
        location /proxy/ { proxy_pass http://127.0.0.1:$port/; }
        location /echo { return 200 "\$request_uri \$http_x_test\n"; }
    }
}
END
    # Not by way of run(): the server's own process is the one to end.
    env ${library:+"LD_PRELOAD=$library"} timeout -k 5 120 \
        "$(command -v nginx)" -e stderr -p "$PWD" -c "$PWD/nginx.conf" \
        >nginx.log 2>&1 </dev/null &
    server=$!
    servers="$servers $server"
    wait_for $server 20 curl -s -f "http://127.0.0.1:$port/echo" || {
        cat nginx.log
        echo "nginx does not answer"
        return 1
    }
    for path in '' proxy/; do
        curl -s -S --max-time 30 "http://127.0.0.1:$port/${path}f[1-60].txt"
        curl -s -S --max-time 30 --compressed \
            "http://127.0.0.1:$port/${path}f[1-60].txt"
        curl -s -S --max-time 30 "http://127.0.0.1:$port/${path}large" | cksum
    done >answers
    cksum <answers
    curl -s -S --max-time 60 -H 'X-Test: yes' \
        "http://127.0.0.1:$port/echo?[1-1500]" | sort | cksum
    curl -s -S -o /dev/null -w '%{http_code}\n' \
        "http://127.0.0.1:$port/missing"
    # Reload: new workers, and the old ones end.
    kill -HUP "$(cat nginx.pid)"
    sleep 0.5
    curl -s -S --max-time 30 "http://127.0.0.1:$port/f9.txt" | cksum
    for worker in $(cat nginx.pid) $(pgrep -P "$(cat nginx.pid)"); do
        show_maps "$worker"
    done | sort -u
    kill -QUIT "$(cat nginx.pid)"
    wait $server && echo "nginx ended well" || echo "nginx: status $?"
    grep -i -E 'alert|emerg|signal|merlon' nginx.log || :
}

# ------------------------------------------------------------------- redis

redis() {
    timeout -k 5 60 redis-cli -h 127.0.0.1 -p "$port" "$@" </dev/null
}

smoke_redis() {
    free_port
    env ${library:+"LD_PRELOAD=$library"} timeout -k 5 120 redis-server \
        --port "$port" --bind 127.0.0.1 --dir "$PWD" --save '' \
        --activedefrag no >redis.log 2>&1 </dev/null &
    server=$!
    servers="$servers $server"
    wait_for $server 20 redis ping || {
        cat redis.log
        echo "redis does not answer"
        return 1
    }
    show_maps "$(redis info server | tr -d '\r' |
        sed -n 's/^process_id://p')"
    for i in $(seq 30); do
        redis set "key$i" "$(seq 1 $((i * 20)))"
        redis rpush list "$i" "$((i * i))"
        redis hset hash "field$i" "$i" "other$i" "$((i * 3))"
    done | cksum
    redis eval 'for i = 1, 20000 do redis.call("zadd", "z", i * 7919 % 10007,
        "m" .. i) end return redis.call("zcard", "z")' 0
    timeout -k 5 60 redis-benchmark -h 127.0.0.1 -p "$port" -n 3000 -c 20 -q \
        -d 300 -t set,get,lpush,lpop,sadd,hset,lrange_100,mset \
        >benchmark.log 2>&1 || cat benchmark.log
    redis lrange list 0 -1 | cksum
    redis zrange z 0 50 | cksum
    redis bgsave >/dev/null
    wait_for $server 20 sh -c "redis-cli -h 127.0.0.1 -p $port info \
        persistence | grep -q rdb_bgsave_in_progress:0"
    redis debug reload
    redis zcard z
    redis flushall
    redis dbsize
    redis shutdown nosave || :
    wait $server && echo "redis ended well" || echo "redis: status $?"
    grep -i -E 'crash|bug report|merlon' redis.log || :
}

# --------------------------------------------------------------------- all

# Both runs, each in a directory of its own.
smoke() { # NAME
    for library in '' "$MERLON_LIB"; do
        which=${library:+with}
        directory=$work/$1
        rm -rf "$directory"
        mkdir "$directory"
        status=0
        (
            cd "$directory"
            servers=
            trap 'for server in $servers; do end_server "$server"; done' EXIT
            "smoke_$1"
        ) >"$work/${which:-without}.out" 2>"$work/${which:-without}.err" ||
            status=$?
        if [ $status -ne 0 ]; then
            echo "FAILED: $1 ${which:-without} merlon: status $status" >&2
            tail -n 20 "$work/${which:-without}.out" \
                "$work/${which:-without}.err" >&2
            failures=$((failures + 1))
            return
        fi
    done
    if ! diff "$work/without.out" "$work/with.out" >"$work/diff" ||
        ! diff "$work/without.err" "$work/with.err" >>"$work/diff"; then
        echo "FAILED: $1 says something else with merlon:" >&2
        head -n 30 "$work/diff" >&2
        failures=$((failures + 1))
    elif grep -q -e 'mapped: wrong' -e 'is mapped' "$work/with.out"; then
        echo "FAILED: $1: merlon was not mapped" >&2
        failures=$((failures + 1))
    elif ! grep -q -e 'mapped: right' -e 'as expected' "$work/with.out"; then
        echo "FAILED: $1: nothing shows that merlon was mapped" >&2
        failures=$((failures + 1))
    else
        passed=$((passed + 1))
        echo "passed: $1"
    fi
}

cd "$work"
[ $# -gt 0 ] || set -- bash python3 perl git gcc sqlite3 nginx redis
for name in "$@"; do
    case $name in
    gcc) have g++ g++ || continue ;;
    nginx)
        have nginx nginx || continue
        have curl curl || continue
        ;;
    redis)
        have redis-server redis-server || continue
        have redis-cli redis-tools || continue
        ;;
    *) have "$name" "$name" || continue ;;
    esac
    smoke "$name"
done
if [ $failures -ne 0 ]; then
    echo "$failures failed, $passed passed" >&2
    exit 1
fi
[ $passed -gt 0 ] || exit 77
