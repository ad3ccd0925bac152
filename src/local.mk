# SPDX-License-Identifier: MIT
#
# The core, which tests link, and the library, which is the core and the names
# of others (malloc, operator new, dlopen). The list follows tools/floors.txt;
# tools/check-floors compares the two.

# libmerlon-fuzz has an object layer of its own, and shares the rest.
if FUZZ_ALLOCATOR
core_sources = \
	src/base.h src/bits.h src/policy.h \
	src/os.h src/os_linux.c src/os_limits.c src/os_fault.c src/os_fuzz.c \
	src/text.h src/text.c src/stack.h src/stack.c src/die.h src/die.c \
	src/words.h src/fuzz_options.h src/fuzz_options.c \
	src/options.h src/sealed.h src/conf.h src/conf.c src/options.c \
	src/entropy.h src/entropy.c src/trim.c \
	src/fuzz_place.h src/fuzz_place.c src/fuzz_slack.h \
	src/fuzz_report.h src/fuzz_report.c \
	src/fuzz_heap.h src/fuzz_heap.c src/fuzz_sweep.c \
	src/fuzz_process.h src/fuzz_process.c \
	src/face.h src/fuzz_fast.h src/fuzz_face.c src/memalign.c src/compat.c
else
core_sources = \
	src/base.h src/bits.h src/policy.h \
	src/os.h src/os_modules.h src/os_linux.c src/os_limits.c \
	src/os_move.c src/os_symbols.c src/os_fault.c src/text.h src/text.c \
	src/stack.h src/stack.c \
	src/die.h src/die.c \
	src/options.h src/sealed.h src/conf.h src/conf.c src/options.c \
	src/entropy.h src/entropy.c src/trim.c \
	src/sizeclass.h src/sizeclass.c src/record.h \
	src/extent.h src/granules.h src/granules.c src/layout.h src/layout.c \
	src/ring.h src/arena.h \
	src/space.h src/retire.h src/retire.c src/space.c \
	src/space_yield.c src/arena.c \
	src/link.h src/exact.h src/canary.h src/scrub.h src/order.h \
	src/guard.h src/shares.h src/slab.h src/gather.h src/quarters.c \
	src/few.c src/shares.c src/slab.c \
	src/span_cache.h src/span.h src/span.c src/sample.h src/sample.c \
	src/sender.h src/mail.h src/inbox.h src/outbox.h src/pool.h \
	src/heap.h src/heap_slabs.c src/heap_alloc.c src/heap_free.c \
	src/heap_life.c src/heap_sample.c src/heap_report.c \
	src/aside.h src/aside.c src/thread.h src/process.h src/thread.c \
	src/process.c \
	src/face.h src/fast.h src/statistics.h src/statistics.c \
	src/malloc.c src/memalign.c src/inspect.c \
	src/publish.h src/publish.c src/compat.c
endif

face_sources = src/override.c src/cxx_memory.h src/cxx.c src/dlopen.c
if !FUZZ_ALLOCATOR
face_sources += src/rlimit.c
endif

merlondir = $(includedir)/merlon
merlon_HEADERS = include/merlon/merlon.h
if FUZZ_ALLOCATOR
merlon_HEADERS += include/merlon/fuzz.h
dist_man7_MANS = doc/merlon-fuzz.7
endif

# The operator's tools. They run none of the library's code: src/publish.h is
# all that they share.
if SHIPPED
if !FUZZ_ALLOCATOR
bin_PROGRAMS = merlon-stat merlon-run
dist_pkgdata_DATA = tools/merlon-gdb.py tools/merlon-sample-gdb.py
dist_man_MANS = doc/merlon-run.1 doc/merlon-stat.1 doc/merlon.3 \
	doc/merlon.conf.5 doc/merlon.7
endif
endif
tool_sources = tools/tool.h tools/tool.c tools/elf-fields.h tools/image.h \
	tools/image.c tools/object.h tools/object.c
merlon_stat_SOURCES = $(tool_sources) src/publish.h tools/published.h \
	tools/published.c tools/figures.h tools/figures.c tools/place.h \
	tools/place.c tools/stat-print.h tools/stat-print.c \
	tools/merlon-stat.c
