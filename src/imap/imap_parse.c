#include "imap/imap_parse.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "base/utf7.h"
#include "mime/mime_header.h"
#include "store/store.h"

struct imap_parse imap_parse_init(slice command, struct arena *a)
{
	return (struct imap_parse){ .s = command, .a = a };
}

bool imap_parse_fail(struct imap_parse *p, const char *why)
{
	if (!p->why) {
		p->why = why;
		p->why_at = p->at;
	}
	return false;
}

bool imap_parse_is_end(const struct imap_parse *p)
{
	return p->at >= p->s.n;
}

bool imap_parse_end(struct imap_parse *p)
{
	return imap_parse_is_end(p) || imap_parse_fail(p, "the command should end here");
}

bool imap_parse_peek(const struct imap_parse *p, char c)
{
	return p->at < p->s.n && p->s.p[p->at] == c;
}

bool imap_parse_accept(struct imap_parse *p, char c)
{
	if (!imap_parse_peek(p, c))
		return false;
	p->at++;
	return true;
}

bool imap_parse_char(struct imap_parse *p, char c)
{
	if (imap_parse_accept(p, c))
		return true;
	switch (c) {
	case '(':
		return imap_parse_fail(p, "\"(\" expected");
	case ')':
		return imap_parse_fail(p, "\")\" expected");
	case ']':
		return imap_parse_fail(p, "\"]\" expected");
	case '>':
		return imap_parse_fail(p, "\">\" expected");
	case '"':
		return imap_parse_fail(p, "a quote expected");
	default:
		return imap_parse_fail(p, "another character expected");
	}
}

bool imap_parse_sp(struct imap_parse *p)
{
	return imap_parse_accept(p, ' ') ||
	       imap_parse_fail(p, "a blank and an argument expected");
}

bool imap_parse_word(struct imap_parse *p, const char *word)
{
	slice w = slice_str(word);
	slice rest = slice_from(p->s, p->at);

	if (!slice_istarts(rest, w))
		return false;
	if (rest.n > w.n &&
	    (is_alpha(rest.p[w.n]) || is_digit(rest.p[w.n]) || rest.p[w.n] == '.'))
		return false;
	p->at += w.n;
	return true;
}

bool imap_parse_enter(struct imap_parse *p)
{
	if (p->depth >= LIMIT_IMAP_DEPTH)
		return imap_parse_fail(p, "nested too deeply");
	p->depth++;
	return true;
}

void imap_parse_leave(struct imap_parse *p)
{
	p->depth--;
}

/* ATOM-CHAR = any CHAR except atom-specials: "(" ")" "{" SP CTL list-wildcards
 * quoted-specials resp-specials */
bool imap_is_atom_char(char c)
{
	unsigned char u = (unsigned char)c;

	return u > 0x20 && u < 0x7f && !memchr("(){%*\"\\]", c, 8);
}

/* ASTRING-CHAR = ATOM-CHAR / resp-specials */
bool imap_is_astring_char(char c)
{
	return imap_is_atom_char(c) || c == ']';
}

static bool take_run(struct imap_parse *p, bool (*is)(char), const char *why, slice *out)
{
	size_t from = p->at;

	while (p->at < p->s.n && is(p->s.p[p->at]))
		p->at++;
	if (p->at == from)
		return imap_parse_fail(p, why);
	*out = slice_sub(p->s, from, p->at - from);
	return true;
}

static bool is_tag_char(char c)
{
	return imap_is_astring_char(c) && c != '+';
}

/* tag = 1*<any ASTRING-CHAR except "+"> */
bool imap_parse_tag(struct imap_parse *p, slice *out)
{
	return take_run(p, is_tag_char, "a tag expected", out);
}

/* atom = 1*ATOM-CHAR */
bool imap_parse_atom(struct imap_parse *p, slice *out)
{
	return take_run(p, imap_is_atom_char, "an atom expected", out);
}

