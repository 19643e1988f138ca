/* store_queue.c — the outbound queue's rows. Delivery itself is elsewhere. */
#include "store/store_int.h"

#define QUEUE_ROW_MAX (LIMIT_VALUE - 1024)

enum status store_queue_add(struct store_txn *t, struct intake *in,
			    const struct store_queue_entry *entry, uint64_t *out_id,
			    struct err *e)
{
	struct row_directory *d;
	struct store_queue_entry row = *entry;
	struct message_source src;
	AUTO_BUF b = { 0 };
	enum status st = txn_directory(t, &d, e);

	if (st == ST_OK)
		st = intake_attach(in, t, e);
	if (st != ST_OK)
		return st;
	intake_source(in, &src);
	row.id = d->last_queue + 1;
	row.blob = src.email.blob;
	row.size = entry->prefix.n + src.email.blob_size;
	if (row.state.n == 0)
		row.state = SL("waiting");
	buf_init(&b, QUEUE_ROW_MAX);
	row_queue_write(&b, &row);
	if (b.full)
		return err_set(e, ERR_LIMIT,
			       "too many recipients for one entry of the queue");
	d->last_queue++;
	t->directory_dirty = true;
	struct skey kq = key_queue(row.id), kd = key_queue_due(row.due, row.id);
	struct skey kr = key_reference(&row.blob, 0, row.id);

	txn_put_buf(t, skey_slice(&kq), &b);
	txn_put_empty(t, skey_slice(&kd));
	txn_put_empty(t, skey_slice(&kr));
	if (out_id)
		*out_id = row.id;
	return ST_OK;
}

struct queue_scan {
	struct arena *a;
	struct store_queue_entry *at;
	size_t n, cap, max;
};

static bool take_entry(void *ctx, slice key, slice value)
{
	struct queue_scan *l = ctx;

	(void)key;
	if (l->n == l->max)
		return false;
	if (l->n == l->cap) {
		struct store_queue_entry *old = l->at;

		l->cap = l->cap ? l->cap * 2 : 16;
		l->at = arena_array(l->a, l->cap, sizeof(*l->at));
		if (l->n)
			memcpy(l->at, old, l->n * sizeof(*l->at));
	}
	if (row_queue_read(value, l->a, &l->at[l->n]))
		l->n++; /* a damaged one hides none of the others */
	return true;
}

enum status store_queue_list(struct store *s, size_t max, struct arena *a,
			     struct store_queue_entry **out, size_t *out_n, struct err *e)
{
	struct queue_scan l = { .a = a, .max = max };
	struct skey from = key_queue_prefix(), to = from;

	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };
	enum status st = kv_scan(s->kv, NULL, &r, take_entry, &l, e);

	if (st != ST_OK)
		return st;
	*out = l.at;
	*out_n = l.n;
	return ST_OK;
}
