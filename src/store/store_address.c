/* store_address.c — folding addresses: RFC 5321 4.1.2 (quoted local parts), RFC 5890
 * (A-labels), RFC 6531. */
#include "store/store_int.h"
#include <idn2.h>

static bool label_char(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

/* Letters, digits, hyphens (and '_', which exists), labels of 1–63. */
static bool domain_is_plain(slice d)
{
	size_t label = 0;

	if (d.n == 0 || d.n > LIMIT_SMTP_DOMAIN - 2)
		return false;
	for (size_t i = 0; i < d.n; i++) {
		if (d.p[i] == '.') {
			if (label == 0 || d.p[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!label_char(d.p[i]) || (label == 0 && d.p[i] == '-') || ++label > 63)
			return false;
	}
	return label > 0 && d.p[d.n - 1] != '-';
}

static slice lower(struct arena *a, slice s)
{
	slice copy = arena_dup(a, s);
	char *p = (char *)copy.p;

	for (size_t i = 0; i < copy.n; i++)
		p[i] = ascii_lower(p[i]);
	return copy;
}

static bool is_ascii(slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] & 0x80)
			return false;
	return true;
}

bool domain_fold(struct arena *a, slice domain, slice *out)
{
	slice d = lower(a, domain);

	if (!is_ascii(d)) {
		uint8_t *alabel = NULL;
		int rc = idn2_lookup_u8((const uint8_t *)arena_cstr(a, d), &alabel,
					IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);

		if (rc != IDN2_OK)
			return false;
		d = lower(a, slice_str((const char *)alabel));
		idn2_free(alabel);
	}
	if (!domain_is_plain(d))
		return false;
	*out = d;
	return true;
}

/* "quoted \"string\"" → its content. */
static bool unquote(struct arena *a, slice s, slice *out)
{
	char *p = arena_alloc(a, s.n);
	size_t n = 0;

	if (s.n < 2 || s.p[s.n - 1] != '"')
		return false;
	for (size_t i = 1; i + 1 < s.n; i++) {
		if (s.p[i] == '"')
			return false;
		if (s.p[i] == '\\' && ++i + 1 >= s.n)
			return false;
		p[n++] = s.p[i];
	}
	*out = slice_make(p, n);
	return true;
}

static bool local_is_valid(slice l)
{
	if (l.n == 0 || l.n > LIMIT_SMTP_LOCAL_PART)
		return false;
	for (size_t i = 0; i < l.n; i++)
		if ((unsigned char)l.p[i] < 0x20 || l.p[i] == 0x7f)
			return false;
	return true;
}

bool address_fold(struct arena *a, slice address, struct address *out)
{
	size_t at = slice_rchr(address, '@');
	slice local = slice_sub(address, 0, at),
	      domain = slice_from(address, at < address.n ? at + 1 : at);
	struct address r = { .domain = slice_make("", 0) };

	if (address.n > LIMIT_USER)
		return false;
	if (at < address.n && !domain_fold(a, domain, &r.domain))
		return false;
	if (local.n && local.p[0] == '"' && !unquote(a, local, &local))
		return false;
	if (!local_is_valid(local))
		return false;
	r.local = lower(a, local);
	*out = r;
	return true;
}

slice address_join(struct arena *a, const struct address *addr)
{
	return arena_fmt(a, "%.*s@%.*s", FMT(addr->local), FMT(addr->domain));
}
