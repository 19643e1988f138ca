/* kv_rocksdb.c — the embedded engine. Every call of RocksDB's C API in the program is in this file.
 *
 * One database, one column family, no write-ahead log: what the memtables held at a crash comes back from ours
 * (kv_replay.c), because a flush carries the row of its place along. Writes come from the committer alone, so
 * everything that serves concurrent writers is off. When its write path latches for want of disk space (the C API has
 * no Resume), reads go on from the open handle, and it is opened again in place; `use` keeps readers out of that
 * moment. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "kv/kv_engine.h"
#include "kv/kv_log.h"
#include <pthread.h>
#include <rocksdb/c.h>

struct rocks {
	struct kv_engine en;
	pthread_rwlock_t
		use; /* readers of db; written while it is closed and opened again */
	rocksdb_t *db;
	char *dir;
	rocksdb_options_t *opt;
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write, *probe;
	rocksdb_flushoptions_t *flush;
	rocksdb_cache_t *cache;
	rocksdb_writebatch_t *batch, *nothing;
	size_t batch_bytes;
	uint64_t faults; /* background errors it had when it was opened */
	bool read_only;
};

struct kv_iter {
	struct rocks *r;
	rocksdb_iterator_t *it;
	rocksdb_readoptions_t *read;
	bool reverse;
};

#define LEVEL_FATAL 4 /* of RocksDB's log of events */
#define REOPEN_ROOM (4u << 20)
#define BATCH_KEPT  (8u << 20) /* a larger write batch gives its memory back */

/* "IO error: No space left on device: While fdatasync: PATH: …": the step is named before the path, which may hold
 * any word. */
static bool is_sync(const char *text)
{
	const char *step = strstr(text, "While ");
	slice s = step ? slice_make(step, strcspn(step, ":")) : SL("");

	return slice_find(s, SL("sync"), 0) < s.n;
}

/* Status texts are all the C API has; only these two distinctions matter. */
static enum status fail(struct err *e, char *text, const char *what)
{
	bool full = strstr(text, "No space left") || strstr(text, "Disk quota");
	enum err_code code = full && !is_sync(text) ? ERR_DISK_FULL : ERR_IO;
	if (strncmp(text, "Corruption", 10) == 0)
		code = ERR_CORRUPT;
	err_set(e, code, "%s: %s", what, text);
	rocksdb_free(text);
	return code == ERR_DISK_FULL ? ST_FULL : ST_IO;
}

static enum status closed(struct err *e)
{
	return err_set(e, ERR_DISK_FULL,
		       "the metadata is closed until there is disk space");
}

static enum status get(struct kv_engine *en, slice key, struct arena *a, slice *out,
		       struct err *e)
{
	struct rocks *r = (struct rocks *)en;
	char *text = NULL;
	enum status st = ST_NOT_FOUND;

	pthread_rwlock_rdlock(&r->use);
	if (!r->db) {
		pthread_rwlock_unlock(&r->use);
		return closed(e);
	}
	rocksdb_pinnableslice_t *v =
		rocksdb_get_pinned(r->db, r->read, key.p, key.n, &text);
	if (text) {
		st = fail(e, text, "read of a row");
	} else if (v) {
		size_t n;
		const char *p = rocksdb_pinnableslice_value(v, &n);
		*out = arena_dup(a, slice_make(p, n));
		st = ST_OK;
	}
	if (v)
		rocksdb_pinnableslice_destroy(v);
	pthread_rwlock_unlock(&r->use);
	return st;
}

static struct kv_iter *iter_new(struct kv_engine *en, const struct kv_range *range)
{
	struct rocks *r = (struct rocks *)en;
	struct kv_iter *it = mem_new(sizeof(*it));

