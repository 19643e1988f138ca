/* The log: what a crash leaves, at every octet; damage, and what is behind it; the engine that forgets. */
#include "kv_test.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

enum { BATCHES = 8, BODY = 700 };

/* A thousand stores are opened here: in memory when there is such a place, where a sync takes no time. */
static void quick_dir(char dst[64])
{
	snprintf(dst, 64, "/dev/shm/kv-test-XXXXXX");
	if (!mkdtemp(dst))
		temp_dir(dst);
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

/* Batch i: a row, and a body. */
static void deliver(struct kv *kv, size_t i, struct blob_id *id)
{
	AUTO_ARENA a = { 0 };
	struct kv_txn *t = begin(kv, 1);
	kv_put(t, arena_fmt(&a, "row%02zu", i), SL("x"));
	put(t, "counter", arena_fmt(&a, "%zu", i).p);
	kv_txn_blob(t, body(kv, BODY, (uint32_t)i + 1, id));
	commit_ok(t);
}

/* How many of them are there: always the first ones, their bodies whole, the counter as the last left it. */
static size_t count(struct kv *kv, const struct blob_id *ids)
{
	AUTO_ARENA a = { 0 };
	size_t n = 0;
	char got[BODY], last[16];
	struct err e;
	for (size_t i = 0; i < BATCHES; i++) {
		if (!get(kv, NULL, &a, arena_fmt(&a, "row%02zu", i).p))
			continue;
		assert_int_equal(i, n);
		n++;
		assert_int_equal(kv_blob_read(kv, &ids[i], 0, got, BODY, &e), ST_OK);
	}
	snprintf(last, sizeof(last), "%zu", n - 1);
	if (n)
		assert_string_equal(get(kv, NULL, &a, "counter"), last);
	return n;
}

static enum status try_open(const char *dir, bool salvage, struct kv **out, struct err *e)
{
	struct kv_options o = { .dir = dir,
				.mode = KV_COMMIT_INLINE,
				.salvage = salvage,
				.cache_bytes = 1u << 20 };
	return kv_open(&o, out, e);
}

/* It takes a new batch without touching the old, and has it when it is opened once more. */
static void goes_on(const char *dir, const struct blob_id *ids, size_t n)
{
	struct blob_id fresh;
	char got[BODY];
	struct err e;
	for (int again = 0; again < 2; again++) {
		struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, dir);
		if (again == 0) {
			struct kv_txn *t = begin(kv, 1);
			put(t, "more", "1");
			kv_txn_blob(t, body(kv, BODY, 77, &fresh));
			commit_ok(t);
		}
		AUTO_ARENA a = { 0 };
		assert_int_equal(kv_blob_read(kv, &fresh, 0, got, BODY, &e), ST_OK);
		assert_string_equal(get(kv, NULL, &a, "more"), "1");
		assert_int_equal(count(kv, ids), n);
		kv_close(kv);
	}
}

static void segment_path(char dst[128], const char *dir, uint32_t no)
{
	snprintf(dst, 128, "%s/bodies/%08x.seg", dir, no);
}

/* A store that was killed: a copy of one with BATCHES batches, taken while it runs; nothing of them is in the
 * engine's files. ends[i]: where batch i ends in the segment. */
struct killed {
	char dir[64], copy[80], path[128];
	struct blob_id ids[BATCHES];
	uint64_t from[BATCHES], end; /* of each record; of the log */
	struct buf log;
};

static void take_copy(struct killed *k)
{
	remove_tree(k->copy);
	copy_tree(k->dir, k->copy);
}

