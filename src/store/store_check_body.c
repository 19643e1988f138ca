/* store_check_body.c — references, the bodies they keep, and who has the ones that are damaged. */
#include "store/store_check_int.h"

#define REFERENCE_KEY 45 /* 'r', hash, account, id */

static struct blob_id reference_blob(slice key)
{
	struct blob_id id;

	memcpy(id.h, key.p + 1, sizeof(id.h));
	return id;
}

static void reference_user(slice key, uint32_t *out_account, uint64_t *out_id)
{
	struct rd r = rd_init(slice_from(key, 33));

	*out_account = rd_u32(&r);
	*out_id = rd_u64(&r);
}

static bool same(const struct blob_id *x, const struct blob_id *y)
{
	return memcmp(x->h, y->h, sizeof(x->h)) == 0;
}

/* --- lists of damage --------------------------------------------------------------------- */
void check_told_add(struct check *c, uint32_t mbox, uint32_t uid, uint64_t email)
{
	if (c->n_told == CHECK_LIST_MAX)
		return;
	if (c->n_told == c->cap_told) {
		c->cap_told = c->cap_told ? c->cap_told * 2 : 16;
		c->told = mem_grow(c->told, c->cap_told, sizeof(*c->told));
	}
	c->told[c->n_told++] = (struct check_place){
		.account = c->account, .mbox = mbox, .uid = uid, .email = email
	};
}

void check_lost_add(struct check *c, uint32_t mbox, uint32_t uid, uint64_t email)
{
	if (c->n_lost == CHECK_LIST_MAX)
		return;
	if (c->n_lost == c->cap_lost) {
		c->cap_lost = c->cap_lost ? c->cap_lost * 2 : 16;
		c->lost = mem_grow(c->lost, c->cap_lost, sizeof(*c->lost));
	}
	c->lost[c->n_lost++] = (struct check_place){
		.account = c->account, .mbox = mbox, .uid = uid, .email = email
	};
}

void check_bad_add(struct check *c, const struct blob_id *id)
{
	if (c->n_bad == CHECK_LIST_MAX || (c->n_bad && same(&c->bad[c->n_bad - 1], id)))
		return;
	if (c->n_bad == c->cap_bad) {
		c->cap_bad = c->cap_bad ? c->cap_bad * 2 : 16;
		c->bad = mem_grow(c->bad, c->cap_bad, sizeof(*c->bad));
	}
	c->bad[c->n_bad++] = *id;
}

static int bad_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct blob_id));
}

static int lost_compare(const void *a, const void *b)
{
	const struct check_place *x = a, *y = b;

	if (x->account != y->account)
		return x->account < y->account ? -1 : 1;
	if (x->email != y->email)
		return x->email < y->email ? -1 : 1;
	if (x->mbox != y->mbox) /* those without a mailbox last */
		return (x->mbox ? x->mbox : UINT32_MAX) < (y->mbox ? y->mbox : UINT32_MAX)
			       ? -1
			       : 1;
	return (x->uid > y->uid) - (x->uid < y->uid);
}

/* --- references -------------------------------------------------------------------------- */
struct reference_walk {
	bool sources;  /* there are more than their users account for: look at each */
	bool has_last; /* the body that was verified last */
	struct blob_id last;
	uint64_t bodies;
	uint64_t *handoff;
	size_t n_handoff, cap_handoff;
};

