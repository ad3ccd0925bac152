# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# shellcheck disable=SC2154 # work and logs are of lib.sh
#
# http.sh - what the web servers share: files of several kinds, a load of
# requests, and a comparison of every answer with its file. Read after lib.sh.

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
        -out "$1/cert.pem" >"$logs/openssl" 2>&1 \
        || fail "no certificate" "$logs/openssl"
    cat "$1/cert.pem" "$1/key.pem" >"$1/both.pem"
    chmod 644 "$1"/*.pem
}

# Many connections at once; every answer has status 200 and the same length.
http_load() { # URL REQUESTS [OPTION OF AB...]
    url=$1
    wanted=$2
    shift 2
    client ab -q -n "$wanted" -c 16 "$@" "$url"
    completed=$(sed -n 's/^Complete requests: *//p' "$logs/client")
    failed=$(sed -n 's/^Failed requests: *//p' "$logs/client")
    bad=$(sed -n 's/^Non-2xx responses: *//p' "$logs/client")
    if [ "$completed" != "$wanted" ] || [ "$failed" != 0 ] \
        || [ -n "$bad" ]; then
        fail "$url: $completed of $wanted done, $failed failed" "$logs/client"
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
