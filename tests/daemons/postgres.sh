#!/bin/sh
# SPDX-License-Identifier: MIT
#
# postgres: a process for each connection and each parallel worker, all forked of
# one; LLVM compiles expressions. A cluster of its own.
# Its unit: Type=forking, pg_ctlcluster --skip-systemctl-redirect VERSION NAME
# start, stop -m fast, reload. Debian's pg_ctlcluster drops the environment that
# the unit gives: the cluster's own file "environment" must name the library.
. "$(dirname "$0")/lib.sh"
needs pg_ctlcluster pg_createcluster psql pgbench
# The postmaster, checkpointer, writers, launchers.
processes=6
version=$(ls /usr/lib/postgresql | sort -n | tail -n 1)

prepare() {
    free_port
    environment="PG_CLUSTER_CONF_ROOT=$work/etc"
    export PG_CLUSTER_CONF_ROOT="$work/etc"
    install -d -o postgres "$work/data" "$work/socket"
    timeout 60 pg_createcluster "$version" merlon -p "$port" \
        -d "$work/data/main" -s "$work/socket" -l "$logs/postgres" \
        --start-conf manual -- --no-sync --auth trust >"$logs/create" 2>&1 \
        || fail "no cluster" "$logs/create"
    # pg_ctlcluster lets nothing of the unit's environment through but this.
    echo "LD_PRELOAD = '$preload'" >>"$work/etc/$version/merlon/environment"
    cat >>"$work/etc/$version/merlon/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
external_pid_file = '$work/socket/pid'
shared_buffers = 32MB
fsync = off
max_parallel_workers = 4
END
    PGHOST=127.0.0.1
    PGPORT=$port
    PGUSER=postgres
    PGDATABASE=postgres
    PGCONNECT_TIMEOUT=10
    export PGHOST PGPORT PGUSER PGDATABASE PGCONNECT_TIMEOUT
}

ctl() { # HOW ACTION [OPTION]...
    how=$1
    action=$2
    shift 2
    "$how" pg_ctlcluster --skip-systemctl-redirect "$@" "$version" merlon \
        "$action"
}

query() { # SQL
    timeout 30 psql -qAtX -v ON_ERROR_STOP=1 -c "$1"
}

start() {
    ctl launch start
    await "a connection" query 'select 1'
    client pgbench -q -i -s 2 --no-vacuum
}

expect() { # ANSWER SQL
    answer=$(query "$2") || fail "no answer: $2"
    [ "$answer" = "$1" ] || fail "$2: $answer, not $1"
}

# Every transaction of pgbench adds the same number to all four tables.
balanced() {
    expect t 'select a = b and b = t and t = h from
        (select sum(abalance) a from pgbench_accounts) a,
        (select sum(bbalance) b from pgbench_branches) b,
        (select sum(tbalance) t from pgbench_tellers) t,
        (select coalesce(sum(delta), 0) h from pgbench_history) h'
}

parallel='set parallel_setup_cost = 0; set parallel_tuple_cost = 0;
    set min_parallel_table_scan_size = 0; set jit_above_cost = 0;
    set max_parallel_workers_per_gather = 2;'

exercise() {
    balanced
    expect 200000 "$parallel select count(*) from pgbench_accounts
        where aid + bid > 0"
    query "$parallel explain (analyze) select bid, count(*),
        sum(aid * 2.5) from pgbench_accounts group by bid" >"$work/plan"
    grep -q 'Workers Launched: 2' "$work/plan" || fail "no workers" "$work/plan"
    grep -q 'JIT:' "$work/plan" || fail "nothing was compiled" "$work/plan"
    # Sorts and hashes in memory and on disk, large values, errors caught.
    expect 5000050000 "set work_mem = '64kB'; select sum(i) from (select i from
        generate_series(1, 100000) i order by md5(i::text)) s"
    expect 20000 "select count(*) from generate_series(1, 20000) a
        join generate_series(1, 20000) b on a = b"
    expect 3000000 "select length(repeat('merlon', 500000))"
    expect '{"k": 4950}' "select jsonb_build_object('k', sum((j->>'n')::int))
        from (select jsonb_build_object('n', i) j
        from generate_series(0, 99) i) s"
    query "do \$\$ begin for i in 1..2000 loop begin perform 1 / (i - i);
        exception when division_by_zero then null; end; end loop; end \$\$"
    # What stays while it is looked at.
    assist psql -qAtX -c 'select pg_sleep(60)'
    sleeper=$assistant
    await "a backend" sh -c "psql -qAtX -c \"select count(*) from
        pg_stat_activity where query ~ '^select pg_sleep'\" | grep -qx 1"
    processes=7
    prove
    processes=6
    query "select pg_terminate_backend(pid) from pg_stat_activity
        where query ~ '^select pg_sleep'" >/dev/null
    dismiss "$sleeper"
}

load() {
    count=$(scaled 250)
    client pgbench -n -c 8 -j 2 -t "$count"
    done_requests $((8 * count))
    count=$(scaled 1000)
    client pgbench -n -S -c 4 -t "$count" -M prepared
    done_requests $((4 * count))
    # A connection for each transaction: a fork for each.
    count=$(scaled 20)
    client pgbench -n -S -C -c 4 -t "$count"
    done_requests $((4 * count))
    balanced
}

changed() {
    [ "$(query 'show work_mem')" = 5MB ]
}

reload() {
    echo 'work_mem = 5MB' >>"$work/etc/$version/merlon/postgresql.conf"
    ctl control reload
    await "the new setting" changed
}

stop() {
    ctl control stop -m fast
}

live "$@"