static void set_up(struct killed *k, uint32_t spread)
{
	struct err e;
	quick_dir(k->dir);
	snprintf(k->copy, sizeof(k->copy), "%s-copy", k->dir);
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, k->dir);
	if (spread)
		kv->log.max_bytes = spread;
	for (size_t i = 0; i < BATCHES; i++) {
		k->from[i] = kv->log.at.end;
		deliver(kv, i, &k->ids[i]);
		/* What was acknowledged survives a kill right then. */
		if (i % 4 == 3) {
			take_copy(k);
			struct kv *after = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, k->copy);
			assert_int_equal(count(after, k->ids), i + 1);
			assert_int_equal(after->replayed, i + 1);
			kv_close(after);
			after = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, k->copy);
			assert_int_equal(after->replayed, 0); /* it was closed */
			assert_int_equal(count(after, k->ids), i + 1);
			kv_close(after);
		}
	}
	k->end = kv->log.at.end;
	take_copy(k);
	segment_path(k->path, k->copy, kv->log.seg->no);
	kv_close(kv);
	remove_tree(k->dir); /* from now on the copy is the original */
	copy_tree(k->copy, k->dir);
	buf_init(&k->log, 1u << 20);
	assert_int_equal(io_read_file(k->path, 1u << 20, &k->log, &e), ST_OK);
}

static void tear_down(struct killed *k)
{
	buf_done(&k->log);
	remove_tree(k->copy);
	remove_tree(k->dir);
}

static void write_log(const struct killed *k, slice octets)
{
	struct err e;
	assert_int_equal(io_write_file(k->path, octets, 0600, &e), ST_OK);
}

/* The last batch, cut at every octet: all before it is there, and nothing of it. */
static void a_tail_torn_at_any_octet_is_left_out(void **state)
{
	(void)state;
	struct killed k = { 0 };
	set_up(&k, 0);
	for (uint64_t cut = k.from[BATCHES - 1]; cut <= k.log.n; cut++) {
		write_log(&k, slice_make(k.log.p, (size_t)cut));
		struct kv *kv;
		struct err e;
		if (try_open(k.copy, false, &kv, &e) != ST_OK)
			fail_msg("cut at %llu: %s", (unsigned long long)cut, e.text);
		size_t n = count(kv, k.ids);
		assert_int_equal(n, cut == k.log.n ? BATCHES : BATCHES - 1);
		assert_int_equal(kv->log.at.seq, n);
		kv_close(kv);
		if (cut % 97 == 0)
			goes_on(k.copy, k.ids, n);
		take_copy(&k);
	}
	tear_down(&k);
}

/* The same in a segment that had its size before: zeros, or what an older use left, where the rest should be. */
static void a_tail_torn_in_pages_is_left_out(void **state)
{
	(void)state;
	struct killed k = { 0 };
	set_up(&k, 0);
	size_t from = (size_t)k.from[BATCHES - 1], n = k.log.n - from;
	AUTO_BUF whole = { 0 };
	for (int stale = 0; stale < 2; stale++) {
		for (size_t gap = 0; gap < n; gap += 64) {
			buf_done(&whole);
			buf_init(&whole, 1u << 20);
			buf_add(&whole, buf_slice(&k.log));
			for (size_t i = 0; i < 8192; i++) /* to its end, and behind it */
				buf_addc(&whole, stale ? k.log.p[i % k.log.n] : 0);
			size_t lost = n - gap < 64 ? n - gap : 64;
			memset(whole.p + from + gap, 0, lost);
			bool torn = memcmp(whole.p, k.log.p, k.log.n) != 0;
			write_log(&k, buf_slice(&whole));
			struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, k.copy);
			assert_int_equal(count(kv, k.ids), BATCHES - torn);
			kv_close(kv);
			take_copy(&k);
		}
	}
	tear_down(&k);
}

/* A torn record whose header and rows are on the disk, and not its body. The batch that has its sequence then begins in
 * another segment, and so do the next: it is never taken for one of them. */
