/* kv_open.c — opening and closing a store.
 *
 *	DIR/FORMAT    whose it is, its version, the log's key (kv_format.c)
 *	DIR/meta/     the engine's files
 *	DIR/bodies/   the segments: log and bulk */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/io.h"
#include <zstd.h>

#define CACHE_DEFAULT (64u << 20)
#define PATH_ROOM     4096

static enum status join(char dst[PATH_ROOM], const char *dir, const char *name,
			struct err *e)
{
	int n = snprintf(dst, PATH_ROOM, "%s/%s", dir, name);
	if (n < 0 || n >= PATH_ROOM - 32)
		return err_set(e, ERR_CANNOT, "the path %s is too long", dir);
	return ST_OK;
}

/* The engine has everything, and nothing of the log is older than this. */
static enum status begin_log(struct kv *kv, struct err *e)
{
	enum status st;

	kv_log_place_put(kv);
	if ((st = kv->en->ops->batch_write(kv->en, e)) != ST_OK)
		return st;
	return kv->en->ops->flush(kv->en, e);
}

/* How the engine is to be opened for what DIR/FORMAT says. */
static enum status look_at_format(struct kv *kv, const struct kv_options *opt,
				  enum kv_rocksdb_how *out, struct err *e)
{
	bool making = false;
	enum status st = kv_format_read(opt->dir, &kv->format, &making, e);

	if (st == ST_OK) {
		kv->format_was = kv->format.number;
		*out = opt->read_only ? KV_ROCKSDB_READ : KV_ROCKSDB_OPEN;
		return ST_OK;
	}
	if (st != ST_NOT_FOUND || opt->read_only_probe || opt->read_only)
		return st;
	*out = KV_ROCKSDB_MAKE;
	return kv_format_begin(opt->dir, e);
}

/* What was made or is of an older format becomes a store of today's; else the log is read. */
static enum status settle(struct kv *kv, const struct kv_options *opt, struct err *e)
{
	bool fresh = kv->format_was == 0;
	enum status st;

	if (kv->format_was == KV_FORMAT) {
		kv->log.key = kv->format.key;
		st = kv_replay_open(kv, opt->read_only, opt->salvage, e);
	} else if (opt->read_only) {
		return ST_OK; /* of format 1, whose log the engine has read */
	} else {
		kv->log.at.next_no = kv->segs.next_no;
		if ((st = begin_log(kv, e)) == ST_OK)
			st = kv_format_write(opt->dir, &kv->format, e);
		kv->log.key = kv->format.key;
	}
	return st == ST_OK && fresh ? kv_format_end(opt->dir, e) : st;
}

static enum status open_files(struct kv *kv, const struct kv_options *opt, struct err *e)
{
	char meta[PATH_ROOM], bodies[PATH_ROOM];
	size_t n = strlen(opt->dir) + 1;
	enum kv_rocksdb_how how = KV_ROCKSDB_OPEN;
	enum status st;

	if ((st = look_at_format(kv, opt, &how, e)) != ST_OK ||
	    (st = join(meta, opt->dir, "meta", e)) != ST_OK ||
	    (st = join(bodies, opt->dir, "bodies", e)) != ST_OK)
		return st;
	if (kv->format_was == 0 && ((st = io_mkdir(meta, 0700, e)) != ST_OK ||
				    (st = io_mkdir(bodies, 0700, e)) != ST_OK ||
				    (st = io_sync_dir(opt->dir, e)) != ST_OK))
		return st;
	kv->dir = mem_new(n);
	memcpy(kv->dir, opt->dir, n);
	/* The engine first: its LOCK file is what keeps two programs apart. */
	st = kv_rocksdb_open(meta, how,
			     opt->cache_bytes ? opt->cache_bytes : CACHE_DEFAULT, &kv->en,
			     e);
	if (st == ST_OK)
		st = kv_segs_open(&kv->segs, bodies, e);
	if (st == ST_OK && !opt->read_only)
		kv_spare_open(kv);
	return st == ST_OK ? settle(kv, opt, e) : st;
}

static void kv_free(struct kv *kv)
{
	if (kv->en)
		kv->en->ops->close(kv->en);
	if (kv->segs.next_no)
		kv_segs_close(&kv->segs);
	kv_lock_done(kv);
	kv_gc_done(kv);
	for (struct kv_txn *t = kv->free_txns, *next; t; t = next) {
		next = t->next;
		arena_release(&t->rows);
		arena_release(&t->user);
		mem_free(t);
	}
	for (struct kv_upload *u = kv->free_uploads, *next; u; u = next) {
		next = u->next;
		EVP_MD_CTX_free(u->sha);
		mem_free(u);
	}
	for (size_t i = 0; i < kv->n_scratch; i++)
		mem_free(kv->scratch[i]);
	for (size_t i = 0; i < kv->n_zstd; i++)
		ZSTD_freeDCtx(kv->zstd[i]);
	mem_free(kv->batch.t);
	mem_free(kv->batch.iov);
	mem_free(kv->batch.slots);
	mem_free(kv->batch.rows);
	buf_done(&kv->batch.row);
	kv_log_done(&kv->log);
	mem_free(kv->blobs.rows);
	EVP_MD_free(kv->sha256);
	pthread_mutex_destroy(&kv->mu);
	pthread_mutex_destroy(&kv->commit_mu);
	pthread_mutex_destroy(&kv->scratch_mu);
	pthread_mutex_destroy(&kv->blobs.mu);
	pthread_cond_destroy(&kv->work);
	mem_free(kv->dir);
	mem_free(kv);
}

