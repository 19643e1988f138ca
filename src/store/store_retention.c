/* store_retention.c — what goes by itself as time passes: old mail of mailboxes with an
 * expiry, and what was kept for undelete long enough. docs/adr/0012.
 *
 * Whose time. A clock that is wrong by a year must not empty a Trash. Retention has a time
 * of its own that never goes back and follows the clock; a clock that is more than a day
 * ahead of it is believed only after a day of running in which it kept going evenly.
 * Meanwhile this time goes on with the monotonic clock. What is saved is dated not before
 * it. A server that was off for a week therefore expires nothing on its first day.
 *
 * What is kept is found by the rows Z, in order of time: a run goes on where the last one
 * stopped, and never looks at what is not due. */
#include "store/store_int.h"

#define DAY		86400
#define HOUR		3600
#define KEPT_BATCH	128 /* rows Z read at once */
#define RETENTION_BATCH 500 /* messages a transaction */
#define EXPIRE_ACCOUNTS 200 /* looked at in one run */
#define EXPIRE_PASS_US	(3600ll * 1000000)

struct retention {
	struct row_trusted_time time;
	int64_t written_s;     /* the trusted time that the store has */
	int64_t mono_us;       /* of the last step; 0: none since the start */
	struct skey kept_from; /* rows Z before it are done */
	bool is_passing;       /* a pass over the accounts is under way */
	int64_t pass_us;       /* when it began */
	uint32_t account;      /* the next one of it */
};

/* --- time --------------------------------------------------------------------------- */
void retention_step(struct row_trusted_time *t, int64_t wall, int64_t elapsed)
{
	if (!t->trusted) {
		t->trusted = t->saved_since = wall;
	} else if (wall <= t->trusted) { /* set back, or still */
		t->jump_to = 0;
	} else if (wall - t->trusted - elapsed <= DAY) {
		t->trusted = wall;
		t->jump_to = 0;
	} else {
		int64_t off = wall - t->jump_to - elapsed;

		if (!t->jump_to || off > DAY || off < -DAY) { /* another one */
			t->jump_held = 0;
			elapsed = t->jump_to ? elapsed : 0;
		} else {
			t->jump_held += elapsed;
		}
		t->jump_to = wall;
		t->trusted += elapsed;
		if (t->jump_held >= DAY) {
			t->trusted = wall;
			t->jump_to = 0;
		}
	}
}

enum status retention_open(struct store *s, struct err *e)
{
	AUTO_ARENA a = { 0 };
	slice row;
	struct skey k = key_trusted_time();
	struct retention *r = mem_new(sizeof(*r));

	pthread_mutex_init(&s->retention_lock, NULL);
	s->retention = r;
	r->kept_from = key_kept_due_from(0);
	arena_init(&a);
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), &a, &row, e);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st == ST_OK && !row_trusted_time_read(row, &r->time))
		r->time = (struct row_trusted_time){
			0
		}; /* begins anew: nothing goes early */
	r->written_s = r->time.trusted;
	atomic_store(&s->trusted_s, r->time.trusted);
	return st;
}

void retention_close(struct store *s)
{
	mem_free(s->retention);
	pthread_mutex_destroy(&s->retention_lock);
}

int64_t saved_now(struct store *s)
{
	int64_t now = clock_now_s(s->clock), trusted = atomic_load(&s->trusted_s);

	return now > trusted ? now : trusted;
}

/* Written when it matters for a restart: a jump, or an hour. */
static enum status time_write(struct store *s, const struct row_trusted_time *time,
			      struct err *e)
{
	static const uint32_t lock[] = { 0 };
	struct store_txn *t;
	AUTO_BUF b = { 0 };
	struct skey k = key_trusted_time();
	enum status st = txn_begin_wait(s, lock, 1, &t, e);

	if (st != ST_OK)
		return st;
	buf_init(&b, 64);
	row_trusted_time_write(&b, time);
	txn_put_buf(t, skey_slice(&k), &b);
	store_txn_frees(t);
	return store_commit_wait(t, e);
}

/* *out_now: what may be held against dates. */
static enum status time_step(struct store *s, int64_t *out_now, struct err *e)
{
	struct retention *r = s->retention;
	int64_t wall = clock_now_s(s->clock), mono = clock_mono_us(s->clock);
	int64_t elapsed = r->mono_us ? (mono - r->mono_us) / 1000000 : 0;
	bool was_jumping = r->time.jump_to != 0;

