/* Garbage collection, case by case: what is dropped and what never, bodies that move under readers, zstd, damage
 * that heals, and space that comes back. */
#include "gc_test.h"
#include <fcntl.h>

enum { MANY = 64 };

static void what_nobody_references_is_dropped(struct kv *kv)
{
	struct blob_id a, b, c;
	deliver(kv, 1, 1, 1, &a);
	deliver(kv, 2, 1, 2, &b);
	deliver(kv, 5, 1, 3, &c); /* in the bulk segment */
	deliver(kv, 1, 2, 1, &a);
	expunge(kv, &a, 1, 1);
	expunge(kv, &c, 1, 3);
	struct kv_collected r = collect(kv);
	assert_int_equal(r.blobs_dropped, 1);
	assert_true(r.bytes_dropped > 1000);
	assert_true(body_is_there(kv, &a));
	assert_true(body_is_there(kv, &b));
	assert_false(body_is_there(kv, &c));
	expunge(kv, &a, 2, 1);
	r = collect(kv);
	assert_int_equal(r.blobs_dropped, 1);
	assert_false(body_is_there(kv, &a));
	body_check(kv, &b, 2);
	/* Nothing is left to look at. */
	r = collect(kv);
	assert_int_equal(r.blobs_dropped, 0);
	deliver(kv, 1, 1, 9, &a);
	body_check(kv, &a, 1);
}

static void bodies_without_a_reference_are_dropped(void **state)
{
	(void)state;
	char dir[64];
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_INLINE, NULL);
	what_nobody_references_is_dropped(kv);
	kv_close(kv);
	temp_dir(dir);
	kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
	what_nobody_references_is_dropped(kv);
	kv_close(kv);
	remove_tree(dir);
}

static void a_delivery_in_the_batch_of_the_drop_keeps_the_body(void **state)
{
	(void)state;
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_MANUAL, NULL);
	struct blob_id a;
	struct result r = RESULT;
	deliver(kv, 1, 1, 1, &a);
	expunge(kv, &a, 1, 1);
	struct kv_upload *u = body_upload(kv, 1, &a);
	struct kv_txn *t = begin(kv, 2);
	kv_txn_blob(t, u);
	refer(t, &a, 2, 7);
	kv_commit(t, &r.d); /* queued: kv_collect's own commit takes it along */
	assert_int_equal(collect(kv).blobs_dropped, 0);
	assert_int_equal(r.calls, 1);
	assert_int_equal(r.st, ST_OK);
	body_check(kv, &a, 1);
	assert_int_equal(collect(kv).blobs_dropped, 0);
	expunge(kv, &a, 2, 7);
	assert_int_equal(collect(kv).blobs_dropped, 1);
	kv_close(kv);
}

static void a_copy_in_the_batch_of_the_drop_keeps_the_body(void **state)
{
	(void)state;
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_MANUAL, NULL);
	struct blob_id a;
	struct result r = RESULT;
	deliver(kv, 1, 1, 1, &a);
	/* COPY and expunge of the source in one transaction, and a candidate from before. */
	deliver(kv, 1, 3, 1, &a);
	expunge(kv, &a, 3, 1);
	struct kv_txn *t = begin(kv, 1);
	refer(t, &a, 1, 2);
	unrefer(t, &a, 1, 1);
	kv_commit(t, &r.d);
	assert_int_equal(collect(kv).blobs_dropped, 0);
	assert_int_equal(r.st, ST_OK);
	body_check(kv, &a, 1);
	/* The candidate of that transaction outlived the decision of its batch. */
	expunge(kv, &a, 1, 2);
	assert_int_equal(collect(kv).blobs_dropped, 1);
	assert_false(body_is_there(kv, &a));
	kv_close(kv);
}

static void a_batch_that_fails_drops_nothing(void **state)
{
	(void)state;
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_MANUAL, NULL);
	struct blob_id a;
	struct kv_collected c;
	struct err e;
	deliver(kv, 1, 1, 1, &a);
	expunge(kv, &a, 1, 1);
	kv_memory_fail(kv->en, 1, ERR_DISK_FULL);
	assert_int_equal(kv_collect(kv, &c, &e), ST_FULL);
	body_check(kv, &a, 1);
	assert_int_equal(collect(kv).blobs_dropped, 1);
	kv_close(kv);
}

