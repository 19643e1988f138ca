/* store_row.c — rows of a mailbox, emails and their bodies: reading durable state. */
#include "mime/mime_digest.h"
#include "mime/mime_parse.h"
#include "store/store_int.h"

/* --- rows --------------------------------------------------------------------------- */
struct row_scan {
	store_row_fn fn;
	void *ctx;
	bool all;
};

static bool take_row(void *ctx, slice key, slice value)
{
	struct row_scan *sc = ctx;
	struct row_message m;

	if (row_message_read(value, key_message_uid(key), &m))
		return sc->fn(sc->ctx, &m.row);
	/* A damaged one is missing alone: whoever asks for it by name is told (store_row_get). */
	m.row = (struct store_row){ .uid = key_message_uid(key) };
	return !sc->all || sc->fn(sc->ctx, &m.row);
}

static enum status rows_scan(struct store *s, uint32_t account, uint32_t mbox,
			     uint32_t from, uint32_t to, struct row_scan sc,
			     struct err *e)
{
	struct skey kf = key_message(account, mbox, from),
		    kt = key_messages(account, mbox);

	if (from > to)
		return ST_OK;
	if (to == UINT32_MAX)
		skey_next_prefix(&kt);
	else
		kt = key_message(account, mbox, to + 1);
	struct kv_range r = { .from = skey_slice(&kf), .to = skey_slice(&kt) };

	return kv_scan(s->kv, NULL, &r, take_row, &sc, e);
}

enum status store_rows(struct store *s, uint32_t account, uint32_t mbox, uint32_t from,
		       uint32_t to, store_row_fn fn, void *ctx, struct err *e)
{
	return rows_scan(s, account, mbox, from, to,
			 (struct row_scan){ .fn = fn, .ctx = ctx }, e);
}

enum status store_rows_all(struct store *s, uint32_t account, uint32_t mbox,
			   uint32_t from, uint32_t to, store_row_fn fn, void *ctx,
			   struct err *e)
{
	return rows_scan(s, account, mbox, from, to,
			 (struct row_scan){ .fn = fn, .ctx = ctx, .all = true }, e);
}

enum status store_row_get(struct store *s, uint32_t account, uint32_t mbox, uint32_t uid,
			  struct store_row *out, struct err *e)
{
	AUTO_ARENA a = { 0 };
	slice row;
	struct row_message m;
	struct skey k = key_message(account, mbox, uid);

	arena_init(&a);
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), &a, &row, e);

	if (st == ST_NOT_FOUND)
		return err_set(e, ERR_NO_MESSAGE, "the message is gone");
	if (st != ST_OK)
		return st;
	if (!row_message_read(row, uid, &m))
		return damaged(e, "message");
	*out = m.row;
	return ST_OK;
}

enum status store_row_shown(struct store *s, uint32_t account, uint32_t mbox,
			    uint32_t uid, struct store_row *out, struct err *e)
{
	AUTO_ARENA a = { 0 };
	slice row;
	struct row_gone g;
	struct skey k = key_gone(account, mbox, uid);
	enum status st = store_row_get(s, account, mbox, uid, out, e);

	if (st == ST_OK || err_status(ERR_NO_MESSAGE) != st)
		return st;
	arena_init(&a);
	st = kv_get(s->kv, NULL, skey_slice(&k), &a, &row, e);
	if (st == ST_NOT_FOUND)
		return err_set(e, ERR_NO_MESSAGE, "the message is gone");
	if (st != ST_OK)
		return st;
	if (!row_gone_read(row, uid, &g))
		return damaged(e, "expunged");
	*out = g.msg.row;
	return ST_OK;
}

/* --- emails ------------------------------------------------------------------------- */
#define PARSE_PIECE (256u << 10)

enum status email_digest_make(struct store *s, const struct row_email *r, struct arena *a,
			      slice *out, struct err *e)
{
	AUTO_ARENA tree = { 0 };
	AUTO_BUF b = { 0 };
	AUTO_MEM char *piece = mem_new(PARSE_PIECE);
	enum status st = ST_OK;

	arena_init(&tree);
	buf_init(&b, MIME_DIGEST_MAX);
	struct mime_parser *p = mime_parser_new(&tree);

	for (uint64_t off = 0; off < r->blob_size && st == ST_OK;) {
		size_t n = r->blob_size - off < PARSE_PIECE ? (size_t)(r->blob_size - off)
							    : PARSE_PIECE;

		st = kv_blob_read(s->kv, &r->blob, off, piece, n, e);
		if (st == ST_OK)
			mime_parser_feed(p, slice_make(piece, n));
		off += n;
	}
	if (st != ST_OK) {
		mime_parser_free(p);
		return st;
	}
	mime_digest_write(mime_parser_finish(p), &b);
	if (b.full)
		return err_set(e, ERR_LIMIT, "the structure of the message is too large");
	*out = arena_dup(a, buf_slice(&b));
	return ST_OK;
}

