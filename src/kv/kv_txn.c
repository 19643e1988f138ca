/* kv_txn.c — a transaction while it is built: its write set, and single reads. Scans are in kv_scan.c. */
#include "kv/kv_internal.h"
#include "base/alloc.h"

void kv_queue_init(struct kv_queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

void kv_queue_add(struct kv_queue *q, struct kv_txn *t)
{
	t->next = NULL;
	*q->last = t;
	q->last = &t->next;
}

struct kv_txn *kv_txn_take(struct kv *kv)
{
	struct kv_txn *t = kv->free_txns;

	if (t) {
		kv->free_txns = t->next;
		kv->n_free_txns--;
		t->next = NULL;
	} else {
		t = mem_new(sizeof(*t));
		t->kv = kv;
		arena_init(&t->user);
		arena_init(&t->rows);
	}
	t->blobs_end = &t->blobs;
	t->refs = 1;
	return t;
}

void kv_txn_ref(struct kv_txn *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
}

void kv_txn_unref(struct kv_txn *t)
{
	struct kv *kv = t->kv;

	if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
		return;
	arena_reset(&t->rows);
	arena_reset(&t->user);
	t->set = (struct kv_map){ .random = t->set.random };
	memset(t->filter, 0, sizeof(t->filter));
	t->seq = t->ops = 0;
	t->scans = 0;
	t->bytes = 0;
	t->err.code = ERR_NONE;
	t->frees = false;
	t->blobs = NULL;
	t->gc = NULL;
	t->n_holds = t->n_seen = 0;
	t->seen = NULL;
	t->holds = NULL;
	t->done = NULL;
	pthread_mutex_lock(&kv->mu);
	if (kv->n_free_txns < KV_TXN_KEPT) {
		t->next = kv->free_txns;
		kv->free_txns = t;
		kv->n_free_txns++;
		t = NULL;
	}
	pthread_mutex_unlock(&kv->mu);
	if (t) {
		arena_release(&t->rows);
		arena_release(&t->user);
		mem_free(t);
	}
}

void kv_txn_fail(struct kv_txn *t, const struct err *why)
{
	if (t->err.code == ERR_NONE)
		t->err = *why;
}

void kv_txn_frees(struct kv_txn *t)
{
	t->frees = true;
}

struct arena *kv_txn_arena(struct kv_txn *t)
{
	return &t->user;
}

static uint64_t key_hash(const struct kv *kv, slice key)
{
	return siphash(&kv->hash_key, key);
}

static void filter_add(struct kv_txn *t, uint64_t hash)
{
	t->filter[hash >> 62] |= 1ull << (hash & 63);
}

static bool filter_has(const struct kv_txn *t, uint64_t hash)
{
	return t->filter[hash >> 62] >> (hash & 63) & 1;
}

const struct kv_node *kv_node_at(const struct kv_node *node, uint64_t op)
{
	while (node && node->op > op)
		node = node->older;
	return node;
}

/* The row is there already: it changes in place, unless a scan still has to see it as it is. */
static void row_replace(struct kv_txn *t, struct kv_node *n, slice value, bool del)
{
	if (t->scans > 0) {
		struct kv_node *old = arena_alloc(&t->rows, kv_node_size(0));
		old->key = n->key;
		old->value = n->value;
		old->op = n->op;
		old->del = n->del;
		old->older = n->older;
		n->older = old;
		n->value = arena_dup(&t->rows, value);
	} else if (value.n <= n->value.n) {
		if (value.n)
			memcpy((char *)(uintptr_t)n->value.p, value.p, value.n);
		n->value.n = value.n;
	} else {
		n->value = arena_dup(&t->rows, value);
	}
	n->del = del;
	n->op = t->ops;
}

static void row_add(struct kv_txn *t, slice key, slice value, bool del)
{
	unsigned height = kv_map_draw_height(&t->set);
	size_t head = kv_node_size(height);
	struct kv_node *n = arena_alloc(&t->rows, head + key.n + value.n);
	char *p = (char *)n + head;

	memcpy(p, key.p, key.n);
	if (value.n)
		memcpy(p + key.n, value.p, value.n);
	n->key = slice_make(p, key.n);
	n->value = slice_make(p + key.n, value.n);
	n->height = (uint8_t)height;
	n->del = del;
	n->op = t->ops;
	kv_map_insert(&t->set, n);
	filter_add(t, key_hash(t->kv, key));
}

static void write_row(struct kv_txn *t, slice key, slice value, bool del)
{
	struct err why;

	t->ops++;
	t->bytes += key.n + value.n + 16;
	if (key.n == 0 || key.n > LIMIT_KEY || value.n > LIMIT_VALUE) {
		err_set(&why, ERR_LIMIT, "a row of %zu + %zu octets is too large", key.n,
			value.n);
		kv_txn_fail(t, &why);
		return;
	}
	if (t->bytes > LIMIT_TXN) {
		err_set(&why, ERR_LIMIT, "the change is too large for one transaction");
		kv_txn_fail(t, &why);
		return;
	}
	struct kv_node *n = t->set.n ? kv_map_find(&t->set, key) : NULL;
	if (n)
		row_replace(t, n, value, del);
	else
		row_add(t, key, value, del);
}

void kv_put(struct kv_txn *t, slice key, slice value)
{
	write_row(t, key, value, false);
}

void kv_del(struct kv_txn *t, slice key)
{
	write_row(t, key, SL(""), true);
}

/* In the overlay: the newest queued transaction of t's locks that wrote key. */
static const struct kv_node *seen_find(const struct kv_txn *t, slice key)
{
	uint64_t hash = key_hash(t->kv, key);

	for (size_t i = 0; i < t->n_seen; i++) {
		const struct kv_node *n;
		if (filter_has(t->seen[i], hash) &&
		    (n = kv_map_find(&t->seen[i]->set, key)))
			return n;
	}
	return NULL;
}

enum status kv_get(struct kv *kv, struct kv_txn *t, slice key, struct arena *a,
		   slice *out, struct err *e)
{
	if (t) {
		const struct kv_node *n = t->set.n ? kv_map_find(&t->set, key) : NULL;
		if (!n && t->n_seen)
			n = seen_find(t, key);
		if (n && n->del)
			return ST_NOT_FOUND;
		if (n) {
			*out = arena_dup(a, n->value);
			return ST_OK;
		}
	}
	return kv->en->ops->get(kv->en, key, a, out, e);
}
