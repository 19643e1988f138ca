#pragma once
/* store_test.h — a store on the memory engine, and short words for what tests do all the time. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "store/store.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

#define NOW_S 1700000000

struct bench {
	struct kv *kv;
	struct clock clock;
	struct store *s;
	struct arena a;
	uint32_t alice, bob;
};

#define OK(call)                                                                                             \
	do {                                                                                                 \
		struct err e = { 0 };                                                                        \
		enum status ok_st = (call);                                                                  \
		if (ok_st != ST_OK)                                                                          \
			fail_msg("%s: status %d, %s: %s", #call, ok_st, err_name(e.code), e.text);           \
	} while (0)
#define FAILS(call, wanted)                                                                                  \
	do {                                                                                                 \
		struct err e = { 0 };                                                                        \
		enum status fails_st = (call);                                                               \
		assert_int_not_equal(fails_st, ST_OK);                                                       \
		if (e.code != (wanted))                                                                      \
			fail_msg("%s: %s instead of %s", #call, err_name(e.code), err_name(wanted));         \
	} while (0)
#define assert_slice(s, text)                                                                                \
	do {                                                                                                 \
		slice as_s = (s), as_t = slice_str(text);                                                    \
		if (!slice_eq(as_s, as_t))                                                                   \
			fail_msg("'%.*s' instead of '%.*s'", FMT(as_s), FMT(as_t));                          \
	} while (0)

static inline void bench_open(struct bench *b, enum kv_commit_mode mode)
{
	struct kv_options opt = { .engine = KV_MEMORY, .mode = mode };

	arena_init(&b->a);
	clock_init_virtual(&b->clock, (int64_t)NOW_S * 1000000);
	OK(kv_open(&opt, &b->kv, &e));
	OK(store_open(b->kv, &b->clock, &b->s, &e));
	OK(store_domain_add(b->s, SL("example.org"), &e));
	OK(store_account_add(b->s, SL("alice@example.org"), SL("{X}a"), &b->alice, &e));
	OK(store_account_add(b->s, SL("bob@example.org"), SL("{X}b"), &b->bob, &e));
}

static inline void bench_close(struct bench *b)
{
	store_close(b->s);
	kv_close(b->kv);
	arena_release(&b->a);
}

/* The store is closed and opened again on the same rows. */
static inline void bench_reopen(struct bench *b)
{
	store_close(b->s);
	OK(store_open(b->kv, &b->clock, &b->s, &e));
}

static inline int bench_setup(void **state)
{
	struct bench *b = mem_new(sizeof(*b));

	bench_open(b, KV_COMMIT_INLINE);
	*state = b;
	return 0;
}

static inline int bench_teardown(void **state)
{
	bench_close(*state);
	mem_free(*state);
	return 0;
}

static inline struct store_txn *begin(struct bench *b, uint32_t account)
{
	struct store_txn *t = NULL;
	uint32_t *id = arena_alloc(&b->a, sizeof(*id));

	*id = account;
	OK(store_begin(b->s, id, 1, NULL, &t, &e));
	return t;
}

#define IN_TXN(b, account, call)                                                                             \
	do {                                                                                                 \
		struct store_txn *t = begin(b, account);                                                     \
		OK(call);                                                                                    \
		OK(store_commit_wait(t, &e));                                                                \
	} while (0)
#define FAILS_IN_TXN(b, account, call, wanted)                                                               \
	do {                                                                                                 \
		struct store_txn *t = begin(b, account);                                                     \
		FAILS(call, wanted);                                                                         \
		store_abort(t);                                                                              \
	} while (0)

static inline struct intake *message(struct bench *b, slice text)
{
	struct intake *in = intake_new(b->s, 0, LIMIT_MESSAGE);

	OK(intake_write(in, text, &e));
	OK(intake_end(in, &e));
	return in;
}

static inline uint32_t deliver(struct bench *b, uint32_t account, uint32_t mbox, slice prefix, slice text)
{
	struct intake *in = message(b, text);
	struct store_place place = { .account = account, .mbox = mbox, .prefix = prefix,
				     .internal_date = clock_now_s(&b->clock) };
	uint32_t uid = 0;

	IN_TXN(b, account, store_add(t, in, &place, &uid, &e));
	intake_free(in);
	return uid;
}

static inline uint32_t mbox_id(struct bench *b, uint32_t account, const char *name)
{
	struct store_mailbox m;

	OK(store_mailbox_find(b->s, account, slice_str(name), &b->a, &m, &e));
	return m.id;
}

static inline struct store_mailbox mbox_get(struct bench *b, uint32_t account, uint32_t id)
{
	struct store_mailbox m;

	OK(store_mailbox_get(b->s, account, id, &b->a, &m, &e));
	return m;
}

static inline slice whole(struct bench *b, const struct store_email *m)
{
	size_t n = m->prefix.n + (size_t)m->blob_size;
	char *p = arena_alloc(&b->a, n + 1);

	OK(store_email_read(b->s, m, 0, p, n, &e));
	return slice_make(p, n);
}
