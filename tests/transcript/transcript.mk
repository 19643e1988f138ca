# Dialogues of tests/transcript, one program a protocol, so that each is built and run alone.
TRANSCRIPT_PARTS := parse pattern world run
TRANSCRIPT_O := $(TRANSCRIPT_PARTS:%=$(O)/tests/transcript/transcript_%.o)
TRANSCRIPT_LIBS_smtp := smtp pop3 auth store mime work net kv base
TRANSCRIPT_LIBS_imap := imap auth store mime work net kv base
TRANSCRIPT_LIBS_pop3 := pop3 auth store mime work net kv base

define TRANSCRIPT
$(O)/transcript-$(1): $(O)/tests/transcript/transcript_$(1).o $(TRANSCRIPT_O) $(TRANSCRIPT_LIBS_$(1):%=$(O)/lib/%.a)
	$$(CC) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(LDLIBS)
.PHONY: transcript-$(1)
transcript-$(1): $(O)/transcript-$(1)
	$$< $$(wildcard tests/transcript/$(1)/*.md)
endef
$(foreach p,smtp imap pop3,$(eval $(call TRANSCRIPT,$(p))))
## make transcript          dialogues of every protocol (transcript-pop3: of one)
.PHONY: transcript
transcript: transcript-smtp transcript-imap transcript-pop3

-include $(TRANSCRIPT_O:.o=.d) $(wildcard $(O)/tests/transcript/*.d)
