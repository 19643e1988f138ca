#pragma once
/* buf.h — growing bytes with a mandatory maximum and a sticky error.
 *
 * Append as often as you like, test `full` once at the end: an append that would pass
 * max adds nothing and sets it, and so does every append after it. What is added must
 * not lie in the buf itself. Growing beyond memory aborts. Owned heap:
 * buf_init/buf_done. */
#include "base/slice.h"
#include "base/status.h"

struct buf {
	char *p;
	size_t n, cap, max;
	bool full; /* sticky */
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);
void buf_reset(struct buf *b);                 /* n = 0, full = false; memory kept */
bool buf_reserve(struct buf *b, size_t extra); /* room behind n; false sets full */
void buf_add(struct buf *b, slice s);
void buf_addc(struct buf *b, char c);
void buf_adds(struct buf *b, const char *cstr);
void buf_addu(struct buf *b, uint64_t v);      /* decimal */
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_drop(struct buf *b, size_t n);        /* removes n bytes at the front */
static inline slice buf_slice(const struct buf *b)
{
	return slice_make(b->p ? b->p : "", b->n);
}
/* Big-endian and length-prefixed fields: the store's rows are written with these
 * (never text, HAZARDS 8). */
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_varint(struct buf *b, uint64_t v);  /* LEB128, ≤ 10 bytes */
void buf_put_bytes(struct buf *b, slice s);      /* varint length, bytes */

/* The reader of the same fields: sticky `bad`, reads beyond the end give 0 or empty. */
struct rd {
	const unsigned char *p, *end;
	bool bad;
};
static inline struct rd rd_init(slice s)
{
	const unsigned char *p = (const unsigned char *)(s.p ? s.p : "");

	return (struct rd){ p, p + s.n, false };
}
static inline size_t rd_left(const struct rd *r)
{
	return (size_t)(r->end - r->p);
}
uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
uint64_t rd_varint(struct rd *r);
slice rd_bytes(struct rd *r);            /* borrows */
slice rd_raw(struct rd *r, size_t n);    /* borrows */
