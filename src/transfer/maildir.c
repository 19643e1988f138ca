/* maildir.c — names and small files of a Maildir++. */
#include "transfer/maildir.h"
#include "base/limits.h"
#include "base/utf7.h"
#include "base/utf8.h"
#include "store/store.h"

/* --- folders ------------------------------------------------------------------------ */

/* What an escape looks like: "%2e" and "%25", in either case. */
static char escape_at(slice s, size_t at)
{
	if (at + 3 > s.n || s.p[at] != '%' || s.p[at + 1] != '2')
		return 0;
	if (s.p[at + 2] == 'e' || s.p[at + 2] == 'E')
		return '.';
	return s.p[at + 2] == '5' ? '%' : 0;
}

static void part_write(struct buf *out, slice part)
{
	struct buf b;
	buf_init(&b, 4 * LIMIT_MAILBOX_NAME);
	for (size_t i = 0; i < part.n; i++) {
		if (part.p[i] == '.')
			buf_adds(&b, "%2e");
		else if (escape_at(part, i))
			buf_adds(&b, "%25");
		else
			buf_addc(&b, part.p[i]);
	}
	utf7_encode(out, buf_slice(&b));
	out->full |= b.full;
	buf_done(&b);
}

void maildir_folder_write(struct buf *out, slice mailbox)
{
	if (slice_eq(mailbox, SL("INBOX")))
		return;
	while (mailbox.n > 0) {
		buf_addc(out, '.');
		part_write(out, slice_cut(&mailbox, '/'));
	}
}

static bool is_text(slice s)
{
	for (size_t at = 0; at < s.n;) {
		int32_t c = utf8_next(s, &at);
		if (c < 32 || (c >= 127 && c < 160) || c == '/')
			return false;
	}
	return s.n > 0;
}

/* One part: modified UTF-7, or else UTF-8; then the escapes. */
static bool part_read(struct arena *a, slice part, slice *out)
{
	slice name;
	if (!utf7_decode(a, part, &name)) {
		if (!utf8_is_valid(part))
			return false;
		name = part;
	}
	char *p = arena_alloc(a, name.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < name.n; i++) {
		char c = escape_at(name, i);
		p[n++] = c ? c : name.p[i];
		i += c ? 2 : 0;
	}
	*out = slice_make(p, n);
	return is_text(*out);
}

static bool parts_read(struct arena *a, slice parts, char sep, slice *out)
{
	slice name = SL("");
	if (parts.n == 0 || parts.n > 8 * LIMIT_MAILBOX_NAME)
		return false;
	for (bool more = true; more;) {
		more = slice_chr(parts, sep, 0) < parts.n;
		slice one;
		if (!part_read(a, slice_cut(&parts, sep), &one))
			return false;
		if (name.n > 0)
			name = arena_join(a, name, SL("/"));
		name = arena_join(a, name, one);
	}
	*out = name;
	return true;
}

bool maildir_folder_read(struct arena *a, slice dir, slice *out)
{
	if (dir.n == 0) {
		*out = SL("INBOX");
		return true;
	}
	return dir.p[0] == '.' && parts_read(a, slice_from(dir, 1), '.', out);
}

bool maildir_subscription_read(struct arena *a, slice line, bool is_v2, slice *out)
{
	line = slice_trim(line);
	return parts_read(a, line, is_v2 ? '\t' : '.', out);
}

/* --- files -------------------------------------------------------------------------- */

/* Letters in ASCII order, as the Maildir specification wants them. */
static const struct {
	char letter;
	uint32_t flag;
} letters[] = {
	{ 'D', FLAG_DRAFT }, { 'F', FLAG_FLAGGED }, { 'R', FLAG_ANSWERED },
	{ 'S', FLAG_SEEN },  { 'T', FLAG_DELETED },
};
#define N_LETTERS (sizeof(letters) / sizeof(letters[0]))

void maildir_name_write(struct buf *out, const struct maildir_name *n)
{
	if (n->base.n > 0)
		buf_add(out, n->base);
	else
		buf_addf(out, "%lld.F%uV%u.facteur,S=%llu,W=%llu", (long long)n->date,
			 n->uid, n->uidvalidity, (unsigned long long)n->size,
			 (unsigned long long)n->vsize);
	buf_adds(out, ":2,");
	for (size_t i = 0; i < N_LETTERS; i++)
		if (n->flags & letters[i].flag)
			buf_addc(out, letters[i].letter);
	for (unsigned i = 0; i < MAILDIR_LETTERS; i++)
		if (n->letters >> i & 1)
			buf_addc(out, (char)('a' + i));
}

