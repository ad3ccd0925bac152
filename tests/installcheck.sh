#!/bin/sh
# SPDX-License-Identifier: MIT
#
# make installcheck: programs built by somebody else's rules, that is with
# pkg-config, against the installed tree; shared and static, C and C++. Then
# a shell that runs on the installed library.
set -eu

module=${MERLON_MODULE:?run me with make installcheck}
: "${host:?}" "${libdir:?}" "${includedir:?}" "${pkgconfigdir:?}"
work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

stage=${DESTDIR:-}
PKG_CONFIG_PATH=$stage$pkgconfigdir${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH
config() {
    if [ -n "$stage" ]; then
        set -- --define-variable=libdir="$stage$libdir" \
            --define-variable=includedir="$stage$includedir" "$@"
    fi
    $PKG_CONFIG "$@" "$module"
}

cat >"$work/program.c" <<'END'
#include <merlon/merlon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What merlon says that it has given out. */
static size_t served(void)
{
    struct merlon_mallinfo2 info = merlon_mallinfo2();

    return info.uordblks + info.hblkhd;
}

int main(void)
{
    char *volatile proof[100];
    size_t before = served();

    for (int i = 0; i < 100; i++)
        if ((proof[i] = malloc(1000)) == NULL)
            return 1;
    if (served() - before < 100 * 1000) {
        fputs("malloc is not merlon's\n", stderr);
        return 1;
    }
    for (int i = 0; i < 100; i++)
        free(proof[i]);
    /* Both sets of names serve one heap. */
    char *p = malloc(100);
    char *q = merlon_calloc(10, 10);
    char *s = strdup("text");
    if (p == NULL || q == NULL || s == NULL || q[99] != 0)
        return 1;
    memset(p, 1, 100);
    p = realloc(p, 100000);
    if (p == NULL || p[99] != 1)
        return 1;
    merlon_free(p);
    free(q);
    merlon_free(s);
    return puts(merlon_version()) < 0;
}
END
cat >"$work/program.cc" <<'END'
#include <merlon/merlon.h>
#include <cstdio>
#include <memory>
#include <new>
#include <string>
#include <vector>

static size_t served()
{
    struct merlon_mallinfo2 info = merlon_mallinfo2();

    return info.uordblks + info.hblkhd;
}

int main()
{
    std::vector<std::string> texts;
    size_t before = served();
    for (int i = 0; i < 1000; i++)
        texts.push_back(std::string(static_cast<size_t>(i), 'x'));
    if (served() - before < 400000) {
        std::fputs("operator new is not merlon's\n", stderr);
        return 1;
    }
    std::unique_ptr<int> p(new int(3));
    merlon_free(p.release());
    volatile size_t too_much = static_cast<size_t>(-1) / 4;
    try {
        char *volatile far = new char[too_much];
        delete[] far;
        return 1;
    } catch (const std::bad_alloc &) {
        return texts[999].size() != 999;
    }
}
END
cat >"$work/replaces.cc" <<'END'
/* A program with operators of its own links with the static library too. */
#include <merlon/merlon.h>
#include <new>

static int calls;
void *operator new(size_t bytes)
{
    calls++;
    return merlon_malloc(bytes);
}
void operator delete(void *p) noexcept
{
    merlon_free(p);
}
void operator delete(void *p, size_t) noexcept
{
    merlon_free(p);
}
int main()
{
    int *volatile p = new int(1);
    delete p;
    return calls != 1;
}
END

# The machine may not run what it builds.
can_run() {
    [ -n "${EMULATOR:-}" ] || "$1" >/dev/null 2>&1
}
printf 'int main(void)\n{\n    return 0;\n}\n' >"$work/empty.c"
$CC -o "$work/empty" "$work/empty.c"
if can_run "$work/empty"; then
    runs=yes
else
    runs=no
    echo "installcheck: programs for $host do not run here; building only"
fi

try() { # NAME COMMAND-THAT-BUILDS...
    name=$1
    shift
    if ! "$@" -o "$work/out"; then
        echo "installcheck: $name: does not build: $*" >&2
        exit 1
    fi
    if [ $runs = no ]; then
        echo "installcheck: $name: built"
        return 0
    fi
    # shellcheck disable=SC2086 # EMULATOR may be several words
    if ! LD_LIBRARY_PATH="$stage$libdir" ${EMULATOR:-} "$work/out" \
        >"$work/log" 2>&1; then
        cat "$work/log" >&2
        echo "installcheck: $name: fails" >&2
        exit 1
    fi
    echo "installcheck: $name: runs"
}

cflags=$(config --cflags)
shared=$(config --libs)
static=$(config --static --libs)
# shellcheck disable=SC2086 # lists of words
{
    try 'C, shared' $CC $cflags "$work/program.c" $shared
    try 'C, static' $CC -static $cflags "$work/program.c" $static
    if [ "${CXX_WORKS:-no}" = yes ]; then
        try 'C++, shared' $CXX $cflags "$work/program.cc" $shared
        try 'C++, static' $CXX -static $cflags "$work/program.cc" $static
        try 'C++ with own operators, shared' \
            $CXX $cflags "$work/replaces.cc" $shared
        try 'C++ with own operators, static' \
            $CXX -static $cflags "$work/replaces.cc" $static
    else
        echo "installcheck: no C++ compiler, C++ is not tried"
    fi
}

library=$stage$libdir/lib$module.so
if [ $runs = yes ] && [ -z "${EMULATOR:-}" ] && [ "${host%%-*}" = "$(uname -m)" ]
then
    LD_PRELOAD=$library sh -c '
        grep -q "/lib$1\.so" "/proc/$$/maps" || exit 1
        x=; i=0
        while [ $i -lt 1000 ]; do x=$x$i; i=$((i + 1)); done
        [ ${#x} -eq 2890 ]' sh "$module" || {
        echo "installcheck: a shell does not run on $library" >&2
        exit 1
    }
    echo "installcheck: a shell runs on $library"

    # merlon-run finds the library that was installed with it.
    run=$stage${bindir:?}/merlon-run
    set -- --variant "${MERLON_VARIANT:?}"
    [ -z "$stage" ] || set -- --library "$library"
    # shellcheck disable=SC2016 # the shell that is started expands it
    if ! "$run" "$@" --check sh \
        || ! "$run" "$@" sh -c 'exec "$0" "$$" >/dev/null' \
            "$stage$bindir/merlon-stat"; then
        echo "installcheck: merlon-run and merlon-stat do not work" >&2
        exit 1
    fi
fi
for file in man1/merlon-run.1 man1/merlon-stat.1 man3/merlon.3 \
    man5/merlon.conf.5 man7/merlon.7; do
    [ -f "$stage${mandir:?}/$file" ] || {
        echo "installcheck: there is no $mandir/$file" >&2
        exit 1
    }
done
