#include "base/utf8.h"

int32_t utf8_next(slice s, size_t *at)
{
	if (*at >= s.n)
		return -1;
	const unsigned char *p = (const unsigned char *)s.p + *at;
	size_t left = s.n - *at, more;
	uint32_t cp, least;

	++*at;
	if (p[0] < 0x80)
		return p[0];
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		cp = p[0] & 0x1fu;
		more = 1;
		least = 0x80;
	} else if ((p[0] & 0xf0) == 0xe0) {
		cp = p[0] & 0x0fu;
		more = 2;
		least = 0x800;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		cp = p[0] & 0x07u;
		more = 3;
		least = 0x10000;
	} else {
		return -1;
	}
	if (left <= more)
		return -1;
	for (size_t i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return -1;
		cp = cp << 6 | (p[i] & 0x3fu);
	}
	/* RFC 3629 3: no overlong forms, no surrogates, nothing above U+10FFFF. */
	if (cp < least || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return -1;
	*at += more;
	return (int32_t)cp;
}

bool utf8_is_valid(slice s)
{
	for (size_t at = 0; at < s.n;)
		if (utf8_next(s, &at) < 0)
			return false;
	return true;
}

bool utf8_is_ascii(slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == 0 || (unsigned char)s.p[i] > 127)
			return false;
	return true;
}

size_t utf8_encode(uint32_t cp, char out[4])
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp >= 0xd800 && cp <= 0xdfff)
		return 0;
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	if (cp > 0x10ffff)
		return 0;
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}
