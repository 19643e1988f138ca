#pragma once
/* imap_framer.h — finds one complete command, with its literals, in a stream.
 *
 * RFC 3501 2.2.1, 4.3; RFC 7888 (LITERAL- before login, LITERAL+ after it). Incremental,
 * never looks at an octet twice, and keeps nothing but the command's own literals
 * (bounded; an idle framer owns no memory). A command without literals is given in place.
 * Message literals of APPEND are not gathered but given in chunks. A bare LF ends a line
 * as CRLF does (RFC 3501 2.2 deviation: people type at openssl s_client). Pure, any
 * thread. */
#include "base/buf.h"
#include "base/limits.h"

enum imap_unit {
	IMAP_UNIT_MORE = 0,
	IMAP_UNIT_COMMAND,  /* out: without the last line end */
	IMAP_UNIT_LINE,     /* out: a raw line (SASL answer, DONE) */
	IMAP_UNIT_CONTINUE, /* a synchronising literal is welcome: say "+ " */
	IMAP_UNIT_APPEND,   /* out: up to and with "{n}" of the message; then call imap_framer_message, or not */
	IMAP_UNIT_CHUNK,    /* out: octets of the message */
	IMAP_UNIT_LAST,     /* out: the last octets of the message (may be none), and the command is complete */
	IMAP_UNIT_REFUSED,  /* see why and tag; the stream goes on behind it */
	IMAP_UNIT_ABSURD    /* a literal longer than numbers go: the stream cannot be followed */
};
enum imap_refusal { IMAP_REFUSED_NOT, IMAP_REFUSED_LINE, IMAP_REFUSED_LITERAL, IMAP_REFUSED_MULTIAPPEND };

struct imap_framer {
	enum {
		IMAP_FR_LINE, IMAP_FR_LITERAL, IMAP_FR_MESSAGE, IMAP_FR_MESSAGE_END,
		IMAP_FR_SKIP_LITERAL, IMAP_FR_SKIP_LINE
	} st;
	bool is_raw;       /* lines, not commands */
	bool is_logged_in; /* limits, and APPEND's literal is a message */
	bool is_discard;   /* the message is refused: drop it */
	uint8_t tag_n, tail_n;
	enum imap_refusal why;
	uint32_t left;     /* octets of the literal still to come */
	size_t scanned;    /* octets of the line at hand that hold no LF */
	char tag[40];      /* of a command that is skipped */
	char tail[16];     /* the end of a line that is skipped: it may announce a literal */
	struct buf gather; /* lines and literals so far; no memory while there are none */
};
void imap_framer_init(struct imap_framer *f);
void imap_framer_done(struct imap_framer *f);
void imap_framer_reset(struct imap_framer *f); /* the command has been answered: its memory goes */
enum imap_unit imap_framer_feed(struct imap_framer *f, slice in, size_t *used, slice *out);
/* After IMAP_UNIT_APPEND: the message of n octets comes now, to be given in chunks or
 * dropped. */
void imap_framer_message(struct imap_framer *f, uint32_t n, bool discard);
slice imap_framer_tag(const struct imap_framer *f);
/* The tag a line starts with; empty when there is none. */
slice imap_line_tag(slice line);
