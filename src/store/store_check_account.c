/* store_check_account.c — an account's own rows: a, f, F. One unit with k and b: there are few of
 * them. */
#include "store/store_check_int.h"

#define EPOCH_OF_MBOX(id)  ((id) >> 24)
#define NUMBER_OF_MBOX(id) ((id)&0xffffffu)

struct check_name { /* a row F */
	slice key, value, name;
	uint32_t parent, id;
	bool bad, used;
};
struct tree {
	struct look *l;
	struct arena *a;
	struct check_name *name;
	size_t n_name, cap_name, cap_box;
	struct txn_account *ta; /* under the lock */
	bool junk;
	slice junk_key, junk_value;
};

/* --- loading ------------------------------------------------------------------------ */
static struct check_box *box_add(struct tree *t, uint32_t id)
{
	struct check *c = t->l->c;
	size_t at;

	if (check_box(c, id))
		return check_box(c, id);
	if (c->n_box == t->cap_box) {
		struct check_box *old = c->box;

		t->cap_box = t->cap_box ? t->cap_box * 2 : 16;
		c->box = arena_array(t->a, t->cap_box, sizeof(*c->box));
		if (c->n_box)
			memcpy(c->box, old, c->n_box * sizeof(*c->box));
	}
	for (at = c->n_box; at > 0 && c->box[at - 1].id > id; at--)
		c->box[at] = c->box[at - 1];
	c->n_box++;
	c->box[at] = (struct check_box){ .id = id };
	return &c->box[at];
}

static bool take_box(void *ctx, slice key, slice value)
{
	struct tree *t = ctx;
	struct rd r = rd_init(slice_from(key, 6));
	struct check_box *b = box_add(t, rd_u32(&r));

	if (row_mbox_read(value, &b->row) && b->row.name.n) {
		b->row.name = arena_dup(t->a, b->row.name);
		b->has_row = true;
	} else {
		b->row = (struct row_mbox){ .name = slice_make("", 0) };
	}
	return true;
}

static bool take_name(void *ctx, slice key, slice value)
{
	struct tree *t = ctx;
	struct check_name n = { .key = arena_dup(t->a, key),
				.value = arena_dup(t->a, value) };
	struct rd k = rd_init(slice_from(n.key, 6)), v = rd_init(value);

	n.parent = rd_u32(&k);
	n.name = rd_raw(&k, rd_left(&k));
	n.bad = rd_u8(&v) != SCHEMA_ROW;
	n.id = rd_u32(&v);
	n.bad |= v.bad || rd_left(&v) || !n.id || k.bad || !n.name.n;
	if (t->n_name == t->cap_name) {
		struct check_name *old = t->name;

		t->cap_name = t->cap_name ? t->cap_name * 2 : 16;
		t->name = arena_array(t->a, t->cap_name, sizeof(*t->name));
		if (t->n_name)
			memcpy(t->name, old, t->n_name * sizeof(*t->name));
	}
	t->name[t->n_name++] = n;
	return true;
}

static enum status scan_kind(struct look *l, char kind, kv_row_fn fn, void *ctx,
			     struct err *e)
{
	struct skey from = key_account_type(l->c->account, kind), to = from;

	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };

	return kv_scan(l->c->s->kv, l->t ? l->t->kt : NULL, &r, fn, ctx, e);
}

static bool take_first(void *ctx, slice key, slice value)
{
	struct rd r = rd_init(slice_from(key, 6));

	(void)value;
	*(uint32_t *)ctx = rd_u32(&r);
	return false;
}

/* Mailboxes that have messages, and no row: one seek each. */
static enum status boxes_of_messages(struct tree *t, struct err *e)
{
	struct check *c = t->l->c;
	struct skey from = key_account_type(c->account, 'm'), to = from;

	skey_next_prefix(&to);
	for (;;) {
		uint32_t id = 0;
		struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };
		enum status st = kv_scan(c->s->kv, t->l->t ? t->l->t->kt : NULL, &r,
					 take_first, &id, e);

		if (st != ST_OK || id == 0)
			return st;
		struct skey gone = key_gone_mbox(c->account, id),
			    kept = key_kept_mbox(c->account, id);

