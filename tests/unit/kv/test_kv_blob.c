/* Bodies: every size around a boundary, dedup, damage, and what memory an upload may take. */
#include "kv_test.h"
#include <openssl/sha.h>

static void fill(char *p, size_t n, bool random, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		p[i] = random ? (char)(seed >> 24) : "abcdefgh"[i / 7 % 8];
	}
	if (n >= 4)
		memcpy(p, &seed, 4); /* no two alike */
}

static struct kv_upload *upload(struct kv *kv, const char *p, size_t n, size_t step,
				struct blob_id *out)
{
	struct kv_upload *u = kv_upload_new(kv);
	struct err e = { 0 };
	uint64_t size;
	for (size_t at = 0; at < n; at += step) {
		if (kv_upload_write(u, slice_make(p + at, n - at < step ? n - at : step),
				    &e) != ST_OK)
			fail_msg("write: %s", e.text);
		assert_true(u->raw.cap + u->mem.cap <= 340u << 10);
	}
	assert_int_equal(kv_upload_end(u, out, &size, &e), ST_OK);
	assert_int_equal(size, n);
	unsigned char want[32];
	SHA256((const unsigned char *)p, n, want);
	assert_memory_equal(want, out->h, 32);
	return u;
}

static void store(struct kv *kv, const char *p, size_t n, size_t step,
		  struct blob_id *out)
{
	struct kv_txn *t = begin(kv, 1);
	kv_txn_blob(t, upload(kv, p, n, step, out));
	commit_ok(t);
}

static void check(struct kv *kv, const struct blob_id *id, const char *p, size_t n,
		  size_t off, size_t len)
{
	struct err e = { 0 };
	char *got = mem_new(len + 1);
	uint64_t size;
	assert_int_equal(kv_blob_size(kv, id, &size, &e), ST_OK);
	assert_int_equal(size, n);
	if (kv_blob_read(kv, id, off, got, len, &e) != ST_OK)
		fail_msg("read %zu+%zu of %zu: %s", off, len, n, e.text);
	assert_memory_equal(got, p + off, len);
	assert_int_equal(got[len], 0);
	mem_free(got);
}

static const size_t sizes[] = { 0,	1,	127,	128,	4095,	  65535,
				65536,	65537,	65568,	65569,	262143,	  262144,
				262145, 327680, 524288, 524289, 3u << 20, 5000001 };

static void sizes_around_boundaries_come_back(struct kv *kv)
{
	const size_t max = 5000001;
	char *p = mem_new(max);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int random = 0; random < 2; random++) {
			struct blob_id id;
			size_t n = sizes[i];
			fill(p, n, random, (uint32_t)i * 2 + (uint32_t)random);
			store(kv, p, n, random ? 65536 : 100001, &id);
			check(kv, &id, p, n, 0, n);
			if (n > 2)
				check(kv, &id, p, n, n / 3, n / 2);
			if (n > 262144)
				check(kv, &id, p, n, 262140,
				      n < 262150 ? n - 262140 : 10);
			check(kv, &id, p, n, n, 0);
			char c;
			struct err e;
			assert_int_equal(kv_blob_read(kv, &id, n, &c, 1, &e), ST_INVALID);
			assert_int_equal(kv_blob_read(kv, &id, UINT64_MAX, &c, 2, &e),
					 ST_INVALID);
		}
	}
	mem_free(p);
}

static void every_size_comes_back_from_memory(void **state)
{
	(void)state;
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_INLINE, NULL);
	sizes_around_boundaries_come_back(kv);
	kv_close(kv);
}

static void every_size_comes_back_from_disk_also_after_reopening(void **state)
{
	(void)state;
	char dir[64];
	struct blob_id id[3];
	static char p[3][300000];
	temp_dir(dir);
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
	sizes_around_boundaries_come_back(kv);
	for (int i = 0; i < 3; i++) {
		fill(p[i], sizeof(p[i]), i == 1, 99 + (uint32_t)i);
		store(kv, p[i], (size_t)i * 140000 + 5000, 65536, &id[i]);
		kv_close(kv);
		kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
		for (int k = 0; k <= i; k++)
			check(kv, &id[k], p[k], (size_t)k * 140000 + 5000, 3, 4000);
	}
	kv_close(kv);
	remove_tree(dir);
}

