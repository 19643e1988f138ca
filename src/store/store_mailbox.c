/* store_mailbox.c — mailboxes: reading. Durable state; a path is put together from the
 * rows above. */
#include "store/store_int.h"

const char *store_role_name(enum store_role role)
{
	switch (role) {
	case ROLE_INBOX:
		return "inbox";
	case ROLE_DRAFTS:
		return "drafts";
	case ROLE_SENT:
		return "sent";
	case ROLE_JUNK:
		return "junk";
	case ROLE_TRASH:
		return "trash";
	case ROLE_ARCHIVE:
		return "archive";
	case ROLE_NONE:
		break;
	}
	return "";
}

static void fill(struct store_mailbox *out, uint32_t id, const struct row_mbox *r)
{
	*out = (struct store_mailbox){
		.id = id,
		.parent = r->parent,
		.role = (enum store_role)r->role,
		.exists = r->exists,
		.uidvalidity = r->uidvalidity,
		.uidnext = r->uidnext,
		.messages = r->messages,
		.unseen = r->unseen,
		.deleted = r->deleted,
		.first_recent = r->first_recent,
		.modseq = r->modseq,
		.bytes = r->bytes,
		.expire = r->expire,
		.name = r->name,
	};
}

static enum status mbox_read(struct store *s, uint32_t account, uint32_t mbox,
			     struct arena *a, struct row_mbox *out, struct err *e)
{
	slice row;
	struct skey k = key_mbox(account, mbox);
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), a, &row, e);

	if (st == ST_NOT_FOUND)
		return err_set(e, ERR_NO_MAILBOX, "there is no such mailbox");
	if (st != ST_OK)
		return st;
	return row_mbox_read(row, out) ? ST_OK : damaged(e, "mailbox");
}

static bool any_row(void *ctx, slice key, slice value)
{
	(void)key;
	(void)value;
	*(bool *)ctx = true;
	return false;
}

static enum status details(struct store *s, uint32_t account, struct arena *a,
			   struct store_mailbox *m, struct err *e)
{
	slice row;
	struct skey from = key_account_type(account, 'F'), to;

	for (int i = 24; i >= 0; i -= 8)
		from.b[from.n++] = (unsigned char)(m->id >> i);
	to = from;
	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };
	enum status st = kv_scan(s->kv, NULL, &r, any_row, &m->has_children, e);

	if (st != ST_OK)
		return st;
	st = kv_get(s->kv, NULL, key_subscription(a, account, m->name), a, &row, e);
	m->subscribed = st == ST_OK;
	return st == ST_NOT_FOUND ? ST_OK : st;
}

enum status store_mailbox_get(struct store *s, uint32_t account, uint32_t mbox,
			      struct arena *a, struct store_mailbox *out, struct err *e)
{
	struct row_mbox r;
	struct store_mailbox m;
	enum status st = mbox_read(s, account, mbox, a, &r, e);

	if (st != ST_OK)
		return st;
	fill(&m, mbox, &r);
	for (int depth = 0; r.parent && depth <= LIMIT_MAILBOX_DEPTH * 2; depth++) {
		st = mbox_read(s, account, r.parent, a, &r, e);
		if (st != ST_OK)
			return st;
		m.name = arena_fmt(a, "%.*s/%.*s", FMT(r.name), FMT(m.name));
	}
	st = details(s, account, a, &m, e);
	if (st == ST_OK)
		*out = m;
	return st;
}

enum status store_mailbox_find(struct store *s, uint32_t account, slice name,
			       struct arena *a, struct store_mailbox *out, struct err *e)
{
	uint32_t id;
	struct row_mbox r;
	struct store_mailbox m;
	slice canonical = name_canonical(a, name);
	enum status st = name_find(s, NULL, a, account, canonical, &id, e);

	if (st != ST_OK)
		return st;
	if (!id)
		return err_set(e, ERR_NO_MAILBOX, "there is no mailbox of this name");
	st = mbox_read(s, account, id, a, &r, e);
	if (st != ST_OK)
		return st;
	fill(&m, id, &r);
	m.name = arena_dup(a, canonical);
	st = details(s, account, a, &m, e);
	if (st == ST_OK)
		*out = m;
	return st;
}

/* --- list --------------------------------------------------------------------------- */
struct mbox_scan {
	struct arena *a;
	struct store_mailbox *at;
	size_t n, cap;
	bool bad;
};

static struct store_mailbox *scan_add(struct mbox_scan *l)
{
	if (l->n == l->cap) {
		struct store_mailbox *old = l->at;

		l->cap = l->cap ? l->cap * 2 : 16;
		l->at = arena_array(l->a, l->cap, sizeof(*l->at));
		if (l->n)
			memcpy(l->at, old, l->n * sizeof(*l->at));
	}
	return &l->at[l->n++];
}

static bool take_mbox(void *ctx, slice key, slice value)
{
	struct mbox_scan *l = ctx;
	struct row_mbox r;
	uint32_t id;

	if (key.n != 10)
		return true;
	memcpy(&id, key.p + 6, 4);
	struct store_mailbox *m = scan_add(l);

	if (!row_mbox_read(value, &r)) {
		r = (struct row_mbox){ .exists = true, .name = slice_make("", 0) };
		l->bad = true;
	}
	fill(m, __builtin_bswap32(id), &r);
	m->name = arena_dup(l->a, r.name);
	return true;
}