	it->r = r;
	it->reverse = range->reverse;
	pthread_rwlock_rdlock(&r->use);
	if (!r->db)
		return it;
	/* The bounds are borrowed until iter_free: kv_scan's caller holds them. */
	it->read = rocksdb_readoptions_create();
	rocksdb_readoptions_set_ignore_range_deletions(it->read,
						       1); /* none are written */
	if (range->to.n)
		rocksdb_readoptions_set_iterate_upper_bound(it->read, range->to.p,
							    range->to.n);
	if (range->from.n)
		rocksdb_readoptions_set_iterate_lower_bound(it->read, range->from.p,
							    range->from.n);
	it->it = rocksdb_create_iterator(r->db, it->read);
	if (range->reverse)
		rocksdb_iter_seek_to_last(it->it);
	else
		rocksdb_iter_seek(it->it, range->from.p, range->from.n);
	return it;
}

static void iter_next(struct kv_iter *it)
{
	if (it->reverse)
		rocksdb_iter_prev(it->it);
	else
		rocksdb_iter_next(it->it);
}

/* The log's place is nobody's row. */
static bool iter_row(struct kv_iter *it, slice *out_key, slice *out_value)
{
	while (it->it && rocksdb_iter_valid(it->it)) {
		out_key->p = rocksdb_iter_key(it->it, &out_key->n);
		if (!slice_eq(*out_key, SL(KV_KEY_PLACE))) {
			out_value->p = rocksdb_iter_value(it->it, &out_value->n);
			return true;
		}
		iter_next(it);
	}
	return false;
}

static enum status iter_free(struct kv_iter *it, struct err *e)
{
	enum status st = ST_OK;

	if (it->it) {
		char *text = NULL;
		rocksdb_iter_get_error(it->it, &text);
		if (text)
			st = fail(e, text, "scan of rows");
		rocksdb_iter_destroy(it->it);
		rocksdb_readoptions_destroy(it->read);
	} else {
		st = closed(e);
	}
	pthread_rwlock_unlock(&it->r->use);
	mem_free(it);
	return st;
}

static void batch_put(struct kv_engine *en, slice key, slice value)
{
	struct rocks *r = (struct rocks *)en;
	r->batch_bytes += key.n + value.n;
	rocksdb_writebatch_put(r->batch, key.p, key.n, value.p, value.n);
}

static void batch_del(struct kv_engine *en, slice key)
{
	struct rocks *r = (struct rocks *)en;
	r->batch_bytes += key.n;
	rocksdb_writebatch_delete(r->batch, key.p, key.n);
}

static void batch_drop(struct kv_engine *en)
{
	struct rocks *r = (struct rocks *)en;
	if (r->batch_bytes > BATCH_KEPT) {
		rocksdb_writebatch_destroy(r->batch);
		r->batch = rocksdb_writebatch_create();
	} else {
		rocksdb_writebatch_clear(r->batch);
	}
	r->batch_bytes = 0;
}

/* Recovery writes the memtables out. Without room for that the old handle stays, and with it the reads. */
static enum status has_room(struct rocks *r, struct err *e)
{
	uint64_t need = 0, left;
	enum status st = io_free_bytes(r->dir, &left, e);

	if (st != ST_OK)
		return st;
	if (r->db)
		rocksdb_property_int(r->db, "rocksdb.cur-size-all-mem-tables", &need);
	if (left < need + REOPEN_ROOM)
		return err_set(e, ERR_DISK_FULL,
			       "the disk is full: the metadata needs %llu MB",
			       (unsigned long long)((need + REOPEN_ROOM) >> 20));
	return ST_OK;
}

static uint64_t faults_of(struct rocks *r)
{
	uint64_t n = 0;

	rocksdb_property_int(r->db, "rocksdb.background-errors", &n);
	return n;
}

/* Row of key, read by whoever holds `use` for writing. */
static enum status row_of(struct rocks *r, slice key, struct buf *out, struct err *e)
{
	char *text = NULL;
	size_t n;
	char *v = rocksdb_get(r->db, r->read, key.p, key.n, &n, &text);

	if (text)
		return fail(e, text, "read of a row");
	if (v)
		buf_add(out, slice_make(v, n));
	rocksdb_free(v);
	return ST_OK;
}

