# SPDX-License-Identifier: MIT
#
# How to add a test
#
# A program of Check for a module: write tests/check_MODULE.c and add
# tests/check_MODULE to check_modules. It is linked with the core library
# (hidden functions are within reach; malloc is the C library's) and with
# tests/support. #include "slab.h" finds src/slab.h.
#
# A script: write tests/NAME.sh (exit 0 passed, 77 skipped, anything else
# failed), make it executable, add it to one of three lists: check_scripts
# looks at the sources; library_scripts looks at the built library, $MERLON_LIB;
# preload_scripts runs it, which a cross build leaves out. A script starts in the
# build directory; AM_TESTS_ENVIRONMENT below lists what it may rely on.
#
# A program that a script runs: add it to check_helpers, and two lines
#   tests_NAME_SOURCES = tests/NAME.c
#   tests_NAME_LDADD =
# Without the LDADD line it gets the core library and Check. fuzz/replay is one.
#
# Other files that tests read: add them to check_files. The directories in
# check_directories go into the tarball as they are.
#
# make check TESTS='tests/check_slab tests/lint.sh'   runs some of them
# make check VERBOSE=1                                 shows what failed
# make check LOG_COMPILER='qemu-aarch64-static'        or --with-emulator

# libmerlon-fuzz takes memory that tests/check_threads would not allow.
if FUZZ_ALLOCATOR
check_modules = \
	tests/check_bits \
	tests/check_calloc \
	tests/check_compat \
	tests/check_death \
	tests/check_entropy \
	tests/check_fork \
	tests/check_fuzz_options \
	tests/check_fuzz_place \
	tests/check_malloc \
	tests/check_memalign \
	tests/check_model \
	tests/check_options \
	tests/check_overwrite \
	tests/check_pointers \
	tests/check_report \
	tests/check_stack
else
check_modules = \
	tests/check_arena \
	tests/check_attacks \
	tests/check_bits \
	tests/check_burial \
	tests/check_calloc \
	tests/check_canary \
	tests/check_compat \
	tests/check_conf \
	tests/check_corrupt \
	tests/check_death \
	tests/check_die \
	tests/check_drives \
	tests/check_entropy \
	tests/check_exact \
	tests/check_fatal \
	tests/check_faults \
	tests/check_fork \
	tests/check_granules \
	tests/check_heap \
	tests/check_inbox \
	tests/check_link \
	tests/check_mail \
	tests/check_malloc \
	tests/check_memalign \
	tests/check_model \
	tests/check_options \
	tests/check_orders \
	tests/check_overwrite \
	tests/check_pointers \
	tests/check_pool \
	tests/check_report \
	tests/check_ring \
	tests/check_sandbox \
	tests/check_sample \
	tests/check_scrub \
	tests/check_sealed \
	tests/check_sender \
	tests/check_sizeclass \
	tests/check_slab \
	tests/check_sleep \
	tests/check_space \
	tests/check_span \
	tests/check_stack \
	tests/check_threads \
	tests/check_window \
	tests/properties/properties \
	tests/stress/stopped \
	tests/stress/stress
endif

check_scripts = \
	tests/apparmor.sh \
	tests/lint.sh \
	tests/check_floors_selftest.sh \
	tests/emptied.sh \
	tests/manuals.sh \
	tests/switches.sh \
	tests/units.sh

library_scripts = \
	tests/library.sh

if FUZZ_ALLOCATOR
preload_scripts = \
	tests/cxx.sh \
	tests/dlopen.sh \
	tests/fuzzalloc.sh \
	tests/fuzzexample.sh \
	tests/integration/preload_programs.sh
else
preload_scripts = \
	tests/address.sh \
	tests/conf.sh \
	tests/backtrace.sh \
	tests/costs.sh \
	tests/cxx.sh \
	tests/dlopen.sh \
	tests/integration/limits.sh \
	tests/integration/preload_programs.sh \
	tests/integration/preload_smoke.sh \
	tests/manners.sh \
	tests/own.sh \
	tests/run.sh \
	tests/stat.sh \
	tests/statistics.sh