		/* A deleted one is the sweep's, or kept for undelete. */
		if (!check_box(c, id) && !check_has(t->l, skey_slice(&gone), t->a) &&
		    !check_has(t->l, skey_slice(&kept), t->a))
			box_add(t, id);
		if (id == UINT32_MAX)
			return ST_OK;
		from = key_messages(c->account, id + 1);
	}
}

/* --- names -------------------------------------------------------------------------- */
static struct check_name *name_of(struct tree *t, uint32_t id)
{
	for (size_t i = 0; i < t->n_name; i++)
		if (!t->name[i].bad && t->name[i].id == id)
			return &t->name[i];
	return NULL;
}

static struct check_name *name_at(struct tree *t, uint32_t parent, slice name)
{
	for (size_t i = 0; i < t->n_name; i++)
		if (t->name[i].parent == parent && slice_eq(t->name[i].name, name))
			return &t->name[i];
	return NULL;
}

static bool name_is_good(slice name)
{
	return slice_chr(name, '/', 0) == name.n && name_is_valid(name, NULL);
}

static void paths_make(struct tree *t)
{
	struct check *c = t->l->c;

	for (size_t i = 0; i < c->n_box; i++) {
		struct check_box *b = &c->box[i];

		if (!b->has_row) {
			struct check_name *n = name_of(t, b->id);

			b->row.name = n ? n->name
					: arena_fmt(t->a, "Recovered-%x", b->id);
			b->row.parent = n ? n->parent : 0;
		}
		b->path = b->row.name;
	}
	for (size_t i = 0; i < c->n_box; i++) {
		struct check_box *b = &c->box[i];
		struct check_box *up = check_box(c, b->row.parent);

		for (int d = 0; up && d < LIMIT_MAILBOX_DEPTH; d++) {
			b->path = arena_fmt(t->a, "%.*s/%.*s", FMT(up->row.name),
					    FMT(b->path));
			up = check_box(c, up->row.parent);
		}
	}
}

static bool is_below_itself(const struct check *c, const struct check_box *b)
{
	const struct check_box *up = b;

	for (int d = 0; d <= 2 * LIMIT_MAILBOX_DEPTH; d++) {
		up = check_box(c, up->row.parent);
		if (!up)
			return false;
	}
	return true;
}

/* --- mending ------------------------------------------------------------------------ */
static enum status box_hot(struct tree *t, struct check_box *b, struct hot_mbox **out,
			   struct err *e)
{
	enum status st = txn_mbox_any(t->l->t, t->ta, b->id, out, e);

	if (st == ST_OK)
		(*out)->dirty = true;
	return st;
}

/* A free name like that one. */
static slice name_free(struct tree *t, uint32_t parent, slice name, uint32_t id)
{
	struct check_name *n = name_at(t, parent, name);

	if (name_is_good(name) && (!n || n->bad || n->id == id))
		return name;
	return arena_fmt(t->a, "Recovered-%x", id);
}

/* The row F of a mailbox, as its row f says. */
static enum status name_link(struct tree *t, struct check_box *b, struct err *e)
{
	struct hot_mbox *m;
	enum status st = box_hot(t, b, &m, e);

	if (st != ST_OK)
		return st;
	slice name = name_free(t, b->row.parent, b->row.name, b->id);
	struct check_name *n = name_at(t, b->row.parent, name);

	if (n && n->bad) {
		st = repair_aside(t->l, n->key, n->value, e);
		n->used = true;
	}
	if (st != ST_OK)
		return st;
	name_put(t->l->t, t->ta->id, b->row.parent, name, b->id);
	b->row.name = name;
	m->row.parent = b->row.parent;
	hot_rename(m, name);
	txn_log_mailbox(t->l->t, t->ta, b->id);
	return ST_OK;
}

static bool take_uid(void *ctx, slice key, slice value)
{
	(void)value;
	*(uint32_t *)ctx = key_message_uid(key);
	return false;
}

