#pragma once
/* slice.h — borrowed bytes: pointer and length, never NUL-terminated.
 *
 * A slice owns nothing; whoever made the bytes says how long they live. Pure, any thread.
 * Case folding is ASCII only: protocol words, never the locale. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct slice {
	const char *p;
	size_t n;
} slice;

/* S("lit"): a slice of a string literal, usable in static initialisers. */
#define S(lit) { "" lit, sizeof(lit) - 1 }
/* SL("lit"): the same as an expression. */
#define SL(lit) ((slice)S(lit))
/* For printf: "%.*s", FMT(s). */
#define FMT(s) (int)(s).n, (s).p

static inline slice slice_make(const void *p, size_t n)
{
	return (slice){ p, n };
}
static inline slice slice_str(const char *cstr) /* NULL gives the empty slice */
{
	return (slice){ cstr ? cstr : "", cstr ? strlen(cstr) : 0 };
}
static inline bool slice_eq(slice a, slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
/* Bytes [from, from + n), clipped to what is there. */
static inline slice slice_sub(slice s, size_t from, size_t n)
{
	if (from > s.n)
		from = s.n;
	/* NULL + 0 is undefined, and the zero slice is a fair one. */
	return (slice){ from ? s.p + from : s.p, n < s.n - from ? n : s.n - from };
}
static inline slice slice_from(slice s, size_t from)
{
	return slice_sub(s, from, SIZE_MAX);
}
static inline char ascii_lower(char c)
{
	return (c >= 'A' && c <= 'Z') ? (char)(c + 32) : c;
}
static inline char ascii_upper(char c)
{
	return (c >= 'a' && c <= 'z') ? (char)(c - 32) : c;
}
static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}
static inline bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool slice_ieq(slice a, slice b);                    /* equal, ASCII case ignored */
int slice_cmp(slice a, slice b);                     /* memcmp order, shorter first */
bool slice_starts(slice s, slice prefix);
bool slice_istarts(slice s, slice prefix);
bool slice_ends(slice s, slice suffix);
bool slice_iends(slice s, slice suffix);
/* Offset of the first byte c at or behind from; s.n when there is none. */
size_t slice_chr(slice s, char c, size_t from);
size_t slice_rchr(slice s, char c);                  /* last; s.n when none */
/* Offset of the first occurrence of needle at or behind from; s.n when none. */
size_t slice_find(slice s, slice needle, size_t from);
size_t slice_ifind(slice s, slice needle, size_t from);
slice slice_trim(slice s);                           /* without SP, HT, CR, LF at both ends */
/* Cuts the part before the first sep off *s and returns it; *s becomes what is behind
 * (empty at the end). */
slice slice_cut(slice *s, char sep);
/* All of s as a decimal number ≤ max, no sign, no blanks. False leaves *out alone. */
bool slice_u64(slice s, uint64_t max, uint64_t *out);
bool slice_u32(slice s, uint32_t *out);
/* Octets: a number with K, M, G or T behind it (powers of 1024, either case, "B" may follow),
 * or none of them. False leaves *out alone. */
bool slice_size(slice s, uint64_t *out);
/* Levenshtein distance of two short words, for "did you mean"; SIZE_MAX: too long to say. */
size_t slice_distance(slice a, slice b);
