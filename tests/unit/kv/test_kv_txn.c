/* Reads, writes, scans and commits, on both engines. */
#include "kv_test.h"

struct env {
	struct kv *kv;
	char dir[64];
	struct arena a;
	enum kv_engine_kind engine;
};

static int setup(void **state, enum kv_engine_kind engine)
{
	struct env *v = mem_new(sizeof(*v));
	v->engine = engine;
	temp_dir(v->dir);
	v->kv = open_kv(engine, KV_COMMIT_MANUAL, v->dir);
	arena_init(&v->a);
	*state = v;
	return 0;
}
static int setup_memory(void **state)
{
	return setup(state, KV_MEMORY);
}
static int setup_rocks(void **state)
{
	return setup(state, KV_ROCKSDB);
}
static int teardown(void **state)
{
	struct env *v = *state;
	kv_close(v->kv);
	arena_release(&v->a);
	remove_tree(v->dir);
	mem_free(v);
	return 0;
}

static void what_is_committed_is_read(void **state)
{
	struct env *v = *state;
	struct kv_txn *t = begin(v->kv, 1);
	put(t, "a", "1");
	put(t, "b", "");
	put(t, "c", "3");
	put(t, "c", "33 and longer");
	kv_del(t, SL("never"));
	assert_null(get(v->kv, NULL, &v->a, "a"));
	commit_ok(t);
	assert_string_equal(get(v->kv, NULL, &v->a, "a"), "1");
	assert_string_equal(get(v->kv, NULL, &v->a, "b"), "");
	assert_string_equal(get(v->kv, NULL, &v->a, "c"), "33 and longer");
	assert_null(get(v->kv, NULL, &v->a, "never"));
	t = begin(v->kv, 1);
	kv_del(t, SL("a"));
	put(t, "c", "3");
	commit_ok(t);
	assert_null(get(v->kv, NULL, &v->a, "a"));
	assert_string_equal(get(v->kv, NULL, &v->a, "c"), "3");
}

static void a_transaction_sees_itself_then_the_overlay_then_the_engine(void **state)
{
	struct env *v = *state;
	struct result r1 = RESULT, r2 = RESULT;
	struct kv_txn *t = begin(v->kv, 1);
	put(t, "a", "engine");
	put(t, "b", "engine");
	put(t, "c", "engine");
	put(t, "d", "engine");
	commit_ok(t);
	t = begin(v->kv, 1);
	put(t, "b", "first");
	put(t, "c", "first");
	kv_del(t, SL("d"));
	kv_commit(t, &r1.d);
	t = begin(v->kv, 1);
	assert_string_equal(get(v->kv, t, &v->a, "c"), "first");
	assert_null(get(v->kv, t, &v->a, "d"));
	put(t, "c", "second");
	put(t, "d", "second");
	kv_commit(t, &r2.d);
	t = begin(v->kv, 1);
	put(t, "e", "own");
	kv_del(t, SL("a"));
	assert_string_equal(list(v->kv, t, &v->a, "a", "", false, 0),
			    "b=first c=second d=second e=own");
	assert_string_equal(list(v->kv, t, &v->a, "a", "", true, 0),
			    "e=own d=second c=second b=first");
	assert_string_equal(list(v->kv, t, &v->a, "b", "d", false, 0),
			    "b=first c=second");
	assert_string_equal(list(v->kv, t, &v->a, "b", "d", true, 1), "c=second");
	assert_string_equal(list(v->kv, NULL, &v->a, "", "", false, 0),
			    "a=engine b=engine c=engine d=engine");
	assert_string_equal(get(v->kv, t, &v->a, "b"), "first");
	assert_string_equal(get(v->kv, NULL, &v->a, "b"), "engine");
	/* Durable in the middle of a transaction: it reads the same. */
	kv_pump(v->kv);
	assert_int_equal(r1.calls, 1);
	assert_int_equal(r2.st, ST_OK);
	assert_string_equal(list(v->kv, t, &v->a, "a", "", false, 0),
			    "b=first c=second d=second e=own");
	kv_abort(t);
	assert_string_equal(list(v->kv, NULL, &v->a, "a", "", true, 0),
			    "d=second c=second b=first a=engine");
}

