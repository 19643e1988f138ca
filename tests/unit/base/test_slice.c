/* test_slice.c — base/slice.h */
#include "base/slice.h"
#include "base/alloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void equality_looks_at_length_and_bytes(void **state)
{
	(void)state;
	assert_true(slice_eq(SL("abc"), SL("abc")));
	assert_false(slice_eq(SL("abc"), SL("abd")));
	assert_false(slice_eq(SL("abc"), SL("ab")));
	assert_true(slice_eq(SL(""), (slice){ 0 }));
	assert_true(slice_eq(SL("a\0b"), SL("a\0b")));
	assert_false(slice_eq(SL("a\0b"), SL("a\0c")));
}

static void case_folding_is_ascii_only(void **state)
{
	(void)state;
	assert_true(slice_ieq(SL("InBoX"), SL("INBOX")));
	assert_false(slice_ieq(SL("[@"), SL("{`"))); /* 32 apart, but no letters */
	assert_false(slice_ieq(SL("\xc3\x84"), SL("\xc3\xa4")));
	for (int c = 0; c < 256; c++) {
		char lower = ascii_lower((char)c), upper = ascii_upper((char)c);

		assert_int_equal(lower, c >= 'A' && c <= 'Z' ? (char)(c + 32) : (char)c);
		assert_int_equal(upper, c >= 'a' && c <= 'z' ? (char)(c - 32) : (char)c);
	}
}

static void order_is_memcmp_then_length(void **state)
{
	(void)state;
	assert_int_equal(slice_cmp(SL("a"), SL("b")), -1);
	assert_int_equal(slice_cmp(SL("\xff"), SL("a")), 1);
	assert_int_equal(slice_cmp(SL("a"), SL("ab")), -1);
	assert_int_equal(slice_cmp(SL("ab"), SL("a")), 1);
	assert_int_equal(slice_cmp(SL(""), (slice){ 0 }), 0);
	assert_int_equal(slice_cmp(SL("a\0a"), SL("a\0b")), -1);
}

static void sub_is_clipped_to_what_is_there(void **state)
{
	(void)state;
	slice s = SL("hello");

	assert_true(slice_eq(slice_sub(s, 1, 3), SL("ell")));
	assert_true(slice_eq(slice_sub(s, 3, 99), SL("lo")));
	assert_true(slice_eq(slice_sub(s, 3, SIZE_MAX), SL("lo")));
	assert_int_equal(slice_sub(s, 9, 1).n, 0);
	assert_true(slice_eq(slice_from(s, 4), SL("o")));
	assert_int_equal(slice_from((slice){ 0 }, 3).n, 0);
}

static void prefixes_and_suffixes(void **state)
{
	(void)state;
	assert_true(slice_starts(SL("STARTTLS"), SL("START")));
	assert_false(slice_starts(SL("STAR"), SL("START")));
	assert_true(slice_istarts(SL("mail from:<>"), SL("MAIL FROM:")));
	assert_true(slice_ends(SL("x.tmp"), SL(".tmp")));
	assert_false(slice_ends(SL("tmp"), SL(".tmp")));
	assert_true(slice_iends(SL("A.TMP"), SL(".tmp")));
	assert_true(slice_starts((slice){ 0 }, SL("")));
	assert_true(slice_iends((slice){ 0 }, (slice){ 0 }));
}

static void finding_a_byte(void **state)
{
	(void)state;
	slice s = SL("a.b.c");

	assert_int_equal(slice_chr(s, '.', 0), 1);
	assert_int_equal(slice_chr(s, '.', 2), 3);
	assert_int_equal(slice_chr(s, '.', 4), 5);
	assert_int_equal(slice_chr(s, '.', 99), 5);
	assert_int_equal(slice_rchr(s, '.'), 3);
	assert_int_equal(slice_rchr(s, 'x'), 5);
	assert_int_equal(slice_rchr((slice){ 0 }, 'x'), 0);
}

static void finding_a_word(void **state)
{
	(void)state;
	slice s = SL("one two two");

	assert_int_equal(slice_find(s, SL("two"), 0), 4);
	assert_int_equal(slice_find(s, SL("two"), 5), 8);
	assert_int_equal(slice_find(s, SL("two"), 9), s.n);
	assert_int_equal(slice_find(s, SL("TWO"), 0), s.n);
	assert_int_equal(slice_ifind(s, SL("TWO"), 5), 8);
	assert_int_equal(slice_ifind(s, SL("twos"), 0), s.n);
	assert_int_equal(slice_find(s, SL(""), 3), 3);
	assert_int_equal(slice_ifind(s, SL(""), 3), 3);
	assert_int_equal(slice_ifind(SL("ab"), SL("abc"), 0), 2);
	assert_int_equal(slice_ifind(s, SL("o"), SIZE_MAX), s.n);
}

