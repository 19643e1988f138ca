/* kv_open.c — opening and closing a store.
 *
 *	DIR/FORMAT    "facteur store 1"
 *	DIR/meta/     the engine's files
 *	DIR/bodies/   the segments */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/io.h"
#include <zstd.h>

#define FORMAT	      "facteur store 1\n"
#define FORMAT_NAME   "facteur store "
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

/* The file FORMAT says whose directory this is. Whatever is not ours is left as it is. */
static enum status check_format(const char *dir, bool probe, struct err *e)
{
	char path[PATH_ROOM], meta[PATH_ROOM];
	AUTO_BUF b = { 0 };
	enum status st;

	if ((st = join(path, dir, "FORMAT", e)) != ST_OK ||
	    (st = join(meta, dir, "meta", e)) != ST_OK)
		return st;
	buf_init(&b, 256);
	st = io_read_file(path, 256, &b, e);
	if (st == ST_OK) {
		slice s = buf_slice(&b);
		if (slice_eq(s, SL(FORMAT)))
			return ST_OK;
		if (slice_starts(s, SL(FORMAT_NAME)))
			return err_set(
				e, ERR_CANNOT,
				"%s was written by another version of Facteur (\"%.*s\"); "
				"this one reads \"facteur store 1\"",
				dir, FMT(slice_sub(slice_trim(s), 0, 40)));
		return err_set(
			e, ERR_CANNOT,
			"%s is not a store of Facteur: its file FORMAT says something else",
			dir);
	}
	if (st == ST_LIMIT)
		return err_set(
			e, ERR_CANNOT,
			"%s is not a store of Facteur: its file FORMAT says something else",
			dir);
	if (st != ST_NOT_FOUND)
		return st;
	if (probe) {
		err_set(e, ERR_CANNOT, "there is no store in %s", dir);
		return ST_NOT_FOUND;
	}
	if (access(meta, F_OK) == 0)
		return err_set(
			e, ERR_CANNOT,
			"%s is not a store of Facteur: it has meta but no file FORMAT",
			dir);
	if ((st = io_mkdir(dir, 0700, e)) != ST_OK)
		return st;
	return io_write_file(path, SL(FORMAT), 0600, e);
}

static enum status open_files(struct kv *kv, const struct kv_options *opt, struct err *e)
{
	char meta[PATH_ROOM], bodies[PATH_ROOM];
	size_t n = strlen(opt->dir) + 1;
	enum status st;

	if ((st = check_format(opt->dir, opt->read_only_probe, e)) != ST_OK ||
	    (st = join(meta, opt->dir, "meta", e)) != ST_OK ||
	    (st = join(bodies, opt->dir, "bodies", e)) != ST_OK ||
	    (st = io_mkdir(meta, 0700, e)) != ST_OK ||
	    (st = io_mkdir(bodies, 0700, e)) != ST_OK ||
	    (st = io_sync_dir(opt->dir, e)) != ST_OK)
		return st;
	kv->dir = mem_new(n);
	memcpy(kv->dir, opt->dir, n);
	/* The engine first: its LOCK file is what keeps two programs apart. */
	st = kv_rocksdb_open(meta, opt->cache_bytes ? opt->cache_bytes : CACHE_DEFAULT,
			     &kv->en, e);
	if (st == ST_OK)
		st = kv_segs_open(&kv->segs, bodies, e);
	return st;
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
	if (st == ST_OK && kv->mode == KV_COMMIT_THREAD)
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

void kv_close(struct kv *kv)
{
	if (!kv)
		return;
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
	};
}
