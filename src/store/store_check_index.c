/* store_check_index.c — an account's indexes against their source: the change log l, threads T and
 * t, places g, what was expunged X. */
#include "store/store_check_int.h"

/* --- what waits for the sweep --------------------------------------------------------- */
static bool take_gone(void *ctx, slice key, slice value)
{
	struct check *c = ctx;
	struct row_gone g;

	(void)key;
	if (!row_gone_read(value, 0, &g) || !g.last)
		return true;
	if (c->n_gone == c->cap_gone) {
		c->cap_gone = c->cap_gone ? c->cap_gone * 2 : 256;
		c->gone = mem_grow(c->gone, c->cap_gone, sizeof(*c->gone));
	}
	c->gone[c->n_gone++] = g.msg.row.email;
	return true;
}

static int id_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static enum status gone_load(struct look *l, struct err *e)
{
	struct check *c = l->c;
	struct skey from = key_gone(c->account, 0, 0), to,
		    kept = key_kept_prefix(c->account);

	from.n = 6; /* its rows x */
	to = from;
	skey_next_prefix(&to);
	c->n_gone = 0;
	enum status st = check_scan(l, from, to, take_gone, c, e);

	to = kept;
	skey_next_prefix(&to);
	if (st == ST_OK)
		st = check_scan(l, kept, to, take_gone, c, e);
	if (c->n_gone)
		qsort(c->gone, c->n_gone, sizeof(*c->gone), id_compare);
	c->has_gone = st == ST_OK;
	return st;
}

static bool gone_find(const struct check *c, uint64_t email)
{
	return c->n_gone &&
	       bsearch(&email, c->gone, c->n_gone, sizeof(*c->gone), id_compare);
}

enum status check_is_gone(struct look *l, uint64_t email, bool *out, struct err *e)
{
	enum status st = l->c->has_gone ? ST_OK : gone_load(l, e);

	*out = st == ST_OK && gone_find(l->c, email);
	if (st == ST_OK && !*out && l->sure) { /* expunged since it was loaded? */
		st = gone_load(l, e);
		*out = st == ST_OK && gone_find(l->c, email);
	}
	return st;
}

/* --- the change log, asked for one message --------------------------------------------- */
struct log_seek {
	uint32_t mbox, uid;
	bool expunged; /* what is looked for: EXPUNGED, or ADDED and CHANGED */
	bool found, any, bad;
};

static bool log_names(slice value, struct log_seek *s)
{
	struct row_log r;
	uint32_t first, n;

	if (!row_log_read(value, &r)) {
		s->bad = true;
		return false;
	}
	while (row_log_next(&r)) {
		if (r.mbox != s->mbox || (r.op == LOG_EXPUNGED) != s->expunged)
			continue;
		while (row_log_run(&r, &first, &n))
			if (s->uid >= first && s->uid - first < n)
				return true;
	}
	s->bad |= r.bad;
	return false;
}

static bool take_log(void *ctx, slice key, slice value)
{
	struct log_seek *s = ctx;

	(void)key;
	s->any = true;
	s->found = log_names(value, s);
	return !s->found;
}

/* Messages that came together are told by one row: it is kept. */
static enum status log_row_keep(struct look *l, uint64_t modseq, struct err *e)
{
	struct check *c = l->c;
	struct skey k = key_log(c->account, modseq, 0);
	slice row;

	if (c->log_modseq == modseq && !l->sure)
		return ST_OK;
	arena_reset(&c->log_arena);
	c->log_modseq = modseq;
	c->log_row = slice_make("", 0);
	enum status st = check_get(l, skey_slice(&k), &c->log_arena, &row, e);

	if (st == ST_OK)
		c->log_row = row;
	return st == ST_NOT_FOUND ? ST_OK : st;
}

enum status check_log_has(struct look *l, const struct row_message *m, uint32_t mbox,
			  bool *out, struct err *e)
{
	struct log_seek s = { .mbox = mbox, .uid = m->row.uid };
	enum status st = log_row_keep(l, m->row.modseq, e);

	*out = st == ST_OK && log_names(l->c->log_row, &s);
	if (st != ST_OK || *out)
		return st;
	s.bad = false; /* in another part of it? */
	st = check_scan(l, key_log(l->c->account, m->row.modseq, 0),
			key_log(l->c->account, m->row.modseq + 1, 0), take_log, &s, e);
	/* A row that is missing or damaged is told as such. */
	*out = s.found || s.bad || !s.any;
	return st;
}

