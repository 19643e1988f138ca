/* imap_fetch_body.c — the data items of FETCH that need more than the row.  RFC 3501
 * 6.4.5, 7.4.2.
 *
 * Structure comes from the digest made at delivery. Octets of bodies go out as references
 * that are read when the socket is ready, small ones as they are. */
#include "imap/imap_fetch.h"
#include "base/alloc.h"
#include "mime/mime_header.h"

/* --- a stored body as a source of an output chain --- */

struct body_source {
	struct out_source src; /* first member */
	_Atomic unsigned refs;
	struct store_body *body;
};

static enum status body_read(struct out_source *s, uint64_t off, void *dst, size_t n,
			     struct err *e)
{
	return store_body_read(((struct body_source *)s)->body, off, dst, n, e);
}

static void body_ref(struct out_source *s)
{
	atomic_fetch_add(&((struct body_source *)s)->refs, 1);
}

static void body_unref(struct out_source *s)
{
	struct body_source *b = (struct body_source *)s;

	if (atomic_fetch_sub(&b->refs, 1) != 1)
		return;
	store_body_unref(b->body);
	mem_free(b);
}

static const struct out_source_ops body_ops = { body_read, body_ref, body_unref };

/* Octets [off, off + n) of the message: prefix, then blob. */
static enum status add_octets(struct imap *im, const struct store_email *m, uint64_t off,
			      uint64_t n, struct out *o, struct err *e)
{
	struct body_source *b;

	if (n == 0)
		return ST_OK;
	if (n <= LIMIT_READ_CHUNK) {
		struct buf part;
		enum status st;

		buf_init(&part, LIMIT_READ_CHUNK);
		buf_reserve(&part, n);
		st = store_email_read(im->ctx->store, m, off, part.p, n, e);
		if (st == ST_OK) {
			part.n = n;
			out_buf(o, &part);
		}
		buf_done(&part);
		return st;
	}
	b = mem_new(sizeof(*b));
	b->src.ops = &body_ops;
	b->refs = 1;
	b->body = store_body_new(im->ctx->store, m);
	out_blob(o, &b->src, off, n);
	body_unref(&b->src);
	return ST_OK;
}

/* --- sections --- */

/* Where a section lies in the message as the client sees it: the digest counts from the
 * blob, the prefix of trace fields belongs to the header of the message itself. */
static enum status locate(const struct imap_section *s, const struct store_email *m,
			  uint64_t *off, uint64_t *n, bool *found, struct err *e)
{
	enum mime_section which = s->which == IMAP_SECTION_WHOLE  ? MIME_SECTION_BODY
				  : s->which == IMAP_SECTION_TEXT ? MIME_SECTION_TEXT
				  : s->which == IMAP_SECTION_MIME ? MIME_SECTION_MIME
								  : MIME_SECTION_HEADER;

	if (s->depth == 0 && s->which == IMAP_SECTION_WHOLE) { /* needs no structure */
		*off = 0;
		*n = m->prefix.n + m->blob_size;
		*found = true;
		return ST_OK;
	}
	if (!mime_digest_section(m->digest, s->path, s->depth, which, off, n, found))
		return err_set(e, ERR_CORRUPT, "The structure of email %llu is damaged",
			       (unsigned long long)m->id);
	if (!*found)
		return ST_OK;
	if (*off > m->blob_size || *n > m->blob_size - *off)
		return err_set(e, ERR_CORRUPT,
			       "The structure of email %llu does not fit it",
			       (unsigned long long)m->id);
	if (s->depth == 0 && which == MIME_SECTION_HEADER)
		*n += m->prefix.n;
	else
		*off += m->prefix.n;
	return ST_OK;
}

static bool is_listed(const struct imap_section *s, slice name)
{
	for (size_t i = 0; i < s->n_fields; i++)
		if (slice_ieq(s->fields[i], name))
			return true;
	return false;
}

/* RFC 3501 6.4.5: the fields that are (not) listed, and the blank line. */
static enum status header_fields(struct imap *im, const struct imap_section *s,
				 const struct store_email *m, uint64_t off, uint64_t n,
				 struct arena *tmp, struct buf *out, struct err *e)
{
	struct mime_header_iter it;
	struct mime_header_field f;
	enum status st;
	char *p;

	if (n > 2 * LIMIT_HEADER_ALL)
		return err_set(e, ERR_LIMIT, "The header is above %u octets",
			       2 * LIMIT_HEADER_ALL);
	p = arena_alloc(tmp, n + 1);
	st = n ? store_email_read(im->ctx->store, m, off, p, n, e) : ST_OK;
	if (st != ST_OK)
		return st;
	it = mime_header_iter(slice_make(p, n));
	while (mime_header_next(&it, &f))
		if (is_listed(s, f.name) == (s->which == IMAP_SECTION_FIELDS))
			buf_add(out, slice_sub(slice_make(p, n), f.off, f.len));
	buf_add(out, SL("\r\n"));
	return ST_OK;
}

