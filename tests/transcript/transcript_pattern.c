/* transcript_pattern.c — {any}, {name=num}, {b64:…}: what stands in braces. */
#include "transcript.h"
#include "base/base64.h"
#include "base/cleanup.h"

/* The token at the front of s: "{" letter … "}". Its inside, or an empty slice. */
static slice token(slice s)
{
	size_t end;

	if (s.n < 3 || s.p[0] != '{' || !is_alpha(s.p[1]))
		return SL("");
	end = slice_chr(s, '}', 0);
	return end == s.n ? SL("") : slice_sub(s, 1, end - 1);
}

static bool find(const struct vars *v, slice name, slice *out)
{
	for (size_t i = v->n; i-- > 0;) {
		if (slice_eq(v->name[i], name)) {
			*out = v->value[i];
			return true;
		}
	}
	return false;
}

static bool expand_token(struct arena *mem, const struct vars *vars, slice t,
			 struct buf *out)
{
	slice value;
	uint64_t times;

	if (slice_starts(t, SL("b64:"))) {
		base64_encode(out, transcript_unescape(mem, slice_from(t, 4)));
		return true;
	}
	if (slice_starts(t, SL("rep:"))) {
		slice rest = slice_from(t, 4), count = slice_cut(&rest, ':');

		if (!slice_u64(count, 1u << 24, &times))
			return false;
		rest = transcript_unescape(mem, rest);
		while (times-- > 0)
			buf_add(out, rest);
		return true;
	}
	if (!vars || !find(vars, t, &value))
		return false;
	buf_add(out, value);
	return true;
}

slice transcript_expand(struct arena *mem, const struct vars *vars, slice s)
{
	AUTO_BUF b;

	buf_init(&b, 64u << 20);
	while (s.n > 0) {
		slice t = token(s);

		if (t.n > 0 && expand_token(mem, vars, t, &b)) {
			s = slice_from(s, t.n + 2);
			continue;
		}
		buf_addc(&b, s.p[0]);
		s = slice_from(s, 1);
	}
	return arena_dup(mem, buf_slice(&b));
}

static bool is_word(char c)
{
	return c != ' ' && !strchr("()[]\"\r\n", c);
}

/* How much of text a kind may take at most. */
static size_t most(slice kind, slice text)
{
	size_t n = 0;

	if (slice_eq(kind, SL("any")))
		return text.n;
	while (n < text.n &&
	       (slice_eq(kind, SL("num")) ? is_digit(text.p[n]) : is_word(text.p[n])))
		n++;
	return n;
}

static bool is_kind(slice s)
{
	return slice_eq(s, SL("any")) || slice_eq(s, SL("num")) ||
	       slice_eq(s, SL("word"));
}

static bool match(slice pattern, slice text, struct vars *vars);

/* A kind at the front: longest first for words and numbers, shortest first for {any}. */
static bool match_kind(slice kind, slice name, slice pattern, slice text,
		       struct vars *vars)
{
	bool is_any = slice_eq(kind, SL("any"));
	size_t max = most(kind, text), min = is_any ? 0 : 1, had = vars->n;

	for (size_t i = min; i <= max; i++) {
		size_t n = is_any ? i : max - (i - min);

		if (name.n > 0 && vars->n < VARS_MAX) {
			vars->name[vars->n] = name;
			vars->value[vars->n++] = slice_sub(text, 0, n);
		}
		if (match(pattern, slice_from(text, n), vars))
			return true;
		vars->n = had;
	}
	return false;
}

static bool match(slice pattern, slice text, struct vars *vars)
{
	while (pattern.n > 0) {
		slice t = token(pattern), rest = slice_from(pattern, t.n + 2), value,
		      name = t;

		if (t.n == 0) {
			if (text.n == 0 || pattern.p[0] != text.p[0])
				return false;
			pattern = slice_from(pattern, 1);
			text = slice_from(text, 1);
			continue;
		}
		if (is_kind(t))
			return match_kind(t, SL(""), rest, text, vars);
		name = slice_cut(&t, '=');
		if (is_kind(t))
			return match_kind(t, name, rest, text, vars);
		if (!find(vars, name, &value))
			return match_kind(SL("word"), name, rest, text, vars);
		if (!slice_starts(text, value))
			return false;
		pattern = rest;
		text = slice_from(text, value.n);
	}
	return text.n == 0;
}

bool transcript_match(slice pattern, slice text, struct vars *vars)
{
	return match(pattern, text, vars);
}