static enum status digest_of(struct store *s, const struct row_email *r, struct arena *a,
			     slice *out, struct err *e)
{
	slice d = r->digest;

	if (r->digest_kind == DIGEST_BLOB && r->digest_size <= MIME_DIGEST_MAX) {
		char *p = arena_alloc(a, (size_t)r->digest_size);
		enum status st = kv_blob_read(s->kv, &r->digest_blob, 0, p,
					      (size_t)r->digest_size, e);

		if (st != ST_OK)
			return st;
		d = slice_make(p, (size_t)r->digest_size);
	}
	if (d.n == 0 || !mime_digest_is_current(d))
		return email_digest_make(s, r, a, out, e);
	*out = d;
	return ST_OK;
}

enum status store_email_get(struct store *s, uint32_t account, uint64_t email,
			    struct arena *a, struct store_email *out, struct err *e)
{
	slice row, digest;
	struct row_email r;
	struct skey k = key_email(account, email);
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), a, &row, e);

	if (st == ST_NOT_FOUND)
		return err_set(e, ERR_NO_MESSAGE, "the message is gone");
	if (st != ST_OK)
		return st;
	if (!row_email_read(row, &r))
		return damaged(e, "email");
	st = digest_of(s, &r, a, &digest, e);
	if (st != ST_OK)
		return st;
	*out = (struct store_email){
		.id = r.reported ? r.reported : email,
		.thread = r.thread,
		.prefix = r.prefix,
		.blob = r.blob,
		.blob_size = r.blob_size,
		.digest = digest,
		.preview = r.preview,
		.received = r.received,
	};
	return ST_OK;
}

enum status store_email_octets(struct store *s, uint32_t account, uint64_t email,
			       struct arena *a, struct store_email *out, struct err *e)
{
	slice row;
	struct row_email r;
	struct skey k = key_email(account, email);
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), a, &row, e);

	if (st == ST_NOT_FOUND)
		return err_set(e, ERR_NO_MESSAGE, "the message is gone");
	if (st != ST_OK)
		return st;
	if (!row_email_read(row, &r))
		return damaged(e, "email");
	*out = (struct store_email){
		.id = r.reported ? r.reported : email,
		.thread = r.thread,
		.prefix = r.prefix,
		.blob = r.blob,
		.blob_size = r.blob_size,
		.digest = SL(""),
		.preview = SL(""),
		.received = r.received,
	};
	return ST_OK;
}

static enum status body_read(struct store *s, slice prefix, const struct blob_id *blob,
			     uint64_t blob_size, uint64_t off, char *dst, size_t n,
			     struct err *e)
{
	uint64_t end;

	if (!CHECKED_ADD(off, (uint64_t)n, &end) || end > prefix.n + blob_size)
		return err_set(e, ERR_CANNOT, "the message ends before that");
	if (off < prefix.n) {
		slice part = slice_sub(prefix, (size_t)off, n);

		memcpy(dst, part.p, part.n);
		dst += part.n;
		n -= part.n;
		off += part.n;
	}
	return n ? kv_blob_read(s->kv, blob, off - prefix.n, dst, n, e) : ST_OK;
}

enum status store_email_read(struct store *s, const struct store_email *m, uint64_t off,
			     void *dst, size_t n, struct err *e)
{
	return body_read(s, m->prefix, &m->blob, m->blob_size, off, dst, n, e);
}

/* --- bodies for output chains ------------------------------------------------------- */
struct store_body {
	_Atomic unsigned refs;
	struct store *s;
	struct blob_id blob;
	uint64_t blob_size;
	size_t n_prefix;
	char prefix[];
};

struct store_body *store_body_new(struct store *s, const struct store_email *m)
{
	struct store_body *b = mem_new(sizeof(*b) + m->prefix.n);

	atomic_init(&b->refs, 1);
	b->s = s;
	b->blob = m->blob;
	b->blob_size = m->blob_size;
	b->n_prefix = m->prefix.n;
	if (m->prefix.n)
		memcpy(b->prefix, m->prefix.p, m->prefix.n);
	return b;
}

enum status store_body_read(struct store_body *b, uint64_t off, void *dst, size_t n,
			    struct err *e)
{
	return body_read(b->s, slice_make(b->prefix, b->n_prefix), &b->blob, b->blob_size,
			 off, dst, n, e);
}

void store_body_ref(struct store_body *b)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}

void store_body_unref(struct store_body *b)
{
	if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
		mem_free(b);
}
