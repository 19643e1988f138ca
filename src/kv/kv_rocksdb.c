/* kv_rocksdb.c — the embedded engine. Every call of RocksDB's C API in the program is in this file.
 *
 * One database, one column family, its own write-ahead log, every batch synced. Writes come from the committer
 * alone, so everything that serves concurrent writers is off. When its write path latches for want of disk space
 * (the C API has no Resume), reads go on from the open handle and the next batch reopens it in place; `use` keeps
 * readers out of that moment. */
#include "base/alloc.h"
#include "base/io.h"
#include "kv/kv_engine.h"
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
	rocksdb_writeoptions_t *write;
	rocksdb_cache_t *cache;
	rocksdb_writebatch_t *batch;
	size_t batch_bytes;
	bool latched; /* committer only */
};

struct kv_iter {
	struct rocks *r;
	rocksdb_iterator_t *it;
	rocksdb_readoptions_t *read;
	bool reverse;
};

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

static enum status get(struct kv_engine *en, slice key, struct arena *a, slice *out,
		       struct err *e)
{
	struct rocks *r = (struct rocks *)en;
	char *text = NULL;
	enum status st = ST_NOT_FOUND;

	pthread_rwlock_rdlock(&r->use);
	if (!r->db) {
		pthread_rwlock_unlock(&r->use);
		return err_set(e, ERR_DISK_FULL,
			       "the metadata is closed until there is disk space");
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

static bool iter_row(struct kv_iter *it, slice *out_key, slice *out_value)
{
	if (!it->it || !rocksdb_iter_valid(it->it))
		return false;
	out_key->p = rocksdb_iter_key(it->it, &out_key->n);
	out_value->p = rocksdb_iter_value(it->it, &out_value->n);
	return true;
}

static void iter_next(struct kv_iter *it)
{
	if (it->reverse)
		rocksdb_iter_prev(it->it);
	else
		rocksdb_iter_next(it->it);
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
		st = err_set(e, ERR_DISK_FULL,
			     "the metadata is closed until there is disk space");
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

static enum status reopen(struct rocks *r, struct err *e)
{
	char *text = NULL;
	enum status st = has_room(r, e);

	if (st != ST_OK)
		return st;
	pthread_rwlock_wrlock(&r->use);
	if (r->db)
		rocksdb_close(r->db);
	r->db = rocksdb_open(r->opt, r->dir, &text);
	if (text) {
		r->db = NULL;
		st = fail(e, text, "reopening the metadata");
	}
	pthread_rwlock_unlock(&r->use);
	r->latched = st != ST_OK;
	return st;
}

static enum status batch_write(struct kv_engine *en, struct err *e)
{
	struct rocks *r = (struct rocks *)en;
	char *text = NULL;

	if (r->latched && reopen(r, e) != ST_OK) {
		batch_drop(en);
		if (e->code != ERR_DISK_FULL)
			e->code = ERR_STOPPED;
		return err_status(e->code);
	}
	rocksdb_set_perf_level(
		rocksdb_disable); /* of this thread: nobody reads the counts */
	/* The committer alone changes db, so it reads it without the lock. */
	rocksdb_write(r->db, r->write, r->batch, &text);
	batch_drop(en);
	if (!text)
		return ST_OK;
	enum status st = fail(e, text, "write of rows");
	/* A full disk leaves at most a torn record, which recovery drops. After anything else (a failed sync most
	 * of all) the batch may be on the disk or not. */
	if (st == ST_FULL)
		r->latched = true;
	else
		e->code = ERR_STOPPED;
	return st;
}

static enum status closed(struct err *e)
{
	return err_set(e, ERR_DISK_FULL,
		       "the metadata is closed until there is disk space");
}

static enum status flush(struct kv_engine *en, struct err *e)
{
	struct rocks *r = (struct rocks *)en;
	rocksdb_flushoptions_t *o = rocksdb_flushoptions_create();
	char *text = NULL;
	enum status st = ST_OK;

	rocksdb_flushoptions_set_wait(o, 1);
	pthread_rwlock_rdlock(&r->use);
	if (r->db)
		rocksdb_flush(r->db, o, &text);
	else
		st = closed(e);
	pthread_rwlock_unlock(&r->use);
	rocksdb_flushoptions_destroy(o);
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
	rocksdb_writeoptions_destroy(r->write);
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
	.batch_write = batch_write,
	.batch_drop = batch_drop,
	.flush = flush,
	.checkpoint = checkpoint,
	.close = rocks_close,
};

static void tune(struct rocks *r, size_t cache_bytes)
{
	rocksdb_options_t *o = r->opt = rocksdb_options_create();

	rocksdb_options_set_create_if_missing(o, 1);
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
	rocksdb_options_set_write_buffer_size(o, 32u << 20);
	rocksdb_options_set_max_write_buffer_number(o, 3);
	rocksdb_options_set_memtable_whole_key_filtering(o, 1);
	rocksdb_options_set_memtable_prefix_bloom_size_ratio(o, 0.02);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
	rocksdb_options_set_compression(o, rocksdb_lz4_compression);
	rocksdb_options_set_min_level_to_compress(o, 1);
	/* A torn record at the end of the log is the batch nobody was told about; damage before it is damage. */
	rocksdb_options_set_wal_recovery_mode(o, rocksdb_point_in_time_recovery);
	rocksdb_options_set_recycle_log_file_num(o, 0);
	rocksdb_options_set_bytes_per_sync(o, 1u << 20);
	rocksdb_options_set_stats_dump_period_sec(o, 0);
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

enum status kv_rocksdb_open(const char *dir, size_t cache_bytes, struct kv_engine **out,
			    struct err *e)
{
	struct rocks *r = mem_new(sizeof(*r));
	char *text = NULL;
	size_t n = strlen(dir) + 1;

	r->en.ops = &rocks_ops;
	pthread_rwlock_init(&r->use, NULL);
	r->dir = mem_new(n);
	memcpy(r->dir, dir, n);
	tune(r, cache_bytes);
	r->read = rocksdb_readoptions_create();
	rocksdb_readoptions_set_ignore_range_deletions(r->read, 1);
	r->write = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(r->write, 1);
	r->batch = rocksdb_writebatch_create();
	r->db = rocksdb_open(r->opt, dir, &text);
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
	*out = &r->en;
	return ST_OK;
}
