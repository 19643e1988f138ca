/* kv_check: each kind of fault is found, told once with the body it belongs to, and mended where that can be. */
#include "gc_test.h"
#include <fcntl.h>

enum { N = 20 };
struct faults {
	unsigned n, of[KV_FAULT_COUNT + 1];
	struct blob_id id;
	char text[256];
	uint64_t done, all;
};

static void on_fault(void *ctx, enum kv_fault what, const struct blob_id *id,
		     const char *text)
{
	struct faults *f = ctx;
	f->n++;
	f->of[what]++;
	if (id)
		f->id = *id;
	snprintf(f->text, sizeof(f->text), "%s", text);
}

static void on_progress(void *ctx, uint64_t done, uint64_t all)
{
	struct faults *f = ctx;
	assert_true(done >= f->done && done <= all);
	f->done = done;
	f->all = all;
}

static struct faults check(struct kv *kv, bool repair, bool bodies)
{
	struct faults f = { 0 };
	struct kv_check_options o = { repair, bodies, on_fault, on_progress, &f };
	struct err e = { 0 };
	if (kv_check(kv, &o, &e) != ST_OK)
		fail_msg("kv_check: %s", e.text);
	assert_int_equal(f.done, f.all);
	return f;
}

static void finds_nothing(struct kv *kv)
{
	struct faults f = check(kv, false, true);
	if (f.n)
		fail_msg("found: %s", f.text);
}

struct world {
	char dir[64];
	struct kv *kv;
	struct blob_id id[N];
};

static void reopen(struct world *w)
{
	kv_close(w->kv);
	w->kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, w->dir);
	w->kv->segs.max_bytes = w->kv->log.max_bytes = 1u << 20;
}

static int setup(void **state)
{
	struct world *w = mem_new(sizeof(*w));
	temp_dir(w->dir);
	w->kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, w->dir);
	w->kv->segs.max_bytes = w->kv->log.max_bytes = 1u << 20;
	for (unsigned i = 0; i < N; i++)
		deliver(w->kv, i, 1, i, &w->id[i]);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	kv_close(w->kv);
	remove_tree(w->dir);
	mem_free(w);
	return 0;
}

static void row_put(struct kv *kv, slice key, slice value)
{
	struct kv_txn *t = begin(kv, 1);
	kv_put(t, key, value);
	commit_ok(t);
}

static void row_del(struct kv *kv, slice key)
{
	struct kv_txn *t = begin(kv, 1);
	kv_del(t, key);
	commit_ok(t);
}

static struct kv_extent place_of(struct kv *kv, const struct blob_id *id)
{
	unsigned char key[33];
	AUTO_ARENA a = { 0 };
	struct kv_blob_row row;
	const struct kv_extent *x;
	slice v;
	struct err e;
	assert_int_equal(kv->en->ops->get(kv->en, kv_blob_key(key, id), &a, &v, &e),
			 ST_OK);
	assert_int_equal(kv_extents_read(v, id, &a, &row, &x), ST_OK);
	return x[0];
}

static void flip_at(struct world *w, uint32_t seg, uint64_t at)
{
	char path[128], c;
	int fd;
	struct err e;
	snprintf(path, sizeof(path), "%s/bodies/%08x.seg", w->dir, seg);
	assert_int_equal(io_open(path, O_RDWR, 0, &fd, &e), ST_OK);
	assert_int_equal(io_pread(fd, &c, 1, at, &e), ST_OK);
	c ^= 1;
	assert_int_equal(io_pwrite(fd, slice_make(&c, 1), at, &e), ST_OK);
	close(fd);
}

static void a_sound_store_has_no_fault(void **state)
{
	struct world *w = *state;
	finds_nothing(w->kv);
	for (unsigned i = 0; i < N; i += 2)
		expunge(w->kv, &w->id[i], 1, i);
	finds_nothing(w->kv); /* candidates are none */
	collect(w->kv);
	finds_nothing(w->kv);
	reopen(w);
	finds_nothing(w->kv);
}

static void a_damaged_body_is_named_and_heals(void **state)
{
	struct world *w = *state;
	struct kv_extent x = place_of(w->kv, &w->id[4]);
	flip_at(w, x.seg, x.off + KV_REC_HEADER + 9);
	assert_int_equal(check(w->kv, false, false).n, 0); /* rows alone */
	struct faults f = check(w->kv, true, true);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.of[KV_FAULT_BODY], 1);
	assert_memory_equal(f.id.h, w->id[4].h, 32);
	for (unsigned i = 0; i < N; i++)
		if (i != 4)
			body_check(w->kv, &w->id[i], i);
	deliver(w->kv, 4, 2, 1, &w->id[4]);
	body_check(w->kv, &w->id[4], 4);
	finds_nothing(w->kv);
}

