# bench.mk — load programs (plain C, no part of the server) and the bench itself.

LOADERS := $(patsubst bench/%.c,$(O)/bench/%,$(wildcard bench/load_*.c))
loaders: $(LOADERS) $(O)/bench/bench_kv $(O)/bench/bench_check $(O)/bench/sync_shim.so
$(O)/bench/sync_shim.so: tests/crash/sync_shim.c
	@mkdir -p $(@D)
	$(CC) -O2 -shared -fPIC -D_GNU_SOURCE -o $@ $< -ldl
# The store's engine alone, without protocols.
$(O)/bench/bench_kv $(O)/bench/bench_gc: $(O)/bench/%: $(O)/bench/%.o $(O)/lib/kv.a $(O)/lib/base.a $(if $(filter tsan,$(MODE)),$(O)/tests/support/tsan.o)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(O)/bench/bench_check: $(O)/bench/bench_check.o $(call libs_of,store)
	$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)
$(LOADERS): $(O)/bench/%: bench/%.c bench/wire.c bench/wire.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -g -Wall -Wextra -Werror -pthread -D_GNU_SOURCE -o $@ $< bench/wire.c $(shell pkg-config --libs openssl)

## make bench               every figure of bench/RESULTS.md, in one run
bench: all loaders
	bench/run
## make load-small          the same programs, small and without limits of time
load-small: all loaders
	bench/run --small
.PHONY: loaders bench load-small