static void a_torn_batch_does_not_hide_its_successor(void **state)
{
	(void)state;
	for (int n = 1; n < 4; n++) {
		struct killed k = { 0 };
		set_up(&k, 0);
		AUTO_BUF torn = { 0 };
		buf_init(&torn, 1u << 20);
		buf_add(&torn, buf_slice(&k.log));
		torn.p[k.from[BATCHES - 1] + KV_LOG_HEADER + 100] ^= 1;
		write_log(&k, buf_slice(&torn));
		struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, k.copy);
		assert_int_equal(count(kv, k.ids), BATCHES - 1);
		remove_tree(k.dir);
		for (int i = 0; i < n; i++) {
			struct blob_id id;
			kv_log_leave(kv);
			struct kv_txn *t = begin(kv, 1);
			put(t, i == 0 ? "first" : "next", "1");
			kv_txn_blob(t, body(kv, BODY, 100 + (uint32_t)i, &id));
			commit_ok(t);
		}
		copy_tree(k.copy, k.dir); /* killed here */
		kv_close(kv);
		kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, k.dir);
		AUTO_ARENA a = { 0 };
		assert_int_equal(count(kv, k.ids), BATCHES - 1);
		assert_non_null(get(kv, NULL, &a, "first"));
		assert_true((n > 1) == (get(kv, NULL, &a, "next") != NULL));
		kv_close(kv);
		tear_down(&k);
	}
}

/* A log over several segments, torn in the first record of the last. */
static void a_torn_first_record_of_a_segment_is_left_out(void **state)
{
	(void)state;
	struct killed k = { 0 };
	set_up(&k, 4096);
	assert_int_not_equal(k.from[BATCHES - 1], 0);
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, k.copy);
	uint32_t last = kv->log.seg->no;
	assert_true(last > 2);
	kv_log_leave(kv);
	deliver(kv, 0, &k.ids[0]);
	segment_path(k.path, k.copy, last + 1);
	AUTO_BUF first = { 0 };
	struct err e;
	buf_init(&first, 1u << 20);
	assert_int_equal(io_read_file(k.path, 1u << 20, &first, &e), ST_OK);
	kv_close(kv);
	for (size_t cut = 0; cut < first.n; cut += 37) {
		take_copy(&k);
		write_log(&k, slice_make(first.p, cut));
		kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, k.copy);
		assert_int_equal(count(kv, k.ids), BATCHES);
		assert_int_equal(kv->log.seg->no, last); /* it goes on there */
		kv_close(kv);
		goes_on(k.copy, k.ids, BATCHES);
	}
	tear_down(&k);
}

/* --- damage ------------------------------------------------------------------------------------------------ */
static void damage_before_the_end_is_refused_and_can_be_salvaged(void **state)
{
	(void)state;
	struct killed k = { 0 };
	struct kv *kv;
	struct err e;
	set_up(&k, 0);
	struct kv_log_head h;
	kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, k.copy);
	assert_true(
		kv_log_head_read((unsigned char *)k.log.p + k.from[3], &kv->log.key, &h));
	kv_close(kv);
	take_copy(&k);
	size_t rows = (size_t)(k.from[3] + KV_LOG_HEADER + h.bodies);
	size_t at[] = { (size_t)k.from[3], (size_t)k.from[3] + 30,
			rows + (size_t)h.rows / 2 };
	for (size_t i = 0; i < 3; i++) {
		char *octet = k.log.p + at[i];
		*octet ^= 0x10;
		write_log(&k, buf_slice(&k.log));
		for (int again = 0; again < 2; again++) {
			assert_int_equal(try_open(k.copy, false, &kv, &e), ST_IO);
			assert_int_equal(e.code, ERR_CORRUPT);
			assert_non_null(strstr(e.text, "damaged at"));
		}
		AUTO_BUF after = { 0 };
		buf_init(&after, 1u << 20);
		assert_int_equal(io_read_file(k.path, 1u << 20, &after, &e), ST_OK);
		assert_true(
			slice_eq(buf_slice(&after), buf_slice(&k.log))); /* untouched */
		assert_int_equal(try_open(k.copy, true, &kv, &e), ST_OK);
		assert_int_equal(kv->lost, 1);
		assert_int_equal(kv->replayed, BATCHES - 4); /* the others were, before */
		AUTO_ARENA a = { 0 };
		assert_null(get(kv, NULL, &a, "row03"));
		assert_string_equal(get(kv, NULL, &a, "row02"), "x");
		assert_string_equal(get(kv, NULL, &a, "row07"), "x");
		kv_close(kv);
		assert_int_equal(try_open(k.copy, false, &kv, &e),
				 ST_OK); /* now it does */
		assert_null(get(kv, NULL, &a, "row03"));
		kv_close(kv);
		*octet ^= 0x10;
		take_copy(&k);
	}
	tear_down(&k);
}

