/* store_add.c — a message comes into a mailbox: rows e, m, r, T, l and the two hot ones.
 */
#include "store/store_int.h"

#define EMAIL_ID_BITS 48 /* below the epoch */

uint64_t txn_email_id(struct store_txn *t, struct txn_account *ta)
{
	ta->hot->dirty = true;
	return ((uint64_t)t->s->format.epoch << EMAIL_ID_BITS) |
	       ta->hot->row.next_email++;
}

void txn_message_put(struct store_txn *t, uint32_t account, uint32_t mbox,
		     const struct row_message *m)
{
	unsigned char row[ROW_MESSAGE_SIZE];
	struct skey k = key_message(account, mbox, m->row.uid);

	row_message_write(row, m);
	txn_put(t, skey_slice(&k), slice_make(row, sizeof(row)));
}

void count_message(struct txn_account *ta, struct hot_mbox *m,
		   const struct row_message *msg, int sign)
{
	uint32_t one = sign > 0 ? 1u : UINT32_MAX;
	uint64_t bytes = sign > 0 ? msg->row.size : 0 - msg->row.size;

	m->row.messages += one;
	m->row.bytes += bytes;
	if (!(msg->row.flags.sys & FLAG_SEEN))
		m->row.unseen += one;
	if (msg->row.flags.sys & FLAG_DELETED)
		m->row.deleted += one;
	m->dirty = true;
	ta->hot->row.messages += sign > 0 ? 1 : UINT64_MAX;
	ta->hot->row.bytes += bytes;
	ta->hot->dirty = true;
}

static void email_put(struct store_txn *t, uint32_t account, uint64_t email,
		      const struct row_email *row)
{
	AUTO_BUF b = { 0 };
	struct skey ke = key_email(account, email),
		    kr = key_reference(&row->blob, account, email);

	buf_init(&b, LIMIT_VALUE);
	buf_reserve(&b, row->prefix.n + row->digest.n + 160);
	row_email_write(&b, row);
	txn_put_buf(t, skey_slice(&ke), &b);
	txn_put_empty(t, skey_slice(&kr));
	if (row->digest_kind == DIGEST_BLOB) {
		struct skey kd = key_reference(&row->digest_blob, account, email);

		txn_put_empty(t, skey_slice(&kd));
	}
}

enum status add_unasked(struct store_txn *t, const struct message_source *src,
			const struct store_place *where, uint32_t *out_uid, struct err *e)
{
	struct txn_account *ta;
	struct hot_mbox *m;
	struct row_email email = src->email;
	struct row_message msg = { 0 };
	enum status st = txn_account(t, where->account, &ta, e);

	if (st == ST_OK)
		st = txn_mbox(t, ta, where->mbox, &m, e);
	if (st != ST_OK)
		return st;
	if (where->prefix.n > LIMIT_TRACE)
		return err_set(e, ERR_LIMIT, "the trace fields are too long");
	if (m->row.uidnext == UINT32_MAX)
		return err_set(e, ERR_LIMIT, "the mailbox has given out all UIDs");
	msg.row = (struct store_row){
		.uid = m->row.uidnext++,
		.email = txn_email_id(t, ta),
		.modseq = txn_modseq(ta),
		.flags = where->flags,
		.internal_date = where->internal_date,
		.size = where->prefix.n + email.blob_size,
		.saved = saved_now(t->s),
	};
	email.received = where->internal_date;
	email.prefix = where->prefix;
	email.mbox = m->id;
	email.uid = msg.row.uid;
	thread_of(t, where->account, src, msg.row.email, &email);
	email_put(t, where->account, msg.row.email, &email);
	txn_message_put(t, where->account, m->id, &msg);
	count_message(ta, m, &msg, 1);
	txn_log(t, ta, m, LOG_ADDED, msg.row.uid);
	if (out_uid)
		*out_uid = msg.row.uid;
	return ST_OK;
}

enum status add_message(struct store_txn *t, const struct message_source *src,
			const struct store_place *where, uint32_t *out_uid, struct err *e)
{
	struct txn_account *ta;
	enum status st = txn_account(t, where->account, &ta, e);

	if (st == ST_OK)
		st = quota_check(t, ta, where->prefix.n + src->email.blob_size, 1,
				 where->quota, e);
	if (st == ST_OK)
		st = add_unasked(t, src, where, out_uid, e);
	if (st == ST_OK && !where->no_letter)
		quota_warn(t, ta);
	return st;
}

enum status store_add(struct store_txn *t, struct intake *in,
		      const struct store_place *where, uint32_t *out_uid, struct err *e)
{
	struct message_source src;
	enum status st = intake_attach(in, t, e);

	if (st != ST_OK)
		return st;
	intake_source(in, &src);
	return add_message(t, &src, where, out_uid, e);
}
