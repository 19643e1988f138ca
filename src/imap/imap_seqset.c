#include "imap/imap_seqset.h"

/* seq-number = nz-number / "*" */
static bool parse_seq_number(struct imap_parse *p, uint32_t *out)
{
	if (imap_parse_accept(p, '*')) {
		*out = 0;
		return true;
	}
	if (p->at >= p->s.n || !is_digit(p->s.p[p->at]))
		return imap_parse_fail(p, "a message set expected");
	return imap_parse_nz_number(p, out);
}

/* sequence-set = (seq-number / seq-range) *("," sequence-set) ; seq-range = seq-number
 * ":" seq-number */
bool imap_seqset_parse(struct imap_parse *p, struct imap_seqset *out)
{
	struct imap_range *r = NULL;
	size_t n = 0, cap = 0;

	do {
		if (n == cap) {
			struct imap_range *more;

			cap = cap ? cap * 2 : 2;
			more = arena_array(p->a, cap, sizeof(*more));
			if (r)
				memcpy(more, r, n * sizeof(*r));
			r = more;
		}
		if (!parse_seq_number(p, &r[n].lo))
			return false;
		r[n].hi = r[n].lo;
		if (imap_parse_accept(p, ':') && !parse_seq_number(p, &r[n].hi))
			return false;
		n++;
	} while (imap_parse_accept(p, ','));
	*out = (struct imap_seqset){ r, n };
	return true;
}

static int range_cmp(const void *x, const void *y)
{
	const struct imap_range *a = x, *b = y;

	return a->lo < b->lo ? -1 : a->lo > b->lo;
}

struct imap_seqset imap_seqset_resolve(struct arena *a, const struct imap_seqset *s,
				       uint32_t max)
{
	struct imap_range *r = arena_array(a, s->n ? s->n : 1, sizeof(*r));
	size_t n = 0, kept = 0;
	bool sorted = true;

	for (size_t i = 0; i < s->n; i++) {
		uint32_t lo = s->range[i].lo ? s->range[i].lo : max;
		uint32_t hi = s->range[i].hi ? s->range[i].hi : max;

		if (lo == 0 || hi == 0)
			continue;
		r[n].lo = lo < hi ? lo : hi;
		r[n].hi = lo < hi ? hi : lo;
		sorted &= n == 0 || r[n - 1].lo <= r[n].lo;
		n++;
	}
	if (!sorted)
		qsort(r, n, sizeof(*r), range_cmp);
	for (size_t i = 0; i < n; i++) {
		if (kept && r[i].lo <= r[kept - 1].hi + (r[kept - 1].hi < UINT32_MAX)) {
			if (r[i].hi > r[kept - 1].hi)
				r[kept - 1].hi = r[i].hi;
		} else {
			r[kept++] = r[i];
		}
	}
	return (struct imap_seqset){ r, kept };
}

uint32_t imap_seqset_highest(const struct imap_seqset *s)
{
	uint32_t highest = 0;

	for (size_t i = 0; i < s->n; i++) {
		uint32_t hi = s->range[i].lo > s->range[i].hi ? s->range[i].lo
							      : s->range[i].hi;

		if (s->range[i].lo && s->range[i].hi && hi > highest)
			highest = hi;
	}
	return highest;
}

bool imap_seqset_has(const struct imap_seqset *resolved, uint32_t n)
{
	size_t lo = 0, hi = resolved->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (resolved->range[mid].hi < n)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < resolved->n && resolved->range[lo].lo <= n;
}

static void write_number(struct buf *b, uint32_t n)
{
	if (n)
		buf_addu(b, n);
	else
		buf_addc(b, '*');
}

void imap_seqset_write(struct buf *b, const struct imap_seqset *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (i)
			buf_addc(b, ',');
		write_number(b, s->range[i].lo);
		if (s->range[i].hi != s->range[i].lo) {
			buf_addc(b, ':');
			write_number(b, s->range[i].hi);
		}
	}
}

void imap_seqset_write_numbers(struct buf *b, const uint32_t *v, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t j = i;

		while (j + 1 < n && v[j + 1] == v[j] + 1)
			j++;
		if (i)
			buf_addc(b, ',');
		buf_addu(b, v[i]);
		if (j > i) {
			buf_addc(b, ':');
			buf_addu(b, v[j]);
		}
		i = j + 1;
	}
}
