/* Content-Type and Content-Disposition.  RFC 2045 5.1, RFC 2183 2, RFC 2231 3 and 4. */
#include "base/buf.h"
#include "mime/mime_decode.h"
#include "mime/mime_header.h"

/* One attribute=value as written. name*3*=… is base "name", section 3, extended. */
struct segment {
	slice base, value;
	int32_t section; /* -1: not a continuation */
	bool extended; /* value is percent-encoded, perhaps with charset'lang' in front */
	uint32_t order;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_tspecial(char c) /* RFC 2045 5.1, and controls */
{
	return (unsigned char)c <= ' ' || c == 0x7f ||
	       strchr("()<>@,;:\\\"/[]?=", c) != NULL;
}

static slice token(slice s, size_t *at)
{
	size_t from = *at;

	while (*at < s.n && !is_tspecial(s.p[*at]))
		++*at;
	return slice_sub(s, from, *at - from);
}

/* quoted-string at s[*at] = '"'; an open one runs to the end. */
static slice quoted(struct arena *a, slice s, size_t *at, bool *cut)
{
	size_t from = ++*at, n = 0, max;
	char *p;

	while (*at < s.n && s.p[*at] != '"')
		*at += s.p[*at] == '\\' ? 2 : 1;
	if (*at > s.n)
		*at = s.n;
	max = *at - from < LIMIT_MIME_PARAM_VALUE ? *at - from : LIMIT_MIME_PARAM_VALUE;
	p = arena_alloc(a, max);
	for (size_t i = from; i < *at; i++) {
		if (s.p[i] == '\\' && i + 1 < *at)
			i++;
		if (n == max) {
			*cut = true;
			break;
		}
		p[n++] = s.p[i];
	}
	if (*at < s.n)
		++*at;
	return (slice){ p, n };
}

/* A value without quotes: a token, or what senders write instead (blanks and specials
 * up to ";"), without comments. */
static slice unquoted(struct arena *a, slice s, size_t *at, bool *cut)
{
	size_t end = slice_chr(s, ';', *at), n = 0, max;
	char *p;

	max = end - *at < LIMIT_MIME_PARAM_VALUE ? end - *at : LIMIT_MIME_PARAM_VALUE;
	p = arena_alloc(a, max);
	while (*at < s.n && s.p[*at] != ';') {
		if (s.p[*at] == '(') {
			mime_skip_cfws(s, at); /* may run over a ";" inside the comment */
			continue;
		}
		if (n < max)
			p[n++] = s.p[*at];
		else
			*cut = true;
		++*at;
	}
	while (n && is_blank(p[n - 1]))
		n--;
	return (slice){ p, n };
}

/* RFC 2231 3 and 4: splits name*N* into its parts. */
static void split_name(slice name, struct segment *out)
{
	size_t star;
	uint64_t n;

	out->base = name;
	out->section = -1;
	out->extended = name.n > 1 && name.p[name.n - 1] == '*';
	if (out->extended)
		out->base.n--;
	star = slice_rchr(out->base, '*');
	if (star < out->base.n && star > 0 &&
	    slice_u64(slice_from(out->base, star + 1), 99999, &n)) {
		out->section = (int32_t)n;
		out->base.n = star;
	}
}

static int compare_names(slice x, slice y)
{
	size_t n = x.n < y.n ? x.n : y.n;

	for (size_t i = 0; i < n; i++) {
		int d = (unsigned char)ascii_lower(x.p[i]) -
			(unsigned char)ascii_lower(y.p[i]);

		if (d)
			return d;
	}
	return x.n < y.n ? -1 : x.n > y.n;
}

static int by_name(const void *x, const void *y)
{
	const struct segment *a = x, *b = y;
	int d = compare_names(a->base, b->base);

	if (!d)
		d = (a->section > b->section) - (a->section < b->section);
	if (!d)
		d = (a->order > b->order) - (a->order < b->order);
	return d;
}

/* RFC 2231 7: what may stand unencoded in an extended value. */
static bool is_attr_char(char c)
{
	return !is_tspecial(c) && c != '*' && c != '\'' && c != '%' &&
	       (unsigned char)c < 0x80;
}

static void add_encoded(struct buf *b, slice s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (is_attr_char(s.p[i])) {
			buf_addc(b, s.p[i]);
		} else {
			buf_addc(b, '%');
			buf_addc(b, hex[c >> 4]);
			buf_addc(b, hex[c & 15]);
		}
	}
}

