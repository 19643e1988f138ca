/* kv_commit.c — the committer: one batch for everybody who waits.
 *
 *	take the queue → drop the failed → bodies and rows become one record of the log, one sync → the engine → tell
 *
 * Its memory is kept from batch to batch. Whoever runs batches (the thread, or the caller in INLINE and MANUAL
 * mode) holds commit_mu; a callback that commits again finds itself in `committing` and only queues. */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/io.h"

#define DISK_ASK_US 100000
#define ROWS_SORTED 65536u /* larger batches are written as they come */
/* A batch costs a sync, however small it is. Behind one that several shared, the next may gather until so long
 * after the last began, or until so many wait; whoever commits alone never waits. */
#define PACE_US	  1000
#define PACE_TXNS 32u
#define AGAIN_US  100000   /* between two tries to open the engine again */
#define NOBODY	  SIZE_MAX /* wake_at: the committer is awake */

/* --- disk space -------------------------------------------------------------------------------------------- */
static enum status disk_ask(struct kv *kv, struct err *e)
{
	int64_t now = clock_mono_us(&kv->clock), asked = kv->disk_asked_us;
	uint64_t n;

	if (!kv->dir || (asked != 0 && now - asked < DISK_ASK_US) ||
	    !atomic_compare_exchange_strong(&kv->disk_asked_us, &asked, now))
		return ST_OK;
	enum status st = io_free_bytes(kv->dir, &n, e);
	if (st != ST_OK)
		return st;
	kv->disk_free = n;
	kv->disk_low = n < kv->reserve;
	return ST_OK;
}

static enum status disk_above(struct kv *kv, uint64_t reserve, struct err *e)
{
	if (kv->disk_free >= reserve) /* without a directory both are 0 */
		return ST_OK;
	return err_set(e, ERR_DISK_FULL,
		       "only %llu MB of disk left, %llu MB are reserved",
		       (unsigned long long)(kv->disk_free >> 20),
		       (unsigned long long)(reserve >> 20));
}

enum status kv_disk_check(struct kv *kv, struct err *e)
{
	enum status st = disk_ask(kv, e);
	return st == ST_OK ? disk_above(kv, kv->reserve, e) : st;
}

enum status kv_room(struct kv *kv, struct err *e)
{
	return kv_disk_check(kv, e);
}

bool kv_room_cached(struct kv *kv)
{
	return !kv->disk_low;
}

/* Of a batch: what only gives space back may use the reserve, all but the last of it. */
static enum status batch_disk_check(struct kv *kv, struct err *e)
{
	const struct kv_batch *b = &kv->batch;
	bool frees = true;

	for (size_t i = 0; i < b->n && frees; i++)
		frees = b->t[i]->frees || (!b->t[i]->set.n && !b->t[i]->blobs);
	enum status st = disk_ask(kv, e);
	return st == ST_OK ? disk_above(kv, frees ? kv->reserve_last : kv->reserve, e)
			   : st;
}

/* --- queueing ---------------------------------------------------------------------------------------------- */
void kv_stop(struct kv *kv, const struct err *why)
{
	pthread_mutex_lock(&kv->mu);
	if (!kv->stopped) {
		kv->stop_why = *why;
		kv->stopped = true;
	}
	pthread_mutex_unlock(&kv->mu);
}

/* What t saw is given back: it reads no more. */
static void forget_seen(struct kv_txn *t)
{
	for (size_t i = 0; i < t->n_seen; i++)
		kv_txn_unref(t->seen[i]);
	t->n_seen = 0;
}

static void free_blobs(struct kv_txn *t)
{
	for (struct kv_upload *u = t->blobs, *next; u; u = next) {
		next = u->next;
		kv_upload_free(u);
	}
	t->blobs = NULL;
	t->blobs_end = &t->blobs;
}

void kv_abort(struct kv_txn *t)
{
	struct kv *kv = t->kv;

	forget_seen(t);
	free_blobs(t);
	pthread_mutex_lock(&kv->mu);
	kv_lock_release(kv, t);
	pthread_mutex_unlock(&kv->mu);
	kv_txn_unref(t);
}

/* True when this thread is inside a callback of a batch it runs itself. */
static bool is_nested(struct kv *kv)
{
	pthread_mutex_lock(&kv->mu);
	bool nested = kv->committing && pthread_equal(kv->committer, pthread_self());
	pthread_mutex_unlock(&kv->mu);
	return nested;
}

