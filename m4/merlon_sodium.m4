# SPDX-License-Identifier: MIT
#
# libsodium is the only source of randomness. The shared library carries its
# own copy with hidden symbols, so that no program can put something else in
# its place; --with-shared-sodium is for distributions that forbid this.

# MERLON_PKG_CONFIG
# -----------------
# Find pkg-config. In a cross build without a pkg-config of the target's name,
# point the ordinary one at the target's directory of a Debian multiarch system.
AC_DEFUN([MERLON_PKG_CONFIG], [
m4_ifndef([PKG_PROG_PKG_CONFIG],
    [m4_fatal([pkg.m4 is missing: install the Debian package pkg-config])])dnl
m4_pattern_forbid([^PKG_PROG_PKG_CONFIG$])dnl
PKG_PROG_PKG_CONFIG([0.25])
AS_IF([test -z "$PKG_CONFIG"],
    [AC_MSG_ERROR([pkg-config is missing: install the Debian package pkg-config (or pkgconf), or set PKG_CONFIG])])
AS_IF([test "$host" != "$build" && test -z "$PKG_CONFIG_LIBDIR$PKG_CONFIG_PATH"],
    [AS_CASE([$PKG_CONFIG], [*${host_alias}-pkg*], [],
        [merlon_multiarch=`$CC -print-multiarch 2>/dev/null`
         AS_IF([test -d "/usr/lib/$merlon_multiarch/pkgconfig" &&
                test -n "$merlon_multiarch"],
             [PKG_CONFIG_LIBDIR=/usr/lib/$merlon_multiarch/pkgconfig:/usr/share/pkgconfig
              export PKG_CONFIG_LIBDIR
              AC_MSG_NOTICE([pkg-config looks in $PKG_CONFIG_LIBDIR])])])])
])

# MERLON_SODIUM_ARCHIVE_USABLE(ARCHIVE, IF-YES, IF-NO)
# ----------------------------------------------------
# Can a shared object take ARCHIVE in, and hide every name of it?
AC_DEFUN([MERLON_SODIUM_ARCHIVE_USABLE], [
AC_MSG_CHECKING([whether a shared object can hide $1])
merlon_saved_CFLAGS=$CFLAGS merlon_saved_LDFLAGS=$LDFLAGS merlon_saved_LIBS=$LIBS
CFLAGS="$CFLAGS -fPIC $SODIUM_CFLAGS"
LDFLAGS="$LDFLAGS -shared -Wl,-z,defs -Wl,-z,text -Wl,--exclude-libs,libsodium.a"
LIBS="$1"
merlon_usable=no
AC_LINK_IFELSE([AC_LANG_SOURCE([[
#include <sodium.h>
int probe(unsigned char *key, unsigned char *out);
int probe(unsigned char *key, unsigned char *out)
{
    randombytes_buf(key, crypto_stream_chacha20_KEYBYTES);
    crypto_stream_chacha20(out, 64, key, key);
    return sodium_init();
}
]])],
    [AS_IF([$NM -D conftest$EXEEXT 2>/dev/null |
            grep -E ' (sodium_|randombytes|crypto_)' >/dev/null],
         [], [merlon_usable=yes])])
CFLAGS=$merlon_saved_CFLAGS LDFLAGS=$merlon_saved_LDFLAGS LIBS=$merlon_saved_LIBS
AC_MSG_RESULT([$merlon_usable])
AS_IF([test $merlon_usable = yes], [$2], [$3])
])

# MERLON_SODIUM
# -------------
# Sets SODIUM_CFLAGS; MERLON_SODIUM_SHLIB, what the shared library is linked
# with; MERLON_SODIUM_PROG, what programs that hold the core are linked with
# (an archive must come after the core there); merlon_sodium: static or shared.
AC_DEFUN([MERLON_SODIUM], [
AC_ARG_WITH([shared-sodium],
    [AS_HELP_STRING([--with-shared-sodium],
        [depend on libsodium.so instead of carrying a hidden copy of libsodium.a (default: the copy, if libsodium.a can be linked into a shared object)])],
    [], [with_shared_sodium=auto])
AS_CASE([$with_shared_sodium], [yes|no|auto], [],
    [AC_MSG_ERROR([--with-shared-sodium takes yes or no, not "$with_shared_sodium"])])

PKG_CHECK_MODULES([SODIUM], [libsodium >= 1.0.18], [],
    [AC_MSG_ERROR([libsodium >= 1.0.18 was not found by $PKG_CONFIG: install the Debian package libsodium-dev (for the host $host), or set PKG_CONFIG_PATH])])

merlon_sodium=shared
merlon_sodium_note=
AS_IF([test "$with_shared_sodium" != yes],
    [merlon_archive=`$PKG_CONFIG --variable=libdir libsodium`/libsodium.a
     AS_IF([test -f "$merlon_archive"],
         [MERLON_SODIUM_ARCHIVE_USABLE([$merlon_archive],
             [merlon_sodium=static],
             [merlon_sodium_note=" ($merlon_archive cannot be linked into a shared object)"])],
         [merlon_sodium_note=" (there is no $merlon_archive)"])
     AS_IF([test "$with_shared_sodium$merlon_sodium" = noshared],
         [AC_MSG_ERROR([--without-shared-sodium is impossible$merlon_sodium_note: install libsodium-dev with libsodium.a])])])

AS_IF([test $merlon_sodium = static],
    [MERLON_SODIUM_SHLIB="-Wl,--exclude-libs,libsodium.a -Wl,$merlon_archive"
     MERLON_SODIUM_PROG=$merlon_archive
     AS_VAR_APPEND([merlon_same_switches], [" --without-shared-sodium"])],
    [MERLON_SODIUM_SHLIB=$SODIUM_LIBS
     MERLON_SODIUM_PROG=$SODIUM_LIBS
     AS_VAR_APPEND([merlon_same_switches], [" --with-shared-sodium"])])
AC_SUBST([MERLON_SODIUM_SHLIB])
AC_SUBST([MERLON_SODIUM_PROG])
AC_SUBST([MERLON_SODIUM], [$merlon_sodium])
])