/* Sections 0, 1, 2… of one name, sorted, in segs[0..n). The first gap ends the value. */
static slice join_sections(struct arena *a, const struct segment *segs, size_t n,
			   bool extended, bool *cut)
{
	struct buf b;
	int32_t want = 0;
	slice r;

	buf_init(&b, LIMIT_MIME_PARAM_VALUE);
	if (extended && !segs[0].extended)
		buf_adds(&b, "''"); /* no charset was named */
	for (size_t i = 0; i < n && segs[i].section <= want && !b.full; i++) {
		if (segs[i].section < want)
			continue; /* said twice: the first counts */
		if (extended && !segs[i].extended)
			add_encoded(&b, segs[i].value);
		else
			buf_add(&b, segs[i].value);
		want++;
	}
	if (b.full)
		*cut = true;
	r = arena_dup(a, buf_slice(&b));
	buf_done(&b);
	return r;
}

struct ordered {
	struct mime_param *param;
	uint32_t order;
};

static int by_order(const void *x, const void *y)
{
	const struct ordered *a = x, *b = y;

	return (a->order > b->order) - (a->order < b->order);
}

static void add_param(struct arena *a, struct ordered *list, size_t *n, slice base,
		      bool extended, slice value, uint32_t order)
{
	struct mime_param *p = ARENA_NEW(a, struct mime_param);

	p->name = extended ? arena_join(a, base, SL("*")) : arena_dup(a, base);
	p->value = value;
	list[*n].param = p;
	list[(*n)++].order = order;
}

/* segs[0..n) all have the same base: at most one "base" and one "base*" come out of
 * them. */
static void join_group(struct arena *a, const struct segment *segs, size_t n,
		       struct ordered *list, size_t *nlist, bool *cut)
{
	const struct segment *plain = NULL, *whole = NULL;
	size_t i = 0;
	bool extended = false;

	for (; i < n && segs[i].section < 0; i++) {
		if (segs[i].extended && !whole)
			whole = &segs[i];
		else if (!segs[i].extended && !plain)
			plain = &segs[i];
	}
	if (whole)
		add_param(a, list, nlist, whole->base, true, whole->value, whole->order);
	if (i < n && segs[i].section == 0) {
		for (size_t k = i; k < n; k++)
			extended = extended || segs[k].extended;
		if (!(extended && whole))
			add_param(a, list, nlist, segs[i].base, extended,
				  join_sections(a, segs + i, n - i, extended, cut),
				  segs[i].order);
		if (!extended)
			plain = NULL; /* the joined one is what readers take */
	}
	if (plain)
		add_param(a, list, nlist, plain->base, false, plain->value, plain->order);
}

static struct mime_param *join_all(struct arena *a, struct segment *segs, size_t n,
				   bool *cut)
{
	struct ordered list[LIMIT_MIME_PARAMS];
	struct mime_param *head = NULL, **tail = &head;
	size_t nlist = 0;

	if (!n)
		return NULL;
	qsort(segs, n, sizeof(segs[0]), by_name);
	for (size_t from = 0, to; from < n; from = to) {
		for (to = from + 1;
		     to < n && compare_names(segs[from].base, segs[to].base) == 0; to++)
			;
		join_group(a, segs + from, to - from, list, &nlist, cut);
	}
	qsort(list, nlist, sizeof(list[0]), by_order);
	for (size_t i = 0; i < nlist; i++) {
		*tail = list[i].param;
		tail = &list[i].param->next;
	}
	return head;
}