static void equal_bodies_are_stored_once(void **state)
{
	(void)state;
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_MANUAL, NULL);
	static char p[400000];
	struct kv_stat s;
	struct blob_id a, b;
	for (size_t n = 3000; n <= sizeof(p);
	     n += 397000) { /* in the log, and in the bulk segment */
		fill(p, n, true, (uint32_t)n);
		struct result r[3] = { RESULT, RESULT, RESULT };
		struct kv_stat before;
		kv_stat(kv, &before);
		for (uint32_t i = 0; i < 3;
		     i++) { /* inside one batch, under different locks */
			struct kv_txn *t = begin(kv, i + 1);
			kv_txn_blob(t, upload(kv, p, n, 65536, &a));
			kv_commit(t, &r[i].d);
		}
		kv_pump(kv);
		store(kv, p, n, 1000, &b); /* across batches */
		assert_memory_equal(&a, &b, sizeof(a));
		for (int i = 0; i < 3; i++)
			assert_int_equal(r[i].st, ST_OK);
		kv_stat(kv, &s);
		assert_int_equal(s.blobs_new - before.blobs_new, 1);
		assert_int_equal(s.blobs_known - before.blobs_known, 3);
		check(kv, &a, p, n, 0, n);
	}
	kv_close(kv);
}

static void a_failed_batch_stores_no_body(void **state)
{
	(void)state;
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_MANUAL, NULL);
	static char p[100000];
	struct blob_id id;
	struct err e;
	uint64_t size;
	fill(p, sizeof(p), true, 5);
	for (size_t n = 1000; n <= sizeof(p); n += 99000) {
		struct kv_txn *t = begin(kv, 1);
		kv_txn_blob(t, upload(kv, p, n, 65536, &id));
		kv_memory_fail(kv->en, 1, ERR_DISK_FULL);
		assert_int_equal(kv_commit_wait(t, &e), ST_FULL);
		assert_int_equal(kv_blob_size(kv, &id, &size, &e), ST_NOT_FOUND);
		store(kv, p, n, 65536, &id);
		check(kv, &id, p, n, 0, n);
	}
	kv_close(kv);
}

static void unfinished_and_abandoned_uploads_leave_nothing(void **state)
{
	(void)state;
	struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_INLINE, NULL);
	static char p[700000];
	struct err e;
	struct blob_id id;
	struct kv_upload *u = kv_upload_new(kv);
	fill(p, sizeof(p), true, 8);
	assert_int_equal(kv_upload_write(u, slice_make(p, sizeof(p)), &e), ST_OK);
	kv_upload_free(u);
	kv_upload_free(NULL);
	u = kv_upload_new(kv);
	assert_int_equal(kv_upload_write(u, slice_make(p, 100), &e), ST_OK);
	struct kv_txn *t = begin(kv, 1);
	kv_txn_blob(t, u); /* not ended */
	assert_int_equal(kv_commit_wait(t, &e), ST_INVALID);
	t = begin(kv, 1);
	kv_txn_blob(t, upload(kv, p, 500000, 65536, &id));
	kv_abort(t);
	uint64_t size;
	assert_int_equal(kv_blob_size(kv, &id, &size, &e), ST_NOT_FOUND);
	kv_close(kv);
}

/* Every byte of a record, changed, is noticed; the record beside it is still read. */
static void damage_is_detected_and_confined(void **state)
{
	(void)state;
	char p[600], c;
	struct blob_id id[2];
	struct err e;
	for (int random = 0; random < 2; random++) {
		struct kv *kv = open_kv(KV_MEMORY, KV_COMMIT_INLINE, NULL);
		for (uint32_t i = 0; i < 2; i++) {
			fill(p, sizeof(p), random, i);
			store(kv, p, sizeof(p), 100, &id[i]);
		}
		int fd = kv->log.seg->fd;
		struct kv_log_reader r; /* the first batch: one body, one chunk */
		kv_log_reader_init(&r, &kv->log.key, fd, kv->log.seg->no, 0,
				   kv->log.at.end);
		assert_int_equal(kv_log_next(&r, &e), ST_OK);
		uint64_t from = r.off + KV_LOG_HEADER, end = from + r.head.bodies;
		kv_log_reader_done(&r);
		assert_true(end - from > KV_REC_HEADER);
		for (uint64_t at = from; at < end; at++) {
			assert_int_equal(io_pread(fd, &c, 1, at, &e), ST_OK);
			c ^= 0x40;
			assert_int_equal(io_pwrite(fd, slice_make(&c, 1), at, &e), ST_OK);
			assert_int_equal(kv_blob_read(kv, &id[0], 5, p, 10, &e), ST_IO);
			assert_int_equal(e.code, ERR_CORRUPT);
			assert_int_equal(kv_blob_read(kv, &id[1], 0, p, sizeof(p), &e),
					 ST_OK);
			c ^= 0x40;
			assert_int_equal(io_pwrite(fd, slice_make(&c, 1), at, &e), ST_OK);
		}
		assert_int_equal(kv_blob_read(kv, &id[0], 5, p, 10, &e), ST_OK);
		kv_close(kv);
	}
}