static void another_lock_does_not_see_what_is_queued(void **state)
{
	struct env *v = *state;
	struct result r = RESULT;
	struct kv_txn *t = begin(v->kv, 1), *other;
	put(t, "a", "1");
	kv_commit(t, &r.d);
	other = begin(v->kv, 2);
	assert_null(get(v->kv, other, &v->a, "a"));
	assert_string_equal(list(v->kv, other, &v->a, "", "", false, 0), "");
	kv_abort(other);
	kv_pump(v->kv);
	assert_int_equal(r.st, ST_OK);
	other = begin(v->kv, 2);
	assert_string_equal(get(v->kv, other, &v->a, "a"), "1");
	kv_abort(other);
}

static void the_newest_of_several_locks_wins(void **state)
{
	struct env *v = *state;
	struct result r[3] = { RESULT, RESULT, RESULT };
	struct kv_txn *t;
	struct err e;
	const uint32_t both[] = { 1, 2 };
	t = begin(v->kv, 2);
	put(t, "x", "under 2");
	kv_commit(t, &r[0].d);
	assert_int_equal(kv_begin(v->kv, both, 2, NULL, &t, &e), ST_OK);
	assert_string_equal(get(v->kv, t, &v->a, "x"), "under 2");
	put(t, "x", "under both");
	kv_commit(t, &r[1].d);
	t = begin(v->kv, 1);
	assert_string_equal(get(v->kv, t, &v->a, "x"), "under both");
	put(t, "x", "under 1");
	kv_commit(t, &r[2].d);
	assert_int_equal(kv_begin(v->kv, both, 2, NULL, &t, &e), ST_OK);
	assert_string_equal(get(v->kv, t, &v->a, "x"), "under 1");
	assert_string_equal(list(v->kv, t, &v->a, "", "", false, 0), "x=under 1");
	kv_abort(t);
	kv_pump(v->kv);
	assert_int_equal(r[2].st, ST_OK);
	assert_string_equal(get(v->kv, NULL, &v->a, "x"), "under 1");
	/* One batch, one key: written once. */
	struct kv_stat s;
	kv_stat(v->kv, &s);
	assert_int_equal(s.rows_put, 1);
	assert_int_equal(s.batches, 1);
	assert_int_equal(s.txns, 3);
}

struct rewriter {
	struct kv_txn *t;
	struct listing l;
};
static bool rewrite_row(void *ctx, slice key, slice value)
{
	struct rewriter *w = ctx;
	struct arena *a = kv_txn_arena(w->t);
	kv_put(w->t, key, arena_fmt(a, "%.*s!", FMT(value)));
	kv_put(w->t, arena_fmt(a, "%.*s-new", FMT(key)), SL("n"));
	kv_put(w->t, SL("c"), SL("changed while the scan is before it"));
	return list_row(&w->l, key, value);
}

static void a_scan_does_not_see_what_its_own_rows_write(void **state)
{
	struct env *v = *state;
	struct kv_range r = { SL(""), SL(""), false };
	struct kv_txn *t = begin(v->kv, 1);
	put(t, "a", "1");
	put(t, "b", "2");
	commit_ok(t);
	for (int reverse = 0; reverse < 2; reverse++) {
		struct err e;
		t = begin(v->kv, 1);
		put(t, "b", "own");
		put(t, "c", "own");
		struct rewriter w = { .t = t };
		buf_init(&w.l.b, 4096);
		r.reverse = reverse;
		assert_int_equal(kv_scan(v->kv, t, &r, rewrite_row, &w, &e), ST_OK);
		assert_string_equal(arena_cstr(&v->a, buf_slice(&w.l.b)),
				    reverse ? "c=own b=own a=1" : "a=1 b=own c=own");
		buf_done(&w.l.b);
		assert_string_equal(get(v->kv, t, &v->a, "b"), "own!");
		assert_string_equal(list(v->kv, t, &v->a, "a", "b", false, 0),
				    "a=1! a-new=n");
		kv_abort(t);
	}
}

static void an_abort_leaves_nothing(void **state)
{
	struct env *v = *state;
	struct kv_txn *t = begin(v->kv, 1);
	put(t, "a", "1");
	kv_abort(t);
	t = begin(v->kv, 1);
	assert_null(get(v->kv, t, &v->a, "a"));
	assert_int_equal(kv_lock_epoch(v->kv, 1), 0);
	kv_abort(t);
}

