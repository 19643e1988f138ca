/* store_undelete.c — what was deleted comes back, as long as it is kept: messages (by
 * EXPUNGE, CLOSE, POP3's QUIT or an expiry), mailboxes, accounts. docs/adr/0012.
 *
 * A message gets a new UID in the mailbox it was expunged from (in INBOX when that is gone
 * for good); EMAILID, thread, flags but \Deleted, keywords, INTERNALDATE stay. A mailbox
 * comes back with its UIDs and another UIDVALIDITY, an account with new ones for all. */
#include "mime/mime_digest.h"
#include "store/store_int.h"

#define UNDELETE_BATCH 250

/* --- candidates --------------------------------------------------------------------- */
struct candidate {
	struct skey key; /* of the row A x or X x */
	uint32_t mbox;
	struct row_gone gone;
};
struct candidates {
	struct candidate *at;
	size_t n, max;
	int64_t since;
	bool pending; /* rows X x: the sweep has not been there yet */
	bool bad, is_full;
	struct skey last;
};

static bool take_candidate(void *ctx, slice key, slice value)
{
	struct candidates *l = ctx;
	struct candidate c;
	struct rd r = rd_init(slice_from(key, l->pending ? 6 : 14));
	uint32_t uid;

	if (l->n == l->max) {
		l->is_full = true;
		return false;
	}
	memcpy(l->last.b, key.p, key.n < sizeof(l->last.b) ? key.n : sizeof(l->last.b));
	l->last.n = key.n < sizeof(l->last.b) ? key.n : sizeof(l->last.b);
	c.mbox = rd_u32(&r);
	uid = rd_u32(&r);
	if (r.bad || !row_gone_read(value, uid, &c.gone)) {
		l->bad = true;
		return true; /* it does not stop the others */
	}
	c.key = l->last;
	if (c.gone.last && !c.gone.moved && c.gone.time >= l->since)
		l->at[l->n++] = c;
	return true;
}

static enum status candidates_read(struct store *s, uint32_t account,
				   const struct skey *from, struct candidates *l,
				   struct err *e)
{
	struct skey to = l->pending ? key_gone(account, 0, 0) : key_kept_prefix(account);

	if (l->pending)
		to.n = 6;
	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(from), .to = skey_slice(&to) };

	l->n = 0;
	l->is_full = false;
	return kv_scan(s->kv, NULL, &r, take_candidate, l, e);
}

static struct skey candidates_from(uint32_t account, bool pending)
{
	struct skey k = pending ? key_gone(account, 0, 0) : key_kept_prefix(account);

	if (pending)
		k.n = 6;
	return k;
}

/* --- names -------------------------------------------------------------------------- */
struct kept_box {
	uint32_t id;
	struct row_kept_mbox row;
};
struct boxes {
	struct arena *a;
	struct store_mailbox *live;
	size_t n_live;
	struct kept_box *kept;
	size_t n_kept, cap_kept;
};

static bool take_kept_box(void *ctx, slice key, slice value)
{
	struct boxes *l = ctx;
	struct rd r = rd_init(slice_from(key, 6));
	struct kept_box b = { .id = rd_u32(&r) };

	if (!row_kept_mbox_read(arena_dup(l->a, value), &b.row))
		return true;
	if (l->n_kept == l->cap_kept) {
		struct kept_box *old = l->kept;

		l->cap_kept = l->cap_kept ? l->cap_kept * 2 : 8;
		l->kept = arena_array(l->a, l->cap_kept, sizeof(*l->kept));
		if (l->n_kept)
			memcpy(l->kept, old, l->n_kept * sizeof(*l->kept));
	}
	l->kept[l->n_kept++] = b;
	return true;
}

static enum status boxes_read(struct store *s, uint32_t account, struct arena *a,
			      struct boxes *out, struct err *e)
{
	struct skey from = key_account_type(account, 'd'), to = from;

	*out = (struct boxes){ .a = a };
	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };
	enum status st = store_mailbox_list(s, account, a, &out->live, &out->n_live, e);

	return st == ST_OK ? kv_scan(s->kv, NULL, &r, take_kept_box, out, e) : st;
}

/* Where a message expunged from that mailbox belongs. */
static slice path_of(const struct boxes *b, uint32_t mbox)
{
	for (size_t i = 0; i < b->n_live; i++)
		if (b->live[i].id == mbox && b->live[i].exists)
			return b->live[i].name;
	for (size_t i = 0; i < b->n_kept; i++)
		if (b->kept[i].id == mbox)
			return b->kept[i].row.path;
	return SL("INBOX");
}

static bool wants_box(const struct store_undelete *u, const struct row_kept_mbox *m)
{
	return u->message_id.n == 0 && m->time >= u->since &&
	       (u->mailbox.n == 0 || slice_eq(u->mailbox, m->path));
}

