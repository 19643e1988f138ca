/* Failures: a batch that fails, a sync that fails, a full disk, a crash at any moment. */
#include "kv_test.h"
#include <errno.h>

static struct kv_txn *begin_many(struct kv *kv, const uint32_t *ids, size_t n)
{
	struct kv_txn *t;
	struct err e;
	assert_int_equal(kv_begin(kv, ids, n, NULL, &t, &e), ST_OK);
	return t;
}

/* The first batch fails while others are queued behind it: the chain of locks decides who falls with it. */
static void who_is_queued_behind_a_failure_fails_too(void **state)
{
	(void)state;
	AUTO_ARENA a = { 0 };
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_MANUAL, NULL);
	struct result r[5] = { RESULT, RESULT, RESULT, RESULT, RESULT };
	static char big[LIMIT_VALUE];
	const uint32_t l12[] = { 1, 2 };
	struct kv_txn *t = begin(kv, 1);
	/* Fills a batch by itself, so that the others are queued behind it and not in it. */
	for (int i = 0; i < 370; i++)
		kv_put(t, arena_fmt(kv_txn_arena(t), "big%d", i),
		       slice_make(big, sizeof(big)));
	put(t, "counter", "1");
	kv_commit(t, &r[0].d);
	t = begin_many(kv, l12, 2);
	assert_string_equal(get(kv, t, &a, "counter"), "1");
	put(t, "both", "1");
	kv_commit(t, &r[1].d);
	t = begin(kv, 2); /* behind the one behind */
	put(t, "two", "1");
	kv_commit(t, &r[2].d);
	t = begin(kv, 3);
	put(t, "three", "1");
	kv_commit(t, &r[3].d);
	struct kv_txn *open = begin(kv, 1), *other = begin(kv, 4);
	assert_string_equal(get(kv, open, &a, "both"), "1");
	kv_memory_fail(kv->en, 1, ERR_IO);
	kv_pump(kv);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(r[i].calls, 1);
		assert_int_equal(r[i].st, ST_IO);
		assert_int_equal(r[i].why.code, ERR_IO);
	}
	assert_int_equal(r[3].calls, 0);
	assert_int_not_equal(kv_lock_epoch(kv, 1), 0);
	assert_int_not_equal(kv_lock_epoch(kv, 2), 0);
	assert_int_equal(kv_lock_epoch(kv, 3), 0);
	/* One that was being built on what is gone fails at its commit, an unrelated one does not. */
	put(open, "open", "1");
	kv_commit(open, &r[4].d);
	put(other, "other", "1");
	commit_ok(other);
	assert_int_equal(r[4].calls, 1);
	assert_int_equal(r[4].why.code, ERR_BUSY);
	assert_int_equal(r[3].st, ST_OK);
	assert_string_equal(list(kv, NULL, &a, "", "", false, 0), "other=1 three=1");
	/* The overlay is gone; work goes on. */
	t = begin_many(kv, l12, 2);
	assert_null(get(kv, t, &a, "counter"));
	assert_null(get(kv, t, &a, "both"));
	put(t, "counter", "again");
	commit_ok(t);
	assert_string_equal(get(kv, NULL, &a, "counter"), "again");
	kv_close(kv);
}

/* A transaction that fails by itself does not take those before it with it. */
static void one_too_large_fails_alone(void **state)
{
	(void)state;
	AUTO_ARENA a = { 0 };
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_MANUAL, NULL);
	struct result r[4] = { RESULT, RESULT, RESULT, RESULT };
	struct kv_txn *t = begin(kv, 1);
	put(t, "a", "1");
	kv_commit(t, &r[0].d);
	t = begin(kv, 1);
	kv_put(t, SL(""), SL("no key"));
	put(t, "a", "2");
	kv_commit(t, &r[1].d);
	t = begin(kv, 1);
	assert_string_equal(get(kv, t, &a, "a"), "1");
	put(t, "b", "1");
	kv_commit(t, &r[2].d);
	/* And an unrelated failing batch later does not find them guilty. */
	kv_pump(kv);
	assert_int_equal(r[0].st, ST_OK);
	assert_int_equal(r[1].st, ST_LIMIT);
	assert_int_equal(r[2].st, ST_OK);
	assert_string_equal(list(kv, NULL, &a, "", "", false, 0), "a=1 b=1");
	kv_close(kv);
}

static void a_failed_sync_stops_the_store_but_not_its_reads(void **state)
{
	(void)state;
	AUTO_ARENA a = { 0 };
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_THREAD, NULL);
	struct kv_txn *t = begin(kv, 1), *open;
	struct err e;
	put(t, "a", "1");
	commit_ok(t);
	open = begin(kv, 9);
	put(open, "z", "1");
	t = begin(kv, 1);
	put(t, "a", "2");
	kv_memory_fail(kv->en, 1, ERR_STOPPED);
	assert_int_equal(kv_commit_wait(t, &e), ST_IO);
	assert_int_equal(e.code, ERR_STOPPED);
	assert_int_equal(kv_commit_wait(open, &e), ST_IO);
	assert_int_equal(e.code, ERR_STOPPED);
	uint32_t id = 1;
	assert_int_equal(kv_begin(kv, &id, 1, NULL, &t, &e), ST_IO);
	assert_string_equal(list(kv, NULL, &a, "", "", false, 0), "a=1");
	kv_close(kv);
}

/* The nth call of one kind fails with a given errno. */
struct fault {
	enum io_op op;
	int nth, number;
};
static int fault_fn(void *ctx, enum io_op op)
{
	struct fault *f = ctx;
	return op == f->op && --f->nth == 0 ? f->number : 0;
}

