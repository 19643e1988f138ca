/* store_flags.c — STORE: flags of the email are mirrored into each of its mailboxes
 * (DESIGN 4). RFC 3501 6.4.6, 7162. */
#include "store/store_int.h"

#define FLAGS_ALL (FLAG_SEEN | FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DRAFT | FLAG_DELETED)

/* --- messages of a transaction ------------------------------------------------------ */
struct message_scan {
	struct message_list *out;
	const struct store_uids *uids;
	size_t at;
};

static bool take_message(void *ctx, slice key, slice value)
{
	struct message_scan *sc = ctx;
	uint32_t uid = key_message_uid(key);

	while (sc->at < sc->uids->n && sc->uids->uid[sc->at] < uid)
		sc->at++;
	if (sc->at == sc->uids->n)
		return false;
	if (sc->uids->uid[sc->at] != uid)
		return true;
	/* A damaged one is left out, as one that is gone. */
	if (row_message_read(value, uid, &sc->out->at[sc->out->n]))
		sc->out->n++;
	sc->at++;
	return true;
}

static enum status messages_scan(struct store_txn *t, uint32_t account, uint32_t mbox,
				 const struct store_uids *uids, struct message_list *out,
				 struct err *e)
{
	struct message_scan sc = { .out = out, .uids = uids };
	uint32_t last = uids->uid[uids->n - 1];
	struct skey from = key_message(account, mbox, uids->uid[0]),
		    to = key_messages(account, mbox);

	if (last == UINT32_MAX)
		skey_next_prefix(&to);
	else
		to = key_message(account, mbox, last + 1);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };

	return kv_scan(t->s->kv, t->kt, &r, take_message, &sc, e);
}

enum status txn_messages(struct store_txn *t, uint32_t account, uint32_t mbox,
			 const struct store_uids *uids, struct message_list *out,
			 struct err *e)
{
	*out = (struct message_list){ .at = arena_array(t->a, uids->n + 1,
							sizeof(*out->at)) };
	if (uids->n == 0)
		return ST_OK;
	if (uids->n > 8 &&
	    (uids->uid[uids->n - 1] - uids->uid[0]) / 8 < uids->n) /* dense: one scan */
		return messages_scan(t, account, mbox, uids, out, e);
	for (size_t i = 0; i < uids->n; i++) {
		struct skey k = key_message(account, mbox, uids->uid[i]);
		slice row;
		enum status st = txn_get(t, skey_slice(&k), &row, e);

		if (st == ST_NOT_FOUND)
			continue;
		if (st != ST_OK)
			return st;
		if (row_message_read(row, uids->uid[i], &out->at[out->n]))
			out->n++;
	}
	return ST_OK;
}

/* --- flags -------------------------------------------------------------------------- */
static struct store_flags flags_apply(struct store_flags old, enum store_flag_op op,
				      struct store_flags f)
{
	f.sys &= FLAGS_ALL;
	switch (op) {
	case FLAG_SET:
		return f;
	case FLAG_ADD:
		return (struct store_flags){ old.sys | f.sys, old.kw | f.kw };
	case FLAG_REMOVE:
		return (struct store_flags){ old.sys & ~f.sys, old.kw & ~f.kw };
	}
	return old;
}

static void recount(struct hot_mbox *m, uint32_t old, uint32_t now)
{
	uint32_t changed = old ^ now;

	if (changed & FLAG_SEEN)
		m->row.unseen += now & FLAG_SEEN ? UINT32_MAX : 1;
	if (changed & FLAG_DELETED)
		m->row.deleted += now & FLAG_DELETED ? 1 : UINT32_MAX;
}

static void flags_put(struct store_txn *t, struct txn_account *ta, struct hot_mbox *m,
		      struct row_message *msg, struct store_flags now)
{
	recount(m, msg->row.flags.sys, now.sys);
	msg->row.flags = now;
	msg->row.modseq = txn_modseq(ta);
	txn_message_put(t, ta->id, m->id, msg);
	txn_log(t, ta, m, LOG_CHANGED, msg->row.uid);
}

static enum status mirror_one(struct store_txn *t, struct txn_account *ta,
			      const struct place *at, struct store_flags now,
			      struct err *e)
{
	struct hot_mbox *m;
	struct row_message msg;
	slice row;
	struct skey k = key_message(ta->id, at->mbox, at->uid);
	enum status st = txn_mbox_any(t, ta, at->mbox, &m, e);