/* --- the emails behind -------------------------------------------------------------- */
static slice digest_subject(slice digest)
{
	return mime_digest_is_current(digest) ? mime_digest_base_subject(digest) : SL("");
}

static bool wants(struct store *s, uint32_t account, const struct store_undelete *u,
		  const struct boxes *b, const struct candidate *c, struct arena *a,
		  struct store_email *out)
{
	if (u->mailbox.n && !slice_eq(path_of(b, c->mbox), u->mailbox))
		return false;
	if (store_email_get(s, account, c->gone.msg.row.email, a, out, NULL) != ST_OK)
		return false;
	return u->message_id.n == 0 ||
	       (mime_digest_is_current(out->digest) &&
		slice_eq(mime_digest_message_id(out->digest), u->message_id));
}

/* --- list --------------------------------------------------------------------------- */
struct listing {
	struct arena *a;
	struct store_deleted *at;
	size_t n, cap;
};

static struct store_deleted *listing_add(struct listing *l)
{
	if (l->n == l->cap) {
		struct store_deleted *old = l->at;

		l->cap = l->cap ? l->cap * 2 : 64;
		l->at = arena_array(l->a, l->cap, sizeof(*l->at));
		if (l->n)
			memcpy(l->at, old, l->n * sizeof(*l->at));
	}
	return &l->at[l->n++];
}

static enum status list_messages(struct store *s, uint32_t account,
				 const struct store_undelete *u, const struct boxes *b,
				 bool pending, struct listing *out, struct err *e)
{
	AUTO_MEM struct candidate *at = mem_array(UNDELETE_BATCH, sizeof(*at));
	AUTO_ARENA a = { 0 };
	struct candidates l = {
		.at = at, .max = UNDELETE_BATCH, .since = u->since, .pending = pending
	};
	struct skey from = candidates_from(account, pending);
	enum status st;

	arena_init(&a);
	do {
		st = candidates_read(s, account, &from, &l, e);
		for (size_t i = 0; i < l.n && st == ST_OK; i++) {
			struct store_email m;
			const struct row_gone *g = &at[i].gone;

			arena_reset(&a);
			if (!wants(s, account, u, b, &at[i], &a, &m))
				continue;
			if (out->n >= LIMIT_UNDELETE_LIST)
				return ST_OK;
			*listing_add(out) = (struct store_deleted){
				.mailbox = path_of(b, at[i].mbox),
				.deleted = g->time,
				.messages = 1,
				.bytes = g->msg.row.size,
				.internal_date = g->msg.row.internal_date,
				.subject = arena_dup(out->a, digest_subject(m.digest)),
				.message_id = arena_dup(
					out->a, mime_digest_is_current(m.digest)
							? mime_digest_message_id(m.digest)
							: SL("")),
			};
		}
		from = l.last;
		skey_next_prefix(&from);
	} while (st == ST_OK && l.is_full);
	return st;
}

static void undelete_canonical(struct arena *a, const struct store_undelete *in,
			       struct store_undelete *out)
{
	*out = *in;
	if (in->mailbox.n)
		out->mailbox = name_canonical(a, in->mailbox);
}

enum status store_undelete_list(struct store *s, uint32_t account,
				const struct store_undelete *wanted, struct arena *a,
				struct store_deleted **out, size_t *out_n, struct err *e)
{
	struct boxes b;
	struct store_undelete u;
	struct listing l = { .a = a };
	enum status st = boxes_read(s, account, a, &b, e);

	undelete_canonical(a, wanted, &u);
	for (size_t i = 0; i < b.n_kept && st == ST_OK; i++)
		if (wants_box(&u, &b.kept[i].row))
			*listing_add(&l) = (struct store_deleted){
				.is_mailbox = true,
				.mailbox = b.kept[i].row.path,
				.deleted = b.kept[i].row.time,
				.messages = b.kept[i].row.mbox.messages,
				.bytes = b.kept[i].row.mbox.bytes,
			};
	if (st == ST_OK)
		st = list_messages(s, account, &u, &b, false, &l, e);
	if (st == ST_OK)
		st = list_messages(s, account, &u, &b, true, &l, e);
	if (st != ST_OK)
		return st;
	*out = l.at;
	*out_n = l.n;
	return ST_OK;
}

/* --- messages ----------------------------------------------------------------------- */
/* The email gets a place again. One that was never copied has its first place in its own
 * row, where it cannot change: from now on a row g has them. */
static enum status place_again(struct store_txn *t, uint32_t account, uint64_t email,
			       uint32_t mbox, uint32_t uid, struct err *e)
{
	slice row;
	struct row_places p = { .at = arena_array(t->a, 1, sizeof(*p.at)) };
	struct skey k = key_places(account, email);
	enum status st = txn_get(t, skey_slice(&k), &row, e);

	if (st == ST_OK && !row_places_read(row, t->a, &p))
		return damaged(e, "places");
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	p.at[p.n++] = (struct place){ mbox, uid };
	places_put(t, account, email, &p);
	return ST_OK;
}

