/* store_sweep.c — what was unlinked is cleared when nothing shows it any more, in
 * transactions of bounded size. */
#include "store/store_int.h"

#define SWEEP_BATCH 500

struct gone_key {
	uint32_t account, mbox, uid;
	char type;
};
struct gone_scan {
	struct gone_key *at;
	size_t n, max;
	struct gone_key last; /* where the next scan goes on */
};

static bool take_gone(void *ctx, slice key, slice value)
{
	struct gone_scan *l = ctx;
	struct rd r = rd_init(slice_from(key, 1));
	struct gone_key g = { .account = rd_u32(&r) };

	(void)value;
	g.type = (char)rd_u8(&r);
	if (g.type == 'f' || g.type == 'x')
		g.mbox = rd_u32(&r);
	if (g.type == 'x')
		g.uid = rd_u32(&r);
	if (l->n == l->max || (l->n && l->at[0].account != g.account))
		return false; /* one account at a time */
	l->at[l->n++] = g;
	return true;
}

static struct skey gone_key(const struct gone_key *g)
{
	switch (g->type) {
	case 'x':
		return key_gone(g->account, g->mbox, g->uid);
	case 'f':
		return key_gone_mbox(g->account, g->mbox);
	case 'l':
		return key_gone_log(g->account);
	default:
		return key_gone_account(g->account);
	}
}

/* --- expunged messages -------------------------------------------------------------- */
struct sweep {
	struct store *s;
	uint32_t account;
	uint64_t *held; /* emails that a view still shows, from whatever mailbox they
			   were expunged; ascending */
	size_t n_held, cap_held;
	uint64_t oldest; /* view of the mailbox that is being looked at */
	size_t done;
	bool damaged; /* rows that could not be read were left behind */
};

static int email_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool is_held(const struct sweep *w, uint64_t email)
{
	return w->n_held &&
	       bsearch(&email, w->held, w->n_held, sizeof(*w->held), email_compare);
}

static bool take_held(void *ctx, slice key, slice value)
{
	struct sweep *w = ctx;
	struct row_gone g;

	(void)key;
	if (!row_gone_read(value, 0, &g) || g.modseq <= w->oldest)
		return true; /* a damaged one is told where it is swept */
	if (w->n_held == w->cap_held) {
		w->cap_held = w->cap_held ? w->cap_held * 2 : 64;
		w->held = mem_grow(w->held, w->cap_held, sizeof(*w->held));
	}
	w->held[w->n_held++] = g.msg.row.email;
	return true;
}

/* An email that has gone from its last mailbox may still be shown by a view of one that
 * it left before. Without the account's lock: what was expunged for the last time is in
 * the store with all that came before, and views that are opened later show none of it. */
static enum status held_find(struct sweep *w, struct err *e)
{
	AUTO_ARENA a = { 0 };
	uint32_t *mbox;
	size_t n = view_mailboxes(w->s, w->account, &a, &mbox);
	enum status st = ST_OK;

	for (size_t i = 0; i < n && st == ST_OK; i++) {
		struct skey from = key_gone(w->account, mbox[i], 0), to;

		from.n -= 4;
		to = from;
		skey_next_prefix(&to);
		struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };

		w->oldest = view_oldest(w->s, w->account, mbox[i]);
		if (w->oldest != UINT64_MAX)
			st = kv_scan(w->s->kv, NULL, &r, take_held, w, e);
	}
	if (w->n_held)
		qsort(w->held, w->n_held, sizeof(*w->held), email_compare);
	return st;
}

static enum status gone_read(struct store_txn *t, const struct gone_key *g,
			     struct row_gone *out, bool *out_found, struct err *e)
{
	slice row;
	struct skey k = key_gone(g->account, g->mbox, g->uid);
	enum status st = txn_get(t, skey_slice(&k), &row, e);

	*out_found = st == ST_OK;
	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st != ST_OK)
		return st;
	return row_gone_read(row, g->uid, out) ? ST_OK : damaged(e, "expunged");
}

/* The last of an expunged message: kept for undelete from now on. */
static enum status gone_keep(struct sweep *w, struct store_txn *t,
			     const struct gone_key *at, const struct row_gone *g,
			     struct err *e)
{
	AUTO_BUF b = { 0 };
	struct txn_account *ta;
	int64_t now = saved_now(w->s);
	struct skey k = key_kept(w->account, now, at->mbox, at->uid);
	enum status st = txn_account(t, w->account, &ta, e);

