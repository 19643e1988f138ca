#include "mime/mime_write.h"
#include "base/utf8.h"
#include "mime/mime_decode.h"

#define LINE	   78u	/* RFC 5322 2.1.1 */
#define WORD	   75u	/* RFC 2047 2: an encoded word */
#define WORD_FRAME 12u	/* =?utf-8?q? and ?= */
#define WORD_RAW   900u /* RFC 5322 2.1.1: no line above 998: longer words are encoded */
#define VALUE_LINE 60u

/* Where the line stands, while it is written. */
struct folder {
	struct buf *b;
	size_t column;
};

/* CR, LF, NUL and other controls become blanks: a value can never start a new field
 * (HAZARDS 8). */
static slice clean(struct arena *a, slice s)
{
	char *p = arena_alloc(a, s.n);

	for (size_t i = 0; i < s.n; i++)
		p[i] = (unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ? ' ' : s.p[i];
	return slice_trim((slice){ p, s.n });
}

static void put(struct folder *f, slice s)
{
	buf_add(f->b, s);
	f->column += s.n;
}

static struct folder begin(struct buf *b, const char *name)
{
	struct folder f = { b, 0 };

	put(&f, slice_str(name));
	put(&f, SL(":"));
	return f;
}

static void end(struct folder *f)
{
	buf_adds(f->b, "\r\n");
}

/* A blank, or a new line when n more octets would not fit. */
static void gap(struct folder *f, size_t n)
{
	if (f->column > 1 && f->column + 1 + n > LINE) {
		buf_adds(f->b, "\r\n");
		f->column = 0;
	}
	put(f, SL(" "));
}

/* Words with the blanks between them kept; lines break before a blank. */
static void put_folded(struct folder *f, slice s)
{
	size_t at = 0;

	put(f, SL(" "));
	while (at < s.n) {
		size_t blanks = at, from;

		while (at < s.n && s.p[at] == ' ')
			at++;
		from = at;
		at = slice_chr(s, ' ', at);
		if (blanks < from && f->column > 1 && f->column + (at - blanks) > LINE) {
			buf_adds(f->b, "\r\n");
			f->column = 0;
		}
		put(f, slice_sub(s, blanks, at - blanks));
	}
}

/* Can the text stand as it is? */
static bool is_plain(slice s)
{
	size_t word = 0;

	for (size_t i = 0; i < s.n; i++) {
		word = s.p[i] == ' ' ? 0 : word + 1;
		if ((unsigned char)s.p[i] >= 0x7f || word > WORD_RAW)
			return false;
	}
	return slice_find(s, SL("=?"), 0) == s.n;
}

/* --- encoded words --- */

/* RFC 2047 5 (3): what may stand as itself even in a display name. */
static bool is_q_plain(char c)
{
	return is_alpha(c) || is_digit(c) || (c && strchr("!*+-/", c) != NULL);
}

/* The character at s[*at], with what is no UTF-8 replaced. */
static slice character(slice s, size_t *at)
{
	size_t from = *at;

	if (utf8_next(s, at) < 0)
		return SL("\xef\xbf\xbd");
	return slice_sub(s, from, *at - from);
}

static size_t q_length(slice ch)
{
	return ch.n == 1 && (is_q_plain(ch.p[0]) || ch.p[0] == ' ') ? 1 : 3 * ch.n;
}

static void q_put(struct folder *f, slice ch)
{
	static const char hex[] = "0123456789ABCDEF";

	if (ch.n == 1 && (is_q_plain(ch.p[0]) || ch.p[0] == ' ')) {
		put(f, ch.p[0] == ' ' ? SL("_") : ch);
		return;
	}
	for (size_t i = 0; i < ch.n; i++) {
		unsigned char c = (unsigned char)ch.p[i];
		char e[3] = { '=', hex[c >> 4], hex[c & 15] };

		put(f, (slice){ e, 3 });
	}
}

static void words(struct folder *f, slice s)
{
	size_t at = 0, used = 0;
	bool open = false;

	while (at < s.n) {
		slice ch = character(s, &at);
		size_t n = q_length(ch);

		if (open && (used + n + 2 > WORD || f->column + n + 2 > LINE - 2)) {
			put(f, SL("?="));
			open = false;
		}
		if (!open) {
			gap(f, WORD_FRAME + n + 8);
			put(f, SL("=?utf-8?q?"));
			used = WORD_FRAME - 2;
			open = true;
		}
		q_put(f, ch);
		used += n;
	}
	if (open)
		put(f, SL("?="));
}

void mime_words_encode(struct buf *b, slice utf8, size_t column)
{
	struct folder f = { b, column };

	words(&f, utf8);
}

/* --- fields --- */

void mime_write_text(struct buf *b, const char *name, slice utf8)
{
	struct folder f = begin(b, name);
	struct arena a;

	arena_init(&a);
	utf8 = clean(&a, utf8);
	if (is_plain(utf8))
		put_folded(&f, utf8);
	else
		words(&f, utf8);
	end(&f);
	arena_release(&a);
}

void mime_write_raw(struct buf *b, const char *name, slice value)
{
	struct folder f = begin(b, name);
	struct arena a;

	arena_init(&a);
	put_folded(&f, clean(&a, value));
	end(&f);
	arena_release(&a);
}

static bool is_atext(char c)
{
	return is_alpha(c) || is_digit(c) ||
	       (c && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool is_phrase(slice s) /* atoms and single blanks */
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_atext(s.p[i]) &&
		    !(s.p[i] == ' ' && i + 1 < s.n && s.p[i + 1] != ' '))
			return false;
	return s.n > 0;
}

static slice quote(struct arena *a, slice s)
{
	char *p = arena_alloc(a, 2 * s.n + 2);
	size_t n = 0;

	p[n++] = '"';
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			p[n++] = '\\';
		p[n++] = s.p[i];
	}
	p[n++] = '"';
	return (slice){ p, n };
}

