/* kv_blob.c — reading stored bodies: the row of extents, then the one chunk (or few) that the range touches. */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include <lz4.h>

slice kv_blob_key(unsigned char dst[33], const struct blob_id *id)
{
	dst[0] = 'B';
	memcpy(dst + 1, id->h, sizeof(id->h));
	return slice_make(dst, 33);
}

static struct kv_blob_row *slot_of(struct kv *kv, const struct blob_id *id)
{
	uint32_t h;
	memcpy(&h, id->h, sizeof(h));
	return &kv->blobs.rows[h % KV_BLOB_CACHE];
}

static bool cache_get(struct kv *kv, const struct blob_id *id, struct kv_blob_row *out)
{
	const struct kv_blob_row *s = slot_of(kv, id);
	pthread_mutex_lock(&kv->blobs.mu);
	bool hit = s->used && memcmp(s->id.h, id->h, sizeof(id->h)) == 0;
	if (hit)
		*out = *s;
	pthread_mutex_unlock(&kv->blobs.mu);
	return hit;
}

static void cache_put(struct kv *kv, const struct kv_blob_row *row)
{
	pthread_mutex_lock(&kv->blobs.mu);
	*slot_of(kv, &row->id) = *row;
	pthread_mutex_unlock(&kv->blobs.mu);
}

/* The row of a blob; *out_ext points into *out or into a. */
static enum status load(struct kv *kv, const struct blob_id *id, struct arena *a,
			struct kv_blob_row *out, const struct kv_extent **out_ext,
			struct err *e)
{
	unsigned char key[33];
	slice row;

	if (cache_get(kv, id, out)) {
		*out_ext = out->ext;
		return ST_OK;
	}
	enum status st = kv->en->ops->get(kv->en, kv_blob_key(key, id), a, &row, e);
	if (st == ST_NOT_FOUND) {
		err_set(e, ERR_CORRUPT, "the store has no such body");
		return ST_NOT_FOUND;
	}
	if (st != ST_OK)
		return st;
	struct rd r = rd_init(row);
	uint8_t version = rd_u8(&r);
	*out = (struct kv_blob_row){ .id = *id, .used = true, .size = rd_u64(&r) };
	out->n = rd_left(&r) / 20;
	struct kv_extent *ext = out->n <= KV_BLOB_INLINE
					? out->ext
					: arena_array(a, out->n, sizeof(*ext));
	uint64_t sum = 0;
	for (size_t i = 0; i < out->n; i++) {
		ext[i].seg = rd_u32(&r);
		ext[i].off = rd_u64(&r);
		ext[i].stored = rd_u32(&r);
		ext[i].raw = rd_u32(&r);
		sum += ext[i].raw;
		r.bad |= ext[i].raw > KV_CHUNK || ext[i].stored > KV_CHUNK;
	}
	if (version != 1 || r.bad || rd_left(&r) || sum != out->size)
		return err_set(e, ERR_CORRUPT, "the row of a body is damaged");
	if (ext == out->ext)
		cache_put(kv, out);
	*out_ext = ext;
	return ST_OK;
}

static enum status damaged(struct err *e, const struct kv_extent *x, const char *what)
{
	return err_set(e, ERR_CORRUPT, "body record at %08x:%llu: %s", x->seg,
		       (unsigned long long)x->off, what);
}

static enum status check(const struct kv_extent *x, const unsigned char *header,
			 slice body, size_t chunk, struct kv_rec *out, struct err *e)
{
	if (!kv_rec_read(header, out) || out->stored != x->stored || out->raw != x->raw ||
	    out->chunk != chunk)
		return damaged(e, x, "its header is damaged");
	if (crc32c(0, body) != out->body_crc)
		return damaged(e, x, "its checksum is wrong");
	if (!(out->flags & KV_REC_LZ4) && out->stored != out->raw)
		return damaged(e, x, "its lengths differ");
	return ST_OK;
}

/* Bytes [off, off + n) of one chunk. */
static enum status read_chunk(struct kv *kv, const struct kv_extent *x, size_t chunk,
			      size_t off, char *dst, size_t n, struct err *e)
{
	struct kv_seg *seg;
	struct kv_rec rec;
	enum status st = kv_seg_get(&kv->segs, x->seg, &seg, e);

	if (st == ST_FULL) /* no descriptor: nothing is damaged, try again */
		return st;
	if (st != ST_OK)
		return damaged(e, x, "its segment cannot be opened");
	char *in = kv_scratch_take(kv), *whole = NULL;
	slice body = slice_make(in + KV_REC_HEADER, x->stored);
	st = io_pread(seg->fd, in, KV_REC_HEADER + x->stored, x->off, e);
	if (st == ST_OK)
		st = check(x, (const unsigned char *)in, body, chunk, &rec, e);
	if (st == ST_OK && !(rec.flags & KV_REC_LZ4)) {
		memcpy(dst, body.p + off, n);
	} else if (st == ST_OK) {
		bool direct = off == 0 && n == x->raw;
		char *to = direct ? dst : (whole = kv_scratch_take(kv));
		/* A part at the front ends early; the checksum has vouched for the rest. */
		int want = (int)(off + n);
		int got = LZ4_decompress_safe_partial(body.p, to, (int)body.n, want,
						      (int)x->raw);
		if (got != want)
			st = damaged(e, x, "it does not decompress");
		else if (!direct)
			memcpy(dst, to + off, n);
	}
	kv_scratch_give(kv, in);
	if (whole)
		kv_scratch_give(kv, whole);
	kv_seg_put(&kv->segs, seg);
	return st;
}

enum status kv_blob_read(struct kv *kv, const struct blob_id *id, uint64_t off, void *dst,
			 size_t n, struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct kv_blob_row row;
	const struct kv_extent *ext;
	uint64_t at = 0, end;
	enum status st = load(kv, id, &a, &row, &ext, e);

	if (st != ST_OK)
		return st;
	if (!CHECKED_ADD(off, n, &end) || end > row.size)
		return err_set(e, ERR_CANNOT, "a read beyond the end of a body");
	for (size_t i = 0; i < row.n && n > 0; at += ext[i++].raw) {
		if (off >= at + ext[i].raw)
			continue;
		size_t from = (size_t)(off - at);
		size_t part = ext[i].raw - from < n ? ext[i].raw - from : n;
		st = read_chunk(kv, &ext[i], i, from, dst, part, e);
		if (st != ST_OK)
			return st;
		dst = (char *)dst + part;
		off += part;
		n -= part;
	}
	return ST_OK;
}

enum status kv_blob_size(struct kv *kv, const struct blob_id *id, uint64_t *out,
			 struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct kv_blob_row row;
	const struct kv_extent *ext;
	enum status st = load(kv, id, &a, &row, &ext, e);

	if (st == ST_OK)
		*out = row.size;
	return st;
}
