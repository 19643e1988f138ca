#include "base/buf.h"
#include "base/alloc.h"
#include "base/checked.h"

#define CAP_MIN 256u

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_done(struct buf *b)
{
	mem_free(b->p);
	*b = (struct buf){ .max = b->max };
}

void buf_reset(struct buf *b)
{
	b->n = 0;
	b->full = false;
}

bool buf_reserve(struct buf *b, size_t extra)
{
	size_t need;

	if (b->full || !CHECKED_ADD(b->n, extra, &need) || need > b->max) {
		b->full = true;
		return false;
	}
	if (need <= b->cap && b->p)
		return true;
	size_t cap = b->cap ? b->cap : CAP_MIN;

	while (cap < need)
		cap = cap > b->max / 2 ? b->max : cap * 2;
	if (cap > b->max)
		cap = b->max;
	/* One more than cap: vsnprintf ends its text with a NUL. */
	b->p = mem_grow(b->p, cap + 1, 1);
	b->cap = cap;
	return true;
}

void buf_add(struct buf *b, slice s)
{
	if (!buf_reserve(b, s.n))
		return;
	if (s.n)
		memcpy(b->p + b->n, s.p, s.n);
	b->n += s.n;
}

void buf_addc(struct buf *b, char c)
{
	if (buf_reserve(b, 1))
		b->p[b->n++] = c;
}

void buf_adds(struct buf *b, const char *cstr)
{
	buf_add(b, slice_str(cstr));
}

void buf_addu(struct buf *b, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	buf_add(b, slice_make(digits + at, sizeof(digits) - at));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);

	va_end(ap);
	if (n >= 0 && buf_reserve(b, (size_t)n)) {
		vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
}

void buf_drop(struct buf *b, size_t n)
{
	if (n > b->n)
		n = b->n;
	if (n == 0)
		return;
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

static void put_be(struct buf *b, uint64_t v, size_t bytes)
{
	if (!buf_reserve(b, bytes))
		return;
	for (size_t i = 0; i < bytes; i++)
		b->p[b->n++] = (char)(v >> (8 * (bytes - 1 - i)));
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	put_be(b, v, 1);
}

void buf_put_u16(struct buf *b, uint16_t v)
{
	put_be(b, v, 2);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
	put_be(b, v, 4);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
	put_be(b, v, 8);
}

void buf_put_varint(struct buf *b, uint64_t v)
{
	char bytes[10];
	size_t n = 0;

	while (v >= 0x80) {
		bytes[n++] = (char)(v | 0x80);
		v >>= 7;
	}
	bytes[n++] = (char)v;
	buf_add(b, slice_make(bytes, n));
}

void buf_put_bytes(struct buf *b, slice s)
{
	size_t n = b->n;

	buf_put_varint(b, s.n);
	buf_add(b, s);
	if (b->full)
		b->n = n; /* a field is added whole or not at all */
}

/* n bytes of input, or NULL and bad. */
static const unsigned char *rd_take(struct rd *r, size_t n)
{
	const unsigned char *p = r->p;

	if (r->bad || rd_left(r) < n) {
		r->bad = true;
		r->p = r->end;
		return NULL;
	}
	r->p += n;
	return p;
}

static uint64_t rd_be(struct rd *r, size_t bytes)
{
	const unsigned char *p = rd_take(r, bytes);
	uint64_t v = 0;

	if (!p)
		return 0;
	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t rd_u8(struct rd *r)
{
	return (uint8_t)rd_be(r, 1);
}

uint16_t rd_u16(struct rd *r)
{
	return (uint16_t)rd_be(r, 2);
}

uint32_t rd_u32(struct rd *r)
{
	return (uint32_t)rd_be(r, 4);
}

uint64_t rd_u64(struct rd *r)
{
	return rd_be(r, 8);
}

uint64_t rd_varint(struct rd *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		const unsigned char *p = rd_take(r, 1);

		if (!p)
			return 0;
		/* The tenth byte has room for one bit. */
		if (shift == 63 && *p > 1)
			break;
		v |= (uint64_t)(*p & 0x7f) << shift;
		if (!(*p & 0x80))
			return v;
	}
	r->bad = true;
	r->p = r->end;
	return 0;
}

slice rd_raw(struct rd *r, size_t n)
{
	const unsigned char *p = rd_take(r, n);

	return p ? slice_make(p, n) : slice_make("", 0);
}

slice rd_bytes(struct rd *r)
{
	uint64_t n = rd_varint(r);

	if (n > rd_left(r)) {
		r->bad = true;
		r->p = r->end;
		return slice_make("", 0);
	}
	return rd_raw(r, (size_t)n);
}
