/* kv_collect.c — the collector: a pass over candidates and segments, in small steps.
 *
 *	DROP    64 rows g after the other: the committer drops what nobody references; by and by, when there are many
 *	CHOOSE  the segment with the largest share of dead octets; when none has enough, back to DROP, or the end
 *	EMPTY   its live bodies are copied (kv_move.c) and their rows changed, up to 1 MiB a step
 *	FREE    nothing in it is named by a row: the file goes
 *
 * A step holds pass_mu, commits at most one transaction of requests, and leaves nothing behind that the next one
 * needs but the place to go on at: a pass can end anywhere, and so can the process. */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/io.h"
#include <zstd.h>

#define LOOKS 16 /* at 64 bodies each, for a step of EMPTY */
#define DROPS_IN_TURN \
	64 /* steps, before segments are looked at; kv_collect drops all first */

void kv_pass_init(struct kv_pass *p, struct kv *kv, bool full)
{
	*p = (struct kv_pass){ .kv = kv, .phase = KV_PASS_DROP, .full = full };
	buf_init(&p->from, LIMIT_KEY + 1);
	buf_init(&p->out, 2 * KV_COLLECT_BYTES);
	buf_adds(&p->from, "g");
}

void kv_pass_done(struct kv_pass *p)
{
	ZSTD_freeCCtx(p->zstd);
	mem_free(p->tried);
	buf_done(&p->from);
	buf_done(&p->out);
}

/* --- DROP -------------------------------------------------------------------------------------------------- */
struct candidates {
	struct kv_pass *p;
	struct kv_gc_op op[KV_COLLECT_OPS];
	size_t n;
};

static bool one_candidate(void *ctx, slice key, slice value)
{
	struct candidates *c = ctx;

	(void)value;
	buf_reset(&c->p->from);
	buf_add(&c->p->from, key);
	buf_addc(&c->p->from, '\0'); /* behind this key */
	if (key.n != 33)
		return true;
	struct kv_gc_op *op = &c->op[c->n++];
	op->kind = KV_GC_DROP;
	memcpy(op->id.h, key.p + 1, sizeof(op->id.h));
	return c->n < KV_COLLECT_OPS;
}

static enum status drop(struct kv_pass *p, struct err *e)
{
	struct candidates c = { .p = p };
	struct kv_range r = { buf_slice(&p->from), SL("h"), false };
	AUTO_ARENA a = { 0 };
	enum status st;

	r.from = arena_dup(&a, r.from); /* the scan moves p->from */
	st = kv_scan(p->kv, NULL, &r, one_candidate, &c, e);
	if (st == ST_OK && c.n)
		st = kv_gc_submit(p->kv, c.op, c.n, e);
	if (st != ST_OK)
		return st;
	p->asked += c.n;
	for (size_t i = 0; i < c.n; i++) {
		p->sum.blobs_dropped += c.op[i].done;
		p->sum.bytes_dropped += c.op[i].bytes;
	}
	p->dropped_all = c.n < KV_COLLECT_OPS;
	if (p->dropped_all || (!p->full && ++p->drops % DROPS_IN_TURN == 0))
		p->phase = KV_PASS_CHOOSE;
	return ST_OK;
}

/* --- CHOOSE ------------------------------------------------------------------------------------------------ */
static bool is_tried(const struct kv_pass *p, uint32_t seg)
{
	for (size_t i = 0; i < p->n_tried; i++)
		if (p->tried[i] == seg)
			return true;
	return false;
}

static void set_tried(struct kv_pass *p, uint32_t seg)
{
	p->tried = mem_grow(p->tried, p->n_tried + 1, sizeof(*p->tried));
	p->tried[p->n_tried++] = seg;
}

/* A segment that brought no count of its own: all of the file, less what rows name. */
static enum status count(struct kv_pass *p, const struct kv_seg_info *info, struct err *e)
{
	struct kv_gc_op op = { .kind = KV_GC_COUNT, .seg = info->no };
	uint64_t live;

	op.seen = kv_gc_count_of(p->kv, info->no).dead;
	enum status st = kv_places_live(p->kv, info->no, &live, e);
	if (st != ST_OK)
		return st;
	op.total = info->bytes > live ? info->bytes : live;
	op.dead = op.total - live;
	return op.total ? kv_gc_submit(p->kv, &op, 1, e) : ST_OK;
}