static uint32_t last_uid(struct tree *t, uint32_t mbox)
{
	uint32_t m = 0, x = 0;
	struct skey from = key_messages(t->ta->id, mbox), to = from;
	struct skey fx = key_gone(t->ta->id, mbox, 0), tx;

	skey_next_prefix(&to);
	fx.n -= 4;
	tx = fx;
	skey_next_prefix(&tx);
	struct kv_range rm = { skey_slice(&from), skey_slice(&to), true };
	struct kv_range rx = { skey_slice(&fx), skey_slice(&tx), true };

	/* What cannot be read has no higher UID that anybody could be shown. */
	if (kv_scan(t->l->c->s->kv, t->l->t->kt, &rm, take_uid, &m, NULL) != ST_OK)
		m = 0;
	if (kv_scan(t->l->c->s->kv, t->l->t->kt, &rx, take_uid, &x, NULL) != ST_OK)
		x = 0;
	return m > x ? m : x;
}

static enum store_role role_of(const struct tree *t, uint32_t id)
{
	for (int r = ROLE_INBOX; r < SCHEMA_ROLES; r++)
		if (t->ta->hot->row.role[r] == id)
			return (enum store_role)r;
	return ROLE_NONE;
}

/* A mailbox whose row is lost: its UIDs may have been given out further than anybody knows now,
 * so that it gets another UIDVALIDITY (RFC 3501 2.3.1.1). */
static enum status box_make(struct tree *t, struct check_box *b, struct err *e)
{
	struct check_name *n = name_of(t, b->id);
	struct hot_mbox *m = hot_find(t->ta->hot, b->id);

	if (m && !m->removed) { /* the server has it in memory as it was */
		m->dirty = true;
		b->row = m->row;
		b->row.name = arena_dup(t->a, m->row.name);
		b->has_row = true;
		return ST_OK;
	}
	b->row = (struct row_mbox){
		.parent = n ? n->parent : 0,
		.uidvalidity = txn_uidvalidity(t->l->t),
		.uidnext = last_uid(t, b->id) + 1,
		.role = (uint8_t)role_of(t, b->id),
		.modseq = txn_modseq(t->ta),
		.exists = true,
		.name = n ? n->name : arena_fmt(t->a, "Recovered-%x", b->id),
	};
	b->row.first_recent = b->row.uidnext;
	if (b->row.parent && !check_box(t->l->c, b->row.parent))
		b->row.parent = 0;
	m = hot_add(t->ta->hot, b->id, &b->row);
	m->dirty = true;
	b->has_row = b->recount = true;
	txn_log_mailbox(t->l->t, t->ta, b->id);
	return n ? ST_OK : name_link(t, b, e);
}

/* --- the account's row -------------------------------------------------------------- */
struct last_key {
	uint64_t value;
};

static bool take_last(void *ctx, slice key, slice value)
{
	struct rd r = rd_init(slice_from(key, 6));

	(void)value;
	((struct last_key *)ctx)->value = rd_u64(&r);
	return false;
}

static uint64_t last_number(struct look *l, char kind)
{
	struct last_key k = { 0 };
	struct skey from = key_account_type(l->c->account, kind), to = from;

	skey_next_prefix(&to);
	struct kv_range r = { skey_slice(&from), skey_slice(&to), true };

	return kv_scan(l->c->s->kv, l->t->kt, &r, take_last, &k, NULL) == ST_OK ? k.value
										: 0;
}

static bool take_modseq(void *ctx, slice key, slice value)
{
	uint64_t *highest = ctx;
	struct row_message m;

	if (row_message_read(value, key_message_uid(key), &m) &&
	    m.row.modseq > *highest && m.row.modseq < UINT64_MAX / 2)
		*highest = m.row.modseq;
	return true;
}

/* Everything that has been given out lies below what the new row begins with. */
static enum status account_make(struct tree *t, struct err *e)
{
	struct look *l = t->l;
	struct check *c = l->c;
	struct row_account r = { .next_mbox = 1 };
	struct skey k = key_account(c->account);
	AUTO_BUF b = { 0 };
	uint64_t email = last_number(l, 'e');
	enum status st;

