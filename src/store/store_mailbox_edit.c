/* store_mailbox_edit.c — CREATE, DELETE, RENAME, SUBSCRIBE. RFC 3501 6.3.3 to 6.3.7, RFC
 * 6154. */
#include "store/store_int.h"

#define MBOX_ID_BITS	  24		/* below the epoch */
#define UIDVALIDITY_AHEAD (366 * 86400) /* what is given out follows the clock */

/* Values given out later are above it. */
static void uidvalidity_seen(struct store *s, uint32_t v)
{
	uint32_t last = atomic_load(&s->last_uidvalidity);

	while (v > last && !atomic_compare_exchange_weak(&s->last_uidvalidity, &last, v))
		;
}

static void mbox_start(struct store_txn *t, struct txn_account *ta, struct hot_mbox *m,
		       enum store_role role)
{
	m->row.exists = true;
	m->row.uidvalidity = txn_uidvalidity(t);
	m->row.uidnext = 1;
	m->row.first_recent = 1;
	m->row.role = (uint8_t)role;
	m->row.modseq = txn_modseq(ta);
	m->dirty = true;
	if (role != ROLE_NONE)
		ta->hot->row.role[role] = m->id;
}

struct hot_mbox *txn_mbox_new(struct store_txn *t, struct txn_account *ta,
			      uint32_t parent, slice name, enum store_role role,
			      bool exists)
{
	struct row_mbox r = { .parent = parent, .name = name };
	uint32_t id = (t->s->format.epoch << MBOX_ID_BITS) | ta->hot->row.next_mbox++;
	struct hot_mbox *m = hot_add(ta->hot, id, &r);

	ta->hot->row.n_mbox++;
	m->dirty = ta->hot->dirty = true;
	if (exists)
		mbox_start(t, ta, m, role);
	name_put(t, ta->id, parent, name, id);
	txn_log_mailbox(t, ta, id);
	return m;
}

/* --- create ------------------------------------------------------------------------- */
static enum status role_is_free(const struct txn_account *ta, enum store_role role,
				struct err *e)
{
	if (role != ROLE_NONE && (role >= SCHEMA_ROLES || ta->hot->row.role[role]))
		return err_set(e, ERR_CANNOT, "there is already a mailbox for this use");
	return ST_OK;
}

static enum status room_for(const struct txn_account *ta, size_t n, struct err *e)
{
	if (ta->hot->row.n_mbox + n > LIMIT_MAILBOXES ||
	    ta->hot->row.next_mbox + n >= (1u << MBOX_ID_BITS))
		return err_set(e, ERR_LIMIT, "an account has at most %d mailboxes",
			       LIMIT_MAILBOXES);
	return ST_OK;
}

/* The parents of path that are missing are made; *path becomes the last component. */
static enum status parents_make(struct store_txn *t, struct txn_account *ta, slice *path,
				uint32_t *out_parent, struct err *e)
{
	uint32_t at = 0;

	while (slice_chr(*path, '/', 0) < path->n) {
		slice c = slice_cut(path, '/');
		uint32_t next;
		enum status st = name_child(t->s, t->kt, t->a, ta->id, at, c, &next, e);

		if (st != ST_OK)
			return st;
		if (!next)
			next = txn_mbox_new(t, ta, at, c, ROLE_NONE, true)->id;
		at = next;
	}
	*out_parent = at;
	return ST_OK;
}

enum status store_mailbox_create(struct store_txn *t, uint32_t account, slice name,
				 enum store_role role, uint32_t *out_id, struct err *e)
{
	struct txn_account *ta;
	struct hot_mbox *m = NULL;
	uint32_t found, parent;
	slice path = name_canonical(t->a, name);

	if (!name_is_valid(path, e))
		return e ? err_status(e->code) : ST_INVALID;
	enum status st = txn_account(t, account, &ta, e);

	if (st == ST_OK)
		st = name_find(t->s, t->kt, t->a, account, path, &found, e);
	if (st == ST_OK && found)
		st = txn_mbox_any(t, ta, found, &m, e);
	if (st != ST_OK)
		return st;
	if (m && m->row.exists)
		return err_set(e, ERR_MAILBOX_EXISTS, "the mailbox is already there");
	st = role_is_free(ta, role, e);
	if (st == ST_OK)
		st = room_for(ta, LIMIT_MAILBOX_DEPTH, e);
	if (st == ST_OK && !m)
		st = parents_make(t, ta, &path, &parent, e);
	if (st != ST_OK)
		return st;
	if (m) {
		mbox_start(t, ta, m, role);
		ta->hot->dirty = true;
		txn_log_mailbox(t, ta, m->id);
	} else {
		m = txn_mbox_new(t, ta, parent, path, role, true);
	}
	*out_id = m->id;
	return ST_OK;
}

