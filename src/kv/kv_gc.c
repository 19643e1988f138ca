/* kv_gc.c — the committer's part of garbage collection: it decides.
 *
 * A reference can only come into being where the body is known to stay: beside an upload of the same bytes, or from
 * a row that holds a reference itself, under the lock that this row is under. So a body without a reference in the
 * engine, in this batch, and among the bodies this batch brings, has none anywhere, and nobody can make one but by
 * bringing the bytes again, in a later batch, which then finds no row. */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/cleanup.h"

#define COUNT_VERSION 1u

slice kv_gc_key(unsigned char dst[33], char kind, const struct blob_id *id)
{
	dst[0] = (unsigned char)kind;
	memcpy(dst + 1, id->h, sizeof(id->h));
	return slice_make(dst, 33);
}

slice kv_place_key(unsigned char dst[13], uint32_t seg, uint64_t off)
{
	dst[0] = 'b';
	for (unsigned i = 0; i < 4; i++)
		dst[1 + i] = (unsigned char)(seg >> (24 - 8 * i));
	for (unsigned i = 0; i < 8; i++)
		dst[5 + i] = (unsigned char)(off >> (56 - 8 * i));
	return slice_make(dst, 13);
}

slice kv_count_key(unsigned char dst[5], uint32_t seg)
{
	dst[0] = 's';
	for (unsigned i = 0; i < 4; i++)
		dst[1 + i] = (unsigned char)(seg >> (24 - 8 * i));
	return slice_make(dst, 5);
}

/* --- counts ------------------------------------------------------------------------------------------------ */
static size_t count_at(const struct kv_gc_counts *c, uint32_t seg)
{
	size_t lo = 0, hi = c->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (c->at[mid].seg < seg)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const struct kv_gc_count *count_find(const struct kv_gc_counts *c, uint32_t seg)
{
	size_t i = count_at(c, seg);

	return i < c->n && c->at[i].seg == seg ? &c->at[i] : NULL;
}

static void count_set(struct kv_gc_counts *c, const struct kv_gc_count *x)
{
	size_t i = count_at(c, x->seg);

	if (i == c->n || c->at[i].seg != x->seg) {
		if (c->n == c->cap) {
			c->cap = c->cap ? c->cap * 2 : 16;
			c->at = mem_grow(c->at, c->cap, sizeof(*c->at));
		}
		memmove(&c->at[i + 1], &c->at[i], (c->n - i) * sizeof(*c->at));
		c->n++;
	}
	c->at[i] = *x;
}

static void count_remove(struct kv_gc_counts *c, uint32_t seg)
{
	size_t i = count_at(c, seg);

	if (i < c->n && c->at[i].seg == seg) {
		c->n--;
		memmove(&c->at[i], &c->at[i + 1], (c->n - i) * sizeof(*c->at));
	}
}

struct kv_gc_count kv_gc_count_of(struct kv *kv, uint32_t seg)
{
	struct kv_gc_count c = { .seg = seg };

	pthread_mutex_lock(&kv->gc.mu);
	const struct kv_gc_count *x = count_find(&kv->gc.counts, seg);
	if (x)
		c = *x;
	pthread_mutex_unlock(&kv->gc.mu);
	return c;
}

void kv_gc_set_stuck(struct kv *kv, uint32_t seg)
{
	pthread_mutex_lock(&kv->gc.mu);
	size_t i = count_at(&kv->gc.counts, seg);
	if (i < kv->gc.counts.n && kv->gc.counts.at[i].seg == seg)
		kv->gc.counts.at[i].stuck = kv->gc.counts.at[i].dead + 1;
	pthread_mutex_unlock(&kv->gc.mu);
}

/* The count as this batch will leave it. */
static struct kv_gc_count count_planned(struct kv *kv, uint32_t seg)
{
	const struct kv_gc_count *x = count_find(&kv->gc.changed, seg);

	return x ? *x : kv_gc_count_of(kv, seg);
}

static bool count_row(void *ctx, slice key, slice value)
{
	struct kv *kv = ctx;
	struct rd k = rd_init(slice_from(key, 1)), r = rd_init(value);
	uint8_t version = rd_u8(&r);
	struct kv_gc_count c = { .seg = rd_u32(&k) };

	c.total = rd_u64(&r);
	c.dead = rd_u64(&r);
	c.known = c.total > 0;
	/* One that cannot be read is counted again. */
	if (version == COUNT_VERSION && !r.bad && !k.bad &&
	    (c.dead <= c.total || !c.known))
		count_set(&kv->gc.counts, &c);
	return true;
}

static bool any_row(void *ctx, slice key, slice value)
{
	(void)key;
	(void)value;
	*(bool *)ctx = true;
	return false;
}

enum status kv_gc_open(struct kv *kv, struct err *e)
{
	struct kv_range counts = { SL("s"), SL("t"), false };
	struct kv_range marks = { SL("d"), SL("e"), false };
	bool damaged = false;
	enum status st = kv_scan(kv, NULL, &counts, count_row, kv, e);

	if (st == ST_OK)
		st = kv_scan(kv, NULL, &marks, any_row, &damaged, e);
	kv->gc.damaged = damaged;
	return st;
}

void kv_gc_done(struct kv *kv)
{
	mem_free(kv->gc.counts.at);
	mem_free(kv->gc.changed.at);
	mem_free(kv->gc.refs);
	mem_free(kv->gc.refs_used);
	pthread_mutex_destroy(&kv->gc.mu);
	pthread_mutex_destroy(&kv->gc.pass_mu);
}

/* --- what the batch references ----------------------------------------------------------------------------- */
static bool *ref_slot(struct kv_gc *gc, const unsigned char *hash)
{
	size_t mask = gc->cap_refs - 1, i;

	memcpy(&i, hash, sizeof(i));
	for (i &= mask; gc->refs_used[i]; i = (i + 1) & mask)
		if (memcmp(gc->refs + i * 32, hash, 32) == 0)
			break;
	return &gc->refs_used[i];
}

static size_t each_reference(struct kv_batch *b, struct kv_gc *gc)
{
	static const char first[] = { KV_REFERENCE };
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct kv_node *x =
			kv_map_seek(&b->t[i]->set, slice_make(first, sizeof(first)));
		for (; x && x->key.p[0] == KV_REFERENCE; x = x->next[0]) {
			if (x->del || x->key.n < 33)
				continue;
			n++;
			if (!gc)
				continue;
			const unsigned char *hash = (const unsigned char *)x->key.p + 1;
			bool *used = ref_slot(gc, hash);
			*used = true;
			memcpy(gc->refs + (size_t)(used - gc->refs_used) * 32, hash, 32);
		}
	}
	return n;
}

