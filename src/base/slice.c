#include "base/slice.h"
#include "base/alloc.h"

static bool ieq(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ascii_lower(a[i]) != ascii_lower(b[i]))
			return false;
	return true;
}

bool slice_ieq(slice a, slice b)
{
	return a.n == b.n && ieq(a.p, b.p, a.n);
}

int slice_cmp(slice a, slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	if (c)
		return c < 0 ? -1 : 1;
	return (a.n > b.n) - (a.n < b.n);
}

bool slice_starts(slice s, slice prefix)
{
	return s.n >= prefix.n && slice_eq(slice_sub(s, 0, prefix.n), prefix);
}

bool slice_istarts(slice s, slice prefix)
{
	return s.n >= prefix.n && ieq(s.p, prefix.p, prefix.n);
}

bool slice_ends(slice s, slice suffix)
{
	return s.n >= suffix.n && slice_eq(slice_from(s, s.n - suffix.n), suffix);
}

bool slice_iends(slice s, slice suffix)
{
	return s.n >= suffix.n && slice_ieq(slice_from(s, s.n - suffix.n), suffix);
}

size_t slice_chr(slice s, char c, size_t from)
{
	if (from >= s.n)
		return s.n;
	const char *hit = memchr(s.p + from, c, s.n - from);

	return hit ? (size_t)(hit - s.p) : s.n;
}

size_t slice_rchr(slice s, char c)
{
	const char *hit = s.n ? memrchr(s.p, c, s.n) : NULL;

	return hit ? (size_t)(hit - s.p) : s.n;
}

size_t slice_find(slice s, slice needle, size_t from)
{
	if (from > s.n || needle.n > s.n - from)
		return s.n;
	if (needle.n == 0)
		return from;
	const char *hit = memmem(s.p + from, s.n - from, needle.p, needle.n);

	return hit ? (size_t)(hit - s.p) : s.n;
}

static void fold(char *dst, slice s)
{
	for (size_t i = 0; i < s.n; i++)
		dst[i] = ascii_lower(s.p[i]);
}

/* Both folded, s window by window, so that memmem's linear search serves: the plain loop is quadratic in what
 * a client may choose. */
static size_t ifind_windows(slice s, slice needle, size_t from)
{
	size_t window = needle.n < 4096 ? 8192 : needle.n * 2;
	char *folded = mem_grow(NULL, needle.n + window, 1);
	char *view = folded + needle.n;
	size_t found = s.n;

	fold(folded, needle);
	while (s.n - from >= needle.n) {
		slice part = slice_sub(s, from, window);

		fold(view, part);
		const char *hit = memmem(view, part.n, folded, needle.n);

		if (hit) {
			found = from + (size_t)(hit - view);
			break;
		}
		from += part.n - needle.n + 1;
	}
	mem_free(folded);
	return found;
}

size_t slice_ifind(slice s, slice needle, size_t from)
{
	if (from > s.n || needle.n > s.n - from)
		return s.n;
	if (needle.n > 16 && s.n - from > 512)
		return ifind_windows(s, needle, from);
	for (size_t at = from; at <= s.n - needle.n; at++)
		if (ieq(s.p + at, needle.p, needle.n))
			return at;
	return s.n;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

slice slice_trim(slice s)
{
	while (s.n && is_blank(s.p[0]))
		s = slice_from(s, 1);
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

slice slice_cut(slice *s, char sep)
{
	size_t at = slice_chr(*s, sep, 0);
	slice head = slice_sub(*s, 0, at);

	*s = slice_from(*s, at < s->n ? at + 1 : at);
	return head;
}

bool slice_u64(slice s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!is_digit(s.p[i]))
			return false;
		unsigned digit = (unsigned)(s.p[i] - '0');

		if (v > (max - (digit > max ? max : digit)) / 10 || digit > max - v * 10)
			return false;
		v = v * 10 + digit;
	}
	*out = v;
	return true;
}

bool slice_u32(slice s, uint32_t *out)
{
	uint64_t v;

	if (!slice_u64(s, UINT32_MAX, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

bool slice_size(slice s, uint64_t *out)
{
	static const slice units = S("kmgt");
	unsigned shift = 0;
	uint64_t v;

	if (s.n > 1 && ascii_lower(s.p[s.n - 1]) == 'b')
		s = slice_sub(s, 0, s.n - 1);
	size_t unit = s.n ? slice_chr(units, ascii_lower(s.p[s.n - 1]), 0) : units.n;

	if (unit < units.n) {
		shift = 10 * ((unsigned)unit + 1);
		s = slice_sub(s, 0, s.n - 1);
	}
	if (!slice_u64(s, (uint64_t)INT64_MAX >> shift, &v))
		return false;
	*out = v << shift;
	return true;
}

#define WORD_MAX 64

size_t slice_distance(slice a, slice b)
{
	size_t row[WORD_MAX];
	if (a.n >= WORD_MAX || b.n >= WORD_MAX - 1)
		return SIZE_MAX;
	for (size_t j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 0; i < a.n; i++) {
		size_t diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < b.n; j++) {
			size_t best = diagonal + (a.p[i] != b.p[j]);
			diagonal = row[j + 1];
			best = best < diagonal + 1 ? best : diagonal + 1;
			row[j + 1] = best < row[j] + 1 ? best : row[j] + 1;
		}
	}
	return row[b.n];
}
