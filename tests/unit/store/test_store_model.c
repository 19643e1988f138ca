/* test_store_model.c — the store against a naive model: random transactions on three
 * accounts, batches that fail at random, views held across changes and sweeps, the store
 * opened again now and then. With every other seed what is expunged is kept for some days,
 * and is undeleted at random. */
#include "store_test.h"
#include "kv/kv_engine.h"
#include "kv/kv_internal.h"

enum {
	ACCOUNTS = 3,
	BOXES = 4,
	MAX = 48,
	HELD = 6,
	STEPS = 700,
	SEEDS = 12,
	QUEUE = 32,
	KEPT = 400,
	KEEP_DAYS = 7
};

struct mmsg {
	uint32_t uid, sys;
	uint64_t kw;
	unsigned text; /* which message it is */
	unsigned email;
};
struct mbox {
	struct mmsg m[MAX];
	size_t n;
	uint32_t uidnext;
};
struct mkept { /* expunged from its last place */
	int acct, box;
	struct mmsg m;
};
struct world {
	struct mbox box[ACCOUNTS][BOXES];
	unsigned emails;
	struct mkept kept[KEPT];
	size_t n_kept;
};
struct held { /* a view a session has open, and what it showed */
	const struct store_view *v;
	int acct, box;
	struct mbox then;
	uint64_t email[MAX]; /* the store's ids, to read expunged ones */
};
struct queued {
	struct done d;
	struct model *m;
	bool told;
	enum status st;
};
struct model {
	struct bench b;
	uint32_t acct[ACCOUNTS], box[ACCOUNTS][BOXES], uidvalidity[ACCOUNTS][BOXES];
	uint64_t modseq[ACCOUNTS][BOXES];
	struct world durable, ahead;
	struct held held[HELD];
	struct queued queue[QUEUE];
	size_t n_queue;
	unsigned texts;
	uint32_t seed;
	unsigned failures, sweeps, expunges, undeleted, aged;
	bool keeps;
};

static uint32_t pick(struct model *m, uint32_t n)
{
	m->seed = m->seed * 1664525u + 1013904223u;
	return (m->seed >> 10) % n;
}

static slice text_of(struct model *m, unsigned text)
{
	return arena_fmt(&m->b.a, "Message-ID: <%u@model>\r\nSubject: %u\r\n\r\n%*s\r\n",
			 text, text, (int)(text % 50), "x");
}

static slice prefix_of(struct model *m, int acct)
{
	return arena_fmt(&m->b.a, "Delivered-To: %d@example.org\r\n", acct);
}

static uint64_t size_of(struct model *m, int acct, unsigned text)
{
	return prefix_of(m, acct).n + text_of(m, text).n;
}

static struct mmsg *find(struct mbox *b, uint32_t uid)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->m[i].uid == uid)
			return &b->m[i];
	return NULL;
}

/* --- operations: on the store and on the model -------------------------------------------- */
static void op_add(struct model *m, struct store_txn *t, const int *acct, size_t n)
{
	unsigned text = pick(m, 4) && m->texts ? m->texts++
					       : pick(m, m->texts + 1); /* some twice */
	struct intake *in = message(&m->b, text_of(m, text));

	if (text >= m->texts)
		m->texts = text + 1;
	for (size_t i = 0; i < n; i++) {
		int box = (int)pick(m, BOXES);
		struct mbox *mb = &m->ahead.box[acct[i]][box];
		struct mmsg msg = { .uid = mb->uidnext,
				    .sys = pick(m, 32),
				    .kw = pick(m, 8),
				    .text = text,
				    .email = m->ahead.emails++ };
		struct store_place place = { m->acct[acct[i]],
					     m->box[acct[i]][box],
					     prefix_of(m, acct[i]),
					     { msg.sys, msg.kw },
					     NOW_S + (int64_t)text,
					     STORE_QUOTA_NONE,
					     false };
		uint32_t uid;

		if (mb->n == MAX)
			continue;
		mb->uidnext++;
		mb->m[mb->n++] = msg;
		OK(store_add(t, in, &place, &uid, &e));
		assert_int_equal(uid, msg.uid);
	}
	intake_free(in);
}

