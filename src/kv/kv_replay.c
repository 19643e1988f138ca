/* kv_replay.c — what is in the log behind the engine's row 'L' is given to the engine again.
 *
 *	row 'L' → the record behind it: in that segment, else the first of another → … → the last
 *
 * A record counts by kv_log.h's rules. One batch at most was written and not synced, so the first that does not count is
 * the torn one, and everything ends there — unless a record with a sequence two or more above the last is found behind
 * it: then one that was synced has been damaged since. That is never passed over in silence: the store does not open,
 * or, to be salvaged, goes on with what follows and counts what is lost.
 *
 * After a failed sync the kernel may have the last record in memory and not on the disk. So the last one is written and
 * synced again before anybody is told what is in it. And a torn one is done away with before another has its sequence:
 * the two could lie in different segments, and only one of them would be looked at. */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/io.h"

#define COPY_STEP (1u << 20)
/* A crash after a crash after a crash must not make each start longer than the last: more
 * batches than these go to the engine's files at once, when there is room for them. */
#define FLUSH_BATCHES 1000u
#define FLUSH_ROOM    (128u << 20)

struct first { /* a segment that begins with a batch record */
	uint32_t no;
	uint64_t seq; /* 0: of an older use of the file, nothing of this one */
};
struct replay {
	struct kv *kv;
	struct kv_place at; /* the last batch that counts */
	struct kv_log_reader reader;
	struct kv_seg *seg; /* the reader's; NULL: none */
	struct first *firsts;
	size_t n_firsts;
	uint32_t *others; /* later segments that begin with neither a batch nor a body */
	size_t n_others;
	uint64_t last_off; /* of the last record given to the engine; valid when n > 0 */
	bool is_placeless; /* salvage: the engine has lost its row 'L' */
	uint64_t n, lost;
};

static enum status size_of(const struct kv_seg *seg, uint64_t *out, struct err *e)
{
	return io_size(seg->fd, out, e);
}

/* What does segment no, behind the one the log was in, begin with? */
static enum status look_at(struct replay *r, uint32_t no, struct err *e)
{
	unsigned char raw[KV_LOG_HEADER] = { 0 };
	struct kv_log_head h;
	struct kv_rec rec;
	struct kv_seg *seg;
	uint64_t size;
	enum status st = kv_seg_get(&r->kv->segs, no, &seg, e);

	if (st != ST_OK)
		return st == ST_NOT_FOUND ? ST_OK : st;
	st = size_of(seg, &size, e);
	if (st == ST_OK && size > 0)
		st = io_pread(seg->fd, raw, size < sizeof(raw) ? size : sizeof(raw), 0,
			      e);
	kv_seg_put(&r->kv->segs, seg);
	if (st != ST_OK || size < KV_REC_HEADER)
		return st;
	if (kv_log_head_read(raw, &r->kv->log.key, &h)) {
		if (h.segment != no)
			h.seq = 0;
		else if (h.seq <= r->at.seq)
			return ST_OK;
		r->firsts = mem_grow(r->firsts, r->n_firsts + 1, sizeof(*r->firsts));
		r->firsts[r->n_firsts++] = (struct first){ no, h.seq };
	} else if (!kv_rec_read(raw, &rec)) {
		r->others = mem_grow(r->others, r->n_others + 1, sizeof(*r->others));
		r->others[r->n_others++] = no;
	}
	return ST_OK;
}

static enum status look_around(struct replay *r, struct err *e)
{
	uint32_t *no;
	size_t n;
	enum status st = kv_seg_numbers(&r->kv->segs, &no, &n, e);

	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < n && st == ST_OK; i++)
		if (no[i] > r->at.segment)
			st = look_at(r, no[i], e);
	mem_free(no);
	return st;
}

static void leave_segment(struct replay *r)
{
	kv_log_reader_done(&r->reader);
	if (r->seg)
		kv_seg_put(&r->kv->segs, r->seg);
	r->seg = NULL;
}

