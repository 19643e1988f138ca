/* store_copy.c — COPY and MOVE inside an account: no body is stored twice. RFC 3501
 * 6.4.7, RFC 4315 3, RFC 6851, RFC 8474. */
#include "store/store_int.h"

struct transfer {
	struct store_txn *t;
	struct txn_account *ta;
	struct hot_mbox *from, *to;
	struct message_list list;
	struct store_uids out_from, out_to;
	bool moves;
};

static bool is_in(const struct row_places *p, uint32_t mbox)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i].mbox == mbox)
			return true;
	return false;
}

/* A second email on the same blob, with flags of its own, that tells the first one's ids
 * (RFC 8474 5.1). */
static enum status email_again(struct transfer *x, const struct row_message *msg,
			       uint32_t uid, uint64_t *out, struct err *e)
{
	struct store_txn *t = x->t;
	slice row;
	struct row_email r;
	AUTO_BUF b = { 0 };
	struct skey k = key_email(x->ta->id, msg->row.email);
	enum status st = txn_get(t, skey_slice(&k), &row, e);

	if (st != ST_OK)
		return st == ST_NOT_FOUND ? damaged(e, "email") : st;
	if (!row_email_read(row, &r))
		return damaged(e, "email");
	uint64_t email = txn_email_id(t, x->ta);

	if (!r.reported)
		r.reported = msg->row.email;
	r.msgid = r.root = 0;
	r.mbox = x->to->id;
	r.uid = uid;
	buf_init(&b, LIMIT_VALUE);
	row_email_write(&b, &r);
	struct skey ke = key_email(x->ta->id, email),
		    kr = key_reference(&r.blob, x->ta->id, email);
	struct skey kt = key_thread(x->ta->id, r.thread, email);

	txn_put_buf(t, skey_slice(&ke), &b);
	txn_put_empty(t, skey_slice(&kr));
	txn_put_empty(t, skey_slice(&kt));
	if (r.digest_kind == DIGEST_BLOB) {
		struct skey kd = key_reference(&r.digest_blob, x->ta->id, email);

		txn_put_empty(t, skey_slice(&kd));
	}
	*out = email;
	return ST_OK;
}

/* The source stays: its email gets one more place. */
static void place_add(struct transfer *x, struct row_message *msg, struct row_places *p,
		      uint32_t uid)
{
	p->at[p->n++] = (struct place){ x->to->id, uid };
	places_put(x->t, x->ta->id, msg->row.email, p);
	if (!msg->placed) { /* not a change that a client could see: no modseq */
		msg->placed = true;
		txn_message_put(x->t, x->ta->id, x->from->id, msg);
	}
}

static void place_replace(struct transfer *x, const struct row_message *msg,
			  struct row_places *p, uint32_t uid)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i].mbox == x->from->id && p->at[i].uid == msg->row.uid)
			p->at[i] = (struct place){ x->to->id, uid };
	places_put(x->t, x->ta->id, msg->row.email, p);
}

static enum status transfer_one(struct transfer *x, struct row_message *msg,
				struct err *e)
{
	struct row_places p;
	struct row_message made = *msg;
	bool last = false;
	uint32_t uid = x->to->row.uidnext++;
	enum status st = places_of(x->t, x->ta->id, msg, x->from->id, &p, e);

	if (st != ST_OK)
		return st;
	made.placed = true;
	if (is_in(&p, x->to->id) && !(x->moves && x->from == x->to)) {
		made.placed = false;
		st = email_again(x, msg, uid, &made.row.email, e);
		if (st == ST_OK && x->moves)
			st = place_remove(x->t, x->ta->id, msg, x->from->id, &last, e);
	} else if (x->moves) {
		place_replace(x, msg, &p, uid);
	} else {
		place_add(x, msg, &p, uid);
	}
	if (st != ST_OK)
		return st;
	if (x->moves)
		expunge_message(x->t, x->ta, x->from, msg, last, true);
	made.row.uid = uid;
	made.row.modseq = txn_modseq(x->ta);
	made.row.saved = saved_now(x->t->s); /* RFC 8514 3 */
	txn_message_put(x->t, x->ta->id, x->to->id, &made);
	count_message(x->ta, x->to, &made, 1);
	txn_log(x->t, x->ta, x->to, LOG_ADDED, uid);
	x->out_from.uid[x->out_from.n++] = msg->row.uid;
	x->out_to.uid[x->out_to.n++] = uid;
	return ST_OK;
}

static enum status transfer_start(struct transfer *x, uint32_t account, uint32_t from,
				  uint32_t to, struct err *e)
{
	enum status st = txn_account(x->t, account, &x->ta, e);

	if (st == ST_OK)
		st = txn_mbox(x->t, x->ta, from, &x->from, e);
	if (st == ST_OK)
		st = txn_mbox(x->t, x->ta, to, &x->to, e);
	return st;
}