/* Enough of its bodies are dead, or enough of its file: in the log's segments rows are, too, which can be most of it
 * where flags change more often than mail comes. */
static bool is_worth(const struct kv_pass *p, const struct kv_gc_count *c, uint64_t bytes)
{
	uint64_t live = c->dead < c->total ? c->total - c->dead : 0;

	if (c->stuck == c->dead + 1)
		return false;
	if (live == 0)
		return true;
	return (c->dead > 0 && c->dead >= (p->full ? c->total / 8 : c->total / 2)) ||
	       live <= (p->full ? bytes / 2 : bytes / 4);
}

/* Counts of files that went while their row did not (a crash in between). */
static enum status forget_gone(struct kv_pass *p, const struct kv_seg_info *info,
			       size_t n, struct err *e)
{
	struct kv_gc_op op[KV_COLLECT_OPS];
	size_t ops = 0, at = 0;

	pthread_mutex_lock(&p->kv->gc.mu);
	for (size_t i = 0; i < p->kv->gc.counts.n && ops < KV_COLLECT_OPS; i++) {
		uint32_t seg = p->kv->gc.counts.at[i].seg;
		while (at < n && info[at].no < seg)
			at++;
		if (at == n || info[at].no != seg)
			op[ops++] = (struct kv_gc_op){ .kind = KV_GC_COUNT, .seg = seg };
	}
	pthread_mutex_unlock(&p->kv->gc.mu);
	return ops ? kv_gc_submit(p->kv, op, ops, e) : ST_OK;
}

static enum status choose_from(struct kv_pass *p, const struct kv_seg_info *info,
			       size_t n, struct err *e)
{
	double best = 0; /* of its octets so many are dead; a count can be wrong */
	bool any = false;
	enum status st;

	for (size_t i = 0; i < n; i++) {
		if (info[i].active || is_tried(p, info[i].no))
			continue;
		struct kv_gc_count c = kv_gc_count_of(p->kv, info[i].no);
		if (!c.known && info[i].bytes) {
			if ((st = count(p, &info[i], e)) != ST_OK)
				return st;
			c = kv_gc_count_of(p->kv, info[i].no);
		}
		if (!is_worth(p, &c, info[i].bytes))
			continue;
		double live = c.dead < c.total ? (double)(c.total - c.dead) : 0;
		double share = info[i].bytes ? 1 - live / (double)info[i].bytes : 1;
		if (!any || share > best) {
			any = true;
			best = share;
			p->seg = info[i].no;
		}
	}
	p->place = p->batch = 0;
	p->stuck = false;
	p->phase = KV_PASS_EMPTY;
	if (!any) {
		p->phase = p->dropped_all ? KV_PASS_END : KV_PASS_DROP;
		p->n_tried = 0;
	}
	return ST_OK;
}

static enum status choose(struct kv_pass *p, struct err *e)
{
	struct kv_seg_info *info;
	size_t n;
	enum status st = kv_segs_list(p->kv, &info, &n, e);

	if (st != ST_OK)
		return st;
	st = forget_gone(p, info, n, e);
	if (st == ST_OK)
		st = choose_from(p, info, n, e);
	mem_free(info);
	return st;
}

/* --- EMPTY ------------------------------------------------------------------------------------------------- */
struct bodies { /* found in the segment, to be looked at after the scan */
	struct {
		struct blob_id id;
		uint64_t off;
	} at[KV_COLLECT_OPS];
	size_t n;
};

static bool one_body(void *ctx, const struct blob_id *id, uint64_t off)
{
	struct bodies *b = ctx;

	b->at[b->n].id = *id;
	b->at[b->n].off = off;
	return ++b->n < KV_COLLECT_OPS;
}

static enum status mark(struct kv *kv, const struct blob_id *id, struct err *e)
{
	struct kv_txn *t;
	enum status st = kv_begin(kv, NULL, 0, NULL, &t, e);

	if (st != ST_OK)
		return st;
	kv_blob_mark_damaged(t, id);
	return kv_commit_wait(t, e);
}

/* What one step of EMPTY copies. */
struct haul {
	struct kv_gc_op op[KV_COLLECT_OPS];
	size_t n;
	struct arena a; /* rows of op */
	uint64_t began; /* p->bytes */
	bool full;	/* a step's requests or octets */
};

