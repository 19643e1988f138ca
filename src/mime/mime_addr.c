/* Address lists.  RFC 5322 3.4, obsolete forms 4.4, RFC 6532. One element at a time:
 * its end is found first, then it is taken apart; every octet is looked at twice at
 * most. */
#include "mime/mime_header.h"

static bool is_wsp(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Behind the quoted string at s[at] = '"', or the end. */
static size_t skip_quoted(slice s, size_t at)
{
	for (at++; at < s.n && s.p[at] != '"'; at++)
		if (s.p[at] == '\\')
			at++;
	return at < s.n ? at + 1 : s.n;
}

/* Where the element at from ends: at a separator, or at the end. */
static size_t element_end(slice s, size_t from, bool in_group)
{
	bool angle = false, route = false, literal = false;
	size_t i = from;

	while (i < s.n) {
		char c = s.p[i];

		if (c == '"') {
			i = skip_quoted(s, i);
			continue;
		}
		if (c == '(') {
			mime_skip_cfws(s, &i);
			continue;
		}
		if (c == '[' ||
		    c == ']') { /* RFC 5322 3.4.1 domain-literal: colons inside */
			literal = c == '[';
		} else if (c == '<') {
			angle = true;
			route = i + 1 < s.n && s.p[i + 1] == '@';
		} else if (c == '>') {
			angle = false;
		} else if (angle && c == ':') {
			route = false;
		} else if ((c == ',' && !(angle && route)) || (c == ';' && !angle) ||
			   (c == ':' && !angle && !literal && !in_group)) {
			break;
		} else if (c == '\\') {
			i++;
		}
		i++;
	}
	return i < s.n ? i : s.n;
}

/* Text that grows in one arena block as long as the element. */
struct text {
	char *p;
	size_t n;
};

static slice text_slice(const struct text *t)
{
	return (slice){ t->p, t->n };
}

static void text_add(struct text *t, char c)
{
	t->p[t->n++] = c;
}

/* State of taking an element apart. `all` is every word seen, blanks reduced to one:
 * the display name if an angle bracket follows. `run` is the last sequence of words
 * joined by dots: the local part if an @ follows. */
struct scan {
	slice e;
	size_t at;
	struct text all, run, domain, comment;
	size_t name_n; /* length of `all` before the run */
	size_t at_n;   /* length of `all` before the @ */
	bool gap, after_dot, has_word, has_at, has_comment;
	bool in_domain; /* between an @ and the blank behind the domain */
};

static void scan_comment(struct scan *s)
{
	size_t depth = 0;

	s->comment.n = 0;
	s->has_comment = true;
	for (; s->at < s->e.n; s->at++) {
		char c = s->e.p[s->at];

		if (c == '(' && depth++ == 0)
			continue;
		if (c == ')' && --depth == 0) {
			s->at++;
			break;
		}
		if (c == '\\' && s->at + 1 < s->e.n)
			c = s->e.p[++s->at];
		text_add(&s->comment, c);
	}
	s->gap = true;
}

/* A word or one character begins: where does it belong? */
static void scan_word_start(struct scan *s, bool is_dot)
{
	bool joins = is_dot || s->after_dot || !s->gap;

	if (s->gap && s->all.n)
		text_add(&s->all, ' ');
	if (s->has_at) {
		if (!joins && s->domain.n)
			s->in_domain = false; /* "a@b.c word": no part of the address */
	} else if (!joins) {
		s->run.n = 0;
		s->name_n = s->all.n;
	}
	s->gap = false;
	s->after_dot = is_dot;
	s->has_word = true;
}

static void scan_char(struct scan *s, char c)
{
	text_add(&s->all, c);
	if (!s->has_at)
		text_add(&s->run, c);
	else if (s->in_domain)
		text_add(&s->domain, c);
}

static void scan_quoted(struct scan *s)
{
	scan_word_start(s, false);
	for (s->at++; s->at < s->e.n && s->e.p[s->at] != '"'; s->at++) {
		if (s->e.p[s->at] == '\\' && s->at + 1 < s->e.n)
			s->at++;
		scan_char(s, s->e.p[s->at]);
	}
	s->at++;
}

/* Words, dots, comments up to stop ('<', '>') or the end of the element. */
static void scan_until(struct scan *s, char stop)
{
	while (s->at < s->e.n && s->e.p[s->at] != stop) {
		char c = s->e.p[s->at];

		if (is_wsp(c)) {
			s->gap = true;
			s->at++;
		} else if (c == '(') {
			scan_comment(s);
		} else if (c == '"') {
			scan_quoted(s);
		} else if (c == '@' && !s->has_at) {
			s->has_at = s->in_domain = true;
			s->at_n = s->all.n;
			s->gap = false;
			s->after_dot = true;
			text_add(&s->all, c);
			s->at++;
		} else {
			scan_word_start(s, c == '.');
			scan_char(s, c);
			s->at++;
		}
	}
}

/* RFC 5322 4.4 obs-route: "@a,@b:" in front of the address. */
static slice scan_route(struct scan *s)
{
	size_t from = s->at, colon;

	mime_skip_cfws(s->e, &from);
	if (from >= s->e.n || s->e.p[from] != '@')
		return (slice){ NULL, 0 };
	colon = slice_chr(s->e, ':', from);
	if (colon >= s->e.n || slice_chr(s->e, '>', from) < colon)
		return (slice){ NULL, 0 };
	s->at = colon + 1;
	return slice_trim(slice_sub(s->e, from, colon - from));
}

static void scan_init(struct scan *s, struct arena *a, slice e)
{
	char *p = arena_array(a, e.n + 1, 5);

	*s = (struct scan){ .e = e };
	s->all.p = p; /* a blank is added only where the element has one */
	s->run.p = p + (e.n + 1);
	s->domain.p = p + 2 * (e.n + 1);
	s->comment.p = p + 3 * (e.n + 1);
}

/* What stands in angle brackets, s->at behind the "<". */
static void scan_angle(struct scan *s, struct arena *a, struct mime_addr *out)
{
	struct scan in;

	out->route = scan_route(s);
	scan_init(&in, a, slice_from(s->e, s->at));
	scan_until(&in, '>');
	s->at += in.at < in.e.n ? in.at + 1 : in.e.n;
	/* Blanks in a local part are kept: it will be written quoted. */
	if (in.name_n)
		out->local =
			slice_sub(text_slice(&in.all), 0, in.has_at ? in.at_n : in.all.n);
	else
		out->local = text_slice(&in.run);
	out->domain = text_slice(&in.domain);
	while (s->at < s->e.n) { /* only a comment matters behind it */
		if (s->e.p[s->at] == '(')
			scan_comment(s);
		else
			s->at++;
	}
}

/* False when there is nothing but blanks and comments. */
static bool element_parse(struct arena *a, slice e, struct mime_addr *out)
{
	struct scan s;
	bool has_angle;

	scan_init(&s, a, e);
	scan_until(&s, '<');
	has_angle = s.at < e.n;
	if (!has_angle && !s.has_word && !s.has_at)
		return false;
	*out = (struct mime_addr){ .kind = MIME_ADDR_MAILBOX,
				   .local = SL(""),
				   .domain = SL("") };
	if (has_angle) {
		s.at++;
		if (s.has_word)
			out->name = text_slice(&s.all);
		scan_angle(&s, a, out);
	} else if (s.has_at) {
		out->local = text_slice(&s.run);
		out->domain = text_slice(&s.domain);
		if (s.name_n)
			out->name =
				slice_trim(slice_sub(text_slice(&s.all), 0, s.name_n));
	} else if (s.name_n) {
		out->name = text_slice(&s.all); /* several words and no address */
	} else {
		out->local = text_slice(&s.run);
	}
	/* RFC 822 wrote names as comments behind the address, and programs still do. */
	if (!mime_has(out->name) && s.has_comment && s.comment.n)
		out->name = slice_trim(text_slice(&s.comment));
	return true;
}

static slice group_name(struct arena *a, slice e)
{
	struct scan s;

	scan_init(&s, a, e);
	scan_until(&s, '\0');
	return text_slice(&s.all);
}

bool mime_addr_next(struct mime_addr_iter *it, struct arena *a, struct mime_addr *out)
{
	while (it->at < it->s.n) {
		size_t from = it->at, end;
		char c = it->s.p[from];

		if (is_wsp(c) || c == ',' || (c == ';' && !it->in_group)) {
			it->at++;
			continue;
		}
		if (c == ';') {
			it->at++;
			goto group_end;
		}
		end = element_end(it->s, from, it->in_group);
		it->at = end;
		if (end < it->s.n && it->s.p[end] == ':') {
			it->at++;
			it->in_group = true;
			*out = (struct mime_addr){ .kind = MIME_ADDR_GROUP_START,
						   .local = SL(""),
						   .domain = SL("") };
			out->name = group_name(a, slice_sub(it->s, from, end - from));
			return true;
		}
		if (element_parse(a, slice_sub(it->s, from, end - from), out))
			return true;
	}
	if (!it->in_group)
		return false;
group_end:
	it->in_group = false;
	*out = (struct mime_addr){ .kind = MIME_ADDR_GROUP_END,
				   .local = SL(""),
				   .domain = SL("") };
	return true;
}

bool mime_addr_single(struct arena *a, slice unfolded, struct mime_addr *out)
{
	struct mime_addr_iter it = mime_addr_iter(unfolded);
	struct mime_addr one;
	bool found = false;

	while (mime_addr_next(&it, a, &one)) {
		if (one.kind != MIME_ADDR_MAILBOX)
			continue;
		if (found)
			return false;
		found = true;
		*out = one;
	}
	return found;
}

/* RFC 5322 3.2.3 atext and UTF-8 (RFC 6532 3.2). */
static bool is_atext(char c)
{
	return is_alpha(c) || is_digit(c) || (unsigned char)c >= 0x80 ||
	       (c && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool is_dot_atom(slice s)
{
	bool dot = true;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' ? dot : !is_atext(s.p[i]))
			return false;
		dot = s.p[i] == '.';
	}
	return !dot;
}

void mime_addr_spec_write(struct buf *b, const struct mime_addr *addr)
{
	if (is_dot_atom(addr->local)) {
		buf_add(b, addr->local);
	} else {
		buf_addc(b, '"');
		for (size_t i = 0; i < addr->local.n; i++) {
			char c = addr->local.p[i];

			if (c == '\r' || c == '\n' || c == '\0')
				continue;
			if (c == '"' || c == '\\')
				buf_addc(b, '\\');
			buf_addc(b, c);
		}
		buf_addc(b, '"');
	}
	if (addr->domain.n) {
		buf_addc(b, '@');
		buf_add(b, addr->domain);
	}
}