/* --- moving ------------------------------------------------------------------------------------------------ */
struct many {
	struct kv *kv;
	struct blob_id id[MANY];
};

static void fill_store(struct many *m)
{
	m->kv->segs.max_bytes = m->kv->log.max_bytes = 2u << 20;
	for (unsigned i = 0; i < MANY; i++)
		deliver(m->kv, i, 1, i, &m->id[i]);
}

static bool is_kept(unsigned i)
{
	return i % 4 == 1;
}

static void expunge_most(struct many *m)
{
	for (unsigned i = 0; i < MANY; i++)
		if (!is_kept(i))
			expunge(m->kv, &m->id[i], 1, i);
}

static void check_kept(struct many *m)
{
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(body_is_there(m->kv, &m->id[i]), is_kept(i));
		struct err e = { 0 };
		if (is_kept(i))
			body_check(m->kv, &m->id[i], i);
		if (is_kept(i) && kv_blob_verify(m->kv, &m->id[i], &e) != ST_OK)
			fail_msg("verify: %s", e.text);
	}
}

static unsigned flags_of(struct kv *kv, const struct blob_id *id)
{
	unsigned char key[33];
	AUTO_ARENA a = { 0 };
	struct kv_blob_row row;
	const struct kv_extent *x;
	struct kv_rec rec;
	slice v, body;
	struct err e;
	assert_int_equal(kv->en->ops->get(kv->en, kv_blob_key(key, id), &a, &v, &e),
			 ST_OK);
	assert_int_equal(kv_extents_read(v, id, &a, &row, &x), ST_OK);
	char *in = kv_scratch_take(kv);
	assert_int_equal(kv_record_read(kv, x, 0, in, &rec, &body, &e), ST_OK);
	kv_scratch_give(kv, in);
	return rec.flags;
}

static void space_comes_back_and_live_bodies_stay(void **state)
{
	(void)state;
	char dir[64];
	temp_dir(dir);
	struct many m = { .kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir) };
	m.kv->spare.off = true; /* room in reserve is no waste */
	char bodies[96];
	snprintf(bodies, sizeof(bodies), "%s/bodies", dir);
	fill_store(&m);
	uint64_t before = disk_use(bodies);
	expunge_most(&m);
	struct kv_collected c = collect(m.kv);
	assert_int_equal(c.blobs_dropped, MANY - MANY / 4);
	assert_true(c.blobs_moved > 0);
	assert_true(c.segments_freed > 0);
	check_kept(&m);
	uint64_t after = disk_use(bodies);
	if (after > before / 3)
		fail_msg("%llu of %llu octets are left", (unsigned long long)after,
			 (unsigned long long)before);
	/* Text moved is zstd; what does not shrink is as it was. */
	assert_int_equal(flags_of(m.kv, &m.id[1]), KV_REC_ZSTD);
	assert_int_equal(flags_of(m.kv, &m.id[9]), 0);
	kv_close(m.kv);
	m.kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
	m.kv->spare.off = true;
	check_kept(&m);
	/* And once more, now that they lie in cold segments. */
	for (unsigned i = 0; i < MANY; i++)
		if (is_kept(i) && i != 1 && i != 9)
			expunge(m.kv, &m.id[i], 1, i);
	collect(m.kv);
	body_check(m.kv, &m.id[1], 1);
	body_check(m.kv, &m.id[9], 9);
	assert_true(disk_use(bodies) < before / 8);
	expunge(m.kv, &m.id[1], 1, 1);
	expunge(m.kv, &m.id[9], 1, 9);
	collect(m.kv);
	assert_true(disk_use(bodies) <= 8192);
	kv_close(m.kv);
	remove_tree(dir);
}