enum status store_mailbox_uids(struct store_txn *t, uint32_t account, uint32_t mbox,
			       uint32_t uidvalidity, uint32_t uidnext, struct err *e)
{
	struct txn_account *ta;
	struct hot_mbox *m;
	bool changed = false;
	enum status st = txn_account(t, account, &ta, e);

	if (st == ST_OK)
		st = txn_mbox(t, ta, mbox, &m, e);
	if (st != ST_OK)
		return st;
	if (uidnext != 0 && uidnext < m->row.uidnext)
		return err_set(e, ERR_CANNOT, "UID %u has been given out already",
			       uidnext);
	if (uidvalidity != 0 && uidvalidity != m->row.uidvalidity) {
		if (m->row.uidnext != 1)
			return err_set(
				e, ERR_CANNOT,
				"the mailbox has held messages: its UIDs are its own");
		if (uidvalidity > clock_now_s(t->s->clock) + UIDVALIDITY_AHEAD)
			return err_set(e, ERR_CANNOT,
				       "the UIDVALIDITY %u lies too far ahead",
				       uidvalidity);
		m->row.uidvalidity = uidvalidity;
		if (uidvalidity > t->uidvalidity) /* a row V: nobody else gets it */
			t->uidvalidity = uidvalidity;
		uidvalidity_seen(t->s, uidvalidity);
		changed = true;
	}
	if (uidnext > m->row.uidnext) {
		m->row.uidnext = uidnext;
		changed = true;
	}
	if (changed) {
		m->dirty = true;
		txn_log_mailbox(t, ta, m->id);
	}
	return ST_OK;
}

/* --- children ----------------------------------------------------------------------- */
struct child_scan {
	struct arena *a;
	uint32_t *id;
	size_t n, cap;
};

static bool take_child(void *ctx, slice key, slice value)
{
	struct child_scan *l = ctx;
	struct rd r = rd_init(value);

	(void)key;
	if (l->n == l->cap) {
		uint32_t *old = l->id;

		l->cap = l->cap ? l->cap * 2 : 16;
		l->id = arena_array(l->a, l->cap, sizeof(uint32_t));
		if (l->n)
			memcpy(l->id, old, l->n * sizeof(uint32_t));
	}
	rd_u8(&r);
	l->id[l->n++] = rd_u32(&r);
	return true;
}

static enum status children_of(struct store_txn *t, uint32_t account, uint32_t mbox,
			       struct child_scan *out, struct err *e)
{
	struct kv_range r = { .from = key_name(t->a, account, mbox, slice_make("", 0)),
			      .to = key_name(t->a, account, mbox + 1,
					     slice_make("", 0)) };

	*out = (struct child_scan){ .a = t->a };
	return kv_scan(t->s->kv, t->kt, &r, take_child, out, e);
}

/* Hangs mailbox m below another parent or name. */
static void relink(struct store_txn *t, struct txn_account *ta, struct hot_mbox *m,
		   uint32_t parent, slice name)
{
	slice kept = arena_dup(t->a, name);

	txn_del(t, key_name(t->a, ta->id, m->row.parent, m->row.name));
	name_put(t, ta->id, parent, kept, m->id);
	hot_rename(m, kept);
	m->row.parent = parent;
	txn_log_mailbox(t, ta, m->id);
}

static enum status children_move(struct store_txn *t, struct txn_account *ta,
				 const struct child_scan *l, uint32_t parent,
				 struct err *e)
{
	for (size_t i = 0; i < l->n; i++) {
		struct hot_mbox *m;
		enum status st = txn_mbox_any(t, ta, l->id[i], &m, e);

		if (st != ST_OK)
			return st;
		relink(t, ta, m, parent, m->row.name);
	}
	return ST_OK;
}

/* --- delete ------------------------------------------------------------------------- */
/* For undelete: its messages stay where they are, and its row is put aside. */
static void mbox_keep(struct store_txn *t, struct txn_account *ta,
		      const struct hot_mbox *m, slice path)
{
	AUTO_BUF b = { 0 };
	struct row_kept_mbox kept = { saved_now(t->s), path, m->row };
	struct skey k = key_kept_mbox(ta->id, m->id);

	buf_init(&b, LIMIT_VALUE);
	row_kept_mbox_write(&b, &kept);
	txn_put_buf(t, skey_slice(&k), &b);
	held_give(ta, m->row.bytes, m->row.messages);
	kept_note(t, KEPT_MAILBOX, ta->id, m->id, kept.time);
}

/* The mailbox is unlinked at once. Its messages are cleared by the sweep when no view
 * shows them any more, at once or when they have been kept for long enough. */