/* Some uids, among them some that do not exist. */
static struct store_uids some_uids(struct model *m, struct mbox *b)
{
	struct store_uids u = { .uid = arena_array(&m->b.a, b->uidnext + 8,
						   sizeof(uint32_t)) };
	uint32_t every = 1 + pick(m, 4), from = pick(m, b->uidnext + 1);

	for (uint32_t uid = 1; uid < b->uidnext + 3; uid++)
		if (uid >= from && pick(m, every) == 0)
			u.uid[u.n++] = uid;
	return u;
}

static void mirror(struct model *m, int acct, const struct mmsg *src)
{
	for (int box = 0; box < BOXES; box++) {
		struct mbox *b = &m->ahead.box[acct][box];

		for (size_t i = 0; i < b->n; i++) {
			if (b->m[i].email != src->email || &b->m[i] == src)
				continue;
			b->m[i].sys = (src->sys & ~16u) | (b->m[i].sys & 16u);
			b->m[i].kw = src->kw;
		}
	}
}

static void op_flags(struct model *m, struct store_txn *t, int acct, int box)
{
	struct mbox *b = &m->ahead.box[acct][box];
	struct store_uids u = some_uids(m, b);
	enum store_flag_op op = (enum store_flag_op)pick(m, 3);
	struct store_flags f = { pick(m, 32), pick(m, 8) };
	struct store_row *rows;
	size_t n, seen = 0;

	OK(store_flags_change(t, m->acct[acct], m->box[acct][box], &u, op, f, &rows, &n,
			      &e));
	for (size_t i = 0; i < u.n; i++) {
		struct mmsg *x = find(b, u.uid[i]);

		if (!x)
			continue;
		x->sys = op == FLAG_SET	  ? f.sys
			 : op == FLAG_ADD ? x->sys | f.sys
					  : x->sys & ~f.sys;
		x->kw = op == FLAG_SET	 ? f.kw
			: op == FLAG_ADD ? x->kw | f.kw
					 : x->kw & ~f.kw;
		mirror(m, acct, x);
		assert_true(seen < n);
		assert_int_equal(rows[seen].uid, x->uid);
		assert_int_equal(rows[seen].flags.sys, x->sys);
		assert_int_equal(rows[seen++].flags.kw, x->kw);
	}
	assert_int_equal(seen, n);
}

static void remove_uid(struct mbox *b, uint32_t uid)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		if (b->m[i].uid != uid)
			b->m[n++] = b->m[i];
	b->n = n;
}

static bool holds(const struct mbox *b, unsigned email)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->m[i].email == email)
			return true;
	return false;
}

static void keep(struct model *m, int acct, int box, const struct mmsg *msg)
{
	struct world *w = &m->ahead;

	for (int i = 0; i < BOXES; i++)
		if (holds(&w->box[acct][i], msg->email))
			return;
	assert_true(w->n_kept < KEPT);
	w->kept[w->n_kept++] = (struct mkept){ acct, box, *msg };
}

static void op_expunge(struct model *m, struct store_txn *t, int acct, int box)
{
	struct mbox *b = &m->ahead.box[acct][box];
	struct store_uids u = some_uids(m, b), out;
	bool only = pick(m, 2);
	size_t seen = 0;

	OK(store_expunge(t, m->acct[acct], m->box[acct][box], &u, only, &out, &e));
	for (size_t i = 0; i < u.n; i++) {
		struct mmsg *x = find(b, u.uid[i]);

		if (!x || (only && !(x->sys & FLAG_DELETED)))
			continue;
		struct mmsg gone = *x;

		remove_uid(b, u.uid[i]);
		if (m->keeps)
			keep(m, acct, box, &gone);
		assert_true(seen < out.n);
		assert_int_equal(out.uid[seen++], u.uid[i]);
		m->expunges++;
	}
	assert_int_equal(seen, out.n);
}