	if (st == ST_OK)
		held_give(ta, g->msg.row.size, 1);
	else if (st !=
		 err_status(ERR_NO_ACCOUNT)) /* removed, and kept: counted again then */
		return st;
	buf_init(&b, 256);
	row_gone_write(&b, g);
	txn_put_buf(t, skey_slice(&k), &b);
	kept_note(t, KEPT_MESSAGES, w->account, 0, now);
	return ST_OK;
}

static enum status sweep_messages(struct sweep *w, struct store_txn *t,
				  const struct gone_key *at, size_t n, struct err *e)
{
	struct row_gone *rows = arena_array(t->a, n + 1, sizeof(*rows));
	bool *found = arena_array(t->a, n + 1, sizeof(bool));
	bool keeps = policy_keep_days(w->s) > 0;

	for (size_t i = 0; i < n; i++) {
		struct err why = { 0 };
		enum status st = gone_read(t, &at[i], &rows[i], &found[i], &why);

		if (st != ST_OK && why.code == ERR_CORRUPT) {
			found[i] = false; /* stays, for facteur check; the others go */
			w->damaged = true;
			continue;
		}
		if (st != ST_OK) {
			if (e)
				*e = why;
			return st;
		}
		if (found[i] &&
		    view_may_show(w->s, w->account, at[i].mbox, rows[i].modseq))
			found[i] = false;
	}
	for (size_t i = 0; i < n; i++) {
		struct skey k = key_gone(at[i].account, at[i].mbox, at[i].uid);
		enum status st = ST_OK;

		if (!found[i] || (rows[i].last && is_held(w, rows[i].msg.row.email)))
			continue;
		if (rows[i].last && !rows[i].moved && keeps)
			st = gone_keep(w, t, &at[i], &rows[i], e);
		else if (rows[i].last)
			st = email_remove_unless_placed(t, w->account,
							rows[i].msg.row.email, e);
		if (st != ST_OK)
			return st;
		txn_del(t, skey_slice(&k));
		w->done++;
	}
	return ST_OK;
}

/* --- deleted mailboxes -------------------------------------------------------------- */
struct clear_scan {
	struct arena *a;
	struct row_message *at;
	size_t n;
};

static bool take_clear(void *ctx, slice key, slice value)
{
	struct clear_scan *l = ctx;

	if (l->n == SWEEP_BATCH)
		return false;
	if (!row_message_read(value, key_message_uid(key), &l->at[l->n]))
		/* The mailbox was to go: its key is enough. facteur check finds what it had. */
		l->at[l->n] = (struct row_message){ .row.uid = key_message_uid(key) };
	l->n++;
	return true;
}

/* The last place of an email that a view of another mailbox shows: it waits as one that
 * was expunged. */
static void gone_put(struct sweep *w, struct store_txn *t, uint32_t mbox,
		     const struct row_message *msg)
{
	AUTO_BUF b = { 0 };
	struct row_gone g = {
		.modseq = msg->row.modseq,
		.time = clock_now_s(w->s->clock),
		.last = true,
		.msg = *msg,
	};
	struct skey k = key_gone(w->account, mbox, msg->row.uid);

	buf_init(&b, 256);
	row_gone_write(&b, &g);
	txn_put_buf(t, skey_slice(&k), &b);
}

static enum status sweep_mailbox(struct sweep *w, struct store_txn *t, uint32_t mbox,
				 struct err *e)
{
	struct clear_scan l = { .a = t->a };
	struct skey from = key_messages(w->account, mbox), to = from,
		    gone = key_gone_mbox(w->account, mbox);

	if (view_may_show(w->s, w->account, mbox, UINT64_MAX))
		return ST_OK;
	l.at = arena_array(t->a, SWEEP_BATCH, sizeof(*l.at));
	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };
	enum status st = kv_scan(w->s->kv, t->kt, &r, take_clear, &l, e);

	for (size_t i = 0; i < l.n && st == ST_OK; i++) {
		struct skey k = key_message(w->account, mbox, l.at[i].row.uid);
		bool last;

		if (l.at[i].row.email == 0) {
			txn_del(t, skey_slice(&k));
			continue;
		}
		st = place_remove(t, w->account, &l.at[i], mbox, &last, e);
		if (st == ST_OK && last && is_held(w, l.at[i].row.email))
			gone_put(w, t, mbox, &l.at[i]);
		else if (st == ST_OK && last)
			st = email_remove(t, w->account, l.at[i].row.email, e);
		txn_del(t, skey_slice(&k));
	}
	if (st != ST_OK)
		return st;
	w->done += l.n + 1;
	if (l.n < SWEEP_BATCH)
		txn_del(t, skey_slice(&gone));
	return ST_OK;
}