/* The reader stands at off of segment no, behind batch seq. */
static enum status enter_segment(struct replay *r, uint32_t no, uint64_t off,
				 uint64_t seq, struct err *e)
{
	struct kv_seg *seg;
	uint64_t size;
	enum status st = kv_seg_get(&r->kv->segs, no, &seg, e);

	if (st != ST_OK)
		return st;
	if ((st = size_of(seg, &size, e)) != ST_OK) {
		kv_seg_put(&r->kv->segs, seg);
		return st;
	}
	leave_segment(r);
	r->seg = seg;
	kv_log_reader_init(&r->reader, &r->kv->log.key, seg->fd, no, off, size);
	r->reader.seq = seq;
	return ST_OK;
}

/* Where the log is said to end there must be a log. */
static enum status enter_place(struct replay *r, bool salvage, struct err *e)
{
	const struct kv_place *p = &r->at;

	kv_log_reader_init(&r->reader, &r->kv->log.key, -1, 0, 0, 0);
	r->reader.seq = p->seq;
	if (p->segment == 0)
		return ST_OK;
	enum status st = enter_segment(r, p->segment, p->end, p->seq, e);
	/* The last record is not padded. */
	bool short_of = st == ST_OK && kv_log_align(r->reader.end) < p->end;
	if (st != ST_NOT_FOUND && !short_of)
		return st;
	if (salvage) {
		r->lost += short_of; /* batches at least; bodies, certainly */
		return ST_OK;
	}
	return err_set(e, ERR_CORRUPT,
		       "the store %s is not complete: bodies/%08x.seg is %s", r->kv->dir,
		       p->segment, short_of ? "cut short" : "missing");
}

/* The batch behind the last one: here, or first in another segment. ST_NOT_FOUND: neither. */
static enum status next(struct replay *r, struct err *e)
{
	enum status st = r->seg ? kv_log_next(&r->reader, e) : ST_NOT_FOUND;

	if (st != ST_NOT_FOUND && st != ST_INVALID)
		return st;
	struct kv_log_reader torn = r->reader;
	for (size_t i = 0; i < r->n_firsts; i++) {
		struct kv_log_reader other;
		struct kv_seg *seg;
		uint64_t size = 0;
		if (r->firsts[i].seq != r->at.seq + 1)
			continue;
		if ((st = kv_seg_get(&r->kv->segs, r->firsts[i].no, &seg, e)) != ST_OK)
			return st;
		st = size_of(seg, &size, e);
		kv_log_reader_init(&other, torn.key, seg->fd, seg->no, 0, size);
		other.seq = r->at.seq;
		if (st == ST_OK)
			st = kv_log_next(&other, e);
		if (st == ST_OK) {
			leave_segment(r);
			r->reader = other;
			r->seg = seg;
			return ST_OK;
		}
		kv_log_reader_done(&other);
		kv_seg_put(&r->kv->segs, seg);
		if (st != ST_NOT_FOUND && st != ST_INVALID)
			return st;
	}
	return ST_NOT_FOUND;
}

static bool is_followed(const struct replay *r)
{
	for (size_t i = 0; i < r->n_firsts; i++)
		if (r->firsts[i].seq == r->reader.seq + 1)
			return true;
	return kv_log_is_followed(&r->reader);
}

/* The record the reader has found goes to the engine, with a row 'L' of its own. */
static enum status give(struct replay *r, struct err *e)
{
	struct kv *kv = r->kv;
	const struct kv_log_reader *rd = &r->reader;
	struct kv_log_row row;
	slice rest = rd->rows;

	while (kv_log_row_next(&rest, &row)) {
		if (row.del)
			kv->en->ops->batch_del(kv->en, row.key);
		else
			kv->en->ops->batch_put(kv->en, row.key, row.value);
	}
	if (rest.n)
		return err_set(e, ERR_CORRUPT,
			       "the log is damaged at %08x:%llu: its rows make no sense",
			       rd->segment, (unsigned long long)rd->off);
	if (r->at.segment != rd->segment)
		r->at.bodies = 0;
	r->at.segment = rd->segment;
	r->at.bodies += rd->head.bodies;
	r->at.end = rd->at;
	r->at.seq = rd->seq;
	kv->log.at = r->at;
	kv_log_place_put(kv);
	r->last_off = rd->off;
	r->n++;
	return kv->en->ops->batch_write(kv->en, e);
}

