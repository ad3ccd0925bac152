# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# shellcheck disable=SC2154 # work and logs are of lib.sh
#
# http.sh - what the web servers share: files of several kinds, a load of
# requests, and a comparison of every answer with its file. Read after lib.sh (or
# tools/quickstart), of which it takes client, fail, same, done_requests, $work and
# $logs.
#
# Who uses it as a whole calls prepare_web first, then serves $work/www at the
# loopback ports $plain and $tls (with $work/both.pem, or cert.pem and key.pem),
# compressed if that is asked for; and sets again to again/ if the same files
# come below this path through a proxy. exercise and load are then as below.
again=

prepare_web() { # sets plain and tls
    make_files "$work/www"
    make_certificate "$work"
    free_port
    plain=$port
    free_port
    tls=$port
}

exercise() {
    http_compare "$work/www" "$(scaled 2)" "http://127.0.0.1:$plain/" \
        "http://127.0.0.1:$plain/$again" "https://127.0.0.1:$tls/"
    http_gzip "$work/www" "http://127.0.0.1:$plain/$again" page.html
    http_gzip "$work/www" "https://127.0.0.1:$tls/" large.css
}

load() {
    http_load "http://127.0.0.1:$plain/small.txt" "$(scaled 3000)" -k
    http_load "http://127.0.0.1:$plain/${again}page.html" "$(scaled 500)" -k \
        -H 'Accept-Encoding: gzip'
    http_load "https://127.0.0.1:$tls/page.html" "$(scaled 150)"
}

await_answer() {
    await "an answer" curl -sf -m 5 "http://127.0.0.1:$plain/small.txt"
}

http_files='empty.txt small.txt page.html large.css image.bin large.bin'

# Files that are empty, tiny, text that compresses, binary, large.
make_files() { # DIRECTORY
    mkdir -p "$1"
    : >"$1/empty.txt"
    echo 'A merlon is the solid part between two gaps of a battlement.' \
        >"$1/small.txt"
    awk 'BEGIN {
        print "<!doctype html><title>merlon</title>"
        for (i = 1; i <= 900; i++)
            print "<p>Paragraph " i " of a page that compresses, " i * i
    }' >"$1/page.html"
    awk 'BEGIN {
        for (i = 1; i <= 20000; i++)
            print "body { --colour-" i ": #" i % 4096 "; }"
    }' >"$1/large.css"
    head -c 70000 /dev/urandom >"$1/image.bin"
    head -c 1500000 /dev/urandom >"$1/large.bin"
    chmod -R a+rX "$1"
}

# A key and a certificate for 127.0.0.1, and both in one file.
make_certificate() { # DIRECTORY
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 \
        -addext subjectAltName=IP:127.0.0.1 -keyout "$1/key.pem" \
        -out "$1/cert.pem" >"$work/openssl" 2>&1 \
        || fail "no certificate" "$work/openssl"
    cat "$1/cert.pem" "$1/key.pem" >"$1/both.pem"
    chmod 644 "$1"/*.pem
}

# Eight connections at once; every answer has status 200 and the same length.
http_load() { # URL REQUESTS [OPTION OF AB...]
    url=$1
    wanted=$2
    shift 2
    # So few connections that apache's threads suffice: else it closes some that
    # are kept alive, and ab counts that as a failure.
    client ab -q -n "$wanted" -c 8 "$@" "$url"
    completed=$(sed -n 's/^Complete requests: *//p' "$logs/client")
    failed=$(sed -n 's/^Failed requests: *//p' "$logs/client")
    bad=$(sed -n 's/^Non-2xx responses: *//p' "$logs/client")
    if [ "$completed" != "$wanted" ] || [ "$failed" != 0 ] \
        || [ -n "$bad" ]; then
        why=$(sed -n 's/^ *(\(Connect: .*\))$/\1/p' "$logs/client")
        fail "$url: $completed of $wanted done, $failed failed: $why"
    fi
    done_requests "$completed"
}

# Every answer is compared with the file that was asked for, byte for byte, by
# its SHA-256; curl undoes the compression. A base is a URL up to the name.
http_compare() { # DIRECTORY ROUNDS BASE...
    from=$1
    rounds=$2
    shift 2
    rm -rf "$work/answers" "$work/urls" "$work/sums"
    mkdir "$work/answers"
    number=0
    for base in "$@"; do
        for file in $http_files; do
            sum=$(sha256sum <"$from/$file" | cut -d ' ' -f 1)
            for _ in $(seq "$rounds"); do
                number=$((number + 1))
                answer=$work/answers/$number
                # An empty answer leaves no file.
                : >"$answer"
                printf 'url = "%s%s"\noutput = "%s"\n' "$base" "$file" \
                    "$answer" >>"$work/urls"
                echo "$sum  $answer" >>"$work/sums"
            done
        done
    done
    client curl -sS --fail --compressed --insecure --parallel \
        --parallel-max 16 -K "$work/urls"
    sha256sum --quiet -c "$work/sums" >"$logs/compare" 2>&1 \
        || fail "an answer is not what the file is" "$logs/compare"
    done_requests "$number"
}

# A file that is asked for compressed comes so, and unpacks to itself.
http_gzip() { # DIRECTORY BASE FILE
    client curl -sS --fail --insecure -H 'Accept-Encoding: gzip' \
        -D "$work/head" -o "$work/packed" "$2$3"
    grep -qi '^content-encoding: gzip' "$work/head" \
        || fail "$3 did not come compressed" "$work/head"
    gzip -dc "$work/packed" >"$work/unpacked"
    same "$work/unpacked" "$1/$3"
}

# A web server that is not under test, for those that need another one: serves
# the files, and PHP if told where.
http_origin() { # DIRECTORY [FASTCGI-ADDRESS]; sets origin to its URL
    free_port
    origin=http://127.0.0.1:$port/
    mkdir -m 777 "$work/origin"
    cat >"$work/origin/nginx.conf" <<END
user www-data;
daemon off;
worker_processes 1;
pid $work/origin/pid;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $work/origin;
    proxy_temp_path $work/origin;
    fastcgi_temp_path $work/origin;
    uwsgi_temp_path $work/origin;
    scgi_temp_path $work/origin;
    server {
        listen 127.0.0.1:$port;
        root $1;
        expires 1h;
${2:+        location ~ [.]php\$ { include /etc/nginx/fastcgi.conf; fastcgi_pass $2; \}}
    }
}
END
    assist nginx -c "$work/origin/nginx.conf" -e "$logs/origin"
    await "the origin" curl -sf -m 5 "${origin}small.txt"
}
