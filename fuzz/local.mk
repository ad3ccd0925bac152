# SPDX-License-Identifier: MIT
#
# Fuzz targets: one program for each drive of tests/support/drives.h, with
# --enable-fuzzing and a compiler that has -fsanitize=fuzzer (clang: libFuzzer;
# afl-clang-fast: AFL++, persistent). How to run them: fuzz/README.md.
#
# fuzz/replay needs neither. make check builds it and has it run the seeds
# (tests/seeds.sh); make fuzz/replay builds it alone.

EXTRA_LTLIBRARIES = libdrive.la
CLEANFILES += libdrive.la
libdrive_la_SOURCES = $(drive_sources)

fuzz_ldadd = libdrive.la libmerlon-core.la $(MERLON_SODIUM_PROG) \
	$(MERLON_ATOMIC_LIBS)

EXTRA_PROGRAMS = fuzz/replay
fuzz_replay_LDFLAGS = $(drive_ldflags)
fuzz_replay_LDADD = $(fuzz_ldadd)

fuzz_targets = fuzz/fuzz_api fuzz/fuzz_heaps fuzz/fuzz_corrupt \
	fuzz/fuzz_sizes fuzz/fuzz_options fuzz/fuzz_backend fuzz/fuzz_ends
fuzz_ldflags = $(drive_ldflags) -fsanitize=fuzzer

if LIBFUZZER
noinst_PROGRAMS = $(fuzz_targets)
endif
fuzz_fuzz_api_SOURCES = fuzz/target.c
fuzz_fuzz_api_CPPFLAGS = $(AM_CPPFLAGS) -DDRIVE=drive_api
fuzz_fuzz_api_LDFLAGS = $(fuzz_ldflags)
fuzz_fuzz_api_LDADD = $(fuzz_ldadd)
fuzz_fuzz_heaps_SOURCES = fuzz/target.c
fuzz_fuzz_heaps_CPPFLAGS = $(AM_CPPFLAGS) -DDRIVE=drive_heaps
fuzz_fuzz_heaps_LDFLAGS = $(fuzz_ldflags)
fuzz_fuzz_heaps_LDADD = $(fuzz_ldadd)
fuzz_fuzz_corrupt_SOURCES = fuzz/target.c
fuzz_fuzz_corrupt_CPPFLAGS = $(AM_CPPFLAGS) -DDRIVE=drive_corrupt
fuzz_fuzz_corrupt_LDFLAGS = $(fuzz_ldflags)
fuzz_fuzz_corrupt_LDADD = $(fuzz_ldadd)
fuzz_fuzz_sizes_SOURCES = fuzz/target.c
fuzz_fuzz_sizes_CPPFLAGS = $(AM_CPPFLAGS) -DDRIVE=drive_sizes
fuzz_fuzz_sizes_LDFLAGS = $(fuzz_ldflags)
fuzz_fuzz_sizes_LDADD = $(fuzz_ldadd)
fuzz_fuzz_options_SOURCES = fuzz/target.c
fuzz_fuzz_options_CPPFLAGS = $(AM_CPPFLAGS) -DDRIVE=drive_options
fuzz_fuzz_options_LDFLAGS = $(fuzz_ldflags)
fuzz_fuzz_options_LDADD = $(fuzz_ldadd)
fuzz_fuzz_backend_SOURCES = fuzz/target.c
fuzz_fuzz_backend_CPPFLAGS = $(AM_CPPFLAGS) -DDRIVE=drive_backend
fuzz_fuzz_backend_LDFLAGS = $(fuzz_ldflags)
fuzz_fuzz_backend_LDADD = $(fuzz_ldadd)
fuzz_fuzz_ends_SOURCES = fuzz/target.c
fuzz_fuzz_ends_CPPFLAGS = $(AM_CPPFLAGS) -DDRIVE=drive_ends
fuzz_fuzz_ends_LDFLAGS = $(fuzz_ldflags)
fuzz_fuzz_ends_LDADD = $(fuzz_ldadd)

EXTRA_DIST += fuzz/README.md

# Which lines of src/ the seeds run.
fuzz-coverage:
	AWK='$(AWK)' $(srcdir)/tools/fuzz-coverage
.PHONY: fuzz-coverage
