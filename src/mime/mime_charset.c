/* Charsets to UTF-8 through iconv, over chunks. */
#include "base/alloc.h"
#include "base/utf8.h"
#include "mime/mime_decode.h"
#include <errno.h>
#include <iconv.h>

#define REPLACEMENT "\xef\xbf\xbd"
#define CARRY	    16u /* longer than one character in any charset */

struct mime_charset {
	iconv_t cd; /* (iconv_t)-1: UTF-8, checked by us */
	size_t ncarry;
	char carry[CARRY];
};

/* Names that programs write and iconv does not know, and ASCII, which is read as what
 * it mostly is. */
static slice alias_of(slice name)
{
	static const struct {
		slice from, to;
	} aliases[] = {
		{ S("us-ascii"), S("utf-8") },
		{ S("ascii"), S("utf-8") },
		{ S("utf8"), S("utf-8") },
		{ S("unicode-1-1-utf-8"), S("utf-8") },
		{ S("iso-8859-1"),
		  S("windows-1252") }, /* as all browsers and mail programs read it */
		{ S("latin1"), S("windows-1252") },
		{ S("x-sjis"), S("cp932") },
		{ S("shift_jis"), S("cp932") },
		{ S("ks_c_5601-1987"), S("cp949") },
		{ S("ks_c_5601"), S("cp949") },
		{ S("euc-kr"), S("cp949") },
		{ S("gb2312"), S("gb18030") },
		{ S("gbk"), S("gb18030") },
		{ S("x-gbk"), S("gb18030") },
		{ S("iso-8859-8-i"), S("iso-8859-8") },
		{ S("x-mac-roman"), S("macintosh") },
	};

	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (slice_ieq(name, aliases[i].from))
			return aliases[i].to;
	return name;
}

/* False for UTF-8 and for names that iconv must not see ("//" switches modes, "/"
 * could be a path). */
static bool open_cd(slice name, iconv_t *out)
{
	char cname[64];

	name = alias_of(slice_trim(name));
	*out = (iconv_t)-1;
	if (slice_ieq(name, SL("utf-8")))
		return true;
	if (!name.n || name.n >= sizeof(cname))
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!is_alpha(c) && !is_digit(c) && (!c || !strchr("-_.:+()", c)))
			return false;
		cname[i] = c;
	}
	cname[name.n] = '\0';
	*out = iconv_open("UTF-8", cname);
	return *out != (iconv_t)-1;
}

bool mime_charset_is_known(slice name)
{
	iconv_t cd;
	bool known = open_cd(name, &cd);

	if (cd != (iconv_t)-1)
		iconv_close(cd);
	return known;
}

struct mime_charset *mime_charset_new(slice name, bool *out_known)
{
	struct mime_charset *c = mem_new(sizeof(*c));
	bool known = open_cd(name, &c->cd);

	if (out_known)
		*out_known = known;
	return c;
}

/* UTF-8 in s; returns how many octets at its end may be the beginning of a character. */
static size_t feed_utf8(slice s, bool is_end, struct buf *out)
{
	size_t at = 0, from = 0;

	while (at < s.n) {
		size_t start = at;
		unsigned char lead = (unsigned char)s.p[at];
		size_t want = lead >= 0xf0 && lead < 0xf5 ? 4
			      : lead >= 0xe0		  ? 3
			      : lead >= 0xc2		  ? 2
							  : 1;

		if (lead < 0x80) {
			at++;
			continue;
		}
		if (utf8_next(s, &at) >= 0)
			continue;
		buf_add(out, slice_sub(s, from, start - from));
		from = at;
		if (!is_end && s.n - start < want) {
			bool open = true; /* only continuations: the rest may come */

			for (size_t i = start + 1; i < s.n; i++)
				open = open && ((unsigned char)s.p[i] & 0xc0) == 0x80;
			if (open)
				return s.n - start;
		}
		buf_adds(out, REPLACEMENT);
	}
	buf_add(out, slice_from(s, from));
	return 0;
}

/* Through iconv; returns how many octets at the end wait for more. */
static size_t feed_iconv(struct mime_charset *c, slice s, bool is_end, struct buf *out)
{
	char *in = (char *)(uintptr_t)s.p;
	size_t left = s.n;

	while (left) {
		char tmp[1024], *o = tmp;
		size_t room = sizeof(tmp);
		size_t r = iconv(c->cd, &in, &left, &o, &room);
		int why = errno;

		buf_add(out, (slice){ tmp, sizeof(tmp) - room });
		if (r != (size_t)-1 || why == E2BIG)
			continue;
		if (why == EINVAL && !is_end && left < CARRY)
			return left;
		buf_adds(out, REPLACEMENT);
		in++;
		left--;
	}
	return 0;
}

static size_t convert(struct mime_charset *c, slice s, bool is_end, struct buf *out)
{
	return c->cd == (iconv_t)-1 ? feed_utf8(s, is_end, out)
				    : feed_iconv(c, s, is_end, out);
}

void mime_charset_feed(struct mime_charset *c, slice in, struct buf *out)
{
	/* An unfinished character: octets are added one by one until it is settled. */
	while (c->ncarry && in.n) {
		char tmp[CARRY];
		size_t left;

		memcpy(tmp, c->carry, c->ncarry);
		tmp[c->ncarry] = in.p[0];
		in = slice_from(in, 1);
		left = convert(c, (slice){ tmp, c->ncarry + 1 }, c->ncarry + 1 == CARRY,
			       out);
		memcpy(c->carry, tmp + c->ncarry + 1 - left, left);
		c->ncarry = left;
	}
	if (in.n) {
		size_t left = convert(c, in, false, out);

		memcpy(c->carry, in.p + in.n - left, left);
		c->ncarry = left;
	}
}

void mime_charset_finish(struct mime_charset *c, struct buf *out)
{
	if (c->ncarry)
		convert(c, (slice){ c->carry, c->ncarry }, true, out);
	c->ncarry = 0;
	if (c->cd != (iconv_t)-1) {
		char tmp[64], *o = tmp;
		size_t room = sizeof(tmp);

		iconv(c->cd, NULL, NULL, &o,
		      &room); /* what it held back; and ready for the next text */
		buf_add(out, (slice){ tmp, sizeof(tmp) - room });
	}
}

void mime_charset_free(struct mime_charset *c)
{
	if (!c)
		return;
	if (c->cd != (iconv_t)-1)
		iconv_close(c->cd);
	mem_free(c);
}

/* --- several of them -------------------------------------------------------------- */

void mime_charsets_init(struct mime_charsets *cs)
{
	cs->n = 0;
	cs->utf8 = NULL;
}

void mime_charsets_done(struct mime_charsets *cs)
{
	for (unsigned i = 0; i < cs->n; i++)
		mime_charset_free(cs->slot[i].cs);
	mime_charset_free(cs->utf8);
	mime_charsets_init(cs);
}

struct mime_charset *mime_charsets_get(struct mime_charsets *cs, slice name)
{
	for (unsigned i = 0; i < cs->n; i++)
		if (slice_ieq(name, slice_make(cs->slot[i].name, cs->slot[i].name_n)))
			return cs->slot[i].cs;
	if (cs->n == MIME_CHARSETS || name.n > MIME_CHARSET_NAME) {
		if (!cs->utf8)
			cs->utf8 = mime_charset_new(SL("utf-8"), NULL);
		return cs->utf8;
	}
	cs->slot[cs->n].cs = mime_charset_new(name, NULL);
	cs->slot[cs->n].name_n = name.n;
	if (name.n)
		memcpy(cs->slot[cs->n].name, name.p, name.n);
	return cs->slot[cs->n++].cs;
}
