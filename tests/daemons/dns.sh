# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154,SC2034
#
# dns.sh - what the name servers share: a zone of many names, the answers that
# it stands for, a comparison of every one, a load of queries. Read after
# lib.sh.

dns_names=2000

# The zone example.test: $work/zone, the names $work/names, what dig prints for
# them $work/answers, and queries for dnsperf $work/queries.
make_zone() {
    awk -v names=$dns_names -v work="$work" 'BEGIN {
        zone = work "/zone"
        print "$TTL 300" >zone
        print "@ IN SOA ns root 1 3600 600 86400 60" >zone
        print " IN NS ns" >zone
        print "ns IN A 127.0.0.1" >zone
        for (i = 1; i <= names; i++) {
            name = "h" i ".example.test."
            type = i % 4 ? "A" : "TXT"
            data = "127." i % 7 "." int(i / 256) "." i % 256
            if (type == "TXT") {
                data = "\""
                for (j = 0; j < i % 60; j++)
                    data = data "text"
                data = data "\""
            }
            print name, "IN", type, data >zone
            print name, type >(work "/names")
            print name, type >(work "/queries")
            print name, "IN", type, data >(work "/answers.unsorted")
        }
    }'
    sort "$work/answers.unsorted" >"$work/answers"
}

# Every name is asked for, and every answer compared.
dns_compare() { # PORT
    client dig "@127.0.0.1" -p "$1" +noall +answer +nottlid -f "$work/names"
    tr -s '\t ' ' ' <"$logs/client" | sort >"$work/answered"
    same "$work/answered" "$work/answers"
    done_requests "$dns_names"
}

# One name, one answer: now, or in a while.
dns_says() { # PORT NAME TYPE ANSWER
    [ "$(dig "@127.0.0.1" -p "$1" +short +time=1 +tries=1 "$2" "$3")" = "$4" ]
}

# All the queries so many times over; every one has an answer without error.
dns_load() { # PORT TIMES
    client dnsperf -s 127.0.0.1 -p "$1" -d "$work/queries" -n "$2" -q 64
    grep -q 'Response codes: *NOERROR [0-9]* (100.00%)' "$logs/client" \
        || fail "dnsperf had errors" "$logs/client"
    grep -q 'Queries completed: .*(100.00%)' "$logs/client" \
        || fail "dnsperf lost queries" "$logs/client"
    done_requests $((dns_names * $2))
}
