/* kv_check.c — everything that belongs to kv, against what it follows from.
 *
 *	the log's segments: one batch behind the other
 *	rows B and r side by side, in the order of their hashes: bodies without references, references without bodies
 *	each row B: whether it can be read, whether its places are there, rows b, and the octets when asked for
 *	rows b: whether a row B answers      counts of segments: against what rows name
 *
 * It goes by pieces of 256 bodies; a piece holds pass_mu, so that nothing is dropped or moved while it is compared,
 * and reading bodies does not (kv_blob_verify looks again by itself). What deliveries and expunges change meanwhile
 * changes whole batches: a body comes with its reference, and a reference goes with a row g. */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/cleanup.h"

enum { PIECE = 256 };
struct piece_blob {
	struct blob_id id;
	slice row;
	bool referenced;
};
struct piece {
	struct kv_check *c;
	struct arena a;
	struct piece_blob at[PIECE];
	size_t n;
	size_t next; /* of at, while rows r go by */
	struct blob_id *missing;
	size_t n_missing;
	slice odd; /* key of a row B that is none */
};
struct kv_check {
	struct kv *kv;
	const struct kv_check_options *opt;
	struct kv_seg_info *segs;
	bool *has_rows; /* of each: its records have rows b */
	size_t n_segs;
	uint64_t done, all;
	bool started, ended;
	struct blob_id last; /* of the piece before */
};

__attribute__((format(printf, 4, 5))) static void found(struct kv_check *c,
							enum kv_fault what,
							const struct blob_id *id,
							const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->opt->found)
		c->opt->found(c->opt->ctx, what, id, text);
}

/* --- repairs: one row each, faults are few ------------------------------------------------------------------ */
static enum status change(struct kv_check *c, slice key, bool put, slice value,
			  struct err *e)
{
	struct kv_txn *t;

	if (!c->opt->repair)
		return ST_OK;
	enum status st = kv_begin(c->kv, NULL, 0, NULL, &t, e);
	if (st != ST_OK)
		return st;
	if (put)
		kv_put(t, key, value);
	else
		kv_del(t, key);
	return kv_commit_wait(t, e);
}

static enum status mark(struct kv_check *c, const struct blob_id *id, struct err *e)
{
	struct kv_txn *t;

	if (!c->opt->repair)
		return ST_OK;
	enum status st = kv_begin(c->kv, NULL, 0, NULL, &t, e);
	if (st != ST_OK)
		return st;
	kv_blob_mark_damaged(t, id);
	return kv_commit_wait(t, e);
}

/* --- a piece of rows B and r -------------------------------------------------------------------------------- */
static bool take_blob(void *ctx, slice key, slice value)
{
	struct piece *p = ctx;

	if (key.n != 33) {
		p->odd = arena_dup(&p->a, key);
		return true;
	}
	struct piece_blob *b = &p->at[p->n++];
	memcpy(b->id.h, key.p + 1, sizeof(b->id.h));
	b->row = arena_dup(&p->a, value);
	b->referenced = false;
	return p->n < PIECE;
}

static bool take_reference(void *ctx, slice key, slice value)
{
	struct piece *p = ctx;
	const unsigned char *hash = (const unsigned char *)key.p + 1;
	int cmp = -1;

	(void)value;
	if (key.n < 33)
		return true;
	while (p->next < p->n && (cmp = memcmp(p->at[p->next].id.h, hash, 32)) < 0)
		p->next++;
	if (p->next < p->n && cmp == 0) {
		p->at[p->next].referenced = true;
		return true;
	}
	if (p->n_missing && memcmp(p->missing[p->n_missing - 1].h, hash, 32) == 0)
		return true;
	p->missing = mem_grow(p->missing, p->n_missing + 1, sizeof(*p->missing));
	memcpy(p->missing[p->n_missing++].h, hash, 32);
	return true;
}

