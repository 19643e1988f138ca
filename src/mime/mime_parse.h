#pragma once
/* mime_parse.h — the structure of a message, found while it streams by.
 *
 * RFC 5322, RFC 2045 to 2049, RFC 6532. A push parser: chunks of any size, the same
 * tree wherever they are cut. Iterative, one pass, O(n) time; memory is proportional
 * to the structure and bounded by base/limits.h: values beyond the limits are dropped
 * (`cut`), parts deeper than LIMIT_MIME_DEPTH or beyond LIMIT_MIME_PARTS are not
 * looked into (the last one takes all that is left). Nothing is an error: every byte
 * string has a structure. The tree lives in the arena given and borrows nothing from
 * the chunks. All offsets are octets from the first byte fed. Lines end with LF; a CR
 * before it belongs to the line end. One thread at a time; pure. */
#include "base/arena.h"
#include "base/limits.h"
#include "base/slice.h"

struct mime_parser;

enum mime_kind {
	MIME_LEAF,      /* no children */
	MIME_MULTIPART, /* one child or more */
	MIME_MESSAGE    /* message/rfc822, message/global: one child, the root inside */
};

struct mime_param {
	slice name;  /* as written, RFC 2231 segments joined: "filename", or "filename*"
		      * when the value is charset'lang'percent-encoded */
	slice value; /* unquoted */
	struct mime_param *next;
};

/* A value that may be absent: p is NULL then (and n 0); present and empty has p !=
 * NULL. */
static inline bool mime_has(slice v)
{
	return v.p != NULL;
}

enum mime_field_kind {
	MIME_F_NONE,
	MIME_F_FROM, MIME_F_SENDER, MIME_F_REPLY_TO, MIME_F_TO, MIME_F_CC, MIME_F_BCC,
	MIME_F_SUBJECT, MIME_F_DATE, MIME_F_MESSAGE_ID, MIME_F_IN_REPLY_TO,
	MIME_F_REFERENCES,
	MIME_F_DELIVERED_TO,
	/* looked at while parsing, not kept as fields */
	MIME_F_RECEIVED, MIME_F_TYPE, MIME_F_ENCODING, MIME_F_ID, MIME_F_DESCRIPTION,
	MIME_F_DISPOSITION,
	MIME_F_LANGUAGE, MIME_F_LOCATION, MIME_F_MD5, MIME_F_KINDS
};

/* One field of a message header that was kept: value unfolded and trimmed, otherwise
 * raw (8-bit, encoded words). */
struct mime_field {
	enum mime_field_kind kind;
	slice value;
	struct mime_field *next; /* in order of appearance */
};

/* What is known of a message's header (the root, and the root of every message
 * inside). Slices are values of the first field of that name, unfolded and trimmed;
 * absent: see mime_has. */
struct mime_summary {
	slice from, sender, subject, date, message_id, in_reply_to, references;
	uint32_t from_count;     /* From fields: RFC 5322 3.6 wants exactly one */
	uint32_t received_count; /* hops, RFC 5321 6.3; also beyond the limits */
	uint32_t field_count;    /* all fields */
	struct mime_field *fields; /* every kept one, Delivered-To too: mime_field_next */
};

struct mime_part {
	/* header_len has the blank line in it; body_off = header_off + header_len, always. The
	 * body ends before the line end that belongs to the next delimiter, RFC 2046 5.1.1. */
	uint64_t header_off, header_len, body_off, body_len;
	uint64_t lines;                  /* line ends in the body */
	enum mime_kind kind;
	bool opaque; /* a multipart or message not looked into (limits): to clients it is
		      * application/octet-stream */
	bool cut;    /* values of this header were dropped or shortened (limits) */
	uint32_t depth;                  /* the root has 0 */
	uint32_t nchildren;
	struct mime_part *parent, *first, *last, *next;
	/* Never empty; as written, or the default (RFC 2045 5.2, RFC 2046 5.1.5). */
	slice type, subtype;
	struct mime_param *params;       /* names are unique, case ignored: first wins */
	slice id, description, encoding; /* encoding: the bare token */
	slice disposition;
	struct mime_param *disposition_params;
	slice language, location, md5;   /* language: raw list */
	struct mime_summary *summary;    /* for the root of a message, else NULL */
};

struct mime_parser *mime_parser_new(struct arena *a);
void mime_parser_feed(struct mime_parser *p, slice chunk);
/* Ends the parser. The tree is complete and valid as long as the arena. Never NULL. */
struct mime_part *mime_parser_finish(struct mime_parser *p);
/* For a parse that is abandoned: frees what the parser has outside the arena. NULL is
 * fine. */
void mime_parser_free(struct mime_parser *p);
/* Octets fed so far, and whether the top-level header is complete. */
uint64_t mime_parser_octets(const struct mime_parser *p);
bool mime_parser_has_header(const struct mime_parser *p);
/* The top-level header as known so far (complete once mime_parser_has_header). */
const struct mime_summary *mime_parser_summary(const struct mime_parser *p);
/* All of it at once. */
struct mime_part *mime_parse(struct arena *a, slice message);

/* The next field of that kind behind `after` (NULL: the first), or NULL. */
const struct mime_field *mime_field_next(const struct mime_summary *s,
					 const struct mime_field *after,
					 enum mime_field_kind kind);
/* Walks the tree in reading order, parents before children; NULL at the end. */
const struct mime_part *mime_part_next(const struct mime_part *p);
/* "text", "html": ASCII case ignored. */
bool mime_part_is(const struct mime_part *p, const char *type, const char *subtype);
/* Value of a parameter, first of that name; absent: see mime_has. */
slice mime_param_get(const struct mime_param *list, const char *name);
/* The one view of an attachment's name (HAZARDS 18): Content-Disposition filename,
 * else Content-Type name, RFC 2231 before RFC 2047, UTF-8, no path, no control
 * characters. Absent: see mime_has. */
slice mime_part_filename(struct arena *a, const struct mime_part *p);
