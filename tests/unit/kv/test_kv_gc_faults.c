/* Every call of io.h that a whole collection makes fails once, with EIO and with ENOSPC: nothing alive is lost, and the
 * next collection (after opening again, where the store had to stop) finishes the work. */
#include "gc_test.h"
#include <errno.h>

enum { N = 6 };

struct fault {
	int at, n, error;
};

static int fail_nth(void *ctx, enum io_op op)
{
	struct fault *f = ctx;
	(void)op;
	return ++f->n == f->at ? f->error : 0;
}

static bool is_kept(unsigned i)
{
	return i % 3 == 1;
}

static struct kv *open_small(const char *dir)
{
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, dir);
	kv->segs.max_bytes = kv->log.max_bytes = 400u << 10;
	return kv;
}

static void check_all(struct kv *kv, const struct blob_id *id)
{
	for (unsigned i = 0; i < N; i++)
		if (is_kept(i))
			body_check(kv, &id[i], i);
}

/* True when the collection came to its end without meeting the fault. */
static bool one_fault(const char *from, const char *dir, const struct blob_id *id, int at,
		      int error)
{
	struct fault f = { at, 0, error };
	struct kv_collected c;
	struct err e = { 0 };
	struct kv_stat s;
	copy_tree(from, dir);
	struct kv *kv = open_small(dir);
	io_set_fault(fail_nth, &f);
	enum status st = kv_collect(kv, &c, &e);
	io_set_fault(NULL, NULL);
	kv_stat(kv, &s);
	check_all(kv, id);
	if (st != ST_OK && s.stopped) {
		kv_close(kv);
		kv = open_small(dir);
		check_all(kv, id);
	}
	collect(kv);
	check_all(kv, id);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(body_is_there(kv, &id[i]), is_kept(i));
	kv_close(kv);
	remove_tree(dir);
	return f.n < at;
}

static void every_call_may_fail(void **state)
{
	(void)state;
	char from[64], dir[80];
	struct blob_id id[N];
	int calls[2];
	temp_dir(from);
	snprintf(dir, sizeof(dir), "%s-copy", from);
	struct kv *kv = open_small(from);
	for (unsigned i = 0; i < N; i++)
		deliver(kv, i, 1, i, &id[i]);
	for (unsigned i = 0; i < N; i++)
		if (!is_kept(i))
			expunge(kv, &id[i], 1, i);
	kv_close(kv);
	for (int k = 0; k < 2; k++) {
		calls[k] = 1;
		/* Each for EIO; a full disk now and then: a store copied and opened twice takes its time. */
		while (!one_fault(from, dir, id, calls[k], k ? ENOSPC : EIO))
			calls[k] += k ? 7 : 1;
	}
	assert_true(calls[0] > 10 && calls[1] > 10);
	remove_tree(from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_may_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
