#pragma once
/* mime_header.h — header fields and what is in them.
 *
 * RFC 5322 2.2, 3.2 to 3.6 and 4 (obsolete forms), RFC 6532 (UTF-8), RFC 2045 5.1, RFC
 * 2183, RFC 2231, RFC 2047, RFC 5256 2.1. Everything takes complete slices, is one
 * pass without backtracking and O(n); nesting is counted, never recursed. Results that
 * are not sub-slices live in the arena given. Pure, any thread. "Unfolded" means: line
 * ends before white space removed (RFC 5322 2.2.3), no CR, LF or NUL left. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"
#include "mime/mime_parse.h"

/* --- fields --- */

struct mime_header_field {
	slice name;   /* without blanks before the colon; empty: the line is no field */
	slice value;  /* raw: behind the colon, folded, without the last line end */
	size_t off;   /* of the first byte of the field in the header */
	size_t len;   /* with the last line end */
};
struct mime_header_iter {
	slice header;
	size_t at;
};
static inline struct mime_header_iter mime_header_iter(slice header)
{
	return (struct mime_header_iter){ header, 0 };
}
/* Next field; false at the blank line or the end. Lines without a colon are given with
 * an empty name. */
bool mime_header_next(struct mime_header_iter *it, struct mime_header_field *out);
/* Length of the header at the front of a message, with the blank line; message.n when
 * there is none. */
size_t mime_header_length(slice message);
/* First field of that name: unfolded and trimmed value; absent: see mime_has. */
slice mime_header_get(struct arena *a, slice header, slice name);
/* Unfolded and trimmed. Borrows raw when nothing has to change. */
slice mime_unfold(struct arena *a, slice raw);

/* --- addresses: RFC 5322 3.4, 4.4 --- */

enum mime_addr_kind { MIME_ADDR_MAILBOX, MIME_ADDR_GROUP_START, MIME_ADDR_GROUP_END };
struct mime_addr {
	enum mime_addr_kind kind;
	slice name;   /* display name, or comment behind a bare address, or the group's
		       * name; unquoted, encoded words not decoded; absent: see mime_has */
	slice route;  /* obs-route "@a,@b", without the colon; mostly absent */
	slice local;  /* unquoted; empty when there is none */
	slice domain; /* as written, [literals] with brackets; empty when there is none */
};
struct mime_addr_iter {
	slice s;
	size_t at;
	bool in_group;
};
static inline struct mime_addr_iter mime_addr_iter(slice unfolded)
{
	return (struct mime_addr_iter){ unfolded, 0, false };
}
/* Next address; false at the end. Groups come as START, members, END (always closed).
 * Whatever is there that is no address becomes one with name or local and no domain,
 * so that nothing is invisible. */
bool mime_addr_next(struct mime_addr_iter *it, struct arena *a, struct mime_addr *out);
/* The one mailbox of a field (From, Sender): false when there is none or more than
 * one. */
bool mime_addr_single(struct arena *a, slice unfolded, struct mime_addr *out);
/* local@domain, the local part quoted when it must be. */
void mime_addr_spec_write(struct buf *b, const struct mime_addr *addr);

/* Moves *at over blanks and comments (RFC 5322 3.2.2 CFWS). False when a comment is
 * not closed: *at is the end. */
bool mime_skip_cfws(slice s, size_t *at);

/* --- dates: RFC 5322 3.3, 4.3 --- */

struct mime_date {
	int64_t unix_s;     /* seconds since 1970 UTC */
	int zone;           /* minutes east of UTC; 0 for -0000 and unknown zones */
};
bool mime_date_parse(slice unfolded, struct mime_date *out);
/* Sun, 22 Nov 2026 19:54:30 +0000 */
void mime_date_write(struct buf *b, const struct mime_date *d);
/* IMAP date-time without the quotes, RFC 9051 9: 22-Nov-2026 19:54:30 +0000, day with
 * a leading blank or digit. */
bool mime_internaldate_parse(slice s, struct mime_date *out);
void mime_internaldate_write(struct buf *b, const struct mime_date *d);

/* --- message ids: RFC 5322 3.6.4, 4.5.4 --- */

/* Next id in a Message-ID, In-Reply-To or References value: what stands between < and
 * >, blanks and comments removed, quotes removed where they are not needed. False at
 * the end. */
bool mime_msgid_next(slice unfolded, size_t *at, struct arena *a, slice *out);

/* --- Content-Type, Content-Disposition --- */

struct mime_content {
	slice type, subtype;       /* subtype empty for Content-Disposition */
	struct mime_param *params; /* RFC 2231 joined; at most LIMIT_MIME_PARAMS */
	bool cut;                  /* some were dropped */
};
/* False when there is no type/subtype at the front (RFC 2045 5.2: the default applies
 * then). */
bool mime_content_type_parse(struct arena *a, slice unfolded, struct mime_content *out);
bool mime_disposition_parse(struct arena *a, slice unfolded, struct mime_content *out);
/* Value in UTF-8: RFC 2231 charset and percent decoding for "name*", otherwise as it
 * is (RFC 2047 words decoded, as many senders write them). Absent: see mime_has. */
slice mime_param_text(struct arena *a, const struct mime_param *list, const char *name);

/* --- RFC 2047 --- */

/* Unfolded field text to UTF-8: encoded words decoded, white space between two of them
 * dropped, 8-bit that is not UTF-8 read as Windows-1252. */
slice mime_words_decode(struct arena *a, slice unfolded);
/* The same for one of many texts, which share their converters (mime_decode.h). */
struct mime_charsets;
slice mime_words_decode_in(struct mime_charsets *cs, struct arena *a, slice unfolded);

/* RFC 5256 2.1: the base subject, UTF-8. *out_is_reply (may be NULL): a reply or
 * forward was stripped. */
slice mime_base_subject(struct arena *a, slice unfolded_subject, bool *out_is_reply);
