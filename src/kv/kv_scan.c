/* kv_scan.c — ranges, both directions: own writes, overlay and engine merged by key.
 *
 * The write sets are cursors in a heap ordered by key, newest first among equals; the engine's iterator runs beside
 * it. For each key the newest write wins, and a deletion hides what is behind it. */
#include "kv/kv_internal.h"
#include "base/alloc.h"

struct cursor {
	const struct kv_node *at;
	uint64_t rank; /* own writes UINT64_MAX, else the transaction's seq */
};
struct merge {
	const struct kv_range *r;
	uint64_t op; /* own writes up to this one are seen */
	struct cursor *heap;
	size_t n;
};

static bool in_range(const struct kv_range *r, slice key)
{
	return slice_cmp(key, r->from) >= 0 &&
	       (r->to.n == 0 || slice_cmp(key, r->to) < 0);
}

static bool goes_before(const struct merge *m, const struct cursor *a,
			const struct cursor *b)
{
	int c = kv_node_cmp(a->at, b->at);
	if (c == 0)
		return a->rank > b->rank;
	return m->r->reverse ? c > 0 : c < 0;
}

static void sift_down(struct merge *m, size_t i)
{
	for (;;) {
		size_t best = i, l = 2 * i + 1;
		if (l < m->n && goes_before(m, &m->heap[l], &m->heap[best]))
			best = l;
		if (l + 1 < m->n && goes_before(m, &m->heap[l + 1], &m->heap[best]))
			best = l + 1;
		if (best == i)
			return;
		struct cursor c = m->heap[i];
		m->heap[i] = m->heap[best];
		m->heap[best] = c;
		i = best;
	}
}

static uint64_t visible_op(const struct merge *m, const struct cursor *c)
{
	return c->rank == UINT64_MAX ? m->op : UINT64_MAX;
}

/* Moves c to the first row at or behind its place that this scan sees; false at the end of the range. */
static bool settle(const struct merge *m, struct cursor *c)
{
	uint64_t op = visible_op(m, c);

	while (c->at) {
		if (!in_range(m->r, c->at->key))
			return false;
		if (kv_node_at(c->at, op))
			return true;
		c->at = m->r->reverse ? c->at->prev : c->at->next[0];
	}
	return false;
}

static void add_set(struct merge *m, const struct kv_map *set, uint64_t rank)
{
	struct cursor c = { .rank = rank };

	if (!m->r->reverse)
		c.at = kv_map_seek(set, m->r->from);
	else
		c.at = m->r->to.n ? kv_map_seek_before(set, m->r->to) : set->last;
	if (settle(m, &c))
		m->heap[m->n++] = c;
}

static void top_next(struct merge *m)
{
	struct cursor *c = &m->heap[0];

	c->at = m->r->reverse ? c->at->prev : c->at->next[0];
	if (!settle(m, c))
		*c = m->heap[--m->n];
	if (m->n)
		sift_down(m, 0);
}

/* Behind every cursor that stands on key. */
static void skip_key(struct merge *m, slice key)
{
	while (m->n && slice_eq(m->heap[0].at->key, key))
		top_next(m);
}

static void merge_start(struct merge *m, struct kv_txn *t, const struct kv_range *r,
			struct cursor *room)
{
	m->r = r;
	m->op = t->ops;
	m->heap = room;
	m->n = 0;
	if (t->set.n)
		add_set(m, &t->set, UINT64_MAX);
	for (size_t i = 0; i < t->n_seen; i++)
		if (t->seen[i]->set.n)
			add_set(m, &t->seen[i]->set, t->seen[i]->seq);
	for (size_t i = m->n / 2; i-- > 0;)
		sift_down(m, i);
}

/* The next row of the merge; false at the end. */
static bool merge_next(struct merge *m, const struct kv_engine_ops *ops,
		       struct kv_iter *it, kv_row_fn fn, void *ctx, bool *out_more)
{
	slice key, value;
	bool has = ops->iter_row(it, &key, &value);
	int c = -1;

	if (m->n == 0 && !has)
		return false;
	if (m->n && has) {
		c = slice_cmp(m->heap[0].at->key, key);
		if (m->r->reverse)
			c = -c;
	}
	if (m->n &&
	    c <= 0) { /* a write of ours or of the overlay; it hides the engine's row */
		/* Looked up only now: fn may have written this row since the cursor came here. */
		const struct kv_node *row =
			kv_node_at(m->heap[0].at, visible_op(m, &m->heap[0]));
		slice k = m->heap[0].at->key;
		if (!row->del)
			*out_more = fn(ctx, k, row->value);
		skip_key(m, k);
		if (has && c == 0)
			ops->iter_next(it);
		return true;
	}
	*out_more = fn(ctx, key, value);
	ops->iter_next(it);
	return true;
}

enum status kv_scan(struct kv *kv, struct kv_txn *t, const struct kv_range *r,
		    kv_row_fn fn, void *ctx, struct err *e)
{
	const struct kv_engine_ops *ops = kv->en->ops;
	struct merge m = { .r = r };
	struct cursor few[8], *many = NULL;
	bool more = true;

	if (r->to.n && slice_cmp(r->from, r->to) >= 0)
		return ST_OK;
	if (t) {
		size_t need = t->n_seen + 1;
		if (need > sizeof(few) / sizeof(few[0]))
			many = mem_array(need, sizeof(*many));
		t->scans++;
		merge_start(&m, t, r, many ? many : few);
	}
	/* Made after the overlay was taken at kv_begin: rows move from there into the engine. */
	struct kv_iter *it = ops->iter_new(kv->en, r);
	while (more && merge_next(&m, ops, it, fn, ctx, &more))
		;
	enum status st = ops->iter_free(it, e);
	if (t)
		t->scans--;
	mem_free(many);
	return st;
}