void kv_commit(struct kv_txn *t, struct done *d)
{
	struct kv *kv = t->kv;
	struct err why;

	forget_seen(t);
	arena_reset(&t->user);
	t->done = d;
	/* Below the reserve it fails by itself, so that it does not take along those of its batch that give space
	 * back. */
	if (kv->disk_low && !t->frees && (t->set.n || t->blobs) &&
	    kv_disk_check(kv, &why) != ST_OK)
		kv_txn_fail(t, &why);
	pthread_mutex_lock(&kv->mu);
	if (kv->stopped) {
		err_set(&why, ERR_STOPPED, "the store has stopped: %s",
			kv->stop_why.text);
		kv_txn_fail(t, &why);
	} else if (kv_lock_is_dropped(t)) {
		err_set(&why, ERR_BUSY, "an earlier change to the same account failed");
		kv_txn_fail(t, &why);
	}
	t->seq = ++kv->seq;
	if (t->err.code == ERR_NONE)
		kv_lock_pend(kv, t);
	else
		kv_lock_move_epochs(kv, t); /* counters kept outside ran ahead of it */
	kv_queue_add(&kv->queue, t);
	kv_lock_release(kv, t);
	bool wake = ++kv->queued >= kv->wake_at;
	if (wake)
		kv->wake_at = NOBODY;
	pthread_mutex_unlock(&kv->mu);
	if (wake) /* not under the lock, which the committer takes first of all */
		pthread_cond_signal(&kv->work);
	if (kv->mode == KV_COMMIT_INLINE && !is_nested(kv))
		kv_commit_run(kv, true);
}

/* Up to batch_bytes of the queue. */
static bool take_batch(struct kv *kv)
{
	struct kv_batch *b = &kv->batch;
	size_t bytes = 0;

	b->n = 0;
	pthread_mutex_lock(&kv->mu);
	struct kv_txn *t = kv->queue.first;
	while (t && (b->n == 0 || bytes < kv->batch_bytes)) {
		if (b->n == b->cap) {
			b->cap = b->cap ? b->cap * 2 : 64;
			b->t = mem_grow(b->t, b->cap, sizeof(*b->t));
		}
		b->t[b->n++] = t;
		bytes += t->bytes;
		for (const struct kv_upload *u = t->blobs; u; u = u->next)
			bytes += u->mem.n;
		t = t->next;
	}
	kv->queue.first = t;
	if (!t)
		kv->queue.last = &kv->queue.first;
	kv->queued -= b->n;
	pthread_mutex_unlock(&kv->mu);
	b->no++;
	return b->n > 0;
}

/* --- the table of bodies the batch already has ------------------------------------------------------------- */
static void slots_clear(struct kv_batch *b, size_t n)
{
	size_t want = 64;

	while (want < n * 2)
		want *= 2;
	if (want > b->cap_slots) {
		mem_free(b->slots);
		b->slots = mem_array(want, sizeof(*b->slots));
		b->cap_slots = want;
	} else {
		memset(b->slots, 0, b->cap_slots * sizeof(*b->slots));
	}
}

/* False when the same body is there already. Its hash is a hash already. */
static bool slots_add(struct kv_batch *b, const struct kv_upload *u)
{
	size_t mask = b->cap_slots - 1, i;

	memcpy(&i, u->id.h, sizeof(i));
	for (i &= mask; b->slots[i]; i = (i + 1) & mask)
		if (memcmp(b->slots[i]->id.h, u->id.h, sizeof(u->id.h)) == 0)
			return false;
	b->slots[i] = u;
	return true;
}

/* --- bodies ------------------------------------------------------------------------------------------------ */
/* Decides for each body whether the store has it already: in this batch, or from before. */
static enum status dedup(struct kv *kv, struct err *e)
{
	struct kv_batch *b = &kv->batch;
	size_t n = 0;
	unsigned char key[33];
	AUTO_ARENA a = { 0 };

	for (size_t i = 0; i < b->n; i++)
		for (struct kv_upload *u = b->t[i]->blobs; u; u = u->next)
			n++;
	if (n == 0)
		return ST_OK;
	slots_clear(b, n);
	for (size_t i = 0; i < b->n; i++) {
		for (struct kv_upload *u = b->t[i]->blobs; u; u = u->next) {
			slice row;
			u->heals = false;
			u->known = !slots_add(b, u);
			if (u->known)
				continue;
			enum status st = kv->en->ops->get(
				kv->en, kv_blob_key(key, &u->id), &a, &row, e);
			if (st != ST_OK && st != ST_NOT_FOUND)
				return st;
			u->known = st == ST_OK;
			if (!u->known)
				continue;
			arena_reset(&a);
			if ((st = kv_gc_is_damaged(kv, &u->id, &u->heals, e)) != ST_OK)
				return st;
			u->known = !u->heals;
		}
	}
	return ST_OK;
}

