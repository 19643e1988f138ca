#include "net/out.h"
#include "base/alloc.h"
#include <assert.h>
#include <limits.h>
#include <sys/uio.h>

enum seg_kind { SEG_STATIC, SEG_HEAP, SEG_OWNED, SEG_BLOB };

struct out_seg {
	struct out_seg *next;
	enum seg_kind kind;
	uint32_t cap;	 /* SEG_HEAP: bytes behind the header */
	uint64_t off, n; /* still to be written; off counts from p, or in the source */
	union {
		const char *p; /* STATIC; HEAP: own bytes */
		char *owned;   /* OWNED: a buf's memory */
		struct out_source *src;
	};
	char data[];
};

enum { BLOCK_FIRST = 232, BLOCK_MAX = 16384 - 64 };

void out_init(struct out *o)
{
	*o = (struct out){ 0 };
}

static void seg_free(struct out_seg *s)
{
	if (s->kind == SEG_OWNED)
		mem_free(s->owned);
	else if (s->kind == SEG_BLOB)
		s->src->ops->unref(s->src);
	mem_free(s);
}

void out_done(struct out *o)
{
	struct out_seg *s = o->head, *next;

	for (; s; s = next) {
		next = s->next;
		seg_free(s);
	}
	out_init(o);
}

static struct out_seg *seg_new(enum seg_kind kind, size_t cap)
{
	struct out_seg *s = mem_grow(
		NULL, 1, sizeof(*s) + cap); /* a big block is not worth zeroing */

	memset(s, 0, sizeof(*s));
	s->kind = kind;
	s->cap = (uint32_t)cap;
	s->p = s->data;
	return s;
}

static void seg_append(struct out *o, struct out_seg *s)
{
	if (o->tail)
		o->tail->next = s;
	else
		o->head = s;
	o->tail = s;
}

void out_static(struct out *o, slice s)
{
	struct out_seg *seg;

	if (s.n == 0)
		return;
	if (s.n < 128) { /* a segment costs more than the copy */
		out_add(o, s);
		return;
	}
	seg = seg_new(SEG_STATIC, 0);
	seg->p = s.p;
	seg->n = s.n;
	seg_append(o, seg);
	o->bytes += s.n;
}

/* Room in the block at the end, or a new one: blocks double, so that a long answer has
 * few segments and a short one little memory. */
static char *out_room(struct out *o, size_t want, size_t *got)
{
	struct out_seg *t = o->tail;
	size_t cap = BLOCK_FIRST;

	if (!t || t->kind != SEG_HEAP || t->off + t->n == t->cap) {
		if (t && t->kind == SEG_HEAP)
			cap = (size_t)t->cap * 4;
		if (cap < want)
			cap = want;
		if (cap > BLOCK_MAX)
			cap = BLOCK_MAX;
		t = seg_new(SEG_HEAP, cap);
		seg_append(o, t);
	}
	*got = t->cap - (size_t)(t->off + t->n);
	if (*got > want)
		*got = want;
	return t->data + t->off + t->n;
}

void out_add(struct out *o, slice s)
{
	while (s.n) {
		size_t n;
		char *p = out_room(o, s.n, &n);

		memcpy(p, s.p, n);
		o->tail->n += n;
		o->bytes += n;
		s = slice_from(s, n);
	}
}

void out_adds(struct out *o, const char *cstr)
{
	out_add(o, slice_str(cstr));
}

void out_addc(struct out *o, char c)
{
	out_add(o, slice_make(&c, 1));
}

void out_addu(struct out *o, uint64_t v)
{
	char digits[20];
	size_t i = sizeof(digits);

	do
		digits[--i] = (char)('0' + v % 10);
	while (v /= 10);
	out_add(o, slice_make(digits + i, sizeof(digits) - i));
}