/* A record of at least sequence least, in the reader's segment behind where it stands or in a later one; the reader
 * then stands there. */
static enum status seek(struct replay *r, uint64_t least, struct err *e)
{
	enum status st = r->seg ? kv_log_seek(&r->reader, least, e) : ST_NOT_FOUND;
	const struct first *best = NULL;

	if (st != ST_NOT_FOUND)
		return st;
	for (size_t i = 0; i < r->n_firsts; i++)
		if (r->firsts[i].seq >= least && (!best || r->firsts[i].seq < best->seq))
			best = &r->firsts[i];
	if (best)
		return enter_segment(r, best->no, 0, best->seq - 1, e);
	for (size_t i = 0; i < r->n_others; i++) {
		struct kv_log_reader before = r->reader;
		struct kv_seg *seg = r->seg;
		r->seg = NULL;
		r->reader = (struct kv_log_reader){ 0 };
		st = enter_segment(r, r->others[i], 0, 0, e);
		if (st == ST_OK)
			st = kv_log_seek(&r->reader, least, e);
		if (st == ST_OK) {
			kv_log_reader_done(&before);
			if (seg)
				kv_seg_put(&r->kv->segs, seg);
			return ST_OK;
		}
		leave_segment(r);
		r->reader = before;
		r->seg = seg;
		if (st != ST_NOT_FOUND)
			return st;
	}
	return ST_NOT_FOUND;
}

/* The log seems to end at off. ST_OK: it does. ST_MORE: salvage goes on behind a gap. */
static enum status end_or_gap(struct replay *r, uint64_t off, bool salvage, struct err *e)
{
	unsigned no = r->reader.segment;
	enum status st = seek(r, r->at.seq + 2, e);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st != ST_OK)
		return st;
	if (!salvage)
		return err_set(
			e, ERR_CORRUPT,
			"the log of the store is damaged at %08x:%llu, and more follows; "
			"'facteur check --repair' goes on behind it",
			no, (unsigned long long)off);
	uint64_t before = r->at.seq;
	r->reader.seq = 0; /* whichever it is */
	if ((st = kv_log_next(&r->reader, e)) == ST_OK) {
		r->lost += r->reader.seq - before - 1;
		st = give(r, e);
	} else if (st == ST_INVALID) { /* damaged, too: behind it */
		r->reader.at += KV_LOG_ALIGN;
		r->reader.seq = before;
		st = ST_OK;
	}
	return st == ST_OK ? ST_MORE : st;
}

/* All records behind r->at; up to batch `until` when that is not 0 (all of those have been synced). */
static enum status give_all(struct replay *r, uint64_t until, bool salvage, struct err *e)
{
	enum status st = ST_OK;

	while (st == ST_OK && (until == 0 || r->at.seq < until)) {
		uint64_t off = r->reader.at;
		st = next(r, e);
		if (st == ST_OK && until == 0 && !is_followed(r)) {
			off = r->reader.off;
			st = kv_log_bodies_check(&r->reader, e);
		}
		if (st == ST_OK) {
			st = give(r, e);
		} else if (st == ST_NOT_FOUND || st == ST_INVALID) {
			if (until)
				return err_set(e, ERR_CORRUPT,
					       "the log ends before batch %llu",
					       (unsigned long long)until);
			st = end_or_gap(r, off, salvage, e);
			if (st == ST_OK)
				return ST_OK;
			if (st == ST_MORE)
				st = ST_OK;
		}
	}
	return st;
}

