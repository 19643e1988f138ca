/* store_handoff.c — recipients beyond those that one transaction files itself: a row
 * each, filed at once after it. */
#include "store/store_int.h"

#define HANDOFF_ROW_MAX (LIMIT_VALUE - 1024)

enum status store_handoff_add(struct store_txn *t, struct intake *in,
			      const struct store_place *where, struct err *e)
{
	struct message_source src;
	struct row_handoff row = { .place = *where };
	uint64_t id;
	AUTO_BUF b = { 0 };
	enum status st = intake_attach(in, t, e);

	if (st != ST_OK)
		return st;
	intake_source(in, &src);
	row.email = src.email;
	row.email.prefix = where->prefix;
	row.message_id = src.message_id;
	buf_init(&b, HANDOFF_ROW_MAX);
	row_handoff_write(&b, &row);
	if (b.full)
		return err_set(e, ERR_LIMIT, "the trace fields are too long");
	random_bytes(&id, sizeof(id));
	struct skey kh = key_handoff(where->account, id);
	struct skey kr = key_reference(&row.email.blob, SCHEMA_HANDOFF, id);

	txn_put_buf(t, skey_slice(&kh), &b);
	txn_put_empty(t, skey_slice(&kr));
	if (row.email.digest_kind == DIGEST_BLOB) {
		struct skey kd =
			key_reference(&row.email.digest_blob, SCHEMA_HANDOFF, id);

		txn_put_empty(t, skey_slice(&kd));
	}
	return ST_OK;
}

struct handoff {
	uint32_t account;
	uint64_t id;
};
struct handoff_scan {
	struct handoff *at;
	size_t n, max;
	uint32_t ids[LIMIT_DELIVER_ACCOUNTS];
	size_t n_ids;
};

/* As many as one transaction takes: the key holds the account, so accounts come
 * ascending. */
static bool take_handoff(void *ctx, slice key, slice value)
{
	struct handoff_scan *l = ctx;
	struct rd r = rd_init(slice_from(key, 1));
	struct handoff h = { .account = rd_u32(&r) };

	(void)value;
	h.id = rd_u64(&r);
	if (l->n == l->max)
		return false;
	if (l->n_ids == 0 || l->ids[l->n_ids - 1] != h.account) {
		if (l->n_ids == LIMIT_DELIVER_ACCOUNTS)
			return false;
		l->ids[l->n_ids++] = h.account;
	}
	l->at[l->n++] = h;
	return true;
}

static enum status handoff_file(struct store_txn *t, const struct handoff *h,
				bool *out_filed, struct err *e)
{
	slice row;
	struct row_handoff r;
	struct skey k = key_handoff(h->account, h->id);
	enum status st = txn_get(t, skey_slice(&k), &row, e);

	*out_filed = false;
	if (st == ST_NOT_FOUND)
		return ST_OK; /* another run was here */
	if (st != ST_OK)
		return st;
	if (!row_handoff_read(row, &r))
		return damaged(e, "hand-off");
	struct message_source src = { .email = r.email,
				      .message_id = r.message_id,
				      .digest = r.email.digest };

	st = add_message(t, &src, &r.place, NULL, e);
	if (st != ST_OK && e->code == ERR_NO_MAILBOX &&
	    r.place.mbox) { /* deleted meanwhile: INBOX */
		r.place.mbox = 0;
		st = add_message(t, &src, &r.place, NULL, e);
	}
	/* an account removed meanwhile takes its mail along */
	if (st != ST_OK && e->code != ERR_NO_ACCOUNT)
		return st;
	txn_del(t, skey_slice(&k));
	reference_remove(t, &r.email.blob, SCHEMA_HANDOFF, h->id);
	if (r.email.digest_kind == DIGEST_BLOB)
		reference_remove(t, &r.email.digest_blob, SCHEMA_HANDOFF, h->id);
	*out_filed = true;
	return ST_OK;
}

#define HANDOFF_BATCH 64

struct handoff_run {
	struct store *s;
	struct skey from; /* where the next batch begins */
	size_t seen, filed;
	struct err skipped; /* why the first that had to stay stays */
};

/* One that cannot be filed stays, and must not keep the others (nothing has been written
 * for it yet). */
static enum status handoff_try(struct handoff_run *run, struct store_txn *t,
			       const struct handoff *h, size_t *out_filed, struct err *e)
{
	struct err why = { 0 };
	bool filed = false;
	enum status st = handoff_file(t, h, &filed, &why);

	*out_filed += filed;
	if (st == ST_OK)
		return ST_OK;
	if (why.code == ERR_CORRUPT || why.code == ERR_LIMIT ||
	    why.code == ERR_NO_MAILBOX) {
		if (run->skipped.code == ERR_NONE)
			run->skipped = why;
		return ST_OK;
	}
	if (e)
		*e = why;
	return st;
}

static enum status handoff_batch(struct handoff_run *run, size_t max, struct err *e)
{
	struct handoff list[HANDOFF_BATCH];
	struct handoff_scan l = { .at = list,
				  .max = max < HANDOFF_BATCH ? max : HANDOFF_BATCH };
	struct skey to = key_handoff_prefix();
	struct store_txn *t;
	size_t filed = 0;

	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&run->from), .to = skey_slice(&to) };
	enum status st = kv_scan(run->s->kv, NULL, &r, take_handoff, &l, e);

	run->seen = l.n;
	if (st != ST_OK || l.n == 0)
		return st;
	st = txn_begin_wait(run->s, l.ids, l.n_ids, &t, e);
	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < l.n; i++) {
		st = handoff_try(run, t, &list[i], &filed, e);
		if (st != ST_OK) {
			store_abort(t);
			return st;
		}
	}
	run->from = key_handoff(list[l.n - 1].account, list[l.n - 1].id);
	skey_next_prefix(&run->from);
	st = store_commit_wait(t, e);
	if (st == ST_OK)
		run->filed += filed;
	return st;
}

enum status store_handoff_run(struct store *s, size_t max, size_t *out_done,
			      struct err *e)
{
	struct handoff_run run = { .s = s, .from = key_handoff_prefix(), .seen = 1 };
	enum status st = ST_OK;

	while (st == ST_OK && run.seen && run.filed < max)
		st = handoff_batch(&run, max - run.filed, e);
	if (out_done)
		*out_done = run.filed;
	if (st == ST_OK && run.skipped.code != ERR_NONE) {
		if (e)
			*e = run.skipped;
		st = err_status(run.skipped.code);
	}
	return st;
}