static enum status reopen(struct kv_engine *en, slice key,
			  enum status (*replay)(void *ctx, slice row, struct err *e),
			  void *ctx, struct err *e)
{
	struct rocks *r = (struct rocks *)en;
	char *text = NULL;
	AUTO_BUF row = { 0 };
	enum status st = has_room(r, e);

	if (st != ST_OK)
		return st;
	buf_init(&row, LIMIT_VALUE);
	pthread_rwlock_wrlock(&r->use);
	if (r->db)
		rocksdb_close(r->db);
	r->db = rocksdb_open(r->opt, r->dir, &text);
	if (text) {
		r->db = NULL;
		st = fail(e, text, "reopening the metadata");
	} else {
		r->faults = faults_of(r);
		st = row_of(r, key, &row, e);
		if (st == ST_OK)
			st = replay(ctx, buf_slice(&row), e);
		/* Half of it must not be read. */
		if (st != ST_OK) {
			rocksdb_close(r->db);
			r->db = NULL;
		}
	}
	pthread_rwlock_unlock(&r->use);
	return st;
}

/* Nothing is written, by the path that a batch takes. A stall while the engine works is waited for; while it cannot
 * write its tables it would be for ever. */
static enum status ready(struct kv_engine *en, struct err *e)
{
	struct rocks *r = (struct rocks *)en;
	char *text = NULL;

	/* of this thread: nobody reads the counts */
	rocksdb_set_perf_level(rocksdb_disable);
	/* The committer alone changes db, so it reads it without the lock. */
	rocksdb_write(r->db, r->probe, r->nothing, &text);
	if (text && strncmp(text, "Result incomplete", 17) == 0 &&
	    faults_of(r) == r->faults) {
		rocksdb_free(text);
		text = NULL;
		rocksdb_write(r->db, r->write, r->nothing, &text);
	}
	if (!text)
		return ST_OK;
	if (strncmp(text, "Result incomplete", 17) == 0) {
		rocksdb_free(text);
		return err_set(e, ERR_DISK_FULL, "the metadata waits for disk space");
	}
	enum status st = fail(e, text, "write of rows");
	if (st != ST_FULL)
		e->code = ERR_STOPPED;
	return st;
}

static enum status batch_write(struct kv_engine *en, struct err *e)
{
	struct rocks *r = (struct rocks *)en;
	char *text = NULL;

	rocksdb_write(r->db, r->write, r->batch, &text);
	batch_drop(en);
	return text ? fail(e, text, "write of rows") : ST_OK;
}

static enum status flush(struct kv_engine *en, struct err *e)
{
	struct rocks *r = (struct rocks *)en;
	char *text = NULL;
	enum status st = ST_OK;

	if (r->read_only)
		return ST_OK;
	pthread_rwlock_rdlock(&r->use);
	if (r->db)
		rocksdb_flush(r->db, r->flush, &text);
	else
		st = closed(e);
	pthread_rwlock_unlock(&r->use);
	return text ? fail(e, text, "writing out rows") : st;
}

static enum status checkpoint(struct kv_engine *en, const char *dir, struct err *e)
{
	struct rocks *r = (struct rocks *)en;
	rocksdb_checkpoint_t *c = NULL;
	char *text = NULL;
	enum status st = ST_OK;

	pthread_rwlock_rdlock(&r->use);
	if (!r->db)
		st = closed(e);
	else
		c = rocksdb_checkpoint_object_create(r->db, &text);
	if (c) {
		if (!text)
			rocksdb_checkpoint_create(c, dir, 0, &text);
		rocksdb_checkpoint_object_destroy(c);
	}
	pthread_rwlock_unlock(&r->use);
	return text ? fail(e, text, "a snapshot of the rows") : st;
}

