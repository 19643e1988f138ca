/* Encoded words and base subjects.  RFC 2047 2 to 6, RFC 2231 5 (language), RFC 5256
 * 2.1. */
#include "base/utf8.h"
#include "mime/mime_decode.h"
#include "mime/mime_header.h"

struct word {
	slice charset, text;
	bool is_base64;
	size_t end; /* behind "?=" */
};

struct words {
	slice s;
	size_t close; /* first "?=" behind the last place asked: searched once */
	bool valid;   /* s is UTF-8 */
	struct mime_charsets *all;
	struct mime_charset *cs; /* of all: the one in use, if any */
	slice cs_name;
	struct mime_decoder dec;
	struct buf raw, out;
};

/* Offset of the two characters at or behind from; s.n when they are not there. */
static size_t find_pair(slice s, char c1, char c2, size_t from)
{
	for (size_t at = from; (at = slice_chr(s, c1, at)) < s.n; at++)
		if (at + 1 < s.n && s.p[at + 1] == c2)
			return at;
	return s.n;
}

/* encoded-word at s[at] = "=?". */
static bool word_parse(struct words *w, size_t at, struct word *out)
{
	slice s = w->s, cs;
	size_t i = at + 2, lang;

	while (i < s.n && i - at < MIME_CHARSET_NAME && s.p[i] != '?' &&
	       (unsigned char)s.p[i] > ' ')
		i++;
	if (i >= s.n || s.p[i] != '?' || i + 2 >= s.n || s.p[i + 2] != '?')
		return false;
	cs = slice_sub(s, at + 2, i - at - 2);
	lang = slice_chr(cs, '*', 0);
	out->charset = slice_sub(cs, 0, lang);
	out->is_base64 = ascii_lower(s.p[i + 1]) == 'b';
	if (!out->is_base64 && ascii_lower(s.p[i + 1]) != 'q')
		return false;
	i += 3;
	if (w->close < i)
		w->close = find_pair(s, '?', '=', i);
	if (w->close >= s.n)
		return false;
	out->text = slice_sub(s, i, w->close - i);
	out->end = w->close + 2;
	return true;
}

/* Gives out what the converter still holds: the next text is another one. */
static void charset_end(struct words *w)
{
	if (w->cs)
		mime_charset_finish(w->cs, &w->out);
}

static void charset_use(struct words *w, slice name)
{
	if (w->cs && slice_ieq(name, w->cs_name))
		return;
	charset_end(w);
	w->cs = mime_charsets_get(w->all, name);
	w->cs_name = name;
}

static void q_decode(struct buf *out, slice text)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < text.n; i++) {
		const char *hi = NULL, *lo = NULL;

		if (text.p[i] == '=' && i + 2 < text.n && text.p[i + 1] &&
		    text.p[i + 2]) {
			hi = strchr(hex, ascii_lower(text.p[i + 1]));
			lo = strchr(hex, ascii_lower(text.p[i + 2]));
		}
		if (hi && lo) {
			buf_addc(out, (char)((hi - hex) << 4 | (lo - hex)));
			i += 2;
		} else {
			buf_addc(out, text.p[i] == '_' ? ' ' : text.p[i]);
		}
	}
}

static void word_decode(struct words *w, const struct word *word)
{
	charset_use(w, word->charset);
	buf_reset(&w->raw);
	if (word->is_base64) {
		mime_decoder_init(&w->dec, MIME_ENC_BASE64);
		mime_decoder_feed(&w->dec, word->text, &w->raw);
	} else {
		q_decode(&w->raw, word->text);
	}
	mime_charset_feed(w->cs, buf_slice(&w->raw), &w->out);
}

static void plain_add(struct words *w, slice text)
{
	if (!text.n)
		return;
	charset_end(w);
	if (w->valid || utf8_is_ascii(text)) {
		buf_add(&w->out, text);
		return;
	}
	charset_use(w, SL("windows-1252"));
	mime_charset_feed(w->cs, text, &w->out);
}

static void words_run(struct words *w)
{
	slice s = w->s;
	size_t from = 0, at = 0;
	bool after_word = false;

	while ((at = find_pair(s, '=', '?', at)) < s.n) {
		struct word word;
		slice between = slice_sub(s, from, at - from);

		if (!word_parse(w, at, &word)) {
			at += 2;
			continue;
		}
		/* RFC 2047 6.2: blanks between two words are not text. */
		if (!after_word || slice_trim(between).n)
			plain_add(w, between);
		word_decode(w, &word);
		after_word = true;
		from = at = word.end;
	}
	plain_add(w, slice_from(s, from));
	charset_end(w);
}