/* The row may have gone, or come back, since it was looked at. */
static enum status candidate_read(struct store_txn *t, const struct candidate *c,
				  struct row_gone *out, bool *out_found, struct err *e)
{
	slice row, email;
	struct skey ke =
		key_email(key_account_of(skey_slice(&c->key)), c->gone.msg.row.email);
	enum status st = txn_get(t, skey_slice(&c->key), &row, e);

	*out_found = false;
	if (st == ST_OK && !row_gone_read(row, c->gone.msg.row.uid, out))
		st = damaged(e, "expunged");
	if (st == ST_OK && out->last && !out->moved)
		st = txn_get(t, skey_slice(&ke), &email, e);
	else if (st == ST_OK)
		return ST_OK;
	*out_found = st == ST_OK;
	return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status message_again(struct store_txn *t, struct txn_account *ta,
				 const struct candidate *c, bool pending, size_t *out_n,
				 struct err *e)
{
	struct hot_mbox *m;
	struct row_gone g;
	bool found;
	enum status st = candidate_read(t, c, &g, &found, e);

	if (st != ST_OK || !found)
		return st;
	st = txn_mbox(t, ta, c->mbox, &m, e);
	if (st == err_status(ERR_NO_MAILBOX))
		st = txn_mbox(t, ta, 0, &m, e);
	if (st != ST_OK)
		return st;
	if (m->row.uidnext == UINT32_MAX)
		return err_set(e, ERR_LIMIT, "the mailbox has given out all UIDs");
	struct row_message msg = g.msg;

	msg.placed = true;
	msg.row.uid = m->row.uidnext++;
	msg.row.modseq = txn_modseq(ta);
	msg.row.flags.sys &= ~(uint32_t)FLAG_DELETED;
	msg.row.saved = saved_now(t->s);
	st = place_again(t, ta->id, msg.row.email, m->id, msg.row.uid, e);
	if (st != ST_OK)
		return st;
	txn_message_put(t, ta->id, m->id, &msg);
	count_message(ta, m, &msg, 1);
	txn_log(t, ta, m, LOG_ADDED, msg.row.uid);
	++*out_n;
	if (!pending) {
		held_take(ta, msg.row.size, 1);
		txn_del(t, skey_slice(&c->key));
		return ST_OK;
	}
	AUTO_BUF b = {
		0
	}; /* a view may show the old one still: the sweep clears the row */