static void rocks_close(struct kv_engine *en)
{
	struct rocks *r = (struct rocks *)en;

	if (r->db)
		rocksdb_close(r->db);
	rocksdb_writebatch_destroy(r->batch);
	rocksdb_writebatch_destroy(r->nothing);
	rocksdb_writeoptions_destroy(r->write);
	rocksdb_writeoptions_destroy(r->probe);
	rocksdb_flushoptions_destroy(r->flush);
	rocksdb_readoptions_destroy(r->read);
	rocksdb_options_destroy(r->opt);
	rocksdb_cache_destroy(r->cache);
	pthread_rwlock_destroy(&r->use);
	mem_free(r->dir);
	mem_free(r);
}

static const struct kv_engine_ops rocks_ops = {
	.get = get,
	.iter_new = iter_new,
	.iter_row = iter_row,
	.iter_next = iter_next,
	.iter_free = iter_free,
	.batch_put = batch_put,
	.batch_del = batch_del,
	.ready = ready,
	.batch_write = batch_write,
	.batch_drop = batch_drop,
	.flush = flush,
	.checkpoint = checkpoint,
	.reopen = reopen,
	.close = rocks_close,
};

static void tune(struct rocks *r, size_t cache_bytes)
{
	rocksdb_options_t *o = r->opt = rocksdb_options_create();

	rocksdb_options_set_max_background_jobs(o, 2);
	rocksdb_options_set_max_open_files(o, 512);
	/* Compaction reads tables from end to end: not block by block. */
	rocksdb_options_compaction_readahead_size(o, 1u << 20);
	/* One writer, already batched. */
	rocksdb_options_set_allow_concurrent_memtable_write(o, 0);
	rocksdb_options_set_enable_write_thread_adaptive_yield(o, 0);
	rocksdb_options_set_enable_pipelined_write(o, 0);
	rocksdb_options_set_unordered_write(o, 0);
	/* Memtables: few rows are looked for that are there (a new blob's hash never is). */
	rocksdb_options_set_write_buffer_size(o, 16u << 20);
	rocksdb_options_set_max_write_buffer_number(o, 3);
	rocksdb_options_set_memtable_whole_key_filtering(o, 1);
	rocksdb_options_set_memtable_prefix_bloom_size_ratio(o, 0.02);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
	rocksdb_options_set_compression(o, rocksdb_lz4_compression);
	rocksdb_options_set_min_level_to_compress(o, 1);
	/* Of a store of format 1: a torn record at the end of its log is the batch nobody was told about. */
	rocksdb_options_set_wal_recovery_mode(o, rocksdb_point_in_time_recovery);
	rocksdb_options_set_recycle_log_file_num(o, 0);
	rocksdb_options_set_bytes_per_sync(o, 1u << 20);
	rocksdb_options_set_stats_dump_period_sec(o, 0);
	/* Its log of events says nothing: on a full disk a library built with assertions aborts at the second line that
	 * it cannot write there. */
	rocksdb_options_set_info_log_level(o, LEVEL_FATAL);
	rocksdb_options_set_max_log_file_size(o, 4u << 20);
	rocksdb_options_set_keep_log_file_num(o, 4);
	/* Queues and change logs are eaten from one end: compact what is mostly tombstones. */
	rocksdb_options_add_compact_on_deletion_collector_factory(o, 10000, 5000);

	rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();
	r->cache = rocksdb_cache_create_lru(cache_bytes);
	rocksdb_block_based_options_set_block_cache(t, r->cache);
	rocksdb_block_based_options_set_filter_policy(
		t, rocksdb_filterpolicy_create_bloom_full(10));
	/* Index and filter in pieces of 4 KiB: whole, they outgrow a shard of the cache with a table of a few
	 * ten MB and are then read from disk and summed again for every get (4× the CPU of a delivery). */
	rocksdb_block_based_options_set_index_type(
		t, rocksdb_block_based_table_index_type_two_level_index_search);
	rocksdb_block_based_options_set_partition_filters(t, 1);
	rocksdb_block_based_options_set_pin_top_level_index_and_filter(t, 1);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(t, 1);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(
		t, 1);
	rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(t, 1);
	rocksdb_block_based_options_set_format_version(t, 5);
	rocksdb_options_set_block_based_table_factory(o, t);
	rocksdb_block_based_options_destroy(t);
}

