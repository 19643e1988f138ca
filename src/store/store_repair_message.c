/* store_repair_message.c — messages made again: a row e from its body, or, when the text itself is
 * lost, a note that says so in its place.
 *
 * What a client has seen under a UID never changes (RFC 3501 2.3.1.1): when the message cannot be
 * made again octet for octet, the old UID is expunged and the new message gets another. */
#include "mime/mime_digest.h"
#include "store/store_check_int.h"

/* --- notes -------------------------------------------------------------------------------- */
static void add_clean(struct buf *b, slice s, size_t max)
{
	for (size_t i = 0; i < s.n && i < max; i++)
		buf_addc(b,
			 (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f ? ' ' : s.p[i]);
}

static void add_time(struct buf *b, int64_t s)
{
	struct civil d = civil_from_unix(s, 0);

	buf_addf(b, "%s, %d %s %04d %02d:%02d:%02d +0000", civil_days[d.weekday], d.day,
		 civil_months[d.month - 1], d.year, d.hour, d.minute, d.second);
}

static void add_domain(struct buf *b, const struct check *c)
{
	slice domain = slice_from(c->address, slice_rchr(c->address, '@'));

	if (domain.n > 1)
		buf_add(b, domain);
	else
		buf_adds(b, "@localhost");
}

static const char english[] =
	"The text of this message was damaged on the server's disk and could not be\r\n"
	"read any more. This note stands in its place. What is still known of the\r\n"
	"message is below; whoever sent it may be able to send it again.\r\n";
static const char french[] =
	"Le texte de ce message a \xC3\xA9t\xC3\xA9 endommag\xC3\xA9 sur le disque du serveur et n'est plus\r\n"
	"lisible. Cette note le remplace. Ce que l'on sait encore du message se trouve\r\n"
	"ci-dessous ; la personne qui l'a envoy\xC3\xA9 pourra peut-\xC3\xAAtre le renvoyer.\r\n";

static void note_write(struct buf *b, const struct look *l, const struct where *w,
		       const struct row_email *r, const struct row_message *msg)
{
	uint64_t id;

	random_bytes(&id, sizeof(id));
	buf_adds(b, "From: Mail server <postmaster");
	add_domain(b, l->c);
	buf_adds(b, ">\r\nTo: <");
	add_clean(b, l->c->address, LIMIT_USER);
	buf_adds(b, ">\r\nSubject: [lost / perdu] ");
	add_clean(b, w->subject, 200);
	buf_adds(b, "\r\nDate: ");
	add_time(b, msg->row.internal_date);
	buf_addf(b, "\r\nMessage-ID: <lost-%016llx", (unsigned long long)id);
	add_domain(b, l->c);
	buf_adds(b, ">\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
		    "Content-Type: text/plain; charset=utf-8\r\n"
		    "Content-Transfer-Encoding: 8bit\r\n\r\n");
	buf_adds(b, english);
	buf_adds(b, "\r\n");
	buf_adds(b, french);
	buf_adds(b, "\r\nSubject: ");
	add_clean(b, w->subject, 500);
	buf_adds(b, "\r\nMessage-ID: ");
	add_clean(b, w->message_id, 500);
	buf_adds(b, "\r\nArrived: ");
	add_time(b, msg->row.internal_date);
	buf_addf(b, "\r\nOctets: %llu\r\n\r\n", (unsigned long long)msg->row.size);
	if (r)
		buf_add(b, r->prefix); /* Return-Path, Received: who sent it */
}

/* The old row goes, in whatever order its email does. */
static enum status message_replace(struct look *l, uint32_t mbox,
				   const struct row_message *old, struct err *e)
{
	struct skey k = key_message(l->c->account, mbox, old->row.uid);
	struct txn_account *ta;
	struct hot_mbox *m;
	enum status st = repair_account(l, &ta, e);

	if (st == ST_OK)
		st = txn_mbox_any(l->t, ta, mbox, &m, e);
	if (st == err_status(ERR_NO_MAILBOX)) { /* one that was deleted */
		txn_del(l->t, skey_slice(&k));
		return ST_OK;
	}
	if (st != ST_OK)
		return st;
	txn_del(l->t, skey_slice(&k));
	count_message(ta, m, old, -1);
	txn_log(l->t, ta, m, LOG_EXPUNGED, old->row.uid);
	repair_recount(l->c, mbox);
	return ST_OK;
}

enum status repair_placeholder(struct look *l, struct where *w, const struct row_email *r,
			       const struct row_message *msg, uint32_t mbox,
			       struct err *e)
{
	AUTO_BUF b = { 0 };
	struct intake *in = intake_new(l->c->s, 0, LIMIT_MESSAGE);
	struct store_place place = {
		.account = l->c->account,
		.mbox = check_box(l->c, mbox) ? mbox : 0,
		.flags = msg->row.flags,
		.internal_date = msg->row.internal_date,
		.prefix = slice_make("", 0),
	};

	buf_init(&b, LIMIT_TRACE + 16384);
	note_write(&b, l, w, r, msg);
	enum status st = intake_write(in, buf_slice(&b), e);

	if (st == ST_OK)
		st = intake_end(in, e);
	if (st == ST_OK)
		st = store_add(l->t, in, &place, NULL, e);
	if (st == ST_OK)
		st = message_replace(l, mbox, msg, e);
	intake_free(in);
	return st;
}

/* --- rows e --------------------------------------------------------------------------------- */
/* The trace fields out of a row that does not decode: where they stand, and how long they are, is
 * known when the body's length is. */
static slice prefix_saved(slice raw, uint64_t blob_size, uint64_t size)
{
	AUTO_BUF b = { 0 };
	uint64_t n = size - blob_size;

	buf_init(&b, 64);
	if (size < blob_size || n == 0 || n > LIMIT_TRACE)
		return slice_make("", 0);
	buf_put_varint(&b, blob_size);
	size_t at = 1 + 1 + 8 + 8 + 8 + 4 + 4 + 32 + b.n + 8 + 8;

	buf_reset(&b);
	buf_put_varint(&b, n);
	at += b.n;
	slice p = slice_sub(raw, at, (size_t)n);

	if (p.n != n || !slice_ends(p, SL("\r\n")))
		return slice_make("", 0);
	for (size_t i = 0; i < p.n; i++)
		if ((unsigned char)p.p[i] < 0x20 && p.p[i] != '\r' && p.p[i] != '\n' &&
		    p.p[i] != '\t')
			return slice_make("", 0);
	return p;
}

/* What is kept of the structure of some message. */
static bool is_digest(struct look *l, const struct blob_id *id, uint64_t size)
{
	struct kv *kv = l->c->s->kv;
	char head[1], *d;

	if (size == 0 || size > MIME_DIGEST_MAX ||
	    kv_blob_read(kv, id, 0, head, 1, NULL) != ST_OK ||
	    !mime_digest_is_current(slice_make(head, 1)))
		return false;
	d = arena_alloc(l->c->page.a, (size_t)size);
	return kv_blob_read(kv, id, 0, d, (size_t)size, NULL) == ST_OK &&
	       mime_digest_is_valid(slice_make(d, (size_t)size));
}

/* Which of the bodies it refers to is the message; the other one is its structure. */
static bool body_find(struct look *l, const struct check_place *p, struct row_email *r)
{
	struct kv *kv = l->c->s->kv;
	bool found = false;

	for (unsigned i = 0; i < p->n_blob; i++) {
		uint64_t size;

		if (kv_blob_verify(kv, &p->blob[i], NULL) != ST_OK ||
		    kv_blob_size(kv, &p->blob[i], &size, NULL) != ST_OK)
			continue;
		if (p->n_blob > 1 && is_digest(l, &p->blob[i], size)) {
			r->digest_kind = DIGEST_BLOB;
			r->digest_blob = p->blob[i];
			r->digest_size = size;
			continue;
		}
		r->blob = p->blob[i];
		r->blob_size = size;
		found = true;
	}
	return found;
}

/* The thread the message was in, as the rows T still tell it. */
static void thread_find(struct look *l, uint64_t email, slice digest, struct row_email *r)
{
	const struct siphash_key *key = &l->c->s->msgid_key;
	struct row_msgid t;
	size_t at = 0;
	slice id = mime_digest_message_id(digest), row;

	r->thread = email;
	for (int i = 0; i < 2;
	     i++) { /* its own Message-ID, then the root of its references */
		uint64_t h = id.n ? siphash(key, id) : 0;
		struct skey k = key_msgid(l->c->account, h ? h : 1);

		if (id.n &&
		    check_get(l, skey_slice(&k), l->c->page.a, &row, NULL) == ST_OK &&
		    row_msgid_read(row, &t)) {
			r->thread = t.thread;
			if (t.email == email)
				*(i == 0 ? &r->msgid : &r->root) = h ? h : 1;
		}
		if (r->msgid || !mime_digest_reference(digest, &at, &id))
			break;
	}
	at = 0;
	if (!r->root && mime_digest_reference(digest, &at, &id)) {
		uint64_t h = siphash(key, id);
		struct skey k = key_msgid(l->c->account, h ? h : 1);

		if (check_get(l, skey_slice(&k), l->c->page.a, &row, NULL) == ST_OK &&
		    row_msgid_read(row, &t) && t.email == email)
			r->root = h ? h : 1;
	}
}

static enum status email_write(struct look *l, uint64_t email, const struct row_email *r)
{
	struct skey k = key_email(l->c->account, email),
		    kt = key_thread(l->c->account, r->thread, email);
	AUTO_BUF b = { 0 };

	buf_init(&b, LIMIT_VALUE);
	row_email_write(&b, r);
	txn_put_buf(l->t, skey_slice(&k), &b);
	if (r->thread != email)
		txn_put_empty(l->t, skey_slice(&kt));
	return ST_OK;
}

static void references_drop(struct look *l, const struct check_place *p)
{
	for (unsigned i = 0; i < p->n_blob; i++)
		reference_remove(l->t, &p->blob[i], p->account, p->email);
}

/* The body is there, but not all that stood in front of it. */
static enum status message_again(struct look *l, const struct check_place *p,
				 const struct row_email *r, slice digest,
				 const struct row_message *msg, struct err *e)
{
	struct message_source src = { .email = *r,
				      .message_id = mime_digest_message_id(digest),
				      .digest = digest };
	struct store_place place = {
		.account = p->account,
		.mbox = check_box(l->c, p->mbox) ? p->mbox : 0,
		.flags = msg->row.flags,
		.internal_date = msg->row.internal_date,
		.prefix = slice_make("", 0),
	};
	enum status st = add_message(l->t, &src, &place, NULL, e);

	return st == ST_OK ? message_replace(l, p->mbox, msg, e) : st;
}

enum status repair_body(struct look *l, const struct blob_id *blob, struct err *e)
{
	struct kv *kv = l->c->s->kv;
	struct row_email r = { .blob = *blob, .received = clock_now_s(l->c->s->clock) };
	struct store_place place = { .account = l->c->account,
				     .internal_date = r.received };
	struct message_source src;
	slice digest;

	if (kv_blob_verify(kv, blob, NULL) != ST_OK ||
	    kv_blob_size(kv, blob, &r.blob_size, NULL) != ST_OK ||
	    is_digest(l, blob, r.blob_size))
		return ST_NOT_FOUND;
	r.prefix = r.preview = place.prefix = slice_make("", 0);
	enum status st = email_digest_make(l->c->s, &r, l->c->page.a, &digest, e);

	if (st != ST_OK)
		return st;
	r.digest = digest.n <= SCHEMA_DIGEST_INLINE ? digest : slice_make("", 0);
	if (!l->t)
		return ST_OK;
	src = (struct message_source){ .email = r,
				       .message_id = mime_digest_message_id(digest),
				       .digest = digest };
	return add_message(l->t, &src, &place, NULL, e);
}

static enum status email_nowhere(struct look *l, struct check_place *p, slice raw,
				 bool there, struct err *e)
{
	struct skey k = key_email(p->account, p->email);

	if (!there ||
	    !check_fault(l, &(struct where){ .code = "email-row", .email = p->email },
			 CHECK_REPAIRED, "taken out",
			 "a message that no mailbox has cannot be read"))
		return ST_OK;
	references_drop(l, p);
	l->c->dropped = true;
	return repair_drop(l, skey_slice(&k), raw, e);
}

enum status repair_email(struct look *l, struct check_place *p, struct err *e)
{
	struct where w = {
		.code = "email-row", .mbox = p->mbox, .uid = p->uid, .email = p->email
	};
	struct skey ke = key_email(p->account, p->email),
		    km = key_message(p->account, p->mbox, p->uid);
	struct row_email r = { 0 }, now;
	struct row_message msg;
	slice raw = slice_make("", 0), row, digest = slice_make("", 0);
	enum status st = check_get(l, skey_slice(&ke), l->c->page.a, &raw, e);
	bool there = st == ST_OK;

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	bool readable = there && row_email_read(raw, &now);
	uint64_t size;

	if (readable && kv_blob_size(l->c->s->kv, &now.blob, &size, NULL) == ST_OK)
		return ST_OK; /* mended with another of its places */
	if (readable)
		check_name_email(&w, &now);
	if (!p->mbox)
		return email_nowhere(l, p, raw, there, e);
	st = check_get(l, skey_slice(&km), l->c->page.a, &row, e);
	if (st != ST_OK || !row_message_read(row, p->uid, &msg) ||
	    msg.row.email != p->email)
		return st == ST_NOT_FOUND ? ST_OK : st; /* expunged meanwhile */
	bool body = body_find(l, p, &r);

	if (body) {
		r.received = msg.row.internal_date;
		r.mbox = p->mbox;
		r.uid = p->uid;
		r.preview = slice_make("", 0);
		r.prefix = readable ? now.prefix
				    : prefix_saved(raw, r.blob_size, msg.row.size);
		if (readable) { /* only the name of its body is wrong */
			r.reported = now.reported;
			r.mbox = now.mbox;
			r.uid = now.uid;
		}
		st = email_digest_make(l->c->s, &r, l->c->page.a, &digest, e);
		if (st != ST_OK)
			return st;
		w.subject = mime_digest_base_subject(digest);
		w.message_id = mime_digest_message_id(digest);
		if (r.digest_kind == DIGEST_INLINE)
			r.digest = digest.n <= SCHEMA_DIGEST_INLINE ? digest
								    : slice_make("", 0);
	}
	bool whole = body && r.prefix.n + r.blob_size == msg.row.size;

	if (!check_fault(
		    l, &w, whole ? CHECK_REPAIRED : CHECK_LOST,
		    whole ? "made again from its body"
		    : body ? "made again from its body, without the fields of its delivery "
			     "and with another UID"
			   : "a note with another UID stands for it in the mailbox: nothing "
			     "says which body it had",
		    "the message's %s",
		    readable ? "body is not in the store"
		    : there  ? "own row cannot be read"
			     : "own row is missing"))
		return ST_OK;
	if (there)
		st = repair_aside(l, skey_slice(&ke), raw, e);
	if (st != ST_OK)
		return st;
	if (whole) {
		thread_find(l, p->email, digest, &r);
		return email_write(l, p->email, &r);
	}
	st = repair_aside(l, skey_slice(&km), row, e);
	if (st == ST_OK)
		st = body ? message_again(l, p, &r, digest, &msg, e)
			  : repair_placeholder(l, &w, readable ? &now : NULL, &msg,
					       p->mbox, e);
	if (st != ST_OK)
		return st;
	struct skey kg = key_places(p->account, p->email);

	l->c->dropped = true;
	txn_del(l->t, skey_slice(&ke));
	txn_del(l->t, skey_slice(&kg));
	references_drop(l, p);
	return ST_OK;
}
