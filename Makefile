# Facteur — one Makefile. `make help` lists the targets.
#
# MODE picks a build folder: debug release asan tsan cov fuzz. BUILD moves all of them.
# src/X/*.c becomes lib X; tests/unit/X/test_*.c each become one program that links the libs X may
# include (tools/layers is the one list of who may include whom) and is run by `make unit`.

MODE  ?= release
BUILD ?= build
O     := $(BUILD)/$(MODE)
CC    ?= cc
VERSION := $(shell cat VERSION)

PKGS := openssl libevent_core liblz4 libzstd libargon2 libconfuse jansson libidn2 libcrypt
CPPFLAGS += -Isrc -include base/banned.h -D_GNU_SOURCE -DFACTEUR_VERSION='"$(VERSION)"' \
	$(shell pkg-config --cflags $(PKGS))
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wconversion \
	-Wformat=2 -Wimplicit-fallthrough -Wswitch-enum -Wno-sign-conversion
HARD = -fstack-protector-strong -fstack-clash-protection -fcf-protection \
	$(AUTO_INIT) -fPIE
AUTO_INIT := -ftrivial-auto-var-init=zero
CFLAGS_debug   := -O1 -g -DDEBUG
CFLAGS_release := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
CFLAGS_asan    := -O1 -g -DDEBUG -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -g -DDEBUG -fsanitize=thread
CFLAGS_cov     := -O0 -g -DDEBUG --coverage
CFLAGS_fuzz    := -O1 -g -DDEBUG -DFUZZING -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
# Parsers trap on bounds and overflow in release builds too (DESIGN, section 6).
TRAP := -fsanitize=bounds,signed-integer-overflow -fsanitize-undefined-trap-on-error
CFLAGS += -std=gnu11 -pthread $(WARN) $(HARD) $(CFLAGS_$(MODE))
LDFLAGS += -pie -Wl,-z,relro,-z,now -pthread $(filter -fsanitize% --coverage,$(filter-out -fsanitize=fuzzer-no-link%,$(CFLAGS_$(MODE))))
ifeq ($(MODE),fuzz)
CC := clang
AUTO_INIT :=
LDFLAGS += -fsanitize=address,undefined
endif
LDLIBS := -lrocksdb -lunistring $(shell pkg-config --libs $(PKGS))
ifeq ($(MODE),release)
LDLIBS += -ljemalloc
endif