/* Deletions do not count: a reference put by one and deleted by the next of the same batch only keeps the body until
 * the next pass, for which the deletion put a new row g. */
static void gather_references(struct kv *kv)
{
	struct kv_gc *gc = &kv->gc;
	size_t want = 64, n = each_reference(&kv->batch, NULL);

	while (want < n * 2)
		want *= 2;
	if (want > gc->cap_refs) {
		mem_free(gc->refs);
		mem_free(gc->refs_used);
		gc->refs = mem_array(want, 32);
		gc->refs_used = mem_array(want, sizeof(*gc->refs_used));
		gc->cap_refs = want;
	} else {
		memset(gc->refs_used, 0, gc->cap_refs * sizeof(*gc->refs_used));
	}
	each_reference(&kv->batch, gc);
}

/* Bodies the batch brings; few enough batches carry requests that a walk does. */
static const struct kv_upload *brought(const struct kv_batch *b, const struct blob_id *id)
{
	for (size_t i = 0; i < b->n; i++)
		for (const struct kv_upload *u = b->t[i]->blobs; u; u = u->next)
			if (memcmp(u->id.h, id->h, sizeof(id->h)) == 0)
				return u;
	return NULL;
}

slice kv_gc_key_end(unsigned char dst[33], char kind, const struct blob_id *id)
{
	size_t i = 32;

	kv_gc_key(dst, kind, id);
	while (i > 0 && dst[i] == 0xff)
		i--;
	dst[i]++; /* the kind is a letter, so there is always room */
	return slice_make(dst, i + 1);
}

enum status kv_gc_is_referenced(struct kv *kv, const struct blob_id *id, bool *out,
				struct err *e)
{
	unsigned char from[33], to[33];
	struct kv_range r = { kv_gc_key(from, KV_REFERENCE, id),
			      kv_gc_key_end(to, KV_REFERENCE, id), false };
	bool found = false;
	enum status st = kv_scan(kv, NULL, &r, any_row, &found, e);

	if (st == ST_OK)
		*out = found;
	return st;
}

enum status kv_gc_is_damaged(struct kv *kv, const struct blob_id *id, bool *out,
			     struct err *e)
{
	unsigned char key[33];
	AUTO_ARENA a = { 0 };
	slice row;

	*out = false;
	if (!kv->gc.damaged)
		return ST_OK;
	enum status st = kv->en->ops->get(kv->en, kv_gc_key(key, 'd', id), &a, &row, e);
	*out = st == ST_OK;
	return st == ST_NOT_FOUND ? ST_OK : st;
}

