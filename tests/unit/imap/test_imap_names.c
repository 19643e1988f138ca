/* Mailbox names on the wire (modified UTF-7), and LIST patterns against a naive
 * matcher. */
#include "base/utf8.h"
#include "imap/imap_match.h"
#include "base/utf7.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <time.h>

static struct arena a;

static int setup(void **st)
{
	(void)st;
	arena_init(&a);
	return 0;
}
static int teardown(void **st)
{
	(void)st;
	arena_release(&a);
	return 0;
}

static uint32_t seed = 7;
static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static void names_have_one_form(void **st)
{
	static const struct {
		slice wire, utf8;
		bool ok;
	} t[] = {
		{ S("INBOX"), S("INBOX"), true },
		{ S("a&-b"), S("a&b"), true },
		{ S("~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
		  S("~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"),
		  true },
		{ S("&Jjo-!"), S("\xe2\x98\xba!"), true },
		{ S("&2D3eAA-"), S("\xf0\x9f\x98\x80"), true },
		{ S("&Jjo"), S(""), false },  /* does not end */
		{ S("&AGE-"), S(""), false }, /* "a" stands for itself */
		{ S("&AAA-"), S(""), false }, /* NUL */
		{ S("&AAo-"), S(""), false }, /* LF */
		{ S("&2D0-"), S(""), false }, /* half a surrogate pair */
		{ S("&3gA-"), S(""), false }, /* the other half */
		{ S("&2D0Jjg-"), S(""), false },
		{ S("&Jjp-"), S(""), false }, /* bits left over */
		{ S("&A-"), S(""), false },
		{ S("&Jj/-"), S(""), false }, /* "/" is no digit here */
		{ S("\xc3\xbc"), S(""), false },
		{ S("a\tb"), S(""), false },
		{ S("a\x7f"), S(""), false },
		{ S("a\0b"), S(""), false },
	};

	(void)st;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char *exact = malloc(t[i].wire.n);
		struct buf b;
		slice out;
		bool ok;

		memcpy(exact, t[i].wire.p, t[i].wire.n);
		ok = utf7_decode(&a, slice_make(exact, t[i].wire.n), &out);
		if (ok != t[i].ok || (ok && !slice_eq(out, t[i].utf8)))
			fail_msg("name %zu", i);
		free(exact);
		if (!ok)
			continue;
		buf_init(&b, 1000);
		utf7_encode(&b, t[i].utf8);
		assert_true(slice_eq(buf_slice(&b), t[i].wire));
		buf_done(&b);
	}
}

static void what_is_written_is_read_again(void **st)
{
	(void)st;
	for (int round = 0; round < 20000; round++) {
		char text[64];
		size_t n = 0;
		struct buf b;
		slice out;

		while (n < 50 && rnd(12)) {
			uint32_t cp = rnd(3)   ? 0x20 + rnd(0x5f)
				      : rnd(2) ? 0xa0 + rnd(0xd700)
					       : 0x10000 + rnd(0x100000);

			n += utf8_encode(cp, text + n);
		}
		buf_init(&b, 1000);
		utf7_encode(&b, slice_make(text, n));
		for (size_t i = 0; i < b.n; i++)
			assert_true(b.p[i] >= 0x20 && b.p[i] <= 0x7e);
		assert_true(utf7_decode(&a, buf_slice(&b), &out));
		assert_true(slice_eq(out, slice_make(text, n)));
		buf_done(&b);
		arena_reset(&a);
	}
}

static bool naive(slice p, slice n)
{
	if (p.n == 0)
		return n.n == 0;
	if (p.p[0] == '*' || p.p[0] == '%') {
		for (size_t i = 0; i <= n.n; i++) {
			if (naive(slice_from(p, 1), slice_from(n, i)))
				return true;
			if (i < n.n && p.p[0] == '%' && n.p[i] == '/')
				return false;
		}
		return false;
	}
	return n.n && p.p[0] == n.p[0] && naive(slice_from(p, 1), slice_from(n, 1));
}

static void patterns_match_as_the_naive_matcher_does(void **st)
{
	static const char in_pattern[] = "ab/%*", in_name[] = "ab/";

	(void)st;
	for (int round = 0; round < 100000; round++) {
		char p[8], n[10];
		size_t np = rnd(8), nn = rnd(10);
		struct imap_pattern pattern;

		for (size_t i = 0; i < np; i++)
			p[i] = in_pattern[rnd(5)];
		for (size_t i = 0; i < nn; i++)
			n[i] = in_name[rnd(3)];
		pattern = imap_pattern_make(&a, slice_make(p, np));
		if (imap_pattern_matches(&pattern, slice_make(n, nn), '/') !=
		    naive(slice_make(p, np), slice_make(n, nn)))
			fail_msg("%.*s against %.*s", (int)np, p, (int)nn, n);
		arena_reset(&a);
	}
}

/* HAZARDS: a pattern made to explode costs no more than octets times states. */
static void hostile_patterns_are_linear(void **st)
{
	char p[2000], n[1000];
	struct imap_pattern pattern;
	clock_t from = clock();

	(void)st;
	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = i % 2 ? 'a' : '*';
	memset(n, 'a', sizeof(n));
	n[sizeof(n) - 1] = 'b';
	pattern = imap_pattern_make(&a, slice_make(p, sizeof(p)));
	assert_false(imap_pattern_matches(&pattern, slice_make(n, sizeof(n)), '/'));
	assert_true(clock() - from < CLOCKS_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_have_one_form, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_written_is_read_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(patterns_match_as_the_naive_matcher_does,
						setup, teardown),
		cmocka_unit_test_setup_teardown(hostile_patterns_are_linear, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