	if (st == err_status(ERR_NO_MAILBOX))
		return ST_OK; /* deleted, and not swept yet */
	if (st == ST_OK)
		st = txn_get(t, skey_slice(&k), &row, e);
	if (st != ST_OK)
		return st == ST_NOT_FOUND ? ST_OK : st;
	if (!row_message_read(row, at->uid, &msg))
		return ST_OK; /* facteur check finds it */
	now.sys = (now.sys & ~(uint32_t)FLAG_DELETED) |
		  (msg.row.flags.sys & FLAG_DELETED);
	if (now.sys != msg.row.flags.sys || now.kw != msg.row.flags.kw)
		flags_put(t, ta, m, &msg, now);
	return ST_OK;
}

static enum status mirror(struct store_txn *t, struct txn_account *ta, uint32_t mbox,
			  const struct row_message *msg, struct err *e)
{
	struct row_places p;
	struct err why = { 0 };
	enum status st = places_of(t, ta->id, msg, mbox, &p, &why);

	if (st != ST_OK && why.code == ERR_CORRUPT)
		return ST_OK; /* this mailbox has it; facteur check finds the others */
	if (st != ST_OK && e)
		*e = why;
	for (size_t i = 0; i < p.n && st == ST_OK; i++)
		if (p.at[i].mbox != mbox || p.at[i].uid != msg->row.uid)
			st = mirror_one(t, ta, &p.at[i], msg->row.flags, e);
	return st;
}

static enum status change_one(struct store_txn *t, struct txn_account *ta,
			      struct hot_mbox *m, struct row_message *msg,
			      enum store_flag_op op, struct store_flags flags,
			      struct err *e)
{
	struct store_flags old = msg->row.flags, now = flags_apply(old, op, flags);

	if (now.sys == old.sys && now.kw == old.kw)
		return ST_OK;
	flags_put(t, ta, m, msg, now);
	if (!msg->placed ||
	    (now.kw == old.kw && ((now.sys ^ old.sys) & ~(uint32_t)FLAG_DELETED) == 0))
		return ST_OK;
	return mirror(t, ta, m->id, msg, e);
}

enum status store_flags_change(struct store_txn *t, uint32_t account, uint32_t mbox,
			       const struct store_uids *uids, enum store_flag_op op,
			       struct store_flags flags, struct store_row **out,
			       size_t *out_n, struct err *e)
{
	struct txn_account *ta;
	struct hot_mbox *m;
	struct message_list list;
	struct err why = { 0 };

	if (uids->n > LIMIT_STORE_CHUNK)
		return err_set(e, ERR_LIMIT, "at most %d messages at once",
			       LIMIT_STORE_CHUNK);
	enum status st = txn_account(t, account, &ta, e);

	if (st == ST_OK)
		st = txn_mbox(t, ta, mbox, &m, e);
	if (st == ST_OK)
		st = txn_messages(t, account, m->id, uids, &list, e);
	if (st != ST_OK)
		return st;
	struct store_row *rows = arena_array(t->a, list.n + 1, sizeof(*rows));

	if (op != FLAG_REMOVE && (flags.sys & FLAG_DELETED)) /* what an EXPUNGE needs */
		store_txn_frees(t);

	for (size_t i = 0; i < list.n; i++) {
		st = change_one(t, ta, m, &list.at[i], op, flags, &why);
		if (st != ST_OK) {
			if (e)
				*e = why;
			return txn_break(t, &why);
		}
		rows[i] = list.at[i].row;
	}
	if (out)
		*out = rows;
	if (out_n)
		*out_n = list.n;
	return ST_OK;
}

enum status store_take_recent(struct store_txn *t, uint32_t account, uint32_t mbox,
			      uint32_t *out_first, struct err *e)
{
	struct txn_account *ta;
	struct hot_mbox *m;
	enum status st = txn_account(t, account, &ta, e);

	if (st == ST_OK)
		st = txn_mbox(t, ta, mbox, &m, e);
	if (st != ST_OK)
		return st;
	*out_first = m->row.first_recent;
	if (m->row.first_recent != m->row.uidnext) {
		m->row.first_recent = m->row.uidnext;
		m->dirty = true;
	}
	return ST_OK;
}
