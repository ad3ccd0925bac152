# SPDX-License-Identifier: MIT
#
# Measurements; never part of `make check`. README.md says how to read them.
#
#     make bench BENCH_FLAGS='--quick --lib hardened=/path/libmerlon-hardened.so'
#
# bench: times, memory and plots, and instructions for a pair; bench-count: only
# these; bench-startup: what starting a process costs; bench-scaling: frees by
# other threads; bench-overhead: page tables and metadata; bench-mitigations: the
# hardened library with each switch off. Results go to doc/benchmarks, those of
# a partial run (--quick, --only) to bench-programs/results.

BENCH_FLAGS =

bench_library = $(MERLON_MODULE)=$(abs_top_builddir)/.libs/lib$(MERLON_MODULE).so
bench_flags = --build bench-programs --lib $(bench_library) $(BENCH_FLAGS)

bench: all
	CC='$(CC)' $(srcdir)/bench/run --instructions $(bench_flags)

bench-count: all
	CC='$(CC)' $(srcdir)/bench/count $(bench_flags)

bench-startup: all
	CC='$(CC)' $(srcdir)/bench/startup $(bench_flags)

bench-scaling: all
	CC='$(CC)' $(srcdir)/bench/scaling $(bench_flags)

bench-overhead: all
	CC='$(CC)' $(srcdir)/bench/overhead --stat ./merlon-stat $(bench_flags)

bench-mitigations:
	CC='$(CC)' $(srcdir)/bench/mitigations bench-programs $(BENCH_FLAGS)

# Only the programs, to look at or to run by hand.
bench-programs:
	CC='$(CC)' $(srcdir)/bench/build bench-programs

clean-local: clean-bench
clean-bench:
	rm -rf bench-programs

.PHONY: bench bench-count bench-startup bench-scaling bench-overhead \
	bench-mitigations bench-programs clean-bench
