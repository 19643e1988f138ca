#pragma once
/* check_test.h — a store with rows of every kind, damage to them, and what facteur check says. */
#include "store_test.h"
#include "base/io.h"
#include "kv/kv.h"
#include "store/schema.h"
#include "store/store_check.h"
#include <unistd.h>

struct saved_row {
	slice key, value;
};
struct check_bench {
	struct bench b;
	char aside[64];
	struct saved_row *row; /* the rows that belong to store/, as they were */
	size_t n, cap;
	struct arena a;        /* of the rows */
	struct arena said_arena;
	struct {
		uint32_t account;
		enum store_check_fate fate;
		const char *code;
		slice address, mailbox, text;
		uint32_t uid;
	} said[400];
	size_t n_said;
	struct store_check_result r;
};

/* Rows of kv itself stay out of it. */
static inline bool is_of_store(slice key)
{
	return key.n && strchr("BbgLsd", key.p[0]) == NULL;
}

static inline bool cb_take(void *ctx, slice key, slice value)
{
	struct check_bench *c = ctx;

	if (!is_of_store(key))
		return true;
	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 256;
		c->row = mem_grow(c->row, c->cap, sizeof(*c->row));
	}
	c->row[c->n++] = (struct saved_row){ arena_dup(&c->a, key), arena_dup(&c->a, value) };
	return true;
}

static inline void cb_save(struct check_bench *c)
{
	struct kv_range all = { .from = slice_make("", 0) };

	arena_reset(&c->a);
	c->n = 0;
	OK(kv_scan(c->b.kv, NULL, &all, cb_take, c, &e));
}

static inline struct kv_txn *cb_raw(struct check_bench *c, const uint32_t ids[3])
{
	struct kv_txn *t = NULL;

	OK(kv_begin(c->b.kv, ids, 3, NULL, &t, &e));
	return t;
}

static inline bool cb_delete(void *ctx, slice key, slice value)
{
	(void)value;
	if (is_of_store(key))
		kv_del(ctx, key);
	return true;
}

/* Back to what cb_save saw; nothing is remembered in memory. */
static inline void cb_restore(struct check_bench *c)
{
	clock_advance(&c->b.clock, 1000000); /* files of what was put aside are named by it */
	const uint32_t ids[] = { 0, c->b.alice, c->b.bob };
	struct kv_txn *t = cb_raw(c, ids);
	struct kv_range all = { .from = slice_make("", 0) };

	OK(kv_scan(c->b.kv, t, &all, cb_delete, t, &e));
	for (size_t i = 0; i < c->n; i++)
		kv_put(t, c->row[i].key, c->row[i].value);
	OK(kv_commit_wait(t, &e));
	bench_reopen(&c->b);
}

/* value.p NULL: the row is deleted. */
static inline void cb_put(struct check_bench *c, slice key, slice value)
{
	const uint32_t ids[] = { 0, c->b.alice, c->b.bob };
	struct kv_txn *t = cb_raw(c, ids);

	if (value.p)
		kv_put(t, key, value);
	else
		kv_del(t, key);
	OK(kv_commit_wait(t, &e));
	bench_reopen(&c->b);
}

static inline void cb_found(void *ctx, const struct store_check_finding *f)
{
	struct check_bench *c = ctx;
	size_t i = c->n_said;

	if (i == sizeof(c->said) / sizeof(c->said[0]))
		return;
	c->said[i].account = f->account;
	c->said[i].fate = f->fate;
	c->said[i].code = f->code;
	c->said[i].address = arena_dup(&c->said_arena, f->address);
	c->said[i].mailbox = arena_dup(&c->said_arena, f->mailbox);
	c->said[i].text = arena_dup(&c->said_arena, f->text);
	c->said[i].uid = f->uid;
	c->n_said++;
}

static inline void cb_check(struct check_bench *c, bool repair)
{
	struct store_check_options o = {
		.repair = repair, .aside_dir = c->aside, .found = cb_found, .ctx = c
	};

	arena_reset(&c->said_arena);
	c->n_said = 0;
	OK(store_check(c->b.s, &o, &c->r, &e));
}

static inline void cb_print(const struct check_bench *c)
{
	for (size_t i = 0; i < c->n_said; i++)
		print_message("  %.*s %.*s %u [%s]: %.*s\n", FMT(c->said[i].address),
			      FMT(c->said[i].mailbox), c->said[i].uid, c->said[i].code,
			      FMT(c->said[i].text));
}

/* --- contents ------------------------------------------------------------------------------ */
static inline slice cb_text(struct check_bench *c, unsigned n, unsigned ref)
{
	slice refs = ref ? arena_fmt(&c->b.a, "References: <%u@check>\r\n", ref) : slice_make("", 0);

	return arena_fmt(&c->b.a,
			 "From: x@example.net\r\nMessage-ID: <%u@check>\r\n%.*sSubject: number %u\r\n"
			 "\r\ntext of %u\r\n",
			 n, FMT(refs), n, n);
}

