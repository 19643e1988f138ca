/* store_txn.c — transactions: hot rows loaded once and written once, one change log row,
 * publications. */
#include "store/store_int.h"

/* --- rows --------------------------------------------------------------------------- */
enum status txn_get(struct store_txn *t, slice key, slice *out, struct err *e)
{
	return kv_get(t->s->kv, t->kt, key, t->a, out, e);
}

#define ROW_OVERHEAD 24 /* what kv counts for a row beside its bytes, and some */

/* The limits of kv are checked here as well: a transaction that kv would refuse must not
 * leave hot rows behind. */
void txn_put(struct store_txn *t, slice key, slice value)
{
	if (key.n > LIMIT_KEY || value.n > LIMIT_VALUE) {
		if (t->broken.code == ERR_NONE)
			(void)err_set(&t->broken, ERR_LIMIT,
				      "a row would be longer than the store takes");
		return;
	}
	t->bytes += key.n + value.n + ROW_OVERHEAD;
	if (t->bytes > LIMIT_TXN) {
		if (t->broken.code == ERR_NONE)
			(void)err_set(&t->broken, ERR_LIMIT,
				      "too much for one transaction");
		return;
	}
	kv_put(t->kt, key, value);
}

void txn_put_buf(struct store_txn *t, slice key, const struct buf *b)
{
	if (b->full && t->broken.code == ERR_NONE)
		(void)err_set(&t->broken, ERR_LIMIT,
			      "a row would be longer than the store takes");
	txn_put(t, key, buf_slice(b));
}

void txn_put_empty(struct store_txn *t, slice key)
{
	static const char version[] = { SCHEMA_ROW };

	txn_put(t, key, slice_make(version, 1));
}

void txn_del(struct store_txn *t, slice key)
{
	t->bytes += key.n + ROW_OVERHEAD;
	if (t->bytes > LIMIT_TXN && t->broken.code == ERR_NONE)
		(void)err_set(&t->broken, ERR_LIMIT, "too much for one transaction");
	kv_del(t->kt, key);
}

void reference_remove(struct store_txn *t, const struct blob_id *blob, uint32_t account,
		      uint64_t email)
{
	struct skey k = key_reference(blob, account, email);

	txn_del(t, skey_slice(&k));
	kv_blob_unref(t->kt, blob);
}

enum status txn_break(struct store_txn *t, const struct err *why)
{
	if (t->broken.code == ERR_NONE)
		t->broken = *why;
	return err_status(why->code);
}

/* --- begin -------------------------------------------------------------------------- */
static struct txn_account *txn_slot(struct store_txn *t, uint32_t account)
{
	struct txn_account *ta = ARENA_NEW(t->a, struct txn_account);

	if (t->n == t->cap) {
		struct txn_account **old = t->acct;

		t->cap *= 2;
		t->acct = arena_array(t->a, t->cap, sizeof(struct txn_account *));
		memcpy(t->acct, old, t->n * sizeof(struct txn_account *));
	}
	ta->id = account;
	ta->log_tail = &ta->log;
	t->acct[t->n++] = ta;
	return ta;
}

enum status store_begin(struct store *s, const uint32_t *accounts, size_t n,
			struct parked *park, struct store_txn **out, struct err *e)
{
	struct kv_txn *kt;
	enum status st = kv_begin(s->kv, accounts, n, park, &kt, e);

	if (st != ST_OK)
		return st;
	struct arena *a = kv_txn_arena(kt);
	struct store_txn *t = ARENA_NEW(a, struct store_txn);

	t->s = s;
	t->kt = kt;
	t->a = a;
	t->cap = n + 1;
	t->acct = arena_array(a, t->cap, sizeof(struct txn_account *));
	for (size_t i = 0; i < n; i++) {
		if (accounts[i] == 0) {
			t->has_directory_lock = true;
			continue;
		}
		txn_slot(t, accounts[i]);
	}
	*out = t;
	return ST_OK;
}

enum status txn_begin_wait(struct store *s, const uint32_t *accounts, size_t n,
			   struct store_txn **out, struct err *e)
{
	return store_begin(s, accounts, n, NULL, out, e);
}

void store_unpark(struct store *s, struct parked *park)
{
	kv_unpark(s->kv, park);
}

void store_txn_frees(struct store_txn *t)
{
	kv_txn_frees(t->kt);
}

enum status store_disk_room(struct store *s, struct err *e)
{
	return kv_room(s->kv, e);
}

bool store_disk_room_cached(struct store *s)
{
	return kv_room_cached(s->kv);
}