static struct store_mailbox *by_id(const struct mbox_scan *l, size_t n, uint32_t id)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (l->at[mid].id == id)
			return &l->at[mid];
		if (l->at[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* Components become paths; parents learn that they have children. */
static void build_paths(struct mbox_scan *l)
{
	slice *path = arena_array(l->a, l->n + 1, sizeof(*path));

	for (size_t i = 0; i < l->n; i++) {
		struct store_mailbox *up = by_id(l, l->n, l->at[i].parent);

		path[i] = l->at[i].name;
		if (up)
			up->has_children = true;
		for (int depth = 0; up && depth <= LIMIT_MAILBOX_DEPTH * 2; depth++) {
			path[i] =
				arena_fmt(l->a, "%.*s/%.*s", FMT(up->name), FMT(path[i]));
			up = by_id(l, l->n, up->parent);
		}
	}
	for (size_t i = 0; i < l->n; i++)
		l->at[i].name = path[i];
}

/* INBOX first; a parent before its children: '/' sorts before everything. */
static int name_order(slice x, slice y)
{
	bool ix = slice_eq(x, SL("INBOX")) || slice_starts(x, SL("INBOX/"));
	bool iy = slice_eq(y, SL("INBOX")) || slice_starts(y, SL("INBOX/"));

	if (ix != iy)
		return ix ? -1 : 1;
	for (size_t i = 0; i < x.n && i < y.n; i++) {
		unsigned cx = x.p[i] == '/' ? 0 : (unsigned char)x.p[i];
		unsigned cy = y.p[i] == '/' ? 0 : (unsigned char)y.p[i];

		if (cx != cy)
			return cx < cy ? -1 : 1;
	}
	return (x.n > y.n) - (x.n < y.n);
}

static int mailbox_order(const void *x, const void *y)
{
	return name_order(((const struct store_mailbox *)x)->name,
			  ((const struct store_mailbox *)y)->name);
}

static enum status scan_type(struct store *s, uint32_t account, char type, kv_row_fn fn,
			     void *ctx, struct err *e)
{
	struct skey from = key_account_type(account, type), to = from;

	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };

	return kv_scan(s->kv, NULL, &r, fn, ctx, e);
}

/* Mailboxes whose rows are damaged are listed all the same, by the other index: they are not gone,
 * and their children keep their paths. What opens one is told. */
static bool take_lost_name(void *ctx, slice key, slice value)
{
	struct mbox_scan *l = ctx;
	struct rd k = rd_init(slice_from(key, 6)), v = rd_init(value);
	uint32_t parent = rd_u32(&k);

	if (rd_u8(&v) != SCHEMA_ROW)
		return true;
	struct store_mailbox *m = by_id(l, l->n, rd_u32(&v));

	if (m && m->name.n == 0) {
		m->parent = parent;
		m->name = arena_dup(l->a, rd_raw(&k, rd_left(&k)));
	}
	return true;
}

static enum status names_find(struct store *s, uint32_t account, struct mbox_scan *l,
			      struct err *e)
{
	enum status st = scan_type(s, account, 'F', take_lost_name, l, e);

	for (size_t i = 0; i < l->n; i++)
		if (l->at[i].name.n == 0)
			l->at[i].name = arena_fmt(l->a, "Recovered-%x", l->at[i].id);
	return st;
}

static bool take_subscription(void *ctx, slice key, slice value)
{
	struct mbox_scan *l = ctx;

	(void)value;
	struct store_mailbox *m = scan_add(l);

	*m = (struct store_mailbox){ .name = arena_dup(l->a, slice_from(key, 6)),
				     .subscribed = true };
	return true;
}

/* Subscriptions of names that are there mark them; the others stay as names (RFC 3501
 * 6.3.9). */
static void merge_subscriptions(struct mbox_scan *all, const struct mbox_scan *subs)
{
	for (size_t i = 0; i < subs->n; i++) {
		struct store_mailbox *m = all->n ? bsearch(&subs->at[i], all->at, all->n,
							   sizeof(*all->at),
							   mailbox_order)
						 : NULL;

		if (m)
			m->subscribed = true;
		else
			subs->at[i].id = UINT32_MAX; /* to be added */
	}
	for (size_t i = 0; i < subs->n; i++) {
		if (subs->at[i].id == UINT32_MAX) {
			struct store_mailbox *m = scan_add(all);

			*m = subs->at[i];
			m->id = 0;
		}
	}
}

enum status store_mailbox_list(struct store *s, uint32_t account, struct arena *a,
			       struct store_mailbox **out, size_t *out_n, struct err *e)
{
	struct mbox_scan all = { .a = a }, subs = { .a = a };
	enum status st = scan_type(s, account, 'f', take_mbox, &all, e);

	if (st == ST_OK && all.bad)
		st = names_find(s, account, &all, e);
	if (st == ST_OK)
		st = scan_type(s, account, 'b', take_subscription, &subs, e);
	if (st != ST_OK)
		return st;
	build_paths(&all);
	if (all.n)
		qsort(all.at, all.n, sizeof(*all.at), mailbox_order);
	size_t n = all.n;

	merge_subscriptions(&all, &subs);
	if (all.n > n)
		qsort(all.at, all.n, sizeof(*all.at), mailbox_order);
	*out = all.at;
	*out_n = all.n;
	return ST_OK;
}
