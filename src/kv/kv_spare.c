/* kv_spare.c — a segment for the log that is there before it is needed: its octets are on the disk, so the sync of a batch
 * has no file size and no block map to write (docs/adr/0007-one-log.md has the figures).
 *
 * DIR/bodies/spare, made by the keeper's thread when the log's segment is half full: zeros, or a segment that the collector
 * freed (what is in it carries the old number, so none of it is ever taken for a record). It gets its number when the
 * log takes it. Without one the log goes on in a file that grows, and smaller. A spare is given back when disk is short. */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/io.h"
#include <fcntl.h>

#define ZERO_STEP (1u << 20)
/* The page cache keeps a file in the pieces it was first written in, and a batch that changes some octets of a piece
 * makes the kernel walk all of it: pieces are not much larger than batches. */
#define ZERO_PIECE    (16u << 10)
#define ZERO_PAUSE_US 2000

static void path_of(const struct kv *kv, const char *name, char dst[4096])
{
	snprintf(dst, 4096, "%s/%s", kv->segs.dir, name);
}

/* Is there so much disk that one more segment does not matter? */
static bool has_room(const struct kv *kv)
{
	return kv->disk_free / 16 > kv->log.max_bytes && kv->disk_free > 2 * kv->reserve;
}

static bool is_closing(struct kv *kv)
{
	pthread_mutex_lock(&kv->keeper.mu);
	bool closing = kv->keeper.closing;
	pthread_mutex_unlock(&kv->keeper.mu);
	return closing;
}

/* Step by step to the disk: the log's own sync must not wait behind all of it at once. */
static enum status write_step(int fd, const char *zeros, uint64_t at, struct err *e)
{
	enum status st = ST_OK;

	for (uint64_t end = at + ZERO_STEP; at < end && st == ST_OK; at += ZERO_PIECE)
		st = io_pwrite(fd, slice_make(zeros, ZERO_PIECE), at, e);
	if (st == ST_OK)
		st = io_fdatasync(fd, e);
	usleep(ZERO_PAUSE_US);
	return st;
}

static enum status write_zeros(struct kv *kv, int fd, struct err *e)
{
	char *zeros = mem_new(ZERO_PIECE);
	enum status st = ST_OK;

	for (uint64_t at = 0; at < kv->log.max_bytes && st == ST_OK; at += ZERO_STEP)
		st = is_closing(kv) ? err_set(e, ERR_BUSY, "the store closes")
				    : write_step(fd, zeros, at, e);
	mem_free(zeros);
	return st;
}

/* Under another name until it is whole: a crash in between leaves nothing that looks like a spare. */
static void make(struct kv *kv)
{
	char path[4096], part[4096];
	struct err e;
	int fd;

	path_of(kv, "spare", path);
	path_of(kv, "spare.tmp", part);
	if (io_open(part, O_RDWR | O_CREAT | O_TRUNC, 0600, &fd, &e) != ST_OK)
		return;
	enum status st = write_zeros(kv, fd, &e);
	close(fd);
	/* The collector may have been faster: the log may be about to take that one. */
	pthread_mutex_lock(&kv->segs.mu);
	bool renamed = st == ST_OK && !kv->spare.ready &&
		       io_rename(part, path, &e) == ST_OK;
	if (renamed)
		kv->spare.ready = true;
	pthread_mutex_unlock(&kv->segs.mu);
	if (!renamed && io_unlink(part, &e) != ST_OK)
		return; /* the next one takes its place */
}

void kv_spare_open(struct kv *kv)
{
	char path[4096];
	struct io_stat s;
	struct err e;

	path_of(kv, "spare", path);
	kv->spare.ready = io_stat_path(path, &s, &e) == ST_OK && s.kind == IO_KIND_FILE &&
			  s.links == 1 && s.size >= KV_LOG_GROWS;
	path_of(kv, "spare.tmp", path);
	if (io_unlink(path, &e) != ST_OK)
		return; /* there was none */
}

void kv_spare_want(struct kv *kv)
{
	if (!kv->keeper.started || kv->spare.off || kv->spare.ready || kv->spare.wanted ||
	    !has_room(kv))
		return;
	pthread_mutex_lock(&kv->keeper.mu);
	kv->spare.wanted = true;
	pthread_cond_signal(&kv->keeper.cond);
	pthread_mutex_unlock(&kv->keeper.mu);
}

void kv_spare_tend(struct kv *kv)
{
	char path[4096];
	struct err e;

	kv->spare.wanted = false;
	if (!kv->spare.ready) {
		if (has_room(kv))
			make(kv);
		return;
	}
	if (has_room(kv))
		return;
	path_of(kv, "spare", path);
	pthread_mutex_lock(&kv->segs.mu);
	if (kv->spare.ready && io_unlink(path, &e) == ST_OK)
		kv->spare.ready = false;
	pthread_mutex_unlock(&kv->segs.mu);
}

bool kv_spare_give(struct kv *kv, const char *from)
{
	char path[4096];
	struct io_stat s;
	struct err e;

	if (kv->spare.ready || kv->spare.off || !kv->keeper.started || !has_room(kv) ||
	    io_stat_path(from, &s, &e) != ST_OK || s.links != 1 ||
	    s.size < kv->log.max_bytes - kv->log.max_bytes / 4 ||
	    s.size > kv->log.max_bytes + kv->log.max_bytes / 4)
		return false;
	path_of(kv, "spare", path);
	kv->spare.ready = io_rename(from, path, &e) == ST_OK;
	return kv->spare.ready;
}

enum status kv_spare_take(struct kv *kv, struct kv_seg **out, uint64_t *out_size,
			  struct err *e)
{
	char path[4096];
	enum status st = ST_NOT_FOUND;

	if (!kv->spare.ready)
		return st;
	path_of(kv, "spare", path);
	pthread_mutex_lock(&kv->segs.mu);
	if (kv->spare.ready)
		st = kv_seg_adopt(&kv->segs, path, out, e);
	kv->spare.ready = false;
	pthread_mutex_unlock(&kv->segs.mu);
	if (st == ST_OK && io_size((*out)->fd, out_size, e) != ST_OK)
		*out_size = 0; /* then it is filled as one that grows */
	return st;
}