static void op_transfer(struct model *m, struct store_txn *t, int acct, int box,
			bool moves)
{
	struct mbox *b = &m->ahead.box[acct][box];
	int dest = (int)pick(m, BOXES);
	struct mbox *d = &m->ahead.box[acct][dest];
	struct store_uids u = some_uids(m, b), from, to;
	struct mbox was = *b; /* what is made on the way is not meant, also when b is d */
	size_t seen = 0;

	if (d->n + u.n > MAX)
		return;
	if (moves)
		OK(store_move(t, m->acct[acct], m->box[acct][box], &u, m->box[acct][dest],
			      &from, &to, &e));
	else
		OK(store_copy(t, m->acct[acct], m->box[acct][box], &u, m->box[acct][dest],
			      &from, &to, &e));
	for (size_t i = 0; i < u.n; i++) {
		struct mmsg *x = find(&was, u.uid[i]), made;

		if (!x)
			continue;
		made = *x;
		if (holds(d, x->email) && !(moves && box == dest))
			made.email = m->ahead.emails++;
		made.uid = d->uidnext++;
		if (moves)
			remove_uid(b, u.uid[i]);
		d->m[d->n++] = made;
		assert_true(seen < from.n);
		assert_int_equal(from.uid[seen], u.uid[i]);
		assert_int_equal(to.uid[seen++], made.uid);
	}
	assert_int_equal(seen, from.n);
	assert_int_equal(seen, to.n);
}

/* --- transactions ---------------------------------------------------------------------------- */
static void told(struct done *d, enum status st, const struct err *why)
{
	struct queued *q = (struct queued *)d;

	(void)why;
	assert_false(q->told);
	q->told = true;
	q->st = st;
}

static void one_op(struct model *m, struct store_txn *t, int acct)
{
	int box = (int)pick(m, BOXES);
	uint32_t first;

	switch (pick(m, 8)) {
	case 0:
	case 1:
		op_flags(m, t, acct, box);
		break;
	case 2:
		op_expunge(m, t, acct, box);
		break;
	case 3:
		op_transfer(m, t, acct, box, false);
		break;
	case 4:
		op_transfer(m, t, acct, box, true);
		break;
	case 5:
		OK(store_take_recent(t, m->acct[acct], m->box[acct][box], &first, &e));
		assert_true(first <= m->ahead.box[acct][box].uidnext);
		break;
	default:
		op_add(m, t, &acct, 1);
	}
}

static void transaction(struct model *m)
{
	int acct[2] = { (int)pick(m, ACCOUNTS), 0 };
	uint32_t ids[2];
	size_t n = 1;
	struct store_txn *t;
	struct world before = m->ahead;

	if (acct[0] + 1 < ACCOUNTS && pick(m, 4) == 0) {
		acct[1] = acct[0] + 1;
		n = 2;
	}
	for (size_t i = 0; i < n; i++)
		ids[i] = m->acct[acct[i]];
	OK(store_begin(m->b.s, ids, n, NULL, &t, &e));
	if (n == 2)
		op_add(m, t, acct, 2);
	else
		for (uint32_t i = pick(m, 3) + 1; i > 0; i--)
			one_op(m, t, acct[0]);
	if (pick(m, 12) == 0) {
		store_abort(t);
		m->ahead = before;
		return;
	}
	struct queued *q = &m->queue[m->n_queue++];

	*q = (struct queued){ .d = { told }, .m = m };
	store_commit(t, &q->d);
}

/* --- comparing ---------------------------------------------------------------------------------- */
struct row_check {
	struct model *m;
	struct mbox *b;
	int acct, box;
	size_t at;
	uint64_t modseq;
};

static bool check_row(void *ctx, const struct store_row *row)
{
	struct row_check *c = ctx;

	assert_true(c->at < c->b->n);
	struct mmsg *x = &c->b->m[c->at++];

	assert_int_equal(row->uid, x->uid);
	assert_int_equal(row->flags.sys, x->sys);
	assert_int_equal(row->flags.kw, x->kw);
	assert_int_equal(row->size, size_of(c->m, c->acct, x->text));
	assert_int_equal(row->internal_date, NOW_S + (int64_t)x->text);
	assert_true(row->modseq <= c->modseq);
	return true;
}