/* RFC 5322 3.2.5 phrase */
static void display_name(struct folder *f, struct arena *a, slice name)
{
	slice s = clean(a, name), q;

	if (!is_plain(s)) {
		words(f, s);
		return;
	}
	q = is_phrase(s) ? s : quote(a, s);
	gap(f, q.n);
	put(f, q);
}

static void address(struct folder *f, struct arena *a, const struct mime_addr *x)
{
	struct mime_addr c = *x;
	struct buf spec;

	c.local = clean(a, x->local);
	c.domain = clean(a, x->domain);
	buf_init(&spec, 2 * (c.local.n + c.domain.n) + 8);
	if (x->name.n) {
		display_name(f, a, x->name);
		buf_addc(&spec, '<');
		mime_addr_spec_write(&spec, &c);
		buf_addc(&spec, '>');
	} else {
		mime_addr_spec_write(&spec, &c);
	}
	gap(f, spec.n + 1);
	put(f, buf_slice(&spec));
	buf_done(&spec);
}

void mime_write_addresses(struct buf *b, const char *name, const struct mime_addr *list,
			  size_t n)
{
	struct folder f = begin(b, name);
	struct arena a;
	bool comma = false;

	arena_init(&a);
	for (size_t i = 0; i < n; i++) {
		if (list[i].kind == MIME_ADDR_GROUP_END) {
			put(&f, SL(";"));
			comma = true;
			continue;
		}
		if (comma)
			put(&f, SL(","));
		if (list[i].kind == MIME_ADDR_GROUP_START) {
			display_name(&f, &a, list[i].name);
			put(&f, SL(":"));
			comma = false;
			continue;
		}
		address(&f, &a, &list[i]);
		comma = true;
	}
	end(&f);
	arena_release(&a);
}

void mime_write_date(struct buf *b, const char *name, const struct mime_date *d)
{
	buf_adds(b, name);
	buf_adds(b, ": ");
	mime_date_write(b, d);
	buf_adds(b, "\r\n");
}

void mime_write_msgids(struct buf *b, const char *name, const slice *ids, size_t n)
{
	struct folder f = begin(b, name);

	for (size_t i = 0; i < n; i++) {
		gap(&f, ids[i].n + 2);
		put(&f, SL("<"));
		for (size_t k = 0; k < ids[i].n; k++) {
			char c = ids[i].p[k];

			if ((unsigned char)c > ' ' && c != '<' && c != '>' && c != 0x7f)
				put(&f, (slice){ &c, 1 });
		}
		put(&f, SL(">"));
	}
	end(&f);
}

/* --- parameters --- */

static bool is_token(slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_atext(s.p[i]) || s.p[i] == '=' || s.p[i] == '?' || s.p[i] == '/')
			if (s.p[i] != '.')
				return false;
	return s.n > 0;
}

/* RFC 2231 4, in sections of one line each (3) when it is long. */
static void extended_param(struct folder *f, slice name, slice value)
{
	static const char hex[] = "0123456789ABCDEF";
	bool sections = 3 * value.n > VALUE_LINE;
	size_t at = 0;

	for (unsigned i = 0; at < value.n; i++) {
		size_t n = 0;

		put(f, SL(";\r\n "));
		f->column = 1;
		put(f, name);
		if (sections) {
			put(f, SL("*"));
			buf_addu(f->b, i);
		}
		put(f, SL("*="));
		if (!i)
			put(f, SL("utf-8''"));
		for (; at < value.n && (!sections || !n || f->column + 8 <= LINE); at++) {
			unsigned char c = (unsigned char)value.p[at];
			char e[3] = { '%', hex[c >> 4], hex[c & 15] };
			bool plain = is_alpha((char)c) || is_digit((char)c) || c == '.' ||
				     c == '-' || c == '_';

			put(f, plain ? (slice){ value.p + at, 1 } : (slice){ e, 3 });
			n++;
		}
	}
}

static void param(struct folder *f, struct arena *a, const struct mime_param *p)
{
	slice v = clean(a, p->value), text;

	if (!utf8_is_ascii(v) || v.n > VALUE_LINE * 4) {
		extended_param(f, p->name, v);
		return;
	}
	text = is_token(v) ? v : quote(a, v);
	put(f, SL(";"));
	gap(f, p->name.n + 1 + text.n);
	put(f, p->name);
	put(f, SL("="));
	put(f, text);
}

void mime_write_content(struct buf *b, const char *name, slice value,
			const struct mime_param *params)
{
	struct folder f = begin(b, name);
	struct arena a;

	arena_init(&a);
	put(&f, SL(" "));
	put(&f, clean(&a, value));
	for (; params; params = params->next)
		param(&f, &a, params);
	end(&f);
	arena_release(&a);
}

void mime_write_delimiter(struct buf *b, slice boundary, bool last)
{
	buf_adds(b, "\r\n--");
	buf_add(b, boundary);
	buf_adds(b, last ? "--\r\n" : "\r\n");
}