# Folders in link order: a folder may use those behind it.
LIBS := cli server admin backup transfer smtp imap pop3 auth store mime work net kv base
LIB_A := $(foreach l,$(LIBS),$(O)/lib/$(l).a)
SRC := $(wildcard src/*/*.c)
OBJ := $(SRC:%.c=$(O)/%.o)

.PHONY: all help clean unit cov install headers lint format layers fuzz fuzz-replay
all: $(O)/facteur

help:
	@sed -n 's/^## //p' Makefile

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(if $(TRAPPED),$(TRAP)) -MMD -MP -c $< -o $@
$(O)/src/mime/%.o $(O)/src/smtp/%.o $(O)/src/imap/%.o $(O)/src/pop3/%.o: TRAPPED := $(filter release,$(MODE))

define LIB
$(O)/lib/$(1).a: $$(patsubst %.c,$(O)/%.o,$$(filter-out src/server/main.c,$$(wildcard src/$(1)/*.c)))
	@mkdir -p $$(@D)
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach l,$(LIBS),$(eval $(call LIB,$(l))))

## make                     the program: build/release/facteur (MODE=debug|asan|tsan|cov for others)
$(O)/facteur: $(O)/src/server/main.o $(LIB_A) $(if $(filter tsan,$(MODE)),$(O)/tests/support/tsan.o)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(LIB_A) -Wl,--end-group $(LDLIBS)

# --- unit tests: one program a file, linked with the libs its folder may include ---------------
UNIT_SRC := $(wildcard tests/unit/*/test_*.c)
UNIT := $(UNIT_SRC:%.c=$(O)/%)
libs_of = $(foreach l,$(1) $(shell tools/layers libs $(1)),$(O)/lib/$(l).a)
define UNITDIR
$(patsubst %.c,$(O)/%,$(wildcard tests/unit/$(1)/test_*.c)): $(O)/tests/unit/$(1)/%: $(O)/tests/unit/$(1)/%.o $(call libs_of,$(1)) $$(patsubst %.c,$(O)/%.o,$$(wildcard tests/support/*.c))
	$$(CC) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(LDLIBS) -lcmocka
unit-$(1): $(patsubst %.c,$(O)/%,$(wildcard tests/unit/$(1)/test_*.c))
	TEST_JOBS=$$$$(nproc) tools/run-tests $$^
endef
$(foreach d,$(notdir $(wildcard tests/unit/*)),$(eval $(call UNITDIR,$(d))))
## make unit                unit tests of every folder (unit-mime: of one)
unit: $(UNIT)
	TEST_JOBS=$$(nproc) tools/run-tests $^

# --- fuzzing: tests/fuzz/fuzz_FOLDER_WHAT.c links what FOLDER may; its corpus is in corpus/FOLDER_WHAT
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZERS := $(FUZZ_SRC:%.c=$(O)/%)
FUZZ_MAIN := $(if $(filter fuzz,$(MODE)),,$(O)/tests/fuzz/replay.o)
define FUZZER
$(O)/tests/fuzz/$(1): $(O)/tests/fuzz/$(1).o $(FUZZ_MAIN) \
		$(sort $(call libs_of,$(word 2,$(subst _, ,$(1)))) $(O)/lib/base.a)
	$$(CC) $$(LDFLAGS) $(if $(FUZZ_MAIN),,-fsanitize=fuzzer) -o $$@ $$(filter %.o,$$^) \
		-Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(LDLIBS)
endef
$(foreach f,$(basename $(notdir $(FUZZ_SRC))),$(eval $(call FUZZER,$(f))))
## make fuzz FUZZ=base_bytes TIME=60   libFuzzer on one target (clang); what it finds stays in build/fuzz
FUZZ ?= base_bytes
TIME ?= 60
fuzz:
	$(MAKE) MODE=fuzz $(BUILD)/fuzz/tests/fuzz/fuzz_$(FUZZ)
	@mkdir -p $(BUILD)/fuzz/corpus/$(FUZZ)
	$(BUILD)/fuzz/tests/fuzz/fuzz_$(FUZZ) -max_total_time=$(TIME) -max_len=65536 -timeout=10 \
		-artifact_prefix=$(BUILD)/fuzz/ $(BUILD)/fuzz/corpus/$(FUZZ) tests/fuzz/corpus/$(FUZZ)
## make fuzz-replay         every corpus once, and all its prefixes (MODE=asan)
fuzz-replay: $(FUZZERS)
	TEST_JOBS=$$(nproc) tools/run-tests $^

## make cov                 line coverage of unit tests, dialogues and the command's tests, by folder
cov:
	@find $(BUILD)/cov -name '*.gcda' -delete 2>/dev/null || true
	-$(MAKE) MODE=cov unit
	-$(MAKE) MODE=cov transcript
	-$(MAKE) MODE=cov all
	-FACTEUR_PROGRAM=$(abspath $(BUILD))/cov/facteur python3 tests/clients/test_cli.py
	tools/cov $(BUILD)/cov

## make install             program, manual, unit (PREFIX=/usr/local DESTDIR= SYSCONFDIR=/etc)
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
SERVICEDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
MAN := $(PREFIX)/share/man
install: $(O)/facteur
	install -d $(addprefix $(DESTDIR),$(PREFIX)/bin $(MAN)/man1 $(MAN)/man5 $(MAN)/man8 \
		$(SERVICEDIR) $(SYSUSERSDIR) $(SYSCONFDIR))
	install -m 755 $(O)/facteur $(DESTDIR)$(PREFIX)/bin/facteur
	for s in 1 5 8; do install -m 644 docs/man/*.$$s $(DESTDIR)$(MAN)/man$$s/ || exit 1; done
	install -m 644 docs/facteur.sysusers $(DESTDIR)$(SYSUSERSDIR)/facteur.conf
	sed 's,@BINDIR@,$(PREFIX)/bin,;s,@SYSCONFDIR@,$(SYSCONFDIR),' docs/facteur.service \
		>$(DESTDIR)$(SERVICEDIR)/facteur.service
	chmod 644 $(DESTDIR)$(SERVICEDIR)/facteur.service
	@# a configuration that is there stays as it is
	[ -e $(DESTDIR)$(SYSCONFDIR)/facteur.conf ] || \
		install -m 644 docs/facteur.conf $(DESTDIR)$(SYSCONFDIR)/facteur.conf

## make crash KILLS=1000 CUTS=1000   the crash kit in its long form (tests/crash/long.py); Ctrl-C ends it
KILLS ?= 1000
CUTS ?= 1000
.PHONY: crash
crash:
	KILLS=$(KILLS) CUTS=$(CUTS) tests/crash/run --long

## make transfer-large      100,000 messages: Maildir, import, export, compared; rates and peak memory (N=)
N ?= 100000
transfer-large: all
	FACTEUR_PROGRAM=$(abspath $(O))/facteur python3 tests/clients/test_transfer.py --large $(N)
.PHONY: transfer-large

## make headers             every header compiles alone
headers:
	@for h in src/*/*.h; do $(CC) $(CPPFLAGS) -std=gnu11 -Wall -Wextra -Werror -x c -fsyntax-only -include $$h /dev/null || exit 1; done; echo headers: ok

## make lint                what the compiler does not see: tools/lint, format, cppcheck
CPPCHECK := cppcheck -q --error-exitcode=1 --inline-suppr --std=c11 -j2 \
	--enable=warning,portability,performance --suppress=missingIncludeSystem \
	--suppress=pointerSize -Isrc -D_GNU_SOURCE
lint: layers
	tools/lint
	tools/format check
	tools/docs check
	@if command -v cppcheck >/dev/null; then $(CPPCHECK) src && echo "cppcheck: ok"; \
	else echo "cppcheck: skipped (not installed)"; fi

## make format              clang-format 14 over the .c files (F=src/mime: of one folder)
format:
	tools/format fix $(F)

## make layers              a folder includes only what stands behind its arrow
layers:
	tools/layers check

clean:
	rm -rf $(BUILD)

-include $(OBJ:.o=.d) $(UNIT:=.d) $(FUZZERS:=.d)

## make transcript          dialogues of tests/transcript (transcript-smtp, -imap, -pop3: of one protocol)
-include tests/transcript/transcript.mk

-include bench/bench.mk
