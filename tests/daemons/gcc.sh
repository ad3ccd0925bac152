#!/bin/sh
# SPDX-License-Identifier: MIT
#
# gcc: C and C++ compiled, linked and run; the objects are, byte for byte, those
# that gcc makes on glibc's malloc. gcc, cc1, cc1plus, as, collect2 and ld live
# shortly: each is looked at as it ends. A shell that runs what it is told
# stands for a build server; there is no unit.
. "$(dirname "$0")/lib.sh"
. "$daemons_dir/witness.sh"
needs gcc g++
end_status=143

# Many small functions, and a few large classes of the library.
write_sources() {
    awk 'BEGIN {
        print "#include <stdio.h>\n#include <string.h>"
        for (i = 0; i < 30; i++) {
            print "static int f" i "(int x, char *s)\n{"
            print "    for (int i = 0; i < x % " i + 2 "; i++)"
            print "        switch (s[i] & 7) {"
            for (j = 0; j < 7; j++)
                print "        case " j ": x += s[" j "] * " i * j "; break;"
            print "        default: memmove(s, s + 1, 8); }\n    return x;\n}"
        }
        print "int main(void)\n{\n    char s[300] = \"some text\"; int x = 7;"
        for (i = 0; i < 30; i++)
            print "    x = f" i "(x & 0xffff, s);"
        print "    printf(\"%d %s\\n\", x, s);\n}"
    }' >"$work/many.c"
    cat >"$work/large.cc" <<'END'
#include <algorithm>
#include <iostream>
#include <map>
#include <numeric>
#include <string>
#include <unordered_map>
#include <vector>
int main()
{
    std::map<std::string, std::vector<int>> words;
    std::unordered_map<int, std::string> names;
    for (int i = 0; i < 2000; i++) {
        std::string text = std::to_string(i * 7919) + "-abc";
        words[text.substr(0, 2)].push_back(i);
        names[i] = text;
    }
    long sum = 0;
    for (auto &[word, list] : words)
        sum += std::accumulate(list.begin(), list.end(), 0L) * word[0];
    std::cout << sum << ' ' << names.size() << '\n';
}
END
    cat >"$work/build.sh" <<'END'
# To be told a directory: build all there, and say when.
set -eu
cd "$(dirname "$0")"
build() {
    gcc -O2 -g -c -o "$1/many.o" many.c
    g++ -O1 -g -c -o "$1/large.o" large.cc
    gcc -o "$1/many" "$1/many.o"
    g++ -o "$1/large" "$1/large.o"
    "$1/many" >"$1/out"
    "$1/large" >>"$1/out"
}
if [ $# -gt 0 ]; then
    build "$1"
    exit
fi
while :; do
    read -r directory <requests
    status=0
    (build "$directory") || status=$?
    echo "$status" >"$directory/status"
done
END
}

prepare() {
    write_sources
    mkfifo "$work/requests"
    mkdir "$work/plain"
    client sh "$work/build.sh" plain
    number=0
}

start() {
    launch sh "$work/build.sh"
}

compare_build() { # DIRECTORY
    for file in many.o large.o many large out; do
        same "$work/$1/$file" "$work/plain/$file"
    done
}

build() {
    number=$((number + 1))
    mkdir "$work/build.$number"
    echo "build.$number" >"$work/requests"
    await "a build" test -s "$work/build.$number/status"
    [ "$(cat "$work/build.$number/status")" -eq 0 ] || fail "a build failed"
    compare_build "build.$number"
    done_requests 4
}

exercise() {
    build
    [ ! -d "$work/witnessed" ] || return 0
    mkdir "$work/witnessed"
    witness 12 sh "$work/build.sh" witnessed
    compare_build witnessed
}

load() {
    for _ in $(seq "$(scaled 1)"); do
        build
    done
}

live "$@"
