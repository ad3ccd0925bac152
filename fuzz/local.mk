# SPDX-License-Identifier: MIT
#
# Fuzz targets. With clang (conditional LIBFUZZER) they use libFuzzer, else
# they replay files. The core has its instrumentation already (MERLON_CFLAGS).
#
#   if FUZZING
#   noinst_PROGRAMS = fuzz/fuzz_api
#   fuzz_fuzz_api_SOURCES = fuzz/fuzz_api.c
#   fuzz_fuzz_api_LDADD = libmerlon-core.la $(MERLON_SODIUM_PROG)
#   if LIBFUZZER
#   fuzz_fuzz_api_LDFLAGS = -fsanitize=fuzzer
#   else
#   fuzz_fuzz_api_SOURCES += fuzz/driver.c
#   endif
#   endif
