/* kv_log_read.c — the form of batch records, and reading them one after the other. */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include "base/io.h"
#include <endian.h>

#define LOG_MAGIC   0x31425346u /* "FSB1" */
#define LOG_VERSION 1u
#define ROW_PUT	    1u
#define ROW_DEL	    2u
#define SEEK_STEP   (1u << 20)
#define ROWS_KEPT   (8u << 20) /* a larger buffer of rows is given back */

static void put32(unsigned char *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, 4);
}

static void put64(unsigned char *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, 8);
}

static uint32_t get32(const unsigned char *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return le32toh(v);
}

static uint64_t get64(const unsigned char *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return le64toh(v);
}

/* Of a header whose place for it is zero. */
static uint64_t mac_of(const unsigned char src[KV_LOG_HEADER],
		       const struct siphash_key *key)
{
	unsigned char h[KV_LOG_HEADER];

	memcpy(h, src, sizeof(h));
	memset(h + 8, 0, 8);
	return siphash(key, slice_make(h, sizeof(h)));
}

void kv_log_head_write(unsigned char dst[KV_LOG_HEADER], const struct kv_log_head *h,
		       const struct siphash_key *key)
{
	memset(dst, 0, KV_LOG_HEADER);
	put32(dst, LOG_MAGIC);
	put32(dst + 4, LOG_VERSION);
	put32(dst + 16, h->segment);
	put32(dst + 20, h->rows_crc);
	put64(dst + 24, h->seq);
	put64(dst + 32, h->bodies);
	put64(dst + 40, h->rows);
	put32(dst + 48, h->bodies_crc);
	put64(dst + 8, mac_of(dst, key));
}

bool kv_log_head_read(const unsigned char src[KV_LOG_HEADER],
		      const struct siphash_key *key, struct kv_log_head *out)
{
	if (get32(src) != LOG_MAGIC || get32(src + 4) != LOG_VERSION ||
	    get64(src + 8) != mac_of(src, key))
		return false;
	*out = (struct kv_log_head){ .segment = get32(src + 16),
				     .rows_crc = get32(src + 20),
				     .seq = get64(src + 24),
				     .bodies = get64(src + 32),
				     .rows = get64(src + 40),
				     .bodies_crc = get32(src + 48) };
	return true;
}

/* --- rows -------------------------------------------------------------------------------------------------- */
void kv_log_row_put(struct buf *b, slice key, slice value)
{
	buf_reserve(b, key.n + value.n + 16);
	buf_put_u8(b, ROW_PUT);
	buf_put_varint(b, key.n);
	buf_put_varint(b, value.n);
	buf_add(b, key);
	buf_add(b, value);
}

void kv_log_row_del(struct buf *b, slice key)
{
	buf_put_u8(b, ROW_DEL);
	buf_put_varint(b, key.n);
	buf_put_varint(b, 0);
	buf_add(b, key);
}

bool kv_log_row_next(slice *rest, struct kv_log_row *out)
{
	struct rd r = rd_init(*rest);
	uint8_t op = rd_u8(&r);
	uint64_t nk = rd_varint(&r), nv = rd_varint(&r);

	if (r.bad || (op != ROW_PUT && op != ROW_DEL) || nk > rd_left(&r) ||
	    nv > rd_left(&r) - nk)
		return false;
	out->key = rd_raw(&r, (size_t)nk);
	out->value = rd_raw(&r, (size_t)nv);
	out->del = op == ROW_DEL;
	*rest = slice_make(r.p, rd_left(&r));
	return true;
}

/* --- records ----------------------------------------------------------------------------------------------- */
void kv_log_reader_init(struct kv_log_reader *r, const struct siphash_key *key, int fd,
			uint32_t segment, uint64_t from, uint64_t end)
{
	*r = (struct kv_log_reader){
		.key = key, .fd = fd, .segment = segment, .at = from, .end = end
	};
	buf_init(&r->rows_buf, SIZE_MAX / 2);
}

void kv_log_reader_done(struct kv_log_reader *r)
{
	buf_done(&r->rows_buf);
}

/* The header at off, when it is one of this segment and lies within it with all that belongs to it. */
static bool is_here(const struct kv_log_reader *r, uint64_t off,
		    const unsigned char raw[KV_LOG_HEADER], struct kv_log_head *out)
{
	uint64_t room = r->end - off - KV_LOG_HEADER;

	return kv_log_head_read(raw, r->key, out) && out->segment == r->segment &&
	       out->bodies <= room && out->rows <= room - out->bodies;
}

enum status kv_log_next(struct kv_log_reader *r, struct err *e)
{
	unsigned char raw[KV_LOG_HEADER];
	struct kv_log_head h;
	enum status st;