static void make_options(struct rocks *r)
{
	r->read = rocksdb_readoptions_create();
	rocksdb_readoptions_set_ignore_range_deletions(r->read, 1);
	r->write = rocksdb_writeoptions_create();
	rocksdb_writeoptions_disable_WAL(r->write, 1);
	r->probe = rocksdb_writeoptions_create();
	rocksdb_writeoptions_disable_WAL(r->probe, 1);
	rocksdb_writeoptions_set_no_slowdown(r->probe, 1);
	r->flush = rocksdb_flushoptions_create();
	rocksdb_flushoptions_set_wait(r->flush, 1);
	r->batch = rocksdb_writebatch_create();
	r->nothing = rocksdb_writebatch_create();
}

enum status kv_rocksdb_open(const char *dir, enum kv_rocksdb_how how, size_t cache_bytes,
			    struct kv_engine **out, struct err *e)
{
	struct rocks *r = mem_new(sizeof(*r));
	char *text = NULL;
	size_t n = strlen(dir) + 1;

	r->en.ops = &rocks_ops;
	pthread_rwlock_init(&r->use, NULL);
	r->dir = mem_new(n);
	memcpy(r->dir, dir, n);
	r->read_only = how == KV_ROCKSDB_READ;
	tune(r, cache_bytes);
	make_options(r);
	rocksdb_options_set_create_if_missing(r->opt, how == KV_ROCKSDB_MAKE);
	r->db = r->read_only ? rocksdb_open_for_read_only(r->opt, dir, 0, &text)
			     : rocksdb_open(r->opt, dir, &text);
	if (text) {
		r->db = NULL;
		rocks_close(&r->en);
		if (strstr(text, "LOCK") || strstr(text, "lock hold")) {
			rocksdb_free(text);
			err_set(e, ERR_BUSY, "another facteur has %s open", dir);
			return ST_DENIED;
		}
		return fail(e, text, "opening the metadata");
	}
	rocksdb_options_set_create_if_missing(r->opt, 0);
	r->faults = faults_of(r);
	*out = &r->en;
	return ST_OK;
}

enum status kv_rocksdb_repair(const char *dir, struct err *e)
{
	struct rocks r = { .read_only = false };
	char *text = NULL;

	tune(&r, 8u << 20);
	rocksdb_repair_db(r.opt, dir, &text);
	rocksdb_options_destroy(r.opt);
	if (r.cache)
		rocksdb_cache_destroy(r.cache);
	return text ? fail(e, text, "repairing the metadata") : ST_OK;
}

/* --- what can be read of damaged tables, written anew --- */

#define GAP_KEY 32 /* the end of a gap is looked for in so many octets of a key */

struct copy {
	struct rocks *from;
	struct kv_engine *to; /* NULL: read alone */
	rocksdb_iterator_t *it;
	struct buf last; /* the last key that could be read */
};

/* Behind the last key, and readable there. */
static bool can_seek(struct copy *c, const unsigned char at[GAP_KEY])
{
	char *text = NULL;
	slice key;

	/* A new one: an old one remembers the block it failed at, or does not look again. */
	rocksdb_iter_destroy(c->it);
	c->it = rocksdb_create_iterator(c->from->db, c->from->read);
	rocksdb_iter_seek(c->it, (const char *)at, GAP_KEY);
	rocksdb_iter_get_error(c->it, &text);
	if (text) {
		rocksdb_free(text);
		return false;
	}
	if (!rocksdb_iter_valid(c->it))
		return true;
	key.p = rocksdb_iter_key(c->it, &key.n);
	return slice_cmp(key, buf_slice(&c->last)) > 0;
}

