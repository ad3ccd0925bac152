# SPDX-License-Identifier: MIT
#
# One mitigation, one line of configure.ac. A switch that the user names wins;
# one that he does not name follows --enable-hardening.

# MERLON_YESNO(VARIABLE, OPTION)
# ------------------------------
# Stop unless $VARIABLE is yes or no.
AC_DEFUN([MERLON_YESNO], [
AS_CASE([$$1], [yes|no], [],
    [AC_MSG_ERROR([$2 takes yes or no, not "$$1"])])
])

# MERLON_BOOLEAN(NAME, HELP, MACRO-COMMENT)
# -----------------------------------------
# An ordinary --enable-NAME that is off by default. Sets merlon_NAME and
# defines MERLON_NAME to 0 or 1.
AC_DEFUN([MERLON_BOOLEAN], [
m4_pushdef([VAR], [m4_translit([$1], [-], [_])])dnl
AC_ARG_ENABLE([$1], [AS_HELP_STRING([--enable-$1], [$2])],
    [merlon_[]VAR=$enableval], [merlon_[]VAR=no])
MERLON_YESNO([merlon_[]VAR], [--enable-$1])
AS_IF([test "$merlon_[]VAR" = yes], [merlon_bit=1], [merlon_bit=0])
AC_DEFINE_UNQUOTED(m4_toupper([MERLON_]VAR), [$merlon_bit], [$3])
AS_VAR_APPEND([merlon_same_switches], [" --enable-$1=$merlon_[]VAR"])
m4_popdef([VAR])dnl
])

# MERLON_SWITCH(NAME, WHAT-IT-STOPS-AND-COSTS)
# --------------------------------------------
# A mitigation: help line, validation, MERLON_NAME as 0 or 1 in config.h, and a
# row of the summary. MERLON_BOOLEAN([hardening]) must come first.
AC_DEFUN([MERLON_SWITCH], [
m4_pushdef([VAR], [m4_translit([$1], [-], [_])])dnl
AC_ARG_ENABLE([$1],
    [AS_HELP_STRING([--enable-$1],
        [$2 (default: with --enable-hardening)])],
    [merlon_[]VAR=$enableval
     merlon_from_[]VAR=],
    [merlon_[]VAR=$merlon_hardening
     AS_IF([test "$merlon_hardening" = yes],
         [merlon_from_[]VAR=' (which --enable-hardening implies)'],
         [merlon_from_[]VAR=])])
MERLON_YESNO([merlon_[]VAR], [--enable-$1])
AS_IF([test "$merlon_[]VAR" = yes], [merlon_bit=1], [merlon_bit=0])
AC_DEFINE_UNQUOTED(m4_toupper([MERLON_]VAR), [$merlon_bit], [$2.])
AS_VAR_APPEND([merlon_same_switches], [" --enable-$1=$merlon_[]VAR"])
AS_VAR_APPEND([merlon_switch_rows], ["
  m4_format([%-20s], [$1]) $merlon_[]VAR"])
m4_popdef([VAR])dnl
])

# MERLON_SWITCH_NEEDS(NAME, BASE)
# -------------------------------
# Stop when NAME is on and BASE, without which it cannot work, is off.
AC_DEFUN([MERLON_SWITCH_NEEDS], [
AS_IF([test "$merlon_[]m4_translit([$1], [-], [_])" = yes &&
       test "$merlon_[]m4_translit([$2], [-], [_])" = no],
    [AC_MSG_ERROR([--enable-$1$merlon_from_[]m4_translit([$1], [-], [_]) needs --enable-$2: add --enable-$2 or --disable-$1])])
])