static void a_damaged_header_is_found(void **state)
{
	struct world *w = *state;
	struct kv_extent x = place_of(w->kv, &w->id[7]); /* several chunks, bulk */
	flip_at(w, x.seg, x.off + 13);
	struct faults f = check(w->kv, false, true);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.of[KV_FAULT_BODY], 1);
	assert_memory_equal(f.id.h, w->id[7].h, 32);
}

static void a_missing_segment_is_found_by_the_rows(void **state)
{
	struct world *w = *state;
	struct kv_extent x = place_of(w->kv, &w->id[7]);
	char path[128];
	struct err e;
	/* Bodies in it, by what the rows say. */
	unsigned in = 0;
	for (unsigned i = 0; i < N; i++)
		in += place_of(w->kv, &w->id[i]).seg == x.seg;
	reopen(w);
	snprintf(path, sizeof(path), "%s/bodies/%08x.seg", w->dir, x.seg);
	assert_int_equal(io_unlink(path, &e), ST_OK);
	struct faults f = check(w->kv, false, false);
	assert_true(f.of[KV_FAULT_BODY] >= in);
	assert_int_equal(f.n, f.of[KV_FAULT_BODY]);
}

static void a_damaged_row_of_a_body_heals(void **state)
{
	struct world *w = *state;
	unsigned char key[33];
	row_put(w->kv, kv_blob_key(key, &w->id[3]), SL("\1nonsense"));
	reopen(w);
	struct faults f = check(w->kv, true, true);
	assert_true(f.of[KV_FAULT_EXTENTS] >= 1);
	assert_memory_equal(f.id.h, w->id[3].h, 32);
	deliver(w->kv, 3, 1, 30, &w->id[3]);
	body_check(w->kv, &w->id[3], 3);
	finds_nothing(w->kv);
}

static void rows_of_places_are_mended(void **state)
{
	struct world *w = *state;
	unsigned char key[13];
	struct kv_extent x = place_of(w->kv, &w->id[7]);
	row_del(w->kv, kv_place_key(key, x.seg, x.off));
	row_put(w->kv, kv_place_key(key, x.seg, x.off + 1), slice_make(w->id[7].h, 32));
	row_put(w->kv, SL("b short"), SL("x"));
	struct faults f = check(w->kv, true, false);
	assert_int_equal(f.n, 3);
	assert_int_equal(f.of[KV_FAULT_EXTENTS], 3);
	finds_nothing(w->kv);
	row_put(w->kv, SL("B short"), SL("x"));
	assert_int_equal(check(w->kv, true, false).of[KV_FAULT_EXTENTS], 1);
	finds_nothing(w->kv);
}

static void an_orphan_goes_with_the_next_collection(void **state)
{
	struct world *w = *state;
	unsigned char key[45];
	row_del(w->kv, ref_key(key, &w->id[5], 1, 5)); /* and nobody was told */
	collect(w->kv);
	assert_true(body_is_there(w->kv, &w->id[5]));
	struct faults f = check(w->kv, true, false);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.of[KV_FAULT_ORPHAN], 1);
	assert_memory_equal(f.id.h, w->id[5].h, 32);
	finds_nothing(w->kv);
	assert_int_equal(collect(w->kv).blobs_dropped, 1);
	finds_nothing(w->kv);
}

static void references_without_a_body_are_told_once(void **state)
{
	struct world *w = *state;
	unsigned char key[45];
	struct blob_id none;
	/* Before the first body, between, behind the last. */
	for (unsigned i = 0; i < 3; i++) {
		memset(none.h, i == 0 ? 0 : i == 1 ? 0x80 : 0xff, 32);
		row_put(w->kv, ref_key(key, &none, 1, 1), SL(""));
		row_put(w->kv, ref_key(key, &none, 2, 1), SL(""));
	}
	struct faults f = check(w->kv, true, true);
	assert_int_equal(f.n, 3);
	assert_int_equal(f.of[KV_FAULT_NO_BODY], 3);
}