static void check_box(struct model *m, int acct, int box)
{
	struct mbox *b = &m->durable.box[acct][box];
	struct store_mailbox now = mbox_get(&m->b, m->acct[acct], m->box[acct][box]);
	struct row_check c = { m, b, acct, box, 0, now.modseq };
	uint32_t unseen = 0, deleted = 0;
	uint64_t bytes = 0;

	OK(store_rows(m->b.s, m->acct[acct], m->box[acct][box], 1, UINT32_MAX, check_row,
		      &c, &e));
	assert_int_equal(c.at, b->n);
	for (size_t i = 0; i < b->n; i++) {
		unseen += !(b->m[i].sys & FLAG_SEEN);
		deleted += !!(b->m[i].sys & FLAG_DELETED);
		bytes += size_of(m, acct, b->m[i].text);
	}
	assert_int_equal(now.messages, b->n);
	assert_int_equal(now.unseen, unseen);
	assert_int_equal(now.deleted, deleted);
	assert_int_equal(now.bytes, bytes);
	assert_int_equal(now.uidnext, b->uidnext);
	assert_int_equal(now.uidvalidity, m->uidvalidity[acct][box]);
	assert_true(now.modseq >= m->modseq[acct][box]);
	m->modseq[acct][box] = now.modseq;
}

static void check_account(struct model *m, int acct)
{
	struct store_account a;
	uint64_t messages = 0, bytes = 0;

	for (int box = 0; box < BOXES; box++) {
		struct mbox *b = &m->durable.box[acct][box];

		check_box(m, acct, box);
		messages += b->n;
		for (size_t i = 0; i < b->n; i++)
			bytes += size_of(m, acct, b->m[i].text);
	}
	OK(store_account_by_id(m->b.s, m->acct[acct], &m->b.a, &a, &e));
	assert_int_equal(a.messages, messages);
	assert_int_equal(a.bytes, bytes);
}

static void check_body(struct model *m, int acct, uint64_t email, unsigned text)
{
	struct store_email em;

	OK(store_email_get(m->b.s, m->acct[acct], email, &m->b.a, &em, &e));
	slice want = arena_join(&m->b.a, prefix_of(m, acct), text_of(m, text));

	assert_true(slice_eq(whole(&m->b, &em), want));
}

/* What is still shown can be read, expunged or not. */
static void check_held(struct model *m, struct held *h)
{
	assert_int_equal(h->v->n, h->then.n);
	for (size_t i = 0; i < h->then.n; i++) {
		struct store_row row;

		assert_int_equal(h->v->uid[i], h->then.m[i].uid);
		OK(store_row_shown(m->b.s, m->acct[h->acct], m->box[h->acct][h->box],
				   h->v->uid[i], &row, &e));
		assert_int_equal(row.email, h->email[i]);
		if (i % 5 == 0)
			check_body(m, h->acct, row.email, h->then.m[i].text);
	}
}

static bool is_in(const struct store_uids *u, uint32_t uid)
{
	for (size_t i = 0; i < u->n; i++)
		if (u->uid[i] == uid)
			return true;
	return false;
}