static struct kv_upload *body(struct kv *kv, size_t n, uint32_t seed, struct blob_id *out)
{
	struct kv_upload *u = kv_upload_new(kv);
	char *p = mem_new(n);
	struct err e;
	uint64_t size;
	for (size_t i = 0; i < n; i++)
		p[i] = (char)((seed = seed * 1664525u + 1013904223u) >> 24);
	assert_int_equal(kv_upload_write(u, slice_make(p, n), &e), ST_OK);
	assert_int_equal(kv_upload_end(u, out, &size, &e), ST_OK);
	mem_free(p);
	return u;
}

static void a_body_that_cannot_be_synced_stops_the_store(void **state)
{
	(void)state;
	for (size_t n = 1000; n <= 101000; n += 100000) { /* the log, the bulk segment */
		struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_MANUAL, NULL);
		struct fault f = { IO_SYNC, 1, EIO };
		struct kv_txn *t = begin(kv, 1);
		struct blob_id id;
		struct err e;
		uint64_t size;
		put(t, "a", "1");
		kv_txn_blob(t, body(kv, n, 1, &id));
		io_set_fault(fault_fn, &f);
		assert_int_equal(kv_commit_wait(t, &e), ST_IO);
		io_set_fault(NULL, NULL);
		assert_int_equal(e.code, ERR_STOPPED);
		uint32_t one = 1;
		assert_int_equal(kv_begin(kv, &one, 1, NULL, &t, &e), ST_IO);
		assert_int_equal(kv_blob_size(kv, &id, &size, &e), ST_NOT_FOUND);
		kv_close(kv);
	}
}

static void a_full_disk_refuses_and_recovers(void **state)
{
	(void)state;
	AUTO_ARENA a = { 0 };
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_MANUAL, NULL);
	struct fault f = { IO_WRITE, 1, ENOSPC };
	struct kv_txn *t = begin(kv, 1);
	struct blob_id id;
	struct err e;
	char got[1000];
	put(t, "a", "1");
	kv_txn_blob(t, body(kv, 1000, 1, &id));
	io_set_fault(fault_fn, &f);
	assert_int_equal(kv_commit_wait(t, &e), ST_FULL);
	io_set_fault(NULL, NULL);
	assert_int_equal(e.code, ERR_DISK_FULL);
	assert_null(get(kv, NULL, &a, "a"));
	/* An upload meets it before its transaction does. */
	struct kv_upload *u = kv_upload_new(kv);
	static char big[KV_CHUNK];
	random_bytes(big, sizeof(big));
	f = (struct fault){ IO_WRITE, 1, ENOSPC };
	io_set_fault(fault_fn, &f);
	assert_int_equal(kv_upload_write(u, slice_make(big, sizeof(big)), &e), ST_FULL);
	io_set_fault(NULL, NULL);
	assert_int_equal(e.code, ERR_DISK_FULL);
	assert_int_equal(kv_upload_write(u, SL("more"), &e), ST_FULL); /* sticky */
	kv_upload_free(u);
	t = begin(kv, 1);
	put(t, "a", "2");
	kv_txn_blob(t, body(kv, 1000, 1, &id));
	commit_ok(t);
	assert_string_equal(get(kv, NULL, &a, "a"), "2");
	assert_int_equal(kv_blob_read(kv, &id, 0, got, sizeof(got), &e), ST_OK);
	kv_close(kv);
}

static void a_body_without_a_descriptor_left_is_not_called_damaged(void **state)
{
	(void)state;
	char dir[64], got[1000];
	temp_dir(dir);
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
	struct fault f = { IO_OPEN, 1, EMFILE };
	struct kv_txn *t = begin(kv, 1);
	struct blob_id id;
	struct err e;
	kv_txn_blob(t, body(kv, 1000, 1, &id));
	commit_ok(t);
	kv->log.max_bytes =
		1; /* a segment that the log has left: it is opened to be read */
	t = begin(kv, 1);
	put(t, "next", "1");
	commit_ok(t);
	kv_close(kv);
	kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
	io_set_fault(fault_fn, &f);
	assert_int_equal(kv_blob_read(kv, &id, 0, got, sizeof(got), &e), ST_FULL);
	io_set_fault(NULL, NULL);
	assert_int_equal(kv_blob_read(kv, &id, 0, got, sizeof(got), &e), ST_OK);
	kv_close(kv);
	remove_tree(dir);
}

static void below_the_reserve_commits_are_refused_and_reads_go_on(void **state)
{
	(void)state;
	AUTO_ARENA a = { 0 };
	char dir[64];
	temp_dir(dir);
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
	struct kv_txn *t = begin(kv, 1);
	struct err e;
	put(t, "a", "1");
	commit_ok(t);
	kv_close(kv);
	struct kv_options o = { .dir = dir, .reserve_bytes = UINT64_MAX };
	assert_int_equal(kv_open(&o, &kv, &e), ST_OK);
	t = begin(kv, 1);
	put(t, "a", "2");
	assert_int_equal(kv_commit_wait(t, &e), ST_FULL);
	assert_int_equal(e.code, ERR_DISK_FULL);
	assert_string_equal(get(kv, NULL, &a, "a"), "1");
	t = begin(kv, 1); /* not stopped */
	assert_string_equal(get(kv, t, &a, "a"), "1");
	kv_abort(t);
	kv_close(kv);
	remove_tree(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_queued_behind_a_failure_fails_too),
		cmocka_unit_test(one_too_large_fails_alone),
		cmocka_unit_test(a_failed_sync_stops_the_store_but_not_its_reads),
		cmocka_unit_test(a_body_that_cannot_be_synced_stops_the_store),
		cmocka_unit_test(a_full_disk_refuses_and_recovers),
		cmocka_unit_test(a_body_without_a_descriptor_left_is_not_called_damaged),
		cmocka_unit_test(below_the_reserve_commits_are_refused_and_reads_go_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