static void a_place_that_is_gone_is_looked_up_again(void **state)
{
	(void)state;
	char dir[64];
	temp_dir(dir);
	struct many m = { .kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir) };
	fill_store(&m);
	for (unsigned i = 0; i < MANY; i++)
		if (is_kept(i))
			body_check(m.kv, &m.id[i], i);
	/* The rows as a reader knows them that has slept since. */
	struct kv_blob_row *old = mem_array(KV_BLOB_CACHE, sizeof(*old));
	memcpy(old, m.kv->blobs.rows, KV_BLOB_CACHE * sizeof(*old));
	expunge_most(&m);
	assert_true(collect(m.kv).segments_freed > 0);
	memcpy(m.kv->blobs.rows, old, KV_BLOB_CACHE * sizeof(*old));
	for (unsigned i = 0; i < MANY; i++)
		if (is_kept(i))
			body_check(m.kv, &m.id[i], i);
	struct err e;
	char c;
	memcpy(m.kv->blobs.rows, old, KV_BLOB_CACHE * sizeof(*old));
	assert_int_equal(kv_blob_read(m.kv, &m.id[0], 0, &c, 1, &e), ST_NOT_FOUND);
	mem_free(old);
	kv_close(m.kv);
	remove_tree(dir);
}

static void a_segment_somebody_reads_stays(void **state)
{
	(void)state;
	char dir[64];
	temp_dir(dir);
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, dir);
	struct blob_id a;
	struct kv_seg *seg;
	struct err e;
	deliver(kv, 1, 1, 1, &a);
	uint32_t no = kv->log.seg->no;
	assert_int_equal(kv_seg_get(&kv->segs, no, &seg, &e), ST_OK);
	expunge(kv, &a, 1, 1);
	struct kv_collected c = collect(kv);
	assert_int_equal(c.blobs_dropped, 1);
	assert_int_equal(c.segments_freed, 0);
	char magic[4];
	assert_int_equal(io_pread(seg->fd, magic, 4, 0, &e), ST_OK);
	kv_seg_put(&kv->segs, seg);
	assert_true(collect(kv).segments_freed >= 1); /* others held rows alone */
	assert_int_equal(kv_seg_get(&kv->segs, no, &seg, &e), ST_NOT_FOUND);
	kv_close(kv);
	remove_tree(dir);
}

static void the_keeper_collects_by_itself(void **state)
{
	(void)state;
	char dir[64];
	temp_dir(dir);
	struct many m = { .kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir) };
	fill_store(&m);
	expunge_most(&m);
	/* Woken, it goes through all there is; what is being written stays. */
	for (int i = 0; collected(m.kv).blobs_dropped < MANY - MANY / 4 ||
			collected(m.kv).segments_freed == 0;
	     i++) {
		assert_true(i < 10000); /* about ten seconds */
		kv_keeper_wake(m.kv);
		usleep(1000);
	}
	check_kept(&m);
	kv_close(m.kv);
	remove_tree(dir);
}

/* Step by step to where the next body is copied. */
static void step_to(struct kv_pass *p, enum kv_pass_phase phase)
{
	bool more = true;
	struct err e;
	while (more && p->phase != phase)
		assert_int_equal(kv_pass_step(p, &more, &e), ST_OK);
	assert_true(more);
}

static void no_fault(void *ctx, enum kv_fault what, const struct blob_id *id,
		     const char *text)
{
	(void)ctx;
	(void)what;
	(void)id;
	fail_msg("%s", text);
}