enum status check_log_expunged(struct look *l, uint32_t mbox, uint32_t uid, bool *out,
			       struct err *e)
{
	struct log_seek s = { .mbox = mbox, .uid = uid, .expunged = true };
	struct skey from = key_account_type(l->c->account, 'l'), to = from;

	skey_next_prefix(&to);
	enum status st = check_scan(l, from, to, take_log, &s, e);

	*out = s.found;
	return st;
}

/* --- the change log, walked ------------------------------------------------------------ */
struct log_walk {
	uint64_t next, next_after; /* the modseq that has to come; behind this page */
	uint64_t raised;	   /* the floor that a repair has set */
};

static bool log_is_good(slice value)
{
	struct row_log r;

	if (!row_log_read(value, &r))
		return false;
	while (row_log_next(&r))
		;
	return !r.bad;
}

/* Nobody can be told any more what happened up to there: whoever asks is told everything
 * (RFC 7162 5.1). */
static enum status floor_raise(struct look *l, struct log_walk *w, uint64_t modseq,
			       struct err *e)
{
	struct txn_account *ta;
	enum status st = repair_account(l, &ta, e);

	if (st == ST_OK && ta->hot->row.log_floor < modseq) {
		ta->hot->row.log_floor = modseq;
		ta->hot->dirty = true;
	}
	if (w->raised < modseq)
		w->raised = modseq;
	return st;
}

static enum status log_gap(struct look *l, struct log_walk *w, uint64_t from, uint64_t to,
			   struct err *e)
{
	struct where at = { .code = "change-log" };

	if (!check_fault(l, &at, CHECK_REPAIRED,
			 "programs that synchronise from before it are told everything",
			 "%llu rows of the change log are missing before MODSEQ %llu",
			 (unsigned long long)(to - from), (unsigned long long)to))
		return ST_OK;
	return floor_raise(l, w, to - 1, e);
}

static enum status log_row(struct look *l, struct log_walk *w,
			   const struct check_row *row, uint64_t *next, struct err *e)
{
	struct where at = { .code = "change-log" };
	uint64_t modseq = check_key_id(row->key);
	enum status st = ST_OK;

	if (row->key.n != 15 || (l->c->row_ok && modseq > l->c->row.modseq)) {
		struct txn_account *ta;

		if (l->sure && l->c->row_ok) { /* changes go on meanwhile */
			st = repair_account(l, &ta, e);
			if (st != ST_OK)
				return st;
			l->c->row.modseq = ta->hot->row.modseq;
		}
		if (row->key.n != 15 || !l->sure || modseq > l->c->row.modseq) {
			if (!check_fault(
				    l, &at, CHECK_REPAIRED,
				    "taken out, and the account's MODSEQ raised",
				    "the change log has a row for MODSEQ %llu, which was "
				    "never given out",
				    (unsigned long long)modseq))
				return ST_OK;
			if (modseq < UINT64_MAX / 4 && row->key.n == 15) {
				st = repair_account(l, &ta, e);
				if (st != ST_OK)
					return st;
				ta->hot->row.modseq = l->c->row.modseq = modseq;
				ta->hot->dirty = true;
				*next = modseq + 1;
				return floor_raise(l, w, modseq, e);
			}
			return repair_drop(l, row->key, row->value, e);
		}
	}
	if (modseq > *next && *next)
		st = log_gap(l, w, *next, modseq, e);
	if (modseq + 1 > *next)
		*next = modseq + 1;
	if (st != ST_OK || log_is_good(row->value))
		return st;
	if (!check_fault(l, &at, CHECK_REPAIRED,
			 "taken out; programs that synchronise from before it are told "
			 "everything",
			 "the change log's row for MODSEQ %llu cannot be read",
			 (unsigned long long)modseq))
		return ST_OK;
	st = repair_drop(l, row->key, row->value, e);
	return st == ST_OK ? floor_raise(l, w, modseq, e) : st;
}

static enum status log_page(struct look *l, void *ctx, struct err *e)
{
	struct log_walk *w = ctx;
	struct check *c = l->c;
	struct txn_account *ta;
	enum status st = ST_OK;

	if (!l->sure && w->next_after) /* the second look begins where the first did */
		w->next = w->next_after;
	uint64_t next = w->next, floor = c->row.log_floor;

