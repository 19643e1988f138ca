/* Message sets: grammar, meaning against a naive model, parse(write(x)) = x. */
#include "imap/imap_seqset.h"
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

static uint32_t seed = 1;
static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static void the_grammar_is_strict(void **st)
{
	static const struct {
		slice in;
		bool ok;
	} t[] = {
		{ S("1"), true },
		{ S("*"), true },
		{ S("1:*"), true },
		{ S("*:4"), true },
		{ S("2,4:7,9,12:*"), true },
		{ S("4294967295"), true },
		{ S("0"), false },
		{ S(""), false },
		{ S("1:"), false },
		{ S(":1"), false },
		{ S("1,"), false },
		{ S(",1"), false },
		{ S("01"), false },
		{ S("4294967296"), false },
		{ S("a"), false },
		{ S("-1"), false },
		{ S("1::2"), false },
	};

	(void)st;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct imap_parse p = imap_parse_init(t[i].in, &a);
		struct imap_seqset s;

		if ((imap_seqset_parse(&p, &s) && imap_parse_is_end(&p)) != t[i].ok)
			fail_msg("%.*s", FMT(t[i].in));
	}
}

static struct imap_seqset random_set(void)
{
	struct imap_seqset s = { .n = 1 + rnd(6) };

	s.range = arena_array(&a, s.n, sizeof(*s.range));
	for (size_t i = 0; i < s.n; i++) {
		s.range[i].lo = rnd(40);
		s.range[i].hi = rnd(3) ? rnd(40) : s.range[i].lo;
	}
	return s;
}

static bool naive_has(const struct imap_seqset *s, uint32_t max, uint32_t n)
{
	for (size_t i = 0; i < s->n; i++) {
		uint32_t x = s->range[i].lo ? s->range[i].lo : max,
			 y = s->range[i].hi ? s->range[i].hi : max;

		if (x && y && n >= (x < y ? x : y) && n <= (x < y ? y : x))
			return true;
	}
	return false;
}

static void resolving_means_what_the_rfc_says(void **st)
{
	(void)st;
	for (int round = 0; round < 20000; round++) {
		struct imap_seqset s = random_set(), r;
		uint32_t max = rnd(45);

		r = imap_seqset_resolve(&a, &s, max);
		for (uint32_t n = 1; n < 50; n++)
			assert_int_equal(imap_seqset_has(&r, n), naive_has(&s, max, n));
		for (size_t i = 0; i < r.n; i++) {
			assert_true(r.range[i].lo >= 1 && r.range[i].lo <= r.range[i].hi);
			assert_true(i == 0 || r.range[i].lo > r.range[i - 1].hi + 1);
		}
		arena_reset(&a);
	}
}

static void the_top_of_the_range_does_not_overflow(void **st)
{
	struct imap_range r[] = { { 4294967295u, 4294967295u },
				  { 1, 4294967295u },
				  { 4294967294u, 0 } };
	struct imap_seqset s = { r, 3 }, x = imap_seqset_resolve(&a, &s, 4294967295u);

	(void)st;
	assert_int_equal(x.n, 1);
	assert_int_equal(x.range[0].lo, 1);
	assert_int_equal(x.range[0].hi, 4294967295u);
	assert_true(imap_seqset_has(&x, 4294967295u));
}

static void what_is_written_is_read_again(void **st)
{
	(void)st;
	for (int round = 0; round < 5000; round++) {
		struct imap_seqset s = random_set(), again;
		struct imap_parse p;
		struct buf b;

		buf_init(&b, 1000);
		imap_seqset_write(&b, &s);
		p = imap_parse_init(buf_slice(&b), &a);
		assert_true(imap_seqset_parse(&p, &again) && imap_parse_is_end(&p));
		assert_int_equal(again.n, s.n);
		assert_memory_equal(again.range, s.range, s.n * sizeof(*s.range));
		buf_done(&b);
		arena_reset(&a);
	}
}

static void numbers_are_written_as_ranges(void **st)
{
	static const uint32_t v[] = { 1, 2, 3, 5, 7, 8, 4294967295u };
	struct buf b;

	(void)st;
	buf_init(&b, 1000);
	imap_seqset_write_numbers(&b, v, 7);
	assert_true(slice_eq(buf_slice(&b), SL("1:3,5,7:8,4294967295")));
	buf_reset(&b);
	imap_seqset_write_numbers(&b, v, 0);
	assert_int_equal(b.n, 0);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_grammar_is_strict, setup, teardown),
		cmocka_unit_test_setup_teardown(resolving_means_what_the_rfc_says, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_top_of_the_range_does_not_overflow,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_written_is_read_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(numbers_are_written_as_ranges, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
