#!/bin/sh
# SPDX-License-Identifier: MIT
#
# postfix: mail in by SMTP, delivered to a maildir and relayed to another
# server, every one compared. A program for each step, most of them in a chroot,
# with an environment that each has cleaned. Its unit: postfix@-.service,
# Type=forking, postmulti -i - -p start; ExecReload=postmulti -i - -p reload
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/shipped.sh"
needs postfix postconf smtp-source smtp-sink python3
# master, pickup, qmgr, postlogd; more while there is mail.
processes=4
# The master ends all, and itself, by SIGTERM; cleanup(8) catches it and exits
# with its number.
end_status='143 15'
round=0

prepare() {
    drop_in 'postfix@.service'
    ship postfix.cf
    free_port
    relay=$port
    free_port
    mkdir "$work/etc" "$work/spool" "$work/data" "$work/mail" "$work/relayed"
    chown postfix "$work/data" "$work/mail"
    chown nobody "$work/relayed"
    cat "$work/postfix.cf" - >"$work/etc/main.cf" <<END
compatibility_level = 3.6
queue_directory = $work/spool
data_directory = $work/data
maillog_file_prefixes = $work
maillog_file = $logs/postfix
myhostname = mail.example.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
virtual_mailbox_domains = example.test
virtual_mailbox_base = $work/mail
virtual_mailbox_maps = inline:{ { user@example.test = user/ } }
virtual_minimum_uid = 1
virtual_uid_maps = static:$(id -u postfix)
virtual_gid_maps = static:$(id -g postfix)
transport_maps = inline:{ { relay.test = smtp:[127.0.0.1]:$relay } }
END
    sed "s/^smtp  *inet/127.0.0.1:$port inet/" \
        /usr/share/postfix/master.cf.dist >"$work/etc/master.cf"
    # What the shipped line replaces may change with postfix.
    case "$(postconf -c "$work/etc" -hx import_environment)" in
    "$(postconf -dhx import_environment) LD_PRELOAD MERLON_OPTIONS") ;;
    *) fail "the shipped line does not add to this postfix' default" ;;
    esac
    assist smtp-sink -u nobody -R "$work/relayed" -d %s. "127.0.0.1:$relay" 50
}

# start goes into the background, as its unit expects.
start() {
    launch postfix -c "$work/etc" start
    await "an SMTP server" \
        python3 "$daemons_dir/smtp.py" "$port" greeting
}

# Who delivered stays for a while: they are all looked at.
exercise() {
    round=$((round + 1))
    rm -rf "$work/mail/user"
    client python3 "$daemons_dir/smtp.py" "$port" send 20 "$work/mail/user"
    done_requests 20
    smtp-source -c -m 3 -t "r$round@relay.test" "127.0.0.1:$port" \
        >"$logs/client" 2>&1 || fail "cannot send" "$logs/client"
    await "three mails relayed" relayed
    processes=8
    prove
    processes=4
}

relayed() {
    [ "$(cat "$work/relayed"/* 2>/dev/null \
        | grep -c "^X-Rcpt-Args: <r$round@relay.test>")" -eq 3 ]
}

load() {
    rm -rf "$work/mail/user"
    count=$(scaled 300)
    client smtp-source -s 4 -m "$count" -l 4000 -t user@example.test \
        "127.0.0.1:$port"
    await "all mails" delivered
    done_requests "$count"
}

delivered() {
    [ "$(ls "$work/mail/user/new" 2>/dev/null | wc -l)" -eq "$count" ]
}

reload() {
    echo 'smtpd_banner = generation two' >>"$work/etc/main.cf"
    control postfix -c "$work/etc" reload
    await "the new banner" sh -c \
        'python3 "$0" "$1" greeting | grep -q "generation two"' \
        "$daemons_dir/smtp.py" "$port"
}

stop() {
    control postfix -c "$work/etc" stop
}

live "$@"
