/* kv_blob.c — reading stored bodies: the row of extents, then the one chunk (or few) that the range touches.
 *
 * A row may be old before its extents are read: the collector moves bodies and removes segments behind a reader's
 * back (numbers of segments are never used twice, so an old place is either the same octets or not there). What
 * does not match is therefore looked up again, past the cache, and only when the row still says the same is it
 * damage. */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include <lz4.h>
#include <zstd.h>

#define LOOKUPS 8 /* a body that moves under a reader so often is not being moved */

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

/* *out_forgotten: for cache_put, when it is not there. */
static bool cache_get(struct kv *kv, const struct blob_id *id, struct kv_blob_row *out,
		      uint64_t *out_forgotten)
{
	const struct kv_blob_row *s = slot_of(kv, id);
	pthread_mutex_lock(&kv->blobs.mu);
	bool hit = s->used && memcmp(s->id.h, id->h, sizeof(id->h)) == 0;
	if (hit)
		*out = *s;
	*out_forgotten = kv->blobs.forgotten;
	pthread_mutex_unlock(&kv->blobs.mu);
	return hit;
}

/* Not when a row was forgotten since it was looked for: it could be this one. */
static void cache_put(struct kv *kv, const struct kv_blob_row *row, uint64_t forgotten)
{
	pthread_mutex_lock(&kv->blobs.mu);
	if (kv->blobs.forgotten == forgotten)
		*slot_of(kv, &row->id) = *row;
	pthread_mutex_unlock(&kv->blobs.mu);
}

void kv_blob_forget(struct kv *kv, const struct blob_id *id)
{
	struct kv_blob_row *s = slot_of(kv, id);

	pthread_mutex_lock(&kv->blobs.mu);
	kv->blobs.forgotten++;
	if (s->used && memcmp(s->id.h, id->h, sizeof(id->h)) == 0)
		s->used = false;
	pthread_mutex_unlock(&kv->blobs.mu);
}

enum status kv_extents_read(slice row, const struct blob_id *id, struct arena *a,
			    struct kv_blob_row *out, const struct kv_extent **out_ext)
{
	struct rd r = rd_init(row);
	uint8_t version = rd_u8(&r);
	uint64_t sum = 0;

	*out = (struct kv_blob_row){ .id = *id, .used = true, .size = rd_u64(&r) };
	out->n = rd_left(&r) / 20;
	struct kv_extent *ext = out->n <= KV_BLOB_INLINE
					? out->ext
					: arena_array(a, out->n, sizeof(*ext));
	for (size_t i = 0; i < out->n; i++) {
		ext[i].seg = rd_u32(&r);
		ext[i].off = rd_u64(&r);
		ext[i].stored = rd_u32(&r);
		ext[i].raw = rd_u32(&r);
		sum += ext[i].raw;
		r.bad |= ext[i].raw > KV_CHUNK || ext[i].stored > KV_CHUNK;
	}
	*out_ext = ext;
	return version != 1 || r.bad || rd_left(&r) || sum != out->size ? ST_IO : ST_OK;
}

