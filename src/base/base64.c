#include "base/base64.h"
#include "base/checked.h"

static const char letters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *out, slice in)
{
	const unsigned char *p = (const unsigned char *)in.p;
	size_t groups = in.n / 3 + (in.n % 3 != 0), size;

	if (!CHECKED_MUL(groups, (size_t)4, &size))
		size = SIZE_MAX;
	if (!buf_reserve(out, size))
		return;
	for (size_t i = 0; i < in.n; i += 3) {
		size_t have = in.n - i < 3 ? in.n - i : 3;
		uint32_t v = (uint32_t)p[i] << 16;

		if (have > 1)
			v |= (uint32_t)p[i + 1] << 8;
		if (have > 2)
			v |= p[i + 2];
		char *w = out->p + out->n;

		w[0] = letters[v >> 18];
		w[1] = letters[v >> 12 & 63];
		w[2] = '=';
		w[3] = '=';
		if (have > 1)
			w[2] = letters[v >> 6 & 63];
		if (have > 2)
			w[3] = letters[v & 63];
		out->n += 4;
	}
}

/* The value of a letter; 64 and above for everything else. No table indexed by the peer's password. */
static uint32_t letter_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0' + 52);
	if (c == '+')
		return 62;
	return c == '/' ? 63 : 64;
}

bool base64_decode(struct buf *out, slice in)
{
	if (in.n % 4 != 0)
		return false;
	for (size_t i = 0; i < in.n; i += 4) {
		const char *p = in.p + i;
		size_t have = 3;

		if (i + 4 == in.n && p[3] == '=')
			have = p[2] == '=' ? 1 : 2;
		uint32_t a = letter_value(p[0]), b = letter_value(p[1]);
		uint32_t c = have > 1 ? letter_value(p[2]) : 0;
		uint32_t d = have > 2 ? letter_value(p[3]) : 0;

		if ((a | b | c | d) > 63)
			return false;
		/* RFC 4648 3.5: bits that pad must be zero, else one secret has two spellings. */
		if ((have == 1 && (b & 15)) || (have == 2 && (c & 3)))
			return false;
		uint32_t v = a << 18 | b << 12 | c << 6 | d;
		char bytes[3] = { (char)(v >> 16), (char)(v >> 8), (char)v };

		buf_add(out, slice_make(bytes, have));
		if (out->full)
			return false;
	}
	return true;
}

void hex_encode(struct buf *out, slice in)
{
	static const char digits[] = "0123456789abcdef";
	size_t size;

	if (!CHECKED_MUL(in.n, (size_t)2, &size))
		size = SIZE_MAX;
	if (!buf_reserve(out, size))
		return;
	for (size_t i = 0; i < in.n; i++) {
		out->p[out->n++] = digits[(unsigned char)in.p[i] >> 4];
		out->p[out->n++] = digits[(unsigned char)in.p[i] & 15];
	}
}