static void check_changes(struct model *m, struct held *h, const struct store_view *now)
{
	struct mbox *was = &h->then, *is = &m->durable.box[h->acct][h->box];
	struct store_changes c;
	size_t added = 0, gone = 0;

	OK(store_changes_between(m->b.s, h->v, now, &m->b.a, &c, &e));
	for (size_t i = 0; i < is->n; i++) {
		struct mmsg *old = find(was, is->m[i].uid);

		if (!old) {
			assert_true(is_in(&c.added, is->m[i].uid));
			added++;
		} else if (old->sys != is->m[i].sys || old->kw != is->m[i].kw) {
			assert_true(is_in(&c.changed, is->m[i].uid));
		}
	}
	for (size_t i = 0; i < was->n; i++) {
		if (!find(is, was->m[i].uid)) {
			assert_true(is_in(&c.expunged, was->m[i].uid));
			gone++;
		}
	}
	assert_int_equal(c.added.n, added);
	assert_int_equal(c.expunged.n, gone);
	for (size_t i = 0; i < c.changed.n; i++) {
		struct store_row row;

		assert_non_null(find(is, c.changed.uid[i]));
		assert_non_null(find(was, c.changed.uid[i]));
		OK(store_row_get(m->b.s, m->acct[h->acct], m->box[h->acct][h->box],
				 c.changed.uid[i], &row, &e));
		assert_true(row.modseq > h->v->modseq);
	}
	for (size_t i = 1; i < c.added.n; i++)
		assert_true(c.added.uid[i - 1] < c.added.uid[i]);
}

static void hold(struct model *m, struct held *h, int acct, int box)
{
	struct mbox *b = &m->durable.box[acct][box];
	const struct store_view *v;

	OK(store_view_open(m->b.s, m->acct[acct], m->box[acct][box], &v, &e));
	assert_int_equal(v->n, b->n);
	for (size_t i = 0; i < v->n; i++)
		assert_int_equal(v->uid[i], b->m[i].uid);
	assert_int_equal(v->uidnext, b->uidnext);
	if (h->v) {
		if (h->acct == acct && h->box == box)
			check_changes(m, h, v);
		store_view_unref(m->b.s, h->v);
	}
	*h = (struct held){ .v = v, .acct = acct, .box = box, .then = *b };
	for (size_t i = 0; i < v->n; i++) {
		struct store_row row;

		OK(store_row_get(m->b.s, m->acct[acct], m->box[acct][box], v->uid[i],
				 &row, &e));
		h->email[i] = row.email;
	}
}

/* --- steps ------------------------------------------------------------------------------------------ */
static void pump(struct model *m)
{
	bool fails = pick(m, 5) == 0;

	if (m->n_queue == 0)
		return;
	if (fails)
		kv_memory_fail(m->b.kv->en, 1, ERR_IO);
	kv_pump(m->b.kv);
	kv_memory_fail(m->b.kv->en, 0, ERR_NONE);
	bool failed = m->queue[0].st != ST_OK;

	for (size_t i = 0; i < m->n_queue; i++) {
		assert_true(m->queue[i].told);
		assert_int_equal(m->queue[i].st != ST_OK, failed);
	}
	m->n_queue = 0;
	/* a batch without any row does not reach the engine and cannot fail */
	if (failed) {
		m->ahead = m->durable;
		m->failures++;
	} else {
		m->durable = m->ahead;
	}
	for (int acct = 0; acct < ACCOUNTS; acct++)
		check_account(m, acct);
}

static bool count_any(void *ctx, slice key, slice value)
{
	(void)key;
	(void)value;
	++*(size_t *)ctx;
	return true;
}

static size_t count_rows(struct model *m, slice from, slice to)
{
	struct kv_range r = { from, to, false };
	size_t n = 0;

	OK(kv_scan(m->b.kv, NULL, &r, count_any, &n, &e));
	return n;
}

static void drop_views(struct model *m)
{
	for (int i = 0; i < HELD; i++) {
		store_view_unref(m->b.s, m->held[i].v);
		m->held[i].v = NULL;
	}
}

static size_t distinct_emails(const struct world *w)
{
	size_t n = 0;

	for (int acct = 0; acct < ACCOUNTS; acct++)
		for (unsigned email = 0; email < w->emails; email++)
			for (int box = 0; box < BOXES; box++)
				if (holds(&w->box[acct][box], email)) {
					n++;
					break;
				}
	return n;
}