/* The row of a blob; *out_ext points into *out or into a. fresh: as the engine has it. */
static enum status load(struct kv *kv, const struct blob_id *id, bool fresh,
			struct arena *a, struct kv_blob_row *out,
			const struct kv_extent **out_ext, struct err *e)
{
	unsigned char key[33];
	uint64_t forgotten;
	slice row;

	if (fresh)
		kv_blob_forget(kv, id);
	if (cache_get(kv, id, out, &forgotten)) {
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
	if (kv_extents_read(row, id, a, out, out_ext) != ST_OK)
		return err_set(e, ERR_CORRUPT, "the row of a body is damaged");
	if (*out_ext == out->ext)
		cache_put(kv, out, forgotten);
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
	if (!(out->flags & (KV_REC_LZ4 | KV_REC_ZSTD)) && out->stored != out->raw)
		return damaged(e, x, "its lengths differ");
	return ST_OK;
}

enum status kv_record_read(struct kv *kv, const struct kv_extent *x, size_t chunk,
			   char *in, struct kv_rec *out, slice *out_body, struct err *e)
{
	struct kv_seg *seg;
	enum status st = kv_seg_get(&kv->segs, x->seg, &seg, e);

	if (st == ST_FULL) /* no descriptor: nothing is damaged, try again */
		return st;
	if (st != ST_OK)
		return damaged(e, x, "its segment cannot be opened");
	*out_body = slice_make(in + KV_REC_HEADER, x->stored);
	st = io_pread(seg->fd, in, KV_REC_HEADER + x->stored, x->off, e);
	if (st == ST_OK)
		st = check(x, (const unsigned char *)in, *out_body, chunk, out, e);
	kv_seg_put(&kv->segs, seg);
	return st;
}

static size_t unzstd(struct kv *kv, slice body, char *dst, size_t n)
{
	ZSTD_inBuffer in = { body.p, body.n, 0 };
	ZSTD_outBuffer out = { dst, n, 0 };
	ZSTD_DCtx *ctx = NULL;

	pthread_mutex_lock(&kv->scratch_mu);
	if (kv->n_zstd)
		ctx = kv->zstd[--kv->n_zstd];
	pthread_mutex_unlock(&kv->scratch_mu);
	if (!ctx && !(ctx = ZSTD_createDCtx()))
		abort(); /* out of memory, as everywhere */
	ZSTD_DCtx_reset(ctx, ZSTD_reset_session_only);
	/* A part at the front ends when dst is full. */
	while (out.pos < n) {
		size_t left = ZSTD_decompressStream(ctx, &out, &in);
		if (ZSTD_isError(left) || left == 0 || (in.pos == in.size && out.pos < n))
			break;
	}
	pthread_mutex_lock(&kv->scratch_mu);
	if (kv->n_zstd < KV_ZSTD_KEPT) {
		kv->zstd[kv->n_zstd++] = ctx;
		ctx = NULL;
	}
	pthread_mutex_unlock(&kv->scratch_mu);
	ZSTD_freeDCtx(ctx);
	return out.pos;
}

enum status kv_record_unpack(struct kv *kv, const struct kv_extent *x,
			     const struct kv_rec *rec, slice body, char *dst, size_t n,
			     struct err *e)
{
	size_t got = n;

	if (rec->flags & KV_REC_ZSTD) {
		got = unzstd(kv, body, dst, n);
	} else if (rec->flags & KV_REC_LZ4) {
		int r = LZ4_decompress_safe_partial(body.p, dst, (int)body.n, (int)n,
						    (int)x->raw);
		got = r < 0 ? SIZE_MAX : (size_t)r;
	} else {
		memcpy(dst, body.p, n);
	}
	return got == n ? ST_OK : damaged(e, x, "it does not decompress");
}

/* Bytes [off, off + n) of one chunk. */
static enum status read_chunk(struct kv *kv, const struct kv_extent *x, size_t chunk,
			      size_t off, char *dst, size_t n, struct err *e)
{
	struct kv_rec rec;
	slice body;
	char *in = kv_scratch_take(kv), *whole = NULL;
	enum status st = kv_record_read(kv, x, chunk, in, &rec, &body, e);

	if (st == ST_OK && !(rec.flags & (KV_REC_LZ4 | KV_REC_ZSTD))) {
		memcpy(dst, body.p + off, n);
	} else if (st == ST_OK && off == 0) {
		/* A part at the front ends early; the checksum has vouched for the rest. */
		st = kv_record_unpack(kv, x, &rec, body, dst, n, e);
	} else if (st == ST_OK) {
		whole = kv_scratch_take(kv);
		st = kv_record_unpack(kv, x, &rec, body, whole, off + n, e);
		if (st == ST_OK)
			memcpy(dst, whole + off, n);
		kv_scratch_give(kv, whole);
	}
	kv_scratch_give(kv, in);
	return st;
}

static enum status read_range(struct kv *kv, const struct kv_blob_row *row,
			      const struct kv_extent *ext, uint64_t off, char *dst,
			      size_t n, struct err *e)
{
	uint64_t at = 0;

	for (size_t i = 0; i < row->n && n > 0; at += ext[i++].raw) {
		if (off >= at + ext[i].raw)
			continue;
		size_t from = (size_t)(off - at);
		size_t part = ext[i].raw - from < n ? ext[i].raw - from : n;
		enum status st = read_chunk(kv, &ext[i], i, from, dst, part, e);
		if (st != ST_OK)
			return st;
		dst += part;
		off += part;
		n -= part;
	}
	return ST_OK;
}

static bool same_places(const struct kv_blob_row *a, const struct kv_extent *x,
			const struct kv_blob_row *b, const struct kv_extent *y)
{
	if (a->size != b->size || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (x[i].seg != y[i].seg || x[i].off != y[i].off)
			return false;
	return true;
}

/* use() with the blob's places, and again when it fails and they have changed meanwhile. */
static enum status with_places(struct kv *kv, const struct blob_id *id,
			       enum status (*use)(struct kv *kv,
						  const struct kv_blob_row *row,
						  const struct kv_extent *ext, void *ctx,
						  struct err *e),
			       void *ctx, struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct kv_blob_row row[2];
	const struct kv_extent *ext[2];
	struct err why = { ERR_NONE, "" };
	enum status st = load(kv, id, false, &a, &row[0], &ext[0], e);

	for (unsigned i = 0; st == ST_OK && i < LOOKUPS; i++) {
		unsigned now = i % 2, next = !now;
		enum status used = use(kv, &row[now], ext[now], ctx, &why);
		if (used == ST_OK)
			return ST_OK;
		if (used == ST_IO)
			st = load(kv, id, true, &a, &row[next], &ext[next], e);
		if (used != ST_IO || i + 1 == LOOKUPS ||
		    (st == ST_OK && same_places(&row[0], ext[0], &row[1], ext[1]))) {
			if (e)
				*e = why;
			return used;
		}
	}
	return st;
}

struct range {
	uint64_t off;
	char *dst;
	size_t n;
};

static enum status use_range(struct kv *kv, const struct kv_blob_row *row,
			     const struct kv_extent *ext, void *ctx, struct err *e)
{
	const struct range *r = ctx;
	uint64_t end;

	if (!CHECKED_ADD(r->off, r->n, &end) || end > row->size)
		return err_set(e, ERR_CANNOT, "a read beyond the end of a body");
	return read_range(kv, row, ext, r->off, r->dst, r->n, e);
}

enum status kv_blob_read(struct kv *kv, const struct blob_id *id, uint64_t off, void *dst,
			 size_t n, struct err *e)
{
	struct range r = { off, dst, n };

	return with_places(kv, id, use_range, &r, e);
}

static enum status use_all(struct kv *kv, const struct kv_blob_row *row,
			   const struct kv_extent *ext, void *ctx, struct err *e)
{
	const struct blob_id *id = ctx;
	EVP_MD_CTX *sha = EVP_MD_CTX_new();
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	enum status st = ST_OK;
	char *raw = kv_scratch_take(kv);

	if (!sha)
		abort();
	bool ok = EVP_DigestInit_ex(sha, kv->sha256, NULL) == 1;
	for (size_t i = 0; i < row->n && ok && st == ST_OK; i++) {
		st = read_chunk(kv, &ext[i], i, 0, raw, ext[i].raw, e);
		if (st == ST_OK)
			ok = EVP_DigestUpdate(sha, raw, ext[i].raw) == 1;
	}
	if (st == ST_OK && (!ok || EVP_DigestFinal_ex(sha, hash, &n) != 1))
		st = err_set(e, ERR_IO, "SHA-256 failed");
	else if (st == ST_OK && memcmp(hash, id->h, sizeof(id->h)) != 0)
		st = err_set(e, ERR_CORRUPT, "the body is not what its hash says");
	EVP_MD_CTX_free(sha);
	kv_scratch_give(kv, raw);
	return st;
}

enum status kv_blob_verify(struct kv *kv, const struct blob_id *id, struct err *e)
{
	struct blob_id copy = *id;

	return with_places(kv, id, use_all, &copy, e);
}

enum status kv_blob_size(struct kv *kv, const struct blob_id *id, uint64_t *out,
			 struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct kv_blob_row row;
	const struct kv_extent *ext;
	enum status st = load(kv, id, false, &a, &row, &ext, e);

	if (st == ST_OK)
		*out = row.size;
	return st;
}
