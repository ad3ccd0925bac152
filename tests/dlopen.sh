#!/bin/sh
# SPDX-License-Identifier: MIT
#
# dlopen.sh - dlopen of a preloaded merlon: a module opened with RTLD_DEEPBIND
# gets merlon's malloc all the same, and searches relative to the caller
# ($ORIGIN, RUNPATH) go on working.
#
#   MERLON_LIB=/path/libmerlon.so tests/dlopen.sh
set -eu

: "${MERLON_LIB:?the library under test, as a path}"
CC=${CC:-cc}
MERLON_LIB=$(cd "$(dirname "$MERLON_LIB")" && pwd)/$(basename "$MERLON_LIB")
if [ -n "${EMULATOR:-}" ]; then
    echo "dlopen: not under an emulator" >&2
    exit 77
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/merlon-dlopen.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
cd "$work"
mkdir outer inner

# The module that PHP would load: who is its malloc?
cat >module.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
const char *module_malloc(void);
void *module_make(void);
void module_drop(void *p);
const char *module_malloc(void)
{
    Dl_info info;
    return dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) ? info.dli_fname : "";
}
void *module_make(void)
{
    return strdup("made by the module");
}
void module_drop(void *p)
{
    free(p);
}
END

# Opens inner.so by its bare name: found only by the RUNPATH of this library.
cat >outer.c <<'END'
#include <dlfcn.h>
void *outer_open(int mode);
void *outer_open(int mode)
{
    return dlopen("inner.so", mode);
}
END

cat >program.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define NEED(x) do { if (!(x)) { fprintf(stderr, "line %d: %s: %s\n", \
    __LINE__, #x, dlerror()); return 1; } } while (0)
int main(int argc, char **argv)
{
    void *deep, *outer, *(*open_inner)(int), *(*make)(void);
    const char *(*whose)(void);
    void (*drop)(void *);
    NEED(argc == 2);
    NEED(deep = dlopen("./module.so", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND));
    NEED(whose = (const char *(*)(void))dlsym(deep, "module_malloc"));
    NEED(make = (void *(*)(void))dlsym(deep, "module_make"));
    NEED(drop = (void (*)(void *))dlsym(deep, "module_drop"));
    NEED(strcmp(whose(), argv[1]) == 0);
    drop(malloc(100));
    free(make());
    NEED(outer = dlopen("./outer/outer.so", RTLD_NOW));
    NEED(open_inner = (void *(*)(int))dlsym(outer, "outer_open"));
    NEED(dlopen("inner.so", RTLD_NOW) == NULL); /* we have no RUNPATH */
    NEED(open_inner(RTLD_NOW | RTLD_DEEPBIND));
    NEED(dlopen("./none.so", RTLD_LAZY) == NULL && dlerror() != NULL);
    NEED(dlopen(NULL, RTLD_LAZY) != NULL);
    NEED(dlclose(outer) == 0);
    return 0;
}
END
echo 'int inner_here;' >inner.c

if ! $CC -O1 -g program.c -o program -ldl 2>log; then
    cat log >&2
    echo "dlopen: $CC cannot build a program" >&2
    exit 77
fi
$CC -O1 -fPIC -shared module.c -o module.so -ldl
$CC -O1 -fPIC -shared inner.c -o inner/inner.so
# shellcheck disable=SC2016 # the loader expands $ORIGIN
$CC -O1 -fPIC -shared outer.c -o outer/outer.so -ldl \
    -Wl,--enable-new-dtags,-rpath,'$ORIGIN/../inner'

if ! LD_PRELOAD=$MERLON_LIB ./program "$MERLON_LIB"; then
    echo "dlopen: failed" >&2
    exit 1
fi
echo "dlopen: all passed"
