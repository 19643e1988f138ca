/* kv_places.c — which bodies have their records in a segment, and which of these records are alive.
 *
 * A record is alive when the row of its body names its place. Bodies of a bulk segment, and of one that the collector
 * filled, are found by rows 'b'; those of a log segment by the rows 'B' that its batches put. */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/io.h"

struct walk {
	uint64_t *place;
	bool (*fn)(void *ctx, const struct blob_id *id, uint64_t off);
	void *ctx;
};

static bool one_place(void *ctx, slice key, slice value)
{
	struct walk *w = ctx;
	struct rd r = rd_init(slice_from(key, 5));
	struct blob_id id;
	uint64_t off = rd_u64(&r);

	*w->place = off + 1;
	if (r.bad || rd_left(&r) || value.n != sizeof(id.h))
		return true; /* kv_check tells of it */
	memcpy(id.h, value.p, sizeof(id.h));
	return w->fn(w->ctx, &id, off);
}

static enum status walk_rows(struct kv *kv, uint32_t seg, struct walk *w, struct err *e)
{
	unsigned char from[13], to[13];
	struct kv_range r = { kv_place_key(from, seg, *w->place),
			      kv_place_key(to, seg, UINT64_MAX), false };

	return kv_scan(kv, NULL, &r, one_place, w, e);
}

/* --- log segments ------------------------------------------------------------------------------------------ */
struct found {
	struct blob_id id;
	uint64_t off;
};
struct founds {
	struct found *at;
	size_t n, cap;
};

