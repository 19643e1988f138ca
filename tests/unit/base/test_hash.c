/* test_hash.c — base/hash.h */
#include "base/hash.h"
#include "base/alloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void siphash_gives_the_published_values(void **state)
{
	(void)state;
	/* Key 00..0f, input 00 01 02 …: the authors' vectors by length. */
	static const struct {
		size_t n;
		uint64_t want;
	} cases[] = {
		{ 0, 0x726fdb47dd0e0e31 },  { 1, 0x74f839c593dc67fd },
		{ 7, 0xab0200f58b01d137 },  { 8, 0x93f5f5799a932462 },
		{ 9, 0x9e0082df0ba9e4b0 },  { 15, 0xa129ca6149be45e5 },
		{ 16, 0x3f2acc7f57c29bdb }, { 63, 0x958a324ceb064572 },
	};
	const struct siphash_key k = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	char in[64];

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (char)i;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_true(siphash(&k, slice_make(in, cases[i].n)) == cases[i].want);
	assert_true(siphash(&k, (slice){ 0 }) == cases[0].want);
}

static void crc32c_gives_the_values_of_rfc_3720_b4(void **state)
{
	(void)state;
	char zeros[32] = { 0 }, ones[32], up[32], down[32];

	memset(ones, 0xff, sizeof(ones));
	for (int i = 0; i < 32; i++) {
		up[i] = (char)i;
		down[i] = (char)(31 - i);
	}
	const struct {
		slice in;
		uint32_t want;
	} cases[] = {
		{ { zeros, 32 }, 0x8a9136aa },
		{ { ones, 32 }, 0x62a8ab43 },
		{ { up, 32 }, 0x46dd794e },
		{ { down, 32 }, 0x113fdb5c },
		{ S("123456789"), 0xe3069283 },
		{ S(""), 0 },
		{ { NULL, 0 }, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(crc32c(0, cases[i].in), cases[i].want);
		assert_int_equal(crc32c_portable(0, cases[i].in), cases[i].want);
	}
}

static void crc32c_is_the_same_with_and_without_hardware_and_in_pieces(void **state)
{
	(void)state;
	enum { N = 1000 };
	char *in = mem_new(N);

	random_bytes(in, N);
	for (size_t n = 0; n <= N; n += 7) {
		for (size_t from = 0; from < 9 && from <= n; from++) {
			slice s = slice_make(in + from, n - from);
			uint32_t whole = crc32c(0, s);

			assert_int_equal(whole, crc32c_portable(0, s));
			uint32_t half = crc32c(0, slice_sub(s, 0, s.n / 3));

			assert_int_equal(crc32c(half, slice_from(s, s.n / 3)), whole);
		}
	}
	mem_free(in);
}

static void random_bytes_differ(void **state)
{
	(void)state;
	char a[600] = { 0 }, b[600] = { 0 };

	random_bytes(a, sizeof(a));
	random_bytes(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a + 584, b + 584, 16);
	random_bytes(a, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_gives_the_published_values),
		cmocka_unit_test(crc32c_gives_the_values_of_rfc_3720_b4),
		cmocka_unit_test(
			crc32c_is_the_same_with_and_without_hardware_and_in_pieces),
		cmocka_unit_test(random_bytes_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
