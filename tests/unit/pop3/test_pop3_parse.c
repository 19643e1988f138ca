/* test_pop3_parse.c — the grammar of POP3 commands: what is one, what is not, and nothing
 * read beyond the end. */
#include "pop3/pop3_parse.h"
#include "base/cleanup.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* The line in a heap block of its exact size (HAZARDS 13). */
static slice exact(const char *p, size_t n, void **out_block)
{
	char *block = malloc(n ? n : 1);

	if (n)
		memcpy(block, p, n);
	*out_block = block;
	return slice_make(block, n);
}

static void keywords(void **state)
{
	static const struct {
		slice line, keyword, rest;
	} good[] = {
		{ S("STAT"), S("STAT"), S("") },
		{ S("top 1 2"), S("top"), S(" 1 2") },
		{ S("PASS  a b "), S("PASS"), S("  a b ") },
		{ S("NoOp "), S("NoOp"), S(" ") },
		{ S("PASS \xff\x80"), S("PASS"), S(" \xff\x80") },
	};
	static const slice bad[] = {
		S(""),		S(" "),		S("ST"),	S("STATS"),
		S("STA1"),	S("STAT\t1"),	S(" STAT"),	S("\0"),
		S("STAT\0"),	S("PASS a\0b"), S("PASS a\rb"), S("ST\xc1T"),
		S("S-AT"),	S("RETR1"),	S("1234"),	S("\xff\xff\xff\xff"),
		S("PASS a\nb"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		slice keyword = SL(""), rest = SL("");
		void *block;
		slice line = exact(good[i].line.p, good[i].line.n, &block);
		struct err e;

		assert_int_equal(pop3_parse_keyword(line, &keyword, &rest, &e), ST_OK);
		assert_true(slice_eq(keyword, good[i].keyword) &&
			    slice_eq(rest, good[i].rest));
		free(block);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		slice keyword = SL("untouched"), rest = SL("");
		void *block;
		slice line = exact(bad[i].p, bad[i].n, &block);
		struct err e = { 0 };

		if (pop3_parse_keyword(line, &keyword, &rest, &e) == ST_OK)
			fail_msg("taken: case %zu", i);
		assert_int_equal(e.code, ERR_SYNTAX);
		assert_true(slice_eq(keyword, SL("untouched")));
		free(block);
	}
}

static void arguments(void **state)
{
	static const struct {
		enum pop3_grammar g;
		slice rest;
		bool ok;
		uint32_t msg, lines;
		slice text, initial;
	} cases[] = {
		{ POP3_NO_ARGS, S(""), true, 0, 0, S(""), S("") },
		{ POP3_NO_ARGS, S("  "), true, 0, 0, S(""), S("") },
		{ POP3_NO_ARGS, S(" x"), false, 0, 0, S(""), S("") },
		{ POP3_MSG, S(" 1"), true, 1, 0, S(""), S("") },
		{ POP3_MSG, S(" 4294967295 "), true, 4294967295, 0, S(""), S("") },
		{ POP3_MSG, S(" 4294967296"), false, 0, 0, S(""), S("") },
		{ POP3_MSG, S(" 99999999999999999999999"), false, 0, 0, S(""), S("") },
		{ POP3_MSG, S(""), false, 0, 0, S(""), S("") },
		{ POP3_MSG, S(" "), false, 0, 0, S(""), S("") },
		{ POP3_MSG, S("  1"), false, 0, 0, S(""), S("") },
		{ POP3_MSG, S(" -1"), false, 0, 0, S(""), S("") },
		{ POP3_MSG, S(" +1"), false, 0, 0, S(""), S("") },
		{ POP3_MSG, S(" 1x"), false, 0, 0, S(""), S("") },
		{ POP3_MSG, S(" 1 2"), false, 0, 0, S(""), S("") },
		{ POP3_OPT_MSG, S(""), true, 0, 0, S(""), S("") },
		{ POP3_OPT_MSG, S(" "), true, 0, 0, S(""), S("") },
		{ POP3_OPT_MSG, S(" 7"), true, 7, 0, S(""), S("") },
		{ POP3_OPT_MSG, S(" seven"), false, 0, 0, S(""), S("") },
		{ POP3_MSG_LINES, S(" 1 0"), true, 1, 0, S(""), S("") },
		{ POP3_MSG_LINES, S(" 1 10"), true, 1, 10, S(""), S("") },
		{ POP3_MSG_LINES, S(" 1"), false, 0, 0, S(""), S("") },
		{ POP3_MSG_LINES, S(" 1 -1"), false, 0, 0, S(""), S("") },
		{ POP3_MSG_LINES, S(" 1  1"), false, 0, 0, S(""), S("") },
		{ POP3_MSG_LINES, S(" 1 1 1"), false, 0, 0, S(""), S("") },
		{ POP3_TEXT, S(" a b  "), true, 0, 0, S("a b  "), S("") },
		{ POP3_TEXT, S("  "), true, 0, 0, S(" "), S("") },
		{ POP3_TEXT, S(" "), false, 0, 0, S(""), S("") },
		{ POP3_TEXT, S(""), false, 0, 0, S(""), S("") },
		{ POP3_WORD, S(" ann@example.org"), true, 0, 0, S("ann@example.org"),
		  S("") },
		{ POP3_WORD, S(" b\xc3\xb6"), true, 0, 0, S("b\xc3\xb6"), S("") },
		{ POP3_WORD, S(" a b"), false, 0, 0, S(""), S("") },
		{ POP3_WORD, S(" a\tb"), false, 0, 0, S(""), S("") },
		{ POP3_WORD, S(" a\x7f"), false, 0, 0, S(""), S("") },
		{ POP3_AUTH, S(" PLAIN"), true, 0, 0, S("PLAIN"), S("") },
		{ POP3_AUTH, S(" PLAIN AGEAYg=="), true, 0, 0, S("PLAIN"),
		  S("AGEAYg==") },
		{ POP3_AUTH, S(" PLAIN ="), true, 0, 0, S("PLAIN"), S("=") },
		{ POP3_AUTH, S(" PLAIN a b"), false, 0, 0, S(""), S("") },
		{ POP3_AUTH, S(""), false, 0, 0, S(""), S("") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pop3_args a = { .msg = 77 };
		void *block;
		slice rest = exact(cases[i].rest.p, cases[i].rest.n, &block);
		struct err e = { 0 };
		bool ok = pop3_parse_args(cases[i].g, rest, &a, &e) == ST_OK;

		if (ok != cases[i].ok)
			fail_msg("case %zu", i);
		if (ok) {
			assert_int_equal(a.msg, cases[i].msg);
			assert_int_equal(a.lines, cases[i].lines);
			assert_true(slice_eq(a.text, cases[i].text));
			assert_true(slice_eq(a.initial, cases[i].initial));
			assert_int_equal(a.has_initial, cases[i].initial.n > 0);
		} else {
			assert_int_equal(e.code, ERR_SYNTAX);
			assert_int_equal(a.msg, 77);
		}
		free(block);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keywords),
		cmocka_unit_test(arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