/* --- change logs -------------------------------------------------------------------- */
struct prune_scan {
	struct store_txn *t;
	size_t n;
	uint64_t last;
};

static bool take_log_row(void *ctx, slice key, slice value)
{
	struct prune_scan *p = ctx;
	struct rd r = rd_init(slice_from(key, 6));
	uint64_t modseq = rd_u64(&r);

	(void)value;
	if (p->n >= SWEEP_BATCH && modseq != p->last) /* never half of a transaction */
		return false;
	p->last = modseq;
	p->n++;
	txn_del(p->t, key);
	return true;
}

/* What is older than LIMIT_CHANGE_LOG goes; the floor tells who asks for it (RFC 7162
 * 5.1). */
static enum status sweep_log(struct sweep *w, struct store_txn *t, struct err *e)
{
	struct txn_account *ta;
	struct prune_scan p = { .t = t };
	struct skey gone = key_gone_log(w->account);
	enum status st = txn_account(t, w->account, &ta, e);

	if (st == err_status(ERR_NO_ACCOUNT) ||
	    (st == ST_OK && ta->hot->row.modseq < LIMIT_CHANGE_LOG)) {
		txn_del(t, skey_slice(&gone));
		w->done++;
		return ST_OK;
	}
	if (st != ST_OK)
		return st;
	uint64_t floor = ta->hot->row.modseq - LIMIT_CHANGE_LOG;
	struct skey from = key_log(w->account, ta->hot->row.log_floor, 0);
	struct skey to = key_log(w->account, floor + 1, 0);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };

	st = kv_scan(w->s->kv, t->kt, &r, take_log_row, &p, e);
	if (st != ST_OK)
		return st;
	if (p.n < SWEEP_BATCH) {
		txn_del(t, skey_slice(&gone));
		p.last = floor;
	}
	if (p.last > ta->hot->row.log_floor) {
		ta->hot->row.log_floor = p.last;
		ta->hot->dirty = true;
	}
	w->done += p.n + 1;
	return ST_OK;
}

/* --- removed accounts --------------------------------------------------------------- */
struct purge_scan {
	struct store_txn *t;
	uint32_t account;
	size_t n;
};

static bool take_purge(void *ctx, slice key, slice value)
{
	struct purge_scan *p = ctx;
	struct row_email r;

	if (p->n == SWEEP_BATCH)
		return false;
	p->n++;
	if (key.n == 14 && key.p[0] == 'A' && key.p[5] == 'e' &&
	    row_email_read(value, &r)) {
		struct rd id = rd_init(slice_from(key, 6));
		uint64_t email = rd_u64(&id);

		reference_remove(p->t, &r.blob, p->account, email);
		if (r.digest_kind == DIGEST_BLOB)
			reference_remove(p->t, &r.digest_blob, p->account, email);
	}
	txn_del(p->t, key);
	return true;
}

static enum status purge(struct purge_scan *p, struct skey from, struct skey to,
			 struct err *e)
{
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };

	return kv_scan(p->t->s->kv, p->t->kt, &r, take_purge, p, e);
}

static enum status sweep_account(struct sweep *w, struct store_txn *t, struct err *e)
{
	struct purge_scan p = { .t = t, .account = w->account };
	struct skey from = key_account_prefix(w->account), to = from,
		    gone = key_gone_account(w->account);
	struct skey first = key_gone(w->account, 0, 0), end;

	skey_next_prefix(&to);
	enum status st = purge(&p, from, to, e);

	/* Then the work left in X: f and x sort before z, which goes last of all. */
	end = gone;
	first.n = 6;
	first.b[5] = 'f';
	if (st == ST_OK && p.n < SWEEP_BATCH)
		st = purge(&p, first, end, e);
	if (st == ST_OK && p.n < SWEEP_BATCH)
		txn_del(t, skey_slice(&gone));
	w->done += p.n + 1;
	return st;
}

/* --- UIDVALIDITY -------------------------------------------------------------------- */
struct value_scan {
	uint32_t at[SWEEP_BATCH];
	size_t n;
};

static bool take_value(void *ctx, slice key, slice value)
{
	struct value_scan *l = ctx;
	struct rd r = rd_init(slice_from(key, 1));

	(void)value;
	if (l->n == SWEEP_BATCH)
		return false;
	l->at[l->n++] = rd_u32(&r);
	return true;
}

