#pragma once
/* out.h — output chain: what is to be written to a peer, in order.
 *
 * A list of segments: STATIC (literals that live for ever), HEAP (bytes owned by the chain; short appends share a
 * growing block) and BLOB (a reference to stored bytes that is read when the socket is ready for it). Appending
 * cannot fail. A chain belongs to whoever builds it; out_move hands the whole over in O(1). */
#include "base/buf.h"

/* Something that can be read at an offset: a stored body. Reference-counted, thread-safe ref/unref; read blocks and
 * runs on a worker only. */
struct out_source {
	const struct out_source_ops *ops;
};
struct out_source_ops {
	enum status (*read)(struct out_source *s, uint64_t off, void *dst, size_t n, struct err *e);
	void (*ref)(struct out_source *s);
	void (*unref)(struct out_source *s);
};

struct out_seg;
struct out {
	struct out_seg *head, *tail;
	uint64_t bytes; /* all of it, blobs included: what run() compares with LIMIT_OUT_STEP */
};
void out_init(struct out *o);
void out_done(struct out *o);                      /* frees all; the chain is empty and usable */
void out_static(struct out *o, slice s);           /* s lives for ever */
void out_add(struct out *o, slice s);              /* copies */
void out_adds(struct out *o, const char *cstr);
void out_addc(struct out *o, char c);
void out_addu(struct out *o, uint64_t v);
void out_addf(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void out_buf(struct out *o, struct buf *b);        /* takes b's memory; b is empty afterwards */
void out_blob(struct out *o, struct out_source *src, uint64_t off, uint64_t n); /* takes its own reference */
void out_move(struct out *dst, struct out *src);   /* appends all of src to dst; src is empty */
static inline bool out_is_empty(const struct out *o)
{
	return o->bytes == 0;
}
/* Worker: reads BLOB segments into HEAP ones until `ahead` bytes at the front are ready or the chain ends. */
enum status out_fill(struct out *o, uint64_t ahead, struct err *e);
/* Loop: up to n iovecs of ready bytes at the front (stops at a BLOB); then out_consume what was written. */
struct iovec;
int out_iov(const struct out *o, struct iovec *iov, int n);
void out_consume(struct out *o, uint64_t n);
bool out_needs_fill(const struct out *o); /* the head is a BLOB */
/* Moves everything in front of the first BLOB behind what ready holds. */
void out_take_ready(struct out *o, struct out *ready);