/* --- hot rows ----------------------------------------------------------------------- */
static enum status account_load(struct store_txn *t, struct txn_account *ta,
				struct err *e)
{
	slice row;
	struct skey k = key_account(ta->id);
	uint64_t epoch = kv_lock_epoch(
		t->s->kv, ta->id); /* before the read: what is dropped later voids it */
	enum status st = txn_get(t, skey_slice(&k), &row, e);

	if (st == ST_NOT_FOUND)
		return err_set(e, ERR_NO_ACCOUNT, "there is no such account");
	if (st != ST_OK)
		return st;
	struct hot *h = hot_new(ta->id);

	if (!row_account_read(row, &h->row)) {
		hot_free(h);
		return damaged(e, "account");
	}
	h->epoch = epoch;
	ta->hot = h;
	return ST_OK;
}

enum status txn_account(struct store_txn *t, uint32_t account, struct txn_account **out,
			struct err *e)
{
	struct txn_account *ta = NULL;

	for (size_t i = 0; i < t->n && !ta; i++)
		if (t->acct[i]->id == account)
			ta = t->acct[i];
	if (!ta)
		return err_set(e, ERR_CANNOT,
			       "the transaction does not hold this account");
	if (!ta->hot) {
		ta->hot = hot_take(t->s, account);
		enum status st = ta->hot ? ST_OK : account_load(t, ta, e);

		if (st != ST_OK)
			return st;
		ta->bytes = ta->hot->row.bytes;
		ta->messages = ta->hot->row.messages;
	}
	*out = ta;
	return ST_OK;
}

/* A new account needs no lock: nobody else knows its id. */
struct txn_account *txn_account_new(struct store_txn *t, uint32_t account)
{
	struct txn_account *ta = txn_slot(t, account);

	ta->is_new = true;
	ta->hot = hot_new(account);
	ta->hot->dirty = true;
	ta->hot->row.next_email = 1;
	ta->hot->row.next_mbox = 1;
	return ta;
}

enum status txn_directory(struct store_txn *t, struct row_directory **out, struct err *e)
{
	struct store *s = t->s;
	slice row;
	struct skey k = key_directory();

	if (!t->has_directory_lock)
		return err_set(e, ERR_CANNOT,
			       "the transaction does not hold the directory");
	uint64_t epoch = kv_lock_epoch(s->kv, 0);

	if (!s->has_directory || s->directory_epoch != epoch) {
		enum status st = txn_get(t, skey_slice(&k), &row, e);

		if (st != ST_OK)
			return st == ST_NOT_FOUND ? damaged(e, "directory") : st;
		if (!row_directory_read(row, &s->directory))
			return damaged(e, "directory");
		s->directory_epoch = epoch;
		s->has_directory = true;
	}
	*out = &s->directory;
	return ST_OK;
}

enum status txn_mbox_any(struct store_txn *t, struct txn_account *ta, uint32_t mbox,
			 struct hot_mbox **out, struct err *e)
{
	if (mbox == 0)
		mbox = ta->hot->row.role[ROLE_INBOX];
	struct hot_mbox *m = hot_find(ta->hot, mbox);

	if (!m) {
		slice row;
		struct row_mbox r;
		struct skey k = key_mbox(ta->id, mbox);
		enum status st = txn_get(t, skey_slice(&k), &row, e);

		if (st == ST_NOT_FOUND)
			return err_set(e, ERR_NO_MAILBOX, "there is no such mailbox");
		if (st != ST_OK)
			return st;
		if (!row_mbox_read(row, &r))
			return damaged(e, "mailbox");
		m = hot_add(ta->hot, mbox, &r);
	}
	if (m->removed)
		return err_set(e, ERR_NO_MAILBOX, "there is no such mailbox");
	*out = m;
	return ST_OK;
}

enum status txn_mbox(struct store_txn *t, struct txn_account *ta, uint32_t mbox,
		     struct hot_mbox **out, struct err *e)
{
	struct hot_mbox *m;
	enum status st = txn_mbox_any(t, ta, mbox, &m, e);

	if (st != ST_OK)
		return st;
	if (!m->row.exists)
		return err_set(e, ERR_NO_MAILBOX, "this name holds no messages");
	*out = m;
	return ST_OK;
}

uint32_t txn_uidvalidity(struct store_txn *t)
{
	uint32_t last = atomic_load(&t->s->last_uidvalidity), v;
	int64_t now = clock_now_s(t->s->clock);

	do {
		v = last + 1;
		if (now > (int64_t)v && now < UINT32_MAX)
			v = (uint32_t)now;
	} while (!atomic_compare_exchange_weak(&t->s->last_uidvalidity, &last, v));
	if (v > t->uidvalidity)
		t->uidvalidity = v;
	return v;
}