static void write_literal_head(struct out *o, uint64_t n)
{
	out_addc(o, '{');
	out_addu(o, n);
	out_add(o, SL("}\r\n"));
}

/* What of n octets a <off.len> asks for. */
static void clip(const struct imap_fetch_item *it, uint64_t *off, uint64_t *n)
{
	uint64_t skip = it->partial ? (it->off < *n ? it->off : *n) : 0;

	*off += skip;
	*n -= skip;
	if (it->partial && *n > it->n)
		*n = it->n;
}

static void write_label(const struct imap_fetch_item *it, struct out *o)
{
	struct buf b;

	if (it->kind != IMAP_FETCH_SECTION) {
		out_add(o, it->kind == IMAP_FETCH_RFC822	  ? SL("RFC822 ")
			   : it->kind == IMAP_FETCH_RFC822_HEADER ? SL("RFC822.HEADER ")
								  : SL("RFC822.TEXT "));
		return;
	}
	buf_init(&b, 4 * LIMIT_IMAP_LINE);
	buf_adds(&b, "BODY[");
	imap_section_write(&b, &it->sec);
	buf_addc(&b, ']');
	if (it->partial) {
		buf_addc(&b, '<');
		buf_addu(&b, it->off);
		buf_addc(&b, '>');
	}
	buf_addc(&b, ' ');
	out_add(o, buf_slice(&b));
	buf_done(&b);
}

static enum status write_section(struct imap *im, const struct imap_fetch_item *it,
				 const struct store_email *m, struct arena *tmp,
				 struct out *o, struct err *e)
{
	struct imap_section sec = it->sec;
	uint64_t off = 0, n = 0;
	bool found = false;
	enum status st;

	if (it->kind == IMAP_FETCH_RFC822_HEADER)
		sec.which = IMAP_SECTION_HEADER;
	else if (it->kind == IMAP_FETCH_RFC822_TEXT)
		sec.which = IMAP_SECTION_TEXT;
	st = locate(&sec, m, &off, &n, &found, e);
	if (st != ST_OK)
		return st;
	if (!found) {
		write_label(it, o);
		out_add(o, SL("NIL"));
		return ST_OK;
	}
	if (sec.which == IMAP_SECTION_FIELDS || sec.which == IMAP_SECTION_FIELDS_NOT) {
		struct buf b;
		uint64_t from = 0, len;

		buf_init(&b, 3 * LIMIT_HEADER_ALL);
		st = header_fields(im, &sec, m, off, n, tmp, &b, e);
		if (st == ST_OK) {
			len = b.n;
			clip(it, &from, &len);
			write_label(it, o);
			write_literal_head(o, len);
			out_add(o, slice_sub(buf_slice(&b), from, len));
		}
		buf_done(&b);
		return st;
	}
	clip(it, &off, &n);
	write_label(it, o);
	write_literal_head(o, n);
	return add_octets(im, m, off, n, o, e);
}

static enum status write_digest_text(const char *label, slice text,
				     const struct store_email *m, struct out *o,
				     struct err *e)
{
	if (text.n == 0)
		return err_set(e, ERR_CORRUPT, "The structure of email %llu is damaged",
			       (unsigned long long)m->id);
	out_adds(o, label);
	out_add(o, text);
	return ST_OK;
}

enum status imap_fetch_email_item(struct imap *im, const struct imap_fetch_item *it,
				  const struct store_email *m, struct arena *tmp,
				  struct out *o, struct err *e)
{
	struct buf b;
	enum status st;

	switch (it->kind) {
	case IMAP_FETCH_ENVELOPE:
		return write_digest_text("ENVELOPE ", mime_digest_envelope(m->digest), m,
					 o, e);
	case IMAP_FETCH_BODYSTRUCTURE:
		return write_digest_text("BODYSTRUCTURE ",
					 mime_digest_bodystructure(m->digest), m, o, e);
	case IMAP_FETCH_BODY:
		buf_init(&b, MIME_DIGEST_MAX);
		if (!mime_digest_body(m->digest, &b))
			b.n = 0;
		st = write_digest_text("BODY ", buf_slice(&b), m, o, e);
		buf_done(&b);
		return st;
	case IMAP_FETCH_SECTION:
	case IMAP_FETCH_RFC822:
	case IMAP_FETCH_RFC822_HEADER:
	case IMAP_FETCH_RFC822_TEXT:
		return write_section(im, it, m, tmp, o, e);
	case IMAP_FETCH_UID:
	case IMAP_FETCH_FLAGS:
	case IMAP_FETCH_INTERNALDATE:
	case IMAP_FETCH_SIZE:
		break;
	}
	return ST_OK;
}