static void add_iov(struct kv_batch *b, slice s)
{
	if (b->n_iov == b->cap_iov) {
		b->cap_iov = b->cap_iov ? b->cap_iov * 2 : 64;
		b->iov = mem_grow(b->iov, b->cap_iov, sizeof(*b->iov));
	}
	b->iov[b->n_iov++] = (struct iovec){ (void *)(uintptr_t)s.p, s.n };
}

static enum status sync_fd(struct kv *kv, int fd, struct err *e)
{
	enum status st = io_fdatasync(fd, e);

	kv->stats.syncs++;
	if (st != ST_OK)
		e->code = ERR_STOPPED;
	return st;
}

/* Bulk segments that new bodies of this batch lie in: their writers have finished, the sync is ours. */
static enum status sync_bulk(struct kv *kv, struct err *e)
{
	struct kv_batch *b = &kv->batch;

	for (size_t i = 0; i < b->n; i++) {
		for (struct kv_upload *u = b->t[i]->blobs; u; u = u->next) {
			for (size_t s = 0; s < u->n_segs && !u->known; s++) {
				if (u->segs[s]->synced == b->no)
					continue;
				u->segs[s]->synced = b->no;
				enum status st = sync_fd(kv, u->segs[s]->fd, e);
				if (st != ST_OK)
					return st;
			}
		}
	}
	return ST_OK;
}

/* The new small bodies, for the log: iov[1] and on; iov[0] and the last are the record's. */
static void gather_bodies(struct kv *kv)
{
	struct kv_batch *b = &kv->batch;

	b->n_iov = b->mem_bytes = b->mem_crc = 0;
	add_iov(b, SL(""));
	for (size_t i = 0; i < b->n; i++) {
		for (struct kv_upload *u = b->t[i]->blobs; u; u = u->next) {
			if (u->known || u->mem.n == 0)
				continue;
			add_iov(b, buf_slice(&u->mem));
			b->mem_bytes += u->mem.n;
			b->mem_crc = kv_upload_crc(u, b->mem_crc);
		}
	}
	add_iov(b, SL(""));
}

/* At most so many octets of rows: those that the collector has put, and all that follow. */
static uint64_t rows_bound(const struct kv *kv)
{
	const struct kv_batch *b = &kv->batch;
	uint64_t n = kv->log.rows.n + 4096;

	for (size_t i = 0; i < b->n; i++) {
		n += b->t[i]->bytes;
		for (const struct kv_upload *u = b->t[i]->blobs; u; u = u->next)
			n += u->known ? 0 : 128 + (uint64_t)u->n_ext * 96;
	}
	return n;
}

/* --- rows -------------------------------------------------------------------------------------------------- */
void kv_row_put(struct kv *kv, slice key, slice value)
{
	kv_log_row_put(&kv->log.rows, key, value);
	kv->en->ops->batch_put(kv->en, key, value);
	kv->stats.rows_put++;
	kv->stats.bytes_rows += key.n + value.n;
}

void kv_row_del(struct kv *kv, slice key)
{
	kv_log_row_del(&kv->log.rows, key);
	kv->en->ops->batch_del(kv->en, key);
}

static void put_node(struct kv *kv, const struct kv_node *x)
{
	if (x->del)
		kv_row_del(kv, x->key);
	else
		kv_row_put(kv, x->key, x->value);
}

/* 'b' seg off → hash, for each extent in a bulk segment: what is in the log is found by walking it. */
static void put_places(struct kv *kv, const struct kv_upload *u, uint32_t seg,
		       uint64_t base)
{
	struct buf *key = &kv->batch.row;

	(void)seg;
	(void)base;
	for (size_t i = 0; i < u->n_ext; i++) {
		const struct kv_extent *x = &u->ext[i];
		if (x->seg == 0)
			continue;
		buf_reset(key);
		buf_put_u8(key, 'b');
		buf_put_u32(key, x->seg);
		buf_put_u64(key, x->off);
		kv_row_put(kv, buf_slice(key), slice_make(u->id.h, sizeof(u->id.h)));
	}
}

