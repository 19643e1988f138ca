#pragma once
/* imap_seqset.h — sequence sets and UID sets.
 *
 * RFC 3501 9 (sequence-set, with Errata 261: "*" is a number in use, not infinity). Pure:
 * base/ only. A parsed set lives in the arena and borrows nothing. Any thread. */
#include "base/buf.h"
#include "imap/imap_parse.h"

struct imap_range {
	uint32_t lo, hi; /* 0 stands for "*" */
};
struct imap_seqset {
	struct imap_range *range;
	size_t n;
};
bool imap_seqset_parse(struct imap_parse *p, struct imap_seqset *out);
/* "*" becomes max, ends are put in order, ranges sorted and merged: lo ≤ hi, no "*", gaps
 * between all. With max 0 (an empty mailbox) whatever names "*" is left out. */
struct imap_seqset imap_seqset_resolve(struct arena *a, const struct imap_seqset *s, uint32_t max);
uint32_t imap_seqset_highest(const struct imap_seqset *s); /* number the client wrote without "*" in its range; 0: none */
bool imap_seqset_has(const struct imap_seqset *resolved, uint32_t n);
void imap_seqset_write(struct buf *b, const struct imap_seqset *s);
/* Numbers ascending (as COPYUID needs them): "1:3,7". */
void imap_seqset_write_numbers(struct buf *b, const uint32_t *v, size_t n);
