/* kv_places.c — which bodies have their records in a segment, and which of these records are alive.
 *
 * A record is alive when the row of its body names its place. Bodies of a segment are found by its rows 'b'. */
#include "kv/kv_internal.h"
#include "base/alloc.h"

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

enum status kv_places_walk(struct kv *kv, uint32_t seg, uint64_t *place, uint64_t *batch,
			   bool (*fn)(void *ctx, const struct blob_id *id, uint64_t off),
			   void *ctx, struct err *e)
{
	unsigned char from[13], to[13];
	struct walk w = { place, fn, ctx };
	struct kv_range r = { kv_place_key(from, seg, *place),
			      kv_place_key(to, seg, UINT64_MAX), false };

	(void)batch;
	return kv_scan(kv, NULL, &r, one_place, &w, e);
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
	enum status st;

	do {
		w->n = 0;
		st = kv_places_walk(kv, seg, &place, &batch, gather, w, e);
		for (size_t i = 0; i < w->n && st == ST_OK; i++) {
			st = kv_places_look(kv, &l, &w->at[i].id, seg, w->at[i].off, &x,
					    e);
			if (st == ST_OK && x)
				sum += KV_REC_HEADER + x->stored;
		}
	} while (st == ST_OK && w->n == WINDOW);
	arena_release(&l.a);
	mem_free(w);
	if (st == ST_OK)
		*out = sum;
	return st;
}