static int by_offset(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

/* The chunks that this batch brought, by the rows 'B' it put. */
static void find_chunks(const struct kv_log_reader *r, uint64_t from, struct founds *l)
{
	uint64_t begin = r->off + KV_LOG_HEADER, end = begin + r->head.bodies;
	slice rest = r->rows;
	struct kv_log_row row;
	struct arena a;

	arena_init(&a);
	while (kv_log_row_next(&rest, &row)) {
		struct kv_blob_row blob;
		const struct kv_extent *x;
		struct found f;
		if (row.del || row.key.n != 33 || row.key.p[0] != 'B')
			continue;
		memcpy(f.id.h, row.key.p + 1, sizeof(f.id.h));
		if (kv_extents_read(row.value, &f.id, &a, &blob, &x) != ST_OK)
			continue;
		for (size_t i = 0; i < blob.n; i++) {
			f.off = x[i].off;
			if (x[i].seg != r->segment || f.off < begin || f.off >= end ||
			    f.off < from)
				continue;
			if (l->n == l->cap) {
				l->cap = l->cap ? l->cap * 2 : 64;
				l->at = mem_grow(l->at, l->cap, sizeof(*l->at));
			}
			l->at[l->n++] = f;
		}
		arena_reset(&a);
	}
	arena_release(&a);
	if (l->n)
		qsort(l->at, l->n, sizeof(*l->at), by_offset);
}

/* *out_bodies grows by what the batches walked through hold. */
static enum status walk_log(struct kv_log_reader *r, struct walk *w, uint64_t *batch,
			    uint64_t *out_bodies, struct err *e)
{
	struct founds l = { 0 };
	bool more = true;
	enum status st = ST_OK;

	while (more && (st = kv_log_next(r, e)) == ST_OK) {
		*batch = r->off;
		l.n = 0;
		find_chunks(r, *w->place, &l);
		for (size_t i = 0; i < l.n && more; i++) {
			*w->place = l.at[i].off + 1;
			more = w->fn(w->ctx, &l.at[i].id, l.at[i].off);
		}
		if (more) {
			*batch = r->at;
			*out_bodies += r->head.bodies;
		}
	}
	mem_free(l.at);
	return st == ST_NOT_FOUND || st == ST_INVALID ? ST_OK : st;
}

enum kind { KIND_ROWS, KIND_LOG, KIND_UNKNOWN };

/* Told by its first record. *out_end: of its file. */
static enum status kind_of(struct kv *kv, const struct kv_seg *seg, enum kind *out,
			   uint64_t *out_end, struct err *e)
{
	static const unsigned char zeros[KV_LOG_HEADER];
	unsigned char raw[KV_LOG_HEADER] = { 0 };
	struct kv_log_head h;
	struct kv_rec rec;
	enum status st = io_size(seg->fd, out_end, e);

	if (st == ST_OK)
		st = io_pread(seg->fd, raw,
			      *out_end < sizeof(raw) ? (size_t)*out_end : sizeof(raw), 0,
			      e);
	if (st != ST_OK)
		return st;
	/* A batch of another number is of the segment whose file this was: nothing of this one is in it yet. */
	if (kv_log_head_read(raw, &kv->log.key, &h))
		*out = h.segment == seg->no ? KIND_LOG : KIND_ROWS;
	else if (kv_rec_read(raw, &rec) || memcmp(raw, zeros, sizeof(raw)) == 0)
		*out = KIND_ROWS;
	else
		*out = KIND_UNKNOWN;
	return ST_OK;
}

enum status kv_places_has_rows(struct kv *kv, uint32_t no, bool *out, struct err *e)
{
	struct kv_seg *seg;
	enum kind kind = KIND_ROWS;
	uint64_t end;
	enum status st = kv_seg_get(&kv->segs, no, &seg, e);

	if (st != ST_OK)
		return st;
	st = kind_of(kv, seg, &kind, &end, e);
	kv_seg_put(&kv->segs, seg);
	*out = kind == KIND_ROWS;
	return st;
}

struct walked {
	uint64_t bodies; /* octets that the batches walked through hold */
	bool log;	 /* a segment of the log */
	bool unknown;	 /* damage at its beginning: nobody knows what it is */
};

static enum status walk_segment(struct kv *kv, uint32_t no, uint64_t *batch,
				struct walk *w, struct walked *sum, struct err *e)
{
	struct kv_log_reader r;
	struct kv_seg *seg;
	enum kind kind;
	uint64_t end;
	enum status st = kv_seg_get(&kv->segs, no, &seg, e);

	if (st != ST_OK)
		return st;
	st = kind_of(kv, seg, &kind, &end, e);
	if (st == ST_OK && kind == KIND_LOG) {
		sum->log = true;
		kv_log_reader_init(&r, &kv->log.key, seg->fd, no, *batch, end);
		st = walk_log(&r, w, batch, &sum->bodies, e);
		kv_log_reader_done(&r);
	} else if (st == ST_OK) {
		sum->unknown = kind == KIND_UNKNOWN;
		st = walk_rows(kv, no, w, e);
	}
	kv_seg_put(&kv->segs, seg);
	return st;
}

enum status kv_places_walk(struct kv *kv, uint32_t seg, uint64_t *place, uint64_t *batch,
			   bool (*fn)(void *ctx, const struct blob_id *id, uint64_t off),
			   void *ctx, struct err *e)
{
	struct walk w = { place, fn, ctx };
	struct walked sum = { 0 };

	return walk_segment(kv, seg, batch, &w, &sum, e);
}

enum status kv_places_look(struct kv *kv, struct kv_lookup *l, const struct blob_id *id,
			   uint32_t seg, uint64_t off, const struct kv_extent **out,
			   struct err *e)
{
	unsigned char key[33];

	*out = NULL;
	if (!l->used || memcmp(l->id.h, id->h, sizeof(id->h)) != 0) {
		arena_reset(&l->a);
		l->id = *id;
		l->used = true;
		l->row = SL("");
		enum status st =
			kv->en->ops->get(kv->en, kv_blob_key(key, id), &l->a, &l->row, e);
		if (st != ST_OK && st != ST_NOT_FOUND) {
			l->used = false;
			return st;
		}
		l->blob = ARENA_NEW(&l->a, struct kv_blob_row);
		if (st == ST_OK &&
		    kv_extents_read(l->row, id, &l->a, l->blob, &l->ext) != ST_OK)
			l->blob->n = 0;
	}
	for (size_t i = 0; i < l->blob->n && !*out; i++)
		if (l->ext[i].seg == seg && l->ext[i].off == off)
			*out = &l->ext[i];
	return ST_OK;
}

enum { WINDOW = 256 }; /* places gathered at a time: no look-ups from inside a scan */
struct window {
	struct {
		struct blob_id id;
		uint64_t off;
	} at[WINDOW];
	size_t n;
};

static bool gather(void *ctx, const struct blob_id *id, uint64_t off)
{
	struct window *w = ctx;

	w->at[w->n].id = *id;
	w->at[w->n].off = off;
	return ++w->n < WINDOW;
}

enum status kv_places_live(struct kv *kv, uint32_t seg, uint64_t *out, struct err *e)
{
	struct kv_lookup l = { .used = false };
	struct window *w = mem_new(sizeof(*w));
	const struct kv_extent *x;
	uint64_t place = 0, batch = 0, sum = 0;
	struct walked walked = { 0 };
	struct walk walk = { &place, gather, w };
	enum status st;

	do {
		w->n = 0;
		st = walk_segment(kv, seg, &batch, &walk, &walked, e);
		for (size_t i = 0; i < w->n && st == ST_OK; i++) {
			st = kv_places_look(kv, &l, &w->at[i].id, seg, w->at[i].off, &x,
					    e);
			if (st == ST_OK && x)
				sum += KV_REC_HEADER + x->stored;
		}
	} while (st == ST_OK && w->n == WINDOW);
	arena_release(&l.a);
	mem_free(w);
	if (st != ST_OK)
		return st;
	/* A batch that cannot be read hides its bodies: they count as alive, and the segment stays. (One octet
	 * stands for no bodies at all: kv_gc_leave.) */
	struct kv_gc_count c = kv_gc_count_of(kv, seg);
	if (walked.log && c.known && c.total > 1 && c.total > walked.bodies)
		sum += c.total - walked.bodies;
	if (walked.unknown)
		sum++;
	*out = sum;
	return st;
}