/* The windows of slice_ifind: a needle of every length around their edges, found across each cut. */
static void a_folded_word_is_found_across_windows(void **state)
{
	(void)state;
	enum { SIZE = 40000 };
	char *hay = mem_new(SIZE);
	char *needle = mem_new(SIZE);
	static const size_t lengths[] = { 16, 17, 100, 4095, 4096, 5000, 20000 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t n = lengths[i];

		memset(needle, 'Q', n);
		needle[n - 1] = 'Z';
		for (size_t at = 0; at + n <= SIZE; at += 997) {
			slice s = slice_make(hay, SIZE), word = slice_make(needle, n);

			memset(hay, 'q', SIZE);
			hay[at + n - 1] = 'z';
			assert_int_equal(slice_ifind(s, word, 0), at);
			assert_int_equal(slice_ifind(s, word, at + 1), SIZE);
		}
	}
	mem_free(hay);
	mem_free(needle);
}

static void trim_takes_blanks_at_both_ends(void **state)
{
	(void)state;
	assert_true(slice_eq(slice_trim(SL(" \t a b\r\n")), SL("a b")));
	assert_int_equal(slice_trim(SL(" \r\n")).n, 0);
	assert_int_equal(slice_trim((slice){ 0 }).n, 0);
}

static void cut_walks_through_the_fields(void **state)
{
	(void)state;
	slice s = SL("a,,b");

	assert_true(slice_eq(slice_cut(&s, ','), SL("a")));
	assert_true(slice_eq(slice_cut(&s, ','), SL("")));
	assert_true(slice_eq(slice_cut(&s, ','), SL("b")));
	assert_int_equal(s.n, 0);
	assert_int_equal(slice_cut(&s, ',').n, 0);
}

static void numbers_are_digits_up_to_max(void **state)
{
	(void)state;
	static const struct {
		slice text;
		uint64_t max;
		bool ok;
		uint64_t v;
	} cases[] = {
		{ S("0"), 0, true, 0 },
		{ S("1"), 0, false, 0 },
		{ S("9"), 9, true, 9 },
		{ S("9"), 8, false, 0 },
		{ S("10"), 9, false, 0 },
		{ S("007"), 7, true, 7 },
		{ S("12"), 12, true, 12 },
		{ S("13"), 12, false, 0 },
		{ S("18446744073709551615"), UINT64_MAX, true, UINT64_MAX },
		{ S("18446744073709551616"), UINT64_MAX, false, 0 },
		{ S("99999999999999999999"), UINT64_MAX, false, 0 },
		{ S("00000000000000000000000001"), UINT64_MAX, true, 1 },
		{ S(""), 10, false, 0 },
		{ S("+1"), 10, false, 0 },
		{ S("-1"), 10, false, 0 },
		{ S(" 1"), 10, false, 0 },
		{ S("1 "), 10, false, 0 },
		{ S("1\0"), 10, false, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t v = 77;

		assert_int_equal(slice_u64(cases[i].text, cases[i].max, &v), cases[i].ok);
		assert_int_equal(v, cases[i].ok ? cases[i].v : 77);
	}
	uint32_t small = 5;

	assert_true(slice_u32(SL("4294967295"), &small));
	assert_int_equal(small, UINT32_MAX);
	assert_false(slice_u32(SL("4294967296"), &small));
	assert_int_equal(small, UINT32_MAX);
}

static void sizes_are_powers_of_1024(void **state)
{
	static const struct {
		slice text;
		bool ok;
		uint64_t value;
	} cases[] = {
		{ S("0"), true, 0 },
		{ S("512"), true, 512 },
		{ S("50M"), true, 50u << 20 },
		{ S("50mb"), true, 50u << 20 },
		{ S("1k"), true, 1024 },
		{ S("2G"), true, 2ull << 30 },
		{ S("3T"), true, 3ull << 40 },
		{ S("100B"), true, 100 },
		{ S("9223372036854775807"), true, INT64_MAX },
		{ S("8388607T"), true, 8388607ull << 40 },
		{ S("8388608T"), false, 0 },
		{ S("9223372036854775808"), false, 0 },
		{ S(""), false, 0 },
		{ S("M"), false, 0 },
		{ S("B"), false, 0 },
		{ S("1.5G"), false, 0 },
		{ S("-1"), false, 0 },
		{ S("2 G"), false, 0 },
		{ S("2GG"), false, 0 },
		{ S("2X"), false, 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t v = 77;
		assert_int_equal(slice_size(cases[i].text, &v), cases[i].ok);
		assert_true(v == (cases[i].ok ? cases[i].value : 77));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equality_looks_at_length_and_bytes),
		cmocka_unit_test(case_folding_is_ascii_only),
		cmocka_unit_test(order_is_memcmp_then_length),
		cmocka_unit_test(sub_is_clipped_to_what_is_there),
		cmocka_unit_test(prefixes_and_suffixes),
		cmocka_unit_test(finding_a_byte),
		cmocka_unit_test(finding_a_word),
		cmocka_unit_test(a_folded_word_is_found_across_windows),
		cmocka_unit_test(trim_takes_blanks_at_both_ends),
		cmocka_unit_test(cut_walks_through_the_fields),
		cmocka_unit_test(numbers_are_digits_up_to_max),
		cmocka_unit_test(sizes_are_powers_of_1024),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