/* --- deciding ---------------------------------------------------------------------------------------------- */
static void plan_count(struct kv *kv, const struct kv_gc_count *c)
{
	unsigned char key[5];
	struct buf *row = &kv->batch.row;

	count_set(&kv->gc.changed, c);
	buf_reset(row);
	buf_put_u8(row, COUNT_VERSION);
	buf_put_u64(row, c->total);
	buf_put_u64(row, c->dead);
	kv_row_put(kv, kv_count_key(key, c->seg), buf_slice(row));
}

void kv_gc_leave(struct kv *kv, uint32_t seg, uint64_t octets)
{
	struct kv_gc_count c = count_planned(kv, seg);

	/* Counted by the collector a moment ago: its octets were those of the file. */
	if (c.known && c.total > octets)
		c.dead -= c.dead < c.total - octets ? c.dead : c.total - octets;
	/* One without bodies is a dead octet: nothing of it is alive. */
	c.known = true;
	c.total = octets ? octets : 1;
	if (octets == 0)
		c.dead = 1;
	plan_count(kv, &c);
	kv->gc.unrefs++; /* worth a look: it may hold little but rows */
}

/* The records that a row of extents names are dead, and their rows b go. */
static enum status bury(struct kv *kv, const struct blob_id *id, slice row, uint64_t *out,
			struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct kv_blob_row blob;
	const struct kv_extent *x;
	slice place;
	unsigned char key[13];

	if (kv_extents_read(row, id, &a, &blob, &x) != ST_OK)
		return ST_OK; /* a damaged row names nothing; its segments are counted anew by kv_check */
	for (size_t i = 0; i < blob.n; i++) {
		struct kv_gc_count c = count_planned(kv, x[i].seg);
		c.dead += KV_REC_HEADER + x[i].stored;
		if (out)
			*out += KV_REC_HEADER + x[i].stored;
		/* One row for each segment is enough, and the last says it all. */
		if (i + 1 < blob.n && x[i + 1].seg == x[i].seg)
			count_set(&kv->gc.changed, &c);
		else
			plan_count(kv, &c);
		kv_place_key(key, x[i].seg, x[i].off);
		enum status st =
			kv->en->ops->get(kv->en, slice_make(key, 13), &a, &place, e);
		if (st == ST_OK)
			kv_row_del(kv, slice_make(key, 13));
		else if (st != ST_NOT_FOUND)
			return st;
	}
	return ST_OK;
}

static enum status decide_drop(struct kv *kv, struct kv_gc_op *op, struct err *e)
{
	unsigned char key[33];
	AUTO_ARENA a = { 0 };
	bool used;
	slice row;
	enum status st;

	if (brought(&kv->batch, &op->id))
		return ST_OK; /* its reference is counted next time */
	used = *ref_slot(&kv->gc, op->id.h);
	if (!used && (st = kv_gc_is_referenced(kv, &op->id, &used, e)) != ST_OK)
		return st;
	kv_row_del(kv, kv_gc_key(key, 'g', &op->id));
	if (used)
		return ST_OK;
	st = kv->en->ops->get(kv->en, kv_blob_key(key, &op->id), &a, &row, e);
	if (st != ST_OK)
		return st == ST_NOT_FOUND ? ST_OK : st;
	kv_row_del(kv, slice_make(key, 33));
	if (kv->gc.damaged)
		kv_row_del(kv, kv_gc_key(key, 'd', &op->id));
	op->done = true;
	return bury(kv, &op->id, row, &op->bytes, e);
}

/* The copies of a body that is moved no more are dead as soon as they are written. */
static void bury_new(struct kv *kv, const struct kv_gc_op *op)
{
	AUTO_ARENA a = { 0 };
	struct kv_blob_row blob;
	const struct kv_extent *x;

	if (kv_extents_read(op->new_row, &op->id, &a, &blob, &x) != ST_OK)
		return;
	for (size_t i = 0; i < blob.n; i++) {
		struct kv_gc_count c = count_planned(kv, x[i].seg);
		c.dead += KV_REC_HEADER + x[i].stored;
		plan_count(kv, &c);
	}
}

static enum status decide_move(struct kv *kv, struct kv_gc_op *op, struct err *e)
{
	unsigned char key[33], place[13];
	AUTO_ARENA a = { 0 };
	struct kv_blob_row blob;
	const struct kv_extent *x;
	slice row;
	const struct kv_upload *u = brought(&kv->batch, &op->id);
	enum status st = kv->en->ops->get(kv->en, kv_blob_key(key, &op->id), &a, &row, e);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (st == ST_NOT_FOUND || !slice_eq(row, op->old_row) || (u && !u->known)) {
		bury_new(kv, op);
		return ST_OK;
	}
	if ((st = bury(kv, &op->id, row, &op->bytes, e)) != ST_OK)
		return st;
	kv_row_put(kv, slice_make(key, 33), op->new_row);
	if (kv_extents_read(op->new_row, &op->id, &a, &blob, &x) != ST_OK)
		return err_set(e, ERR_CORRUPT, "a moved body has no place");
	for (size_t i = 0; i < blob.n; i++)
		kv_row_put(kv, kv_place_key(place, x[i].seg, x[i].off),
			   slice_make(op->id.h, sizeof(op->id.h)));
	op->done = true;
	return ST_OK;
}