/* Decoded text is for people: controls in it (a CR LF could start a field) become
 * blanks. */
static slice text_dup(struct arena *a, slice s)
{
	char *p = arena_alloc(a, s.n);

	for (size_t i = 0; i < s.n; i++)
		p[i] = (unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ? ' ' : s.p[i];
	return (slice){ p, s.n };
}

slice mime_words_decode_in(struct mime_charsets *cs, struct arena *a, slice unfolded)
{
	struct words w = { .s = unfolded, .valid = utf8_is_valid(unfolded), .all = cs };
	slice r;

	if (w.valid && find_pair(unfolded, '=', '?', 0) == unfolded.n)
		return text_dup(a, unfolded);
	buf_init(&w.raw, unfolded.n + 4);
	buf_init(&w.out,
		 8 * unfolded.n + 64); /* one octet in never gives more than a few out */
	words_run(&w);
	r = text_dup(a, buf_slice(&w.out));
	buf_done(&w.raw);
	buf_done(&w.out);
	return r;
}

slice mime_words_decode(struct arena *a, slice unfolded)
{
	struct mime_charsets cs;
	slice r;

	mime_charsets_init(&cs);
	r = mime_words_decode_in(&cs, a, unfolded);
	mime_charsets_done(&cs);
	return r;
}

/* RFC 5256 2.1 (1): every run of blanks is one. */
static slice squeeze(struct arena *a, slice s)
{
	char *p = arena_alloc(a, s.n);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		bool blank = s.p[i] == ' ' || s.p[i] == '\t';

		if (!blank)
			p[n++] = s.p[i];
		else if (n && p[n - 1] != ' ')
			p[n++] = ' ';
	}
	return (slice){ p, n };
}

static void skip_wsp(slice s, size_t *at)
{
	while (*at < s.n && s.p[*at] == ' ')
		++*at;
}

/* subj-blob = "[" *BLOBCHAR "]" *WSP */
static bool blob(slice s, size_t *at)
{
	size_t i = *at;

	if (i >= s.n || s.p[i] != '[')
		return false;
	for (i++; i < s.n && s.p[i] != ']'; i++)
		if (s.p[i] == '[')
			return false;
	if (i >= s.n)
		return false;
	*at = i + 1;
	skip_wsp(s, at);
	return true;
}

/* subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static bool refwd(slice s, size_t *at)
{
	slice rest = slice_from(s, *at);
	size_t i = *at;

	if (slice_istarts(rest, SL("re")))
		i += 2;
	else if (slice_istarts(rest, SL("fwd")))
		i += 3;
	else if (slice_istarts(rest, SL("fw")))
		i += 2;
	else
		return false;
	skip_wsp(s, &i);
	blob(s, &i);
	if (i >= s.n || s.p[i] != ':')
		return false;
	*at = i + 1;
	return true;
}

/* (2): subj-trailer = "(fwd)" / WSP */
static slice strip_trailers(slice s, bool *reply)
{
	for (;;) {
		s = slice_trim(s);
		if (!slice_iends(s, SL("(fwd)")))
			return s;
		s.n -= 5;
		*reply = true;
	}
}

/* (3) to (5): leaders, and blobs with something behind them. */
static slice strip_leaders(slice s, bool *reply)
{
	size_t at = 0, no_leader = 0;

	for (;;) {
		size_t i = at;

		skip_wsp(s, &at);
		i = at;
		if (at >= no_leader) {
			while (blob(s, &i))
				;
			no_leader = i; /* the same chain of blobs is not walked again */
			if (refwd(s, &i)) {
				*reply = true;
				at = i;
				continue;
			}
		}
		i = at;
		if (!blob(s, &i) || i >= s.n)
			return slice_from(s, at);
		at = i;
	}
}

slice mime_base_subject(struct arena *a, slice subject, bool *out_is_reply)
{
	slice s = squeeze(a, mime_words_decode(a, subject));
	bool reply = false;

	for (;;) {
		s = strip_leaders(strip_trailers(s, &reply), &reply);
		/* (6): subj-fwd = "[fwd:" subject "]" */
		if (!slice_istarts(s, SL("[fwd:")) || !slice_ends(s, SL("]")))
			break;
		s = slice_sub(s, 5, s.n - 6);
		reply = true;
	}
	if (out_is_reply)
		*out_is_reply = reply;
	return s;
}
