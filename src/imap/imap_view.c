#include "imap/imap_view.h"
#include "base/alloc.h"

size_t imap_lower_bound(const uint32_t *v, size_t n, uint32_t uid)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v[mid] < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void imap_view_done(struct imap_view *v)
{
	imap_view_forget(v);
	*v = (struct imap_view){ 0 };
}

void imap_view_forget(struct imap_view *v)
{
	mem_free(v->gone);
	v->gone = NULL;
	v->n_gone = v->cap_gone = 0;
}

size_t imap_view_below(const struct imap_view *v, uint32_t uid)
{
	return imap_lower_bound(v->uid, v->n, uid) +
	       imap_lower_bound(v->gone, v->n_gone, uid);
}

uint32_t imap_view_seq(const struct imap_view *v, uint32_t uid)
{
	size_t i = imap_lower_bound(v->uid, v->n, uid);
	size_t j = imap_lower_bound(v->gone, v->n_gone, uid);

	if ((i < v->n && v->uid[i] == uid) || (j < v->n_gone && v->gone[j] == uid))
		return (uint32_t)(i + j + 1);
	return 0;
}

uint32_t imap_view_uid(const struct imap_view *v, uint32_t seq)
{
	size_t lo = 0, hi = v->n_gone;

	if (seq == 0 || seq > imap_view_count(v))
		return 0;
	/* gone[j] has number j + 1 + (how many of base are below it): find the first with
	 * a number ≥ seq. */
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (mid + 1 + imap_lower_bound(v->uid, v->n, v->gone[mid]) < seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < v->n_gone && lo + 1 + imap_lower_bound(v->uid, v->n, v->gone[lo]) == seq)
		return v->gone[lo];
	return v->uid[seq - 1 - lo];
}

uint32_t imap_view_last(const struct imap_view *v)
{
	uint32_t last = v->n ? v->uid[v->n - 1] : 0;

	return v->n_gone && v->gone[v->n_gone - 1] > last ? v->gone[v->n_gone - 1] : last;
}

void imap_view_move(struct imap_view *v, const uint32_t *uid, size_t n,
		    const uint32_t *expunged, size_t n_expunged)
{
	size_t i = v->n_gone, j = n_expunged;

	v->uid = uid;
	v->n = n;
	if (n_expunged == 0)
		return;
	if (v->n_gone + n_expunged > v->cap_gone) {
		v->cap_gone = v->n_gone + n_expunged;
		v->gone = mem_grow(v->gone, v->cap_gone, sizeof(*v->gone));
	}
	v->n_gone += n_expunged;
	for (size_t k = v->n_gone; k > 0 && j > 0; k--) /* merged from the end */
		v->gone[k - 1] = i > 0 && v->gone[i - 1] > expunged[j - 1]
					 ? v->gone[--i]
					 : expunged[--j];
}