enum status kv_open(const struct kv_options *opt, struct kv **out, struct err *e)
{
	struct kv *kv = mem_new(sizeof(*kv));
	enum status st;

	kv->mode = opt->mode;
	kv->reserve = opt->reserve_bytes;
	kv->reserve_last = opt->reserve_last_bytes ? opt->reserve_last_bytes
						   : opt->reserve_bytes / 8;
	kv->batch_bytes = KV_BATCH_BYTES;
	kv->read_only = opt->read_only;
	kv_log_init(&kv->log);
	kv_queue_init(&kv->queue);
	pthread_mutex_init(&kv->mu, NULL);
	pthread_mutex_init(&kv->commit_mu, NULL);
	pthread_mutex_init(&kv->scratch_mu, NULL);
	pthread_mutex_init(&kv->blobs.mu, NULL);
	pthread_mutex_init(&kv->gc.mu, NULL);
	pthread_mutex_init(&kv->gc.pass_mu, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&kv->work, &monotonic);
	pthread_condattr_destroy(&monotonic);
	kv->wake_at = SIZE_MAX; /* until the committer sleeps */
	clock_init_real(&kv->clock);
	random_bytes(&kv->hash_key, sizeof(kv->hash_key));
	kv->blobs.rows = mem_array(KV_BLOB_CACHE, sizeof(*kv->blobs.rows));
	buf_init(&kv->batch.row, LIMIT_VALUE);
	kv->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!kv->sha256) {
		st = err_set(e, ERR_IO, "SHA-256 is not available");
	} else if (opt->engine == KV_MEMORY) {
		kv->en = kv_memory_new();
		random_bytes(&kv->log.key, sizeof(kv->log.key));
		st = kv_segs_open(&kv->segs, NULL, e);
	} else {
		st = open_files(kv, opt, e);
	}
	if (st == ST_OK && kv->dir) {
		uint64_t n;
		st = io_free_bytes(kv->dir, &n, e);
		kv->disk_free = st == ST_OK ? n : 0;
	}
	if (st == ST_OK)
		st = kv_gc_open(kv, e);
	if (st == ST_OK && kv->mode == KV_COMMIT_THREAD && !kv->read_only)
		st = kv_keeper_start(kv, e);
	if (st == ST_OK && kv->mode == KV_COMMIT_THREAD &&
	    pthread_create(&kv->thread, NULL, kv_commit_thread, kv) != 0)
		st = err_set(e, ERR_IO, "the committer thread cannot be started");
	if (st != ST_OK) {
		kv_keeper_stop(kv);
		kv_free(kv);
		return st;
	}
	*out = kv;
	return ST_OK;
}

enum status kv_repair(const char *dir, struct err *e)
{
	char meta[PATH_ROOM];
	enum status st = join(meta, dir, "meta", e);

	return st == ST_OK ? kv_rocksdb_repair(meta, e) : st;
}

enum status kv_rewrite(const char *dir, uint64_t *out_gaps, struct err *e)
{
	char meta[PATH_ROOM], fresh[PATH_ROOM], old[PATH_ROOM];
	enum status st = join(meta, dir, "meta", e);

	if (st == ST_OK)
		st = join(fresh, dir, "meta.new", e);
	if (st == ST_OK)
		st = join(old, dir, "meta.damaged", e);
	if (st == ST_OK)
		st = kv_rocksdb_copy(meta, NULL, out_gaps, e);
	if (st != ST_OK || *out_gaps == 0)
		return st;
	st = io_remove_tree(fresh, e);
	if (st == ST_OK)
		st = kv_rocksdb_copy(meta, fresh, out_gaps, e);
	if (st == ST_OK)
		st = io_remove_tree(old, e);
	if (st == ST_OK) /* at once: there is no moment without rows */
		st = io_exchange(fresh, meta, e);
	return st == ST_OK ? io_rename(fresh, old, e) : st;
}

void kv_close(struct kv *kv)
{
	if (!kv)
		return;
	kv->ending = true; /* the keeper may wait for a commit, and that for disk space */
	kv_keeper_stop(kv);
	if (kv->mode == KV_COMMIT_THREAD) {
		pthread_mutex_lock(&kv->mu);
		kv->closing = true;
		pthread_cond_signal(&kv->work);
		pthread_mutex_unlock(&kv->mu);
		pthread_join(kv->thread, NULL);
	} else {
		kv_commit_run(kv, true);
	}
	/* Nothing is left to replay. When that fails, there is: the log has it. */
	struct err e;
	if (!kv->engine_shut && kv->en->ops->flush(kv->en, &e) != ST_OK)
		kv->engine_shut = true;
	kv_free(kv);
}

void kv_stat(struct kv *kv, struct kv_stat *out)
{
	const struct kv_stats *s = &kv->stats;

	*out = (struct kv_stat){
		.batches = s->batches,
		.txns = s->txns,
		.syncs = s->syncs,
		.bytes_log = s->bytes_log,
		.bytes_rows = s->bytes_rows,
		.blobs_new = s->blobs_new,
		.blobs_known = s->blobs_known,
		.rows_put = s->rows_put,
		.disk_free = kv->disk_free,
		.stopped = kv->stopped,
		.format_was = kv->format_was,
		.replayed = kv->replayed,
		.lost = kv->lost,
	};
	pthread_mutex_lock(&kv->gc.mu);
	out->collected = kv->gc.sum;
	pthread_mutex_unlock(&kv->gc.mu);
}