	if (l->sure && c->row_ok) { /* the sweep may have pruned meanwhile */
		st = repair_account(l, &ta, e);
		if (st != ST_OK)
			return st;
		floor = ta->hot->row.log_floor;
	}
	if (next <= floor)
		next = floor + 1;
	for (size_t i = 0; i < c->page.n && st == ST_OK; i++) {
		if (check_key_id(c->page.at[i].key) <= floor && c->row_ok)
			continue; /* about to be pruned */
		st = log_row(l, w, &c->page.at[i], &next, e);
	}
	w->next_after = next;
	return st;
}

static enum status log_tail(struct look *l, void *ctx, struct err *e)
{
	struct log_walk *w = ctx;
	struct check *c = l->c;
	uint64_t modseq = c->row.modseq, last = 0;
	struct txn_account *ta;

	if (!l->sure)
		return w->next <= modseq && modseq > c->row.log_floor
			       ? (l->faults++, ST_OK)
			       : ST_OK;
	enum status st = repair_account(l, &ta, e);

	if (st != ST_OK)
		return st;
	modseq = ta->modseq ? ta->modseq - 1 : ta->hot->row.modseq;
	arena_reset(&c->page_arena);
	c->page.at = arena_array(&c->page_arena, CHECK_PAGE, sizeof(struct check_row));
	struct skey from = key_log(c->account, w->next, 0);
	struct skey to = key_account_type(c->account, 'l');

	skey_next_prefix(&to);
	st = check_page_read(c, l->t, skey_slice(&from), skey_slice(&to), e);
	last = c->page.n ? check_key_id(c->page.at[0].key) : modseq + 1;
	if (st == ST_OK && last > w->next && w->next <= modseq &&
	    last - 1 > ta->hot->row.log_floor)
		st = log_gap(l, w, w->next, last, e);
	return st;
}

struct prune {
	struct look *l;
	size_t n;
};

static bool take_prune(void *ctx, slice key, slice value)
{
	struct prune *p = ctx;

	(void)value;
	if (p->n == 1000)
		return false;
	p->n++;
	txn_del(p->l->t, key);
	return true;
}

/* Rows below the raised floor say nothing any more, as after LIMIT_CHANGE_LOG. */
static enum status log_prune(struct look *l, void *ctx, struct err *e)
{
	struct log_walk *w = ctx;
	struct prune p = { .l = l };
	enum status st = check_scan(l, key_log(l->c->account, 0, 0),
				    key_log(l->c->account, w->raised + 1, 0), take_prune,
				    &p, e);

	l->silent = true;
	w->next = p.n;
	return st;
}

static enum status log_look(struct check *c, struct err *e)
{
	const uint32_t ids[] = { c->account };
	struct log_walk w = { .next = c->row.log_floor + 1 };
	struct skey k = key_account_type(c->account, 'l');
	enum status st = ST_OK;

	if (!c->row_ok)
		return ST_OK;
	st = check_walk(c, skey_slice(&k), ids, 1, log_page, &w, e);
	if (w.next_after)
		w.next = w.next_after;
	if (st == ST_OK && !check_stopped(c))
		st = check_unit(c, ids, 1, log_tail, &w, e);
	while (st == ST_OK && w.raised && w.next)
		st = check_unit_locked(c, ids, 1, log_prune, &w, NULL, e);
	return st;
}

/* --- threads --------------------------------------------------------------------------- */
static bool take_count(void *ctx, slice key, slice value)
{
	(void)key;
	(void)value;
	++*(uint64_t *)ctx;
	return true;
}