	r.modseq = last_number(l, 'l');
	st = scan_kind(l, 'm', take_modseq, &r.modseq, e);
	for (size_t i = 0; i < c->n_box; i++) {
		const struct check_box *x = &c->box[i];

		if (EPOCH_OF_MBOX(x->id) == (c->s->format.epoch & 0xff) &&
		    NUMBER_OF_MBOX(x->id) >= r.next_mbox)
			r.next_mbox = NUMBER_OF_MBOX(x->id) + 1;
		if (!x->has_row)
			continue;
		if (x->row.modseq > r.modseq && x->row.modseq < UINT64_MAX / 2)
			r.modseq = x->row.modseq;
		if (x->row.role && !r.role[x->row.role])
			r.role[x->row.role] = x->id;
	}
	r.modseq += CHECK_GAP;
	r.log_floor = r.modseq;
	r.next_email = (email >> 48) == c->s->format.epoch
			       ? (email & ((1ull << 48) - 1)) + CHECK_GAP
			       : CHECK_GAP;
	r.next_mbox += 1000;
	r.n_mbox = (uint32_t)c->n_box;
	buf_init(&b, LIMIT_VALUE);
	row_account_write(&b, &r);
	if (st == ST_OK)
		txn_put_buf(l->t, skey_slice(&k), &b);
	for (size_t i = 0; i < c->n_box; i++)
		c->box[i].recount = true;
	c->row = r;
	c->row_ok = true;
	return st;
}

static enum status account_look(struct tree *t, struct err *e)
{
	struct look *l = t->l;
	struct check *c = l->c;
	struct skey k = key_account(c->account);
	slice raw = slice_make("", 0);
	enum status st = check_get(l, skey_slice(&k), t->a, &raw, e), have;

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	have = st;
	c->row_ok = have == ST_OK && row_account_read(raw, &c->row);
	if (c->row_ok && l->t) {
		st = txn_account(l->t, c->account, &t->ta, e);
		if (st == ST_OK)
			c->row = t->ta->hot->row;
		return st;
	}
	if (c->row_ok || (have == ST_NOT_FOUND && check_account_gone(l, c->account)))
		return ST_OK;
	bool mend =
		check_fault(l, &(struct where){ .code = "account-row" }, CHECK_LOST,
			    "made again from its mailboxes and messages; its quota has "
			    "to be set again",
			    "the account's own row %s",
			    have == ST_OK ? "cannot be read" : "is missing");
	if (!mend)
		return ST_OK;
	struct hot *h = hot_take(c->s, c->account);

	if (h) { /* the server has it in memory as it was */
		for (size_t i = 0; i < l->t->n; i++)
			if (l->t->acct[i]->id == c->account)
				l->t->acct[i]->hot = h;
		h->dirty = true;
		c->row = h->row;
		c->row_ok = true;
	}
	st = ST_OK;
	if (have == ST_OK)
		st = repair_aside(l, skey_slice(&k), raw, e);
	if (st == ST_OK && !h)
		st = account_make(t, e);
	if (st == ST_OK)
		st = txn_account(l->t, c->account, &t->ta, e);
	if (st == ST_OK)
		txn_modseq(t->ta);
	return st;
}

/* --- faults of mailboxes ------------------------------------------------------------ */
static enum status box_lost(struct tree *t, struct check_box *b, struct err *e)
{
	struct where w = { .code = "mailbox-row", .mbox = b->id };
	slice raw;
	struct skey k = key_mbox(t->l->c->account, b->id);
	enum status st = check_get(t->l, skey_slice(&k), t->a, &raw, e);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (!check_fault(
		    t->l, &w, CHECK_REPAIRED,
		    "made again from its name and its messages, with a new UIDVALIDITY "
		    "unless the server still knew it",
		    "the row of the mailbox %s",
		    st == ST_OK ? "cannot be read" : "is missing"))
		return ST_OK;
	if (st == ST_OK)
		st = repair_aside(t->l, skey_slice(&k), raw, e);
	else
		st = ST_OK;
	return st == ST_OK ? box_make(t, b, e) : st;
}

static enum status box_name(struct tree *t, struct check_box *b, struct err *e)
{
	struct where w = { .code = "mailbox-name", .mbox = b->id };
	struct check_name *own = NULL;
	enum status st = ST_OK;