static void mbox_unlink(struct store_txn *t, struct txn_account *ta, struct hot_mbox *m,
			slice path)
{
	struct row_account *acct = &ta->hot->row;
	struct skey k = key_gone_mbox(ta->id, m->id);

	if (m->row.exists && m->row.uidnext > 1 && policy_keep_days(t->s) > 0)
		mbox_keep(t, ta, m, path);
	else if (m->row.uidnext > 1)
		txn_put_empty(t, skey_slice(&k));
	acct->messages -= m->row.messages;
	acct->bytes -= m->row.bytes;
	acct->n_mbox--;
	if (m->row.role != ROLE_NONE && acct->role[m->row.role] == m->id)
		acct->role[m->row.role] = 0;
	ta->hot->dirty = true;
	m->removed = true;
	txn_log_mailbox(t, ta, m->id);
}

static enum status mbox_named(struct store_txn *t, uint32_t account, slice path,
			      struct txn_account **out_ta, struct hot_mbox **out,
			      struct err *e)
{
	uint32_t id;
	enum status st = txn_account(t, account, out_ta, e);

	if (st == ST_OK)
		st = name_find(t->s, t->kt, t->a, account, path, &id, e);
	if (st != ST_OK)
		return st;
	if (!id)
		return err_set(e, ERR_NO_MAILBOX, "there is no mailbox of this name");
	return txn_mbox_any(t, *out_ta, id, out, e);
}

enum status store_mailbox_delete(struct store_txn *t, uint32_t account, slice name,
				 struct err *e)
{
	struct txn_account *ta;
	struct hot_mbox *m;
	struct child_scan kids;
	slice path = name_canonical(t->a, name);

	if (slice_eq(path, SL("INBOX"))) /* RFC 3501 6.3.4 */
		return err_set(e, ERR_CANNOT, "INBOX cannot be deleted");
	enum status st = mbox_named(t, account, path, &ta, &m, e);

	if (st == ST_OK)
		st = children_of(t, account, m->id, &kids, e);
	if (st != ST_OK)
		return st;
	if (!m->row.exists && kids.n)
		return err_set(e, ERR_HAS_CHILDREN, "the name holds other mailboxes");
	store_txn_frees(t);
	if (kids.n == 0) {
		txn_del(t, key_name(t->a, account, m->row.parent, m->row.name));
		mbox_unlink(t, ta, m, path);
		return ST_OK;
	}
	st = room_for(ta, 1, e); /* ids are never given twice */
	if (st != ST_OK)
		return st;
	/* The name stays for its children, with another id: the old one's messages are
	 * cleared behind its back. */
	struct hot_mbox *name_only =
		txn_mbox_new(t, ta, m->row.parent, m->row.name, ROLE_NONE, false);

	mbox_unlink(t, ta, m, path);
	st = children_move(t, ta, &kids, name_only->id, e);
	return st == ST_OK ? ST_OK
			   : txn_break(t, e ? e : &(struct err){ .code = ERR_IO });
}

/* --- undelete ----------------------------------------------------------------------- */
#define RESTORE_NAMES 1000

/* The path, or the first of "path (2)", "path (3)" … that is free. A name that only holds
 * children counts as free: the mailbox takes its place (*out_name_only). */
static enum status restore_name(struct store_txn *t, struct txn_account *ta, slice path,
				slice *out, struct hot_mbox **out_name_only,
				struct err *e)
{
	for (int n = 1; n < RESTORE_NAMES; n++) {
		slice name = n == 1 ? path : arena_fmt(t->a, "%.*s (%d)", FMT(path), n);
		uint32_t found;
		struct hot_mbox *m = NULL;

		if (!name_is_valid(name, e))
			return e ? err_status(e->code) : ST_INVALID;
		enum status st = name_find(t->s, t->kt, t->a, ta->id, name, &found, e);

		if (st == ST_OK && found)
			st = txn_mbox_any(t, ta, found, &m, e);
		if (st != ST_OK)
			return st;
		if (!m || !m->row.exists) {
			*out = name;
			*out_name_only = m;
			return ST_OK;
		}
	}
	return err_set(e, ERR_MAILBOX_EXISTS,
		       "there are too many mailboxes of this name");
}

static void restore_row(struct store_txn *t, struct txn_account *ta, struct hot_mbox *m)
{
	struct row_account *acct = &ta->hot->row;

	m->row.uidvalidity = txn_uidvalidity(t); /* others may have had the name since */
	m->row.modseq = txn_modseq(ta);
	m->row.expired_to = 0;
	if (m->row.role != ROLE_NONE && acct->role[m->row.role])
		m->row.role = ROLE_NONE;
	if (m->row.role != ROLE_NONE)
		acct->role[m->row.role] = m->id;
	m->dirty = true;
	acct->n_mbox++;
	acct->messages += m->row.messages;
	acct->bytes += m->row.bytes;
	ta->hot->dirty = true;
	txn_log_mailbox(t, ta, m->id);
}