uint64_t txn_modseq(struct txn_account *ta)
{
	if (!ta->modseq) {
		ta->modseq = ++ta->hot->row.modseq;
		ta->hot->dirty = true;
	}
	return ta->modseq;
}

/* --- change log --------------------------------------------------------------------- */
static struct log_list *log_find(struct store_txn *t, struct txn_account *ta,
				 enum log_op op, uint32_t mbox)
{
	for (struct log_list *l = ta->log; l; l = l->next)
		if (l->op == op && l->mbox == mbox)
			return l;
	struct log_list *l = ARENA_NEW(t->a, struct log_list);

	l->op = op;
	l->mbox = mbox;
	l->sorted = true;
	*ta->log_tail = l;
	ta->log_tail = &l->next;
	return l;
}

void txn_log(struct store_txn *t, struct txn_account *ta, struct hot_mbox *m,
	     enum log_op op, uint32_t uid)
{
	struct log_list *l = log_find(t, ta, op, m->id);

	m->row.modseq = txn_modseq(ta);
	m->dirty = true;
	if (l->n == l->cap) {
		uint32_t *old = l->uid;

		l->cap = l->cap ? l->cap * 2 : 4;
		l->uid = arena_array(t->a, l->cap, sizeof(uint32_t));
		if (l->n)
			memcpy(l->uid, old, l->n * sizeof(uint32_t));
	}
	if (l->n && uid <= l->uid[l->n - 1])
		l->sorted = false;
	l->uid[l->n++] = uid;
}

void txn_log_mailbox(struct store_txn *t, struct txn_account *ta, uint32_t mbox)
{
	txn_modseq(ta);
	log_find(t, ta, LOG_MAILBOX, mbox);
}

static int uid_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void log_sort(struct log_list *l)
{
	size_t n = 0;

	qsort(l->uid, l->n, sizeof(uint32_t), uid_compare);
	for (size_t i = 0; i < l->n; i++)
		if (n == 0 || l->uid[n - 1] != l->uid[i])
			l->uid[n++] = l->uid[i];
	l->n = n;
}

static void log_row(struct store_txn *t, struct txn_account *ta, uint8_t *part,
		    struct buf *b)
{
	struct skey k = key_log(ta->id, ta->modseq, (*part)++);

	txn_put_buf(t, skey_slice(&k), b);
	buf_reset(b);
	row_log_start(b);
}

#define LOG_MARK  1000u /* how often the sweep is told that the log has grown */
#define LOG_PIECE 4096u /* uids: ≤ 40 KB however they lie */

static void log_write(struct store_txn *t, struct txn_account *ta)
{
	AUTO_BUF b = { 0 };
	uint8_t part = 0;

	buf_init(&b, LIMIT_VALUE);
	row_log_start(&b);
	for (struct log_list *l = ta->log; l; l = l->next) {
		if (!l->sorted)
			log_sort(l);
		size_t at = 0;

		do {
			size_t n = l->n - at < LOG_PIECE ? l->n - at : LOG_PIECE;

			/* A piece that the whole rest continues without a gap costs
			 * nothing more: runs. */
			while (at + n < l->n && l->uid[at + n] == l->uid[at + n - 1] + 1)
				n++;
			if (b.n > LIMIT_VALUE / 2)
				log_row(t, ta, &part, &b);
			row_log_entry(&b, l->op, l->mbox, l->n ? l->uid + at : NULL, n);
			at += n;
		} while (at < l->n);
	}
	log_row(t, ta, &part, &b);
}

/* --- commit ------------------------------------------------------------------------- */
struct publication {
	uint32_t account, mbox;
};
struct commit {
	struct done done;
	struct store *s;
	struct done *user;
	bool directory;
	size_t n;
	struct publication pub[];
};

static void account_write(struct store_txn *t, struct txn_account *ta)
{
	struct hot *h = ta->hot;
	AUTO_BUF b = { 0 };

	buf_init(&b, LIMIT_VALUE);
	if (ta->is_gone)
		return;
	for (size_t i = 0; i < h->n_mbox; i++) {
		struct hot_mbox *m = h->mbox[i];
		struct skey k = key_mbox(ta->id, m->id);

		if (m->removed) {
			txn_del(t, skey_slice(&k));
		} else if (m->dirty) {
			buf_reset(&b);
			row_mbox_write(&b, &m->row);
			txn_put_buf(t, skey_slice(&k), &b);
		}
	}
	if (h->dirty) {
		struct skey k = key_account(ta->id);
		unsigned level = h->row.warned ? quota_level(t->s, &h->row) : 0;

		if (level <
		    h->row.warned) /* fallen below: the next crossing counts again */
			h->row.warned = (uint8_t)level;

		buf_reset(&b);
		row_account_write(&b, &h->row);
		txn_put_buf(t, skey_slice(&k), &b);
	}
	if (ta->log)
		log_write(t, ta);
	if (ta->modseq && ta->modseq % LOG_MARK == 0 &&
	    ta->modseq - h->row.log_floor > LIMIT_CHANGE_LOG) {
		struct skey k = key_gone_log(ta->id);

		txn_put_empty(t, skey_slice(&k));
	}
}