static void decide_count(struct kv *kv, struct kv_gc_op *op)
{
	unsigned char key[5];
	struct kv_gc_count c = { op->seg, true, op->total, op->dead, 0 };

	op->done = true;
	if (op->total) {
		c.dead += count_planned(kv, op->seg).dead - op->seen; /* died meanwhile */
		if (c.dead > c.total)
			c.dead = c.total;
		plan_count(kv, &c);
		return;
	}
	count_set(&kv->gc.changed, &c); /* kv_gc_settle: without octets it goes */
	kv_row_del(kv, kv_count_key(key, op->seg));
}

/* A damaged body that was brought again: what its row named is dead. */
static enum status heal(struct kv *kv, const struct kv_upload *u, struct err *e)
{
	unsigned char key[33];
	AUTO_ARENA a = { 0 };
	slice row;
	enum status st = kv->en->ops->get(kv->en, kv_blob_key(key, &u->id), &a, &row, e);

	if (st == ST_OK)
		st = bury(kv, &u->id, row, NULL, e);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	kv_row_del(kv, kv_gc_key(key, 'd', &u->id));
	return ST_OK;
}

static enum status decide_one(struct kv *kv, struct kv_gc_op *op, struct err *e)
{
	op->done = false;
	op->bytes = 0;
	switch (op->kind) {
	case KV_GC_DROP:
		return decide_drop(kv, op, e);
	case KV_GC_MOVE:
		return decide_move(kv, op, e);
	case KV_GC_COUNT:
	default:
		decide_count(kv, op);
		return ST_OK;
	}
}

enum status kv_gc_decide(struct kv *kv, struct err *e)
{
	struct kv_batch *b = &kv->batch;
	bool gathered = false;
	enum status st = ST_OK;

	for (size_t i = 0; i < b->n && st == ST_OK; i++) {
		for (struct kv_upload *u = b->t[i]->blobs; u && st == ST_OK; u = u->next)
			if (u->heals)
				st = heal(kv, u, e);
		struct kv_gc_list *l = b->t[i]->gc;
		if (!l)
			continue;
		if (!gathered)
			gather_references(kv);
		gathered = true;
		for (size_t k = 0; k < l->n && st == ST_OK; k++)
			st = decide_one(kv, &l->op[k], e);
	}
	return st;
}

static void forget(struct kv *kv)
{
	struct kv_batch *b = &kv->batch;

	for (size_t i = 0; i < b->n; i++) {
		for (const struct kv_upload *u = b->t[i]->blobs; u; u = u->next)
			if (u->heals)
				kv_blob_forget(kv, &u->id);
		const struct kv_gc_list *l = b->t[i]->gc;
		for (size_t k = 0; l && k < l->n; k++)
			if (l->op[k].done && l->op[k].kind != KV_GC_COUNT)
				kv_blob_forget(kv, &l->op[k].id);
	}
}

void kv_gc_settle(struct kv *kv, bool durable)
{
	struct kv_gc *gc = &kv->gc;

	if (durable) {
		forget(kv);
		pthread_mutex_lock(&gc->mu);
		for (size_t i = 0; i < gc->changed.n; i++) {
			const struct kv_gc_count *c = &gc->changed.at[i];
			if (c->known && c->total == 0)
				count_remove(&gc->counts, c->seg);
			else
				count_set(&gc->counts, c);
		}
		pthread_mutex_unlock(&gc->mu);
	}
	gc->changed.n = 0;
}

/* --- asking ------------------------------------------------------------------------------------------------ */
enum status kv_gc_submit(struct kv *kv, struct kv_gc_op *op, size_t n, struct err *e)
{
	struct kv_gc_list list = { op, n };
	struct kv_txn *t;
	enum status st = kv_begin(kv, NULL, 0, NULL, &t, e);

	if (st != ST_OK)
		return st;
	t->gc = &list;
	return kv_commit_wait(t, e);
}

void kv_blob_unref(struct kv_txn *t, const struct blob_id *id)
{
	unsigned char key[33];

	kv_put(t, kv_gc_key(key, 'g', id), SL(""));
	t->kv->gc.unrefs++;
}

void kv_blob_mark_damaged(struct kv_txn *t, const struct blob_id *id)
{
	unsigned char key[33];

	kv_put(t, kv_gc_key(key, 'd', id), SL(""));
	t->kv->gc.damaged = true;
}