void out_addf(struct out *o, const char *fmt, ...)
{
	char text[512], *big;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n < sizeof(text)) {
		out_add(o, slice_make(text, (size_t)n));
		return;
	}
	big = mem_new((size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(big, (size_t)n + 1, fmt, ap);
	va_end(ap);
	out_add(o, slice_make(big, (size_t)n));
	mem_free(big);
}

void out_buf(struct out *o, struct buf *b)
{
	struct out_seg *seg;

	if (b->n >= 1024) {
		seg = seg_new(SEG_OWNED, 0);
		seg->owned = b->p;
		seg->n = b->n;
		seg_append(o, seg);
		o->bytes += b->n;
		b->p = NULL;
		b->n = b->cap = 0;
		return;
	}
	out_add(o, buf_slice(b));
	buf_done(b);
}

void out_blob(struct out *o, struct out_source *src, uint64_t off, uint64_t n)
{
	struct out_seg *seg;

	if (n == 0)
		return;
	seg = seg_new(SEG_BLOB, 0);
	src->ops->ref(src);
	seg->src = src;
	seg->off = off;
	seg->n = n;
	seg_append(o, seg);
	o->bytes += n;
}

void out_move(struct out *dst, struct out *src)
{
	if (!src->head)
		return;
	if (dst->tail)
		dst->tail->next = src->head;
	else
		dst->head = src->head;
	dst->tail = src->tail;
	dst->bytes += src->bytes;
	out_init(src);
}

void out_take_ready(struct out *o, struct out *ready)
{
	struct out_seg *s;

	while ((s = o->head) && s->kind != SEG_BLOB) {
		o->head = s->next;
		if (!o->head)
			o->tail = NULL;
		o->bytes -= s->n;
		s->next = NULL;
		seg_append(ready, s);
		ready->bytes += s->n;
	}
}

/* Reads the first n bytes of the BLOB s into a segment in front of it. */
static enum status fill_one(struct out *o, struct out_seg **link, uint64_t n,
			    struct err *e)
{
	struct out_seg *s = *link;
	struct out_seg *h = seg_new(SEG_HEAP, n);
	enum status st = s->src->ops->read(s->src, s->off, h->data, n, e);

	if (st != ST_OK) {
		mem_free(h);
		return st;
	}
	h->n = n;
	s->off += n;
	s->n -= n;
	*link = h;
	if (s->n) {
		h->next = s;
		return ST_OK;
	}
	h->next = s->next;
	if (o->tail == s)
		o->tail = h;
	seg_free(s);
	return ST_OK;
}

enum status out_fill(struct out *o, uint64_t ahead, struct err *e)
{
	struct out_seg **link = &o->head, *s;
	uint64_t ready = 0;
	enum status st;

	while ((s = *link) && ready < ahead) {
		if (s->kind == SEG_BLOB) {
			uint64_t n = s->n < ahead - ready ? s->n : ahead - ready;

			st = fill_one(o, link, n, e);
			if (st != ST_OK)
				return st;
			s = *link;
		}
		ready += s->n;
		link = &s->next;
	}
	return ST_OK;
}

int out_iov(const struct out *o, struct iovec *iov, int n)
{
	const struct out_seg *s = o->head;
	int i = 0;

	for (; s && i < n && s->kind != SEG_BLOB; s = s->next) {
		if (!s->n)
			continue;
		iov[i].iov_base = (char *)(uintptr_t)(s->p + s->off);
		iov[i++].iov_len = s->n;
	}
	return i;
}

void out_consume(struct out *o, uint64_t n)
{
	struct out_seg *s;

	assert(n <= o->bytes);
	o->bytes -= n;
	while ((s = o->head)) {
		uint64_t m = s->n < n ? s->n : n;

		assert(s->kind != SEG_BLOB || !m);
		s->off += s->kind == SEG_BLOB ? 0 : m;
		s->n -= m;
		n -= m;
		if (s->n)
			return;
		o->head = s->next;
		if (!o->head)
			o->tail = NULL;
		seg_free(s);
	}
}

bool out_needs_fill(const struct out *o)
{
	return o->head && o->head->kind == SEG_BLOB;
}
