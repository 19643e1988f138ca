#include "mime/mime_header.h"

/* Length of the line at from, with its line end. */
static size_t line_len(slice s, size_t from)
{
	size_t lf = slice_chr(s, '\n', from);

	return (lf < s.n ? lf + 1 : s.n) - from;
}

static slice without_eol(slice s)
{
	if (s.n && s.p[s.n - 1] == '\n') {
		s.n--;
		if (s.n && s.p[s.n - 1] == '\r')
			s.n--;
	}
	return s;
}

bool mime_header_next(struct mime_header_iter *it, struct mime_header_field *out)
{
	slice h = it->header, field;
	size_t at = it->at, colon;

	if (at >= h.n || without_eol(slice_sub(h, at, line_len(h, at))).n == 0)
		return false;
	at += line_len(h, at);
	while (at < h.n && (h.p[at] == ' ' || h.p[at] == '\t'))
		at += line_len(h, at); /* RFC 5322 2.2.3 */
	field = slice_sub(h, it->at, at - it->at);
	out->off = it->at;
	out->len = field.n;
	it->at = at;
	field = without_eol(field);
	colon = slice_chr(field, ':', 0);
	out->name = slice_sub(field, 0, colon);
	out->value = slice_from(field, colon + 1);
	while (out->name.n && (out->name.p[out->name.n - 1] == ' ' ||
			       out->name.p[out->name.n - 1] == '\t'))
		out->name.n--; /* RFC 5322 4.5 */
	for (size_t i = 0; i < out->name.n; i++) {
		if ((unsigned char)out->name.p[i] <= ' ')
			colon = field.n; /* RFC 5322 3.6.8: no blank in a name */
	}
	if (colon == field.n) {
		out->name = slice_sub(field, 0, 0);
		out->value = field;
	}
	return true;
}

size_t mime_header_length(slice message)
{
	size_t at = 0;

	while (at < message.n) {
		size_t n = line_len(message, at);
		bool is_blank = message.p[at + n - 1] == '\n' &&
				without_eol(slice_sub(message, at, n)).n == 0;

		at += n;
		if (is_blank)
			break;
	}
	return at;
}

slice mime_header_get(struct arena *a, slice header, slice name)
{
	struct mime_header_iter it = mime_header_iter(header);
	struct mime_header_field f;

	while (mime_header_next(&it, &f))
		if (f.name.n && slice_ieq(f.name, name))
			return mime_unfold(a, f.value);
	return (slice){ NULL, 0 };
}

slice mime_unfold(struct arena *a, slice raw)
{
	slice v = slice_trim(raw);
	size_t n = 0, i;
	char *p;

	for (i = 0; i < v.n; i++)
		if (v.p[i] == '\r' || v.p[i] == '\n' || v.p[i] == '\0')
			break;
	if (i == v.n)
		return v;
	p = arena_alloc(a, v.n);
	for (i = 0; i < v.n; i++) {
		char c = v.p[i];

		if (c == '\n' || (c == '\r' && i + 1 < v.n && v.p[i + 1] == '\n'))
			continue;
		p[n++] = c == '\r' || c == '\0' ? ' ' : c;
	}
	return slice_trim((slice){ p, n });
}

/* RFC 5322 3.2.2: comments nest. Counted, so any depth is one pass. */
bool mime_skip_cfws(slice s, size_t *at)
{
	size_t i = *at, depth = 0;

	for (; i < s.n; i++) {
		char c = s.p[i];

		if (c == '(')
			depth++;
		else if (c == ')' && depth)
			depth--;
		else if (c == '\\' && depth)
			i++;
		else if (!depth && c != ' ' && c != '\t' && c != '\r' && c != '\n')
			break;
	}
	*at = i < s.n ? i : s.n;
	return depth == 0;
}

/* The octets of an id without blanks, quotes and backslashes. */
static slice msgid_clean(struct arena *a, slice raw)
{
	char *p = arena_alloc(a, raw.n);
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if (c == '\\' && i + 1 < raw.n)
			c = raw.p[++i];
		else if (c == '"')
			continue;
		if (c != ' ' && c != '\t')
			p[n++] = c;
	}
	return (slice){ p, n };
}

/* No brackets at all: taken when it is one word with an @, as some programs write it. */
static bool msgid_bare(slice v, struct arena *a, slice *out)
{
	v = slice_trim(v);
	if (slice_chr(v, '@', 0) == v.n || slice_chr(v, ' ', 0) < v.n ||
	    slice_chr(v, '\t', 0) < v.n)
		return false;
	*out = msgid_clean(a, v);
	return out->n > 0;
}

/* RFC 5322 3.6.4. */
bool mime_msgid_next(slice v, size_t *at, struct arena *a, slice *out)
{
	size_t from = *at, to;

	if (from == 0 && slice_chr(v, '<', 0) == v.n) {
		*at = v.n ? v.n : 1;
		return msgid_bare(v, a, out);
	}
	for (; (from = slice_chr(v, '<', from)) < v.n; from = to) {
		for (to = ++from; to < v.n && v.p[to] != '>' && v.p[to] != '<'; to++)
			;
		slice id = msgid_clean(a, slice_sub(v, from, to - from));

		if (id.n) {
			*at = to;
			*out = id;
			return true;
		}
	}
	*at = v.n ? v.n : 1;
	return false;
}