merlon_stat_CFLAGS = $(core_cflags)
merlon_stat_LDADD =
merlon_run_SOURCES = $(tool_sources) tools/verdict.h tools/verdict.c \
	tools/merlon-run.c
merlon_run_CFLAGS = $(core_cflags) -DMERLON_LIBDIR='"$(libdir)"' \
	-DMERLON_SO='"$(MERLON_SO)"'
merlon_run_LDADD =

noinst_LTLIBRARIES = libmerlon-core.la
libmerlon_core_la_SOURCES = $(core_sources)
libmerlon_core_la_CFLAGS = $(core_cflags)

# The tests define _GNU_SOURCE for themselves; src/ has it from here.
core_cflags = -D_GNU_SOURCE $(AM_CFLAGS)
if FUZZ_ALLOCATOR
# So that call stacks lead through our own functions to the program's.
core_cflags += -fno-omit-frame-pointer
endif

# C++ exceptions of a new-handler pass through these files, and only these.
face_cflags = $(core_cflags) -fexceptions
face_ldflags = -shared -version-info $(MERLON_ABI) \
	$(MERLON_LDFLAGS) $(MERLON_SODIUM_SHLIB)
face_libs = libmerlon-core.la $(MERLON_ATOMIC_LIBS)

if SHIPPED
if FUZZ_ALLOCATOR
lib_LTLIBRARIES = libmerlon-fuzz.la
libmerlon_fuzz_la_SOURCES = $(face_sources)
libmerlon_fuzz_la_CFLAGS = $(face_cflags) -include $(srcdir)/src/fuzz_fast.h
libmerlon_fuzz_la_LDFLAGS = $(face_ldflags)
libmerlon_fuzz_la_LIBADD = $(face_libs)
face_objects = $(libmerlon_fuzz_la_OBJECTS)
else
if HARDENING
lib_LTLIBRARIES = libmerlon-hardened.la
libmerlon_hardened_la_SOURCES = $(face_sources)
libmerlon_hardened_la_CFLAGS = $(face_cflags)
libmerlon_hardened_la_LDFLAGS = $(face_ldflags)
libmerlon_hardened_la_LIBADD = $(face_libs)
face_objects = $(libmerlon_hardened_la_OBJECTS)
else
lib_LTLIBRARIES = libmerlon.la
libmerlon_la_SOURCES = $(face_sources)
libmerlon_la_CFLAGS = $(face_cflags)
libmerlon_la_LDFLAGS = $(face_ldflags)
libmerlon_la_LIBADD = $(face_libs)
face_objects = $(libmerlon_la_OBJECTS)
endif
endif

# The static library is one object, in which all names but the exported ones
# are local: nothing of ours can clash with, or be replaced by, a program's.
# The operators are weak, as in libstdc++: a program may bring its own. On i386
# the compiler's __x86 thunks stay global, as every object shares one of each.
# libtool builds no static library (-shared above), so the name is free.
staticlibdir = $(libdir)
staticlib_DATA = lib$(MERLON_MODULE).a
CLEANFILES += lib$(MERLON_MODULE).a
archive_objects = $(libmerlon_core_la_OBJECTS) $(face_objects)

lib$(MERLON_MODULE).a: $(archive_objects) src/exports.txt
	$(AM_V_GEN)rm -f $@ $(MERLON_MODULE).o; objects=; \
	for lo in $(archive_objects); do \
	  pic=`$(SED) -n "s/^pic_object='\(.*\)'/\1/p" $$lo` || exit 1; \
	  objects="$$objects $${lo%/*}/$$pic"; \
	done; \
	$(CC) $(CFLAGS) $(MERLON_RELOCATABLE) \
	  -o $(MERLON_MODULE).o $$objects && \
	$(OBJCOPY) --wildcard --weaken-symbol='_Z[nd]*' \
	  --keep-global-symbols=$(srcdir)/src/exports.txt \
	  --keep-global-symbol='_Z[nd]*' --keep-global-symbol='__x86.*' \
	  $(MERLON_MODULE).o && \
	$(AR) cr $@ $(MERLON_MODULE).o && $(RANLIB) $@
endif

EXTRA_DIST += src/exports.txt
