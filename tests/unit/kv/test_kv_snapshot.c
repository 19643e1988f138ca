/* Snapshots: the state between two batches, pinned until it is given back, a store of its own when copied; and stores
 * opened read only, which are not written to. */
#include "gc_test.h"

enum { N = 24 };
struct world {
	char dir[64], rows[96], copy[96];
	struct kv *kv;
	struct blob_id id[N];
};

static int setup(void **state)
{
	struct world *w = mem_new(sizeof(*w));
	temp_dir(w->dir);
	snprintf(w->rows, sizeof(w->rows), "%s-rows", w->dir);
	snprintf(w->copy, sizeof(w->copy), "%s-copy", w->dir);
	w->kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, w->dir);
	w->kv->segs.max_bytes = w->kv->log.max_bytes = 1u << 20;
	for (unsigned i = 0; i < N / 2; i++)
		deliver(w->kv, i, 1, i, &w->id[i]);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	kv_close(w->kv);
	remove_tree(w->dir);
	remove_tree(w->rows);
	remove_tree(w->copy);
	mem_free(w);
	return 0;
}

static struct kv_snapshot *snapshot(struct world *w)
{
	struct kv_snapshot *s = NULL;
	struct err e = { 0 };
	if (kv_snapshot_new(w->kv, w->rows, &s, &e) != ST_OK)
		fail_msg("kv_snapshot_new: %s", e.text);
	return s;
}

static void no_fault(void *ctx, enum kv_fault what, const struct blob_id *id,
		     const char *text)
{
	(void)ctx;
	(void)what;
	(void)id;
	fail_msg("%s", text);
}

static void is_sound(struct kv *kv)
{
	struct kv_check_options o = { .bodies = true, .found = no_fault };
	struct err e = { 0 };
	if (kv_check(kv, &o, &e) != ST_OK)
		fail_msg("kv_check: %s", e.text);
}

static void a_snapshot_keeps_its_moment(void **state)
{
	struct world *w = *state;
	struct kv_snapshot *s = snapshot(w);
	for (unsigned i = 0; i < N / 2; i++)
		expunge(w->kv, &w->id[i], 1, i);
	for (unsigned i = N / 2; i < N; i++)
		deliver(w->kv, i, 1, i, &w->id[i]);
	for (int i = 0; i < 3; i++)
		collect(w->kv);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(body_is_there(w->kv, &w->id[i]), i >= N / 2);
	snapshot_copy(s, w->dir, w->rows, w->copy);
	kv_snapshot_free(s);
	struct kv *kv = open_read_only(w->copy);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(body_is_there(kv, &w->id[i]), i < N / 2);
		if (i < N / 2)
			body_check(kv, &w->id[i], i);
	}
	is_sound(kv);
	kv_close(kv);
	/* It can go on as a store, too. */
	kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, w->copy);
	deliver(kv, N, 1, N, &w->id[0]);
	body_check(kv, &w->id[0], N);
	collect(kv);
	is_sound(kv);
	kv_close(kv);
}

static size_t files_there(struct world *w, const struct kv_snapshot_file *f, size_t n)
{
	AUTO_ARENA a = { 0 };
	size_t there = 0;
	for (size_t i = 0; i < n; i++)
		there +=
			access(arena_fmt(&a, "%s/bodies/%08x.seg", w->dir, f[i].segment).p,
			       F_OK) == 0;
	return there;
}

static void what_a_snapshot_pins_goes_when_it_is_given_back(void **state)
{
	struct world *w = *state;
	const struct kv_snapshot_file *f;
	struct kv_snapshot_file list[64];
	struct kv_snapshot *first = snapshot(w);
	remove_tree(w->rows);
	struct kv_snapshot *second = snapshot(w);
	size_t n = kv_snapshot_files(first, &f);
	assert_true(n > 1 && n <= 64);
	memcpy(list, f, n * sizeof(*f));
	for (unsigned i = 0; i < N / 2; i++)
		expunge(w->kv, &w->id[i], 1, i);
	assert_int_equal(collect(w->kv).blobs_dropped, N / 2);
	assert_int_equal(files_there(w, list, n), n);
	kv_snapshot_free(first);
	collect(w->kv);
	assert_int_equal(files_there(w, list, n), n);
	kv_snapshot_free(second);
	collect(w->kv);
	assert_int_equal(files_there(w, list, n), 0);
	kv_snapshot_free(NULL);
}