static void rows_beyond_the_limits_fail_at_commit(void **state)
{
	struct env *v = *state;
	char *big = mem_new(LIMIT_VALUE + 1);
	struct err e = { 0 };
	struct kv_txn *t = begin(v->kv, 1);
	put(t, "a", "1");
	kv_put(t, SL("b"), slice_make(big, LIMIT_VALUE + 1));
	put(t, "c", "1");
	assert_int_equal(kv_commit_wait(t, &e), ST_LIMIT);
	assert_int_equal(e.code, ERR_LIMIT);
	assert_null(get(v->kv, NULL, &v->a, "a"));
	assert_int_not_equal(kv_lock_epoch(v->kv, 1), 0);
	t = begin(v->kv, 1);
	kv_put(t, slice_make(big, LIMIT_KEY + 1), SL("1"));
	assert_int_equal(kv_commit_wait(t, &e), ST_LIMIT);
	t = begin(v->kv, 1);
	kv_put(t, SL(""), SL("1"));
	assert_int_equal(kv_commit_wait(t, &e), ST_LIMIT);
	t = begin(v->kv, 1);
	kv_put(t, slice_make(big, LIMIT_KEY), slice_make(big, LIMIT_VALUE));
	commit_ok(t);
	t = begin(v->kv, 1);
	for (int i = 0; i < 800; i++)
		kv_put(t, arena_fmt(kv_txn_arena(t), "%d", i),
		       slice_make(big, LIMIT_VALUE));
	assert_int_equal(kv_commit_wait(t, &e), ST_LIMIT);
	assert_null(get(v->kv, NULL, &v->a, "1"));
	mem_free(big);
}

static void many_pending_transactions_are_merged(void **state)
{
	struct env *v = *state;
	struct result r[40] = { 0 };
	struct kv_txn *t;
	for (int i = 0; i < 40; i++) {
		r[i].d.fn = result_fn;
		t = begin(v->kv, 7);
		for (int k = 0; k < 5; k++) {
			slice key = arena_fmt(&v->a, "k%02d", (i * 7 + k * 11) % 60);
			if ((i + k) % 6 == 0)
				kv_del(t, key);
			else
				kv_put(t, key, arena_fmt(&v->a, "%d", i));
		}
		kv_commit(t, &r[i].d);
	}
	t = begin(v->kv, 7);
	const char *up = list(v->kv, t, &v->a, "", "", false, 0);
	const char *down = list(v->kv, t, &v->a, "", "", true, 0);
	kv_abort(t);
	kv_pump(v->kv);
	assert_string_equal(up, list(v->kv, NULL, &v->a, "", "", false, 0));
	assert_string_equal(down, list(v->kv, NULL, &v->a, "", "", true, 0));
	assert_int_not_equal(strlen(up), 0);
	for (int i = 0; i < 40; i++)
		assert_int_equal(r[i].calls, 1);
}

static void inline_mode_calls_back_before_it_returns(void **state)
{
	(void)state;
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_INLINE, NULL);
	struct result r = RESULT;
	struct kv_txn *t = begin(kv, 1);
	put(t, "a", "1");
	kv_commit(t, &r.d);
	assert_int_equal(r.calls, 1);
	assert_int_equal(r.st, ST_OK);
	kv_close(kv);
}

static void a_closed_store_is_there_when_opened_again(void **state)
{
	struct env *v = *state;
	struct result r = RESULT;
	struct kv_txn *t = begin(v->kv, 1);
	put(t, "a", "1");
	kv_commit(t, &r.d);
	kv_close(v->kv); /* finishes what is queued */
	assert_int_equal(r.st, ST_OK);
	v->kv = open_kv(v->engine, KV_COMMIT_THREAD, v->dir);
	assert_string_equal(get(v->kv, NULL, &v->a, "a"), "1");
	t = begin(v->kv, 1);
	put(t, "b", "2");
	commit_ok(t);
	assert_string_equal(list(v->kv, NULL, &v->a, "", "", true, 0), "b=2 a=1");
}