	retention_step(&r->time, wall, elapsed);
	if (!r->mono_us || elapsed)
		r->mono_us += r->mono_us ? elapsed * 1000000 : mono;
	atomic_store(&s->trusted_s, r->time.trusted);
	*out_now = wall < r->time.trusted ? wall : r->time.trusted;
	if (r->written_s && r->time.trusted - r->written_s < HOUR &&
	    was_jumping == (r->time.jump_to != 0))
		return ST_OK;
	enum status st = time_write(s, &r->time, e);

	if (st == ST_OK)
		r->written_s = r->time.trusted;
	return st;
}

/* --- what was kept ------------------------------------------------------------------ */
void kept_note(struct store_txn *t, enum kept_kind kind, uint32_t account, uint32_t mbox,
	       int64_t time)
{
	struct retention *r = t->s->retention;
	struct kept_due due = { time, kind, account, mbox };

	if (kind == KEPT_MESSAGES)
		due.time -= due.time % HOUR;
	struct skey k = key_kept_due(&due);

	txn_put_empty(t, skey_slice(&k));
	pthread_mutex_lock(&t->s->retention_lock);
	if (slice_cmp(skey_slice(&k), skey_slice(&r->kept_from)) < 0)
		r->kept_from = k; /* the clock was set back */
	pthread_mutex_unlock(&t->s->retention_lock);
}

struct kept_rows {
	struct arena *a;
	struct row_gone *at;
	struct skey *key;
	size_t n, max;
};

static bool take_kept_row(void *ctx, slice key, slice value)
{
	struct kept_rows *l = ctx;
	int64_t time;
	uint32_t mbox, uid;

	if (l->n == l->max)
		return false;
	if (!key_kept_read(key, &time, &mbox, &uid) ||
	    !row_gone_read(value, uid, &l->at[l->n]))
		return true; /* stays, for facteur check */
	l->key[l->n++] = key_kept(key_account_of(key), time, mbox, uid);
	return true;
}

void held_take(struct txn_account *ta, uint64_t bytes, uint64_t messages)
{
	struct row_account *r = &ta->hot->row;

	r->held_bytes -= bytes < r->held_bytes ? bytes : r->held_bytes;
	r->held_messages -= messages < r->held_messages ? messages : r->held_messages;
	ta->hot->dirty = true;
}

void held_give(struct txn_account *ta, uint64_t bytes, uint64_t messages)
{
	ta->hot->row.held_bytes += bytes;
	ta->hot->row.held_messages += messages;
	ta->hot->dirty = true;
}

/* An hour of an account: its rows A x up to the end of it. */
static enum status clear_messages(struct store_txn *t, const struct kept_due *due,
				  struct txn_account *ta, bool *out_rest,
				  size_t *out_done, struct err *e)
{
	struct kept_rows l = { .a = t->a, .max = RETENTION_BATCH };
	struct skey from = key_kept_prefix(due->account),
		    to = key_kept(due->account, due->time + HOUR, 0, 0);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };

	l.at = arena_array(t->a, l.max, sizeof(*l.at));
	l.key = arena_array(t->a, l.max, sizeof(*l.key));
	enum status st = kv_scan(t->s->kv, t->kt, &r, take_kept_row, &l, e);

	for (size_t i = 0; i < l.n && st == ST_OK; i++) {
		st = email_remove_unless_placed(t, due->account, l.at[i].msg.row.email,
						e);
		held_take(ta, l.at[i].msg.row.size, 1);
		txn_del(t, skey_slice(&l.key[i]));
	}
	*out_rest = l.n == l.max;
	*out_done += l.n;
	return st;
}

/* From here on the sweep has it. */
static enum status clear_mailbox(struct store_txn *t, const struct kept_due *due,
				 struct txn_account *ta, struct err *e)
{
	slice row;
	struct row_kept_mbox kept;
	struct skey k = key_kept_mbox(due->account, due->mbox),
		    gone = key_gone_mbox(due->account, due->mbox);
	enum status st = txn_get(t, skey_slice(&k), &row, e);

	if (st == ST_NOT_FOUND) /* undeleted meanwhile */
		return ST_OK;
	if (st != ST_OK)
		return st;
	if (!row_kept_mbox_read(row, &kept))
		return damaged(e, "kept mailbox");
	if (kept.time != due->time) /* undeleted and deleted again */
		return ST_OK;
	held_take(ta, kept.mbox.bytes, kept.mbox.messages);
	txn_put_empty(t, skey_slice(&gone));
	txn_del(t, skey_slice(&k));
	return ST_OK;
}