/* The email behind a row of an index. *out_there: it is in the store, readable or not. */
static enum status email_behind(struct look *l, uint64_t email, struct row_email *out,
				bool *out_there, bool *out_readable, struct err *e)
{
	struct skey k = key_email(l->c->account, email);
	slice raw;
	enum status st = check_get(l, skey_slice(&k), l->c->page.a, &raw, e);

	*out_there = st == ST_OK;
	*out_readable = st == ST_OK && row_email_read(raw, out);
	return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status stray(struct look *l, const struct check_row *row, const char *code,
			 const char *what, struct err *e)
{
	struct where w = { .code = code };

	if (!check_fault(l, &w, CHECK_REPAIRED, "taken out", "%s", what))
		return ST_OK;
	return repair_drop(l, row->key, row->value, e);
}

static enum status msgids_page(struct look *l, void *ctx, struct err *e)
{
	enum status st = ST_OK;

	(void)ctx;
	for (size_t i = 0; i < l->c->page.n && st == ST_OK; i++) {
		const struct check_row *row = &l->c->page.at[i];
		uint64_t hash = check_key_id(row->key);
		struct row_msgid r;
		struct row_email m;
		bool there, readable;

		if (row->key.n != 14 || !row_msgid_read(row->value, &r)) {
			st = stray(
				l, row, "message-id",
				"a row that leads from a Message-ID to its thread cannot be "
				"read",
				e);
			continue;
		}
		st = email_behind(l, r.email, &m, &there, &readable, e);
		if (st == ST_OK &&
		    (!there || (readable && m.msgid != hash && m.root != hash)))
			st = stray(
				l, row, "message-id",
				"a row leads from a Message-ID to a message that is not "
				"there",
				e);
	}
	return st;
}

static enum status threads_page(struct look *l, void *ctx, struct err *e)
{
	enum status st = ST_OK;

	(void)ctx;
	for (size_t i = 0; i < l->c->page.n && st == ST_OK; i++) {
		const struct check_row *row = &l->c->page.at[i];
		struct rd k = rd_init(slice_from(row->key, 6));
		uint64_t thread = rd_u64(&k), email = rd_u64(&k);
		struct row_email m;
		bool there, readable;

		st = email_behind(l, email, &m, &there, &readable, e);
		if (st == ST_OK &&
		    (k.bad || rd_left(&k) || !there || (readable && m.thread != thread)))
			st = stray(l, row, "thread",
				   "a thread has a member that is not there", e);
	}
	return st;
}

/* Rows of an index are walked only when there are more of them than emails account for. */
static enum status index_look(struct check *c, char kind, uint64_t wanted, check_fn page,
			      struct err *e)
{
	const uint32_t ids[] = { c->account };
	struct look l = { .c = c };
	struct skey k = key_account_type(c->account, kind), to = k;
	uint64_t n = 0;

	skey_next_prefix(&to);
	enum status st = check_scan(&l, k, to, take_count, &n, NULL);

	if (st == ST_OK && n == wanted)
		return ST_OK;
	return check_walk(c, skey_slice(&k), ids, 1, page, NULL, e);
}

enum status check_threads(struct check *c, struct err *e)
{
	enum status st = index_look(c, 'T', UINT64_MAX, msgids_page, e);

	return st == ST_OK ? index_look(c, 't', UINT64_MAX, threads_page, e) : st;
}

/* --- places ---------------------------------------------------------------------------- */
static enum status places_page(struct look *l, void *ctx, struct err *e)
{
	enum status st = ST_OK;

	(void)ctx;
	for (size_t i = 0; i < l->c->page.n && st == ST_OK; i++) {
		const struct check_row *row = &l->c->page.at[i];
		uint64_t email = check_key_id(row->key);
		struct row_email m;
		struct row_message msg;
		bool there, readable;
		slice raw;

		st = email_behind(l, email, &m, &there, &readable, e);
		if (st != ST_OK)
			return st;
		if (!there || row->key.n != 14) {
			st = stray(
				l, row, "places",
				"a list of places belongs to a message that is not there",
				e);
			continue;
		}
		struct skey k = key_message(l->c->account, m.mbox, m.uid);

		if (!readable ||
		    check_get(l, skey_slice(&k), l->c->page.a, &raw, NULL) != ST_OK ||
		    !row_message_read(raw, m.uid, &msg) || msg.row.email != email ||
		    msg.placed)
			continue; /* looked at with its email */
		st = stray(
			l, row, "places",
			"a message in one mailbox has a list of places that nothing uses",
			e);
	}
	return st;
}

/* --- X --------------------------------------------------------------------------------- */
/* Would the sweep take an email that a mailbox still has? */
static enum status gone_is_live(struct look *l, const struct row_gone *g, bool *out,
				struct err *e)
{
	struct row_email m;
	struct row_places p = { .n = 0 };
	bool there, readable;
	slice raw;
	struct skey kg = key_places(l->c->account, g->msg.row.email);
	enum status st = email_behind(l, g->msg.row.email, &m, &there, &readable, e);

	*out = false;
	if (st != ST_OK || !readable)
		return st;
	if (check_get(l, skey_slice(&kg), l->c->page.a, &raw, NULL) != ST_OK ||
	    !row_places_read(raw, l->c->page.a, &p) || p.n == 0) {
		p.at = arena_array(l->c->page.a, 1, sizeof(*p.at));
		p.at[p.n++] = (struct place){ m.mbox, m.uid };
	}
	for (size_t i = 0; i < p.n && !*out; i++) {
		struct skey k = key_message(l->c->account, p.at[i].mbox, p.at[i].uid);
		struct row_message msg;

		*out = check_get(l, skey_slice(&k), l->c->page.a, &raw, NULL) == ST_OK &&
		       row_message_read(raw, p.at[i].uid, &msg) &&
		       msg.row.email == g->msg.row.email;
	}
	return ST_OK;
}

static enum status gone_row(struct look *l, const struct check_row *row, struct err *e)
{
	struct rd k = rd_init(slice_from(row->key, 6));
	struct where w = { .code = "expunged", .mbox = rd_u32(&k), .uid = rd_u32(&k) };
	struct row_gone g;
	bool live;

	if (k.bad || rd_left(&k))
		return stray(l, row, "expunged",
			     "a row of what was expunged has a damaged key", e);
	if (!row_gone_read(row->value, w.uid, &g)) {
		if (!check_fault(l, &w, CHECK_REPAIRED, "taken out",
				 "the row of an expunged message cannot be read"))
			return ST_OK;
		return repair_drop(l, row->key, row->value, e);
	}
	if (!g.last)
		return ST_OK;
	enum status st = gone_is_live(l, &g, &live, e);

	if (st != ST_OK || !live)
		return st;
	if (!check_fault(l, &w, CHECK_REPAIRED, "marked as being elsewhere",
			 "an expunged message would take one along that is still in a "
			 "mailbox"))
		return ST_OK;
	AUTO_BUF b = { 0 };

	buf_init(&b, 256);
	g.last = false;
	row_gone_write(&b, &g);
	txn_put_buf(l->t, row->key, &b);
	return ST_OK;
}

/* --- what is kept for undelete ---------------------------------------------------------- */
static enum status kept_row(struct look *l, const struct check_row *row, struct err *e)
{
	struct where w = { .code = "kept" };
	struct row_gone g = { .last = true };
	int64_t time;
	bool live = false, readable;
	struct kept_due due = { .kind = KEPT_MESSAGES, .account = l->c->account };
	enum status st = ST_OK;

	readable = key_kept_read(row->key, &time, &w.mbox, &w.uid) &&
		   row_gone_read(row->value, w.uid, &g);
	if (readable)
		st = gone_is_live(l, &g, &live, e);
	if (st != ST_OK)
		return st;
	if (!readable || live) {
		if (!check_fault(
			    l, &w, live ? CHECK_REPAIRED : CHECK_LOST,
			    live ? "taken out" : "put aside: it cannot be undeleted",
			    live ? "a message that is kept for undelete is in a mailbox too"
				 : "the row of a message that is kept for undelete cannot be "
				   "read"))
			return ST_OK;
		return repair_drop(l, row->key, row->value, e);
	}
	due.time = time - time % 3600; /* kept_note() */
	struct skey k = key_kept_due(&due);

	if (!check_has(l, skey_slice(&k), l->c->page.a) &&
	    check_fault(l, &w, CHECK_REPAIRED, "written again",
			"nothing says when a message that is kept for undelete has to go"))
		kept_note(l->t, KEPT_MESSAGES, l->c->account, 0, time);
	return ST_OK;
}

static enum status kept_page(struct look *l, void *ctx, struct err *e)
{
	enum status st = ST_OK;

	(void)ctx;
	for (size_t i = 0; i < l->c->page.n && st == ST_OK; i++)
		st = kept_row(l, &l->c->page.at[i], e);
	return st;
}

static enum status kept_mbox_page(struct look *l, void *ctx, struct err *e)
{
	enum status st = ST_OK;

	(void)ctx;
	for (size_t i = 0; i < l->c->page.n && st == ST_OK; i++) {
		const struct check_row *row = &l->c->page.at[i];
		struct rd k = rd_init(slice_from(row->key, 6));
		struct kept_due due = { .kind = KEPT_MAILBOX,
					.account = l->c->account,
					.mbox = rd_u32(&k) };
		struct where w = { .code = "kept" };
		struct row_kept_mbox r;

		if (k.bad || rd_left(&k) || !row_kept_mbox_read(row->value, &r)) {
			/* Its messages then are in no mailbox, and the next walk gives them one. */
			if (check_fault(
				    l, &w, CHECK_LOST,
				    "its messages come back under a name of their own",
				    "the row of a deleted mailbox that is kept cannot be "
				    "read"))
				st = repair_drop(l, row->key, row->value, e);
			continue;
		}
		due.time = r.time;
		struct skey z = key_kept_due(&due);

		if (!check_has(l, skey_slice(&z), l->c->page.a) &&
		    check_fault(l, &w, CHECK_REPAIRED, "written again",
				"nothing says when the deleted mailbox '%.*s' has to go",
				FMT(r.path)))
			kept_note(l->t, KEPT_MAILBOX, due.account, due.mbox, r.time);
	}
	return st;
}

struct held {
	uint64_t bytes, messages, bad;
};

static bool take_held(void *ctx, slice key, slice value)
{
	struct held *h = ctx;
	struct row_kept_mbox b;
	struct row_gone g;
	bool is_mbox = key.p[5] == 'd';

	if (is_mbox ? !row_kept_mbox_read(value, &b) : !row_gone_read(value, 0, &g)) {
		h->bad++;
		return true;
	}
	h->bytes += is_mbox ? b.mbox.bytes : g.msg.row.size;
	h->messages += is_mbox ? b.mbox.messages : 1;
	return true;
}

static enum status held_look(struct look *l, void *ctx, struct err *e)
{
	struct check *c = l->c;
	struct where w = { .code = "account-numbers" };
	struct skey x = key_kept_prefix(c->account),
		    d = key_account_type(c->account, 'd'), to = x,
		    ka = key_account(c->account);
	struct txn_account *ta = NULL;
	struct row_account r = { 0 };
	struct held h = { 0 };
	slice raw;

	(void)ctx;
	skey_next_prefix(&to);
	enum status st = check_scan(l, x, to, take_held, &h, e);

	to = d;
	skey_next_prefix(&to);
	if (st == ST_OK)
		st = check_scan(l, d, to, take_held, &h, e);
	if (st == ST_OK && l->sure) {
		st = repair_account(l, &ta, e);
		if (st == ST_OK)
			r = ta->hot->row;
	} else if (st == ST_OK) {
		if (check_get(l, skey_slice(&ka), c->page.a, &raw, NULL) != ST_OK ||
		    !row_account_read(raw, &r))
			return ST_OK;
	}
	if (st != ST_OK || h.bad ||
	    (r.held_bytes == h.bytes && r.held_messages == h.messages))
		return st;
	if (!check_fault(
		    l, &w, CHECK_REPAIRED, "counted again",
		    "it counts %llu messages kept for undelete with %llu octets, and has "
		    "%llu with %llu",
		    (unsigned long long)r.held_messages, (unsigned long long)r.held_bytes,
		    (unsigned long long)h.messages, (unsigned long long)h.bytes))
		return ST_OK;
	ta->hot->row.held_bytes = h.bytes;
	ta->hot->row.held_messages = h.messages;
	ta->hot->dirty = true;
	return ST_OK;
}

enum status check_kept(struct check *c, struct err *e)
{
	const uint32_t ids[] = { c->account };
	struct skey x = key_kept_prefix(c->account),
		    d = key_account_type(c->account, 'd');
	enum status st = check_walk(c, skey_slice(&x), ids, 1, kept_page, NULL, e);

	if (st == ST_OK)
		st = check_walk(c, skey_slice(&d), ids, 1, kept_mbox_page, NULL, e);
	return st == ST_OK && c->row_ok ? check_unit(c, ids, 1, held_look, NULL, e) : st;
}

static enum status gone_page(struct look *l, void *ctx, struct err *e)
{
	enum status st = ST_OK;

	(void)ctx;
	for (size_t i = 0; i < l->c->page.n && st == ST_OK; i++) {
		const struct check_row *row = &l->c->page.at[i];
		char type = row->key.n > 5 ? row->key.p[5] : 0;

		if (type == 'x')
			st = gone_row(l, row, e);
		else if (row->value.n != 1 || row->value.p[0] != SCHEMA_ROW) {
			struct where w = { .code = "expunged" };

			if (check_fault(l, &w, CHECK_REPAIRED, "written again",
					"a row of what is to be cleared cannot be read"))
				txn_put_empty(l->t, row->key);
		}
	}
	return st;
}

enum status check_indexes(struct check *c, struct err *e)
{
	const uint32_t ids[] = { c->account };
	struct skey g = key_account_type(c->account, 'g');
	struct skey x = key_gone(c->account, 0, 0);
	enum status st;

	x.n = 5;
	st = log_look(c, e);
	if (st == ST_OK)
		st = index_look(c, 'T', c->claims, msgids_page, e);
	if (st == ST_OK)
		st = index_look(c, 't', c->threads, threads_page, e);
	if (st == ST_OK)
		st = check_walk(c, skey_slice(&g), ids, 1, places_page, NULL, e);
	if (st == ST_OK)
		st = check_walk(c, skey_slice(&x), ids, 1, gone_page, NULL, e);
	return st;
}