/* The last record, once more to the disk. */
static enum status write_again(struct kv *kv, uint64_t from, uint64_t end, struct err *e)
{
	char *part = mem_grow(NULL, COPY_STEP, 1);
	int fd = kv->log.seg->fd;
	uint64_t size;
	enum status st = io_size(fd, &size, e);

	if (st == ST_OK && size < end)
		end = size; /* no padding behind the very last */
	while (st == ST_OK && from < end) {
		size_t n = end - from < COPY_STEP ? (size_t)(end - from) : COPY_STEP;
		st = io_pread(fd, part, n, from, e);
		if (st == ST_OK)
			st = io_pwrite(fd, slice_make(part, n), from, e);
		from += n;
	}
	mem_free(part);
	return st == ST_OK ? io_fdatasync(fd, e) : st;
}

/* Segments the log never came to, which no row names: their first record is torn, or of an older use. */
static enum status remove_torn(struct replay *r, struct err *e)
{
	char path[4096];
	bool any = false;

	for (size_t i = 0; i < r->n_firsts; i++) {
		uint64_t seq = r->firsts[i].seq;
		if ((seq != 0 && seq <= r->at.seq) || r->firsts[i].no == r->at.segment)
			continue;
		kv_seg_path(&r->kv->segs, r->firsts[i].no, path);
		enum status st = io_unlink(path, e);
		if (st != ST_OK && st != ST_NOT_FOUND)
			return st;
		any = true;
	}
	return any ? io_sync_dir(r->kv->segs.dir, e) : ST_OK;
}

/* The torn record where the next one would be written, if that fits there. */
static enum status blot_torn(struct kv *kv, struct err *e)
{
	static const char zeros[KV_LOG_HEADER];
	unsigned char raw[KV_LOG_HEADER];
	const struct kv_place *at = &kv->log.at;
	struct kv_log_head h;
	uint64_t size;
	enum status st = size_of(kv->log.seg, &size, e);

	if (st != ST_OK || size < at->end || size - at->end < sizeof(raw))
		return st;
	st = io_pread(kv->log.seg->fd, raw, sizeof(raw), at->end, e);
	if (st != ST_OK || !kv_log_head_read(raw, &kv->log.key, &h) ||
	    h.segment != at->segment)
		return st;
	st = io_pwrite(kv->log.seg->fd, slice_make(zeros, sizeof(zeros)), at->end, e);
	return st == ST_OK ? io_fdatasync(kv->log.seg->fd, e) : st;
}

static enum status place_of(struct kv *kv, slice row, struct kv_place *out, struct err *e)
{
	if (row.n == 0)
		return err_set(e, ERR_CORRUPT,
			       "the store %s is not complete: its rows are missing",
			       kv->dir);
	if (!kv_place_read(row, out))
		return err_set(e, ERR_CORRUPT, "the row of the log's place is damaged");
	return ST_OK;
}

static void replay_done(struct replay *r)
{
	leave_segment(r);
	mem_free(r->firsts);
	mem_free(r->others);
}

static enum status flush_many(struct replay *r, struct err *e)
{
	uint64_t room;

	if (r->n < FLUSH_BATCHES || io_free_bytes(r->kv->dir, &room, NULL) != ST_OK ||
	    room < FLUSH_ROOM)
		return ST_OK;
	return r->kv->en->ops->flush(r->kv->en, e);
}

/* The log goes on behind the last batch that counts. */
static enum status go_on(struct replay *r, bool salvage, struct err *e)
{
	struct kv *kv = r->kv;
	struct kv_seg *seg = NULL;
	uint64_t size = 0;

	kv->log.at = r->at;
	if (r->at.segment == 0)
		return ST_OK;
	leave_segment(r); /* it is opened once more, and must not be there twice */
	enum status st = kv_seg_reopen(&kv->segs, r->at.segment, &seg, e);
	if (st == ST_NOT_FOUND && salvage) { /* a new one, then */
		kv->log.at.segment = 0;
		kv->log.at.end = 0;
		return ST_OK;
	}
	if (st != ST_OK)
		return st;
	if ((st = size_of(seg, &size, e)) != ST_OK) {
		kv_seg_put(&kv->segs, seg);
		return st;
	}
	kv_log_continue(kv, seg, size);
	/* The last record is not padded. */
	kv->log.shown_end = size < r->at.end ? size : r->at.end;
	if (r->n)
		st = write_again(kv, r->last_off, r->at.end, e);
	return st == ST_OK ? blot_torn(kv, e) : st;
}