static bool has_body(const struct haul *h, const struct blob_id *id)
{
	for (size_t i = 0; i < h->n; i++)
		if (memcmp(h->op[i].id.h, id->h, sizeof(id->h)) == 0)
			return true;
	return false;
}

static enum status copy_one(struct kv_pass *p, const struct kv_lookup *l, struct haul *h,
			    struct err *e)
{
	struct kv_gc_op *op = &h->op[h->n];
	enum status st = kv_disk_check(p->kv, e);

	if (st == ST_OK)
		st = kv_move_copy(p, l, &h->a, op, e);
	if (st == ST_OK && op->new_row.n == 0) {
		p->stuck = true;
		return mark(p->kv, &l->id, e);
	}
	h->n += st == ST_OK;
	return st;
}

/* Copies what is alive among b, which begin in that batch of the log; where to go on is p's, should h be full first. */
static enum status copy(struct kv_pass *p, const struct bodies *b, uint64_t batch,
			struct haul *h, struct err *e)
{
	struct kv_lookup l = { .used = false };
	const struct kv_extent *x;
	enum status st = ST_OK;

	for (size_t i = 0; i < b->n && st == ST_OK && !h->full; i++) {
		st = kv_places_look(p->kv, &l, &b->at[i].id, p->seg, b->at[i].off, &x, e);
		/* Another chunk of a body goes with the first. */
		if (st != ST_OK || !x || has_body(h, &l.id))
			continue;
		h->full = h->n == KV_COLLECT_OPS ||
			  p->bytes - h->began + p->out.n > KV_COLLECT_BYTES;
		if (!h->full) {
			st = copy_one(p, &l, h, e);
		} else {
			p->place = b->at[i].off;
			p->batch = batch;
		}
	}
	arena_release(&l.a);
	return st;
}

/* Fills h from where p is; *out_end: there is nothing behind. */
static enum status fill(struct kv_pass *p, struct haul *h, bool *out_end, struct err *e)
{
	enum status st = ST_OK;

	*out_end = false;
	for (int i = 0; i < LOOKS && st == ST_OK && !h->full && !*out_end; i++) {
		struct bodies b = { .n = 0 };
		uint64_t batch = p->batch;
		st = kv_places_walk(p->kv, p->seg, &p->place, &p->batch, one_body, &b, e);
		*out_end = st == ST_OK && b.n == 0;
		if (st == ST_OK)
			st = copy(p, &b, batch, h, e);
	}
	return st;
}

static enum status empty(struct kv_pass *p, struct err *e)
{
	struct haul h = { .began = p->bytes };
	bool end = false;
	enum status st = fill(p, &h, &end, e);

	if (st == ST_NOT_FOUND) { /* kv_collect has freed it between two steps */
		end = true;
		st = ST_OK;
	}
	if (st == ST_OK)
		st = kv_move_sync(p, e);
	if (st == ST_OK && h.n)
		st = kv_gc_submit(p->kv, h.op, h.n, e);
	buf_reset(&p->out); /* what could not be written is named by nobody */
	arena_release(&h.a);
	if (st != ST_OK)
		return st;
	p->asked += h.n;
	for (size_t i = 0; i < h.n; i++) {
		p->sum.blobs_moved += h.op[i].done;
		p->sum.bytes_moved += h.op[i].bytes;
	}
	if (end)
		p->phase = KV_PASS_FREE;
	return ST_OK;
}

/* --- FREE -------------------------------------------------------------------------------------------------- */
struct places {
	struct kv_txn *t;
	size_t n;
};

static bool del_place(void *ctx, slice key, slice value)
{
	struct places *p = ctx;

	(void)value;
	kv_del(p->t, key);
	return ++p->n < 1000;
}

/* Rows b that no row B answers to: there are none but after damage. */
static enum status remove_places(struct kv *kv, uint32_t seg, struct err *e)
{
	unsigned char from[13], to[13];
	struct kv_range r = { kv_place_key(from, seg, 0),
			      kv_place_key(to, seg, UINT64_MAX), false };
	struct places p = { 0 };
	enum status st;