/* One octet of a body is that body's affair. */
static void damage_of_a_body_does_not_stop_the_log(void **state)
{
	(void)state;
	struct killed k = { 0 };
	struct err e;
	char got[BODY];
	set_up(&k, 0);
	k.log.p[k.from[3] + KV_LOG_HEADER + KV_REC_HEADER + 100] ^= 1;
	write_log(&k, buf_slice(&k.log));
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, k.copy);
	assert_int_equal(kv->replayed, BATCHES);
	assert_int_equal(kv_blob_read(kv, &k.ids[3], 0, got, BODY, &e), ST_IO);
	assert_int_equal(kv_blob_read(kv, &k.ids[4], 0, got, BODY, &e), ST_OK);
	kv_close(kv);
	tear_down(&k);
}

static void a_log_that_was_cut_short_is_refused(void **state)
{
	(void)state;
	struct killed k = { 0 };
	struct kv *kv;
	struct err e;
	set_up(&k, 0);
	kv_close(open_kv(KV_ROCKSDB, KV_COMMIT_INLINE,
			 k.copy)); /* the engine has all of it */
	write_log(&k, slice_make(k.log.p, (size_t)k.from[5]));
	assert_int_equal(try_open(k.copy, false, &kv, &e), ST_IO);
	assert_non_null(
		strstr(e.text, "is not complete: bodies/00000001.seg is cut short"));
	unlink(k.path);
	assert_int_equal(try_open(k.copy, false, &kv, &e), ST_IO);
	assert_non_null(strstr(e.text, "is missing"));
	assert_int_equal(try_open(k.copy, true, &kv, &e), ST_OK);
	AUTO_ARENA a = { 0 };
	assert_string_equal(get(kv, NULL, &a, "row07"), "x");
	deliver(kv, 1, &k.ids[1]);
	kv_close(kv);
	assert_int_equal(try_open(k.copy, false, &kv, &e), ST_OK);
	kv_close(kv);
	tear_down(&k);
}

/* --- what strangers send ----------------------------------------------------------------------------------- */
/* A message that holds what looks like the next record, at each place where one may begin, is a message. With the
 * store's own key it would be taken: the test can fail. */
