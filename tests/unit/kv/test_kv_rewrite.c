/* A table with a damaged block is written anew without it: nothing else is lost, what was there is kept, and a fault
 * in the middle leaves a store that opens. */
#include "kv_test.h"
#include <errno.h>
#include <fcntl.h>

enum { ROWS = 4000 };

static slice key_of(char dst[32], int i)
{
	return slice_make(dst, (size_t)snprintf(dst, 32, "row %05d", i));
}

/* Rows that do not compress away, closed: they lie in one table. */
static void fill(const char *dir)
{
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, dir);
	struct kv_txn *t = begin(kv, 1);
	char key[32];
	unsigned char value[100];
	struct err e;

	for (int i = 0; i < ROWS; i++) {
		random_bytes(value, sizeof(value));
		kv_put(t, key_of(key, i), slice_make(value, sizeof(value)));
	}
	assert_int_equal(kv_commit_wait(t, &e), ST_OK);
	kv_close(kv);
}

/* One octet in the first third of the largest table: a block of rows, not the index. */
static void damage(const char *dir)
{
	AUTO_ARENA a = { 0 };
	AUTO_FD fd = -1;
	struct err e;
	const char *meta = arena_fmt(&a, "%s/meta", dir).p, *table = NULL;
	DIR *d = opendir(meta);
	uint64_t size = 0, n;
	unsigned char octet;

	assert_non_null(d);
	for (struct dirent *de; (de = readdir(d));) {
		AUTO_FD one = -1;
		if (!slice_ends(slice_str(de->d_name), SL(".sst")))
			continue;
		const char *path = arena_fmt(&a, "%s/%s", meta, de->d_name).p;
		assert_int_equal(io_open(path, O_RDONLY, 0, &one, &e), ST_OK);
		assert_int_equal(io_size(one, &n, &e), ST_OK);
		if (n > size) {
			size = n;
			table = path;
		}
	}
	closedir(d);
	assert_non_null(table);
	assert_int_equal(io_open(table, O_RDWR, 0, &fd, &e), ST_OK);
	assert_int_equal(io_pread(fd, &octet, 1, size / 3, &e), ST_OK);
	octet ^= 0x10;
	assert_int_equal(io_pwrite(fd, slice_make(&octet, 1), size / 3, &e), ST_OK);
}

static int count_rows(const char *dir)
{
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, dir);
	AUTO_ARENA a = { 0 };
	struct err e;
	slice v;
	char key[32];
	int n = 0;

	for (int i = 0; i < ROWS; i++)
		n += kv_get(kv, NULL, key_of(key, i), &a, &v, &e) == ST_OK;
	kv_close(kv);
	return n;
}

static void whole_tables_are_left_alone(void **state)
{
	AUTO_ARENA a = { 0 };
	char dir[64];
	uint64_t gaps = 7;
	struct err e;

	(void)state;
	temp_dir(dir);
	fill(dir);
	assert_int_equal(kv_rewrite(dir, &gaps, &e), ST_OK);
	assert_int_equal(gaps, 0);
	assert_int_not_equal(access(arena_fmt(&a, "%s/meta.damaged", dir).p, F_OK), 0);
	assert_int_equal(count_rows(dir), ROWS);
	remove_tree(dir);
}

static void rows_beside_a_damaged_block_are_kept(void **state)
{
	AUTO_ARENA a = { 0 };
	char dir[64];
	uint64_t gaps = 0;
	struct err e;

	(void)state;
	temp_dir(dir);
	fill(dir);
	damage(dir);
	assert_int_equal(kv_rewrite(dir, &gaps, &e), ST_OK);
	assert_int_equal(gaps, 1);
	assert_int_equal(access(arena_fmt(&a, "%s/meta.damaged", dir).p, F_OK), 0);
	int n = count_rows(dir);
	assert_true(n < ROWS && n > ROWS - 200); /* a block has some tens of them */
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, dir);
	struct kv_txn *t = begin(kv, 1);
	put(t, "after", "1");
	commit_ok(t);
	kv_close(kv);
	assert_int_equal(kv_rewrite(dir, &gaps, &e), ST_OK);
	assert_int_equal(gaps, 0);
	remove_tree(dir);
}

struct nth {
	int n, at;
};
static int nth_fails(void *ctx, enum io_op op)
{
	struct nth *f = ctx;

	(void)op;
	return ++f->at == f->n ? EIO : 0;
}

static void a_fault_in_between_leaves_a_store_that_opens(void **state)
{
	char dir[64], copy[72];
	int reached = 1, whole = 0;

	(void)state;
	temp_dir(dir);
	fill(dir);
	damage(dir);
	for (int n = 1; reached; n++) {
		struct nth f = { .n = n };
		uint64_t gaps = 0;
		struct err e;
		snprintf(copy, sizeof(copy), "%s-copy", dir);
		copy_tree(dir, copy);
		io_set_fault(nth_fails, &f);
		enum status st = kv_rewrite(copy, &gaps, &e);
		io_set_fault(NULL, NULL);
		reached = f.at >= n;
		assert_true(st == ST_OK || reached);
		whole += st == ST_OK;
		assert_true(count_rows(copy) > ROWS - 200);
		remove_tree(copy);
	}
	assert_true(whole > 0);
	remove_tree(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_tables_are_left_alone),
		cmocka_unit_test(rows_beside_a_damaged_block_are_kept),
		cmocka_unit_test(a_fault_in_between_leaves_a_store_that_opens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