/* number = 1*DIGIT ; 0 <= n < 4,294,967,296 */
bool imap_parse_number(struct imap_parse *p, uint32_t *out)
{
	size_t from = p->at, at = p->at;
	uint64_t v = 0;

	while (at < p->s.n && is_digit(p->s.p[at])) {
		v = v * 10 + (uint64_t)(p->s.p[at++] - '0');
		if (v > UINT32_MAX)
			return imap_parse_fail(p, "the number is above 4294967295");
	}
	if (at == from)
		return imap_parse_fail(p, "a number expected");
	p->at = at;
	*out = (uint32_t)v;
	return true;
}

/* nz-number = digit-nz *DIGIT */
bool imap_parse_nz_number(struct imap_parse *p, uint32_t *out)
{
	if (imap_parse_peek(p, '0'))
		return imap_parse_fail(
			p, "a number above 0, without leading zeros, expected");
	return imap_parse_number(p, out);
}

/* quoted = DQUOTE *QUOTED-CHAR DQUOTE RFC 3501 9 deviation: valid UTF-8 is taken inside
 * (RFC 6855 3 allows it; clients send it in LOGIN and SEARCH). */
static bool parse_quoted(struct imap_parse *p, slice *out)
{
	size_t from = ++p->at, n = 0, i;
	bool escaped = false, wide = false;
	char *to;

	for (i = from; i < p->s.n && p->s.p[i] != '"'; i++, n++) {
		char c = p->s.p[i];

		if (c == '\\') {
			escaped = true;
			if (++i >= p->s.n || (p->s.p[i] != '"' && p->s.p[i] != '\\')) {
				p->at = i;
				return imap_parse_fail(
					p, "only \\\" and \\\\ may be escaped");
			}
		} else if (c == '\r' || c == '\n' || c == 0) {
			p->at = i;
			return imap_parse_fail(p, "CR, LF or NUL in a quoted string");
		}
		wide |= (unsigned char)c >= 0x80;
	}
	if (i >= p->s.n) {
		p->at = i;
		return imap_parse_fail(p, "the quoted string does not end");
	}
	*out = slice_sub(p->s, from, i - from);
	if (wide && !utf8_is_valid(*out))
		return imap_parse_fail(
			p, "a quoted string with 8-bit octets that are not UTF-8");
	p->at = i + 1;
	if (!escaped)
		return true;
	to = arena_alloc(p->a, n + 1);
	n = 0;
	for (size_t j = 0; j < out->n; j++) {
		if (out->p[j] == '\\')
			j++;
		to[n++] = out->p[j];
	}
	*out = slice_make(to, n);
	return true;
}

/* literal = "{" number ["+"] "}" CRLF *CHAR8 ; CHAR8 is any octet but NUL */
static bool parse_literal(struct imap_parse *p, slice *out)
{
	size_t start = p->at;
	uint32_t n;

	p->at++;
	if (!imap_parse_number(p, &n))
		return false;
	imap_parse_accept(p, '+');
	if (!imap_parse_accept(p, '}'))
		return imap_parse_fail(p, "\"}\" expected");
	imap_parse_accept(p, '\r');
	if (!imap_parse_accept(p, '\n'))
		return imap_parse_fail(
			p, "a line end expected behind the length of a literal");
	if (n > p->s.n - p->at)
		return imap_parse_fail(p, "the literal is longer than the command");
	*out = slice_sub(p->s, p->at, n);
	if (memchr(out->p, 0, n)) {
		p->at = start;
		return imap_parse_fail(p, "NUL in a literal");
	}
	p->at += n;
	return true;
}

/* string = quoted / literal */
bool imap_parse_string(struct imap_parse *p, slice *out)
{
	if (imap_parse_peek(p, '"'))
		return parse_quoted(p, out);
	if (imap_parse_peek(p, '{'))
		return parse_literal(p, out);
	return imap_parse_fail(p, "a quoted string or a literal expected");
}

/* astring = 1*ASTRING-CHAR / string */
bool imap_parse_astring(struct imap_parse *p, slice *out)
{
	if (imap_parse_peek(p, '"') || imap_parse_peek(p, '{'))
		return imap_parse_string(p, out);
	return take_run(p, imap_is_astring_char,
			"an atom, a quoted string or a literal expected", out);
}

