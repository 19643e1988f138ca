#pragma once
/* mbox.h — mboxrd, read and written in pieces of any size. Pure.
 *
 *	From sender Sun Nov 22 23:18:05 2026       UTC: INTERNALDATE
 *	X-Mbox-Export: facteur 1                   ours: the block is ours and exact
 *	Status: RO
 *	X-Status: AF                               A answered, F flagged, D deleted, T draft
 *	X-Keywords: $Forwarded work
 *	X-UID: 17
 *	…the message, LF, every line that matches ^>*From with one ">" more
 *	an empty line
 *
 * A message whose last line does not end loses the empty line instead, so that octets
 * come back exactly. In mboxes of others "From " begins a message only where a date
 * follows, the empty line belongs to the format when it is there, and Status, X-Status,
 * X-Keywords and X-UID are read and taken out wherever in the header they stand. */
#include "base/buf.h"
#include "transfer/message.h"

#define MBOX_FROM_MAX 1000

/* --- writing ------------------------------------------------------------------------- */
struct mbox_writer {
	bool is_inside; /* of a line */
	bool cr;
	size_t matched; /* of "From " behind the '>' of this line, which are out already */
};
/* sender: what stands in the From line; empty: MAILER-DAEMON. */
void mbox_head_write(struct buf *out, const struct transfer_message *m, slice sender);
/* CRLF becomes LF. */
void mbox_write(struct mbox_writer *w, struct buf *out, slice octets);
void mbox_end_write(struct mbox_writer *w, struct buf *out);

/* --- reading ------------------------------------------------------------------------- */
/* What the reader finds, in order: from, octets…, end. Any but ST_OK ends the reading. */
struct mbox_events {
	enum status (*from)(void *ctx, int64_t date, uint64_t offset, struct err *e);
	enum status (*octets)(void *ctx, slice octets, struct err *e);
	/* newline: the one in front of the next From line (or the end of the file), not
	 * given as octets; is_blank: an empty line ends with it. */
	enum status (*end)(void *ctx, slice newline, bool is_blank, struct err *e);
};
struct mbox_reader {
	const struct mbox_events *events;
	void *ctx;
	uint64_t offset;     /* octets fed */
	int state;
	bool in_message, was_blank;
	size_t arrows, matched;
	uint64_t line_offset;
	char held[2];        /* a newline not yet given */
	size_t n_held;
	bool cr;             /* the last octet of this line so far is a CR, not yet given */
	bool line_has_text;
	size_t n_line;
	char line[MBOX_FROM_MAX];
};
void mbox_reader_init(struct mbox_reader *r, const struct mbox_events *events, void *ctx);
enum status mbox_feed(struct mbox_reader *r, slice octets, struct err *e) MUST_USE;
/* The end of the file. ST_INVALID: no message was in it. */
enum status mbox_feed_end(struct mbox_reader *r, struct err *e) MUST_USE;

/* "From sender Sun Nov 22 23:18:05 2026", with or without seconds and zone. */
bool mbox_from_read(slice line, int64_t *out_date);

/* A header, LF or CRLF: takes what belongs to the mbox out of it and into *m. kept gets the
 * rest. *out_is_ours: it began with our block. Keywords borrow from header. words: room for
 * the keywords. */
void mbox_header_read(slice header, struct transfer_message *m, struct buf *kept,
		      struct buf *words, bool *out_is_ours);
