/* kv_upload.c — a body on its way in.
 *
 * Bytes gather in `raw` until a chunk of 256 KiB is full; it becomes a record (lz4 when that saves a sixteenth) in
 * `mem`. A record that would take mem past 64 KiB goes to the bulk segment with what is in mem, and so does every
 * later one: memory stays below 330 KiB however long the body is, and a small body is written by nobody but the
 * committer. */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/io.h"
#include <fcntl.h>
#include <lz4.h>

#define TRY_LZ4_FROM 128u
/* lz4's acceleration. 2: half of a message in base64 costs 8.5 us instead of 14 for 10 KB, at the same size; plain
 * text becomes 4 % larger. */
#define LZ4_HASTE      2
#define UPLOAD_EXTENTS 3600u /* 900 MiB: its row must stay below LIMIT_VALUE */
_Static_assert(UPLOAD_EXTENTS * 20u + 64u <= LIMIT_VALUE, "the row of extents fits");
_Static_assert((uint64_t)UPLOAD_EXTENTS *KV_CHUNK >= LIMIT_MESSAGE, "a message fits");
#define MEM_MAX	     (KV_UPLOAD_KEPT + KV_REC_HEADER)
#define UPLOADS_KEPT 64u

char *kv_scratch_take(struct kv *kv)
{
	char *p = NULL;

	pthread_mutex_lock(&kv->scratch_mu);
	if (kv->n_scratch)
		p = kv->scratch[--kv->n_scratch];
	pthread_mutex_unlock(&kv->scratch_mu);
	return p ? p : mem_grow(NULL, KV_SCRATCH, 1);
}

void kv_scratch_give(struct kv *kv, char *p)
{
	pthread_mutex_lock(&kv->scratch_mu);
	if (kv->n_scratch < KV_SCRATCH_KEPT) {
		kv->scratch[kv->n_scratch++] = p;
		p = NULL;
	}
	pthread_mutex_unlock(&kv->scratch_mu);
	mem_free(p);
}

struct kv_upload *kv_upload_new(struct kv *kv)
{
	struct kv_upload *u;

	pthread_mutex_lock(&kv->scratch_mu);
	u = kv->free_uploads;
	if (u) {
		kv->free_uploads = u->next;
		kv->n_free_uploads--;
	}
	pthread_mutex_unlock(&kv->scratch_mu);
	if (!u) {
		u = mem_new(sizeof(*u));
		u->kv = kv;
		u->sha = EVP_MD_CTX_new();
		if (!u->sha)
			abort(); /* out of memory, as everywhere */
		buf_init(&u->raw, KV_CHUNK);
		buf_init(&u->mem, MEM_MAX);
	}
	u->next = NULL;
	if (EVP_DigestInit_ex(u->sha, kv->sha256, NULL) != 1)
		err_set(&u->err, ERR_IO, "SHA-256 is not available");
	return u;
}

void kv_upload_free(struct kv_upload *u)
{
	if (!u)
		return;
	struct kv *kv = u->kv;

	for (size_t i = 0; i < u->n_segs; i++)
		kv_seg_put(&kv->segs, u->segs[i]);
	mem_free(u->segs);
	mem_free(u->ext);
	/* Kept for reuse is the digest's context, not the memory: many uploads wait between two bodies. */
	buf_done(&u->raw);
	buf_done(&u->mem);
	EVP_MD_CTX *sha = u->sha;
	*u = (struct kv_upload){ .kv = kv, .sha = sha };
	buf_init(&u->raw, KV_CHUNK);
	buf_init(&u->mem, MEM_MAX);
	pthread_mutex_lock(&kv->scratch_mu);
	if (kv->n_free_uploads < UPLOADS_KEPT) {
		u->next = kv->free_uploads;
		kv->free_uploads = u;
		kv->n_free_uploads++;
		u = NULL;
	}
	pthread_mutex_unlock(&kv->scratch_mu);
	if (u) {
		EVP_MD_CTX_free(u->sha);
		mem_free(u);
	}
}

static enum status sticky(struct kv_upload *u, struct err *e)
{
	if (e)
		*e = u->err;
	return err_status(u->err.code);
}

static struct kv_extent *add_extent(struct kv_upload *u)
{
	if (u->n_ext == u->cap_ext) {
		u->cap_ext = u->cap_ext ? u->cap_ext * 2 : 1;
		u->ext = mem_grow(u->ext, u->cap_ext, sizeof(*u->ext));
	}
	return &u->ext[u->n_ext++];
}

static void keep_seg(struct kv_upload *u, struct kv_seg *seg)
{
	for (size_t i = 0; i < u->n_segs; i++) {
		if (u->segs[i] == seg) {
			kv_seg_put(&u->kv->segs, seg); /* one reference is enough */
			return;
		}
	}
	u->segs = mem_grow(u->segs, u->n_segs + 1, sizeof(*u->segs));
	u->segs[u->n_segs++] = seg;
}

