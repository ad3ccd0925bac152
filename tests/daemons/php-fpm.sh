#!/bin/sh
# SPDX-License-Identifier: MIT
#
# php-fpm: with the extensions of an ordinary site, which PHP opens by dlopen with
# RTLD_DEEPBIND: what they allocate must be merlon's all the same. Debian's php.ini.
# (php-malloc.sh is the same without PHP's own allocator.)
# Its unit: php-fpm8.2 --nodaemonize --fpm-config FILE, SIGUSR2 to reload
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/http.sh"
. "$daemons_dir/shipped.sh"
fpm=$(command -v php-fpm8.2 || ls /usr/sbin/php-fpm[0-9]* 2>/dev/null || echo php-fpm)
needs "$fpm" nginx curl ab
processes=5
[ "$name" = php-fpm ] || environment=USE_ZEND_ALLOC=0

prepare() {
    drop_in php8.2-fpm.service
    ship php-fpm.conf
    make_files "$work/www"
    cp "$daemons_dir/php-fpm.php" "$work/www/index.php"
    chmod 644 "$work/www/index.php"
    http_origin "$work/www" "unix:$work/socket"
    cat >"$work/main.conf" <<END
[global]
pid = $work/pid
error_log = $logs/fpm
[www]
user = www-data
group = www-data
listen = $work/socket
listen.owner = www-data
listen.group = www-data
pm = static
pm.max_children = 4
include = $work/php-fpm.conf
END
}

page() {
    curl -sf -m 20 "${origin}index.php?origin=$origin"
}

start() {
    launch "$fpm" --nodaemonize --fpm-config "$work/main.conf"
    await "a page" page
}

# The page compares what each extension makes with what it should be, itself.
exercise() {
    for _ in $(seq "$(scaled 5)"); do
        page >"$logs/page" || fail "no page" "$logs/page"
        [ "$(tail -n 1 "$logs/page")" = 'all as it should be' ] \
            || fail "a page is wrong" "$logs/page"
    done
    children_had_merlon
    for extension in mysqli curl zip xml mbstring 'Zend OPcache'; do
        grep -qx "loaded: $extension" "$logs/page" \
            || fail "$extension is not loaded" "$logs/page"
    done
}

# Programs that scripts execute, by the shipped lines for the pool.
children_had_merlon() {
    count=$(curl -sf -m 20 "${origin}index.php?child")
    if [ -z "$library" ]; then
        [ "$count" -eq 0 ] || fail "a script's program had merlon"
    else
        [ "$count" -gt 0 ] || fail "a script's program had no merlon"
    fi
}

load() {
    http_load "${origin}index.php?rounds=4" "$(scaled 150)"
}

workers() {
    children_of "$(main_pid)" | sort
}

changed() {
    workers >"$work/new"
    [ "$(wc -l <"$work/new")" -eq 4 ] \
        && [ -z "$(comm -12 "$work/old" "$work/new")" ] && page
}

reload() {
    workers >"$work/old"
    kill -USR2 "$(main_pid)"
    await "new workers" changed
}

# SIGQUIT lets requests come to their end.
stop() {
    kill -QUIT "$(main_pid)"
}

live "$@"
