#pragma once
/* smtp_framer.h — where a unit of the client's bytes ends: a command line, the text
 * behind DATA, a chunk behind BDAT.
 *
 * Incremental: the caller shows all unconsumed input each time; the framer keeps how
 * far it has looked, so that no byte is looked at twice, and answers the same wherever
 * the input was cut. No memory of its own. Pure: base only. RFC 5321 2.3.8 (only CRLF
 * ends a line), 4.1.1.4 and 4.5.2 (only CRLF.CRLF ends DATA; transparency), 3030 2
 * (BDAT). */
#include "base/slice.h"

/* Where in a line the text behind DATA stands. Only CRLF begins a line: a bare CR or
 * LF never does (HAZARDS 1). */
enum smtp_dots {
	DOTS_LINE_START, /* behind CRLF, or nothing read yet */
	DOTS_TEXT,
	DOTS_CR,
	DOTS_DOT,        /* line start and "." */
	DOTS_DOT_CR      /* line start and ".", CR */
};

struct smtp_framer {
	size_t at;         /* the line begins here in the unconsumed input */
	size_t scanned;    /* looked at up to here; ≥ at */
	bool is_discarding;/* a bad line was reported: everything up to its CRLF goes */
	bool was_cr;       /* discarding: the byte before `scanned` is CR */
	enum smtp_dots dots;
	uint64_t n_dots;   /* lines of the text that began with ".", the end mark's too */
	uint64_t bdat_left;/* octets of the BDAT chunk that have not been handed out */
};

/* The caller has consumed the first n octets of the input. */
static inline void smtp_framer_consumed(struct smtp_framer *f, size_t n)
{
	f->at = f->at > n ? f->at - n : 0;
	f->scanned = f->scanned > n ? f->scanned - n : 0;
}

enum smtp_line {
	SMTP_LINE_MORE,     /* incomplete; [0, at) may be consumed */
	SMTP_LINE_OK,       /* *out is the line without its CRLF; at is behind it */
	SMTP_LINE_TOO_LONG, /* more than max octets with CRLF; reported once, at the octet that is too many */
	SMTP_LINE_BARE      /* holds a CR, LF or NUL of its own; reported once, a bare LF at once, so that whoever types by
	                       hand is not left waiting; the rest up to CRLF is dropped unread */
};
enum smtp_line smtp_framer_line(struct smtp_framer *f, slice in, size_t max, slice *out);

enum smtp_body {
	SMTP_BODY_MORE,  /* nothing to hand out yet, nothing to consume */
	SMTP_BODY_CHUNK, /* *out is text, more follows */
	SMTP_BODY_LAST   /* *out is text, and the message (or BDAT chunk) ends behind it */
};
/* Text behind DATA, still stuffed, without the final ".CRLF". Whole when it ends
 * within `want` octets of input, otherwise in chunks that never hold a piece of the
 * end mark. *used: what to consume. Call smtp_framer_data_begin before the first. */
void smtp_framer_data_begin(struct smtp_framer *f);
enum smtp_body smtp_framer_data(struct smtp_framer *f, slice in, size_t want, slice *out, size_t *used);
/* The octets of a BDAT chunk: bdat_left counts them down. Whole when they fit into
 * want octets. */
enum smtp_body smtp_framer_bdat(struct smtp_framer *f, slice in, size_t want, slice *out, size_t *used);

/* Removes dot-stuffing (RFC 5321 4.5.2) from chunks as smtp_framer_data gives them.
 * Cuts the longest piece off *in that stands in the message as it is; false when
 * nothing is left. *state begins as DOTS_LINE_START and lives from chunk to chunk. */
bool smtp_unstuff(enum smtp_dots *state, slice *in, slice *out_piece);