static void a_snapshot_that_fails_pins_nothing(void **state)
{
	struct world *w = *state;
	struct kv_snapshot *s = NULL;
	struct err e;
	mkdir(w->rows, 0700); /* must not exist */
	assert_int_not_equal(kv_snapshot_new(w->kv, w->rows, &s, &e), ST_OK);
	assert_null(s);
	assert_null(w->kv->snapshots);
	deliver(w->kv, 1, 2, 1, &w->id[1]); /* everything goes on */
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_INLINE, NULL);
	assert_int_equal(kv_snapshot_new(kv, w->copy, &s, &e), ST_INVALID);
	assert_int_equal(e.code, ERR_CANNOT);
	kv_close(kv);
}

/* Names, lengths and times of the files that are ours or the engine's data (not its diary). */
static void list_files(const char *path, struct buf *out)
{
	DIR *d = opendir(path);
	struct dirent *names[256];
	size_t n = 0;
	AUTO_ARENA a = { 0 };
	assert_non_null(d);
	for (struct dirent *de; (de = readdir(d)) && n < 256;)
		if (de->d_name[0] != '.' &&
		    !slice_starts(slice_str(de->d_name), SL("LOG")))
			names[n++] = (struct dirent *)arena_dup(
					     &a, slice_make(de, sizeof(*de)))
					     .p;
	closedir(d);
	for (size_t i = 0; i < n; i++) /* in the order of their names */
		for (size_t k = i + 1; k < n; k++)
			if (strcmp(names[i]->d_name, names[k]->d_name) > 0) {
				struct dirent *x = names[i];
				names[i] = names[k];
				names[k] = x;
			}
	for (size_t i = 0; i < n; i++) {
		slice p = arena_fmt(&a, "%s/%s", path, names[i]->d_name);
		struct stat s;
		assert_int_equal(stat(p.p, &s), 0);
		if (S_ISDIR(s.st_mode)) {
			list_files(p.p, out);
			continue;
		}
		buf_addf(out, "%s %lld %lld.%ld\n", p.p, (long long)s.st_size,
			 (long long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
	}
}

static void read_only_is_not_written_to(void **state)
{
	struct world *w = *state;
	struct kv_snapshot *s = snapshot(w);
	AUTO_BUF before = { 0 };
	AUTO_BUF after = { 0 };
	struct kv_txn *t;
	struct kv_collected c;
	struct kv_options o = { .engine = KV_ROCKSDB,
				.mode = KV_COMMIT_THREAD, /* whatever it says */
				.read_only = true };
	uint32_t id = 1;
	struct kv *kv;
	struct err e;
	snapshot_copy(s, w->dir, w->rows, w->copy);
	kv_snapshot_free(s);
	buf_init(&before, 1u << 20);
	buf_init(&after, 1u << 20);
	list_files(w->copy, &before);
	o.dir = w->copy;
	assert_int_equal(kv_open(&o, &kv, &e), ST_OK);
	assert_int_equal(kv_begin(kv, &id, 1, NULL, &t, &e), ST_DENIED);
	assert_int_equal(kv_collect(kv, &c, &e), ST_DENIED);
	is_sound(kv);
	for (unsigned i = 0; i < N / 2; i++)
		body_check(kv, &w->id[i], i);
	kv_close(kv);
	list_files(w->copy, &after);
	AUTO_ARENA a = { 0 };
	assert_string_equal(arena_cstr(&a, buf_slice(&before)),
			    arena_cstr(&a, buf_slice(&after)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_snapshot_keeps_its_moment, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			what_a_snapshot_pins_goes_when_it_is_given_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_snapshot_that_fails_pins_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(read_only_is_not_written_to, setup,
						teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