/* Opening it fails with this sentence, and FORMAT is what it was. */
static void refused(const struct kv_options *o, const char *path, slice text,
		    const char *says)
{
	struct kv *kv;
	struct err e;
	AUTO_BUF b = { 0 };
	buf_init(&b, 300);
	assert_int_equal(io_write_file(path, text, 0600, &e), ST_OK);
	assert_int_equal(kv_open(o, &kv, &e), ST_INVALID);
	assert_int_equal(e.code, ERR_CANNOT);
	if (!strstr(e.text, says))
		fail_msg("\"%s\" does not say \"%s\"", e.text, says);
	assert_int_equal(io_read_file(path, 300, &b, &e), ST_OK);
	assert_true(slice_eq(buf_slice(&b), text));
}

static void foreign_directories_are_left_alone(void **state)
{
	struct env *v = *state;
	struct kv_options o = { .engine = KV_ROCKSDB,
				.mode = KV_COMMIT_MANUAL,
				.dir = v->dir };
	struct kv *kv;
	struct err e;
	char path[128], meta[128], away[128];
	AUTO_BUF good = { 0 };
	assert_int_equal(kv_open(&o, &kv, &e), ST_DENIED);
	assert_int_equal(e.code, ERR_BUSY);
	assert_non_null(strstr(e.text, "another facteur"));
	kv_close(v->kv);
	snprintf(path, sizeof(path), "%s/FORMAT", v->dir);
	snprintf(meta, sizeof(meta), "%s/meta", v->dir);
	snprintf(away, sizeof(away), "%s/away", v->dir);
	buf_init(&good, 300);
	assert_int_equal(io_read_file(path, 300, &good, &e), ST_OK);
	refused(&o, path, SL("facteur store 3\nlife 00\n"), "newer Facteur");
	refused(&o, path, SL("facteur store 99999999999\n"), "cut short");
	refused(&o, path, SL("something else\n"), "not a store of Facteur");
	for (size_t n = 0; n < good.n; n++) /* cut short anywhere */
		refused(&o, path, slice_make(good.p, n),
			n < 14 ? "not a store of Facteur" : "cut short");
	/* Half of it is gone. */
	assert_int_equal(rename(meta, away), 0);
	refused(&o, path, buf_slice(&good), "meta/CURRENT is missing");
	assert_int_equal(access(meta, F_OK), -1);
	unlink(path);
	assert_int_equal(kv_open(&o, &kv, &e), ST_INVALID); /* bodies, no FORMAT */
	assert_int_equal(rename(away, meta), 0);
	assert_int_equal(kv_open(&o, &kv, &e), ST_INVALID);
	assert_int_equal(io_write_file(path, buf_slice(&good), 0600, &e), ST_OK);
	assert_int_equal(kv_open(&o, &kv, &e), ST_OK);
	kv_close(kv);
	remove_tree(v->dir);
	o.read_only_probe = true;
	assert_int_equal(kv_open(&o, &kv, &e), ST_NOT_FOUND);
	assert_int_equal(access(v->dir, F_OK), -1);
	o.read_only_probe = false;
	assert_int_equal(kv_open(&o, &v->kv, &e), ST_OK);
}

#define BOTH(f)                                                     \
	cmocka_unit_test_setup_teardown(f, setup_memory, teardown), \
	{                                                           \
#f " (rocksdb)", f, setup_rocks, teardown, NULL     \
	}
int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(what_is_committed_is_read),
		BOTH(a_transaction_sees_itself_then_the_overlay_then_the_engine),
		BOTH(another_lock_does_not_see_what_is_queued),
		BOTH(the_newest_of_several_locks_wins),
		BOTH(a_scan_does_not_see_what_its_own_rows_write),
		BOTH(an_abort_leaves_nothing),
		BOTH(rows_beyond_the_limits_fail_at_commit),
		BOTH(many_pending_transactions_are_merged),
		cmocka_unit_test(inline_mode_calls_back_before_it_returns),
		cmocka_unit_test_setup_teardown(a_closed_store_is_there_when_opened_again,
						setup_rocks, teardown),
		cmocka_unit_test_setup_teardown(foreign_directories_are_left_alone,
						setup_rocks, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