/* All but the highest may go; worth a transaction when there are some. */
static enum status sweep_uidvalidity(struct store *s, struct err *e)
{
	static const uint32_t lock[] = { 0 };
	struct value_scan l = { .n = 0 };
	struct kv_range r = { .from = SL("V"), .to = SL("W") };
	struct store_txn *t;
	enum status st = kv_scan(s->kv, NULL, &r, take_value, &l, e);

	if (st != ST_OK || l.n < SWEEP_BATCH / 4)
		return st;
	st = txn_begin_wait(s, lock, 1, &t, e);
	if (st != ST_OK)
		return st;
	store_txn_frees(t);
	for (size_t i = 0; i + 1 < l.n; i++) {
		struct skey k = key_uidvalidity(l.at[i]);

		txn_del(t, skey_slice(&k));
	}
	return store_commit_wait(t, e);
}

/* --- the whole ---------------------------------------------------------------------- */
static enum status sweep_one(struct sweep *w, struct store_txn *t,
			     const struct gone_key *at, size_t n, struct err *e)
{
	size_t first_x = 0;

	for (size_t i = 0; i < n; i++)
		if (at[i].type == 'z')
			return sweep_account(w, t, e);
	for (size_t i = 0; i < n && at[i].type == 'f'; i++) {
		enum status st = sweep_mailbox(w, t, at[i].mbox, e);

		if (st != ST_OK || w->done >= SWEEP_BATCH)
			return st;
		first_x = i + 1;
	}
	if (first_x < n && at[first_x].type == 'l') {
		enum status st = sweep_log(w, t, e);

		if (st != ST_OK || w->done >= SWEEP_BATCH)
			return st;
		first_x++;
	}
	return sweep_messages(w, t, at + first_x, n - first_x, e);
}

static enum status sweep_batch(struct store *s, const struct gone_key *at, size_t n,
			       size_t *out_done, struct err *e)
{
	struct sweep w = { .s = s, .account = at[0].account };
	struct store_txn *t;
	enum status st = held_find(&w, e);

	if (st == ST_OK)
		st = txn_begin_wait(s, &w.account, 1, &t, e);
	if (st == ST_OK) {
		store_txn_frees(t);
		st = sweep_one(&w, t, at, n, e);
		if (st != ST_OK || w.done == 0)
			store_abort(t);
		else
			st = store_commit_wait(t, e);
	}
	mem_free(w.held);
	if (st == ST_OK && w.damaged && w.done == 0)
		st = damaged(e, "expunged");
	if (st == ST_OK)
		*out_done = w.done;
	return st;
}

/* Where the scan goes on: behind this account, or behind the last row of it that stays.
 */
static struct skey next_key(const struct gone_key *last, bool same_account)
{
	struct skey k = gone_key(last);

	if (!same_account)
		k.n = 5; /* prefix of the account */
	skey_next_prefix(&k);
	return k;
}

enum status store_sweep(struct store *s, size_t max, size_t *out_done, struct err *e)
{
	AUTO_MEM struct gone_key *list = mem_array(SWEEP_BATCH, sizeof(*list));
	struct skey from = key_gone_prefix(), to = from;
	size_t total = 0;
	struct err damage = { 0 };
	enum status st = sweep_uidvalidity(s, e);

	skey_next_prefix(&to);
	while (st == ST_OK && total < max) {
		struct gone_scan l = { .at = list, .max = SWEEP_BATCH };
		struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };
		size_t done = 0;

		st = kv_scan(s->kv, NULL, &r, take_gone, &l, e);
		if (st != ST_OK || l.n == 0)
			break;
		struct err why = { 0 };

		st = sweep_batch(s, list, l.n, &done, &why);
		total += done;
		if (st != ST_OK && why.code == ERR_CORRUPT) {
			/* Damage stays in its account, and is told in the end. */
			if (damage.code == ERR_NONE)
				damage = why;
			st = ST_OK;
			from = next_key(&list[0], false);
		} else if (st != ST_OK) {
			if (e)
				*e = why;
		} else if (done == 0) {
			/* all of these are still shown, or another sweep was faster */
			from = next_key(&list[l.n - 1], l.n == SWEEP_BATCH);
		}
	}
	if (out_done)
		*out_done = total;
	if (st == ST_OK && damage.code != ERR_NONE) {
		if (e)
			*e = damage;
		st = err_status(damage.code);
	}
	return st;
}