/* nstring = string / nil */
bool imap_parse_nstring(struct imap_parse *p, slice *out)
{
	if (imap_parse_word(p, "NIL")) {
		*out = (slice){ NULL, 0 };
		return true;
	}
	return imap_parse_string(p, out);
}

static bool decode_name(struct imap_parse *p, size_t start, slice wire, slice *out)
{
	slice name;

	if (wire.n <= 4 * LIMIT_MAILBOX_NAME && utf7_decode(p->a, wire, &name)) {
		*out = slice_ieq(name, SL("INBOX")) ? SL("INBOX") : name;
		return true;
	}
	p->at = start;
	return imap_parse_fail(p,
			       "the mailbox name is not modified UTF-7 (RFC 3501 5.1.3)");
}

/* mailbox = "INBOX" / astring */
bool imap_parse_mailbox(struct imap_parse *p, slice *out)
{
	size_t start = p->at;
	slice wire;

	return imap_parse_astring(p, &wire) && decode_name(p, start, wire, out);
}

static bool is_list_char(char c)
{
	return imap_is_astring_char(c) || c == '%' || c == '*';
}

/* list-mailbox = 1*list-char / string ; list-char = ATOM-CHAR / list-wildcards /
 * resp-specials */
bool imap_parse_list_mailbox(struct imap_parse *p, slice *out)
{
	size_t start = p->at;
	slice wire;

	if (imap_parse_peek(p, '"') || imap_parse_peek(p, '{')) {
		if (!imap_parse_string(p, &wire))
			return false;
	} else if (!take_run(p, is_list_char, "a mailbox name or pattern expected",
			     &wire)) {
		return false;
	}
	return decode_name(p, start, wire, out);
}

/* date-text = date-day "-" date-month "-" date-year */
static bool parse_date_text(struct imap_parse *p, int64_t *out_days)
{
	struct civil c = { 0 };
	slice rest = slice_from(p->s, p->at);
	size_t n = 0;

	while (n < 2 && n < rest.n && is_digit(rest.p[n]))
		c.day = c.day * 10 + (rest.p[n++] - '0');
	if (n == 0 || c.day < 1 || c.day > 31 || rest.n < n + 9 || rest.p[n] != '-' ||
	    rest.p[n + 4] != '-')
		return imap_parse_fail(p, "a date as 1-Feb-1994 expected");
	for (int m = 0; m < 12; m++)
		if (slice_ieq(slice_sub(rest, n + 1, 3), slice_str(civil_months[m])))
			c.month = m + 1;
	for (size_t i = n + 5; i < n + 9; i++) {
		if (!is_digit(rest.p[i]))
			return imap_parse_fail(p, "a year of four digits expected");
		c.year = c.year * 10 + (rest.p[i] - '0');
	}
	if (c.month == 0 || c.year == 0)
		return imap_parse_fail(p, "a date as 1-Feb-1994 expected");
	p->at += n + 9;
	*out_days = civil_to_unix(&c) / 86400 - (civil_to_unix(&c) % 86400 < 0);
	return true;
}

/* date = date-text / DQUOTE date-text DQUOTE */
bool imap_parse_date(struct imap_parse *p, int64_t *out_days)
{
	bool quoted = imap_parse_accept(p, '"');

	return parse_date_text(p, out_days) && (!quoted || imap_parse_char(p, '"'));
}

/* date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone
 * DQUOTE */
bool imap_parse_date_time(struct imap_parse *p, int64_t *out_s)
{
	size_t start = p->at;
	struct mime_date d;
	slice text;

	if (!imap_parse_peek(p, '"'))
		return imap_parse_fail(p, "a date and time in quotes expected");
	if (!parse_quoted(p, &text))
		return false;
	if (text.n != 26 || !mime_internaldate_parse(text, &d)) {
		p->at = start;
		return imap_parse_fail(
			p, "a date as \"22-Nov-2026 19:54:30 +0000\" expected");
	}
	*out_s = d.unix_s;
	return true;
}