/* 'B' hash → extents. */
static void put_extents(struct kv *kv, const struct kv_upload *u, uint32_t seg,
			uint64_t base)
{
	struct buf *row = &kv->batch.row;
	unsigned char key[33];

	buf_reset(row);
	kv_extents_write(row, u, seg, base);
	kv_row_put(kv, kv_blob_key(key, &u->id), buf_slice(row));
}

/* One kind of row after the other: neighbours are cheap for the engine. */
static void put_blobs(struct kv *kv, uint64_t base,
		      void (*put)(struct kv *kv, const struct kv_upload *u, uint32_t seg,
				  uint64_t at))
{
	struct kv_batch *b = &kv->batch;
	uint32_t seg = kv->log.at.segment;

	for (size_t i = 0; i < b->n; i++) {
		for (struct kv_upload *u = b->t[i]->blobs; u; u = u->next) {
			if (u->known)
				continue;
			put(kv, u, seg, base);
			base += u->mem.n;
		}
	}
}

static int by_key(const void *a, const void *b)
{
	const struct kv_row *x = a, *y = b;

	if (x->node->prefix != y->node->prefix)
		return x->node->prefix < y->node->prefix ? -1 : 1;
	int c = slice_cmp(x->node->key, y->node->key);
	if (c)
		return c;
	return x->order < y->order ? -1 : 1;
}

/* All rows of the batch in the order of their keys: the engine's memtable likes them so, and a key that several
 * transactions write (an account's counters) is written once, by the last of them. */
static void put_rows_sorted(struct kv *kv, size_t n)
{
	struct kv_batch *b = &kv->batch;

	if (n > b->cap_rows) {
		b->cap_rows = n * 2;
		b->rows = mem_grow(b->rows, b->cap_rows, sizeof(*b->rows));
	}
	n = 0;
	for (size_t i = 0; i < b->n; i++)
		for (const struct kv_node *x = kv_map_first(&b->t[i]->set); x;
		     x = x->next[0])
			b->rows[n++] = (struct kv_row){ x, (uint32_t)i };
	qsort(b->rows, n, sizeof(*b->rows), by_key);
	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || kv_node_cmp(b->rows[i].node, b->rows[i + 1].node) != 0)
			put_node(kv, b->rows[i].node);
}

static void put_rows(struct kv *kv)
{
	struct kv_batch *b = &kv->batch;
	size_t rows = 0;

	for (size_t i = 0; i < b->n; i++)
		rows += b->t[i]->set.n;
	if (rows == 0)
		return;
	if (b->n > 1 && rows <= ROWS_SORTED) {
		put_rows_sorted(kv, rows);
		return;
	}
	for (size_t i = 0; i < b->n; i++) /* each write set is sorted already */
		for (const struct kv_node *x = kv_map_first(&b->t[i]->set); x;
		     x = x->next[0])
			put_node(kv, x);
}

/* --- one batch --------------------------------------------------------------------------------------------- */
/* The engine takes batches: it is opened again when it has refused one. */
static enum status engine_ready(struct kv *kv, struct err *e)
{
	enum status st = kv->engine_shut ? kv_replay_in_place(kv, e) : ST_OK;

	if (st == ST_OK)
		st = kv->en->ops->ready(kv->en, e);
	if (st != ST_OK && kv->en->ops->reopen && e->code == ERR_DISK_FULL)
		kv->engine_shut = true;
	return st;
}

/* The log has the batch, so the answer is yes; the engine must have it before anybody is told. While the disk is too
 * full for it, everybody waits. */
static enum status apply(struct kv *kv, struct err *e)
{
	enum status st = kv->en->ops->batch_write(kv->en, e);

	while (st != ST_OK) {
		st = kv_replay_in_place(kv, e);
		if (st == ST_OK)
			break;
		if (e->code != ERR_DISK_FULL || kv->mode != KV_COMMIT_THREAD ||
		    kv->ending) {
			e->code = ERR_STOPPED;
			break;
		}
		usleep(AGAIN_US);
	}
	return st;
}

static enum status write_batch(struct kv *kv, struct err *e)
{
	struct kv_batch *b = &kv->batch;
	bool empty = true, only_gc = true;
	enum status st;