static void a_record_inside_a_body_is_not_taken(void **state)
{
	(void)state;
	for (int knows = 0; knows < 2; knows++) {
		char dir[64], copy[80];
		struct blob_id id;
		struct err e;
		quick_dir(dir);
		snprintf(copy, sizeof(copy), "%s-copy", dir);
		struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, dir);
		struct siphash_key key = knows ? kv->log.key
					       : (struct siphash_key){ 1, 2 };
		struct kv_txn *t = begin(kv, 1);
		put(t, "first", "1");
		commit_ok(t);
		/* The record of the message will begin at 512; make it fall on its own boundary by aligning the
		 * body: header of the record, header of the chunk, then octets as they come. */
		enum { N = 20000 };
		unsigned char *m = mem_new(N);
		random_bytes(m, N); /* not compressible: stored as it is */
		uint64_t base = kv_log_base(kv) + KV_REC_HEADER;
		AUTO_BUF rows = { 0 };
		buf_init(&rows, 100);
		kv_log_row_put(&rows, SL("forged"), SL("1"));
		uint64_t forged = kv_log_align(base);
		struct kv_log_head h = { .segment = kv->log.seg->no,
					 .seq = kv->log.at.seq + 2,
					 .rows = rows.n,
					 .rows_crc = crc32c(0, buf_slice(&rows)) };
		kv_log_head_write(m + (forged - base), &h, &key);
		memcpy(m + (forged - base) + KV_LOG_HEADER, rows.p, rows.n);
		struct kv_upload *u = kv_upload_new(kv);
		uint64_t size;
		assert_int_equal(kv_upload_write(u, slice_make(m, N), &e), ST_OK);
		assert_int_equal(kv_upload_end(u, &id, &size, &e), ST_OK);
		mem_free(m);
		uint64_t from = kv->log.at.end;
		t = begin(kv, 1);
		put(t, "message", "1");
		kv_txn_blob(t, u);
		commit_ok(t);
		copy_tree(dir, copy);
		AUTO_ARENA a = { 0 };
		struct kv *after = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, copy);
		assert_null(get(after, NULL, &a, "forged"));
		assert_string_equal(get(after, NULL, &a, "message"), "1");
		kv_close(after);
		/* Torn, so that recovery looks at what is behind it. */
		remove_tree(copy);
		copy_tree(dir, copy);
		char path[128];
		int fd;
		segment_path(path, copy, kv->log.seg->no);
		assert_int_equal(io_open(path, O_RDWR, 0, &fd, &e), ST_OK);
		assert_int_equal(io_pwrite(fd, SL("torn"), from, &e), ST_OK);
		close(fd);
		/* Known, the key makes it look like a batch behind damage. */
		assert_int_equal(try_open(copy, false, &after, &e),
				 knows ? ST_IO : ST_OK);
		if (!knows) {
			assert_null(get(after, NULL, &a, "forged"));
			assert_null(get(after, NULL, &a, "message"));
			assert_string_equal(get(after, NULL, &a, "first"), "1");
			kv_close(after);
		}
		kv_close(kv);
		remove_tree(copy);
		remove_tree(dir);
	}
}

/* --- processes that end ------------------------------------------------------------------------------------ */
/* Both in processes of their own: one that has threads may not fork under the thread sanitizer. */
static void deliver_and_end(const char *dir, size_t runs)
{
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
	struct blob_id id;

	deliver(kv, runs, &id);
	_exit(0); /* no close */
}

static void look_and_end(const char *dir, size_t runs)
{
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, dir);
	struct blob_id ids[BATCHES];

	/* The ids came about in the other processes. */
	for (size_t i = 0; i <= runs; i++)
		kv_upload_free(body(kv, BODY, (uint32_t)i + 1, &ids[i]));
	size_t n = count(kv, ids);
	kv_close(kv);
	_exit(n == runs + 1 ? 0 : 1);
}

static void a_process_that_just_ends_loses_nothing(void **state)
{
	(void)state;
	char dir[64];

	quick_dir(dir);
	for (size_t runs = 0; runs < BATCHES; runs++) {
		for (int part = 0; part < 2; part++) {
			pid_t pid = fork();
			if (pid == 0)
				(part == 0 ? deliver_and_end : look_and_end)(dir, runs);
			int how;
			assert_int_equal(waitpid(pid, &how, 0), pid);
			assert_int_equal(how, 0);
		}
	}
	remove_tree(dir);
}

/* The engine's repair has lost the row of the log's place: the rest of the store is not lost with it. */
static void a_place_that_is_lost_can_be_salvaged(void **state)
{
	(void)state;
	struct killed k = { 0 };
	struct err e;
	struct kv *kv;
	set_up(&k, 4096);
	kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, k.copy);
	kv->en->ops->batch_del(kv->en, SL(KV_KEY_PLACE));
	assert_int_equal(kv->en->ops->batch_write(kv->en, &e), ST_OK);
	kv_close(kv);
	assert_int_equal(try_open(k.copy, false, &kv, &e), ST_IO);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_int_equal(try_open(k.copy, true, &kv, &e), ST_OK);
	assert_int_equal(count(kv, k.ids), BATCHES);
	assert_int_equal(kv->log.at.seq, BATCHES);
	assert_true(kv->lost > 0);
	kv_close(kv);
	goes_on(k.copy, k.ids, BATCHES);
	tear_down(&k);
}