static const struct {
	const char *name;
	uint32_t bit;
} sys_flags[] = {
	{ "Answered", FLAG_ANSWERED }, { "Flagged", FLAG_FLAGGED },
	{ "Deleted", FLAG_DELETED },   { "Seen", FLAG_SEEN },
	{ "Draft", FLAG_DRAFT },
};

/* flag = "\Answered" / "\Flagged" / "\Deleted" / "\Seen" / "\Draft" / flag-keyword /
 * flag-extension "\Recent" cannot be set (RFC 3501 2.3.2); other names with a backslash
 * are reserved and not known here. */
static bool parse_flag(struct imap_parse *p, struct imap_flags *out, size_t *cap)
{
	size_t start = p->at;
	slice name;

	if (imap_parse_accept(p, '\\')) {
		if (!imap_parse_atom(p, &name))
			return false;
		for (size_t i = 0; i < sizeof(sys_flags) / sizeof(sys_flags[0]); i++)
			if (slice_ieq(name, slice_str(sys_flags[i].name))) {
				out->sys |= sys_flags[i].bit;
				return true;
			}
		p->at = start;
		return imap_parse_fail(
			p, "no such system flag, or one that clients cannot set");
	}
	if (!imap_parse_atom(p, &name))
		return false;
	for (size_t i = 0; i < out->n_kw; i++)
		if (slice_ieq(out->kw[i], name))
			return true;
	if (name.n > LIMIT_KEYWORD || out->n_kw >= LIMIT_KEYWORDS) {
		p->at = start;
		return imap_parse_fail(
			p, "a keyword above 64 octets, or more than 64 of them");
	}
	if (out->n_kw == *cap) {
		slice *kw = arena_array(p->a, *cap ? *cap * 2 : 4, sizeof(*kw));

		if (out->n_kw)
			memcpy(kw, out->kw, out->n_kw * sizeof(*kw));
		*cap = *cap ? *cap * 2 : 4;
		out->kw = kw;
	}
	out->kw[out->n_kw++] = name;
	return true;
}

/* flag-list = "(" [flag *(SP flag)] ")" */
bool imap_parse_flag_list(struct imap_parse *p, struct imap_flags *out)
{
	size_t cap = 0;

	*out = (struct imap_flags){ 0 };
	if (!imap_parse_char(p, '('))
		return false;
	if (imap_parse_accept(p, ')'))
		return true;
	do {
		if (!parse_flag(p, out, &cap))
			return false;
	} while (imap_parse_accept(p, ' '));
	return imap_parse_char(p, ')');
}

/* store-att-flags: flag-list / (flag *(SP flag)) */
bool imap_parse_flags(struct imap_parse *p, struct imap_flags *out)
{
	size_t cap = 0;

	if (imap_parse_peek(p, '('))
		return imap_parse_flag_list(p, out);
	*out = (struct imap_flags){ 0 };
	do {
		if (!parse_flag(p, out, &cap))
			return false;
	} while (imap_parse_accept(p, ' '));
	return true;
}

enum imap_literal imap_literal_at_end(slice s, size_t *out_at, uint32_t *out_n)
{
	bool sync = true;
	size_t end, at;
	uint64_t v = 0;

	if (s.n < 3 || s.p[s.n - 1] != '}')
		return IMAP_LITERAL_NONE;
	end = s.n - 1;
	if (s.p[end - 1] == '+') {
		sync = false;
		end--;
	}
	at = end;
	while (at > 0 && is_digit(s.p[at - 1]))
		at--;
	if (at == end || at == 0 || s.p[at - 1] != '{')
		return IMAP_LITERAL_NONE;
	for (size_t i = at; i < end; i++) {
		v = v * 10 + (uint64_t)(s.p[i] - '0');
		if (v > UINT32_MAX)
			return IMAP_LITERAL_ABSURD;
	}
	*out_at = at - 1;
	*out_n = (uint32_t)v;
	return sync ? IMAP_LITERAL_SYNC : IMAP_LITERAL_NONSYNC;
}