endif

# The drives know floors that libmerlon-fuzz has not.
if !FUZZ_ALLOCATOR
check_scripts += tests/seeds.sh
check_helpers = fuzz/replay
endif

# Scripts of one variant go into the tarball of every one.
check_files = \
	tests/attacks.sh tests/installcheck.sh tests/fuzzalloc.sh \
	tests/fuzzexample.sh tests/costs.sh \
	tests/integration/preload_smoke.sh tests/seeds.sh tests/stat.sh

check_directories = fuzz/seeds tests/alarms tests/attacks tests/costs tests/cxx \
	tests/daemons tests/emptied tests/fuzzalloc fuzz/examples \
	tests/integration tests/manners tests/models tests/musl tests/own \
	tests/properties tests/stress tests/support

support_sources = \
	tests/support/block.h \
	tests/support/crime.c tests/support/crime.h \
	tests/support/death.c tests/support/death.h \
	tests/support/pattern.h \
	tests/support/sandbox.c tests/support/sandbox.h \
	tests/support/suite.c tests/support/suite.h \
	tests/support/workload.c tests/support/workload.h

# What feeds drive, for tests and for fuzz/ alike: without Check. Who links it
# needs drive_ldflags, see tests/support/fault.h.
drive_sources = \
	tests/support/drive_backend.c tests/support/drive_fresh.c \
	tests/support/drive_values.c \
	tests/support/drives.c tests/support/drives.h \
	tests/support/fault.c tests/support/fault.h tests/support/feed.h \
	tests/support/machine.c tests/support/machine.h \
	tests/support/machine_crime.c tests/support/machine_process.c \
	tests/support/pattern.h \
	tests/support/shadow.c tests/support/shadow.h
drive_ldflags = $(AM_LDFLAGS) -Wl,--wrap=syscall -Wl,--wrap=clock_gettime \
	-Wl,-u,__wrap_syscall
drive_ldadd = libdrive.la $(LDADD)

tests_check_corrupt_LDFLAGS = $(drive_ldflags)
tests_check_corrupt_LDADD = $(drive_ldadd)
tests_check_drives_LDFLAGS = $(drive_ldflags)
tests_check_drives_LDADD = $(drive_ldadd)
tests_check_faults_LDFLAGS = $(drive_ldflags)
tests_check_faults_LDADD = $(drive_ldadd)

# ------------------------------------------------------------- the machinery

if HAVE_CHECK
check_LTLIBRARIES = tests/libsupport.la
tests_libsupport_la_SOURCES = $(support_sources)
check_PROGRAMS = $(check_modules) $(check_helpers)
else
# Without Check nothing is tested, and that must not look like success.
check_DATA = check-is-missing
endif

LDADD = tests/libsupport.la libmerlon-core.la $(MERLON_SODIUM_PROG) \
	$(MERLON_ATOMIC_LIBS) $(CHECK_LIBS)

tests_properties_properties_SOURCES = \
	tests/properties/canaries.c \
	tests/properties/layout.c \
	tests/properties/leaks.c \
	tests/properties/properties.c tests/properties/properties.h \
	tests/properties/race.c \
	tests/properties/reuse.c

tests_stress_stopped_SOURCES = tests/stress/stopped.c tests/stress/stopped.h \
	tests/stress/stopped_child.c

# Call stacks are found by frame pointers.
tests_check_sample_CFLAGS = $(AM_CFLAGS) -fno-omit-frame-pointer
tests_check_stack_CFLAGS = $(AM_CFLAGS) -fno-omit-frame-pointer

TESTS = $(check_modules) $(check_scripts)
if SHIPPED
TESTS += $(library_scripts)
if NATIVE
TESTS += $(preload_scripts)
endif
endif
TEST_EXTENSIONS = .sh
LOG_COMPILER = $(EMULATOR)
SH_LOG_COMPILER = $(SHELL)

