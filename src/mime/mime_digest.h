#pragma once
/* mime_digest.h — what the store keeps of a message's structure, in one byte string.
 *
 * Written once at delivery, read by FETCH, SEARCH, SORT and THREAD without parsing
 * again. Versioned: a digest whose first byte is not MIME_DIGEST_VERSION is unreadable
 * (mime_digest_is_current) and the message is parsed again. Readers treat it as
 * hostile input (HAZARDS 11): on damage they answer false or an empty slice, never
 * read beyond it. Slices returned borrow from the digest. Offsets count from the first
 * byte parsed (the blob: a prefix before it is the store's business). Pure, any
 * thread. */
#include "base/buf.h"
#include "mime/mime_decode.h"
#include "mime/mime_header.h"
#include "mime/mime_parse.h"

#define MIME_DIGEST_VERSION 1
/* Enough for every message: give the buf at least this maximum. */
#define MIME_DIGEST_MAX (32u << 20)

void mime_digest_write(const struct mime_part *root, struct buf *out);

bool mime_digest_is_current(slice digest);
/* The whole of it checked, every record: after a read from disk that had no checksum,
 * in facteur check, in tests. */
bool mime_digest_is_valid(slice digest);

uint64_t mime_digest_size(slice digest);       /* octets parsed; 0 on damage */
uint64_t mime_digest_header_len(slice digest); /* of the message, with the blank line */
slice mime_digest_envelope(slice digest);      /* "(…)", wire text; empty on damage */
slice mime_digest_bodystructure(slice digest); /* "(…)", wire text */
bool mime_digest_body(slice digest, struct buf *out); /* BODY, made from BODYSTRUCTURE */
/* False: no Date field, or none that can be read. */
bool mime_digest_sent(slice digest, struct mime_date *out);
slice mime_digest_base_subject(slice digest);  /* RFC 5256 2.1, UTF-8 */
bool mime_digest_is_reply(slice digest);       /* base subject had Re: or Fwd: stripped */
slice mime_digest_message_id(slice digest);    /* without < and >; empty when none */
uint32_t mime_digest_from_count(slice digest);
/* The ids of In-Reply-To and References, ≤ LIMIT_REFERENCES, oldest first, References
 * before In-Reply-To. Start with *at = 0; false at the end. */
bool mime_digest_reference(slice digest, size_t *at, slice *out);

/* RFC 3501 6.4.5: BODY[path.which]. path holds the part numbers (depth 0: the message
 * itself).
 *	MIME_SECTION_BODY    [] the whole message, [1.2] the part's body (of a
 *	                     message/rfc822: the message inside)
 *	MIME_SECTION_HEADER  [HEADER], [4.HEADER]: header of the message, or of the
 *	                     message inside part 4
 *	MIME_SECTION_TEXT    [TEXT], [4.TEXT]
 *	MIME_SECTION_MIME    [1.2.MIME]: the part's own header
 * HEADER.FIELDS is cut from HEADER by the caller. False on damage; *out_found false
 * when there is no such part. */
enum mime_section {
	MIME_SECTION_BODY,
	MIME_SECTION_HEADER,
	MIME_SECTION_TEXT,
	MIME_SECTION_MIME
};
bool mime_digest_section(slice digest, const uint32_t *path, size_t depth,
			 enum mime_section which, uint64_t *out_off, uint64_t *out_len,
			 bool *out_found) __attribute__((warn_unused_result));

/* The parts in reading order. */
struct mime_digest_part {
	enum mime_kind kind;
	bool opaque;
	uint32_t nchildren;
	uint64_t header_off, header_len, body_off, body_len;
	slice type, subtype, charset; /* charset: empty when not given */
	enum mime_encoding encoding;
};
struct mime_digest_iter {
	struct rd r;
	uint64_t size, off;
	uint32_t left;
	bool bad;
};
struct mime_digest_iter mime_digest_iter(slice digest);
/* False at the end, or on damage: it->bad. */
bool mime_digest_next(struct mime_digest_iter *it, struct mime_digest_part *out);
/* The same, leaves only. */
bool mime_digest_next_leaf(struct mime_digest_iter *it, struct mime_digest_part *out);
