/* store_expunge.c — messages leave their mailbox; emails leave when nothing shows them.
 * RFC 3501 6.4.3, RFC 4315 2.1. */
#include "store/store_int.h"

/* --- places of an email ------------------------------------------------------------- */
enum status places_of(struct store_txn *t, uint32_t account,
		      const struct row_message *msg, uint32_t mbox,
		      struct row_places *out, struct err *e)
{
	slice row;
	struct skey k = key_places(account, msg->row.email);

	if (!msg->placed) {
		out->at = arena_array(t->a, 2, sizeof(*out->at));
		out->at[0] = (struct place){ mbox, msg->row.uid };
		out->n = 1;
		return ST_OK;
	}
	enum status st = txn_get(t, skey_slice(&k), &row, e);

	if (st == ST_NOT_FOUND)
		return damaged(e, "places");
	if (st != ST_OK)
		return st;
	return row_places_read(row, t->a, out) ? ST_OK : damaged(e, "places");
}

void places_put(struct store_txn *t, uint32_t account, uint64_t email,
		const struct row_places *p)
{
	AUTO_BUF b = { 0 };
	struct skey k = key_places(account, email);

	if (p->n == 0) {
		txn_del(t, skey_slice(&k));
		return;
	}
	buf_init(&b, LIMIT_VALUE);
	row_places_write(&b, p);
	txn_put_buf(t, skey_slice(&k), &b);
}

enum status place_remove(struct store_txn *t, uint32_t account,
			 const struct row_message *msg, uint32_t mbox, bool *out_last,
			 struct err *e)
{
	struct row_places p;
	size_t n = 0;

	*out_last = true;
	if (!msg->placed)
		return ST_OK;
	struct err why = { 0 };
	enum status st = places_of(t, account, msg, mbox, &p, &why);

	if (st != ST_OK && why.code == ERR_CORRUPT) {
		*out_last = false; /* it may be elsewhere, too: facteur check looks */
		return ST_OK;
	}
	if (st != ST_OK) {
		if (e)
			*e = why;
		return st;
	}
	for (size_t i = 0; i < p.n; i++)
		if (p.at[i].mbox != mbox || p.at[i].uid != msg->row.uid)
			p.at[n++] = p.at[i];
	p.n = n;
	places_put(t, account, msg->row.email, &p);
	*out_last = n == 0;
	return ST_OK;
}

/* --- expunge ------------------------------------------------------------------------ */
void expunge_message(struct store_txn *t, struct txn_account *ta, struct hot_mbox *m,
		     const struct row_message *msg, bool last, bool moved)
{
	AUTO_BUF b = { 0 };
	struct row_gone g = {
		.modseq = txn_modseq(ta),
		.time = clock_now_s(t->s->clock),
		.last = last,
		.moved = moved,
		.msg = *msg,
	};
	struct skey km = key_message(ta->id, m->id, msg->row.uid),
		    kx = key_gone(ta->id, m->id, msg->row.uid);

	buf_init(&b, 256);
	row_gone_write(&b, &g);
	txn_put_buf(t, skey_slice(&kx), &b);
	txn_del(t, skey_slice(&km));
	count_message(ta, m, msg, -1);
	txn_log(t, ta, m, LOG_EXPUNGED, msg->row.uid);
}

enum status expunge_row(struct store_txn *t, struct txn_account *ta, struct hot_mbox *m,
			const struct row_message *msg, struct err *e)
{
	bool last;
	enum status st = place_remove(t, ta->id, msg, m->id, &last, e);

	if (st == ST_OK)
		expunge_message(t, ta, m, msg, last, false);
	return st;
}

enum status store_expunge(struct store_txn *t, uint32_t account, uint32_t mbox,
			  const struct store_uids *uids, bool only_deleted,
			  struct store_uids *out, struct err *e)
{
	struct txn_account *ta;
	struct hot_mbox *m;
	struct message_list list;
	struct err why = { 0 };
	struct store_uids gone = { 0 };

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
	store_txn_frees(t);
	gone.uid = arena_array(t->a, list.n + 1, sizeof(uint32_t));
	for (size_t i = 0; i < list.n; i++) {
		if (only_deleted && !(list.at[i].row.flags.sys & FLAG_DELETED))
			continue;
		st = expunge_row(t, ta, m, &list.at[i], &why);
		if (st != ST_OK) {
			if (e)
				*e = why;
			return txn_break(t, &why);
		}
		gone.uid[gone.n++] = list.at[i].row.uid;
	}
	if (out)
		*out = gone;
	return ST_OK;
}

/* --- the end of an email ------------------------------------------------------------ */
static void msgid_remove(struct store_txn *t, uint32_t account, uint64_t hash,
			 uint64_t email)
{
	slice row;
	struct row_msgid r;
	struct skey k = key_msgid(account, hash);

	if (hash && txn_get(t, skey_slice(&k), &row, NULL) == ST_OK &&
	    row_msgid_read(row, &r) && r.email == email)
		txn_del(t, skey_slice(&k));
}

enum status email_remove(struct store_txn *t, uint32_t account, uint64_t email,
			 struct err *e)
{
	slice row;
	struct row_email r;
	struct skey ke = key_email(account, email), kg = key_places(account, email);
	enum status st = txn_get(t, skey_slice(&ke), &row, e);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st != ST_OK)
		return st;
	txn_del(t, skey_slice(&ke));
	txn_del(t, skey_slice(&kg));
	if (!row_email_read(row, &r))
		/* damaged: its reference keeps the blob, which facteur check finds */
		return ST_OK;
	reference_remove(t, &r.blob, account, email);
	if (r.digest_kind == DIGEST_BLOB)
		reference_remove(t, &r.digest_blob, account, email);
	msgid_remove(t, account, r.msgid, email);
	msgid_remove(t, account, r.root, email);
	if (r.thread != email) {
		struct skey kt = key_thread(account, r.thread, email);

		txn_del(t, skey_slice(&kt));
	}
	return ST_OK;
}

/* An email that was undeleted has a row g; no other that has lost its last place has. */
enum status email_remove_unless_placed(struct store_txn *t, uint32_t account,
				       uint64_t email, struct err *e)
{
	slice row;
	struct skey k = key_places(account, email);
	enum status st = txn_get(t, skey_slice(&k), &row, e);

	return st == ST_NOT_FOUND ? email_remove(t, account, email, e) : st;
}
