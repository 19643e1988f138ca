/* kv_log.c — writing the log: where the next record goes, and one write and one sync for it.
 *
 * When the record does not fit behind the last, the log goes on in a new segment. The batch that comes first in it
 * puts row 's' of the one that was left (kv_gc_leave), so that leaving and saying so are one change. */
#include "kv/kv_internal.h"
#include "base/cleanup.h"
#include "base/io.h"

#define REST_KEPT (1u << 20) /* of a segment that the log leaves; more is cut off */
#define ROWS_KEPT (8u << 20) /* a larger buffer gives its memory back */

void kv_log_init(struct kv_log *l)
{
	*l = (struct kv_log){ .max_bytes = KV_LOG_BYTES };
	buf_init(&l->rows, SIZE_MAX / 2);
}

void kv_log_done(struct kv_log *l)
{
	buf_done(&l->rows);
}

void kv_log_begin(struct kv_log *l)
{
	if (l->rows.cap > ROWS_KEPT) {
		buf_done(&l->rows);
		buf_init(&l->rows, SIZE_MAX / 2);
	}
	buf_reset(&l->rows);
}

void kv_log_continue(struct kv *kv, struct kv_seg *seg, uint64_t size)
{
	struct kv_log *l = &kv->log;
	uint64_t grows = l->max_bytes < KV_LOG_GROWS ? l->max_bytes : KV_LOG_GROWS;

	pthread_mutex_lock(&kv->segs.mu);
	l->seg = seg;
	pthread_mutex_unlock(&kv->segs.mu);
	l->room = size > grows ? size : grows;
	if (l->room > l->max_bytes)
		l->room = l->max_bytes;
}

/* What it had in reserve and did not use. Nothing depends on it. */
static void cut_rest(const struct kv_log *l, const struct kv_seg *seg)
{
	uint64_t size;
	struct err e;

	if (io_size(seg->fd, &size, &e) != ST_OK || size < l->at.end + REST_KEPT)
		return;
	if (io_truncate(seg->fd, l->at.end, &e) != ST_OK)
		return;
}

void kv_log_leave(struct kv *kv)
{
	struct kv_log *l = &kv->log;

	if (!l->seg || l->at.end == 0)
		return;
	l->left = l->seg->no;
	l->left_bodies = l->at.bodies;
	pthread_mutex_lock(&kv->segs.mu);
	struct kv_seg *seg = l->seg;
	l->seg = NULL;
	pthread_mutex_unlock(&kv->segs.mu);
	cut_rest(l, seg);
	kv_seg_put(&kv->segs, seg);
}

enum status kv_log_room(struct kv *kv, uint64_t n, struct err *e)
{
	struct kv_log *l = &kv->log;
	struct kv_seg *fresh;

	uint64_t room = l->room < l->max_bytes ? l->room : l->max_bytes;
	if (l->seg && (l->at.end == 0 || l->at.end + n <= room))
		return ST_OK;
	uint64_t size = 0;
	struct err why;
	/* A spare that cannot be had is no reason to fail. */
	if (kv_spare_take(kv, &fresh, &size, &why) != ST_OK) {
		enum status st = kv_seg_new(&kv->segs, &fresh, e);
		if (st != ST_OK)
			return st;
	}
	kv_log_leave(kv);
	l->shown_end = 0;
	kv_log_continue(kv, fresh, size);
	l->at.segment = fresh->no;
	l->at.end = 0;
	l->at.bodies = 0;
	return ST_OK;
}

/* The segment that replay would begin in if the engine were written out now. What the log says is no answer: it may
 * have gone on to a segment whose first batch then failed. commit_mu held. */
static enum status place_in_engine(struct kv *kv, uint32_t *out, struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct kv_place place;
	slice row;

	*out = kv->log.at.segment;
	if (!kv->dir)
		return ST_OK;
	enum status st = kv->en->ops->get(kv->en, SL(KV_KEY_PLACE), &a, &row, e);
	if (st == ST_OK && !kv_place_read(row, &place))
		st = err_set(e, ERR_CORRUPT, "the row of the log's place is damaged");
	if (st == ST_OK)
		*out = place.segment;
	return st;
}

enum status kv_log_let_go(struct kv *kv, uint32_t no, bool *out, struct err *e)
{
	struct kv_log *l = &kv->log;
	uint32_t now;

	pthread_mutex_lock(&kv->commit_mu);
	enum status st = place_in_engine(kv, &now, e);
	/* A number above the log's is of a segment that never was the log's. */
	*out = st == ST_OK && (no > l->at.segment || no < l->flushed);
	pthread_mutex_unlock(&kv->commit_mu);
	if (st != ST_OK || *out || no >= now)
		return st;
	if (kv->en->ops->flush && (st = kv->en->ops->flush(kv->en, e)) != ST_OK)
		return st;
	pthread_mutex_lock(&kv->commit_mu);
	if (l->flushed < now)
		l->flushed = now;
	pthread_mutex_unlock(&kv->commit_mu);
	*out = true;
	return ST_OK;
}

uint64_t kv_log_base(const struct kv *kv)
{
	return kv->log.at.end + KV_LOG_HEADER;
}

/* The next record is written over what there is of a failed one. Until then it must not look whole: what is missing
 * could be zeros, which are there already. Nothing better is left when this fails, too; it was never synced. */
static void blot(const struct kv_log *l)
{
	static const char zeros[KV_LOG_HEADER];
	struct err e;

	if (io_pwrite(l->seg->fd, slice_make(zeros, sizeof(zeros)), l->at.end, &e) !=
	    ST_OK)
		return;
}

enum status kv_log_write(struct kv *kv, struct iovec *iov, size_t n_iov, uint64_t bodies,
			 uint32_t bodies_crc, struct err *e)
{
	struct kv_log *l = &kv->log;
	unsigned char raw[KV_LOG_HEADER];
	struct kv_log_head h = { .segment = l->seg->no,
				 .seq = l->at.seq + 1,
				 .bodies = bodies,
				 .rows = l->rows.n,
				 .bodies_crc = bodies_crc };

	if (l->rows.full)
		return err_set(e, ERR_LIMIT, "the rows of the batch are too large");
	h.rows_crc = crc32c(0, buf_slice(&l->rows));
	kv_log_head_write(raw, &h, &l->key);
	iov[0] = (struct iovec){ raw, sizeof(raw) };
	iov[n_iov - 1] = (struct iovec){ l->rows.p, l->rows.n };
	enum status st = io_pwritev(l->seg->fd, iov, (int)n_iov, l->at.end, e);
	if (st != ST_OK) {
		blot(l);
		return st;
	}
	st = io_fdatasync(l->seg->fd, e);
	kv->stats.syncs++;
	if (st != ST_OK) {
		if (e)
			e->code = ERR_STOPPED;
		return st;
	}
	uint64_t end = l->at.end + KV_LOG_HEADER + bodies + h.rows;
	l->at.end = kv_log_align(end);
	l->at.bodies += bodies;
	l->at.seq = h.seq;
	l->shown_end = end;
	l->left = 0;
	if (l->at.end > l->room / 2)
		kv_spare_want(kv);
	kv->stats.bytes_log += KV_LOG_HEADER + bodies + h.rows;
	return ST_OK;
}

void kv_log_place_put(struct kv *kv)
{
	unsigned char mem[64];
	struct buf b = { (char *)mem, 0, sizeof(mem), sizeof(mem), false };

	kv->log.at.next_no = kv->segs.next_no;
	kv_place_write(&b, &kv->log.at);
	kv->en->ops->batch_put(kv->en, SL(KV_KEY_PLACE), buf_slice(&b));
}
