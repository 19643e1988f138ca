#include "mime/mime_digest.h"
#include "base/checked.h"
#include "base/utf8.h"
#include "mime/mime_imap.h"

/* Version 1, in order; "bytes" is a varint length and the octets:
 *	u8 version · varint flags · varint size · varint header length · varint From fields
 *	bytes ENVELOPE · bytes BODYSTRUCTURE
 *	u64 sent (seconds, two's complement) · varint zone + ZONE_BIAS (both 0 when unknown)
 *	bytes base subject · bytes message id · bytes references (each one bytes)
 *	varint parts · each part, in reading order:
 *		varint kind | opaque << 2 · varint children
 *		varint header offset less that of the part before
 *		varint header length · varint body length
 *		bytes type · bytes subtype · bytes charset · u8 encoding */
#define FLAG_SENT	 1u
#define FLAG_REPLY	 2u
#define ZONE_BIAS	 1440
#define BASE_SUBJECT_MAX 1024u /* what sorting and threading compare */
#define ID_MAX		 998u  /* RFC 5322 2.1.1: longer than a line is no id */
#define PARTS_MAX	 (2u * LIMIT_MIME_PARTS)
#define PART_OPAQUE	 4u

static void put_part(struct buf *b, const struct mime_part *p, uint64_t previous_off)
{
	buf_put_varint(b, (uint64_t)p->kind | (p->opaque ? PART_OPAQUE : 0));
	buf_put_varint(b, p->nchildren);
	buf_put_varint(b, p->header_off - previous_off);
	buf_put_varint(b, p->header_len);
	buf_put_varint(b, p->body_len);
	buf_put_bytes(b, p->type);
	buf_put_bytes(b, p->subtype);
	buf_put_bytes(b, mime_param_get(p->params, "charset"));
	buf_put_u8(b, (uint8_t)mime_encoding_of(p->encoding));
}

static void put_parts(struct buf *b, const struct mime_part *root)
{
	uint64_t n = 0, off = 0;

	for (const struct mime_part *p = root; p; p = mime_part_next(p))
		n++;
	buf_put_varint(b, n);
	for (const struct mime_part *p = root; p; p = mime_part_next(p)) {
		put_part(b, p, off);
		off = p->header_off;
	}
}

/* RFC 5256 3 (REFERENCES) counts References, and In-Reply-To when there is none; we
 * keep both. */
static void put_references(struct buf *b, struct arena *a, const struct mime_summary *s)
{
	const slice lists[] = { s->references, s->in_reply_to };
	struct buf refs;
	uint32_t n = 0;

	buf_init(&refs, LIMIT_REFERENCES * (ID_MAX + 4));
	for (size_t i = 0; i < 2; i++) {
		size_t at = 0;
		slice id;

		while (n < LIMIT_REFERENCES && mime_msgid_next(lists[i], &at, a, &id)) {
			if (id.n > ID_MAX)
				continue;
			buf_put_bytes(&refs, id);
			n++;
		}
	}
	buf_put_bytes(b, buf_slice(&refs));
	buf_done(&refs);
}

/* At most max octets, not cut inside a character. */
static slice utf8_cut(slice s, size_t max)
{
	if (s.n <= max)
		return s;
	while (max && ((unsigned char)s.p[max] & 0xc0) == 0x80)
		max--;
	return slice_sub(s, 0, max);
}

static void put_id(struct buf *b, struct arena *a, slice field)
{
	size_t at = 0;
	slice id = { "", 0 };

	if (!mime_msgid_next(field, &at, a, &id) || id.n > ID_MAX)
		id.n = 0;
	buf_put_bytes(b, id);
}

