#pragma once
/* kv_test.h — what the tests of kv share: stores in temporary directories, short forms of the calls. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "kv/kv_internal.h"
#include <setjmp.h>
#include <stdarg.h>
/* after the system's headers */
#include <cmocka.h>
#include "../../support/dir_test.h"

static inline struct kv *open_kv(enum kv_engine_kind engine, enum kv_commit_mode mode, const char *dir)
{
	struct kv_options o = { .engine = engine, .mode = mode, .dir = dir, .cache_bytes = 8u << 20 };
	struct kv *kv = NULL;
	struct err e = { 0 };
	if (kv_open(&o, &kv, &e) != ST_OK)
		fail_msg("kv_open: %s", e.text);
	return kv;
}

static inline struct kv_txn *begin(struct kv *kv, uint32_t id)
{
	struct kv_txn *t = NULL;
	struct err e;
	assert_int_equal(kv_begin(kv, &id, 1, NULL, &t, &e), ST_OK);
	return t;
}

static inline void commit_ok(struct kv_txn *t)
{
	struct err e = { 0 };
	if (kv_commit_wait(t, &e) != ST_OK)
		fail_msg("commit: %s", e.text);
}

/* The value as a C string in a, NULL when there is none. */
static inline const char *get(struct kv *kv, struct kv_txn *t, struct arena *a, const char *key)
{
	slice v;
	struct err e = { 0 };
	enum status st = kv_get(kv, t, slice_str(key), a, &v, &e);
	if (st == ST_NOT_FOUND)
		return NULL;
	if (st != ST_OK)
		fail_msg("get %s: %s", key, e.text);
	return v.p;
}

static inline void put(struct kv_txn *t, const char *key, const char *value)
{
	kv_put(t, slice_str(key), slice_str(value));
}

/* "k=v k=v" of a range. */
struct listing {
	struct buf b;
	size_t max, n;
};
static inline bool list_row(void *ctx, slice key, slice value)
{
	struct listing *l = ctx;
	if (l->b.n)
		buf_addc(&l->b, ' ');
	buf_add(&l->b, key);
	buf_addc(&l->b, '=');
	buf_add(&l->b, value);
	return ++l->n != l->max;
}
static inline const char *list(struct kv *kv, struct kv_txn *t, struct arena *a, const char *from, const char *to,
			       bool reverse, size_t max)
{
	struct listing l = { .max = max };
	struct kv_range r = { slice_str(from), slice_str(to), reverse };
	struct err e = { 0 };
	buf_init(&l.b, 1u << 20);
	if (kv_scan(kv, t, &r, list_row, &l, &e) != ST_OK)
		fail_msg("scan: %s", e.text);
	const char *s = arena_cstr(a, buf_slice(&l.b));
	buf_done(&l.b);
	return s;
}

/* A done that remembers. */
struct result {
	struct done d;
	int calls;
	enum status st;
	struct err why;
};
static inline void result_fn(struct done *d, enum status st, const struct err *why)
{
	struct result *r = (struct result *)d;
	r->calls++;
	r->st = st;
	if (why)
		r->why = *why;
}
#define RESULT { .d = { result_fn } }