	if (r->at >= r->end || r->end - r->at < KV_LOG_HEADER)
		return ST_NOT_FOUND;
	if ((st = io_pread(r->fd, raw, sizeof(raw), r->at, e)) != ST_OK)
		return st;
	if (!is_here(r, r->at, raw, &h) || (r->seq && h.seq != r->seq + 1))
		return ST_NOT_FOUND;
	if (r->rows_buf.cap > ROWS_KEPT) {
		buf_done(&r->rows_buf);
		buf_init(&r->rows_buf, SIZE_MAX / 2);
	}
	buf_reset(&r->rows_buf);
	buf_reserve(&r->rows_buf, (size_t)h.rows);
	st = io_pread(r->fd, r->rows_buf.p, (size_t)h.rows,
		      r->at + KV_LOG_HEADER + h.bodies, e);
	if (st != ST_OK)
		return st;
	r->rows = slice_make(h.rows ? r->rows_buf.p : "", (size_t)h.rows);
	if (crc32c(0, r->rows) != h.rows_crc)
		return ST_INVALID;
	r->off = r->at;
	r->head = h;
	r->seq = h.seq;
	r->at = kv_log_align(r->at + KV_LOG_HEADER + h.bodies + h.rows);
	return ST_OK;
}

bool kv_log_is_followed(const struct kv_log_reader *r)
{
	unsigned char raw[KV_LOG_HEADER];
	struct kv_log_head h;
	struct err e;

	return r->at < r->end && r->end - r->at >= KV_LOG_HEADER &&
	       io_pread(r->fd, raw, sizeof(raw), r->at, &e) == ST_OK &&
	       is_here(r, r->at, raw, &h) && h.seq == r->seq + 1;
}

enum status kv_log_seek(struct kv_log_reader *r, uint64_t least, struct err *e)
{
	unsigned char *window = mem_grow(NULL, SEEK_STEP, 1);
	enum status st = ST_NOT_FOUND;
	struct kv_log_head h;

	while (st == ST_NOT_FOUND && r->at < r->end && r->end - r->at >= KV_LOG_HEADER) {
		uint64_t left = r->end - r->at;
		size_t n = left < SEEK_STEP ? (size_t)left : SEEK_STEP;
		enum status got = io_pread(r->fd, window, n, r->at, e);
		if (got != ST_OK) {
			st = got;
			break;
		}
		for (size_t i = 0; i + KV_LOG_HEADER <= n; i += KV_LOG_ALIGN) {
			if (get32(window + i) == LOG_MAGIC &&
			    is_here(r, r->at + i, window + i, &h) && h.seq >= least) {
				r->at += i;
				st = ST_OK;
				break;
			}
		}
		if (st == ST_NOT_FOUND)
			r->at += SEEK_STEP;
	}
	mem_free(window);
	return st;
}

enum status kv_log_bodies_check(const struct kv_log_reader *r, struct err *e)
{
	uint64_t at = r->off + KV_LOG_HEADER, end = at + r->head.bodies;
	char *chunk = mem_grow(NULL, KV_SCRATCH, 1);
	enum status st = ST_OK;
	uint32_t sum = 0;

	while (st == ST_OK && at < end) {
		unsigned char raw[KV_REC_HEADER];
		struct kv_rec rec;
		if (end - at < KV_REC_HEADER) {
			st = ST_INVALID;
			break;
		}
		if ((st = io_pread(r->fd, raw, sizeof(raw), at, e)) != ST_OK)
			break;
		at += KV_REC_HEADER;
		if (!kv_rec_read(raw, &rec) || rec.stored > KV_CHUNK ||
		    rec.stored > end - at) {
			st = ST_INVALID;
			break;
		}
		sum = crc32c(sum, slice_make(raw, sizeof(raw)));
		st = io_pread(r->fd, chunk, rec.stored, at, e);
		if (st == ST_OK &&
		    crc32c(0, slice_make(chunk, rec.stored)) != rec.body_crc)
			st = ST_INVALID;
		at += rec.stored;
	}
	mem_free(chunk);
	return st == ST_OK && sum != r->head.bodies_crc ? ST_INVALID : st;
}

/* --- rows of its own --------------------------------------------------------------------------------------- */
void kv_place_write(struct buf *b, const struct kv_place *p)
{
	buf_put_u8(b, 1);
	buf_put_u32(b, p->segment);
	buf_put_u64(b, p->end);
	buf_put_u64(b, p->seq);
	buf_put_u64(b, p->bodies);
	buf_put_u32(b, p->next_no);
}

bool kv_place_read(slice row, struct kv_place *out)
{
	struct rd r = rd_init(row);

	if (rd_u8(&r) != 1)
		return false;
	out->segment = rd_u32(&r);
	out->end = rd_u64(&r);
	out->seq = rd_u64(&r);
	out->bodies = rd_u64(&r);
	out->next_no = rd_u32(&r);
	return !r.bad && rd_left(&r) == 0;
}