void mime_digest_write(const struct mime_part *root, struct buf *out)
{
	const struct mime_summary *s = root->summary;
	struct mime_date sent = { 0, -ZONE_BIAS };
	struct arena a;
	struct buf text;
	bool has_sent, is_reply;
	slice base;

	arena_init(&a);
	buf_init(&text, MIME_DIGEST_MAX);
	has_sent = mime_date_parse(s->date, &sent);
	base = utf8_cut(mime_base_subject(&a, s->subject, &is_reply), BASE_SUBJECT_MAX);
	buf_put_u8(out, MIME_DIGEST_VERSION);
	buf_put_varint(out, (has_sent ? FLAG_SENT : 0) | (is_reply ? FLAG_REPLY : 0));
	buf_put_varint(out, root->body_off + root->body_len);
	buf_put_varint(out, root->header_len);
	buf_put_varint(out, s->from_count);
	mime_imap_envelope(&text, s);
	buf_put_bytes(out, buf_slice(&text));
	out->full = out->full || text.full;
	buf_reset(&text);
	mime_imap_bodystructure(&text, root);
	buf_put_bytes(out, buf_slice(&text));
	out->full = out->full || text.full;
	buf_put_u64(out, (uint64_t)sent.unix_s);
	buf_put_varint(out, (uint64_t)(sent.zone + ZONE_BIAS));
	buf_put_bytes(out, base);
	put_id(out, &a, s->message_id);
	put_references(out, &a, s);
	put_parts(out, root);
	buf_done(&text);
	arena_release(&a);
}

/* --- readers --- */

/* The fields in front of the parts, borrowed. */
struct head {
	uint64_t flags, size, header_len, from_count;
	slice envelope, bodystructure;
	struct mime_date sent;
	slice base_subject, message_id, references;
	uint64_t nparts;
	struct rd parts;
};

static bool head_read(slice digest, struct head *h)
{
	struct rd r = rd_init(digest);
	uint64_t zone;

	*h = (struct head){ 0 };
	if (rd_u8(&r) != MIME_DIGEST_VERSION)
		return false;
	h->flags = rd_varint(&r);
	h->size = rd_varint(&r);
	h->header_len = rd_varint(&r);
	h->from_count = rd_varint(&r);
	h->envelope = rd_bytes(&r);
	h->bodystructure = rd_bytes(&r);
	h->sent.unix_s = (int64_t)rd_u64(&r);
	zone = rd_varint(&r);
	h->base_subject = rd_bytes(&r);
	h->message_id = rd_bytes(&r);
	h->references = rd_bytes(&r);
	h->nparts = rd_varint(&r);
	h->parts = r;
	if (r.bad || zone > 2 * ZONE_BIAS || h->header_len > h->size || h->nparts < 1 ||
	    h->nparts > PARTS_MAX || h->from_count > UINT32_MAX || h->size > INT64_MAX) {
		*h = (struct head){ 0 };
		return false;
	}
	h->sent.zone = (int)zone - ZONE_BIAS;
	return true;
}

bool mime_digest_is_current(slice digest)
{
	return digest.n && (unsigned char)digest.p[0] == MIME_DIGEST_VERSION;
}

uint64_t mime_digest_size(slice digest)
{
	struct head h;

	return head_read(digest, &h) ? h.size : 0;
}

uint64_t mime_digest_header_len(slice digest)
{
	struct head h;

	return head_read(digest, &h) ? h.header_len : 0;
}

/* An empty slice on damage, with a pointer that may be used. */
static slice safe(slice s)
{
	return s.p ? s : SL("");
}

slice mime_digest_envelope(slice digest)
{
	struct head h;

	head_read(digest, &h);
	return safe(h.envelope);
}

slice mime_digest_bodystructure(slice digest)
{
	struct head h;

	head_read(digest, &h);
	return safe(h.bodystructure);
}

bool mime_digest_sent(slice digest, struct mime_date *out)
{
	struct head h;

	if (!head_read(digest, &h) || !(h.flags & FLAG_SENT))
		return false;
	*out = h.sent;
	return true;
}

slice mime_digest_base_subject(slice digest)
{
	struct head h;

	head_read(digest, &h);
	return safe(h.base_subject);
}

bool mime_digest_is_reply(slice digest)
{
	struct head h;

	return head_read(digest, &h) && (h.flags & FLAG_REPLY);
}

slice mime_digest_message_id(slice digest)
{
	struct head h;

	head_read(digest, &h);
	return safe(h.message_id);
}