AM_TESTS_ENVIRONMENT = \
	abs_top_srcdir='$(abs_top_srcdir)'; export abs_top_srcdir; \
	abs_top_builddir='$(abs_top_builddir)'; export abs_top_builddir; \
	MERLON_VARIANT='$(MERLON_VARIANT)'; export MERLON_VARIANT; \
	MERLON_MODULE='$(MERLON_MODULE)'; export MERLON_MODULE; \
	MERLON_LIB='$(abs_top_builddir)/.libs/lib$(MERLON_MODULE).so'; \
	export MERLON_LIB; \
	MERLON_SODIUM='$(MERLON_SODIUM)'; export MERLON_SODIUM; \
	MERLON_SWITCHES='$(MERLON_SAME_SWITCHES)'; export MERLON_SWITCHES; \
	EMULATOR='$(EMULATOR)'; export EMULATOR; \
	sysconfdir='$(sysconfdir)'; export sysconfdir; \
	host='$(host)'; build='$(build)'; export host build; \
	CC='$(CC)'; export CC; CXX='$(CXX)'; export CXX; \
	CXX_WORKS='$(CXX_WORKS)'; export CXX_WORKS; \
	AWK='$(AWK)'; export AWK; NM='$(NM)'; export NM; \
	OBJDUMP='$(OBJDUMP)'; export OBJDUMP; \
	READELF='$(READELF)'; export READELF; \
	PKG_CONFIG='$(PKG_CONFIG)'; export PKG_CONFIG; \
	PKG_CONFIG_LIBDIR='$(PKG_CONFIG_LIBDIR)'; \
	test -z "$$PKG_CONFIG_LIBDIR" || export PKG_CONFIG_LIBDIR; \
	CK_TIMEOUT_MULTIPLIER=$${CK_TIMEOUT_MULTIPLIER-$(TIMEOUT_MULTIPLIER)}; \
	export CK_TIMEOUT_MULTIPLIER;

EXTRA_DIST += $(check_scripts) $(library_scripts) $(preload_scripts) \
	$(check_files)

# Models of the protocols, and that their checks can fail: a minute or two.
check-models:
	CC='$(CC)' CXX='$(CXX)' $(SHELL) $(srcdir)/tests/models/run
.PHONY: check-models

.PHONY: check-daemons check-is-missing
check-is-missing:
	@echo "make check needs Check >= 0.15, which configure did not find:" >&2
	@echo "install the Debian package check, then run configure again" >&2
	@exit 1

# Real daemons on both variants; the other one is built below this directory.
# make check-daemons DAEMONS='--quick --only nginx'   see tests/daemons/run
DAEMONS = --compare
if SHIPPED
if NATIVE
check-daemons: all
	@case $(MERLON_VARIANT) in \
	hardened) other=fast; switch=; name=merlon ;; \
	*) other=hardened; switch=--enable-hardening; name=merlon-hardened ;; \
	esac; set -e; \
	$(MKDIR_P) daemons/$$other; \
	test -f daemons/$$other/Makefile || (cd daemons/$$other && \
	  $(abs_top_srcdir)/configure -q CC='$(CC)' CFLAGS='$(CFLAGS)' $$switch); \
	$(MAKE) -C daemons/$$other; \
	MERLON_STAT='$(abs_top_builddir)/merlon-stat'; export MERLON_STAT; \
	$(srcdir)/tests/daemons/run --out daemons $(DAEMONS) \
	  $(MERLON_VARIANT)=.libs/lib$(MERLON_MODULE).so \
	  $$other=daemons/$$other/.libs/lib$$name.so
endif
endif

# Programs against the installed tree, as somebody else would build them.
if SHIPPED
installcheck-local:
	@$(AM_TESTS_ENVIRONMENT) \
	DESTDIR='$(DESTDIR)'; libdir='$(libdir)'; \
	includedir='$(includedir)'; pkgconfigdir='$(pkgconfigdir)'; \
	bindir='$(bindir)'; mandir='$(mandir)'; \
	export DESTDIR libdir includedir pkgconfigdir bindir mandir; \
	$(SHELL) $(srcdir)/tests/installcheck.sh
endif