/* --- a segment in reserve ---------------------------------------------------------------------------------- */
static void wait_for_spare(struct kv *kv)
{
	kv_spare_want(kv);
	for (int i = 0; !kv->spare.ready; i++) {
		assert_true(i < 20000);
		usleep(1000);
	}
}

/* The log goes on in zeros, then in a segment that was the log's before: whose records, of every kind and at every
 * boundary, are nobody's any more. A kill at any moment finds what was acknowledged. */
static void spare_and_used_segments_carry_the_log_on(void **state)
{
	(void)state;
	char dir[64], copy[80], old[128], spare[128];
	struct blob_id ids[BATCHES];
	struct io_stat facts;
	struct err e;
	quick_dir(dir);
	snprintf(copy, sizeof(copy), "%s-copy", dir);
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
	kv->log.max_bytes = 1u << 20;
	for (size_t i = 0; i < BATCHES; i++) {
		if (i == 2) {
			wait_for_spare(kv);
			kv_log_leave(kv);
		} else if (i == 5) { /* the first one serves again */
			segment_path(old, dir, 2);
			wait_for_spare(kv);
			snprintf(spare, sizeof(spare), "%s/bodies/spare", dir);
			copy_tree(old, spare);
			assert_int_equal(truncate(spare, 1 << 20), 0);
			kv_log_leave(kv);
		}
		deliver(kv, i, &ids[i]);
		if (i >= 2) {
			segment_path(old, dir, kv->log.at.segment);
			assert_int_equal(io_stat_path(old, &facts, &e), ST_OK);
			assert_int_equal(facts.size,
					 1u << 20); /* there from its beginning */
		}
		copy_tree(dir, copy);
		struct kv *after = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, copy);
		assert_int_equal(count(after, ids), i + 1);
		assert_int_equal(after->log.at.seq, i + 1);
		kv_close(after);
		remove_tree(copy);
	}
	kv_close(kv);
	/* One that was given its number and holds nothing new is no damage, and does not stay. */
	segment_path(spare, dir, 99);
	copy_tree(old, spare);
	goes_on(dir, ids, BATCHES);
	assert_int_equal(access(spare, F_OK), -1);
	remove_tree(dir);
}

/* --- the engine fails -------------------------------------------------------------------------------------- */
/* The rocksdb engine, with a batch_write that fails when it is told to. */
static struct kv_engine_ops ops;
static enum status (*real_write)(struct kv_engine *en, struct err *e);
static int fail_writes;

static enum status failing_write(struct kv_engine *en, struct err *e)
{
	if (fail_writes == 0)
		return real_write(en, e);
	fail_writes--;
	en->ops->batch_drop(en);
	return err_set(e, ERR_IO, "the engine was asked to fail");
}

/* The log has the batch, the engine refuses: it is opened again, and the answer is yes and readable. */
static void an_engine_that_refuses_after_the_log_is_opened_again(void **state)
{
	(void)state;
	char dir[64];
	struct blob_id ids[BATCHES];
	AUTO_ARENA a = { 0 };
	quick_dir(dir);
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
	ops = *kv->en->ops;
	real_write = ops.batch_write;
	ops.batch_write = failing_write;
	kv->en->ops = &ops;
	for (size_t i = 0; i < BATCHES; i++) {
		if (i == 4)
			kv_log_leave(kv); /* over a segment's end as well */
		fail_writes = i % 3 == 1;
		deliver(kv, i, &ids[i]);
		assert_int_equal(count(kv, ids), i + 1);
	}
	/* And when the engine cannot be had at all, the store stops, and has it after the next start. */
	fail_writes = 1000;
	struct kv_txn *t = begin(kv, 1);
	struct err e;
	put(t, "late", "1");
	assert_int_equal(kv_commit_wait(t, &e), ST_IO);
	assert_int_equal(e.code, ERR_STOPPED);
	kv_close(kv);
	fail_writes = 0;
	kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
	assert_string_equal(get(kv, NULL, &a, "late"), "1");
	assert_int_equal(count(kv, ids), BATCHES);
	kv_close(kv);
	remove_tree(dir);
}