	for (size_t i = 0; i < b->n; i++) {
		bool plain = b->t[i]->set.n || b->t[i]->blobs;
		empty = empty && !plain && !b->t[i]->gc;
		only_gc = only_gc && !plain;
	}
	if (empty)
		return ST_OK;
	kv_log_begin(&kv->log);
	/* What gives space back may use the reserve. */
	if ((!only_gc && (st = batch_disk_check(kv, e)) != ST_OK) ||
	    (st = engine_ready(kv, e)) != ST_OK || (st = dedup(kv, e)) != ST_OK ||
	    (st = kv_gc_decide(kv, e)) != ST_OK || (st = sync_bulk(kv, e)) != ST_OK)
		return st;
	gather_bodies(kv);
	st = kv_log_room(kv, KV_LOG_HEADER + b->mem_bytes + rows_bound(kv), e);
	if (st != ST_OK)
		return st;
	if (kv->log.left)
		kv_gc_leave(kv, kv->log.left, kv->log.left_bodies);
	put_blobs(kv, kv_log_base(kv), put_places);
	put_blobs(kv, kv_log_base(kv), put_extents);
	put_rows(kv);
	st = kv_log_write(kv, b->iov, b->n_iov, b->mem_bytes, b->mem_crc, e);
	if (st != ST_OK)
		return st;
	if (kv->dir)
		kv_log_place_put(kv);
	return apply(kv, e);
}

/* The batch failed: so does everything queued behind it on its locks, in queue order, and what of other locks
 * hangs on those. All of them are in b->t when it returns. */
static void fail_followers(struct kv *kv, const struct err *why)
{
	struct kv_batch *b = &kv->batch;
	struct kv_queue rest;
	struct err behind;

	err_set(&behind, why->code, "an earlier change to the same account failed: %s",
		why->text);
	kv_queue_init(&rest);
	pthread_mutex_lock(&kv->mu);
	for (size_t i = 0; i < b->n; i++) {
		kv_txn_fail(b->t[i], why);
		kv_lock_drop(kv, b->t[i]);
	}
	for (struct kv_txn *t = kv->queue.first, *next; t; t = next) {
		next = t->next;
		if (!kv->stopped && (!t->pending || !kv_lock_is_dropped(t))) {
			kv_queue_add(&rest, t);
			continue;
		}
		kv->queued--;
		kv_txn_fail(t, kv->stopped ? why : &behind);
		if (t->pending)
			kv_lock_drop(kv, t);
		if (b->n == b->cap) {
			b->cap *= 2;
			b->t = mem_grow(b->t, b->cap, sizeof(*b->t));
		}
		b->t[b->n++] = t;
	}
	kv->queue = rest;
	if (!rest.first)
		kv->queue.last = &kv->queue.first;
	for (size_t i = 0; i < b->n; i++)
		kv_lock_unpend(kv, b->t[i]);
	pthread_mutex_unlock(&kv->mu);
}

/* Transactions that failed before they came here leave the batch; their callbacks run now, in queue order with
 * regard to everything before them (which is durable, or has been told). */
static void sort_out_failed(struct kv *kv, struct kv_txn ***out, size_t *out_n)
{
	struct kv_batch *b = &kv->batch;
	size_t live = 0, failed = 0;

	*out = NULL;
	for (size_t i = 0; i < b->n; i++) {
		if (b->t[i]->err.code == ERR_NONE) {
			b->t[live++] = b->t[i];
			continue;
		}
		if (!*out)
			*out = mem_array(b->n - i, sizeof(**out));
		(*out)[failed++] = b->t[i];
	}
	b->n = live;
	*out_n = failed;
}

static void tell(struct kv_txn *t, enum status st, const struct err *why)
{
	struct done *d = t->done;

	free_blobs(t);
	if (d)
		d->fn(d, st, why);
}

static void tell_failed(struct kv_txn *t)
{
	struct err why = t->err;

	tell(t, err_status(why.code), &why);
	kv_txn_unref(t);
}

static void finish_ok(struct kv *kv)
{
	struct kv_batch *b = &kv->batch;
	static const struct err none = { ERR_NONE, "" };

	kv->stats.txns += b->n;
	kv->stats.batches++;
	for (size_t i = 0; i < b->n; i++)
		for (const struct kv_upload *u = b->t[i]->blobs; u; u = u->next)
			*(u->known ? &kv->stats.blobs_known : &kv->stats.blobs_new) += 1;
	for (size_t i = 0; i < b->n; i++)
		tell(b->t[i], ST_OK, &none);
	pthread_mutex_lock(&kv->mu);
	for (size_t i = 0; i < b->n; i++)
		kv_lock_unpend(kv, b->t[i]);
	pthread_mutex_unlock(&kv->mu);
	for (size_t i = 0; i < b->n; i++)
		kv_txn_unref(b->t[i]);
}