/* The records in mem and the one of header and body behind them go to the bulk segment. */
static bool spill(struct kv_upload *u, slice header, slice body)
{
	struct iovec iov[3] = {
		{ u->mem.p, u->mem.n },
		{ (void *)(uintptr_t)header.p, header.n },
		{ (void *)(uintptr_t)body.p, body.n },
	};
	struct kv_seg *seg;
	uint64_t off;

	size_t n = u->mem.n + header.n + body.n;

	if (kv_disk_check(u->kv, &u->err) != ST_OK)
		return false;
	if (kv_seg_reserve(&u->kv->segs, n, &seg, &off, &u->err) != ST_OK) {
		if (u->err.code == ERR_STOPPED)
			kv_stop(u->kv, &u->err);
		return false;
	}
	keep_seg(u, seg);
	if (io_pwritev(seg->fd, iov, 3, off, &u->err) != ST_OK)
		return false;
	/* Only a hint, its result is of no use: the disk starts now, so that the committer's
	 * sync does not wait for all of many uploads. */
	sync_file_range(seg->fd, (off_t)off, (off_t)n, /* lint: allow door */
			SYNC_FILE_RANGE_WRITE);
	for (size_t i = 0; i < u->n_ext; i++) {
		if (u->ext[i].seg == 0) {
			u->ext[i].seg = seg->no;
			u->ext[i].off += off;
		}
	}
	buf_done(&u->mem);
	buf_init(&u->mem, MEM_MAX);
	return true;
}

/* The raw chunk becomes a record: in mem while that is small, else in the bulk segment. */
static bool finish_chunk(struct kv_upload *u)
{
	struct kv_rec rec = { .raw = (uint32_t)u->raw.n, .chunk = (uint32_t)u->n_ext };
	unsigned char header[KV_REC_HEADER];
	slice body = buf_slice(&u->raw), head = slice_make(header, sizeof(header));
	char *packed = NULL;
	bool ok = true;

	if (u->n_ext == UPLOAD_EXTENTS) {
		err_set(&u->err, ERR_LIMIT, "the body is too large");
		return false;
	}
	if (body.n >= TRY_LZ4_FROM) {
		packed = kv_scratch_take(u->kv);
		int n = LZ4_compress_fast(body.p, packed, (int)body.n,
					  (int)(body.n - body.n / 16), LZ4_HASTE);
		if (n > 0) {
			body = slice_make(packed, (size_t)n);
			rec.flags = KV_REC_LZ4;
		}
	}
	rec.stored = (uint32_t)body.n;
	rec.body_crc = crc32c(0, body);
	kv_rec_write(header, &rec);
	*add_extent(u) = (struct kv_extent){ .stored = rec.stored,
					     .raw = rec.raw,
					     .off = u->mem.n };
	if (u->n_segs == 0 && u->mem.n + head.n + body.n <= MEM_MAX) {
		buf_reserve(&u->mem, head.n + body.n);
		buf_add(&u->mem, head);
		buf_add(&u->mem, body);
	} else {
		ok = spill(u, head, body);
	}
	if (packed)
		kv_scratch_give(u->kv, packed);
	buf_reset(&u->raw);
	return ok;
}

enum status kv_upload_write(struct kv_upload *u, slice chunk, struct err *e)
{
	if (u->err.code == ERR_NONE && chunk.n &&
	    EVP_DigestUpdate(u->sha, chunk.p, chunk.n) != 1)
		err_set(&u->err, ERR_IO, "SHA-256 failed");
	while (u->err.code == ERR_NONE && chunk.n) {
		slice part = slice_sub(chunk, 0, KV_CHUNK - u->raw.n);
		buf_add(&u->raw, part);
		chunk = slice_from(chunk, part.n);
		u->size += part.n;
		if (u->raw.n == KV_CHUNK && !finish_chunk(u))
			break;
	}
	return u->err.code == ERR_NONE ? ST_OK : sticky(u, e);
}

enum status kv_upload_end(struct kv_upload *u, struct blob_id *out_id, uint64_t *out_size,
			  struct err *e)
{
	unsigned n = sizeof(u->id.h);

	if (u->err.code == ERR_NONE && u->raw.n)
		finish_chunk(u);
	if (u->err.code == ERR_NONE && EVP_DigestFinal_ex(u->sha, u->id.h, &n) != 1)
		err_set(&u->err, ERR_IO, "SHA-256 failed");
	if (u->err.code != ERR_NONE)
		return sticky(u, e);
	buf_done(&u->raw);
	buf_init(&u->raw, KV_CHUNK);
	u->ended = true;
	*out_id = u->id;
	*out_size = u->size;
	return ST_OK;
}

void kv_txn_blob(struct kv_txn *t, struct kv_upload *u)
{
	struct err why;

	if (!u->ended) {
		err_set(&why, ERR_CANNOT, "the body is not complete");
		kv_txn_fail(t, &why);
	}
	u->next = NULL;
	*t->blobs_end = u;
	t->blobs_end = &u->next;
}

void kv_extents_put(struct buf *b, uint64_t size, const struct kv_extent *x, size_t n)
{
	buf_put_u8(b, 1);
	buf_put_u64(b, size);
	for (size_t i = 0; i < n; i++) {
		buf_put_u32(b, x[i].seg);
		buf_put_u64(b, x[i].off);
		buf_put_u32(b, x[i].stored);
		buf_put_u32(b, x[i].raw);
	}
}

uint32_t kv_upload_crc(const struct kv_upload *u, uint32_t crc)
{
	if (u->mem.n == 0)
		return crc;
	for (size_t i = 0; i < u->n_ext; i++)
		if (u->ext[i].seg == 0)
			crc = crc32c(crc,
				     slice_make(u->mem.p + u->ext[i].off, KV_REC_HEADER));
	return crc;
}

void kv_extents_write(struct buf *b, const struct kv_upload *u, uint32_t seg,
		      uint64_t base)
{
	buf_put_u8(b, 1);
	buf_put_u64(b, u->size);
	for (size_t i = 0; i < u->n_ext; i++) {
		const struct kv_extent *x = &u->ext[i];
		buf_put_u32(b, x->seg ? x->seg : seg);
		buf_put_u64(b, x->seg ? x->off : base + x->off);
		buf_put_u32(b, x->stored);
		buf_put_u32(b, x->raw);
	}
}