/* *(";" parameter), forgiving: what is no attribute=value is skipped up to the next
 * ";". */
static void params_parse(struct arena *a, slice s, size_t at, struct mime_content *out)
{
	struct segment segs[LIMIT_MIME_PARAMS];
	uint32_t n = 0;

	for (;;) {
		mime_skip_cfws(s, &at);
		at = slice_chr(s, ';', at);
		if (at >= s.n)
			break;
		at++;
		mime_skip_cfws(s, &at);
		slice name = token(s, &at);

		mime_skip_cfws(s, &at);
		if (!name.n || at >= s.n || s.p[at] != '=')
			continue;
		if (n == LIMIT_MIME_PARAMS) {
			out->cut = true;
			break;
		}
		at++;
		mime_skip_cfws(s, &at);
		split_name(name, &segs[n]);
		segs[n].value = at < s.n && s.p[at] == '"'
					? quoted(a, s, &at, &out->cut)
					: unquoted(a, s, &at, &out->cut);
		segs[n].order = n;
		n++;
	}
	out->params = join_all(a, segs, n, &out->cut);
}

bool mime_content_type_parse(struct arena *a, slice s, struct mime_content *out)
{
	struct mime_content c = { 0 };
	size_t at = 0;

	mime_skip_cfws(s, &at);
	c.type = token(s, &at);
	mime_skip_cfws(s, &at);
	if (!c.type.n || at >= s.n || s.p[at] != '/')
		return false;
	at++;
	mime_skip_cfws(s, &at);
	c.subtype = token(s, &at);
	if (!c.subtype.n)
		return false;
	c.type = arena_dup(a, c.type);
	c.subtype = arena_dup(a, c.subtype);
	params_parse(a, s, at, &c);
	*out = c;
	return true;
}

bool mime_disposition_parse(struct arena *a, slice s, struct mime_content *out)
{
	struct mime_content c = { 0 };
	size_t at = 0;

	mime_skip_cfws(s, &at);
	c.type = token(s, &at);
	if (!c.type.n)
		return false;
	c.type = arena_dup(a, c.type);
	c.subtype = SL("");
	params_parse(a, s, at, &c);
	*out = c;
	return true;
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 2231 4: charset'language'percent-encoded. */
static slice extended_text(struct arena *a, slice v)
{
	size_t q1 = slice_chr(v, '\'', 0), q2 = slice_chr(v, '\'', q1 + 1), n = 0;
	slice charset = { "utf-8", 5 }, text = v, r;
	char *p;
	struct buf b;
	struct mime_charset *c;

	if (q1 < v.n && q2 < v.n) {
		if (q1)
			charset = slice_sub(v, 0, q1);
		text = slice_from(v, q2 + 1);
	}
	p = arena_alloc(a, text.n);
	for (size_t i = 0; i < text.n; i++) {
		int hi = text.p[i] == '%' && i + 2 < text.n ? hex_digit(text.p[i + 1])
							    : -1;
		int lo = hi >= 0 ? hex_digit(text.p[i + 2]) : -1;

		if (lo >= 0) {
			p[n++] = (char)(hi << 4 | lo);
			i += 2;
		} else {
			p[n++] = text.p[i];
		}
	}
	buf_init(&b, 4 * LIMIT_MIME_PARAM_VALUE);
	c = mime_charset_new(charset, NULL);
	mime_charset_feed(c, (slice){ p, n }, &b);
	mime_charset_finish(c, &b);
	mime_charset_free(c);
	r = arena_dup(a, buf_slice(&b));
	buf_done(&b);
	return r;
}

slice mime_param_text(struct arena *a, const struct mime_param *list, const char *name)
{
	slice want = slice_str(name), v = mime_param_get(list, name);

	for (; list; list = list->next)
		if (list->name.n == want.n + 1 && list->name.p[want.n] == '*' &&
		    slice_ieq(slice_sub(list->name, 0, want.n), want))
			return extended_text(a, list->value);
	return mime_has(v) ? mime_words_decode(a, v) : v;
}