static void txn_write(struct store_txn *t)
{
	AUTO_BUF b = { 0 };

	for (size_t i = 0; i < t->n; i++)
		if (t->acct[i]->hot)
			account_write(t, t->acct[i]);
	buf_init(&b, LIMIT_VALUE);
	if (t->directory_dirty) {
		struct skey k = key_directory();

		row_directory_write(&b, &t->s->directory);
		txn_put_buf(t, skey_slice(&k), &b);
	}
	if (t->uidvalidity) {
		struct skey k = key_uidvalidity(t->uidvalidity);

		txn_put_empty(t, skey_slice(&k));
	}
}

static bool published_before(const struct txn_account *ta, const struct log_list *l)
{
	for (const struct log_list *p = ta->log; p != l; p = p->next)
		if (p->mbox == l->mbox)
			return true;
	return false;
}

static struct commit *commit_new(struct store_txn *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		for (struct log_list *l = t->acct[i]->log; l; l = l->next)
			n++;
	struct commit *c = mem_new(sizeof(*c) + n * sizeof(c->pub[0]));

	c->s = t->s;
	c->directory = t->directory_changed;
	for (size_t i = 0; i < t->n; i++)
		for (struct log_list *l = t->acct[i]->log; l; l = l->next)
			if (!published_before(t->acct[i], l))
				c->pub[c->n++] =
					(struct publication){ t->acct[i]->id, l->mbox };
	return c;
}

static void commit_publish(struct commit *c)
{
	if (c->directory) {
		atomic_fetch_add(&c->s->directory_gen, 1);
		atomic_store(&c->s->domains_stale, true);
	}
	for (size_t i = 0; i < c->n; i++)
		watch_publish(c->s, c->pub[i].account, c->pub[i].mbox);
}

static void commit_done(struct done *d, enum status st, const struct err *why)
{
	struct commit *c = (struct commit *)d;
	struct done *user = c->user;

	if (st == ST_OK)
		commit_publish(c);
	mem_free(c);
	user->fn(user, st, why);
}

static void txn_forget(struct store_txn *t)
{
	for (size_t i = 0; i < t->n; i++)
		hot_free(t->acct[i]->hot);
	if (t->has_directory_lock)
		t->s->has_directory = false;
}

/* Everything is written and the hot rows are back: only kv_commit may follow. */
static struct commit *txn_seal(struct store_txn *t, struct err *why)
{
	txn_write(t);
	if (t->broken.code != ERR_NONE) {
		*why = t->broken;
		store_abort(t);
		return NULL;
	}
	struct commit *c = commit_new(t);

	for (size_t i = 0; i < t->n; i++) {
		struct hot *h = t->acct[i]->hot;

		if (!h)
			continue;
		if (t->acct[i]->is_new ||
		    t->acct[i]->is_gone) { /* new: its lock and epoch are not ours */
			hot_free(h);
			continue;
		}
		quota_settle(t->s, h, t->acct[i]->bytes, t->acct[i]->messages);
		hot_put_back(t->s, h);
	}
	return c;
}

void store_commit(struct store_txn *t, struct done *d)
{
	struct err why;
	struct kv_txn *kt = t->kt;
	struct commit *c = txn_seal(t, &why);

	if (!c) {
		d->fn(d, err_status(why.code), &why);
		return;
	}
	c->done.fn = commit_done;
	c->user = d;
	kv_commit(kt, &c->done);
}

enum status store_commit_wait(struct store_txn *t, struct err *e)
{
	struct err why;
	struct kv_txn *kt = t->kt;
	struct commit *c = txn_seal(t, &why);

	if (!c) {
		if (e)
			*e = why;
		return err_status(why.code);
	}
	enum status st = kv_commit_wait(kt, e);

	if (st == ST_OK)
		commit_publish(c);
	mem_free(c);
	return st;
}

void store_abort(struct store_txn *t)
{
	struct kv_txn *kt = t->kt;

	txn_forget(t);
	kv_abort(kt);
}