	if (b->row.parent &&
	    (!check_box(t->l->c, b->row.parent) || is_below_itself(t->l->c, b))) {
		if (!check_fault(t->l, &w, CHECK_REPAIRED, "put at the top level",
				 "the mailbox lies below one that is not there"))
			return ST_OK;
		b->row.parent = 0;
		st = name_link(t, b, e);
	}
	for (size_t i = 0; i < t->n_name && st == ST_OK; i++) {
		struct check_name *n = &t->name[i];

		if (n->bad || n->id != b->id || n->used)
			continue;
		n->used = true;
		if (!own && n->parent == b->row.parent &&
		    slice_eq(n->name, b->row.name)) {
			own = n;
			continue;
		}
		if (check_fault(t->l, &w, CHECK_REPAIRED, "taken out",
				"the name '%.*s' also leads to this mailbox",
				FMT(n->name)))
			st = repair_drop(t->l, n->key, n->value, e);
	}
	if (own || st != ST_OK)
		return st;
	if (check_fault(t->l, &w, CHECK_REPAIRED, "made again from the mailbox",
			"the mailbox is missing from the index of names"))
		st = name_link(t, b, e);
	return st;
}

/* A value above all that were given out: either the row that remembers the last one is lost, or
 * the mailbox's is damaged; values follow the clock. */
static enum status uidvalidity_look(struct tree *t, struct check_box *b,
				    const struct where *w, struct err *e)
{
	struct store *s = t->l->c->s;
	uint32_t last = atomic_load(&s->last_uidvalidity);
	struct hot_mbox *m;

	if (b->row.uidvalidity <= last)
		return ST_OK;
	if ((int64_t)b->row.uidvalidity <= clock_now_s(s->clock)) {
		struct skey k = key_uidvalidity(b->row.uidvalidity);

		if (!check_fault(t->l, w, CHECK_REPAIRED, "written again",
				 "the store has forgotten that it gave out UIDVALIDITY %u",
				 b->row.uidvalidity))
			return ST_OK;
		txn_put_empty(t->l->t, skey_slice(&k));
		while (last < b->row.uidvalidity &&
		       !atomic_compare_exchange_weak(&s->last_uidvalidity, &last,
						     b->row.uidvalidity))
			;
		return ST_OK;
	}
	if (!check_fault(t->l, w, CHECK_REPAIRED, "the mailbox gets a new UIDVALIDITY",
			 "UIDVALIDITY %u was never given out", b->row.uidvalidity))
		return ST_OK;
	enum status st = box_hot(t, b, &m, e);

	if (st != ST_OK)
		return st;
	m->row.uidvalidity = b->row.uidvalidity = txn_uidvalidity(t->l->t);
	txn_log_mailbox(t->l->t, t->ta, b->id);
	return ST_OK;
}

static enum status box_numbers(struct tree *t, struct check_box *b, struct err *e)
{
	struct where w = { .code = "mailbox-numbers", .mbox = b->id };
	struct check *c = t->l->c;
	struct hot_mbox *m;
	enum status st = ST_OK;

	if (b->row.exists && (b->row.uidvalidity == 0 || b->row.uidnext == 0) &&
	    check_fault(t->l, &w, CHECK_REPAIRED, "the mailbox gets a new UIDVALIDITY",
			"UIDVALIDITY or the next UID is 0")) {
		st = box_hot(t, b, &m, e);
		if (st != ST_OK)
			return st;
		m->row.uidvalidity = txn_uidvalidity(t->l->t);
		m->row.uidnext = last_uid(t, b->id) + 1;
		txn_log_mailbox(t->l->t, t->ta, b->id);
		b->row.uidvalidity = m->row.uidvalidity;
		b->row.uidnext = m->row.uidnext;
		b->recount = true;
	}
	st = uidvalidity_look(t, b, &w, e);
	if (st != ST_OK)
		return st;
	if (b->row.modseq > c->row.modseq &&
	    check_fault(t->l, &w, CHECK_REPAIRED, "the account's is raised",
			"the mailbox's MODSEQ is above the account's")) {
		if (b->row.modseq >
		    UINT64_MAX / 4) { /* no client could go on from there */
			st = box_hot(t, b, &m, e);
			if (st != ST_OK)
				return st;
			m->row.uidvalidity = b->row.uidvalidity =
				txn_uidvalidity(t->l->t);
			m->row.modseq = b->row.modseq = txn_modseq(t->ta);
		} else {
			t->ta->hot->row.modseq = b->row.modseq;
			t->ta->hot->row.log_floor = b->row.modseq;
			t->ta->modseq = 0;
		}
		txn_log_mailbox(t->l->t, t->ta, b->id);
		c->row = t->ta->hot->row;
	}
	if (b->row.exists && b->row.first_recent > b->row.uidnext &&
	    check_fault(t->l, &w, CHECK_REPAIRED, "set to the next UID",
			"the first recent UID is above the next UID")) {
		st = box_hot(t, b, &m, e);
		if (st == ST_OK)
			m->row.first_recent = m->row.uidnext;
	}
	return st;
}