static void a_missing_segment_is_damage_of_its_bodies_alone(void **state)
{
	(void)state;
	char dir[64], path[128], p[500];
	struct blob_id id[2];
	struct err e;
	temp_dir(dir);
	for (uint32_t i = 0; i < 2; i++) {
		struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
		kv->log.max_bytes = 1; /* each batch begins a segment */
		fill(p, sizeof(p), true, i);
		store(kv, p, sizeof(p), 500, &id[i]);
		kv_close(kv);
	}
	snprintf(path, sizeof(path), "%s/bodies/00000001.seg", dir);
	assert_int_equal(unlink(path), 0);
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
	assert_int_equal(kv_blob_read(kv, &id[0], 0, p, sizeof(p), &e), ST_IO);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_int_equal(kv_blob_read(kv, &id[1], 0, p, sizeof(p), &e), ST_OK);
	kv_close(kv);
	remove_tree(dir);
}

/* Threads that upload at once into small segments, and read each other's bodies back meanwhile. */
enum { THREADS = 4, BODIES = 24 };
struct crowd {
	struct kv *kv;
	struct stored {
		struct blob_id id;
		uint32_t seed;
		size_t n;
	} all[THREADS * BODIES];
	_Atomic size_t ready[THREADS];
};
struct one {
	struct crowd *c;
	uint32_t number;
};

static void read_back(struct crowd *c, const struct stored *s, size_t off)
{
	char *p = mem_new(s->n), *got = mem_new(s->n);
	struct err e;
	fill(p, s->n, s->seed % 5 != 0, s->seed);
	off %= s->n;
	size_t n = s->n - off < 70000 ? s->n - off : 70000;
	if (kv_blob_read(c->kv, &s->id, off, got, n, &e) != ST_OK)
		fail_msg("read: %s", e.text);
	assert_memory_equal(got, p + off, n);
	mem_free(p);
	mem_free(got);
}

static void *upload_and_read(void *arg)
{
	struct one *me = arg;
	struct crowd *c = me->c;
	char *p = mem_new(700000);
	for (uint32_t i = 0; i < BODIES; i++) {
		struct stored *s = &c->all[me->number * BODIES + i];
		struct kv_txn *t;
		struct err e;
		s->seed = (me->number * BODIES + i) * 7919 + 1;
		s->n = 1 + (s->seed * 2654435761u >> 8) % (i % 3 ? 690000 : 3000);
		fill(p, s->n, s->seed % 5 != 0, s->seed);
		struct kv_upload *u = upload(c->kv, p, s->n, 65536, &s->id);
		assert_int_equal(kv_begin(c->kv, &me->number, 1, NULL, &t, &e), ST_OK);
		kv_txn_blob(t, u);
		assert_int_equal(kv_commit_wait(t, &e), ST_OK);
		c->ready[me->number] = i + 1;
		uint32_t other = s->seed % THREADS;
		if (c->ready[other])
			read_back(c, &c->all[other * BODIES + i % c->ready[other]],
				  s->seed);
	}
	mem_free(p);
	return NULL;
}

static void crowd_uploads(enum kv_engine_kind engine)
{
	struct crowd *c = mem_new(sizeof(*c));
	struct one who[THREADS];
	pthread_t th[THREADS];
	char dir[64];
	temp_dir(dir);
	c->kv = open_kv(engine, KV_COMMIT_THREAD, dir);
	/* more segments than descriptors are kept */
	c->kv->segs.max_bytes = c->kv->log.max_bytes = 100000;
	for (uint32_t i = 0; i < THREADS; i++) {
		who[i] = (struct one){ c, i };
		assert_int_equal(pthread_create(&th[i], NULL, upload_and_read, &who[i]),
				 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(th[i], NULL);
	if (engine == KV_ROCKSDB) {
		assert_true(c->kv->segs.next_no > KV_SEGS_OPEN);
		kv_close(c->kv);
		c->kv = open_kv(engine, KV_COMMIT_THREAD, dir);
	}
	for (size_t i = 0; i < THREADS * BODIES; i++)
		read_back(c, &c->all[i], i * 1000);
	assert_true(c->kv->segs.n_idle <= KV_SEGS_OPEN || engine == KV_MEMORY);
	kv_close(c->kv);
	remove_tree(dir);
	mem_free(c);
}

static void a_crowd_uploads_and_reads_in_memory(void **state)
{
	(void)state;
	crowd_uploads(KV_MEMORY);
}

static void a_crowd_uploads_and_reads_on_disk(void **state)
{
	(void)state;
	crowd_uploads(KV_ROCKSDB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_comes_back_from_memory),
		cmocka_unit_test(every_size_comes_back_from_disk_also_after_reopening),
		cmocka_unit_test(equal_bodies_are_stored_once),
		cmocka_unit_test(a_failed_batch_stores_no_body),
		cmocka_unit_test(unfinished_and_abandoned_uploads_leave_nothing),
		cmocka_unit_test(damage_is_detected_and_confined),
		cmocka_unit_test(a_missing_segment_is_damage_of_its_bodies_alone),
		cmocka_unit_test(a_crowd_uploads_and_reads_in_memory),
		cmocka_unit_test(a_crowd_uploads_and_reads_on_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