static void halfway(const unsigned char lo[GAP_KEY], const unsigned char hi[GAP_KEY],
		    unsigned char out[GAP_KEY])
{
	unsigned carry = 0;

	for (size_t i = GAP_KEY; i-- > 0;) {
		unsigned sum = lo[i] + hi[i] + carry;
		out[i] = (unsigned char)sum;
		carry = sum >> 8;
	}
	for (size_t i = 0; i < GAP_KEY; i++) {
		unsigned v = carry << 8 | out[i];
		out[i] = (unsigned char)(v >> 1);
		carry = v & 1;
	}
}

/* The iterator stands at the first row behind the damaged block, or at the end. */
static bool skip_gap(struct copy *c)
{
	unsigned char lo[GAP_KEY] = { 0 }, hi[GAP_KEY], mid[GAP_KEY];
	size_t n = c->last.n < GAP_KEY ? c->last.n : GAP_KEY;

	if (n > 0)
		memcpy(lo, c->last.p, n);
	memset(hi, 0xff, sizeof(hi));
	if (!can_seek(c, hi))
		return false;
	for (unsigned bit = 0; bit < 8 * GAP_KEY; bit++) {
		halfway(lo, hi, mid);
		memcpy(can_seek(c, mid) ? hi : lo, mid, sizeof(mid));
	}
	return can_seek(c, hi);
}

static enum status copy_row(struct copy *c, slice key, struct err *e)
{
	struct rocks *to = (struct rocks *)c->to;
	slice value;

	buf_reset(&c->last);
	buf_add(&c->last, key);
	if (!to)
		return ST_OK;
	value.p = rocksdb_iter_value(c->it, &value.n);
	batch_put(c->to, key, value);
	return to->batch_bytes > BATCH_KEPT / 2 ? batch_write(c->to, e) : ST_OK;
}

static enum status copy_rows(struct copy *c, uint64_t *out_gaps, struct err *e)
{
	enum status st = ST_OK;

	rocksdb_iter_seek_to_first(c->it);
	while (st == ST_OK) {
		char *text = NULL;

		for (; st == ST_OK && rocksdb_iter_valid(c->it);
		     rocksdb_iter_next(c->it)) {
			slice key;
			key.p = rocksdb_iter_key(c->it, &key.n);
			st = copy_row(c, key, e);
		}
		if (st != ST_OK)
			break;
		rocksdb_iter_get_error(c->it, &text);
		if (!text)
			break;
		if (strncmp(text, "Corruption", 10) != 0)
			return fail(e, text, "scan of rows");
		++*out_gaps;
		if (!c->to || !skip_gap(c)) {
			st = c->to ? fail(e, text, "scan of rows") : ST_OK;
			if (!c->to)
				rocksdb_free(text);
			break;
		}
		rocksdb_free(text);
	}
	if (st == ST_OK && c->to)
		st = batch_write(c->to, e);
	return st == ST_OK && c->to ? flush(c->to, e) : st;
}

enum status kv_rocksdb_copy(const char *dir, const char *to, uint64_t *out_gaps,
			    struct err *e)
{
	struct copy c = { 0 };
	struct kv_engine *from;
	AUTO_ARENA a = { 0 };
	slice place;

	*out_gaps = 0;
	enum status st = kv_rocksdb_open(dir, KV_ROCKSDB_READ, 8u << 20, &from, e);
	if (st != ST_OK)
		return st;
	st = get(from, SL(KV_KEY_PLACE), &a, &place, e);
	if (st == ST_NOT_FOUND)
		st = ST_OK;
	if (st == ST_OK && to)
		st = kv_rocksdb_open(to, KV_ROCKSDB_MAKE, 8u << 20, &c.to, e);
	if (st == ST_OK) {
		c.from = (struct rocks *)from;
		c.it = rocksdb_create_iterator(c.from->db, c.from->read);
		buf_init(&c.last, 64u << 10);
		st = copy_rows(&c, out_gaps, e);
		buf_done(&c.last);
		rocksdb_iter_destroy(c.it);
	}
	if (c.to)
		rocks_close(c.to);
	rocks_close(from);
	return st;
}
