#!/bin/sh
# SPDX-License-Identifier: MIT
#
# ssh: log-ins by key and SFTP, through PAM; a process for each connection that
# sshd executes anew, one in a seccomp sandbox that kills, one as the user.
# The environment of a session is not the daemon's: what it runs has no merlon.
# Its unit: sshd -t, sshd -D, SIGHUP to reload
. "$(dirname "$0")/lib.sh"
sshd=/usr/sbin/sshd
needs "$sshd" ssh sftp ssh-keygen bash
foreign='dash|bash|cat|sftp-server'

# A user without a shell may use the SFTP that is inside sshd.
prepare() {
    free_port
    [ -d /run/sshd ] || install -d -m 755 /run/sshd # RuntimeDirectory=
    for key in host client; do
        ssh-keygen -q -t ed25519 -N '' -f "$work/$key"
    done
    echo "[127.0.0.1]:$port $(cut -d ' ' -f 1,2 "$work/host.pub")" \
        >"$work/known"
    install -d -o nobody "$work/theirs"
    head -c 3000000 /dev/urandom >"$work/file"
    chmod 644 "$work/file"
    # Below /tmp no directory is strict enough for StrictModes.
    cat >"$work/sshd_config" <<END
ListenAddress 127.0.0.1:$port
HostKey $work/host
PidFile $work/pid
AuthorizedKeysFile $work/client.pub
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM yes
X11Forwarding yes
PrintMotd no
# No startup file of the shell of whoever runs this.
SetEnv HOME=$work
AcceptEnv LANG LC_*
MaxStartups 50
Subsystem sftp /usr/lib/openssh/sftp-server
Match User nobody
    ForceCommand internal-sftp
END
    cat >"$work/ssh_config" <<END
Host *
    Port $port
    IdentityFile $work/client
    IdentitiesOnly yes
    BatchMode yes
    UserKnownHostsFile $work/known
    StrictHostKeyChecking yes
    LogLevel ERROR
END
}

on() { # USER COMMAND
    ssh -F "$work/ssh_config" "$1@127.0.0.1" "$2"
}

start() {
    control "$sshd" -t -f "$work/sshd_config"
    launch "$sshd" -D -f "$work/sshd_config" -E "$logs/sshd"
    await "a log-in" on root true
}

# Put a file, rename it, take it back by another connection.
transfer() { # USER
    printf '%s\n' "put $work/file $work/theirs/put" "ls -l $work/theirs" \
        "rename $work/theirs/put $work/theirs/file" >"$work/batch"
    client sftp -q -F "$work/ssh_config" -b "$work/batch" "$1@127.0.0.1"
    same "$work/theirs/file" "$work/file"
    printf '%s\n' "get $work/theirs/file $work/back" \
        "rm $work/theirs/file" >"$work/batch"
    client sftp -q -F "$work/ssh_config" -b "$work/batch" "$1@127.0.0.1"
    same "$work/back" "$work/file"
    [ ! -e "$work/theirs/file" ] || fail "sftp did not remove the file"
    rm -f "$work/back"
}

sandboxed() {
    for pid in $(tree); do
        ! grep -qs '^Seccomp:.*2$' "/proc/$pid/status" || return 0
    done
    return 1
}

# The processes of both users are there, and what was before them is gone.
logged_in() {
    titles=$(for pid in $(tree); do
        tr '\0' '\n' <"/proc/$pid/cmdline"
    done 2>/dev/null)
    for user_of in nobody root; do
        echo "$titles" | grep -q "^sshd: $user_of@notty" || return 1
    done
    [ "$(echo "$titles" | grep -c '^sshd: .*\[net\]')" -eq 1 ]
}

# A session that lasts.
stay() { # ARGUMENT OF SSH...
    # shellcheck disable=SC2016 # the inner shell expands it
    assist sh -c 'sleep 60 | ssh -F "$@"' sh "$work/ssh_config" \
        "$@"
}

# A connection that says its version only, one of a user, one of root: of each, every
# process that it has.
prove_sessions() {
    assist bash -c "exec 3<>/dev/tcp/127.0.0.1/$port
        printf 'SSH-2.0-silence\r\n' >&3; sleep 60"
    silent=$assistant
    await "the sandbox" sandboxed
    stay -s nobody@127.0.0.1 sftp
    nobody=$assistant
    stay root@127.0.0.1 cat
    await "all sessions" logged_in
    processes=6
    prove
    processes=1
    dismiss "$silent" "$nobody" "$assistant"
}

exercise() {
    transfer nobody
    on root "cat '$work/file'" >"$work/piped"
    same "$work/piped" "$work/file"
    prove_sessions
}

load() {
    count=$(scaled 10)
    # shellcheck disable=SC2016 # the inner shell expands it
    client xargs -P 4 -I{} sh -c '[ "$(ssh -F "$1" root@127.0.0.1 echo {})" \
        = {} ] || exit 255' sh "$work/ssh_config" <<END
$(seq "$count")
END
    done_requests "$count"
    count=$(scaled 1)
    for _ in $(seq "$count"); do
        transfer root
    done
    done_requests $((count * 2))
}

listening_again() {
    [ "$(grep -c 'Server listening' "$logs/sshd")" -eq 2 ] && on root true
}

reload() {
    control "$sshd" -t -f "$work/sshd_config"
    kill -HUP "$(main_pid)"
    await "the restart" listening_again
}

live "$@"
