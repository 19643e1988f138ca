/* kv_memory.c — the engine for tests and `sim`: a map on the heap, gone with the process. */
#include "base/alloc.h"
#include "kv/kv_engine.h"
#include "kv/kv_map.h"
#include <pthread.h>

struct row {
	slice key, value;
	bool del;
};

struct memory {
	struct kv_engine en;
	pthread_rwlock_t
		lock; /* writers: batch_write; readers: get, and an iterator for its whole life */
	struct kv_map map;
	struct arena arena; /* of the batch */
	struct row *rows;
	size_t n, cap;
	_Atomic uint64_t fail_in;
	_Atomic int fail_code;
};

struct kv_iter {
	struct memory *m;
	struct kv_range range;
	struct kv_node *at;
};

static enum status get(struct kv_engine *en, slice key, struct arena *a, slice *out,
		       struct err *e)
{
	struct memory *m = (struct memory *)en;
	(void)e;
	pthread_rwlock_rdlock(&m->lock);
	struct kv_node *n = kv_map_find(&m->map, key);
	if (n)
		*out = arena_dup(a, n->value);
	pthread_rwlock_unlock(&m->lock);
	return n ? ST_OK : ST_NOT_FOUND;
}

static struct kv_iter *iter_new(struct kv_engine *en, const struct kv_range *r)
{
	struct memory *m = (struct memory *)en;
	struct kv_iter *it = mem_new(sizeof(*it));
	it->m = m;
	it->range = *r;
	pthread_rwlock_rdlock(&m->lock);
	if (!r->reverse)
		it->at = kv_map_seek(&m->map, r->from);
	else
		it->at = r->to.n ? kv_map_seek_before(&m->map, r->to) : m->map.last;
	return it;
}

static bool iter_row(struct kv_iter *it, slice *out_key, slice *out_value)
{
	const struct kv_node *n = it->at;
	const struct kv_range *r = &it->range;
	if (!n)
		return false;
	if (r->reverse ? slice_cmp(n->key, r->from) < 0
		       : r->to.n && slice_cmp(n->key, r->to) >= 0)
		return false;
	*out_key = n->key;
	*out_value = n->value;
	return true;
}

static void iter_next(struct kv_iter *it)
{
	it->at = it->range.reverse ? it->at->prev : it->at->next[0];
}

static enum status iter_free(struct kv_iter *it, struct err *e)
{
	(void)e;
	pthread_rwlock_unlock(&it->m->lock);
	mem_free(it);
	return ST_OK;
}

static void batch_add(struct memory *m, struct row row)
{
	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 64;
		m->rows = mem_grow(m->rows, m->cap, sizeof(*m->rows));
	}
	m->rows[m->n++] = row;
}

static void batch_put(struct kv_engine *en, slice key, slice value)
{
	struct memory *m = (struct memory *)en;
	batch_add(m, (struct row){ arena_dup(&m->arena, key), arena_dup(&m->arena, value),
				   false });
}

static void batch_del(struct kv_engine *en, slice key)
{
	struct memory *m = (struct memory *)en;
	batch_add(m, (struct row){ arena_dup(&m->arena, key), SL(""), true });
}

static void batch_drop(struct kv_engine *en)
{
	struct memory *m = (struct memory *)en;
	m->n = 0;
	arena_reset(&m->arena);
}

static void apply(struct memory *m, const struct row *row)
{
	struct kv_node *n = kv_map_find(&m->map, row->key);
	if (n) {
		kv_map_remove(&m->map, n);
		mem_free(n);
	}
	if (row->del)
		return;
	unsigned height = kv_map_draw_height(&m->map);
	size_t head = kv_node_size(height);
	n = mem_new(head + row->key.n + row->value.n);
	n->height = (uint8_t)height;
	char *p = (char *)n + head;
	n->key = slice_make(p, row->key.n);
	n->value = slice_make(p + row->key.n, row->value.n);
	memcpy(p, row->key.p, row->key.n);
	memcpy(p + row->key.n, row->value.p, row->value.n);
	kv_map_insert(&m->map, n);
}

static enum status ready(struct kv_engine *en, struct err *e)
{
	struct memory *m = (struct memory *)en;
	uint64_t left = m->fail_in;
	if (left)
		m->fail_in = left - 1;
	if (left == 1)
		return err_set(e, (enum err_code)m->fail_code,
			       "the memory engine was asked to fail");
	return ST_OK;
}

static enum status batch_write(struct kv_engine *en, struct err *e)
{
	struct memory *m = (struct memory *)en;
	(void)e;
	pthread_rwlock_wrlock(&m->lock);
	for (size_t i = 0; i < m->n; i++)
		apply(m, &m->rows[i]);
	pthread_rwlock_unlock(&m->lock);
	batch_drop(en);
	return ST_OK;
}

static enum status flush(struct kv_engine *en, struct err *e)
{
	(void)en;
	(void)e;
	return ST_OK;
}

static void memory_close(struct kv_engine *en)
{
	struct memory *m = (struct memory *)en;
	for (struct kv_node *n = kv_map_first(&m->map), *next; n; n = next) {
		next = n->next[0];
		mem_free(n);
	}
	arena_release(&m->arena);
	mem_free(m->rows);
	pthread_rwlock_destroy(&m->lock);
	mem_free(m);
}

static const struct kv_engine_ops memory_ops = {
	.get = get,
	.iter_new = iter_new,
	.iter_row = iter_row,
	.iter_next = iter_next,
	.iter_free = iter_free,
	.batch_put = batch_put,
	.batch_del = batch_del,
	.ready = ready,
	.batch_write = batch_write,
	.flush = flush,
	.batch_drop = batch_drop,
	.close = memory_close,
};

struct kv_engine *kv_memory_new(void)
{
	struct memory *m = mem_new(sizeof(*m));
	m->en.ops = &memory_ops;
	pthread_rwlock_init(&m->lock, NULL);
	arena_init(&m->arena);
	return &m->en;
}

void kv_memory_fail(struct kv_engine *en, uint64_t nth, enum err_code code)
{
	struct memory *m = (struct memory *)en;
	m->fail_code = (int)code;
	m->fail_in = nth;
}
