#!/bin/sh
# SPDX-License-Identifier: MIT
#
# apache-event: threads; TLS and deflate, whose blocks of 128 KiB and more come
# and go with each request; its modules are unloaded and loaded again on reload.
# (apache-prefork.sh is the same with processes instead of threads.)
# Its unit: Type=forking, apachectl start, graceful, graceful-stop
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/http.sh"
needs apache2 apachectl curl ab openssl
again=again/
mpm=${name#apache-}
processes=3
modules=/usr/lib/apache2/modules
# A fixed number of processes: who stops one that is idle closes connections that
# the proxy is just about to use.
case $mpm in
prefork)
    servers='StartServers 18
MaxSpareServers 60
MaxRequestWorkers 60'
    ;;
*)
    servers='StartServers 2
MinSpareThreads 1
MaxSpareThreads 100
MaxRequestWorkers 50'
    ;;
esac

prepare() {
    prepare_web
    mkdir -p "$work/etc"
    cat >"$work/etc/envvars" <<END
export APACHE_RUN_USER=www-data
export APACHE_RUN_GROUP=www-data
export APACHE_PID_FILE=$work/pid
export APACHE_RUN_DIR=$work
export APACHE_LOCK_DIR=$work
export APACHE_LOG_DIR=$logs
export LANG=C
END
    cat >"$work/etc/apache2.conf" <<END
ServerRoot $work/etc
ServerName 127.0.0.1
DefaultRuntimeDir \${APACHE_RUN_DIR}
PidFile \${APACHE_PID_FILE}
User \${APACHE_RUN_USER}
Group \${APACHE_RUN_GROUP}
ErrorLog \${APACHE_LOG_DIR}/error
$(for module in "mpm_$mpm" authz_core mime deflate filter socache_shmcb ssl \
        setenvif env dir alias headers reqtimeout proxy proxy_http; do
        echo "LoadModule ${module}_module $modules/mod_$module.so"
    done)
LogFormat "%h %l %u %t \"%r\" %>s %O" common
CustomLog \${APACHE_LOG_DIR}/access common
$servers
MaxKeepAliveRequests 500
KeepAliveTimeout 1
TypesConfig /dev/null
AddType text/html .html
AddType text/css .css
AddType text/plain .txt
AddOutputFilterByType DEFLATE text/html text/css text/plain
SSLSessionCache none
SSLSessionTickets off
Listen 127.0.0.1:$plain
Listen 127.0.0.1:$tls
DocumentRoot $work/www
<Directory $work/www>
    Require all granted
</Directory>
ProxyPass /again/ http://127.0.0.1:$plain/ disablereuse=on
<VirtualHost 127.0.0.1:$tls>
    SSLEngine on
    SSLCertificateFile $work/cert.pem
    SSLCertificateKeyFile $work/key.pem
</VirtualHost>
END
    environment="APACHE_CONFDIR=$work/etc APACHE_STARTED_BY_SYSTEMD=true"
}

start() {
    launch apachectl start
    await_answer
}

resumed() {
    [ "$(grep -c 'resuming normal operations' "$logs/error")" -eq "$1" ]
}

# Twice, with requests on the way.
reload() {
    for generation in 2 3; do
        http_load "http://127.0.0.1:$plain/large.css" "$(scaled 50)" &
        loading=$!
        control apachectl graceful
        await "the graceful restart" resumed "$generation"
        wait "$loading"
    done
}

stop() {
    control apachectl graceful-stop
}

live "$@"