static enum status clear_account(struct store_txn *t, const struct kept_due *due,
				 struct err *e)
{
	slice row;
	struct row_kept_account kept;
	struct skey k = key_kept_account(due->account),
		    gone = key_gone_account(due->account);
	enum status st = txn_get(t, skey_slice(&k), &row, e);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st != ST_OK)
		return st;
	if (!row_kept_account_read(row, &kept))
		return damaged(e, "kept account");
	if (kept.time != due->time)
		return ST_OK;
	txn_put_empty(t, skey_slice(&gone));
	txn_del(t, skey_slice(&k));
	return ST_OK;
}

static enum status clear_one(struct store_txn *t, const struct kept_due *due,
			     bool *out_rest, size_t *out_done, struct err *e)
{
	struct txn_account *ta;

	*out_rest = false;
	if (due->kind == KEPT_ACCOUNT)
		return clear_account(t, due, e);
	enum status st = txn_account(t, due->account, &ta, e);

	if (st == err_status(ERR_NO_ACCOUNT)) /* removed: it goes as a whole */
		return ST_OK;
	if (st != ST_OK)
		return st;
	return due->kind == KEPT_MAILBOX
		       ? clear_mailbox(t, due, ta, e)
		       : clear_messages(t, due, ta, out_rest, out_done, e);
}

static enum status clear_due(struct store *s, const struct kept_due *due,
			     size_t *out_done, struct err *e)
{
	bool rest = true;
	enum status st = ST_OK;

	while (rest && st == ST_OK) {
		struct store_txn *t;
		struct skey k = key_kept_due(due);

		st = txn_begin_wait(s, &due->account, 1, &t, e);
		if (st != ST_OK)
			return st;
		store_txn_frees(t);
		st = clear_one(t, due, &rest, out_done, e);
		if (st != ST_OK) {
			store_abort(t);
			return st;
		}
		if (!rest)
			txn_del(t, skey_slice(&k));
		st = store_commit_wait(t, e);
	}
	*out_done += 1;
	return st;
}

struct due_scan {
	struct kept_due at[KEPT_BATCH];
	size_t n;
	bool bad;
};

static bool take_due(void *ctx, slice key, slice value)
{
	struct due_scan *l = ctx;

	(void)value;
	if (l->n == KEPT_BATCH)
		return false;
	if (!key_kept_due_read(key, &l->at[l->n])) {
		l->bad = true;
		return false;
	}
	l->n++;
	return true;
}

static struct skey kept_position(struct store *s)
{
	pthread_mutex_lock(&s->retention_lock);
	struct skey k = s->retention->kept_from;

	pthread_mutex_unlock(&s->retention_lock);
	return k;
}

/* Only forward from where the batch began: a note that came in between and lies before
 * keeps its say. */
static void kept_go_on(struct store *s, const struct skey *began,
		       const struct kept_due *last)
{
	struct skey next = key_kept_due(last);

	skey_next_prefix(&next);
	pthread_mutex_lock(&s->retention_lock);
	if (slice_eq(skey_slice(&s->retention->kept_from), skey_slice(began)))
		s->retention->kept_from = next;
	pthread_mutex_unlock(&s->retention_lock);
}

static enum status kept_run(struct store *s, int64_t now, unsigned keep_days, size_t max,
			    size_t *out_done, struct err *e)
{
	struct err damage = { 0 };
	struct skey to = key_kept_due_from(now - (int64_t)keep_days * DAY - HOUR + 1);
	enum status st = ST_OK;

	while (st == ST_OK && *out_done < max) {
		struct due_scan l = { .n = 0 };
		struct skey from = kept_position(s);
		struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };

		if (slice_cmp(r.from, r.to) >= 0)
			break;
		st = kv_scan(s->kv, NULL, &r, take_due, &l, e);
		if (st == ST_OK && l.bad)
			st = damaged(e, "kept");
		if (st != ST_OK || l.n == 0)
			break;
		for (size_t i = 0; i < l.n && st == ST_OK; i++) {
			struct err why = { 0 };

			st = clear_due(s, &l.at[i], out_done, &why);
			if (st != ST_OK && why.code == ERR_CORRUPT) {
				damage = why; /* stays, and is told; the others go on */
				st = ST_OK;
			} else if (st != ST_OK && e) {
				*e = why;
			}
		}
		if (st == ST_OK)
			kept_go_on(s, &from, &l.at[l.n - 1]);
	}
	if (st == ST_OK && damage.code != ERR_NONE) {
		if (e)
			*e = damage;
		st = err_status(damage.code);
	}
	return st;
}

