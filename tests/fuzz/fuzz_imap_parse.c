/* fuzz_imap_parse.c — the IMAP grammar over one complete command, and what it writes
 * again.
 *
 * Wanted: no octet outside is touched (the input is an exact copy); what was parsed,
 * written and parsed again is the same; names come back from modified UTF-7 as they
 * went. */
#include "imap/imap_cmds.h"
#include "imap/imap_fetch.h"
#include "imap/imap_match.h"
#include "imap/imap_search.h"
#include "base/utf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHECK(x)                          \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static void every_command(slice s, struct arena *a)
{
	const struct imap_cmd_def *def;

	for (size_t i = 0; (def = imap_cmd_at(i)); i++) {
		struct imap_cmd c = { .def = def };
		struct imap_parse p = imap_parse_init(s, a);

		if (def->parse && !def->parse(&p, &c))
			CHECK(p.why && p.why_at <= s.n);
		CHECK(p.at <= s.n && p.depth <= LIMIT_IMAP_DEPTH);
		arena_reset(a);
	}
}

static void set_again(slice s, struct arena *a)
{
	struct imap_parse p = imap_parse_init(s, a);
	struct imap_seqset x, y;
	struct buf b;

	if (!imap_seqset_parse(&p, &x))
		return;
	buf_init(&b, 1 << 22);
	imap_seqset_write(&b, &x);
	p = imap_parse_init(buf_slice(&b), a);
	CHECK(imap_seqset_parse(&p, &y) && imap_parse_is_end(&p) && x.n == y.n);
	CHECK(memcmp(x.range, y.range, x.n * sizeof(*x.range)) == 0);
	x = imap_seqset_resolve(a, &y, 1000);
	for (size_t i = 1; i < x.n; i++)
		CHECK(x.range[i].lo > x.range[i - 1].hi);
	buf_done(&b);
	arena_reset(a);
}

static void keys_again(slice s, struct arena *a)
{
	struct imap_parse p = imap_parse_init(s, a);
	struct imap_search x = { 0 }, y = { 0 };
	struct buf one, two;

	if (!imap_search_parse(&p, &x) || x.bad_charset)
		return;
	buf_init(&one, 1 << 22);
	buf_init(&two, 1 << 22);
	imap_key_write(&one, x.key);
	p = imap_parse_init(buf_slice(&one), a);
	if (imap_search_parse(
		    &p, &y)) { /* one level of parentheses more: it may be too deep now */
		CHECK(imap_parse_is_end(&p));
		imap_key_write(&two, y.key->kids);
		CHECK(slice_eq(buf_slice(&one), buf_slice(&two)));
	}
	buf_done(&one);
	buf_done(&two);
	arena_reset(a);
}

static void name_again(slice s, struct arena *a)
{
	struct imap_pattern pattern;
	struct buf b;
	slice name;

	if (utf7_decode(a, s, &name)) {
		slice again;

		buf_init(&b, 16 + 4 * name.n);
		utf7_encode(&b, name);
		CHECK(!b.full && utf7_decode(a, buf_slice(&b), &again) &&
		      slice_eq(name, again));
		buf_done(&b);
	}
	pattern = imap_pattern_make(a, slice_sub(s, 0, s.n / 2));
	imap_pattern_matches(&pattern, slice_from(s, s.n / 2), '/');
	arena_reset(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *exact = malloc(n ? n : 1);
	struct arena a;
	slice s;

	if (n > 4096) {
		free(exact);
		return 0;
	}
	if (n)
		memcpy(exact, data, n);
	s = slice_make(exact, n);
	arena_init(&a);
	every_command(s, &a);
	set_again(s, &a);
	keys_again(s, &a);
	name_again(s, &a);
	arena_release(&a);
	free(exact);
	return 0;
}