/* The first entry of that email in the sorted list of those that are lost. */
static size_t lost_find(const struct check *c, uint32_t account, uint64_t email)
{
	size_t lo = 0, hi = c->n_lost;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct check_place *p = &c->lost[mid];

		if (p->account < account || (p->account == account && p->email < email))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool is_lost(const struct check *c, uint32_t account, uint64_t email)
{
	size_t at = lost_find(c, account, email);

	return at < c->n_lost && c->lost[at].account == account &&
	       c->lost[at].email == email;
}

struct handoff_find {
	uint64_t id;
	bool found;
};

static bool take_same_handoff(void *ctx, slice key, slice value)
{
	struct handoff_find *f = ctx;
	struct rd r = rd_init(slice_from(key, 5));

	(void)value;
	f->found = rd_u64(&r) == f->id;
	return !f->found;
}

static bool is_used(struct look *l, const struct reference_walk *w, slice key,
		    const struct blob_id *blob)
{
	struct arena *a = l->c->page.a;
	uint32_t account;
	uint64_t id;
	slice raw;

	reference_user(key, &account, &id);
	if (account == SCHEMA_HANDOFF && l->sure) { /* new ones come all the time */
		struct handoff_find f = { id, false };
		struct kv_range h = { .from = SL("H"), .to = SL("I") };

		return kv_scan(l->c->s->kv, NULL, &h, take_same_handoff, &f, NULL) !=
			       ST_OK ||
		       f.found;
	}
	if (account == SCHEMA_HANDOFF) {
		for (size_t i = 0; i < w->n_handoff; i++)
			if (w->handoff[i] == id)
				return true;
		return false;
	}
	if (account == 0) {
		struct skey k = key_queue(id);
		struct store_queue_entry q;

		return check_get(l, skey_slice(&k), a, &raw, NULL) == ST_OK &&
		       (!row_queue_read(raw, a, &q) || same(&q.blob, blob));
	}
	struct skey k = key_email(account, id);
	struct row_email m;

	if (is_lost(l->c, account, id) || check_account_gone(l, account))
		return true; /* the sweep has it */
	return check_get(l, skey_slice(&k), a, &raw, NULL) == ST_OK &&
	       (!row_email_read(raw, &m) || same(&m.blob, blob) ||
		(m.digest_kind == DIGEST_BLOB && same(&m.digest_blob, blob)));
}

struct reference_drop {
	const struct reference_walk *w;
	const struct check_row *row;
};

static bool take_handoff(void *ctx, slice key, slice value)
{
	struct reference_walk *w = ctx;
	struct rd r = rd_init(slice_from(key, 5));

	(void)value;
	if (w->n_handoff == CHECK_LIST_MAX)
		return false;
	if (w->n_handoff == w->cap_handoff) {
		w->cap_handoff = w->cap_handoff ? w->cap_handoff * 2 : 64;
		w->handoff = mem_grow(w->handoff, w->cap_handoff, sizeof(*w->handoff));
	}
	w->handoff[w->n_handoff++] = rd_u64(&r);
	return true;
}

static enum status reference_drop(struct look *l, void *ctx, struct err *e)
{
	const struct reference_drop *d = ctx;
	struct blob_id blob = reference_blob(d->row->key);
	struct where w = { .code = "reference" };
	enum status st = ST_NOT_FOUND;

	/* In this order: a reference goes together with what it is for. */
	if (is_used(l, d->w, d->row->key, &blob) ||
	    !check_has(l, d->row->key, l->c->page.a))
		return ST_OK;
	if (l->c->address.n) /* it may be all that is left of a message */
		st = repair_body(l, &blob, e);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	bool filed = st == ST_OK;

	if (!check_fault(
		    l, &w, filed ? CHECK_LOST : CHECK_REPAIRED,
		    filed ? "the text is filed in INBOX, as new" : "taken out",
		    filed ? "all rows of a message are missing, its text is there"
			  : "a reference keeps a body for a message that is not there"))
		return ST_OK;
	kv_blob_unref(l->t->kt, &blob);
	return repair_drop(l, d->row->key, d->row->value, e);
}

static enum status reference_look(struct check *c, struct reference_walk *w,
				  const struct check_row *row, struct err *e)
{
	struct reference_drop d = { w, row };
	uint32_t account;
	uint64_t id;

	reference_user(row->key, &account, &id);
	if (account == SCHEMA_HANDOFF)
		account = 0;
	/* The queue's rows are under lock 0, as hand-offs that come with it. */
	const uint32_t ids[] = { 0, account };

	struct look first = { .c = c };
	struct blob_id blob = reference_blob(row->key);

	if (is_used(&first, w, row->key, &blob)) /* nearly always */
		return ST_OK;
	enum status st = account ? check_account_enter(c, account, e) : ST_OK;

	if (st == ST_OK)
		st = check_unit(c, account ? ids + 1 : ids, 1, reference_drop, &d, e);
	check_account_forget(c);
	return st;
}

/* Bodies of a page, read by two threads: hashing takes as long as all the rest. */
#define READERS 2

struct body_job {
	struct blob_id id;
	uint64_t size;
	enum status st;
	struct err e;
};
struct body_jobs {
	struct kv *kv;
	bool quick;
	struct body_job *at;
	size_t n;
	_Atomic size_t next;
};

static void *bodies_read(void *arg)
{
	struct body_jobs *jobs = arg;

	for (;;) {
		size_t i = atomic_fetch_add(&jobs->next, 1);

		if (i >= jobs->n)
			return NULL;
		struct body_job *b = &jobs->at[i];

		b->st = kv_blob_size(jobs->kv, &b->id, &b->size, &b->e);
		if (b->st == ST_OK && !jobs->quick)
			b->st = kv_blob_verify(jobs->kv, &b->id, &b->e);
	}
}

static enum status bodies_look(struct check *c, struct body_jobs *jobs, struct err *e)
{
	pthread_t thread[READERS - 1];
	size_t n = 0;

	while (n + 1 < READERS && jobs->n > READERS &&
	       pthread_create(&thread[n], NULL, bodies_read, jobs) == 0)
		n++;
	bodies_read(jobs);
	while (n > 0)
		pthread_join(thread[--n], NULL);
	for (size_t i = 0; i < jobs->n; i++) {
		const struct body_job *b = &jobs->at[i];

		c->res->bodies++;
		check_tick(c, jobs->quick ? 1 : b->size);
		if (b->st == ST_NOT_FOUND ||
		    (b->st != ST_OK && b->e.code == ERR_CORRUPT)) {
			check_bad_add(c, &b->id);
		} else if (b->st != ST_OK) {
			if (e)
				*e = b->e;
			return b->st;
		}
	}
	return ST_OK;
}

static enum status references_page(struct look *l, void *ctx, struct err *e)
{
	struct reference_walk *w = ctx;
	struct check *c = l->c;
	struct body_jobs jobs = { .kv = c->s->kv, .quick = c->opt->quick };
	enum status st = ST_OK;

	jobs.at = arena_array(c->page.a, c->page.n + 1, sizeof(*jobs.at));
	for (size_t i = 0; i < c->page.n && st == ST_OK; i++) {
		const struct check_row *row = &c->page.at[i];

		if (row->key.n != REFERENCE_KEY)
			continue;
		struct blob_id id = reference_blob(row->key);

		if (w->sources)
			st = reference_look(c, w, row, e);
		if (!w->has_last || !same(&w->last, &id))
			jobs.at[jobs.n++].id = id;
		w->last = id;
		w->has_last = true;
	}
	return st == ST_OK ? bodies_look(c, &jobs, e) : st;
}

static bool take_count(void *ctx, slice key, slice value)
{
	(void)key;
	(void)value;
	++*(uint64_t *)ctx;
	return true;
}

enum status check_references(struct check *c, struct err *e)
{
	static const uint32_t directory_lock[] = { 0 };
	struct reference_walk w = { .has_last = false };
	struct kv_range r = { .from = SL("r"), .to = SL("s") };
	struct kv_range h = { .from = SL("H"), .to = SL("I") };
	uint64_t n = 0;

	if (c->n_lost)
		qsort(c->lost, c->n_lost, sizeof(*c->lost), lost_compare);
	enum status st = kv_scan(c->s->kv, NULL, &r, take_count, &n, NULL);

	w.sources = st != ST_OK || n != c->uses;
	if (c->n_lost ==
	    CHECK_LIST_MAX) /* those beyond still need theirs: the next run */
		w.sources = false;
	if (!w.sources && c->opt->quick) { /* each body was asked for with its email */
		c->res->bodies = n;
		return ST_OK;
	}
	if (w.sources && kv_scan(c->s->kv, NULL, &h, take_handoff, &w, NULL) != ST_OK)
		w.sources = false; /* told by the queue's walk: nothing may be dropped */
	c->unit = "bodies";
	c->octets = !c->opt->quick;
	c->done = 0;
	c->all = c->opt->quick ? n : c->bytes;
	st = check_walk(c, SL("r"), directory_lock, 1, references_page, &w, e);
	mem_free(w.handoff);
	return st;
}

/* --- what belongs to kv ------------------------------------------------------------------ */
static const char *fault_name(enum kv_fault what)
{
	switch (what) {
	case KV_FAULT_LOG:
		return "log";
	case KV_FAULT_EXTENTS:
		return "body-row";
	case KV_FAULT_BODY:
	case KV_FAULT_NO_BODY:
		return "body";
	case KV_FAULT_ORPHAN:
		return "orphan-body";
	case KV_FAULT_COUNT:
		break;
	}
	return "segment-count";
}

static void kv_found(void *ctx, enum kv_fault what, const struct blob_id *id,
		     const char *text)
{
	struct check *c = ctx;
	struct look l = { .c = c, .sure = true };
	struct where w = { .code = fault_name(what) };

	if (what == KV_FAULT_BODY || what == KV_FAULT_NO_BODY ||
	    what == KV_FAULT_EXTENTS) {
		if (id) {
			check_bad_add(c, id); /* told with the messages that have it */
			return;
		}
	}
	check_fault(&l, &w, CHECK_REPAIRED, "put right", "%s", text);
	c->res->repaired += l.repaired;
	c->res->lost += l.lost;
	c->res->left += l.left;
	check_tell(c);
}

enum status check_bodies(struct check *c, struct err *e)
{
	struct kv_check_options o = { .repair = c->opt->repair,
				      .found = kv_found,
				      .ctx = c };

	check_account_forget(c);
	return kv_check(c->s->kv, &o, e);
}

/* --- who has the damaged ones ------------------------------------------------------------ */
struct user {
	uint32_t account;
	uint64_t id;
	const struct blob_id *blob;
};

static enum status queue_body(struct look *l, const struct user *u, struct err *e)
{
	struct skey k = key_queue(u->id);
	struct store_queue_entry q;
	slice raw;
	enum status st = check_get(l, skey_slice(&k), l->c->page.a, &raw, e);

	if (st != ST_OK)
		return st == ST_NOT_FOUND ? ST_OK : st;
	if (!row_queue_read(raw, l->c->page.a, &q))
		return ST_OK;
	if (!check_fault(
		    l, &(struct where){ .code = "body" }, CHECK_LOST,
		    "put aside: its sender has to be told",
		    "the text of message %016llx in the queue, from <%.*s> to <%.*s>, is "
		    "damaged",
		    (unsigned long long)u->id, FMT(q.sender),
		    FMT(q.n_rcpt ? q.rcpt[0] : slice_make("", 0))))
		return ST_OK;
	struct skey kd = key_queue_due(q.due, u->id);

	st = repair_drop(l, skey_slice(&k), raw, e);
	txn_del(l->t, skey_slice(&kd));
	reference_remove(l->t, u->blob, 0, u->id);
	return st;
}

static enum status handoff_body(struct look *l, const struct user *u, struct err *e)
{
	struct skey kr = key_reference(u->blob, SCHEMA_HANDOFF, u->id);

	(void)e;
	if (!check_has(l, skey_slice(&kr), l->c->page.a))
		return ST_OK;
	check_fault(l, &(struct where){ .code = "body" }, CHECK_HELPLESS, NULL,
		    "the text of a message that was to be filed is damaged");
	return ST_OK;
}

/* Nobody can see it any more. */
static enum status email_gone(struct look *l, struct where *w, const struct user *u,
			      slice raw, struct err *e)
{
	struct skey k = key_email(u->account, u->id);

	w->code = "body";
	if (!check_fault(l, w, CHECK_LOST, "taken out",
			 "the text of a message that was expunged is damaged"))
		return ST_OK;
	enum status st = repair_aside(l, skey_slice(&k), raw, e);

	return st == ST_OK ? email_remove(l->t, u->account, u->id, e) : st;
}

static enum status body_of_email(struct look *l, const struct user *u, struct err *e)
{
	struct check *c = l->c;
	struct skey k = key_email(u->account, u->id), kg = key_places(u->account, u->id);
	struct where w = { .code = "body", .email = u->id };
	struct row_email m;
	struct row_places p = { .n = 0 };
	struct row_message msg;
	slice raw, row;
	size_t shown = 0;
	enum status st = check_get(l, skey_slice(&k), c->page.a, &raw, e);

	if (st != ST_OK)
		return st == ST_NOT_FOUND ? ST_OK : st;
	if (!row_email_read(raw, &m) || !same(&m.blob, u->blob) ||
	    is_lost(c, u->account, u->id))
		return ST_OK; /* a digest: told with the email; a damaged row: with the lost */
	check_name_email(&w, &m);
	if (check_get(l, skey_slice(&kg), c->page.a, &row, NULL) != ST_OK ||
	    !row_places_read(row, c->page.a, &p) || p.n == 0) {
		p.at = arena_array(c->page.a, 1, sizeof(*p.at));
		p.at[p.n++] = (struct place){ m.mbox, m.uid };
	}
	for (size_t i = 0; i < p.n && st == ST_OK; i++) {
		struct skey km = key_message(u->account, p.at[i].mbox, p.at[i].uid);

		if (check_get(l, skey_slice(&km), c->page.a, &row, NULL) != ST_OK ||
		    !row_message_read(row, p.at[i].uid, &msg) || msg.row.email != u->id)
			continue;
		shown++;
		w.mbox = p.at[i].mbox;
		w.uid = p.at[i].uid;
		if (!check_fault(l, &w, CHECK_LOST,
				 "a note with another UID stands for it in the mailbox",
				 "the text of the message is damaged"))
			continue;
		st = repair_aside(l, skey_slice(&km), row, e);
		if (st == ST_OK)
			st = repair_placeholder(l, &w, &m, &msg, p.at[i].mbox, e);
	}
	if (shown == 0)
		return st == ST_OK ? email_gone(l, &w, u, raw, e) : st;
	if (st != ST_OK || !c->opt->repair || !l->t)
		return st;
	st = repair_aside(l, skey_slice(&k), raw, e);
	return st == ST_OK ? email_remove(l->t, u->account, u->id, e) : st;
}

static enum status user_look(struct look *l, void *ctx, struct err *e)
{
	const struct user *u = ctx;

	if (u->account == 0)
		return queue_body(l, u, e);
	if (u->account == SCHEMA_HANDOFF)
		return handoff_body(l, u, e);
	return body_of_email(l, u, e);
}

struct users {
	struct arena *a;
	struct user *at;
	size_t n, cap;
	slice after; /* where the next page begins */
};

static bool take_user(void *ctx, slice key, slice value)
{
	struct users *us = ctx;

	(void)value;
	if (us->n == us->cap) {
		us->after = arena_dup(us->a, key);
		return false;
	}
	if (key.n != REFERENCE_KEY)
		return true;
	reference_user(key, &us->at[us->n].account, &us->at[us->n].id);
	us->n++;
	return true;
}

static enum status bad_body(struct check *c, const struct blob_id *id, struct err *e)
{
	struct skey from = key_reference(id, 0, 0), to = from;
	AUTO_ARENA a = { 0 };
	enum status st = ST_OK;
	slice at = skey_slice(&from);

	arena_init(&a);
	to.n = 33;
	skey_next_prefix(&to);
	while (st == ST_OK && at.n && !check_stopped(c)) {
		struct users us = { .a = &a, .cap = CHECK_PAGE };
		struct kv_range r = { .from = at, .to = skey_slice(&to) };

		us.at = arena_array(&a, us.cap, sizeof(*us.at));
		st = kv_scan(c->s->kv, NULL, &r, take_user, &us, e);
		for (size_t i = 0; i < us.n && st == ST_OK; i++) {
			struct user *u = &us.at[i];
			uint32_t lock = u->account == SCHEMA_HANDOFF ? 0 : u->account;

			u->blob = id;
			arena_reset(&c->page_arena);
			check_account_forget(c);
			if (lock)
				st = check_account_enter(c, lock, e);
			if (st == ST_OK && c->opt->address.n && lock != c->only)
				continue; /* not asked about */
			if (st == ST_OK)
				st = check_unit(c, &lock, 1, user_look, u, e);
			if (st == ST_OK && lock && c->opt->repair)
				st = check_recount(c, e);
		}
		at = us.after;
	}
	return st;
}

/* --- the end: what was put off until all was known --------------------------------------- */
static bool take_lost_blob(void *ctx, slice key, slice value)
{
	struct check *c = ctx;
	uint32_t account;
	uint64_t email;

	(void)value;
	if (key.n != REFERENCE_KEY)
		return true;
	reference_user(key, &account, &email);
	for (size_t i = lost_find(c, account, email);
	     i < c->n_lost && c->lost[i].account == account && c->lost[i].email == email;
	     i++)
		if (c->lost[i].n_blob < 2)
			c->lost[i].blob[c->lost[i].n_blob++] = reference_blob(key);
	return true;
}

static enum status lost_look(struct look *l, void *ctx, struct err *e)
{
	return repair_email(l, ctx, e);
}

static enum status lost_emails(struct check *c, struct err *e)
{
	struct kv_range r = { .from = SL("r"), .to = SL("s") };
	enum status st;

	if (c->n_lost == 0)
		return ST_OK;
	qsort(c->lost, c->n_lost, sizeof(*c->lost), lost_compare);
	st = kv_scan(c->s->kv, NULL, &r, take_lost_blob, c, e);
	for (size_t i = 0; i < c->n_lost && st == ST_OK && !check_stopped(c); i++) {
		struct check_place *p = &c->lost[i];

		if (i && p->account == p[-1].account && p->email == p[-1].email &&
		    (p->mbox == 0 || (p->mbox == p[-1].mbox && p->uid == p[-1].uid)))
			continue;
		arena_reset(&c->page_arena);
		st = check_account_enter(c, p->account, e);
		if (st == ST_OK)
			st = check_unit(c, &p->account, 1, lost_look, p, e);
		if (st == ST_OK && c->opt->repair)
			st = check_recount(c, e);
		bool last = i + 1 == c->n_lost || p[1].account != p->account;

		if (st == ST_OK && last && c->dropped)
			st = check_threads(c, e);
		c->dropped = c->dropped && !last;
	}
	return st;
}

enum status check_lost(struct check *c, struct err *e)
{
	enum status st = lost_emails(c, e);

	if (c->n_bad)
		qsort(c->bad, c->n_bad, sizeof(*c->bad), bad_compare);
	for (size_t i = 0; i < c->n_bad && st == ST_OK; i++)
		if (i == 0 || !same(&c->bad[i], &c->bad[i - 1]))
			st = bad_body(c, &c->bad[i], e);
	check_account_forget(c);
	return st;
}