/* --- expiry ------------------------------------------------------------------------- */
static unsigned expiry_of(const struct store_policy *p, const struct row_mbox *m)
{
	if (!m->exists)
		return 0;
	if (m->expire)
		return m->expire - 1u;
	if (m->role == ROLE_TRASH)
		return p->expire_trash_days;
	return m->role == ROLE_JUNK ? p->expire_junk_days : 0;
}

struct old_scan {
	int64_t now, before, unknown; /* unknown: what rows without a date count as */
	struct row_message *at;
	size_t n, max;
	bool has_future, is_full;
};

static bool take_old(void *ctx, slice key, slice value)
{
	struct old_scan *l = ctx;
	struct row_message m;

	if (!row_message_read(value, key_message_uid(key), &m))
		return true; /* stays, for facteur check */
	int64_t saved = m.row.saved ? m.row.saved : l->unknown;

	if (saved > l->now + DAY) { /* saved under a clock that was ahead */
		l->has_future = true;
		return true;
	}
	if (saved > l->before) /* uids ascend as time does */
		return false;
	if (l->n == l->max) {
		l->is_full = true;
		return false;
	}
	l->at[l->n++] = m;
	return true;
}

static enum status old_find(struct store *s, struct kv_txn *kt, uint32_t account,
			    uint32_t mbox, const struct row_mbox *row, struct old_scan *l,
			    struct err *e)
{
	struct skey from = key_message(account, mbox, row->expired_to),
		    to = key_messages(account, mbox);

	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };

	return kv_scan(s->kv, kt, &r, take_old, l, e);
}

static enum status expire_batch(struct store_txn *t, uint32_t account, uint32_t mbox,
				struct old_scan *l, struct err *e)
{
	struct txn_account *ta;
	struct hot_mbox *m = NULL;
	enum status st = txn_account(t, account, &ta, e);

	if (st == ST_OK)
		st = txn_mbox(t, ta, mbox, &m, e);
	if (st == ST_OK)
		st = old_find(t->s, t->kt, account, m->id, &m->row, l, e);
	for (size_t i = 0; i < l->n && st == ST_OK; i++)
		st = expunge_row(t, ta, m, &l->at[i], e);
	if (st == ST_OK && l->n && !l->has_future) {
		m->row.expired_to = l->at[l->n - 1].row.uid + 1;
		m->dirty = true;
	}
	return st;
}

static enum status expire_mailbox(struct store *s, uint32_t account, uint32_t mbox,
				  const struct row_mbox *row, struct old_scan l,
				  size_t *out_done, struct err *e)
{
	struct row_message one;
	struct old_scan first = l;

	first.at = &one; /* without the lock: is there anything at all? */
	first.max = 1;
	enum status st = old_find(s, NULL, account, mbox, row, &first, e);
	bool rest = first.n > 0;

	while (st == ST_OK && rest) {
		struct store_txn *t;
		struct old_scan batch = l;

		st = txn_begin_wait(s, &account, 1, &t, e);
		if (st != ST_OK)
			return st;
		store_txn_frees(t);
		batch.max = RETENTION_BATCH;
		batch.at = arena_array(t->a, batch.max, sizeof(*batch.at));
		st = expire_batch(t, account, mbox, &batch, e);
		if (st != ST_OK) {
			store_abort(t);
			return st == err_status(ERR_NO_MAILBOX) ||
					       st == err_status(ERR_NO_ACCOUNT)
				       ? ST_OK
				       : st;
		}
		rest = batch.is_full;
		*out_done += batch.n;
		st = store_commit_wait(t, e);
	}
	return st;
}

struct mbox_rows {
	struct arena *a;
	const struct store_policy *p;
	struct due_mbox {
		uint32_t id;
		unsigned days;
		struct row_mbox row;
	} * at;
	size_t n, cap;
};

static bool take_mbox(void *ctx, slice key, slice value)
{
	struct mbox_rows *l = ctx;
	struct row_mbox r;
	struct rd id = rd_init(slice_from(key, 6));

	if (!row_mbox_read(value, &r) || !expiry_of(l->p, &r))
		return true; /* a damaged one is told by whoever opens it */
	if (l->n == l->cap) {
		struct due_mbox *old = l->at;

		l->cap = l->cap ? l->cap * 2 : 8;
		l->at = arena_array(l->a, l->cap, sizeof(*l->at));
		if (l->n)
			memcpy(l->at, old, l->n * sizeof(*l->at));
	}
	l->at[l->n++] = (struct due_mbox){ rd_u32(&id), expiry_of(l->p, &r), r };
	return true;
}

