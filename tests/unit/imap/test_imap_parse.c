/* Grammar tables of the pieces every command is made of: what is taken, where a failure
 * is seen. */
#include "imap/imap_parse.h"
#include "store/store.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

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

/* Exactly as many octets as there are, so that a read behind the end is seen by the
 * sanitizer (HAZARDS 13). */
static slice exact(slice s)
{
	char *p = malloc(s.n ? s.n : 1);

	if (s.n)
		memcpy(p, s.p, s.n);
	return slice_make(p, s.n);
}

static void strings_are_read(void **st)
{
	static const struct {
		slice in, out;
		bool ok;
		size_t at; /* of the failure */
	} t[] = {
		{ S("abc"), S("abc"), true, 0 },
		{ S("a]b"), S("a]b"), true, 0 },
		{ S("\"\""), S(""), true, 0 },
		{ S("\"a b\""), S("a b"), true, 0 },
		{ S("\"a\\\"b\\\\\""), S("a\"b\\"), true, 0 },
		{ S("\"\xc3\xbc\""), S("\xc3\xbc"), true, 0 },
		{ S("{3}\r\na b"), S("a b"), true, 0 },
		{ S("{3+}\r\n\xff\r\n"), S("\xff\r\n"), true, 0 },
		{ S("{0}\r\n"), S(""), true, 0 },
		{ S("{2}\nab"), S("ab"), true, 0 },
		{ S(""), S(""), false, 0 },
		{ S(" a"), S(""), false, 0 },
		{ S("\"abc"), S(""), false, 4 },
		{ S("\"a\\b\""), S(""), false, 3 },
		{ S("\"a\\"), S(""), false, 3 },
		{ S("\"a\r\""), S(""), false, 2 },
		{ S("\"a\0\""), S(""), false, 2 },
		{ S("\"\xc0\xaf\""), S(""), false, 1 },
		{ S("\"\xed\xa0\x80\""), S(""), false, 1 },
		{ S("{4}\r\nabc"), S(""), false, 5 },
		{ S("{3}abc"), S(""), false, 3 },
		{ S("{}\r\n"), S(""), false, 1 },
		{ S("{99999999999}\r\n"), S(""), false, 1 },
		{ S("{1}\r\n\0"), S(""), false, 0 },
		{ S("\x80"), S(""), false, 0 },
		{ S("(a"), S(""), false, 0 },
	};

	(void)st;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		slice in = exact(t[i].in), out = SL("untouched");
		struct imap_parse p = imap_parse_init(in, &a);
		bool ok = imap_parse_astring(&p, &out);

		if (ok != t[i].ok || (ok && !slice_eq(out, t[i].out)) ||
		    (!ok && p.why_at != t[i].at))
			fail_msg("case %zu: ok %d, at %zu, got %.*s", i, ok, p.why_at,
				 FMT(out));
		if (ok)
			assert_true(imap_parse_is_end(&p));
		else
			assert_non_null(p.why);
		free((char *)in.p);
	}
}

static void numbers_have_a_range(void **st)
{
	static const struct {
		slice in;
		bool ok, nz;
		uint32_t v;
	} t[] = {
		{ S("0"), true, false, 0 },
		{ S("4294967295"), true, true, 4294967295u },
		{ S("4294967296"), false, false, 0 },
		{ S("99999999999999999999999"), false, false, 0 },
		{ S("x"), false, false, 0 },
		{ S("-1"), false, false, 0 },
		{ S("007"), true, false, 7 },
		{ S("12"), true, true, 12 },
	};

	(void)st;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct imap_parse p = imap_parse_init(t[i].in, &a), q = p;
		uint32_t v = 0, w = 0;

		assert_int_equal(imap_parse_number(&p, &v), t[i].ok);
		assert_int_equal(v, t[i].v);
		assert_int_equal(imap_parse_nz_number(&q, &w), t[i].nz);
	}
}

static void dates_are_days_and_seconds(void **st)
{
	static const struct {
		slice in;
		bool ok;
		int64_t day;
	} t[] = {
		{ S("1-Jan-1970"), true, 0 },
		{ S("01-jan-1970"), true, 0 },
		{ S("\"2-Jan-1970\""), true, 1 },
		{ S("31-Dec-1969"), true, -1 },
		{ S("1-Feb-1994"), true, 8797 },
		{ S("32-Jan-2000"), false, 0 },
		{ S("0-Jan-2000"), false, 0 },
		{ S("1-Foo-2000"), false, 0 },
		{ S("1-Jan-200"), false, 0 },
		{ S("\"1-Jan-2000"), false, 0 },
		{ S("1-Jan-"), false, 0 },
		{ S("Jan-1-2000"), false, 0 },
		{ S("1"), false, 0 },
	};
	struct imap_parse p;
	int64_t s = 0;

	(void)st;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		slice in = exact(t[i].in);
		int64_t day = 12345;

		p = imap_parse_init(in, &a);
		if (imap_parse_date(&p, &day) != t[i].ok || (t[i].ok && day != t[i].day))
			fail_msg("date %zu: %lld", i, (long long)day);
		free((char *)in.p);
	}
	p = imap_parse_init(SL("\"17-Jul-1996 02:44:25 -0700\""), &a);
	assert_true(imap_parse_date_time(&p, &s));
	assert_int_equal(s, 837596665);
	p = imap_parse_init(SL("\" 7-Jul-1996 02:44:25 -0700\""), &a);
	assert_true(imap_parse_date_time(&p, &s));
	p = imap_parse_init(SL("\"7-Jul-1996 02:44:25 -0700\""), &a);
	assert_false(imap_parse_date_time(&p, &s));
	p = imap_parse_init(SL("\"17-Jul-1996 25:44:25 -0700\""), &a);
	assert_false(imap_parse_date_time(&p, &s));
}

