# SPDX-License-Identifier: MIT
#
# Flags that are part of what merlon is. They live in MERLON_CFLAGS and
# MERLON_LDFLAGS; CFLAGS and LDFLAGS stay the user's, and come after ours.

AC_DEFUN([MERLON_FLAGS], [
MERLON_CFLAGS=
MERLON_LDFLAGS=

# Without these merlon would be another library: stop when one is refused.
m4_foreach_w([flag], [-std=gnu17 -fvisibility=hidden -ftls-model=initial-exec],
    [AX_CHECK_COMPILE_FLAG(flag, [AS_VAR_APPEND([MERLON_CFLAGS], [" flag"])],
        [AC_MSG_ERROR([$CC does not accept flag: merlon needs gcc >= 12 or clang >= 14])],
        [-Werror])
])

# The compiler must not reason about the functions that we are. And what a
# switch turned off nobody calls: sections of their own let the linker drop it.
AX_APPEND_COMPILE_FLAGS(m4_normalize([
    -fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc
    -fno-builtin-reallocarray -fno-builtin-free -fno-builtin-aligned_alloc
    -fno-builtin-posix_memalign -fno-builtin-memalign -fno-builtin-valloc
    -fno-builtin-pvalloc -fno-builtin-cfree -fno-builtin-malloc_usable_size
    -fno-builtin-free_sized -fno-builtin-free_aligned_sized
    -fno-plt -fno-semantic-interposition -fno-exceptions
    -ffunction-sections -fdata-sections]),
    [MERLON_CFLAGS], [-Werror])
AS_CASE([$host_cpu], [x86_64|i?86],
    [AX_APPEND_COMPILE_FLAGS([-fcf-protection], [MERLON_CFLAGS], [-Werror])])
# On i386 gcc warns of vectors passed without SSE. Ours only go into functions
# that are always inlined: no ABI is at stake.
AS_CASE([$host_cpu], [i?86],
    [AX_APPEND_COMPILE_FLAGS([-Wno-psabi], [MERLON_CFLAGS], [-Werror])])
AX_APPEND_COMPILE_FLAGS(
    [-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes],
    [MERLON_CFLAGS], [-Werror])

AX_APPEND_LINK_FLAGS(m4_normalize([
    -Wl,-z,relro -Wl,-z,now -Wl,-z,nodelete -Wl,-z,noexecstack -Wl,-z,text
    -Wl,-z,defs -Wl,--as-needed -Wl,--gc-sections]), [MERLON_LDFLAGS])
# What is small lies together behind what is large: fewer pages are touched at
# start, and in every process.
AX_APPEND_LINK_FLAGS([-Wl,--sort-section=alignment], [MERLON_LDFLAGS])
# The archive of libsodium carries no CET marks: state ours for the whole.
AS_CASE([$host_cpu], [x86_64|i?86],
    [AX_CHECK_LINK_FLAG([-Wl,-z,ibt -Wl,-z,shstk -Wl,--fatal-warnings],
        [AS_VAR_APPEND([MERLON_LDFLAGS], [" -Wl,-z,ibt -Wl,-z,shstk"])],
        [AX_CHECK_LINK_FLAG([-Wl,-z,force-ibt -Wl,-z,shstk -Wl,--fatal-warnings],
            [AS_VAR_APPEND([MERLON_LDFLAGS], [" -Wl,-z,force-ibt -Wl,-z,shstk"])])])])
# Objects built with -flto must become machine code before the static library
# makes their names local.
AC_CACHE_CHECK([for -flinker-output=nolto-rel], [merlon_cv_nolto_rel], [
merlon_cv_nolto_rel=no
AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
    [AS_IF([$CC $CFLAGS -r -nostdlib -flinker-output=nolto-rel \
            -o conftest2.$ac_objext conftest.$ac_objext >/dev/null 2>&1],
        [merlon_cv_nolto_rel=yes])
     rm -f conftest2.$ac_objext])])
MERLON_RELOCATABLE="-r -nostdlib"
AS_IF([test $merlon_cv_nolto_rel = yes],
    [AS_VAR_APPEND([MERLON_RELOCATABLE], [" -flinker-output=nolto-rel"])])
AC_SUBST([MERLON_CFLAGS])
AC_SUBST([MERLON_LDFLAGS])
AC_SUBST([MERLON_RELOCATABLE])
])

# MERLON_LIBATOMIC
# ----------------
# MERLON_ATOMIC_LIBS is -latomic only where 64-bit atomics are calls.
AC_DEFUN([MERLON_LIBATOMIC], [
AC_CACHE_CHECK([what 64-bit atomics need], [merlon_cv_libatomic], [
merlon_cv_libatomic=unusable
merlon_saved_LIBS=$LIBS
for merlon_try in '' -latomic; do
    LIBS="$merlon_saved_LIBS $merlon_try"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[
#include <stdatomic.h>
#include <stdint.h>
static _Atomic uint64_t word;
]], [[
        uint64_t old = atomic_load(&word);
        atomic_fetch_add(&word, 1);
        return !atomic_compare_exchange_strong(&word, &old, 3);
]])], [merlon_cv_libatomic=${merlon_try:-nothing}])
    AS_IF([test "$merlon_cv_libatomic" != unusable], [break])
done
LIBS=$merlon_saved_LIBS])
AS_CASE([$merlon_cv_libatomic],
    [nothing], [MERLON_ATOMIC_LIBS=],
    [unusable], [AC_MSG_ERROR([64-bit atomics do not link, not even with -latomic])],
    [MERLON_ATOMIC_LIBS=$merlon_cv_libatomic])
AC_SUBST([MERLON_ATOMIC_LIBS])
])