static enum status read_piece(struct kv_check *c, struct piece *p, struct err *e)
{
	unsigned char from[33], to[33];
	struct kv_range r = { SL("B"), SL("C"), false };

	if (c->started)
		r.from = kv_gc_key_end(from, 'B', &c->last);
	enum status st = kv_scan(c->kv, NULL, &r, take_blob, p, e);
	if (st != ST_OK)
		return st;
	c->ended = p->n < PIECE;
	r = (struct kv_range){ SL("r"), SL("s"), false };
	if (c->started)
		r.from = kv_gc_key_end(from, KV_REFERENCE, &c->last);
	if (!c->ended)
		r.to = kv_gc_key_end(to, KV_REFERENCE, &p->at[PIECE - 1].id);
	if (p->n)
		c->last = p->at[p->n - 1].id;
	c->started = true;
	return kv_scan(c->kv, NULL, &r, take_reference, p, e);
}

/* References whose body did not go by: it came behind us, or there is none. */
static enum status check_missing(struct kv_check *c, struct piece *p, struct err *e)
{
	for (size_t i = 0; i < p->n_missing; i++) {
		unsigned char key[33];
		bool used = false;
		slice row;
		enum status st = c->kv->en->ops->get(
			c->kv->en, kv_blob_key(key, &p->missing[i]), &p->a, &row, e);
		if (st == ST_NOT_FOUND)
			st = kv_gc_is_referenced(c->kv, &p->missing[i], &used, e);
		if (st != ST_OK)
			return st;
		if (used)
			found(c, KV_FAULT_NO_BODY, &p->missing[i],
			      "a body that is referred to is not in the store");
	}
	return ST_OK;
}

static enum status check_orphan(struct kv_check *c, struct piece *p,
				const struct piece_blob *b, struct err *e)
{
	unsigned char key[33];
	slice row;
	bool used = false;

	if (b->referenced)
		return ST_OK;
	enum status st = kv_gc_is_referenced(c->kv, &b->id, &used, e);
	if (st != ST_OK || used) /* a reference that is younger than the scan */
		return st;
	st = c->kv->en->ops->get(c->kv->en, kv_gc_key(key, 'g', &b->id), &p->a, &row, e);
	if (st != ST_NOT_FOUND)
		return st; /* the collector knows */
	found(c, KV_FAULT_ORPHAN, &b->id, "a body that nothing refers to");
	return change(c, slice_make(key, 33), true, SL(""), e);
}