/* --- roles, counts of mailboxes ----------------------------------------------------- */
static enum status role_set(struct tree *t, enum store_role role, uint32_t id)
{
	t->ta->hot->row.role[role] = id;
	t->ta->hot->dirty = true;
	t->l->c->row.role[role] = id;
	return ST_OK;
}

static enum status role_look(struct tree *t, enum store_role role, struct err *e)
{
	struct check *c = t->l->c;
	struct where w = { .code = "mailbox-role" };
	uint32_t now = c->row.role[role];
	struct check_box *has = now ? check_box(c, now) : NULL, *claims = NULL;

	for (size_t i = 0; i < c->n_box; i++) {
		struct check_box *b = &c->box[i];

		if (b->row.role != role || b == has || !b->has_row)
			continue;
		if (!claims && !(has && has->row.role == role)) {
			claims = b;
			continue;
		}
		w.mbox = b->id;
		if (check_fault(t->l, &w, CHECK_REPAIRED,
				"it becomes an ordinary mailbox",
				"two mailboxes have the same use")) {
			struct hot_mbox *m;
			enum status st = box_hot(t, b, &m, e);

			if (st != ST_OK)
				return st;
			m->row.role = b->row.role = ROLE_NONE;
		}
	}
	if (has && has->has_row && has->row.role == role)
		return ST_OK;
	if (role == ROLE_INBOX && !claims)
		for (size_t i = 0; i < c->n_box; i++)
			if (c->box[i].row.parent == 0 &&
			    slice_eq(c->box[i].row.name, SL("INBOX")))
				claims = &c->box[i];
	if (!claims && !now && role != ROLE_INBOX)
		return ST_OK;
	if (has && !has->has_row)
		return ST_OK; /* told as a mailbox that is lost */
	w.mbox = claims ? claims->id : 0;
	if (!check_fault(t->l, &w, CHECK_REPAIRED,
			 "set from the mailboxes that are there",
			 "the account does not know which mailbox is its %s",
			 role == ROLE_INBOX ? "INBOX"
					    : "Drafts, Sent, Junk, Trash or Archive"))
		return ST_OK;
	if (claims) {
		struct hot_mbox *m;
		enum status st = box_hot(t, claims, &m, e);

		if (st != ST_OK)
			return st;
		m->row.role = claims->row.role = (uint8_t)role;
		return role_set(t, role, claims->id);
	}
	if (role != ROLE_INBOX)
		return role_set(t, role, 0);
	struct hot_mbox *m =
		txn_mbox_new(t->l->t, t->ta, 0, SL("INBOX"), ROLE_INBOX, true);

	c->row = t->ta->hot->row;
	(void)m;
	return ST_OK;
}

static enum status totals_look(struct tree *t)
{
	struct check *c = t->l->c;
	struct where w = { .code = "account-numbers" };
	uint32_t next = 0;

