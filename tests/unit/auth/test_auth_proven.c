/* test_auth_proven.c — the memory of proven credentials: an hour, bound to the verifier,
 * bounded. */
#include "auth/auth_internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void a_proof_lasts_an_hour_and_fits_nothing_else(void **state)
{
	struct proven *p = proven_new(), *other = proven_new();
	struct proven_mac mac, mac2;

	(void)state;
	proven_make_mac(p, 7, SL("{CRYPT}a"), SL("pw"), &mac);
	assert_false(proven_has(p, 7, &mac, 1000));
	proven_add(p, 7, &mac, 1000);
	assert_true(proven_has(p, 7, &mac, 1000));
	assert_true(proven_has(p, 7, &mac, 1000 + 3599));
	assert_false(proven_has(p, 7, &mac, 1000 + 3600));
	assert_false(proven_has(p, 8, &mac, 1000));

	proven_make_mac(p, 7, SL("{CRYPT}a"), SL("pw2"), &mac2);
	assert_false(proven_has(p, 7, &mac2, 1000));
	proven_make_mac(p, 7, SL("{CRYPT}b"), SL("pw"),
			&mac2); /* the password was set anew */
	assert_false(proven_has(p, 7, &mac2, 1000));
	proven_make_mac(p, 7, SL("{CRYPT}ap"), SL("w"), &mac2);
	assert_false(proven_has(p, 7, &mac2, 1000));
	proven_make_mac(p, 8, SL("{CRYPT}a"), SL("pw"), &mac2);
	assert_memory_not_equal(&mac, &mac2, sizeof(mac));
	proven_make_mac(other, 7, SL("{CRYPT}a"), SL("pw"),
			&mac2); /* another start, another key */
	assert_memory_not_equal(&mac, &mac2, sizeof(mac));
	proven_free(p);
	proven_free(other);
}

static void what_was_used_longest_ago_goes_first(void **state)
{
	struct proven *p = proven_new();
	struct proven_mac mac;
	unsigned kept = 0;

	(void)state;
	for (uint32_t a = 1; a <= 200000; a++) {
		proven_make_mac(p, a, SL("v"), SL("pw"), &mac);
		proven_add(p, a, &mac,
			   1000 + a / 200); /* one proof does not outlive 1,000 s here */
		if (a % 100 == 0) {
			proven_make_mac(p, 1, SL("v"), SL("pw"), &mac);
			assert_true(proven_has(
				p, 1, &mac, 1000 + a / 200)); /* always in use: stays */
		}
	}
	for (uint32_t a = 1; a <= 200000; a++) {
		proven_make_mac(p, a, SL("v"), SL("pw"), &mac);
		kept += proven_has(p, a, &mac, 2000);
	}
	assert_in_range(kept, 30000, 32768);
	proven_free(p);
}

static void an_account_is_known_at_its_nets_for_30_days(void **state)
{
	struct proven *p = proven_new();
	unsigned char net[16] = { 1 }, net2[16] = { 2 };

	(void)state;
	proven_net_add(p, 7, net, 1000);
	assert_true(proven_net_is_known(p, 7, net, 1000));
	assert_true(proven_net_is_known(p, 7, net, 1000 + 30 * 86400 - 1));
	assert_false(proven_net_is_known(p, 7, net, 1000 + 30 * 86400));
	assert_false(proven_net_is_known(p, 7, net2, 1000));
	assert_false(proven_net_is_known(p, 8, net, 1000));
	proven_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_proof_lasts_an_hour_and_fits_nothing_else),
		cmocka_unit_test(what_was_used_longest_ago_goes_first),
		cmocka_unit_test(an_account_is_known_at_its_nets_for_30_days),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
