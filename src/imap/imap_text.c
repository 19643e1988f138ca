#include "imap/imap_text.h"
#include "base/utf8.h"
#include <unicase.h>

enum { HAY_MAX = 4 << 20 };

static void fold_into(struct buf *out, slice s)
{
	size_t at = 0;

	buf_reserve(out, s.n);
	while (at < s.n) {
		char enc[4];
		size_t n, from = at;
		int32_t cp;

		while (at < s.n && (unsigned char)s.p[at] < 0x80)
			at++;
		if (at > from && buf_reserve(out, at - from)) {
			for (size_t i = from; i < at; i++)
				out->p[out->n + i - from] = ascii_lower(s.p[i]);
			out->n += at - from;
		}
		if (at >= s.n)
			break;
		cp = utf8_next(s, &at);
		n = utf8_encode(cp < 0 ? 0xfffd : (uint32_t)uc_tolower((ucs4_t)cp), enc);
		buf_add(out, slice_make(enc, n));
	}
}

slice imap_text_fold(struct arena *a, slice utf8)
{
	struct buf b;
	slice r;

	buf_init(&b, utf8.n * 4 + 16);
	fold_into(&b, utf8);
	r = arena_dup(a, buf_slice(&b));
	buf_done(&b);
	return r;
}

void imap_finder_init(struct imap_finder *f, slice folded_needle)
{
	f->needle = folded_needle;
	f->found = folded_needle.n == 0;
	buf_init(&f->hay, HAY_MAX);
}

void imap_finder_done(struct imap_finder *f)
{
	buf_done(&f->hay);
}

void imap_finder_feed(struct imap_finder *f, slice utf8)
{
	while (!f->found && utf8.n) {
		size_t take = utf8.n < HAY_MAX / 16 ? utf8.n : HAY_MAX / 16;

		while (take < utf8.n && ((unsigned char)utf8.p[take] & 0xc0) == 0x80)
			take++; /* not inside a character */
		fold_into(&f->hay, slice_sub(utf8, 0, take));
		utf8 = slice_from(utf8, take);
		f->found = memmem(f->hay.p, f->hay.n, f->needle.p, f->needle.n) != NULL;
		if (f->hay.n >= f->needle.n)
			buf_drop(&f->hay, f->hay.n - f->needle.n + 1);
	}
}

bool imap_text_has(slice utf8, slice folded_needle)
{
	struct imap_finder f;
	bool found;

	imap_finder_init(&f, folded_needle);
	imap_finder_feed(&f, utf8);
	found = f.found;
	imap_finder_done(&f);
	return found;
}