uint32_t mime_digest_from_count(slice digest)
{
	struct head h;

	head_read(digest, &h);
	return (uint32_t)h.from_count;
}

bool mime_digest_reference(slice digest, size_t *at, slice *out)
{
	struct head h;
	struct rd r;
	slice id;

	if (!head_read(digest, &h) || *at >= h.references.n)
		return false;
	r = rd_init(slice_from(h.references, *at));
	id = rd_bytes(&r);
	if (r.bad)
		return false;
	*at = h.references.n - rd_left(&r);
	*out = id;
	return true;
}

struct mime_digest_iter mime_digest_iter(slice digest)
{
	struct mime_digest_iter it = { .bad = true };
	struct head h;

	if (head_read(digest, &h)) {
		it.r = h.parts;
		it.size = h.size;
		it.left = (uint32_t)h.nparts;
		it.bad = false;
	}
	return it;
}

/* Every number is checked against the message's size, so that callers may trust the
 * offsets. */
bool mime_digest_next(struct mime_digest_iter *it, struct mime_digest_part *out)
{
	struct mime_digest_part p = { 0 };
	uint64_t kind, children, end;
	uint8_t enc;

	if (it->bad || !it->left)
		return false;
	kind = rd_varint(&it->r);
	children = rd_varint(&it->r);
	p.header_off = rd_varint(&it->r);
	p.header_len = rd_varint(&it->r);
	p.body_len = rd_varint(&it->r);
	p.type = rd_bytes(&it->r);
	p.subtype = rd_bytes(&it->r);
	p.charset = rd_bytes(&it->r);
	enc = rd_u8(&it->r);
	if (it->r.bad || kind > (MIME_MESSAGE | PART_OPAQUE) ||
	    (kind & 3u) > MIME_MESSAGE || children > it->left - 1 ||
	    enc > MIME_ENC_UNKNOWN ||
	    !CHECKED_ADD(it->off, p.header_off, &p.header_off) ||
	    !CHECKED_ADD(p.header_off, p.header_len, &p.body_off) ||
	    !CHECKED_ADD(p.body_off, p.body_len, &end) || end > it->size) {
		it->bad = true;
		return false;
	}
	p.kind = (enum mime_kind)(kind & 3u);
	p.opaque = (kind & PART_OPAQUE) != 0;
	p.nchildren = (uint32_t)children;
	p.encoding = (enum mime_encoding)enc;
	it->off = p.header_off;
	it->left--;
	*out = p;
	return true;
}

bool mime_digest_next_leaf(struct mime_digest_iter *it, struct mime_digest_part *out)
{
	while (mime_digest_next(it, out))
		if (out->kind == MIME_LEAF)
			return true;
	return false;
}

/* --- sections: RFC 3501 6.4.5 --- */

/* Steps over a part's descendants; the part itself has been read. */
static bool skip_children(struct mime_digest_iter *it, uint32_t nchildren)
{
	struct mime_digest_part p;

	for (uint64_t pending = nchildren; pending; pending += p.nchildren, pending--)
		if (!mime_digest_next(it, &p))
			return false;
	return true;
}

/* *part becomes its own n-th child. False on damage. */
static bool to_child(struct mime_digest_iter *it, uint32_t n,
		     struct mime_digest_part *part, bool *found)
{
	struct mime_digest_part child;

	*found = n >= 1 && n <= part->nchildren;
	if (!*found)
		return true;
	for (;;) {
		if (!mime_digest_next(it, &child))
			return false;
		if (--n == 0)
			break;
		if (!skip_children(it, child.nchildren))
			return false;
	}
	*part = child;
	return true;
}

/* *part is the root of a message: it becomes part n of that message. One that is not
 * multipart has part 1 only, which is its body. */
static bool to_message_part(struct mime_digest_iter *it, uint32_t n,
			    struct mime_digest_part *part, bool *found)
{
	if (part->kind == MIME_MULTIPART)
		return to_child(it, n, part, found);
	*found = n == 1;
	return true;
}

