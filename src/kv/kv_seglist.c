/* kv_seglist.c — which segments there are, and the end of one.
 *
 * A segment's number is never used twice, and its file goes only while nobody holds it and no snapshot names it;
 * both is decided under segs.mu, where readers and snapshots take hold of it. */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/io.h"

struct list {
	struct kv_seg_info *at;
	size_t n, cap;
};

static void add(struct list *l, struct kv_seg_info x)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->at = mem_grow(l->at, l->cap, sizeof(*l->at));
	}
	l->at[l->n++] = x;
}

/* "0000002a.seg" */
static bool add_name(void *ctx, const char *name)
{
	slice s = slice_str(name);
	uint32_t no = 0;

	if (s.n != 12 || !slice_ends(s, SL(".seg")))
		return true;
	for (size_t i = 0; i < 8; i++) {
		char c = s.p[i];
		if (!is_digit(c) && (c < 'a' || c > 'f'))
			return true;
		no = no << 4 | (uint32_t)(is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	add(ctx, (struct kv_seg_info){ .no = no });
	return true;
}

static int by_number(const void *a, const void *b)
{
	const struct kv_seg_info *x = a, *y = b;

	return x->no < y->no ? -1 : x->no > y->no;
}

static struct kv_seg *find_open(struct kv *kv, uint32_t no)
{
	struct kv_seg *g = kv->segs.list;

	while (g && g->no != no)
		g = g->next;
	return g;
}

static bool is_active(struct kv *kv, const struct kv_seg *g)
{
	return g->refs > 0 || g == kv->log.seg || g == kv->segs.bulk || g == kv->gc.cold;
}

static enum status fill_in(struct kv *kv, struct kv_seg_info *x, struct err *e)
{
	char path[4096];
	struct io_stat facts;
	const struct kv_seg *g = find_open(kv, x->no);
	enum status st;

	x->active = g && is_active(kv, g);
	if (g && g == kv->log.seg) {
		x->bytes = kv->log.shown_end;
		return ST_OK;
	}
	if (!kv->segs.dir)
		return io_size(g->fd, &x->bytes, e);
	snprintf(path, sizeof(path), "%s/%08x.seg", kv->segs.dir, x->no);
	st = io_stat_path(path, &facts, e);
	if (st == ST_OK)
		x->bytes = facts.size;
	return st;
}

enum status kv_segs_list(struct kv *kv, struct kv_seg_info **out, size_t *out_n,
			 struct err *e)
{
	struct list l = { 0 };
	enum status st = ST_OK;
	size_t n = 0;

	pthread_mutex_lock(&kv->segs.mu);
	if (kv->segs.dir)
		st = io_list_dir(kv->segs.dir, add_name, &l, e);
	else
		for (const struct kv_seg *g = kv->segs.list; g; g = g->next)
			add(&l, (struct kv_seg_info){ .no = g->no });
	if (l.n)
		qsort(l.at, l.n, sizeof(*l.at), by_number);
	for (size_t i = 0; i < l.n && st == ST_OK; i++)
		st = fill_in(kv, &l.at[i], e);
	n = l.n;
	pthread_mutex_unlock(&kv->segs.mu);
	if (st != ST_OK) {
		mem_free(l.at);
		return st;
	}
	*out = l.at;
	*out_n = n;
	return ST_OK;
}

static void close_idle(struct kv *kv, struct kv_seg *seg)
{
	struct kv_seg **at = &kv->segs.list;

	while (*at != seg)
		at = &(*at)->next;
	*at = seg->next;
	kv->segs.n_idle--;
	close(seg->fd);
	mem_free(seg);
}

enum status kv_segs_remove(struct kv *kv, uint32_t no, bool *out_gone, struct err *e)
{
	char path[4096];
	enum status st = ST_OK;

	*out_gone = false;
	pthread_mutex_lock(&kv->segs.mu);
	struct kv_seg *g = find_open(kv, no);
	if (!(g && is_active(kv, g)) && !kv_snapshot_has(kv, no)) {
		if (g)
			close_idle(kv, g);
		if (kv->segs.dir) {
			snprintf(path, sizeof(path), "%s/%08x.seg", kv->segs.dir, no);
			st = kv_spare_give(kv, path) ? ST_OK : io_unlink(path, e);
		}
		*out_gone = st == ST_OK;
	}
	pthread_mutex_unlock(&kv->segs.mu);
	return st;
}