static void info_read(slice info, struct maildir_name *n)
{
	for (size_t i = 0; i < info.n && info.p[i] != ','; i++) {
		char c = info.p[i];
		if (c >= 'a' && c <= 'z')
			n->letters |= 1u << (c - 'a');
		if (c == 'P')
			n->is_passed = true;
		for (size_t k = 0; k < N_LETTERS; k++)
			if (letters[k].letter == c)
				n->flags |= letters[k].flag;
	}
}

/* ",S=1043" somewhere behind the unique part. */
static uint64_t field_of(slice base, slice key)
{
	size_t at = slice_find(base, key, 0);
	uint64_t v = 0;
	if (at == base.n)
		return 0;
	slice rest = slice_from(base, at + key.n);
	slice digits = slice_cut(&rest, ',');
	return slice_u64(digits, INT64_MAX, &v) ? v : 0;
}

/* "1700000000.F7V1699.facteur" */
static void ours_read(slice base, struct maildir_name *n)
{
	slice rest = slice_sub(base, 0, slice_chr(base, ',', 0));
	slice date = slice_cut(&rest, '.'), ids = slice_cut(&rest, '.');
	bool negative = slice_starts(date, SL("-"));
	uint64_t d;
	if (!slice_eq(rest, SL("facteur")) || !slice_starts(ids, SL("F")) ||
	    !slice_u64(slice_from(date, negative), INT64_MAX, &d))
		return;
	ids = slice_from(ids, 1);
	slice uid = slice_cut(&ids, 'V');
	uint32_t u, v;
	if (slice_u32(uid, &u) && slice_u32(ids, &v) && u != 0) {
		n->uid = u;
		n->uidvalidity = v;
		n->date = negative ? -(int64_t)d : (int64_t)d;
	}
}

void maildir_name_read(slice file, struct maildir_name *out)
{
	size_t info = slice_find(file, SL(":2,"), 0);
	*out = (struct maildir_name){ .base = slice_sub(file, 0, info) };
	if (info < file.n)
		info_read(slice_from(file, info + 3), out);
	else
		out->base = slice_sub(file, 0, slice_chr(file, ':', 0));
	out->size = field_of(out->base, SL(",S="));
	out->vsize = field_of(out->base, SL(",W="));
	ours_read(out->base, out);
}

/* --- dovecot-uidlist ---------------------------------------------------------------- */

void maildir_uidlist_head(struct buf *out, uint32_t uidvalidity, uint32_t uidnext)
{
	buf_addf(out, "3 V%u N%u\n", uidvalidity, uidnext);
}

void maildir_uidlist_line(struct buf *out, uint32_t uid, slice base)
{
	buf_addf(out, "%u :", uid);
	buf_add(out, base);
	buf_addc(out, '\n');
}

bool maildir_uidlist_read_head(slice line, uint32_t *out_uidvalidity,
			       uint32_t *out_uidnext)
{
	slice rest = slice_trim(line), version = slice_cut(&rest, ' ');
	uint32_t v = 0, n = 0;
	if (slice_eq(version, SL("1"))) {
		slice_u32(slice_cut(&rest, ' '), &v);
		slice_u32(rest, &n);
	} else if (slice_eq(version, SL("3"))) {
		while (rest.n > 0) {
			slice word = slice_cut(&rest, ' ');
			if (slice_starts(word, SL("V")))
				slice_u32(slice_from(word, 1), &v);
			else if (slice_starts(word, SL("N")))
				slice_u32(slice_from(word, 1), &n);
		}
	}
	if (v == 0)
		return false;
	*out_uidvalidity = v;
	*out_uidnext = n;
	return true;
}

bool maildir_uidlist_read_line(slice line, uint32_t *out_uid, slice *out_base)
{
	uint32_t uid;
	if (slice_ends(line, SL("\n")))
		line = slice_sub(line, 0, line.n - 1);
	size_t blank = slice_chr(line, ' ', 0);
	if (!slice_u32(slice_sub(line, 0, blank), &uid) || uid == 0)
		return false;
	/* version 3: fields, then " :name"; version 1: the name at once */
	size_t colon = slice_find(line, SL(" :"), 0);
	slice base = colon < line.n ? slice_from(line, colon + 2)
				    : slice_from(line, blank + 1);
	base = slice_sub(base, 0, slice_chr(base, ':', 0));
	if (base.n == 0)
		return false;
	*out_uid = uid;
	*out_base = base;
	return true;
}

bool maildir_keyword_read(slice line, unsigned *out_letter, slice *out_word)
{
	uint64_t n;
	slice rest = slice_trim(line), number = slice_cut(&rest, ' ');
	if (!slice_u64(number, MAILDIR_LETTERS - 1, &n) || rest.n == 0)
		return false;
	*out_letter = (unsigned)n;
	*out_word = rest;
	return true;
}