/* The part with that number, it standing behind it. False on damage. */
static bool find_part(struct mime_digest_iter *it, const uint32_t *path, size_t depth,
		      struct mime_digest_part *part, bool *found)
{
	if (!mime_digest_next(it, part) || !to_message_part(it, path[0], part, found))
		return false;
	for (size_t i = 1; i < depth && *found; i++) {
		if (part->kind == MIME_MESSAGE) {
			if (!mime_digest_next(it, part) ||
			    !to_message_part(it, path[i], part, found))
				return false;
		} else if (!to_child(it, path[i], part, found)) { /* a leaf has none */
			return false;
		}
	}
	return true;
}

bool mime_digest_section(slice digest, const uint32_t *path, size_t depth,
			 enum mime_section which, uint64_t *out_off, uint64_t *out_len,
			 bool *out_found)
{
	struct mime_digest_iter it = mime_digest_iter(digest);
	struct mime_digest_part p;
	bool found = true;

	if (depth == 0) {
		if (!mime_digest_next(&it, &p))
			return false;
		found = which != MIME_SECTION_MIME;
		if (which == MIME_SECTION_BODY) {
			*out_off = 0;
			*out_len = it.size;
		}
	} else {
		if (!find_part(&it, path, depth, &p, &found))
			return false;
		if (found && which == MIME_SECTION_BODY) {
			*out_off = p.body_off;
			*out_len = p.body_len;
		} else if (found && which != MIME_SECTION_MIME) {
			/* HEADER and TEXT: of the message inside. */
			found = p.kind == MIME_MESSAGE;
			if (found && !mime_digest_next(&it, &p))
				return false;
		}
	}
	if (found && (which == MIME_SECTION_HEADER || which == MIME_SECTION_MIME)) {
		*out_off = p.header_off;
		*out_len = p.header_len;
	} else if (found && which == MIME_SECTION_TEXT) {
		*out_off = p.body_off;
		*out_len = p.body_len;
	}
	*out_found = found;
	return true;
}

/* --- all of it checked --- */

/* The parts still to come below an open part, and where its body ends. */
struct level {
	uint32_t left;
	uint64_t end;
};

static bool is_count_right(const struct mime_digest_part *p)
{
	if (p->kind == MIME_LEAF)
		return p->nchildren == 0;
	return p->kind == MIME_MESSAGE ? p->nchildren == 1 : p->nchildren >= 1;
}

static bool references_are_right(slice digest, size_t at)
{
	struct head h;

	return head_read(digest, &h) && at == h.references.n;
}

/* BODYSTRUCTURE can be read through, and ENVELOPE is one list. */
static bool wire_is_right(slice digest)
{
	struct buf b;
	slice e = mime_digest_envelope(digest);
	bool ok;

	buf_init(&b, MIME_DIGEST_MAX);
	ok = mime_digest_body(digest, &b) && e.n > 2 && e.p[0] == '(' &&
	     e.p[e.n - 1] == ')';
	buf_done(&b);
	return ok;
}

bool mime_digest_is_valid(slice digest)
{
	struct level levels[LIMIT_MIME_DEPTH + 2];
	struct mime_digest_iter it = mime_digest_iter(digest);
	struct mime_digest_part p;
	uint64_t end = 0; /* of the part read before, with all in it */
	size_t n = 1, at = 0;
	slice id;

	levels[0] = (struct level){ 1, it.size };
	while (mime_digest_next(&it, &p)) {
		while (n && !levels[n - 1].left)
			n--;
		if (!n || !is_count_right(&p) || p.header_off < end ||
		    p.body_off + p.body_len > levels[n - 1].end)
			return false;
		levels[n - 1].left--;
		end = p.nchildren ? p.body_off : p.body_off + p.body_len;
		if (!p.nchildren)
			continue;
		if (n == LIMIT_MIME_DEPTH + 2)
			return false;
		levels[n++] = (struct level){ p.nchildren, p.body_off + p.body_len };
	}
	if (it.bad || rd_left(&it.r))
		return false;
	for (size_t i = 0; i < n; i++)
		if (levels[i].left)
			return false;
	while (mime_digest_reference(digest, &at, &id))
		;
	return references_are_right(digest, at) && wire_is_right(digest);
}