/* A body heals while the collector copies it: in an earlier batch (small), or in the one that decides. */
static void healing_beside_moving(size_t batch_bytes)
{
	char dir[64];
	temp_dir(dir);
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_MANUAL, dir);
	struct kv_check_options o = { .bodies = true, .found = no_fault };
	struct blob_id a, b;
	struct kv_pass p;
	struct err e;
	struct result r = RESULT;
	bool more = true;
	kv->segs.max_bytes = 1u << 20;
	deliver(kv, 1, 1, 1, &a);
	deliver(kv, 2, 1, 2, &b);
	expunge(kv, &b, 1, 2);
	struct kv_txn *t = begin(kv, 1);
	kv_blob_mark_damaged(t, &a);
	commit_ok(t);
	collect(kv); /* leaves the segment, and moves a: once more */
	deliver(kv, 10, 1, 3, &b);
	expunge(kv, &b, 1, 3);
	kv_pass_init(&p, kv, true);
	step_to(&p, KV_PASS_CHOOSE);
	p.phase = KV_PASS_EMPTY;
	/* Wherever a is now, as if that segment had been chosen. */
	unsigned char key[33];
	AUTO_ARENA arena = { 0 };
	struct kv_blob_row row;
	const struct kv_extent *x;
	slice v;
	assert_int_equal(kv->en->ops->get(kv->en, kv_blob_key(key, &a), &arena, &v, &e),
			 ST_OK);
	assert_int_equal(kv_extents_read(v, &a, &arena, &row, &x), ST_OK);
	p.seg = x[0].seg;
	kv->batch_bytes = batch_bytes;
	struct kv_upload *u = body_upload(kv, 1, &a);
	t = begin(kv, 2);
	kv_txn_blob(t, u);
	refer(t, &a, 2, 1);
	kv_commit(t, &r.d);
	uint64_t moved = p.sum.blobs_moved;
	assert_int_equal(kv_pass_step(&p, &more, &e), ST_OK);
	assert_int_equal(r.st, ST_OK);
	assert_int_equal(r.calls, 1);
	assert_int_equal(p.sum.blobs_moved, moved); /* the new one is as good */
	kv_pass_done(&p);
	body_check(kv, &a, 1);
	if (kv_check(kv, &o, &e) != ST_OK)
		fail_msg("%s", e.text);
	expunge(kv, &a, 1, 1);
	expunge(kv, &a, 2, 1);
	collect(kv);
	struct kv_seg_info *segs;
	size_t n;
	assert_int_equal(kv_segs_list(kv, &segs, &n, &e), ST_OK);
	assert_true(n <= 1); /* the log's own, which says so */
	assert_true(n == 0 || segs[0].no == kv->log.at.segment);
	mem_free(segs);
	kv_close(kv);
	remove_tree(dir);
}

static void a_body_that_heals_is_not_moved(void **state)
{
	(void)state;
	healing_beside_moving(1);
	healing_beside_moving(KV_BATCH_BYTES);
}

/* The process ended when a freed segment had got its new number, and nothing was written to it. */
static void a_file_given_a_number_and_not_used_goes(void **state)
{
	(void)state;
	char dir[64], from[128], to[128];
	struct blob_id a;
	struct kv_check_options o = { .found = no_fault };
	struct err e;
	temp_dir(dir);
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, dir);
	deliver(kv, 1, 1, 1, &a);
	uint32_t no = kv->log.at.segment;
	kv_close(kv);
	snprintf(from, sizeof(from), "%s/bodies/%08x.seg", dir, no);
	snprintf(to, sizeof(to), "%s/bodies/%08x.seg", dir, no + 1);
	copy_tree(from, to);
	kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, dir);
	if (kv_check(kv, &o, &e) != ST_OK)
		fail_msg("%s", e.text);
	deliver(kv, 2, 1, 2, &a);
	collect(kv);
	assert_int_not_equal(access(to, F_OK), 0);
	kv_close(kv);
	remove_tree(dir);
}

/* --- damage ------------------------------------------------------------------------------------------------ */
static void flip(struct kv *kv, const char *dir, const struct blob_id *id)
{
	unsigned char key[33];
	AUTO_ARENA a = { 0 };
	struct kv_blob_row row;
	const struct kv_extent *x;
	slice v;
	struct err e;
	int fd;
	char c;
	assert_int_equal(kv->en->ops->get(kv->en, kv_blob_key(key, id), &a, &v, &e),
			 ST_OK);
	assert_int_equal(kv_extents_read(v, id, &a, &row, &x), ST_OK);
	slice path = arena_fmt(&a, "%s/bodies/%08x.seg", dir, x->seg);
	assert_int_equal(io_open(path.p, O_RDWR, 0, &fd, &e), ST_OK);
	uint64_t at = x->off + KV_REC_HEADER + x->stored / 2;
	assert_int_equal(io_pread(fd, &c, 1, at, &e), ST_OK);
	c ^= 4;
	assert_int_equal(io_pwrite(fd, slice_make(&c, 1), at, &e), ST_OK);
	close(fd);
}

