#!/bin/sh
# SPDX-License-Identifier: MIT
#
# vsftpd: log-ins, lists, files down and up. Each session is two processes in
# chroots that may start no others (RLIMIT_NPROC 0), and that limit their
# address space to 200 MB while they run. Debian's vsftpd dies of its own seccomp
# filter under glibc as well: that is off. Its unit: vsftpd /etc/vsftpd.conf
. "$(dirname "$0")/lib.sh"
needs vsftpd curl
# SIGTERM is not caught.
end_status=143

prepare() {
    free_port
    url=ftp://127.0.0.1:$port
    mkdir -p "$work/ftp/files" "$work/ftp/in" "$work/empty"
    chown ftp "$work/ftp/in"
    for number in $(seq 40); do
        echo "file $number" >"$work/ftp/files/$number"
    done
    head -c 3000000 /dev/urandom >"$work/ftp/files/large"
    truncate -s 64M "$work/ftp/files/endless"
    cat >"$work/vsftpd.conf" <<END
listen=YES
listen_address=127.0.0.1
listen_port=$port
background=NO
anonymous_enable=YES
anon_root=$work/ftp
anon_upload_enable=YES
write_enable=YES
anon_umask=022
secure_chroot_dir=$work/empty
seccomp_sandbox=NO
vsftpd_log_file=$logs/vsftpd
END
}

start() {
    launch vsftpd "$work/vsftpd.conf"
    await "a log-in" curl -sf -o "$work/first" "$url/files/1"
}

# While a transfer goes on, its processes are there to be looked at.
exercise() {
    client curl -sf "$url/files/"
    [ "$(wc -l <"$logs/client")" -eq 42 ] \
        || fail "the list is not right" "$logs/client"
    client curl -sf -o "$work/large" "$url/files/large"
    same "$work/large" "$work/ftp/files/large"
    rm -f "$work/ftp/in/large"
    client curl -sf -T "$work/large" "$url/in/large"
    same "$work/ftp/in/large" "$work/ftp/files/large"

    rm -f "$work/slow"
    assist curl -sf --limit-rate 100k -o "$work/slow" "$url/files/endless"
    await "a session of two processes" session_runs
    processes=3
    prove
    processes=1
    kill "${assistants##* }"
    await "its end" session_ended
    done_requests 4
}

session_runs() {
    [ "$(tree | wc -l)" -ge 3 ] && [ -s "$work/slow" ]
}

session_ended() {
    [ "$(tree | wc -l)" -eq 1 ]
}

# Log in, fetch 40 files in one session, and compare them all. The server makes
# the connections: a passive one sleeps a second when its random port is taken.
load() {
    for _ in $(seq "$(scaled 10)"); do
        rm -rf "$work/fetched"
        mkdir "$work/fetched"
        client curl -sf -P - -o "$work/fetched/#1" \
            "$url/files/[1-40]"
        for number in $(seq 40); do
            same "$work/fetched/$number" "$work/ftp/files/$number"
        done
        done_requests 41
    done
}

reload() {
    echo 'ftpd_banner=a merlon' >>"$work/vsftpd.conf"
    kill -HUP "$(main_pid)"
    await "the new banner" new_banner
}

new_banner() {
    curl -sv "$url/" 2>&1 | grep -q '220 a merlon'
}

live "$@"
