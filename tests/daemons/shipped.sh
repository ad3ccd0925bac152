# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154,SC2034
#
# shipped.sh - the examples of doc/systemd, used as an operator would: so they
# are tested, and nothing of them is said twice. Read after lib.sh.
#
# The path of the library in them stands for the library under test, or for
# the C library.

shipped_library=/usr/lib/x86_64-linux-gnu/libmerlon-hardened.so

# A setting for a daemon, ready for use: $work/NAME.
ship() { # NAME
    sed "s|$shipped_library|$preload|" "$source_dir/doc/systemd/daemons/$1" \
        >"$work/$1"
}

# Start as the unit would with its drop-in. To be called in prepare.
drop_in() { # UNIT
    drop_in=$source_dir/doc/systemd/system/$1.d/merlon.conf
    grep -qx "Environment=LD_PRELOAD=$shipped_library" "$drop_in" \
        || fail "$drop_in does not preload $shipped_library"
    while IFS= read -r line; do
        case $line in
        '' | '#'* | '[Service]' | PIDFile=*) ;;
        Environment=LD_PRELOAD=*) ;; # launch does so
        Environment=*) environment="$environment ${line#*=}" ;;
        User=*) user=${line#*=} ;;
        *) fail "$drop_in: this test knows nothing of $line" ;;
        esac
    done <"$drop_in"
}