static void counts_are_mended(void **state)
{
	struct world *w = *state;
	for (unsigned i = 0; i < N; i += 5)
		expunge(w->kv, &w->id[i], 1, i);
	collect(w->kv);
	reopen(w);
	AUTO_ARENA a = { 0 };
	struct kv_seg_info *segs;
	size_t n, counted = 0;
	struct err e;
	assert_int_equal(kv_segs_list(w->kv, &segs, &n, &e), ST_OK);
	for (size_t i = 0; i < n; i++) {
		struct kv_gc_count c = kv_gc_count_of(w->kv, segs[i].no);
		unsigned char key[5];
		slice row;
		if (!c.known)
			continue;
		counted++;
		assert_int_equal(w->kv->en->ops->get(w->kv->en,
						     kv_count_key(key, segs[i].no), &a,
						     &row, &e),
				 ST_OK);
		char *copy = arena_cstr(&a, row);
		copy[row.n - 1] ^= 1;
		row_put(w->kv, slice_make(key, 5), slice_make(copy, row.n));
	}
	mem_free(segs);
	assert_true(counted > 0);
	reopen(w);
	assert_int_equal(check(w->kv, false, false).of[KV_FAULT_COUNT], counted);
	assert_int_equal(check(w->kv, true, false).of[KV_FAULT_COUNT], counted);
	finds_nothing(w->kv);
	reopen(w);
	finds_nothing(w->kv);
}

/* The nth batch of the log, damaged in its rows or its header. */
static void damaged_batch(struct world *w, unsigned nth, bool header)
{
	struct kv_log_reader r;
	struct kv_seg *seg;
	struct err e;
	uint32_t no = w->kv->log.at.segment;
	assert_int_equal(kv_seg_get(&w->kv->segs, no, &seg, &e), ST_OK);
	kv_log_reader_init(&r, &w->kv->log.key, seg->fd, no, 0, w->kv->log.at.end);
	for (unsigned i = 0; i <= nth; i++)
		assert_int_equal(kv_log_next(&r, &e), ST_OK);
	uint64_t at = header ? r.off + 30 : r.off + KV_LOG_HEADER + r.head.bodies + 5;
	kv_log_reader_done(&r);
	kv_seg_put(&w->kv->segs, seg);
	flip_at(w, no, at);
	struct faults f = check(w->kv, false, true);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.of[KV_FAULT_LOG], 1);
	for (unsigned i = 0; i < N; i++)
		body_check(w->kv, &w->id[i], i);
	/* What the batch brought can no longer be found by walking: its segment stays, and so do its bodies. */
	for (unsigned i = 4; i < N; i++)
		expunge(w->kv, &w->id[i], 1, i);
	for (int i = 0; i < 2; i++) {
		collect(w->kv);
		for (unsigned k = 0; k < 4; k++)
			body_check(w->kv, &w->id[k], k);
		reopen(w);
	}
}

static void damage_in_a_batch_is_found_and_frees_nothing_alive(void **state)
{
	damaged_batch(*state, 1, false);
}

static void also_in_its_header(void **state)
{
	damaged_batch(*state, 1, true);
}

static void also_in_the_first_of_a_segment(void **state)
{
	damaged_batch(*state, 0, false);
}

static void also_in_the_header_of_the_first(void **state)
{
	damaged_batch(*state, 0, true);
}

static void many_pieces_are_walked(void **state)
{
	(void)state;
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_INLINE, NULL);
	struct blob_id id, first = { 0 };
	for (unsigned i = 0; i < 700; i++) {
		struct kv_upload *u = kv_upload_new(kv);
		struct err e;
		uint64_t size;
		assert_int_equal(kv_upload_write(u, slice_make(&i, sizeof(i)), &e),
				 ST_OK);
		assert_int_equal(kv_upload_end(u, &id, &size, &e), ST_OK);
		struct kv_txn *t = begin(kv, 1);
		kv_txn_blob(t, u);
		if (i == 500)
			first = id;
		else
			refer(t, &id, 1, i);
		commit_ok(t);
	}
	struct faults f = check(kv, false, true);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.of[KV_FAULT_ORPHAN], 1);
	assert_memory_equal(f.id.h, first.h, 32);
	kv_close(kv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_sound_store_has_no_fault, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_damaged_body_is_named_and_heals, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_damaged_header_is_found, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_missing_segment_is_found_by_the_rows,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_row_of_a_body_heals, setup,
						teardown),
		cmocka_unit_test_setup_teardown(rows_of_places_are_mended, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_orphan_goes_with_the_next_collection,
						setup, teardown),
		cmocka_unit_test_setup_teardown(references_without_a_body_are_told_once,
						setup, teardown),
		cmocka_unit_test_setup_teardown(counts_are_mended, setup, teardown),
		cmocka_unit_test_setup_teardown(
			damage_in_a_batch_is_found_and_frees_nothing_alive, setup,
			teardown),
		cmocka_unit_test_setup_teardown(also_in_its_header, setup, teardown),
		cmocka_unit_test_setup_teardown(also_in_the_first_of_a_segment, setup,
						teardown),
		cmocka_unit_test_setup_teardown(also_in_the_header_of_the_first, setup,
						teardown),
		cmocka_unit_test(many_pieces_are_walked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