	do {
		p.n = 0;
		if ((st = kv_begin(kv, NULL, 0, NULL, &p.t, e)) != ST_OK)
			return st;
		if ((st = kv_scan(kv, NULL, &r, del_place, &p, e)) != ST_OK || p.n == 0) {
			kv_abort(p.t);
			return st;
		}
		st = kv_commit_wait(p.t, e);
	} while (st == ST_OK && p.n == 1000);
	return st;
}

static enum status free_segment(struct kv_pass *p, struct err *e)
{
	struct kv_gc_op gone = { .kind = KV_GC_COUNT, .seg = p->seg };
	uint64_t live;
	bool removed = false;
	enum status st;

	p->phase = KV_PASS_CHOOSE;
	set_tried(p, p->seg);
	st = kv_places_live(p->kv, p->seg, &live, e);
	if (st != ST_OK)
		return st == ST_NOT_FOUND ? ST_OK : st; /* somebody was faster */
	if (live) {
		if (p->stuck)
			kv_gc_set_stuck(p->kv, p->seg);
		return ST_OK;
	}
	if ((st = kv_log_let_go(p->kv, p->seg, &removed, e)) != ST_OK || !removed ||
	    (st = kv_segs_remove(p->kv, p->seg, &removed, e)) != ST_OK || !removed)
		return st;
	p->sum.segments_freed++;
	if ((st = remove_places(p->kv, p->seg, e)) != ST_OK)
		return st;
	return kv_gc_submit(p->kv, &gone, 1, e);
}

/* --- the pass ---------------------------------------------------------------------------------------------- */
/* What a step has done counts for the pass and for the store. */
static void add_up(struct kv_pass *p, const struct kv_collected *before)
{
	const struct kv_collected *now = &p->sum;
	struct kv_collected *sum = &p->kv->gc.sum;

	pthread_mutex_lock(&p->kv->gc.mu);
	sum->blobs_dropped += now->blobs_dropped - before->blobs_dropped;
	sum->bytes_dropped += now->bytes_dropped - before->bytes_dropped;
	sum->blobs_moved += now->blobs_moved - before->blobs_moved;
	sum->bytes_moved += now->bytes_moved - before->bytes_moved;
	sum->segments_freed += now->segments_freed - before->segments_freed;
	pthread_mutex_unlock(&p->kv->gc.mu);
}

enum status kv_pass_step(struct kv_pass *p, bool *out_more, struct err *e)
{
	enum status st = ST_OK;
	struct kv_collected before = p->sum;

	pthread_mutex_lock(&p->kv->gc.pass_mu);
	switch (p->phase) {
	case KV_PASS_DROP:
		st = drop(p, e);
		break;
	case KV_PASS_CHOOSE:
		st = choose(p, e);
		break;
	case KV_PASS_EMPTY:
		st = empty(p, e);
		break;
	case KV_PASS_FREE:
		st = free_segment(p, e);
		break;
	case KV_PASS_END:
	default:
		break;
	}
	pthread_mutex_unlock(&p->kv->gc.pass_mu);
	add_up(p, &before);
	*out_more = p->phase != KV_PASS_END;
	return st;
}

/* Segments being written are left, so that the pass sees them: the next body begins a new one. */
static void leave_active(struct kv *kv)
{
	pthread_mutex_lock(&kv->gc.pass_mu);
	pthread_mutex_lock(&kv->commit_mu);
	kv_log_leave(kv);
	pthread_mutex_lock(&kv->segs.mu);
	struct kv_seg *left[] = { kv->segs.bulk, kv->gc.cold };
	kv->segs.bulk = kv->gc.cold = NULL;
	pthread_mutex_unlock(&kv->segs.mu);
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
		if (left[i])
			kv_seg_put(&kv->segs, left[i]);
	pthread_mutex_unlock(&kv->commit_mu);
	pthread_mutex_unlock(&kv->gc.pass_mu);
}

enum status kv_collect(struct kv *kv, struct kv_collected *out, struct err *e)
{
	struct kv_pass p;
	bool more = true;
	enum status st = ST_OK;

	if (kv->read_only)
		return err_set(e, ERR_DENIED, "the store is open for reading only");
	leave_active(kv);
	kv_pass_init(&p, kv, true);
	while (more && st == ST_OK)
		st = kv_pass_step(&p, &more, e);
	*out = p.sum;
	kv_pass_done(&p);
	return st;
}
