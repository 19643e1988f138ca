#include "imap/imap_write.h"
#include "base/clock.h"
#include "imap/imap_parse.h"
#include "base/utf7.h"
#include "store/store.h"

size_t imap_digits(char *to, uint64_t v)
{
	char rev[20];
	size_t n = 0;

	do {
		rev[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	for (size_t i = 0; i < n; i++)
		to[i] = rev[n - 1 - i];
	return n;
}

static bool is_quotable(slice s)
{
	if (s.n > 1000)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80 || s.p[i] == 0 || s.p[i] == '\r' ||
		    s.p[i] == '\n')
			return false;
	return true;
}

void imap_write_string(struct out *o, slice s)
{
	size_t from = 0;

	if (!is_quotable(s)) {
		out_addc(o, '{');
		out_addu(o, s.n);
		out_adds(o, "}\r\n");
		out_add(o, s);
		return;
	}
	out_addc(o, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '"' && s.p[i] != '\\')
			continue;
		out_add(o, slice_sub(s, from, i - from));
		out_addc(o, '\\');
		from = i;
	}
	out_add(o, slice_from(s, from));
	out_addc(o, '"');
}

void imap_write_astring(struct out *o, slice s)
{
	bool atom = s.n > 0 && s.n <= 1000 && !slice_ieq(s, SL("NIL"));

	for (size_t i = 0; atom && i < s.n; i++)
		atom = imap_is_astring_char(s.p[i]);
	if (atom)
		out_add(o, s);
	else
		imap_write_string(o, s);
}

void imap_write_mailbox(struct out *o, slice utf8)
{
	struct buf b;

	buf_init(&b, 16 + 4 * utf8.n);
	utf7_encode(&b, utf8);
	imap_write_astring(o, buf_slice(&b));
	buf_done(&b);
}

static void two(char *to, int v)
{
	to[0] = (char)('0' + v / 10 % 10);
	to[1] = (char)('0' + v % 10);
}

void imap_date_time(char to[28], int64_t s)
{
	static const char form[] = "\"00-Jan-0000 00:00:00 +0000\"";
	struct civil c = civil_from_unix(s, 0);

	memcpy(to, form, 28);
	two(to + 1, c.day);
	memcpy(to + 4, civil_months[c.month - 1], 3);
	two(to + 8, c.year / 100);
	two(to + 10, c.year % 100);
	two(to + 13, c.hour);
	two(to + 16, c.minute);
	two(to + 19, c.second);
}

void imap_write_text(struct out *o, slice s)
{
	char part[256];
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char u = (unsigned char)s.p[i];

		part[n++] = u < 0x20 || u > 0x7e ? '?' : (char)u;
		if (n == sizeof(part)) {
			out_add(o, slice_make(part, n));
			n = 0;
		}
	}
	out_add(o, s.n ? slice_make(part, n) : SL("-"));
}

static const struct {
	uint32_t bit;
	slice name;
} sys_names[] = {
	{ FLAG_ANSWERED, S("\\Answered") }, { FLAG_FLAGGED, S("\\Flagged") },
	{ FLAG_DELETED, S("\\Deleted") },   { FLAG_SEEN, S("\\Seen") },
	{ FLAG_DRAFT, S("\\Draft") },
};

size_t imap_flags_short(char to[IMAP_FLAGS_SHORT], uint32_t sys, bool recent)
{
	size_t n = 0;

	to[n++] = '(';
	for (size_t i = 0; i < sizeof(sys_names) / sizeof(sys_names[0]); i++) {
		if (!(sys & sys_names[i].bit))
			continue;
		memcpy(to + n, sys_names[i].name.p, sys_names[i].name.n);
		n += sys_names[i].name.n;
		to[n++] = ' ';
	}
	if (recent) {
		memcpy(to + n, "\\Recent ", 8);
		n += 8;
	}
	if (n > 1)
		n--; /* the last blank */
	to[n++] = ')';
	return n;
}

void imap_write_flags(struct out *o, uint32_t sys, uint64_t kw, bool recent,
		      const struct imap_flag_names *names)
{
	char part[IMAP_FLAGS_SHORT];
	size_t n = imap_flags_short(part, sys, recent);
	bool first = n == 2;

	out_add(o, slice_make(part, n - 1));
	for (size_t i = 0; kw && i < names->n && i < 64; i++) {
		if (!(kw >> i & 1) || names->kw[i].n == 0)
			continue;
		if (!first)
			out_addc(o, ' ');
		first = false;
		out_add(o, names->kw[i]);
	}
	out_addc(o, ')');
}
