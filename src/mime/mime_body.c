/* BODY out of BODYSTRUCTURE: the same without extension data (RFC 3501 7.4.2). Works
 * on the wire text, so that the store keeps one of the two; the text is checked while
 * it is read. */
#include "mime/mime_digest.h"

#define NESTED (LIMIT_MIME_DEPTH + 2)

struct copy {
	slice s;
	size_t at;
	struct buf *out;
	bool bad;
};

static char here(const struct copy *c)
{
	return c->at < c->s.n ? c->s.p[c->at] : '\0';
}

static void skip_quoted(struct copy *c)
{
	for (c->at++; c->at < c->s.n && c->s.p[c->at] != '"'; c->at++)
		if (c->s.p[c->at] == '\\')
			c->at++;
	if (c->at >= c->s.n)
		c->bad = true;
	c->at++;
}

/* literal = "{" number "}" CRLF *CHAR8 */
static void skip_literal(struct copy *c)
{
	size_t close = slice_chr(c->s, '}', c->at);
	uint64_t n;

	if (close >= c->s.n ||
	    !slice_u64(slice_sub(c->s, c->at + 1, close - c->at - 1), c->s.n, &n) ||
	    c->s.n - close < 3 + n || c->s.p[close + 1] != '\r' ||
	    c->s.p[close + 2] != '\n')
		c->bad = true;
	else
		c->at = close + 3 + (size_t)n;
}

/* One string, atom, number or list, however deep: parentheses are counted. Returns it. */
static slice item(struct copy *c)
{
	size_t from = c->at, depth = 0;

	do {
		char ch = here(c);

		if (ch == '(') {
			depth++;
			c->at++;
		} else if (ch == ')' && depth) {
			depth--;
			c->at++;
		} else if (ch == '"') {
			skip_quoted(c);
		} else if (ch == '{') {
			skip_literal(c);
		} else if (ch == ' ' && depth) {
			c->at++;
		} else if (is_alpha(ch) || is_digit(ch)) {
			while (is_alpha(here(c)) || is_digit(here(c)))
				c->at++;
		} else {
			c->bad = true;
		}
	} while (depth && !c->bad);
	return c->bad ? (slice){ "", 0 } : slice_sub(c->s, from, c->at - from);
}

static void expect(struct copy *c, char ch)
{
	if (here(c) != ch)
		c->bad = true;
	c->at++;
}

static slice copy_item(struct copy *c, bool after_blank)
{
	slice s;

	if (after_blank) {
		expect(c, ' ');
		buf_addc(c->out, ' ');
	}
	s = item(c);
	buf_add(c->out, s);
	return s;
}

/* Drops the extension data and ends the body. */
static void end_body(struct copy *c)
{
	while (!c->bad && here(c) == ' ') {
		c->at++;
		item(c);
	}
	expect(c, ')');
	buf_addc(c->out, ')');
}

/* A body that is not multipart, behind its "(". True when a message follows inside. */
static bool single(struct copy *c)
{
	slice type = copy_item(c, false), subtype = copy_item(c, true);

	for (int i = 0; i < 5 && !c->bad;
	     i++) /* params, id, description, encoding, octets */
		copy_item(c, true);
	if (slice_ieq(type, SL("\"message\"")) &&
	    (slice_ieq(subtype, SL("\"rfc822\"")) ||
	     slice_ieq(subtype, SL("\"global\"")))) {
		copy_item(c, true); /* ENVELOPE */
		expect(c, ' ');
		buf_addc(c->out, ' ');
		return true;
	}
	if (slice_ieq(type, SL("\"text\"")))
		copy_item(c, true); /* lines */
	end_body(c);
	return false;
}

bool mime_digest_body(slice digest, struct buf *out)
{
	struct copy c = { .s = mime_digest_bodystructure(digest), .out = out };
	bool is_multipart[NESTED];
	size_t n = 0;

	for (;;) {
		/* A body starts here. */
		expect(&c, '(');
		buf_addc(out, '(');
		if (c.bad || n == NESTED)
			return false;
		if (here(&c) == '(') {
			is_multipart[n++] = true;
			continue;
		}
		if (single(&c)) {
			is_multipart[n++] = false;
			continue;
		}
		/* A body has ended: so may those around it. */
		while (n && !c.bad && !(is_multipart[n - 1] && here(&c) == '(')) {
			copy_item(&c, true); /* subtype, or lines */
			end_body(&c);
			n--;
		}
		if (c.bad)
			return false;
		if (!n)
			return c.at == c.s.n && !out->full;
	}
}