/* Copies count as what they are for their reader: messages. RFC 9208 4.3.1: all or none. */
static enum status room_for(struct transfer *x, struct err *e)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < x->list.n; i++)
		bytes = quota_sum(bytes, x->list.at[i].row.size);
	return x->list.n
		       ? quota_check(x->t, x->ta, bytes, x->list.n, STORE_QUOTA_STRICT, e)
		       : ST_OK;
}

static enum status transfer_run(struct transfer *x, struct err *e)
{
	size_t n = x->list.n;
	struct err why = { 0 };

	if (n > UINT32_MAX - x->to->row.uidnext)
		return err_set(e, ERR_LIMIT, "the mailbox has given out all UIDs");
	if (!x->moves) {
		enum status st = room_for(x, e);

		if (st != ST_OK)
			return st;
	}
	x->out_from.uid = arena_array(x->t->a, n + 1, sizeof(uint32_t));
	x->out_to.uid = arena_array(x->t->a, n + 1, sizeof(uint32_t));
	for (size_t i = 0; i < n; i++) {
		enum status st = transfer_one(x, &x->list.at[i], &why);

		if (st == ST_OK &&
		    x->t->broken.code != ERR_NONE) { /* too much for one transaction */
			why = x->t->broken;
			st = err_status(why.code);
		}
		if (st != ST_OK) {
			if (e)
				*e = why;
			return txn_break(x->t, &why);
		}
	}
	if (!x->moves)
		quota_warn(x->t, x->ta);
	return ST_OK;
}

static enum status transfer(struct transfer *x, uint32_t account, uint32_t from,
			    const struct store_uids *uids, uint32_t to,
			    struct store_uids *out_from, struct store_uids *out_to,
			    struct err *e)
{
	enum status st = transfer_start(x, account, from, to, e);

	if (st == ST_OK)
		st = txn_messages(x->t, account, x->from->id, uids, &x->list, e);
	if (st == ST_OK)
		st = transfer_run(x, e);
	if (st != ST_OK)
		return st;
	if (out_from)
		*out_from = x->out_from;
	if (out_to)
		*out_to = x->out_to;
	return ST_OK;
}

enum status store_copy(struct store_txn *t, uint32_t account, uint32_t from,
		       const struct store_uids *uids, uint32_t to,
		       struct store_uids *out_from, struct store_uids *out_to,
		       struct err *e)
{
	struct transfer x = { .t = t };

	if (uids->n > LIMIT_COPY_MESSAGES)
		return err_set(e, ERR_LIMIT, "at most %d messages at once",
			       LIMIT_COPY_MESSAGES);
	return transfer(&x, account, from, uids, to, out_from, out_to, e);
}

enum status store_move(struct store_txn *t, uint32_t account, uint32_t from,
		       const struct store_uids *uids, uint32_t to,
		       struct store_uids *out_from, struct store_uids *out_to,
		       struct err *e)
{
	struct transfer x = { .t = t, .moves = true };

	store_txn_frees(t); /* how most programs delete: to the Trash */
	if (uids->n > LIMIT_STORE_CHUNK)
		return err_set(e, ERR_LIMIT, "at most %d messages at once",
			       LIMIT_STORE_CHUNK);
	return transfer(&x, account, from, uids, to, out_from, out_to, e);
}

/* --- all of a mailbox: RENAME INBOX, RFC 3501 6.3.5 --------------------------------- */
struct all_scan {
	struct message_list *out;
	size_t max;
	bool bad;
};

static bool take_all(void *ctx, slice key, slice value)
{
	struct all_scan *sc = ctx;
	struct message_list *l = sc->out;

	if (l->n == sc->max)
		sc->bad = true;
	else if (row_message_read(value, key_message_uid(key), &l->at[l->n]))
		l->n++; /* a damaged one stays where it is */
	return !sc->bad;
}

enum status move_all(struct store_txn *t, uint32_t account, uint32_t from, uint32_t to,
		     struct err *e)
{
	struct transfer x = { .t = t, .moves = true };
	struct skey kf = key_messages(account, from), kt = kf;
	enum status st = transfer_start(&x, account, from, to, e);

	if (st != ST_OK)
		return st;
	struct all_scan sc = { .out = &x.list, .max = x.from->row.messages };

	if (sc.max > LIMIT_COPY_MESSAGES)
		return err_set(e, ERR_LIMIT, "at most %d messages at once",
			       LIMIT_COPY_MESSAGES);
	x.list.at = arena_array(t->a, sc.max + 1, sizeof(*x.list.at));
	skey_next_prefix(&kt);
	struct kv_range r = { .from = skey_slice(&kf), .to = skey_slice(&kt) };

	st = kv_scan(t->s->kv, t->kt, &r, take_all, &sc, e);
	if (st == ST_OK && sc.bad)
		st = damaged(e, "message");
	return st == ST_OK ? transfer_run(&x, e) : st;
}
