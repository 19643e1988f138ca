#pragma once
/* imap_fetch.h — what FETCH asks for, parsed.
 *
 * RFC 3501 6.4.5, 9 (fetch-att, section). Parsing and section writing are pure; the
 * answers are written by imap_fetch_body.c on a worker. */
#include "imap/imap_session.h"
#include "mime/mime_digest.h"

#define IMAP_SECTION_DEPTH 64
enum imap_section_which {
	IMAP_SECTION_WHOLE, IMAP_SECTION_HEADER, IMAP_SECTION_FIELDS, IMAP_SECTION_FIELDS_NOT, IMAP_SECTION_TEXT,
	IMAP_SECTION_MIME
};
struct imap_section {
	uint32_t *path;
	size_t depth;
	enum imap_section_which which;
	slice *fields;
	size_t n_fields;
};
enum imap_fetch_kind {
	IMAP_FETCH_UID, IMAP_FETCH_FLAGS, IMAP_FETCH_INTERNALDATE, IMAP_FETCH_SIZE, /* from the row alone */
	IMAP_FETCH_ENVELOPE, IMAP_FETCH_BODY, IMAP_FETCH_BODYSTRUCTURE,            /* from the digest */
	IMAP_FETCH_SECTION, IMAP_FETCH_RFC822, IMAP_FETCH_RFC822_HEADER, IMAP_FETCH_RFC822_TEXT
};
struct imap_fetch_item {
	enum imap_fetch_kind kind;
	bool peek, partial;
	uint32_t off, n; /* of partial */
	struct imap_section sec;
	struct imap_fetch_item *next;
};
struct imap_fetch {
	struct imap_seqset set;
	struct imap_fetch_item *first;
	bool has_flags, has_uid, needs_email, sets_seen;
};
bool imap_fetch_parse(struct imap_parse *p, struct imap_fetch *out); /* from sequence-set on */
void imap_section_write(struct buf *b, const struct imap_section *s); /* without the brackets */

/* One item of one message behind a blank; tmp is reset by the caller. */
enum status imap_fetch_email_item(struct imap *im, const struct imap_fetch_item *it, const struct store_email *m,
				  struct arena *tmp, struct out *o, struct err *e) MUST_USE;