/* With no view open the sweep has put all of it aside. */
static void check_kept(struct model *m)
{
	for (int acct = 0; acct < ACCOUNTS; acct++) {
		struct store_account a;
		struct store_undelete all = { 0 };
		struct store_deleted *d;
		uint64_t bytes = 0;
		size_t n = 0, listed;

		for (size_t i = 0; i < m->durable.n_kept; i++) {
			const struct mkept *k = &m->durable.kept[i];

			if (k->acct != acct)
				continue;
			bytes += size_of(m, acct, k->m.text);
			n++;
		}
		OK(store_account_by_id(m->b.s, m->acct[acct], &m->b.a, &a, &e));
		assert_int_equal(a.held_messages, n);
		assert_int_equal(a.held_bytes, bytes);
		OK(store_undelete_list(m->b.s, m->acct[acct], &all, &m->b.a, &d, &listed,
				       &e));
		assert_int_equal(listed, n);
	}
}

struct back {
	struct model *m;
	int acct, box;
	uint32_t from; /* uids from here on are new */
};

/* A row that was not there before is one of those that were kept. */
static bool take_back(void *ctx, const struct store_row *row)
{
	struct back *k = ctx;
	struct world *w = &k->m->ahead;
	struct mbox *b = &w->box[k->acct][k->box];

	if (row->uid < k->from)
		return true;
	for (size_t i = 0; i < w->n_kept; i++) {
		struct mkept *c = &w->kept[i];

		if (c->acct != k->acct || c->box != k->box ||
		    row->internal_date != NOW_S + (int64_t)c->m.text ||
		    row->flags.sys != (c->m.sys & ~(uint32_t)FLAG_DELETED) ||
		    row->flags.kw != c->m.kw)
			continue;
		c->m.uid = row->uid;
		c->m.sys = row->flags.sys;
		b->m[b->n++] = c->m;
		b->uidnext = row->uid + 1;
		*c = w->kept[--w->n_kept];
		k->m->undeleted++;
		check_body(k->m, k->acct, row->email, b->m[b->n - 1].text);
		return true;
	}
	fail_msg("uid %u was never expunged", row->uid);
	return false;
}

/* Everything of an account, or of one mailbox of it, swept already or not. */
static void undelete(struct model *m)
{
	static const char *names[BOXES] = { "INBOX", "Sent", "Archive", "Work" };
	int acct = (int)pick(m, ACCOUNTS), only = (int)pick(m, BOXES * 2);
	size_t wanted[BOXES] = { 0 }, sum = 0, messages, boxes;
	struct store_undelete u = { 0 };

	if (m->n_queue)
		return;
	if (only < BOXES)
		u.mailbox = slice_str(names[only]);
	for (size_t i = 0; i < m->ahead.n_kept; i++) {
		const struct mkept *k = &m->ahead.kept[i];

		if (k->acct != acct || (only < BOXES && k->box != only))
			continue;
		sum++;
		if (++wanted[k->box] + m->ahead.box[acct][k->box].n > MAX)
			return;
	}
	OK(store_undelete(m->b.s, m->acct[acct], &u, &messages, &boxes, &e));
	assert_int_equal(messages, sum);
	for (int box = 0; box < BOXES; box++) {
		struct back k = { m, acct, box, m->ahead.box[acct][box].uidnext };

		OK(store_rows(m->b.s, m->acct[acct], m->box[acct][box], 1, UINT32_MAX,
			      take_back, &k, &e));
	}
	m->durable = m->ahead;
	check_account(m, acct);
}

/* With no view open a sweep leaves exactly what is in the mailboxes. */
static void check_sweep(struct model *m, bool all)
{
	size_t done;

	if (m->n_queue)
		return;
	OK(store_sweep(m->b.s, SIZE_MAX, &done, &e));
	m->sweeps++;
	if (!all)
		return;
	assert_int_equal(count_rows(m, SL("X"), SL("Y")), 0);
	size_t wanted = distinct_emails(&m->durable) + m->durable.n_kept;

	assert_int_equal(count_rows(m, SL("r"), SL("s")), wanted);
	size_t emails = 0;

	for (int acct = 0; acct < ACCOUNTS; acct++) {
		char from[6] = { 'A', 0, 0, 0, (char)m->acct[acct], 'e' }, to[6];

		memcpy(to, from, 6);
		to[5]++;
		emails += count_rows(m, slice_make(from, 6), slice_make(to, 6));
	}
	assert_int_equal(emails, wanted);
	check_kept(m);
}