static enum status no_reopen(struct kv_engine *en, slice key,
			     enum status (*replay)(void *ctx, slice row, struct err *e),
			     void *ctx, struct err *e)
{
	(void)en;
	(void)key;
	(void)replay;
	(void)ctx;
	return err_set(e, ERR_DISK_FULL, "the disk is full");
}

/* The batch that the keeper waits for is in the log, and the engine has no disk for it. */
static void a_close_waits_for_no_disk_space(void **state)
{
	(void)state;
	char dir[64];
	struct blob_id ids[BATCHES];
	struct blob_id none = { { 1 } };
	quick_dir(dir);
	struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
	deliver(kv, 0, &ids[0]);
	struct kv_txn *t = begin(kv, 1);
	kv_blob_unref(t, &none);
	commit_ok(t);
	ops = *kv->en->ops;
	real_write = ops.batch_write;
	ops.batch_write = failing_write;
	ops.reopen = no_reopen;
	fail_writes = 1;
	kv->en->ops = &ops;
	kv_keeper_wake(kv);
	struct kv_stat s, s2;
	kv_stat(kv, &s);
	do { /* until the log has it */
		usleep(1000);
		kv_stat(kv, &s2);
	} while (s2.bytes_log == s.bytes_log);
	alarm(60);
	kv_close(kv);
	alarm(0);
	kv = open_kv(KV_ROCKSDB, KV_COMMIT_THREAD, dir);
	assert_int_equal(count(kv, ids), 1);
	kv_close(kv);
	remove_tree(dir);
}

/* --- files that fail --------------------------------------------------------------------------------------- */
struct nth {
	int left, number;
	enum io_op op;
	bool any, fired;
};
static int fail_nth(void *ctx, enum io_op op)
{
	struct nth *f = ctx;
	if ((!f->any && op != f->op) || --f->left != 0)
		return 0;
	f->fired = true;
	return f->number;
}

/* Each call in turn fails while batches are written over two segments' ends: what was acknowledged is there after a
 * restart, what was refused is not, and but for a failed sync the store goes on. */
static void any_call_that_fails_loses_nothing(void **state)
{
	(void)state;
	static const int numbers[] = { ENOSPC, EIO };
	for (size_t kind = 0; kind < 2; kind++) {
		bool fired = true;
		for (int nth = 1; fired; nth++) {
			char dir[64];
			struct nth f = { nth, numbers[kind], 0, true, false };
			enum { N = 6 };
			enum status got[N];
			enum err_code why[N];
			struct err e;
			quick_dir(dir);
			struct kv *kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, dir);
			kv->log.max_bytes = 4096;
			io_set_fault(fail_nth, &f);
			for (size_t i = 0; i < N; i++) {
				AUTO_ARENA a = { 0 };
				struct kv_txn *t;
				uint32_t one = 1;
				struct blob_id id;
				got[i] = kv_begin(kv, &one, 1, NULL, &t, &e);
				if (got[i] == ST_OK) {
					kv_put(t, arena_fmt(&a, "row%02zu", i), SL("x"));
					kv_txn_blob(t, body(kv, BODY, (uint32_t)i, &id));
					got[i] = kv_commit_wait(t, &e);
				}
				why[i] = got[i] == ST_OK ? ERR_NONE : e.code;
			}
			io_set_fault(NULL, NULL);
			fired = f.fired;
			kv_close(kv);
			kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, dir);
			bool stopped = false;
			for (size_t i = 0; i < N; i++) {
				AUTO_ARENA a = { 0 };
				const char *v =
					get(kv, NULL, &a, arena_fmt(&a, "row%02zu", i).p);
				if (got[i] == ST_OK) {
					assert_false(stopped);
					assert_string_equal(v, "x");
				} else if (why[i] != ERR_STOPPED) {
					assert_null(v);
				}
				stopped |= why[i] == ERR_STOPPED;
			}
			kv_close(kv);
			remove_tree(dir);
		}
	}
}

