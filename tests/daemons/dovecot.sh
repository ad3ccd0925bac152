#!/bin/sh
# SPDX-License-Identifier: MIT
#
# dovecot: mail put into mailboxes, searched, fetched and compared by IMAP.
# A process for each service, many in a chroot, all with an address space
# of 256 MB, and an environment that the master has cleaned. Its unit:
# Type=notify, dovecot -F; ExecReload=doveadm reload; ExecStop=doveadm stop
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/shipped.sh"
needs dovecot doveadm python3
# The master, anvil, log, config, stats, auth.
processes=6
greeting=one

write_configuration() {
    cat >"$work/dovecot.new" <<END
base_dir = $work/run
state_dir = $work/state
log_path = $logs/dovecot
instance_name = merlon
protocols = imap
listen = 127.0.0.1
login_greeting = generation $greeting
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
first_valid_uid = 1
mail_fsync = never
mail_location = maildir:$work/mail/%u
!include $work/dovecot.conf
passdb {
  driver = static
  args = password=crenel
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=$work/mail/%u
}
service imap-login {
  inet_listener imap {
    port = $port
  }
  inet_listener imaps {
    port = 0
  }
}
END
    mv "$work/dovecot.new" "$work/main.conf"
}

prepare() {
    drop_in dovecot.service
    ship dovecot.conf
    free_port
    mkdir "$work/mail" "$work/state"
    chown nobody "$work/mail"
    write_configuration
}

imap() { # COMMAND [ARGUMENT...]
    client python3 "$daemons_dir/imap.py" "$port" "$@"
}

start() {
    launch dovecot -F -c "$work/main.conf"
    await "the greeting" python3 "$daemons_dir/imap.py" "$port" greeting
}

# Those who log in are there as long as somebody is logged in.
exercise() {
    imap mail 2 20
    imap greeting
    grep -q "generation $greeting" "$logs/client" || fail "an old greeting"
    done_requests 40
    rm -f "$work/held"
    assist python3 "$daemons_dir/imap.py" "$port" hold "$work/held"
    await "two sessions" test -s "$work/held"
    processes=8
    prove
    processes=6
    kill "${assistants##* }"
}

load() {
    imap mail "$(scaled 5)" 60
    done_requests $(($(scaled 5) * 60))
}

reload() {
    greeting=two
    write_configuration
    control doveadm -c "$work/main.conf" reload
    await "the new greeting" sh -c \
        'python3 "$0" "$1" greeting | grep -q "generation two"' \
        "$daemons_dir/imap.py" "$port"
}

stop() {
    control doveadm -c "$work/main.conf" stop
}

live "$@"
