/* test_utf8.c — base/utf8.h (RFC 3629) */
#include "base/utf8.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void every_code_point_comes_back(void **state)
{
	(void)state;
	for (uint32_t cp = 0; cp <= 0x110010; cp++) {
		char bytes[4];
		size_t n = utf8_encode(cp, bytes), at = 0;

		if ((cp >= 0xd800 && cp <= 0xdfff) || cp > 0x10ffff) {
			assert_int_equal(n, 0);
			continue;
		}
		if (n == 0 || utf8_next(slice_make(bytes, n), &at) != (int32_t)cp ||
		    at != n)
			fail_msg("U+%04X", (unsigned)cp);
		/* Cut short it is malformed, and one byte is consumed. */
		at = 0;
		if (n > 1 && (utf8_next(slice_make(bytes, n - 1), &at) != -1 || at != 1))
			fail_msg("U+%04X cut", (unsigned)cp);
	}
}

static void malformed_sequences_are_refused(void **state)
{
	(void)state;
	static const slice bad[] = {
		S("\x80"),
		S("\xbf"),
		S("\xc0\x80"),
		S("\xc1\xbf"),
		S("\xe0\x80\x80"),
		S("\xe0\x9f\xbf"),
		S("\xf0\x80\x80\x80"),
		S("\xf0\x8f\xbf\xbf"),
		S("\xed\xa0\x80"),
		S("\xed\xbf\xbf"),
		S("\xf4\x90\x80\x80"),
		S("\xf5\x80\x80\x80"),
		S("\xfe"),
		S("\xff"),
		S("\xc3"),
		S("\xe2\x80"),
		S("\xf0\x9f\x98"),
		S("\xc3("),
		S("\xe2(\xa6"),
		S("\xe2\x80("),
		S("\xf8\x88\x80\x80\x80"),
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t at = 0;

		assert_int_equal(utf8_next(bad[i], &at), -1);
		assert_int_equal(at, 1);
		assert_false(utf8_is_valid(bad[i]));
	}
}

static void decoding_goes_on_behind_a_bad_byte(void **state)
{
	(void)state;
	slice s = SL("a\xff\xc3\xa4\xe2\x82z");
	static const int32_t want[] = { 'a', -1, 0xe4, -1, -1, 'z' };
	size_t at = 0;

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_int_equal(utf8_next(s, &at), want[i]);
	assert_int_equal(at, s.n);
	assert_int_equal(utf8_next(s, &at), -1);
	assert_int_equal(at, s.n);
}

static void ascii_is_one_to_127(void **state)
{
	(void)state;
	assert_true(utf8_is_ascii(SL("")));
	assert_true(utf8_is_ascii(SL("\x01 ~\x7f")));
	assert_false(utf8_is_ascii(SL("a\0b")));
	assert_false(utf8_is_ascii(SL("\xc3\xa4")));
	assert_true(utf8_is_valid(SL("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_point_comes_back),
		cmocka_unit_test(malformed_sequences_are_refused),
		cmocka_unit_test(decoding_goes_on_behind_a_bad_byte),
		cmocka_unit_test(ascii_is_one_to_127),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