/* Nobody knows what the engine has. The newest segment is given to it once more: what it says is so at the end of it,
 * while from an older one on, with segments between them gone, rows would come back that were deleted since. */
static void begin_with_newest(struct replay *r)
{
	uint64_t newest = 0;

	for (size_t i = 0; i < r->n_firsts; i++)
		if (r->firsts[i].seq > newest)
			newest = r->firsts[i].seq;
	r->at = (struct kv_place){ .seq = newest ? newest - 1 : 0 };
	r->lost++; /* perhaps none, perhaps more */
}

static enum status replay_all(struct replay *r, bool salvage, struct err *e)
{
	struct kv *kv = r->kv;
	enum status st = look_around(r, e);

	if (st == ST_OK && r->is_placeless)
		begin_with_newest(r);
	if (st != ST_OK || (st = enter_place(r, salvage, e)) != ST_OK ||
	    (st = give_all(r, 0, salvage, e)) != ST_OK ||
	    (st = go_on(r, salvage, e)) != ST_OK)
		return st;
	if (!r->lost)
		st = remove_torn(r, e);
	if (st == ST_OK)
		st = flush_many(r, e);
	kv->replayed = r->n;
	kv->lost = r->lost;
	return st;
}

/* Nothing may be written: there must be nothing to do. */
static enum status replay_nothing(struct replay *r, struct err *e)
{
	enum status st;

	if ((st = look_around(r, e)) != ST_OK || (st = enter_place(r, false, e)) != ST_OK)
		return st;
	st = next(r, e);
	r->kv->log.at = r->at;
	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st != ST_OK)
		return st;
	return err_set(
		e, ERR_CANNOT,
		"the store %s was not closed; open it once for writing before it is read only",
		r->kv->dir);
}

enum status kv_replay_open(struct kv *kv, bool read_only, bool salvage, struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct replay r = { .kv = kv };
	slice row = SL("");
	enum status st = kv->en->ops->get(kv->en, SL(KV_KEY_PLACE), &a, &row, e);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if ((st = place_of(kv, row, &r.at, e)) != ST_OK) {
		if (!salvage)
			return st;
		r.is_placeless = true;
		r.at = (struct kv_place){ 0 };
	}
	if (r.at.next_no > kv->segs.next_no)
		kv->segs.next_no = r.at.next_no;
	st = read_only ? replay_nothing(&r, e) : replay_all(&r, salvage, e);
	replay_done(&r);
	return st;
}

/* --- in place ---------------------------------------------------------------------------------------------- */
static enum status replay_again(void *ctx, slice row, struct err *e)
{
	struct kv *kv = ctx;
	struct kv_place target = kv->log.at;
	struct replay r = { .kv = kv };
	enum status st = place_of(kv, row, &r.at, e);

	if (st == ST_OK && (st = look_around(&r, e)) == ST_OK &&
	    (st = enter_place(&r, false, e)) == ST_OK)
		st = give_all(&r, target.seq, false, e);
	replay_done(&r);
	kv->en->ops->batch_drop(kv->en);
	kv->log.at = target;
	return st;
}

enum status kv_replay_in_place(struct kv *kv, struct err *e)
{
	enum status st =
		kv->en->ops->reopen(kv->en, SL(KV_KEY_PLACE), replay_again, kv, e);

	kv->engine_shut = st != ST_OK;
	if (st != ST_OK && e->code != ERR_DISK_FULL)
		e->code = ERR_STOPPED;
	return st == ST_OK ? ST_OK : err_status(e->code);
}