	for (size_t i = 0; i < c->n_box; i++)
		if (EPOCH_OF_MBOX(c->box[i].id) == (c->s->format.epoch & 0xff) &&
		    NUMBER_OF_MBOX(c->box[i].id) >= next)
			next = NUMBER_OF_MBOX(c->box[i].id) + 1;
	if (c->row.next_mbox < next &&
	    check_fault(t->l, &w, CHECK_REPAIRED, "raised above all that are there",
			"the next mailbox would get an id that is taken")) {
		t->ta->hot->row.next_mbox = next;
		t->ta->hot->dirty = true;
	}
	if (c->row.n_mbox != c->n_box &&
	    check_fault(t->l, &w, CHECK_REPAIRED, "counted again",
			"the account counts %u mailboxes and has %zu", c->row.n_mbox,
			c->n_box)) {
		t->ta->hot->row.n_mbox = (uint32_t)c->n_box;
		t->ta->hot->dirty = true;
	}
	if (c->row.log_floor > c->row.modseq &&
	    check_fault(t->l, &w, CHECK_REPAIRED, "raised",
			"the account's MODSEQ lies below the floor of its change log")) {
		t->ta->hot->row.modseq = c->row.log_floor < UINT64_MAX / 4
						 ? c->row.log_floor
						 : c->row.modseq + CHECK_GAP;
		t->ta->hot->row.log_floor = t->ta->hot->row.modseq;
		t->ta->modseq = 0;
		t->ta->hot->dirty = true;
	}
	if (t->ta)
		c->row = t->ta->hot->row;
	return ST_OK;
}

/* --- names that lead nowhere -------------------------------------------------------- */
static enum status names_left(struct tree *t, struct err *e)
{
	struct where w = { .code = "mailbox-name" };

	for (size_t i = 0; i < t->n_name; i++) {
		struct check_name *n = &t->name[i];

		if (n->used || (!n->bad && check_box(t->l->c, n->id)))
			continue;
		if (check_fault(t->l, &w, CHECK_REPAIRED, "taken out",
				"the row of the mailbox name '%.*s' cannot be read",
				FMT(n->name))) {
			enum status st = repair_drop(t->l, n->key, n->value, e);

			if (st != ST_OK)
				return st;
		}
	}
	return ST_OK;
}

/* --- the unit ----------------------------------------------------------------------- */
static enum status structure(struct look *l, void *ctx, struct err *e)
{
	struct check *c = l->c;
	struct tree t = { .l = l, .a = &c->acct_arena };
	enum status st;

	(void)ctx;
	c->box = NULL;
	c->n_box = 0;
	st = scan_kind(l, 'f', take_box, &t, e);
	if (st == ST_OK)
		st = scan_kind(l, 'F', take_name, &t, e);
	if (st == ST_OK)
		st = boxes_of_messages(&t, e);
	for (size_t i = 0; i < t.n_name && st == ST_OK; i++)
		if (!t.name[i].bad)
			box_add(&t, t.name[i].id);
	if (st == ST_OK) {
		paths_make(&t);
		st = account_look(&t, e);
	}
	if (st != ST_OK || !c->row_ok)
		return st;
	for (size_t i = 0; i < c->n_box && st == ST_OK; i++)
		if (!c->box[i].has_row)
			st = box_lost(&t, &c->box[i], e);
	for (size_t i = 0; i < c->n_box && st == ST_OK; i++) {
		if (!c->box[i].has_row)
			continue;
		st = box_name(&t, &c->box[i], e);
		if (st == ST_OK)
			st = box_numbers(&t, &c->box[i], e);
	}
	for (int r = ROLE_INBOX; r < SCHEMA_ROLES && st == ST_OK; r++)
		st = role_look(&t, (enum store_role)r, e);
	if (st == ST_OK)
		st = totals_look(&t);
	if (st == ST_OK)
		st = names_left(&t, e);
	if (st == ST_OK)
		st = check_keyword_names(l, t.ta, e);
	if (st == ST_OK)
		st = check_subscriptions(l, e);
	return st;
}

enum status check_structure(struct check *c, struct err *e)
{
	const uint32_t ids[] = { c->account };

	return check_unit(c, ids, 1, structure, NULL, e);
}

enum status check_account_enter(struct check *c, uint32_t account, struct err *e)
{
	struct look l = { .c = c };
	struct tree t = { .l = &l, .a = &c->acct_arena };

	if (c->account == account && c->box)
		return ST_OK;
	check_account_forget(c);
	check_account_name(c, account);
	enum status st = scan_kind(&l, 'f', take_box, &t, e);

	if (st == ST_OK)
		st = scan_kind(&l, 'F', take_name, &t, e);
	if (st == ST_OK)
		paths_make(&t);
	return st;
}