static void flags_are_system_flags_and_distinct_keywords(void **st)
{
	struct imap_parse p = imap_parse_init(SL("(\\Seen \\draft $A b $a)"), &a);
	struct imap_flags f;
	char many[3 * 70 + 3], *at = many;

	(void)st;
	assert_true(imap_parse_flag_list(&p, &f));
	assert_int_equal(f.sys, FLAG_SEEN | FLAG_DRAFT);
	assert_int_equal(f.n_kw, 2);
	assert_true(slice_eq(f.kw[0], SL("$A")));
	p = imap_parse_init(SL("()"), &a);
	assert_true(imap_parse_flag_list(&p, &f));
	assert_int_equal(f.n_kw + f.sys, 0);
	p = imap_parse_init(SL("\\Flagged x"), &a);
	assert_true(imap_parse_flags(&p, &f));
	assert_true(imap_parse_is_end(&p));
	p = imap_parse_init(SL("(\\Recent)"), &a);
	assert_false(imap_parse_flag_list(&p, &f));
	p = imap_parse_init(SL("(a  b)"), &a);
	assert_false(imap_parse_flag_list(&p, &f));
	p = imap_parse_init(SL("(a b"), &a);
	assert_false(imap_parse_flag_list(&p, &f));
	*at++ = '(';
	for (int i = 0; i < 70; i++) {
		*at++ = (char)('A' + i / 26);
		*at++ = (char)('A' + i % 26);
		*at++ = i < 69 ? ' ' : ')';
	}
	p = imap_parse_init(slice_make(many, (size_t)(at - many)), &a);
	assert_false(imap_parse_flag_list(&p, &f)); /* 64 at most */
}

static void words_end_at_delimiters(void **st)
{
	struct imap_parse p = imap_parse_init(SL("FLAGS.SILENT"), &a);

	(void)st;
	assert_false(imap_parse_word(&p, "FLAGS"));
	assert_true(imap_parse_word(&p, "flags.silent"));
	p = imap_parse_init(SL("BODY[]"), &a);
	assert_true(imap_parse_word(&p, "BODY"));
	p = imap_parse_init(SL("BODYSTRUCTURE"), &a);
	assert_false(imap_parse_word(&p, "BODY"));
	p = imap_parse_init(SL("NI"), &a);
	assert_false(imap_parse_word(&p, "NIL"));
}

static void literals_are_seen_at_the_end_of_a_line(void **st)
{
	static const struct {
		slice in;
		enum imap_literal kind;
		size_t at;
		uint32_t n;
	} t[] = {
		{ S("{5}"), IMAP_LITERAL_SYNC, 0, 5 },
		{ S("a {5+}"), IMAP_LITERAL_NONSYNC, 2, 5 },
		{ S("a {4294967295}"), IMAP_LITERAL_SYNC, 2, 4294967295u },
		{ S("a {4294967296}"), IMAP_LITERAL_ABSURD, 0, 0 },
		{ S("a {}"), IMAP_LITERAL_NONE, 0, 0 },
		{ S("a {+}"), IMAP_LITERAL_NONE, 0, 0 },
		{ S("a {x}"), IMAP_LITERAL_NONE, 0, 0 },
		{ S("5}"), IMAP_LITERAL_NONE, 0, 0 },
		{ S("}"), IMAP_LITERAL_NONE, 0, 0 },
		{ S(""), IMAP_LITERAL_NONE, 0, 0 },
		{ S("{5} "), IMAP_LITERAL_NONE, 0, 0 },
		{ S("123}"), IMAP_LITERAL_NONE, 0, 0 },
		{ S("1+}"), IMAP_LITERAL_NONE, 0, 0 },
	};

	(void)st;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		slice in = exact(t[i].in);
		size_t at = 0;
		uint32_t n = 0;

		if (imap_literal_at_end(in, &at, &n) != t[i].kind || at != t[i].at ||
		    n != t[i].n)
			fail_msg("literal %zu: at %zu n %u", i, at, n);
		free((char *)in.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(strings_are_read, setup, teardown),
		cmocka_unit_test_setup_teardown(numbers_have_a_range, setup, teardown),
		cmocka_unit_test_setup_teardown(dates_are_days_and_seconds, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			flags_are_system_flags_and_distinct_keywords, setup, teardown),
		cmocka_unit_test_setup_teardown(words_end_at_delimiters, setup, teardown),
		cmocka_unit_test_setup_teardown(literals_are_seen_at_the_end_of_a_line,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
