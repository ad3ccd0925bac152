#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pg_ctlcluster: PostgreSQL as Debian starts it. What the unit has in its
# environment never gets to the server: a file of the cluster names what does.
# Its unit: postgresql@.service, Type=forking, pg_ctlcluster VERSION NAME start
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/shipped.sh"
needs pg_createcluster pg_ctlcluster psql
# postgres, checkpointer, writers, launchers.
processes=5
version=$(ls /usr/lib/postgresql | sort -n | tail -n 1)

prepare() {
    free_port
    mkdir "$work/clusters" "$work/sockets"
    chown postgres "$work/clusters" "$work/sockets" "$work"
    environment="PG_CLUSTER_CONF_ROOT=$work/clusters"
    client env "$environment" pg_createcluster -u postgres -p "$port" \
        -d "$work/data" -l "$logs/postgresql" -s "$work/sockets" \
        "$version" merlon
    ship postgresql.environment
    cat "$work/postgresql.environment" \
        >>"$work/clusters/$version/merlon/environment"
}

# Type=forking: the service is there when this process has ended. The server may
# answer before, and what stops it must not go to its starter.
started() {
    ! grep -qs pg_ctlcluster "/proc/$(main_pid)/cmdline"
}

start() {
    launch pg_ctlcluster --skip-systemctl-redirect "$version" merlon start
    await "an answer" psql -c 'select 1'
    await "the end of pg_ctlcluster" started
}

# As its own user, by the socket.
psql() { # ARGUMENT...
    setpriv --reuid postgres --regid postgres --init-groups env -C / \
        psql -h "$work/sockets" -p "$port" -AtX -d postgres "$@"
}

exercise() {
    psql -c "select sum(length(repeat(i::text, 100))), count(distinct i % 700)
        from generate_series(1, 50000) i" >"$logs/client" 2>&1 \
        || fail "a query failed" "$logs/client"
    grep -qx '23889400|700' "$logs/client" || fail "a wrong sum" "$logs/client"
    done_requests 1
}

load() {
    for _ in $(seq "$(scaled 4)"); do
        exercise
    done
}

reload() {
    control pg_ctlcluster --skip-systemctl-redirect "$version" merlon reload
}

# The signal that ExecStop sends; it also connects, and that process may end
# last, with status 1.
stop() {
    kill -INT "$(main_pid)"
}

live "$@"