static void reopen(struct model *m)
{
	if (m->n_queue)
		return;
	drop_views(m);
	bench_reopen(&m->b);
	check_sweep(m, true);
	if (!m->keeps || pick(m, 3) == 0)
		return;
	/* a week goes by */
	size_t done;

	OK(store_retention_run(m->b.s, SIZE_MAX, &done, &e));
	assert_int_equal(done, 0);
	clock_advance(&m->b.clock, (KEEP_DAYS * 86400ll + 7200) * 1000000);
	OK(store_retention_run(m->b.s, SIZE_MAX, &done, &e));
	m->ahead.n_kept = m->durable.n_kept = 0;
	m->aged++;
	check_sweep(m, true);
}

static void step(struct model *m)
{
	int i = (int)pick(m, HELD);

	if (m->keeps && pick(m, 16) == 0)
		undelete(m);
	switch (pick(m, 10)) {
	case 0:
	case 1:
	case 2:
		pump(m);
		break;
	case 3:
		hold(m, &m->held[i], i % ACCOUNTS, (int)pick(m, BOXES));
		break;
	case 4:
		if (m->held[i].v)
			hold(m, &m->held[i], m->held[i].acct, m->held[i].box);
		break;
	case 5:
		check_sweep(m, false);
		for (int h = 0; h < HELD; h++)
			if (m->held[h].v)
				check_held(m, &m->held[h]);
		break;
	default:
		if (m->n_queue < QUEUE)
			transaction(m);
	}
	if (pick(m, 120) == 0)
		reopen(m);
	arena_reset(&m->b.a);
}

static void start(struct model *m, uint32_t seed)
{
	static const char *names[BOXES] = { "INBOX", "Sent", "Archive", "Work" };

	m->seed = seed;
	bench_open(&m->b, KV_COMMIT_MANUAL);
	m->acct[0] = m->b.alice;
	m->acct[1] = m->b.bob;
	OK(store_account_add(m->b.s, SL("carol@example.org"), SL("{X}c"), &m->acct[2],
			     &e));
	for (int a = 0; a < ACCOUNTS; a++) {
		uint32_t made;

		IN_TXN(&m->b, m->acct[a],
		       store_mailbox_create(t, m->acct[a], SL("Work"), ROLE_NONE, &made,
					    &e));
		for (int i = 0; i < BOXES; i++) {
			m->box[a][i] = mbox_id(&m->b, m->acct[a], names[i]);
			m->uidvalidity[a][i] =
				mbox_get(&m->b, m->acct[a], m->box[a][i]).uidvalidity;
			m->durable.box[a][i].uidnext = m->ahead.box[a][i].uidnext = 1;
		}
	}
}

static void test_the_store_does_what_a_naive_model_does(void **state)
{
	unsigned failures = 0, sweeps = 0, expunges = 0, undeleted = 0, aged = 0;

	(void)state;
	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		struct model *m = mem_new(sizeof(*m));

		start(m, seed * 7919);
		m->keeps = seed % 2 == 0;
		struct store_policy p = { .keep_days = m->keeps ? KEEP_DAYS : 0,
					  .language = "en" };

		OK(store_policy_set(m->b.s, &p, &e));
		for (int i = 0; i < STEPS; i++)
			step(m);
		pump(m);
		drop_views(m);
		check_sweep(m, true);
		failures += m->failures;
		sweeps += m->sweeps;
		expunges += m->expunges;
		undeleted += m->undeleted;
		aged += m->aged;
		bench_close(&m->b);
		mem_free(m);
	}
	/* the test tests something */
	assert_true(failures > SEEDS * 4);
	assert_true(sweeps > SEEDS * 8);
	assert_true(expunges > SEEDS * 20);
	assert_true(undeleted > SEEDS * 10);
	assert_true(aged > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_store_does_what_a_naive_model_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
