/* test_auth_throttle.c — delays by distinct wrong passwords, on a virtual clock. */
#include "auth/auth_internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void net4(unsigned char net[16], unsigned a, unsigned b, unsigned c, unsigned d)
{
	const unsigned char v[16] = { [10] = 0xff,	[11] = 0xff,
				      (unsigned char)a, (unsigned char)b,
				      (unsigned char)c, (unsigned char)d };

	memcpy(net, v, 16);
}

static slice pw(char *dst, size_t n, int i)
{
	return slice_make(dst, (size_t)snprintf(dst, n, "guess-%d", i));
}

static void distinct_wrong_passwords_climb_the_steps(void **state)
{
	static const int64_t want[] = { 0, 1000, 2000, 4000, 8000, 15000, 15000, 15000 };
	struct throttle *t = throttle_new();
	unsigned char net[16];
	char text[32];

	(void)state;
	net4(net, 192, 0, 2, 1);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(throttle_delay(t, net, 1000),
				 want[i]); /* a right one waits as long */
		assert_int_equal(throttle_failed(t, net, true, SL("ann@example.org"),
						 pw(text, sizeof(text), i), 1000),
				 want[i]);
	}
	throttle_free(t);
}

static void repeats_of_one_wrong_password_do_not(void **state)
{
	struct throttle *t = throttle_new();
	unsigned char net[16];

	(void)state;
	net4(net, 192, 0, 2, 1);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(throttle_failed(t, net, true, SL("ann@example.org"),
						 SL("last year's"), 1000 + i / 10),
				 0);
	/* the same in other case is the same user */
	assert_int_equal(throttle_failed(t, net, true, SL("ANN@Example.org"),
					 SL("last year's"), 1100),
			 0);
	/* another user with the same password is another guess */
	assert_int_equal(throttle_failed(t, net, true, SL("bob@example.org"),
					 SL("last year's"), 1100),
			 1000);
	/* and where user ends and password begins matters */
	assert_int_equal(throttle_failed(t, net, true, SL("bob@example.orglast"),
					 SL(" year's"), 1100),
			 2000);
	throttle_free(t);
}

static void counts_decay_with_time(void **state)
{
	struct throttle *t = throttle_new();
	unsigned char net[16];
	char text[32];
	int64_t now = 5000;

	(void)state;
	net4(net, 198, 51, 100, 7);
	for (int i = 0; i < 6; i++)
		(void)throttle_failed(t, net, true, SL("u"), pw(text, sizeof(text), i),
				      now);
	assert_int_equal(throttle_delay(t, net, now + 299), 15000);
	assert_int_equal(throttle_delay(t, net, now + 300),
			 15000); /* five left: the next is the sixth */
	assert_int_equal(throttle_delay(t, net, now + 600), 8000);
	assert_int_equal(throttle_delay(t, net, now + 900), 4000);
	assert_int_equal(throttle_delay(t, net, now + 1800), 0);
	assert_int_equal(throttle_failed(t, net, true, SL("u"), pw(text, sizeof(text), 1),
					 now + 1800),
			 0);
	throttle_free(t);
}

static void one_address_does_not_slow_its_neighbours_but_many_do(void **state)
{
	struct throttle *t = throttle_new();
	unsigned char bad[16], near_by[16], far[16];
	char text[32];

	(void)state;
	net4(bad, 203, 0, 113, 1);
	net4(near_by, 203, 0, 113, 2);
	net4(far, 203, 0, 200, 2);
	for (int i = 0; i < 3; i++)
		(void)throttle_failed(t, bad, true, SL("u"), pw(text, sizeof(text), i),
				      0);
	assert_int_equal(throttle_delay(t, near_by, 0),
			 1000); /* 3 of weight 3: the fourth is in the second step */
	assert_int_equal(throttle_delay(t, far, 0), 0);
	/* a whole /26 guessing, one distinct password each */
	for (unsigned d = 3; d < 60; d++) {
		unsigned char net[16];

		net4(net, 203, 0, 113, d);
		(void)throttle_failed(t, net, true, SL("v"),
				      pw(text, sizeof(text), (int)d + 100), 0);
	}
	assert_int_equal(throttle_delay(t, near_by, 0), 15000);
	assert_int_equal(throttle_delay(t, far, 0), 0);
	throttle_free(t);
}

static void ipv6_counts_by_64_and_by_48(void **state)
{
	struct throttle *t = throttle_new();
	unsigned char a[16] = { 0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 1 },
		      b[16] = { 0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2 };
	unsigned char c[16] = { 0x20, 0x01, 0x0d, 0xb8, 0, 2, 0, 2 };
	char text[32];

	(void)state;
	for (int i = 0; i < 8; i++)
		(void)throttle_failed(t, a, true, SL("u"), pw(text, sizeof(text), i), 0);
	assert_int_equal(throttle_delay(t, a, 0), 15000);
	assert_int_equal(throttle_delay(t, b, 0), 2000);
	assert_int_equal(throttle_delay(t, c, 0), 0);
	throttle_free(t);
}

static void an_account_has_a_budget_of_its_own(void **state)
{
	struct throttle *t = throttle_new();
	char text[32];
	int64_t last = 0;

	(void)state;
	for (unsigned i = 0; i < 30; i++) { /* every guess from another net */
		unsigned char net[16] = {
			0x20, 0x01, (unsigned char)i, 0xb8, (unsigned char)i, 1
		};

		last = throttle_failed(t, net, true, SL("ann@example.org"),
				       pw(text, sizeof(text), (int)i), 0);
	}
	assert_int_equal(last, 15000);
	throttle_free(t);
}

static void a_flood_of_addresses_neither_grows_nor_frees_a_guesser(void **state)
{
	struct throttle *t = throttle_new();
	unsigned char bad[16];
	char text[32];

	(void)state;
	net4(bad, 192, 0, 2, 66);
	for (int i = 0; i < 6; i++)
		(void)throttle_failed(t, bad, true, SL("u"), pw(text, sizeof(text), i),
				      0);
	for (unsigned i = 0; i < 100000; i++) {
		unsigned char net[16] = { 0x24, 0x02, (unsigned char)(i >> 16),
					  (unsigned char)(i >> 8), (unsigned char)i };

		(void)throttle_failed(t, net, true, SL("v"), SL("x"), 1);
	}
	assert_int_equal(throttle_delay(t, bad, 1), 15000);
	throttle_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distinct_wrong_passwords_climb_the_steps),
		cmocka_unit_test(repeats_of_one_wrong_password_do_not),
		cmocka_unit_test(counts_decay_with_time),
		cmocka_unit_test(one_address_does_not_slow_its_neighbours_but_many_do),
		cmocka_unit_test(ipv6_counts_by_64_and_by_48),
		cmocka_unit_test(an_account_has_a_budget_of_its_own),
		cmocka_unit_test(a_flood_of_addresses_neither_grows_nor_frees_a_guesser),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
