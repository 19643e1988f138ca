/* store_check_queue.c — the outbound queue and hand-offs: q, Q, H, and their references. */
#include "store/store_check_int.h"

static const uint32_t directory_lock[] = { 0 };

static uint64_t key_u64(slice key, size_t at)
{
	struct rd r = rd_init(slice_from(key, at));

	return rd_u64(&r);
}

static enum status marker_look(struct look *l, slice key, const char *what, struct err *e)
{
	slice raw;
	enum status st = check_get(l, key, l->c->page.a, &raw, e);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (st == ST_OK && raw.n == 1 && raw.p[0] == SCHEMA_ROW)
		return ST_OK;
	if (check_fault(l, &(struct where){ .code = "queue" }, CHECK_REPAIRED,
			"written again", "%s", what))
		txn_put_empty(l->t, key);
	return ST_OK;
}

static enum status queue_row(struct look *l, const struct check_row *row, struct err *e)
{
	uint64_t id = key_u64(row->key, 1);
	struct store_queue_entry q;

	if (row->key.n != 9 || !row_queue_read(row->value, l->c->page.a, &q) ||
	    q.id != id) {
		if (!check_fault(l, &(struct where){ .code = "queue" }, CHECK_LOST,
				 "put aside",
				 "message %016llx in the queue cannot be read",
				 (unsigned long long)id))
			return ST_OK;
		return repair_drop(l, row->key, row->value, e);
	}
	struct skey kd = key_queue_due(q.due, id), kr = key_reference(&q.blob, 0, id);
	enum status st = marker_look(l, skey_slice(&kd),
				     "a message in the queue has no place in its order",
				     e);

	l->uses++;
	if (st == ST_OK)
		st = marker_look(
			l, skey_slice(&kr),
			"the reference that keeps the body of a message in the queue is "
			"missing",
			e);
	return st;
}

static enum status queue_page(struct look *l, void *ctx, struct err *e)
{
	enum status st = ST_OK;

	(void)ctx;
	for (size_t i = 0; i < l->c->page.n && st == ST_OK; i++)
		st = queue_row(l, &l->c->page.at[i], e);
	return st;
}

static enum status due_page(struct look *l, void *ctx, struct err *e)
{
	enum status st = ST_OK;

	(void)ctx;
	for (size_t i = 0; i < l->c->page.n && st == ST_OK; i++) {
		const struct check_row *row = &l->c->page.at[i];
		uint64_t due = key_u64(row->key, 1), id = key_u64(row->key, 9);
		struct store_queue_entry q;
		struct skey k = key_queue(id);
		slice raw;

		st = check_get(l, skey_slice(&k), l->c->page.a, &raw, e);
		if (st != ST_OK && st != ST_NOT_FOUND)
			return st;
		bool fits = row->key.n == 17 && st == ST_OK &&
			    (!row_queue_read(raw, l->c->page.a, &q) ||
			     (q.due < 0 ? 0 : (uint64_t)q.due) == due);

		st = ST_OK;
		if (!fits &&
		    check_fault(l, &(struct where){ .code = "queue" }, CHECK_REPAIRED,
				"taken out",
				"the order of the queue has a message that is not there"))
			st = repair_drop(l, row->key, row->value, e);
	}
	return st;
}

static enum status handoff_row(struct look *l, void *ctx, struct err *e)
{
	const struct check_row *row = ctx;

	struct where w = { .code = "hand-off" };
	struct row_handoff h;
	uint64_t id = key_u64(row->key, 5);

	if (!check_has(l, row->key, l->c->page.a))
		return ST_OK; /* filed meanwhile */
	if (row->key.n != 13 || !row_handoff_read(row->value, &h)) {
		if (!check_fault(l, &w, CHECK_LOST, "put aside",
				 "a message that was to be filed cannot be read"))
			return ST_OK;
		return repair_drop(l, row->key, row->value, e);
	}
	struct skey kr = key_reference(&h.email.blob, SCHEMA_HANDOFF, id);
	static const char missing[] =
		"the reference that keeps the body of a message to be filed is missing";
	enum status st = marker_look(l, skey_slice(&kr), missing, e);

	l->uses++;
	if (st != ST_OK || h.email.digest_kind != DIGEST_BLOB)
		return st;
	struct skey kd = key_reference(&h.email.digest_blob, SCHEMA_HANDOFF, id);

	l->uses++;
	return marker_look(l, skey_slice(&kd), missing, e);
}

static enum status handoffs_page(struct look *l, void *ctx, struct err *e)
{
	enum status st = ST_OK;

	(void)ctx;
	for (size_t i = 0; i < l->c->page.n && st == ST_OK; i++) {
		struct rd r = rd_init(slice_from(l->c->page.at[i].key, 1));
		uint32_t account = rd_u32(&r); /* who files it holds this lock */

		st = check_unit(l->c, &account, 1, handoff_row, &l->c->page.at[i], e);
	}
	return st;
}

enum status check_queue(struct check *c, struct err *e)
{
	enum status st = check_walk(c, SL("q"), directory_lock, 1, queue_page, NULL, e);

	if (st == ST_OK)
		st = check_walk(c, SL("Q"), directory_lock, 1, due_page, NULL, e);
	if (st == ST_OK)
		st = check_walk(c, SL("H"), directory_lock, 1, handoffs_page, NULL, e);
	return st;
}