enum status mbox_restore(struct store_txn *t, struct txn_account *ta, uint32_t id,
			 const struct row_kept_mbox *kept, struct err *e)
{
	slice path = kept->path;
	struct hot_mbox *name_only = NULL;
	struct row_mbox row = kept->mbox;
	struct child_scan kids = { 0 };
	enum status st = room_for(ta, LIMIT_MAILBOX_DEPTH, e);

	if (st == ST_OK)
		st = restore_name(t, ta, path, &path, &name_only, e);
	if (st == ST_OK && name_only)
		st = children_of(t, ta->id, name_only->id, &kids, e);
	if (st == ST_OK)
		st = parents_make(t, ta, &path, &row.parent, e);
	if (st != ST_OK)
		return st;
	row.name = path;
	struct hot_mbox *m = hot_add(ta->hot, id, &row);

	restore_row(t, ta, m);
	if (name_only) { /* its name row is written over below */
		name_only->removed = true;
		ta->hot->row.n_mbox--;
		txn_log_mailbox(t, ta, name_only->id);
	}
	name_put(t, ta->id, row.parent, path, id);
	return children_move(t, ta, &kids, id, e);
}

/* --- rename ------------------------------------------------------------------------- */
static enum status target_is_free(struct store_txn *t, uint32_t account, slice to,
				  struct err *e)
{
	uint32_t found;

	if (!name_is_valid(to, e))
		return e ? err_status(e->code) : ST_INVALID;
	enum status st = name_find(t->s, t->kt, t->a, account, to, &found, e);

	if (st == ST_OK && found)
		return err_set(e, ERR_MAILBOX_EXISTS, "the new name is already there");
	return st;
}

enum status store_mailbox_rename(struct store_txn *t, uint32_t account, slice from,
				 slice to, struct err *e)
{
	struct txn_account *ta;
	struct hot_mbox *m;
	uint32_t parent;
	slice old = name_canonical(t->a, from), path = name_canonical(t->a, to);
	enum status st = mbox_named(t, account, old, &ta, &m, e);

	if (st == ST_OK)
		st = target_is_free(t, account, path, e);
	if (st == ST_OK)
		st = room_for(ta, LIMIT_MAILBOX_DEPTH, e);
	if (st != ST_OK)
		return st;
	if (slice_eq(old, SL("INBOX"))) {
		/* RFC 3501 6.3.5: its messages go, it and its children stay */
		uint32_t made;

		st = store_mailbox_create(t, account, path, ROLE_NONE, &made, e);
		return st == ST_OK ? move_all(t, account, m->id, made, e) : st;
	}
	if (slice_starts(path, old) && path.n > old.n && path.p[old.n] == '/')
		return err_set(e, ERR_CANNOT, "a mailbox cannot move into itself");
	st = parents_make(t, ta, &path, &parent, e);
	if (st != ST_OK)
		return st;
	relink(t, ta, m, parent, path);
	return ST_OK;
}

/* --- subscribe ---------------------------------------------------------------------- */
static bool count_subscription(void *ctx, slice key, slice value)
{
	(void)key;
	(void)value;
	return ++*(size_t *)ctx < LIMIT_MAILBOXES;
}

/* Names need not be there, so their number has a limit of its own. */
static enum status room_to_subscribe(struct store_txn *t, uint32_t account, struct err *e)
{
	struct skey from = key_account_type(account, 'b'), to = from;
	size_t n = 0;

	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };
	enum status st = kv_scan(t->s->kv, t->kt, &r, count_subscription, &n, e);

	if (st == ST_OK && n >= LIMIT_MAILBOXES)
		st = err_set(e, ERR_LIMIT, "an account has at most %d subscriptions",
			     LIMIT_MAILBOXES);
	return st;
}

enum status store_mailbox_subscribe(struct store_txn *t, uint32_t account, slice name,
				    bool on, struct err *e)
{
	struct txn_account *ta;
	slice path = name_canonical(t->a, name), row;
	enum status st;

	if (!name_is_valid(path, e))
		return e ? err_status(e->code) : ST_INVALID;
	st = txn_account(t, account, &ta, e);
	if (st != ST_OK)
		return st;
	slice key = key_subscription(t->a, account, path);

	st = txn_get(t, key, &row, e);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (on && st == ST_NOT_FOUND) {
		st = room_to_subscribe(t, account, e);
		if (st != ST_OK)
			return st;
		txn_put_empty(t, key);
	} else if (!on && st == ST_OK) {
		txn_del(t, key);
	}
	return ST_OK;
}