/* While a store is made, too: what is left is made into one by the next that opens it. */
static void making_a_store_can_fail_anywhere(void **state)
{
	(void)state;
	bool fired = true;
	for (int nth = 1; fired; nth++) {
		char dir[64], inner[80];
		struct nth f = { nth, EIO, 0, true, false };
		struct kv *kv;
		struct err e;
		quick_dir(dir);
		snprintf(inner, sizeof(inner), "%s/store", dir);
		io_set_fault(fail_nth, &f);
		enum status st = try_open(inner, false, &kv, &e);
		io_set_fault(NULL, NULL);
		fired = f.fired;
		if (st == ST_OK)
			kv_close(kv);
		if (try_open(inner, false, &kv, &e) != ST_OK)
			fail_msg("after call %d failed: %s", nth, e.text);
		struct kv_txn *t = begin(kv, 1);
		put(t, "a", "1");
		commit_ok(t);
		kv_close(kv);
		kv = open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, inner);
		AUTO_ARENA a = { 0 };
		assert_string_equal(get(kv, NULL, &a, "a"), "1");
		kv_close(kv);
		remove_tree(dir);
	}
}

/* --- reading alone ----------------------------------------------------------------------------------------- */
static void a_store_opened_to_be_read_is_not_written(void **state)
{
	(void)state;
	struct killed k = { 0 };
	struct kv_options o = { .dir = NULL,
				.mode = KV_COMMIT_INLINE,
				.read_only = true };
	struct kv *kv;
	struct kv_txn *t;
	struct err e;
	uint32_t one = 1;
	set_up(&k, 0);
	o.dir = k.copy;
	assert_int_equal(kv_open(&o, &kv, &e),
			 ST_INVALID); /* it would have to be replayed */
	assert_non_null(strstr(e.text, "was not closed"));
	kv_close(open_kv(KV_ROCKSDB, KV_COMMIT_INLINE, k.copy));
	assert_int_equal(kv_open(&o, &kv, &e), ST_OK);
	assert_int_equal(count(kv, k.ids), BATCHES);
	assert_int_equal(kv_begin(kv, &one, 1, NULL, &t, &e), ST_DENIED);
	kv_close(kv);
	tear_down(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_process_that_just_ends_loses_nothing), /* first: it forks */
		cmocka_unit_test(a_tail_torn_at_any_octet_is_left_out),
		cmocka_unit_test(a_tail_torn_in_pages_is_left_out),
		cmocka_unit_test(a_torn_batch_does_not_hide_its_successor),
		cmocka_unit_test(a_torn_first_record_of_a_segment_is_left_out),
		cmocka_unit_test(damage_before_the_end_is_refused_and_can_be_salvaged),
		cmocka_unit_test(damage_of_a_body_does_not_stop_the_log),
		cmocka_unit_test(a_log_that_was_cut_short_is_refused),
		cmocka_unit_test(a_record_inside_a_body_is_not_taken),
		cmocka_unit_test(a_place_that_is_lost_can_be_salvaged),
		cmocka_unit_test(spare_and_used_segments_carry_the_log_on),
		cmocka_unit_test(an_engine_that_refuses_after_the_log_is_opened_again),
		cmocka_unit_test(a_close_waits_for_no_disk_space),
		cmocka_unit_test(any_call_that_fails_loses_nothing),
		cmocka_unit_test(making_a_store_can_fail_anywhere),
		cmocka_unit_test(a_store_opened_to_be_read_is_not_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