static enum status expire_account(struct store *s, uint32_t account,
				  const struct store_policy *p, int64_t now,
				  size_t *out_done, struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct mbox_rows l = { .a = &a, .p = p };
	struct skey from = key_account_type(account, 'f'), to = from;

	arena_init(&a);
	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };
	enum status st = kv_scan(s->kv, NULL, &r, take_mbox, &l, e);

	for (size_t i = 0; i < l.n && st == ST_OK; i++) {
		struct old_scan old = {
			.now = now,
			.before = now - (int64_t)l.at[i].days * DAY,
			.unknown = s->retention->time.saved_since,
		};

		st = expire_mailbox(s, account, l.at[i].id, &l.at[i].row, old, out_done,
				    e);
	}
	return st;
}

struct account_ids {
	uint32_t at[EXPIRE_ACCOUNTS];
	size_t n;
};

static bool take_account_id(void *ctx, slice key, slice value)
{
	struct account_ids *l = ctx;
	struct rd r = rd_init(slice_from(key, 2));

	(void)value;
	if (l->n == EXPIRE_ACCOUNTS)
		return false;
	l->at[l->n++] = rd_u32(&r);
	return true;
}

/* The next accounts of the pass; a pass begins an hour after the last did. */
static enum status expire_run(struct store *s, const struct store_policy *p, int64_t now,
			      size_t max, size_t *out_done, struct err *e)
{
	struct retention *r = s->retention;
	struct account_ids l = { .n = 0 };
	struct err damage = { 0 };
	int64_t mono = clock_mono_us(s->clock);

	if (!p->expire_trash_days && !p->expire_junk_days && !policy_has_expiry(s))
		return ST_OK;
	if (!r->is_passing) {
		if (r->pass_us && mono - r->pass_us < EXPIRE_PASS_US)
			return ST_OK;
		r->is_passing = true;
		r->pass_us = mono;
		r->account = 0;
	}
	struct skey from = key_account_address(r->account);
	struct kv_range range = { .from = skey_slice(&from), .to = SL("Uj") };
	enum status st = kv_scan(s->kv, NULL, &range, take_account_id, &l, e);

	for (size_t i = 0; i < l.n && st == ST_OK && *out_done < max; i++) {
		struct err why = { 0 };

		st = expire_account(s, l.at[i], p, now, out_done, &why);
		if (st != ST_OK && why.code == ERR_CORRUPT) {
			damage = why;
			st = ST_OK;
		} else if (st != ST_OK && e) {
			*e = why;
		}
		r->account = l.at[i] + 1;
	}
	if (st == ST_OK && l.n < EXPIRE_ACCOUNTS && *out_done < max)
		r->is_passing = false;
	if (st == ST_OK && damage.code != ERR_NONE) {
		if (e)
			*e = damage;
		st = err_status(damage.code);
	}
	return st;
}

enum status store_retention_run(struct store *s, size_t max, size_t *out_done,
				struct err *e)
{
	struct store_policy p;
	int64_t now;
	size_t done = 0;

	store_policy_get(s, &p);
	enum status st = time_step(s, &now, e);

	if (st == ST_OK)
		st = kept_run(s, now, p.keep_days, max, &done, e);
	if (st == ST_OK)
		st = expire_run(s, &p, now, max, &done, e);
	if (out_done)
		*out_done = done;
	return st;
}

/* --- setting ------------------------------------------------------------------------ */
static enum status set_expiry(struct store_txn *t, uint32_t account, uint32_t mbox,
			      int days, struct err *e)
{
	struct txn_account *ta;
	struct hot_mbox *m;
	enum status st = txn_account(t, account, &ta, e);

	if (st == ST_OK)
		st = txn_mbox(t, ta, mbox, &m, e);
	if (st != ST_OK)
		return st;
	m->row.expire = days < 0 ? 0 : (uint16_t)(days + 1);
	m->dirty = true;
	policy_notes_expiry(t);
	return ST_OK;
}

enum status store_mailbox_set_expiry(struct store *s, uint32_t account, slice name,
				     int days, struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct store_mailbox m;
	struct store_txn *t;
	const uint32_t ids[] = { 0, account };

	if (days > LIMIT_RETENTION_DAYS)
		return err_set(e, ERR_SYNTAX, "at most %d days", LIMIT_RETENTION_DAYS);
	arena_init(&a);
	enum status st = store_mailbox_find(s, account, name, &a, &m, e);

	if (st == ST_OK)
		st = txn_begin_wait(s, ids, 2, &t, e);
	if (st != ST_OK)
		return st;
	st = set_expiry(t, account, m.id, days, e);
	if (st != ST_OK) {
		store_abort(t);
		return st;
	}
	return store_commit_wait(t, e);
}
