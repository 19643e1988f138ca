/* kv_move.c — the collector copies a live body into the cold segment.
 *
 * The copy is written and synced by the collector's own thread, so that the committer, who then only changes the
 * rows, never waits for it. Chunks stay chunks; one that zstd makes smaller by a sixteenth is stored so: cold bodies
 * are read seldom. The hash of the whole is checked on the way: damage is not carried on. */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/io.h"
#include <zstd.h>

#define LEVEL	 3
#define TRY_FROM 128u
#define OUT_MAX	 (KV_COLLECT_BYTES + KV_SCRATCH)

/* Octets gathered so far become part of the segment. */
static enum status write_out(struct kv_pass *p, struct err *e)
{
	struct kv_gc *gc = &p->kv->gc;
	enum status st;

	if (p->out.n == 0)
		return ST_OK;
	st = io_pwrite(gc->cold->fd, buf_slice(&p->out), gc->cold_end, e);
	if (st != ST_OK)
		return st;
	gc->cold_end += p->out.n;
	p->bytes += p->out.n;
	p->unsynced = true;
	buf_reset(&p->out);
	return ST_OK;
}

enum status kv_move_sync(struct kv_pass *p, struct err *e)
{
	enum status st = write_out(p, e);

	if (st != ST_OK || !p->unsynced)
		return st;
	p->unsynced = false;
	st = io_fdatasync(p->kv->gc.cold->fd, e);
	p->kv->stats.syncs++;
	if (st != ST_OK) {
		e->code = ERR_STOPPED; /* a failed sync is final */
		kv_stop(p->kv, e);
	}
	return st;
}

/* Room for n octets behind what is gathered. A segment that is full is counted when the collector next looks. */
static enum status make_room(struct kv_pass *p, size_t n, struct err *e)
{
	struct kv *kv = p->kv;
	struct kv_gc *gc = &kv->gc;
	enum status st;

	if (gc->cold && gc->cold_end + p->out.n + n <= kv->segs.max_bytes) {
		if (p->out.n + n > OUT_MAX)
			return write_out(p, e);
		return ST_OK;
	}
	if (gc->cold && (st = kv_move_sync(p, e)) != ST_OK)
		return st;
	struct kv_seg *fresh, *old = gc->cold;
	if ((st = kv_seg_new(&kv->segs, &fresh, e)) != ST_OK) {
		if (e->code == ERR_STOPPED)
			kv_stop(kv, e);
		return st;
	}
	pthread_mutex_lock(&kv->segs.mu); /* kv_segs_list asks which it is */
	gc->cold = fresh;
	gc->cold_end = 0;
	pthread_mutex_unlock(&kv->segs.mu);
	if (old)
		kv_seg_put(&kv->segs, old);
	return ST_OK;
}

/* One chunk: read, verified, packed as is best, gathered. *out: its new place. */
static enum status copy_chunk(struct kv_pass *p, const struct kv_extent *x, size_t chunk,
			      char *in, char *raw, char *packed, EVP_MD_CTX *sha,
			      struct kv_extent *out, struct err *e)
{
	unsigned char header[KV_REC_HEADER];
	struct kv_rec rec;
	slice body;
	enum status st = kv_record_read(p->kv, x, chunk, in, &rec, &body, e);

	/* What the disk does not give is damage as well: else all other segments would wait for it. */
	if (st == ST_IO)
		e->code = ERR_CORRUPT;
	if (st != ST_OK ||
	    (st = kv_record_unpack(p->kv, x, &rec, body, raw, x->raw, e)) != ST_OK)
		return st;
	p->bytes += KV_REC_HEADER + x->stored;
	if (EVP_DigestUpdate(sha, raw, x->raw) != 1)
		return err_set(e, ERR_IO, "SHA-256 failed");
	if (!(rec.flags & KV_REC_ZSTD) && x->raw >= TRY_FROM) {
		size_t n = ZSTD_compressCCtx(p->zstd, packed, body.n - body.n / 16, raw,
					     x->raw, LEVEL);
		if (!ZSTD_isError(n)) {
			body = slice_make(packed, n);
			rec.flags = KV_REC_ZSTD;
		}
	}
	rec.stored = (uint32_t)body.n;
	rec.body_crc = crc32c(0, body);
	kv_rec_write(header, &rec);
	if ((st = make_room(p, sizeof(header) + body.n, e)) != ST_OK)
		return st;
	*out = (struct kv_extent){ .seg = p->kv->gc.cold->no,
				   .stored = rec.stored,
				   .raw = x->raw,
				   .off = p->kv->gc.cold_end + p->out.n };
	buf_reserve(&p->out, sizeof(header) + body.n);
	buf_add(&p->out, slice_make(header, sizeof(header)));
	buf_add(&p->out, body);
	return ST_OK;
}

static slice new_row(const struct kv_blob_row *blob, const struct kv_extent *x,
		     struct arena *a)
{
	struct buf b;

	buf_init(&b, LIMIT_VALUE);
	kv_extents_put(&b, blob->size, x, blob->n);
	slice s = arena_dup(a, buf_slice(&b));
	buf_done(&b);
	return s;
}

enum status kv_move_copy(struct kv_pass *p, const struct kv_lookup *l, struct arena *a,
			 struct kv_gc_op *op, struct err *e)
{
	const struct kv_blob_row *blob = l->blob;
	struct kv_extent *to = arena_array(a, blob->n, sizeof(*to));
	unsigned char hash[EVP_MAX_MD_SIZE];
	char *in = kv_scratch_take(p->kv), *raw = kv_scratch_take(p->kv),
	     *packed = kv_scratch_take(p->kv);
	EVP_MD_CTX *sha = EVP_MD_CTX_new();
	enum status st = ST_OK;
	unsigned n;

	if (!p->zstd)
		p->zstd = ZSTD_createCCtx();
	if (!sha || !p->zstd)
		abort(); /* out of memory, as everywhere */
	*op = (struct kv_gc_op){ .kind = KV_GC_MOVE, .id = l->id };
	if (EVP_DigestInit_ex(sha, p->kv->sha256, NULL) != 1)
		st = err_set(e, ERR_IO, "SHA-256 is not available");
	for (size_t i = 0; i < blob->n && st == ST_OK; i++)
		st = copy_chunk(p, &l->ext[i], i, in, raw, packed, sha, &to[i], e);
	if (st == ST_OK && EVP_DigestFinal_ex(sha, hash, &n) != 1)
		st = err_set(e, ERR_IO, "SHA-256 failed");
	bool bad = st == ST_OK ? memcmp(hash, l->id.h, sizeof(l->id.h)) != 0
			       : e->code == ERR_CORRUPT;
	if (bad) {
		st = ST_OK; /* what was copied of it is never named: dead, and counted as such later */
	} else if (st == ST_OK) {
		op->old_row = arena_dup(a, l->row);
		op->new_row = new_row(blob, to, a);
	}
	EVP_MD_CTX_free(sha);
	kv_scratch_give(p->kv, in);
	kv_scratch_give(p->kv, raw);
	kv_scratch_give(p->kv, packed);
	return st;
}