/* Its structure is longer than a row takes. */
static inline slice cb_many_parts(struct check_bench *c)
{
	AUTO_BUF b = { 0 };

	buf_init(&b, 1u << 20);
	buf_adds(&b, "Message-ID: <parts@check>\r\nSubject: parts\r\nMIME-Version: 1.0\r\n"
		     "Content-Type: multipart/mixed; boundary=xx\r\n\r\n");
	for (int i = 0; i < 300; i++)
		buf_addf(&b,
			 "--xx\r\nContent-Type: application/octet-stream; name=\"a long name of part "
			 "number %d, so that it takes its place\"\r\nContent-Disposition: attachment; "
			 "filename=\"%d.bin\"\r\n\r\n%d\r\n",
			 i, i, i);
	buf_adds(&b, "--xx--\r\n");
	return arena_dup(&c->b.a, buf_slice(&b));
}

static inline struct store_uids cb_uid(struct check_bench *c, uint32_t uid)
{
	struct store_uids u = { .uid = arena_array(&c->b.a, 1, sizeof(uint32_t)), .n = 1 };

	u.uid[0] = uid;
	return u;
}

static inline void cb_fill(struct check_bench *c)
{
	struct bench *b = &c->b;
	uint32_t inbox = mbox_id(b, b->alice, "INBOX"), id, junk = mbox_id(b, b->alice, "Junk");
	uint32_t archive = mbox_id(b, b->alice, "Archive");
	slice prefix = SL("Return-Path: <x@example.net>\r\nDelivered-To: alice@example.org\r\n");
	struct store_uids u, from, to;
	unsigned bit;

	for (unsigned i = 1; i <= 8; i++)
		assert_int_equal(deliver(b, b->alice, inbox, prefix, cb_text(c, i, i == 3 ? 1 : 0)), i);
	deliver(b, b->alice, junk, slice_make("", 0), cb_many_parts(c));
	for (unsigned i = 20; i <= 24; i++)
		deliver(b, b->bob, mbox_id(b, b->bob, "INBOX"), prefix, cb_text(c, i, 0));
	deliver(b, b->bob, mbox_id(b, b->bob, "INBOX"), prefix, cb_text(c, 1, 0)); /* alice's, too */
	IN_TXN(b, b->alice, store_mailbox_create(t, b->alice, SL("A/B/C"), ROLE_NONE, &id, &e));
	IN_TXN(b, b->alice, store_mailbox_subscribe(t, b->alice, SL("A/B"), true, &e));
	IN_TXN(b, b->alice, store_keyword_bit(t, b->alice, SL("$Work"), &bit, &e));
	IN_TXN(b, b->alice, store_keyword_bit(t, b->alice, SL("$Home"), &bit, &e));
	u = cb_uid(c, 2);
	IN_TXN(b, b->alice, store_copy(t, b->alice, inbox, &u, archive, &from, &to, &e));
	IN_TXN(b, b->alice, store_copy(t, b->alice, inbox, &u, inbox, &from, &to, &e));
	u = cb_uid(c, 4);
	IN_TXN(b, b->alice, store_move(t, b->alice, inbox, &u, id, &from, &to, &e));
	u = cb_uid(c, 5);
	IN_TXN(b, b->alice,
	       store_flags_change(t, b->alice, inbox, &u, FLAG_SET,
				  (struct store_flags){ FLAG_SEEN | FLAG_FLAGGED, 2 }, NULL, NULL, &e));
	u = cb_uid(c, 6);
	IN_TXN(b, b->alice, store_expunge(t, b->alice, inbox, &u, false, NULL, &e));
	OK(store_alias_add(b->s, SL("al@example.org"), SL("alice@example.org"), &e));
	OK(store_domain_add(b->s, SL("second.example"), &e));
}

static inline void cb_queue(struct check_bench *c)
{
	struct bench *b = &c->b;
	const uint32_t ids[] = { 0, b->alice };
	struct intake *in = message(b, cb_text(c, 50, 0)), *in2 = message(b, cb_text(c, 51, 0));
	slice to[] = { S("y@example.net") };
	struct store_queue_entry q = { .due = NOW_S + 60, .sender = SL("alice@example.org"),
				       .rcpt = to, .n_rcpt = 1, .account = b->alice,
				       .queued = NOW_S, .prefix = SL("Received: x\r\n") };
	struct store_place place = { .account = b->alice,
				     .prefix = SL("Delivered-To: alice@example.org\r\n"),
				     .internal_date = NOW_S };
	struct store_txn *t;

	OK(store_begin(b->s, ids, 2, NULL, &t, &e));
	OK(store_queue_add(t, in, &q, NULL, &e));
	OK(store_handoff_add(t, in2, &place, &e));
	OK(store_commit_wait(t, &e));
	intake_free(in);
	intake_free(in2);
}

static inline int cb_setup(void **state)
{
	struct check_bench *c = mem_new(sizeof(*c));

	bench_open(&c->b, KV_COMMIT_INLINE);
	arena_init(&c->a);
	arena_init(&c->said_arena);
	snprintf(c->aside, sizeof(c->aside), "/tmp/check-test-XXXXXX");
	assert_non_null(mkdtemp(c->aside));
	cb_fill(c);
	cb_queue(c);
	cb_save(c);
	*state = c;
	return 0;
}

static inline int cb_teardown(void **state)
{
	struct check_bench *c = *state;
	struct err e;

	assert_int_equal(io_remove_tree(c->aside, &e), ST_OK);
	bench_close(&c->b);
	arena_release(&c->a);
	arena_release(&c->said_arena);
	mem_free(c->row);
	mem_free(c);
	return 0;
}