/* False when nothing was queued. commit_mu held. */
static bool run_one(struct kv *kv)
{
	struct kv_batch *b = &kv->batch;
	struct kv_txn **failed;
	size_t n_failed;
	struct err e = { ERR_NONE, "" };

	if (!take_batch(kv))
		return false;
	sort_out_failed(kv, &failed, &n_failed);
	if (b->n) {
		enum status st = ST_OK;
		if (kv->stopped) {
			pthread_mutex_lock(&kv->mu);
			err_set(&e, ERR_STOPPED, "the store has stopped: %s",
				kv->stop_why.text);
			pthread_mutex_unlock(&kv->mu);
			st = ST_IO;
		} else {
			st = write_batch(kv, &e);
			kv_gc_settle(kv, st == ST_OK);
		}
		if (st == ST_OK) {
			finish_ok(kv);
		} else {
			kv->en->ops->batch_drop(kv->en);
			if (e.code == ERR_STOPPED)
				kv_stop(kv, &e);
			fail_followers(kv, &e);
			for (size_t i = 0; i < b->n; i++)
				tell_failed(b->t[i]);
		}
	}
	for (size_t i = 0; i < n_failed; i++)
		tell_failed(failed[i]);
	mem_free(failed);
	return true;
}

static void set_committing(struct kv *kv, bool on)
{
	pthread_mutex_lock(&kv->mu);
	kv->committing = on;
	kv->committer = pthread_self();
	pthread_mutex_unlock(&kv->mu);
}

void kv_commit_run(struct kv *kv, bool all)
{
	pthread_mutex_lock(&kv->commit_mu);
	set_committing(kv, true);
	while (run_one(kv) && all)
		;
	set_committing(kv, false);
	pthread_mutex_unlock(&kv->commit_mu);
}

void kv_pump(struct kv *kv)
{
	if (!is_nested(kv))
		kv_commit_run(kv, false);
}

/* Sleeps until n are queued, or until the time (mono), or until the store closes. mu held. */
static void sleep_for(struct kv *kv, size_t n, int64_t until_us)
{
	struct timespec ts = { .tv_sec = until_us / 1000000,
			       .tv_nsec = until_us % 1000000 * 1000 };
	int r = 0;

	while (kv->queued < n && !kv->closing && r == 0) {
		kv->wake_at = n;
		if (until_us == INT64_MAX)
			pthread_cond_wait(&kv->work, &kv->mu);
		else
			r = pthread_cond_timedwait(&kv->work, &kv->mu, &ts);
	}
	kv->wake_at = NOBODY;
}

void *kv_commit_thread(void *arg)
{
	struct kv *kv = arg;
	int64_t began = 0;
	size_t last = 0; /* transactions of the last batch */

	for (;;) {
		pthread_mutex_lock(&kv->mu);
		sleep_for(kv, 1, INT64_MAX);
		if (last > 1 && clock_mono_us(&kv->clock) < began + PACE_US)
			sleep_for(kv, PACE_TXNS, began + PACE_US);
		bool end = !kv->queue.first && kv->closing;
		last = kv->queued;
		pthread_mutex_unlock(&kv->mu);
		if (end)
			return NULL;
		began = clock_mono_us(&kv->clock);
		kv_commit_run(kv, false);
	}
}

/* --- the blocking wrapper ---------------------------------------------------------------------------------- */
struct waiter {
	struct done d;
	pthread_mutex_t mu;
	pthread_cond_t cond;
	bool done;
	enum status st;
	struct err why;
};

static void waiter_done(struct done *d, enum status st, const struct err *why)
{
	struct waiter *w = (struct waiter *)d;

	pthread_mutex_lock(&w->mu);
	w->st = st;
	if (why)
		w->why = *why;
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mu);
}

enum status kv_commit_wait(struct kv_txn *t, struct err *e)
{
	struct kv *kv = t->kv;
	struct waiter w = { .d = { waiter_done } };

	pthread_mutex_init(&w.mu, NULL);
	pthread_cond_init(&w.cond, NULL);
	kv_commit(t, &w.d);
	if (kv->mode == KV_COMMIT_MANUAL)
		kv_commit_run(kv, true);
	pthread_mutex_lock(&w.mu);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.mu);
	pthread_mutex_unlock(&w.mu);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.mu);
	if (w.st != ST_OK && e)
		*e = w.why;
	return w.st;
}