static const struct kv_seg_info *seg_of(const struct kv_check *c, uint32_t no)
{
	for (size_t lo = 0, hi = c->n_segs; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;
		if (c->segs[mid].no == no)
			return &c->segs[mid];
		if (c->segs[mid].no < no)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static enum status list_segments(struct kv_check *c, struct err *e)
{
	mem_free(c->segs);
	mem_free(c->has_rows);
	c->segs = NULL;
	c->has_rows = NULL;
	c->n_segs = 0;
	enum status st = kv_segs_list(c->kv, &c->segs, &c->n_segs, e);
	if (st != ST_OK)
		return st;
	c->has_rows = mem_array(c->n_segs + 1, sizeof(*c->has_rows));
	for (size_t i = 0; i < c->n_segs && st == ST_OK; i++) {
		st = kv_places_has_rows(c->kv, c->segs[i].no, &c->has_rows[i], e);
		if (st == ST_NOT_FOUND) /* gone since */
			st = ST_OK;
	}
	return st;
}

/* Whether the octets are there; the list of segments is read again before that is denied. */
static enum status is_inside(struct kv_check *c, const struct kv_extent *x, bool *out,
			     struct err *e)
{
	uint64_t end = x->off + KV_REC_HEADER + x->stored;

	for (int i = 0; i < 2; i++) {
		const struct kv_seg_info *s = seg_of(c, x->seg);
		*out = s && end <= s->bytes;
		if (*out || i == 1)
			break;
		enum status st = list_segments(c, e);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

/* The row as it is now, unless it is gone: a piece is a moment old. */
static enum status is_still(struct kv_check *c, struct piece *p,
			    const struct piece_blob *b, bool *out, struct err *e)
{
	unsigned char key[33];
	slice row;
	enum status st =
		c->kv->en->ops->get(c->kv->en, kv_blob_key(key, &b->id), &p->a, &row, e);

	*out = st == ST_OK && slice_eq(row, b->row);
	return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status check_place(struct kv_check *c, struct piece *p,
			       const struct piece_blob *b, const struct kv_extent *x,
			       bool *out_there, struct err *e)
{
	unsigned char key[13];
	bool still, there;
	slice row = SL("");
	enum status st = is_inside(c, x, &there, e);

	if (st != ST_OK)
		return st;
	if (!there) {
		if ((st = is_still(c, p, b, &still, e)) == ST_OK && still)
			*out_there = false;
		return st;
	}
	const struct kv_seg_info *info = seg_of(c, x->seg);
	if (!info || !c->has_rows[info - c->segs])
		return ST_OK;
	kv_place_key(key, x->seg, x->off);
	st = c->kv->en->ops->get(c->kv->en, slice_make(key, 13), &p->a, &row, e);
	if ((st == ST_OK && slice_eq(row, slice_make(b->id.h, sizeof(b->id.h)))) ||
	    (st != ST_OK && st != ST_NOT_FOUND))
		return st;
	if ((st = is_still(c, p, b, &still, e)) != ST_OK || !still)
		return st;
	found(c, KV_FAULT_EXTENTS, &b->id,
	      "the record at %08x:%llu has no row of its own", x->seg,
	      (unsigned long long)x->off);
	return change(c, slice_make(key, 13), true, slice_make(b->id.h, sizeof(b->id.h)),
		      e);
}

static enum status check_row(struct kv_check *c, struct piece *p, struct piece_blob *b,
			     struct err *e)
{
	struct kv_blob_row blob;
	const struct kv_extent *x;
	bool there = true;
	enum status st = check_orphan(c, p, b, e);

	if (st != ST_OK)
		return st;
	if (kv_extents_read(b->row, &b->id, &p->a, &blob, &x) != ST_OK) {
		found(c, KV_FAULT_EXTENTS, &b->id, "the row of a body is damaged");
		b->row = SL("");
		return mark(c, &b->id, e);
	}
	for (size_t i = 0; i < blob.n && st == ST_OK; i++) {
		st = check_place(c, p, b, &x[i], &there, e);
		c->done += KV_REC_HEADER + x[i].stored;
	}
	if (st != ST_OK || there)
		return st;
	found(c, KV_FAULT_BODY, &b->id, "a body lies where there is nothing");
	b->row = SL("");
	return mark(c, &b->id, e);
}

/* Without pass_mu. */
static enum status read_bodies(struct kv_check *c, struct piece *p, struct err *e)
{
	struct err why;

	for (size_t i = 0; i < p->n; i++) {
		if (p->at[i].row.n == 0) /* has been told */
			continue;
		enum status st = kv_blob_verify(c->kv, &p->at[i].id, &why);
		if (st == ST_OK || st == ST_NOT_FOUND)
			continue;
		if (st != ST_IO) {
			if (e)
				*e = why;
			return st;
		}
		found(c, KV_FAULT_BODY, &p->at[i].id, "%s", why.text);
		if ((st = mark(c, &p->at[i].id, e)) != ST_OK)
			return st;
	}
	return ST_OK;
}

static enum status check_piece(struct kv_check *c, struct piece *p, struct err *e)
{
	enum status st;

	pthread_mutex_lock(&c->kv->gc.pass_mu);
	st = read_piece(c, p, e);
	if (st == ST_OK && p->odd.n) {
		found(c, KV_FAULT_EXTENTS, NULL,
		      "a row that looks like a body's is none");
		st = change(c, p->odd, false, SL(""), e);
	}
	if (st == ST_OK)
		st = check_missing(c, p, e);
	for (size_t i = 0; i < p->n && st == ST_OK; i++)
		st = check_row(c, p, &p->at[i], e);
	pthread_mutex_unlock(&c->kv->gc.pass_mu);
	return st;
}

static enum status check_blobs(struct kv_check *c, struct err *e)
{
	enum status st = ST_OK;

	while (!c->ended && st == ST_OK) {
		struct piece *p = mem_new(sizeof(*p));
		arena_init(&p->a);
		st = check_piece(c, p, e);
		if (st == ST_OK && c->opt->bodies)
			st = read_bodies(c, p, e);
		mem_free(p->missing);
		arena_release(&p->a);
		mem_free(p);
		if (st == ST_OK && c->opt->progress)
			c->opt->progress(c->opt->ctx, c->done < c->all ? c->done : c->all,
					 c->all);
	}
	return st;
}

/* --- rows b ------------------------------------------------------------------------------------------------ */
struct loose { /* rows b that nothing answers to, of one piece */
	struct arena a;
	slice key[PIECE], value[PIECE];
	size_t n;
};

static bool take_place(void *ctx, slice key, slice value)
{
	struct loose *l = ctx;

	l->key[l->n] = arena_dup(&l->a, key);
	l->value[l->n] = arena_dup(&l->a, value);
	return ++l->n < PIECE;
}

static enum status check_loose(struct kv_check *c, struct kv_lookup *look, slice key,
			       slice value, struct err *e)
{
	struct rd r = rd_init(slice_from(key, 1));
	uint32_t seg = rd_u32(&r);
	uint64_t off = rd_u64(&r);
	const struct kv_extent *x = NULL;
	struct blob_id id;
	enum status st = ST_OK;

	if (!r.bad && !rd_left(&r) && value.n == sizeof(id.h)) {
		memcpy(id.h, value.p, sizeof(id.h));
		st = kv_places_look(c->kv, look, &id, seg, off, &x, e);
	}
	if (st != ST_OK || x)
		return st;
	found(c, KV_FAULT_EXTENTS, NULL,
	      "a row of %08x:%llu names a body that is not there", seg,
	      (unsigned long long)off);
	return change(c, key, false, SL(""), e);
}

static enum status check_places(struct kv_check *c, struct err *e)
{
	AUTO_ARENA keep = { 0 };
	struct kv_range r = { SL("b"), SL("c"), false };
	struct loose *l = mem_new(sizeof(*l));
	enum status st;

	do {
		struct kv_lookup look = { .used = false };
		l->n = 0;
		pthread_mutex_lock(&c->kv->gc.pass_mu);
		st = kv_scan(c->kv, NULL, &r, take_place, l, e);
		for (size_t i = 0; i < l->n && st == ST_OK; i++)
			st = check_loose(c, &look, l->key[i], l->value[i], e);
		pthread_mutex_unlock(&c->kv->gc.pass_mu);
		if (l->n) {
			arena_reset(&keep);
			r.from = arena_join(&keep, l->key[l->n - 1], slice_make("", 1));
		}
		arena_release(&look.a);
		arena_reset(&l->a);
	} while (st == ST_OK && l->n == PIECE);
	arena_release(&l->a);
	mem_free(l);
	return st;
}

/* --- counts ------------------------------------------------------------------------------------------------ */
static enum status check_count(struct kv_check *c, const struct kv_seg_info *info,
			       struct err *e)
{
	struct kv_gc_count n = kv_gc_count_of(c->kv, info->no);
	struct kv_gc_op op = {
		.kind = KV_GC_COUNT, .seg = info->no, .total = n.total, .seen = n.dead
	};
	uint64_t live;

	if (!n.known || info->active) /* nobody has counted yet */
		return ST_OK;
	enum status st = kv_places_live(c->kv, info->no, &live, e);
	if (st != ST_OK)
		return st == ST_NOT_FOUND ? ST_OK : st; /* gone since */
	/* One dead octet stands for a segment without bodies. */
	if (n.total == live + n.dead || (live == 0 && n.dead >= n.total))
		return ST_OK;
	found(c, KV_FAULT_COUNT, NULL,
	      "segment %08x counts %llu octets alive, and there are %llu", info->no,
	      (unsigned long long)(n.total - n.dead), (unsigned long long)live);
	if (!c->opt->repair)
		return ST_OK;
	if (op.total < live)
		op.total = live;
	op.dead = op.total - live;
	return kv_gc_submit(c->kv, &op, 1, e);
}

static enum status check_counts(struct kv_check *c, struct err *e)
{
	enum status st = list_segments(c, e);

	for (size_t i = 0; i < c->n_segs && st == ST_OK; i++) {
		pthread_mutex_lock(&c->kv->gc.pass_mu);
		st = check_count(c, &c->segs[i], e);
		pthread_mutex_unlock(&c->kv->gc.pass_mu);
	}
	return st;
}

/* --- the log ----------------------------------------------------------------------------------------------- */
/* Behind a place where no record is: the reader stands at the next one, or there is none (ST_NOT_FOUND). */
static enum status behind_damage(struct kv_check *c, struct kv_log_reader *r, bool rows,
				 struct err *e)
{
	uint64_t at = r->at;

	if (rows)
		r->at += KV_LOG_ALIGN;
	enum status st = kv_log_seek(r, r->seq + 1, e);
	if (st != ST_OK && (st != ST_NOT_FOUND || !rows))
		return st;
	found(c, KV_FAULT_LOG, NULL, "the batch of the log at %08x:%llu is damaged",
	      r->segment, (unsigned long long)at);
	r->seq = 0; /* whichever it is */
	return st;
}

static enum status check_records(struct kv_check *c, const struct kv_seg_info *info,
				 struct err *e)
{
	struct kv_log_reader r;
	struct kv_seg *seg;
	uint64_t n = 0;
	enum status st = kv_seg_get(&c->kv->segs, info->no, &seg, e);

	if (st != ST_OK)
		return st == ST_NOT_FOUND ? ST_OK : st; /* gone since */
	kv_log_reader_init(&r, &c->kv->log.key, seg->fd, info->no, 0, info->bytes);
	while (st == ST_OK) {
		st = kv_log_next(&r, e);
		n += st == ST_OK;
		if (st == ST_NOT_FOUND || st == ST_INVALID)
			st = behind_damage(c, &r, st == ST_INVALID, e);
	}
	kv_log_reader_done(&r);
	kv_seg_put(&c->kv->segs, seg);
	if (st == ST_NOT_FOUND && n == 0)
		found(c, KV_FAULT_LOG, NULL,
		      "segment %08x holds neither batches nor bodies", info->no);
	return st == ST_NOT_FOUND ? ST_OK : st;
}

/* Batches that the engine has long had: damage there hides bodies from the collector, and loses nothing else. */
static enum status check_log(struct kv_check *c, struct err *e)
{
	enum status st = ST_OK;

	for (size_t i = 0; i < c->n_segs && st == ST_OK; i++)
		if (!c->has_rows[i])
			st = check_records(c, &c->segs[i], e);
	return st;
}

enum status kv_check(struct kv *kv, const struct kv_check_options *opt, struct err *e)
{
	struct kv_check c = { .kv = kv, .opt = opt };
	enum status st = list_segments(&c, e);

	for (size_t i = 0; i < c.n_segs; i++)
		c.all += c.segs[i].bytes;
	if (st == ST_OK)
		st = check_log(&c, e);
	if (st == ST_OK)
		st = check_blobs(&c, e);
	if (st == ST_OK)
		st = check_places(&c, e);
	if (st == ST_OK)
		st = check_counts(&c, e);
	if (st == ST_OK && opt->progress)
		opt->progress(opt->ctx, c.all, c.all);
	mem_free(c.segs);
	mem_free(c.has_rows);
	return st;
}