	g.last = false;
	buf_init(&b, 256);
	row_gone_write(&b, &g);
	txn_put_buf(t, skey_slice(&c->key), &b);
	return ST_OK;
}

static enum status batch_again(struct store *s, uint32_t account,
			       const struct candidate *at, size_t n, bool pending,
			       size_t *out_n, struct err *e)
{
	struct store_txn *t;
	struct txn_account *ta;
	size_t done = 0;
	enum status st = txn_begin_wait(s, &account, 1, &t, e);

	if (st != ST_OK)
		return st;
	st = txn_account(t, account, &ta, e);
	for (size_t i = 0; i < n && st == ST_OK; i++)
		st = message_again(t, ta, &at[i], pending, &done, e);
	if (st != ST_OK) {
		store_abort(t);
		return st;
	}
	st = store_commit_wait(t, e);
	if (st == ST_OK)
		*out_n += done;
	return st;
}

static enum status messages_again(struct store *s, uint32_t account,
				  const struct store_undelete *u, const struct boxes *b,
				  bool pending, size_t *out_n, struct err *e)
{
	AUTO_MEM struct candidate *at = mem_array(UNDELETE_BATCH, sizeof(*at));
	AUTO_ARENA a = { 0 };
	struct candidates l = {
		.at = at, .max = UNDELETE_BATCH, .since = u->since, .pending = pending
	};
	struct skey from = candidates_from(account, pending);
	enum status st;

	arena_init(&a);
	do {
		size_t n = 0;

		st = candidates_read(s, account, &from, &l, e);
		for (size_t i = 0; i < l.n && st == ST_OK; i++) {
			struct store_email m;

			arena_reset(&a);
			if (wants(s, account, u, b, &at[i], &a, &m))
				at[n++] = at[i];
		}
		if (st == ST_OK && n)
			st = batch_again(s, account, at, n, pending, out_n, e);
		from = l.last;
		skey_next_prefix(&from);
	} while (st == ST_OK && l.is_full);
	return st;
}

/* --- mailboxes ---------------------------------------------------------------------- */
static enum status box_again(struct store *s, uint32_t account, uint32_t id,
			     size_t *out_n, struct err *e)
{
	slice row;
	struct row_kept_mbox kept;
	struct store_txn *t;
	struct txn_account *ta;
	struct skey k = key_kept_mbox(account, id);
	enum status st = txn_begin_wait(s, &account, 1, &t, e);

	if (st != ST_OK)
		return st;
	st = txn_account(t, account, &ta, e);
	if (st == ST_OK)
		st = txn_get(t, skey_slice(&k), &row, e);
	if (st == ST_NOT_FOUND) { /* somebody was faster */
		store_abort(t);
		return ST_OK;
	}
	if (st == ST_OK && !row_kept_mbox_read(row, &kept))
		st = damaged(e, "kept mailbox");
	if (st == ST_OK)
		st = mbox_restore(t, ta, id, &kept, e);
	if (st != ST_OK) {
		store_abort(t);
		return st;
	}
	held_take(ta, kept.mbox.bytes, kept.mbox.messages);
	txn_del(t, skey_slice(&k));
	st = store_commit_wait(t, e);
	if (st == ST_OK)
		++*out_n;
	return st;
}

enum status store_undelete(struct store *s, uint32_t account,
			   const struct store_undelete *wanted, size_t *out_messages,
			   size_t *out_mailboxes, struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct boxes b;
	struct store_undelete u;
	size_t messages = 0, mailboxes = 0;

	arena_init(&a);
	undelete_canonical(&a, wanted, &u);
	enum status st = boxes_read(s, account, &a, &b, e);

	for (size_t i = 0; i < b.n_kept && st == ST_OK; i++) {
		if (!wants_box(&u, &b.kept[i].row))
			continue;
		st = box_again(s, account, b.kept[i].id, &mailboxes, e);
		if (st == ST_OK)
			messages += b.kept[i].row.mbox.messages;
	}
	if (st == ST_OK)
		st = messages_again(s, account, &u, &b, false, &messages, e);
	if (st == ST_OK)
		st = messages_again(s, account, &u, &b, true, &messages, e);
	*out_messages = messages;
	*out_mailboxes = mailboxes;
	return st;
}

/* --- accounts ----------------------------------------------------------------------- */
struct kept_account_scan {
	struct arena *a;
	slice address;
	struct store_removed *at;
	size_t n, cap;
};

static bool take_kept_account(void *ctx, slice key, slice value)
{
	struct kept_account_scan *l = ctx;
	struct row_kept_account k;
	struct row_account r;
	struct rd id = rd_init(slice_from(key, 1));

	if (!row_kept_account_read(value, &k) || !row_account_read(k.account, &r) ||
	    (l->address.n && !slice_eq(k.address, l->address)))
		return true;
	if (l->n == l->cap) {
		struct store_removed *old = l->at;

		l->cap = l->cap ? l->cap * 2 : 8;
		l->at = arena_array(l->a, l->cap, sizeof(*l->at));
		if (l->n)
			memcpy(l->at, old, l->n * sizeof(*l->at));
	}
	l->at[l->n++] = (struct store_removed){ .id = rd_u32(&id),
						.address = arena_dup(l->a, k.address),
						.removed = k.time,
						.bytes = r.bytes,
						.messages = r.messages };
	return true;
}

static enum status kept_accounts(struct store *s, struct kept_account_scan *l,
				 struct err *e)
{
	struct skey from = key_kept_account_prefix(), to = from;

	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };

	return kv_scan(s->kv, NULL, &r, take_kept_account, l, e);
}

enum status store_account_removed(struct store *s, struct arena *a,
				  struct store_removed **out, size_t *out_n,
				  struct err *e)
{
	struct kept_account_scan l = { .a = a };
	enum status st = kept_accounts(s, &l, e);

	*out = l.at;
	*out_n = l.n;
	return st;
}

enum status store_account_undelete(struct store *s, slice address, struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct address addr;
	struct store_txn *t;
	struct kept_account_scan l = { .a = &a };

	arena_init(&a);
	if (!address_fold(&a, address, &addr) || addr.domain.n == 0)
		return err_set(e, ERR_SYNTAX, "'%.*s' is not an address", FMT(address));
	l.address = address_join(&a, &addr);
	enum status st = kept_accounts(s, &l, e);

	if (st == ST_OK && l.n == 0)
		return err_set(e, ERR_NO_ACCOUNT, "no removed account %.*s is kept",
			       FMT(l.address));
	if (st != ST_OK)
		return st;
	const uint32_t ids[] = { 0, l.at[l.n - 1].id }; /* the last one made */

	st = txn_begin_wait(s, ids, 2, &t, e);
	if (st != ST_OK)
		return st;
	st = account_restore(t, ids[1], e);
	if (st != ST_OK) {
		store_abort(t);
		return st;
	}
	return store_commit_wait(t, e);
}