static void a_damaged_body_is_healed_by_a_new_delivery(void **state)
{
	(void)state;
	char dir[64];
	temp_dir(dir);
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
	struct blob_id a;
	struct err e;
	deliver(kv, 2, 1, 1, &a);
	flip(kv, dir, &a);
	assert_int_equal(kv_blob_verify(kv, &a, &e), ST_IO);
	assert_int_equal(e.code, ERR_CORRUPT);
	deliver(kv, 2, 1, 2, &a); /* nobody has noticed yet */
	assert_int_equal(kv_blob_verify(kv, &a, &e), ST_IO);
	struct kv_txn *t = begin(kv, 1);
	kv_blob_mark_damaged(t, &a);
	commit_ok(t);
	kv_close(kv);
	kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir); /* the mark is a row */
	deliver(kv, 2, 1, 3, &a);
	body_check(kv, &a, 2);
	struct kv_stat s, s2;
	kv_stat(kv, &s);
	deliver(kv, 2, 1, 4, &a); /* and gone with the healing */
	kv_stat(kv, &s2);
	assert_int_equal(s2.blobs_known, s.blobs_known + 1);
	for (uint64_t i = 1; i <= 4; i++)
		expunge(kv, &a, 1, i);
	assert_int_equal(collect(kv).blobs_dropped, 1);
	kv_close(kv);
	remove_tree(dir);
}

static void damage_is_neither_moved_nor_in_the_way(void **state)
{
	(void)state;
	char dir[64];
	temp_dir(dir);
	struct many m = { .kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir) };
	struct err e;
	fill_store(&m);
	flip(m.kv, dir, &m.id[5]);
	expunge_most(&m);
	collect(m.kv);
	assert_int_equal(kv_blob_verify(m.kv, &m.id[5], &e), ST_IO);
	for (unsigned i = 0; i < MANY; i++)
		if (is_kept(i) && i != 5)
			body_check(m.kv, &m.id[i], i);
	/* The segment waits for it, and is not read again by every pass. */
	assert_int_equal(collect(m.kv).blobs_moved, 0);
	deliver(m.kv, 5, 1, 1000, &m.id[5]); /* the collector marked it */
	check_kept(&m);
	collect(m.kv);
	check_kept(&m);
	kv_close(m.kv);
	remove_tree(dir);
}

/* Of a file that has lost its end. */
static void what_cannot_be_read_is_not_in_the_way(void **state)
{
	(void)state;
	char dir[64];
	unsigned char key[33];
	temp_dir(dir);
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, dir);
	AUTO_ARENA a = { 0 };
	struct blob_id id[4];
	struct kv_blob_row row;
	const struct kv_extent *x;
	slice v;
	struct err e;
	static const unsigned no[] = { 13, 21, 5,
				       2 }; /* the last one is small: in the log */
	for (unsigned i = 0; i < 4; i++)
		deliver(kv, no[i], 1, i, &id[i]);
	assert_int_equal(kv->en->ops->get(kv->en, kv_blob_key(key, &id[2]), &a, &v, &e),
			 ST_OK);
	assert_int_equal(kv_extents_read(v, &id[2], &a, &row, &x), ST_OK);
	slice path = arena_fmt(&a, "%s/bodies/%08x.seg", dir, x->seg);
	assert_int_equal(truncate(path.p, (off_t)(x[row.n - 1].off + 40)), 0);
	expunge(kv, &id[0], 1, 0);
	expunge(kv, &id[1], 1, 1);
	collect(kv);
	body_check(kv, &id[3], 2);
	assert_int_equal(kv_blob_verify(kv, &id[2], &e), ST_IO);
	deliver(kv, 5, 1, 9, &id[2]); /* it was marked */
	body_check(kv, &id[2], 5);
	kv_close(kv);
	remove_tree(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_without_a_reference_are_dropped),
		cmocka_unit_test(a_delivery_in_the_batch_of_the_drop_keeps_the_body),
		cmocka_unit_test(a_copy_in_the_batch_of_the_drop_keeps_the_body),
		cmocka_unit_test(a_batch_that_fails_drops_nothing),
		cmocka_unit_test(space_comes_back_and_live_bodies_stay),
		cmocka_unit_test(a_place_that_is_gone_is_looked_up_again),
		cmocka_unit_test(a_segment_somebody_reads_stays),
		cmocka_unit_test(the_keeper_collects_by_itself),
		cmocka_unit_test(a_body_that_heals_is_not_moved),
		cmocka_unit_test(a_file_given_a_number_and_not_used_goes),
		cmocka_unit_test(a_damaged_body_is_healed_by_a_new_delivery),
		cmocka_unit_test(damage_is_neither_moved_nor_in_the_way),
		cmocka_unit_test(what_cannot_be_read_is_not_in_the_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
