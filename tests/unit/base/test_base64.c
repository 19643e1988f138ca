/* test_base64.c — base/base64.h (RFC 4648 4 and 10) */
#include "base/base64.h"
#include "base/hash.h"
#include <setjmp.h>
#include <cmocka.h>

static void the_vectors_of_rfc_4648_10(void **state)
{
	(void)state;
	static const slice pairs[][2] = {
		{ S(""), S("") },
		{ S("f"), S("Zg==") },
		{ S("fo"), S("Zm8=") },
		{ S("foo"), S("Zm9v") },
		{ S("foob"), S("Zm9vYg==") },
		{ S("fooba"), S("Zm9vYmE=") },
		{ S("foobar"), S("Zm9vYmFy") },
		{ S("\xfb\xff\xbf"), S("+/+/") },
		{ S("\0user\0pass"), S("AHVzZXIAcGFzcw==") },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct buf b;

		buf_init(&b, 100);
		base64_encode(&b, pairs[i][0]);
		assert_true(slice_eq(buf_slice(&b), pairs[i][1]));
		buf_reset(&b);
		assert_true(base64_decode(&b, pairs[i][1]));
		assert_true(slice_eq(buf_slice(&b), pairs[i][0]));
		buf_done(&b);
	}
}

static void only_the_one_spelling_is_taken(void **state)
{
	(void)state;
	static const slice bad[] = {
		S("Z"),	       S("Zg"),	   S("Zg="),	  S("Zg==="),
		S("===="),     S("Z==="),  S("Zh=="),	  S("Zm9="),
		S("Zg==Zg=="), S("Zm=v"),  S("Zm9v\r\n"), S("Zm 9"),
		S("Zm9-"),     S("Zm9_"),  S("Zm9v!!!!"), S("\xff\xff\xff\xff"),
		S("Zm9v="),    S("Zm\0="),
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf b;

		buf_init(&b, 100);
		if (base64_decode(&b, bad[i]))
			fail_msg("taken: %.*s", FMT(bad[i]));
		buf_done(&b);
	}
}

static void what_is_encoded_is_decoded(void **state)
{
	(void)state;
	char bytes[300];

	random_bytes(bytes, sizeof(bytes));
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		struct buf text, back;

		buf_init(&text, 1000);
		buf_init(&back, n);
		base64_encode(&text, slice_make(bytes, n));
		assert_int_equal(text.n, (n + 2) / 3 * 4);
		assert_true(base64_decode(&back, buf_slice(&text)));
		assert_true(slice_eq(buf_slice(&back), slice_make(bytes, n)));
		buf_done(&text);
		buf_done(&back);
	}
}

static void a_full_buffer_is_a_failure(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 5);
	assert_false(base64_decode(&b, SL("Zm9vYmFy")));
	assert_true(slice_eq(buf_slice(&b), SL("foo")));
	buf_reset(&b);
	base64_encode(&b, SL("foobar"));
	assert_true(b.full);
	assert_int_equal(b.n, 0);
	buf_done(&b);
}

static void hex_is_lower_case(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 100);
	hex_encode(&b, SL("\x00\x0f\xab\xff"));
	assert_true(slice_eq(buf_slice(&b), SL("000fabff")));
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_rfc_4648_10),
		cmocka_unit_test(only_the_one_spelling_is_taken),
		cmocka_unit_test(what_is_encoded_is_decoded),
		cmocka_unit_test(a_full_buffer_is_a_failure),
		cmocka_unit_test(hex_is_lower_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
