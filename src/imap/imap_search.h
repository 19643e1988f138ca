#pragma once
/* imap_search.h — SEARCH keys: parsed, written, evaluated.
 *
 * RFC 3501 6.4.4, 9 (search-key). Parsing and writing are pure. Keys live in the arena;
 * strings are kept as the client wrote them and folded (imap_text.h) for comparing. OR
 * chains cost no depth, other nesting is bounded by LIMIT_IMAP_DEPTH. */
#include "imap/imap_session.h"

enum imap_key_kind {
	IMAP_KEY_ALL,
	IMAP_KEY_FLAG, IMAP_KEY_UNFLAG,             /* sys */
	IMAP_KEY_KEYWORD, IMAP_KEY_UNKEYWORD,       /* text; kw_bit */
	IMAP_KEY_NEW, IMAP_KEY_OLD, IMAP_KEY_RECENT,
	IMAP_KEY_BEFORE, IMAP_KEY_ON, IMAP_KEY_SINCE,             /* day, of INTERNALDATE */
	IMAP_KEY_SENTBEFORE, IMAP_KEY_SENTON, IMAP_KEY_SENTSINCE, /* day, of Date: */
	IMAP_KEY_LARGER, IMAP_KEY_SMALLER,          /* size */
	IMAP_KEY_SEQ, IMAP_KEY_UID,                 /* set */
	IMAP_KEY_BCC, IMAP_KEY_CC, IMAP_KEY_FROM, IMAP_KEY_SUBJECT, IMAP_KEY_TO, /* text */
	IMAP_KEY_HEADER,                            /* field, text */
	IMAP_KEY_BODY, IMAP_KEY_TEXT,               /* text */
	IMAP_KEY_NOT, IMAP_KEY_AND, IMAP_KEY_OR     /* kids */
};
struct imap_key {
	enum imap_key_kind kind;
	uint32_t sys;
	int kw_bit;      /* -1: no message can have it */
	int64_t day;     /* since 1970-01-01 */
	uint32_t size;
	struct imap_seqset set, resolved;
	slice field, text, folded;
	uint32_t done_uid;  /* of BODY and TEXT: what came out for this message */
	bool done_match;
	struct imap_key *kids, *next;
};
struct imap_search {
	bool bad_charset;
	unsigned n_texts; /* keys that read text */
	struct imap_key *key; /* an AND */
};
bool imap_search_parse(struct imap_parse *p, struct imap_search *out); /* from [CHARSET …] on, without the first SP */
void imap_key_write(struct buf *b, const struct imap_key *k);
int imap_key_cost(const struct imap_key *k); /* 0: from the row; 1: needs the digest; 2: header; 3: body */
enum { IMAP_COST_ROW, IMAP_COST_DIGEST, IMAP_COST_HEADER, IMAP_COST_BODY };

/* One message (imap_search_match.c). used counts work in about microseconds. */
struct imap_match {
	struct imap *im;
	const struct store_row *row;
	uint32_t seq;
	struct arena *tmp;         /* reset by the caller between messages */
	bool has_email, has_header;
	struct store_email email;
	slice header;
	struct err err;            /* the message could not be read: it does not match */
	uint64_t used, budget;
	bool is_yielding; /* the budget ended inside a body: call again for this message */
};
/* Where the scan of a long body stands (im->scan): goes with the session. */
void imap_scan_free(struct imap *im);
/* Where a scan of a long body stopped (im->scan): freed with the session. */
void imap_scan_free(struct imap *im);
bool imap_match_key(struct imap_match *m, struct imap_key *k);
