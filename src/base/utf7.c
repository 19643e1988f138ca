#include "base/utf7.h"
#include "base/utf8.h"

static const char digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int digit_value(char c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static bool is_direct(uint32_t cp)
{
	return cp >= 0x20 && cp <= 0x7e;
}

/* One UTF-16 unit more: completes a code point into to[], or keeps a high surrogate. */
static bool take_unit(uint32_t unit, uint32_t *high, char *to, size_t *n)
{
	uint32_t cp = unit;

	if (*high) {
		if (unit < 0xdc00 || unit > 0xdfff)
			return false;
		cp = 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00);
		*high = 0;
	} else if (unit >= 0xd800 && unit <= 0xdbff) {
		*high = unit;
		return true;
	}
	if (cp < 0xa0 ||
	    (cp >= 0xdc00 &&
	     cp <= 0xdfff)) /* ASCII stands for itself; C0, DEL and C1 are no text */
		return false;
	*n += utf8_encode(cp, to + *n);
	return true;
}

/* The base64 between "&" and "-". */
static bool decode_shifted(slice b64, char *to, size_t *n)
{
	uint32_t acc = 0, high = 0;
	unsigned bits = 0;

	for (size_t i = 0; i < b64.n; i++) {
		int v = digit_value(b64.p[i]);

		if (v < 0)
			return false;
		acc = (acc << 6) | (uint32_t)v;
		bits += 6;
		if (bits >= 16) {
			bits -= 16;
			if (!take_unit((acc >> bits) & 0xffff, &high, to, n))
				return false;
			acc &= (1u << bits) - 1;
		}
	}
	return bits < 6 && acc == 0 && high == 0;
}

bool utf7_decode(struct arena *a, slice wire, slice *out_utf8)
{
	/* 8 base64 digits carry 3 units of up to 3 octets each: never more than 9/8, and
	 * always less than wire + 4. */
	char *to = arena_alloc(a, wire.n + wire.n / 4 + 4);
	size_t n = 0;

	for (size_t i = 0; i < wire.n; i++) {
		size_t end;

		if (!is_direct((unsigned char)wire.p[i]))
			return false;
		if (wire.p[i] != '&') {
			to[n++] = wire.p[i];
			continue;
		}
		end = slice_chr(wire, '-', i + 1);
		if (end >= wire.n)
			return false;
		if (end == i + 1)
			to[n++] = '&';
		else if (!decode_shifted(slice_sub(wire, i + 1, end - i - 1), to, &n))
			return false;
		i = end;
	}
	*out_utf8 = slice_make(to, n);
	return true;
}

struct shift {
	struct buf *out;
	uint32_t acc;
	unsigned bits;
	bool on;
};

static void shift_unit(struct shift *s, uint32_t unit)
{
	if (!s->on) {
		buf_addc(s->out, '&');
		s->on = true;
	}
	s->acc = (s->acc << 16) | unit;
	s->bits += 16;
	while (s->bits >= 6) {
		s->bits -= 6;
		buf_addc(s->out, digits[(s->acc >> s->bits) & 63]);
	}
	s->acc &= (1u << s->bits) - 1;
}

static void shift_end(struct shift *s)
{
	if (!s->on)
		return;
	if (s->bits)
		buf_addc(s->out, digits[(s->acc << (6 - s->bits)) & 63]);
	buf_addc(s->out, '-');
	*s = (struct shift){ .out = s->out };
}

void utf7_encode(struct buf *out, slice utf8)
{
	struct shift s = { .out = out };

	for (size_t at = 0; at < utf8.n;) {
		int32_t got = utf8_next(utf8, &at);
		uint32_t cp = got < 0xa0 && !is_direct((uint32_t)got) ? 0xfffd
								      : (uint32_t)got;

		if (is_direct(cp)) {
			shift_end(&s);
			buf_addc(out, (char)cp);
			if (cp == '&')
				buf_addc(out, '-');
		} else if (cp < 0x10000) {
			shift_unit(&s, cp);
		} else {
			shift_unit(&s, 0xd800 + ((cp - 0x10000) >> 10));
			shift_unit(&s, 0xdc00 + ((cp - 0x10000) & 0x3ff));
		}
	}
	shift_end(&s);
}
