/* test_clock.c — base/clock.h; the C library's calendar in UTC is the reference. */
#include "base/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void a_virtual_clock_moves_only_when_told(void **state)
{
	(void)state;
	struct clock c;

	clock_init_virtual(&c, 5000000);
	assert_int_equal(clock_now_us(&c), 5000000);
	assert_int_equal(clock_mono_us(&c), 5000000);
	clock_advance(&c, 1500000);
	assert_int_equal(clock_now_us(&c), 6500000);
	assert_int_equal(clock_now_s(&c), 6);
	clock_advance(&c, -1);
	assert_int_equal(clock_mono_us(&c), 6500000);
}

static void the_real_clock_is_the_machines(void **state)
{
	(void)state;
	struct clock c;
	int64_t before = (int64_t)time(NULL);

	clock_init_real(&c);
	int64_t mono = clock_mono_us(&c), now = clock_now_s(&c);

	assert_true(now >= before - 1 && now <= before + 60);
	assert_true(clock_mono_us(&c) >= mono);
	clock_advance(&c, INT64_MAX / 2);
	assert_true(clock_now_s(&c) <= before + 60);
}

static void dates_agree_with_the_c_library(void **state)
{
	(void)state;
	/* Every 13 days and some seconds from year 1 to 9999, and each year's ends. */
	for (int64_t s = -62135510400; s < 253402214400; s += 13 * 86400 + 3599) {
		time_t t = (time_t)s;
		struct tm tm;
		struct civil c = civil_from_unix(s, 0);

		assert_non_null(gmtime_r(&t, &tm));
		if (c.year != tm.tm_year + 1900 || c.month != tm.tm_mon + 1 ||
		    c.day != tm.tm_mday || c.hour != tm.tm_hour ||
		    c.minute != tm.tm_min || c.second != tm.tm_sec ||
		    c.weekday != tm.tm_wday || civil_to_unix(&c) != s)
			fail_msg("%lld", (long long)s);
	}
}

static void known_moments(void **state)
{
	(void)state;
	static const struct {
		int64_t s;
		struct civil c;
	} cases[] = {
		{ 0, { 1970, 1, 1, 0, 0, 0, 0, 4 } },
		{ -1, { 1969, 12, 31, 23, 59, 59, 0, 3 } },
		{ 951782400, { 2000, 2, 29, 0, 0, 0, 0, 2 } },
		{ 837597000,
		  { 1996, 7, 17, 2, 50, 0, -420, 3 } }, /* 17-Jul-1996 02:50:00 -0700 */
		{ 1795376648, { 2026, 11, 23, 1, 29, 8, 345, 1 } }, /* Nepal, +0545 */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct civil c = civil_from_unix(cases[i].s, cases[i].c.zone);

		assert_memory_equal(&c, &cases[i].c, sizeof(c));
		assert_int_equal(civil_to_unix(&c), cases[i].s);
	}
}

static void times_out_of_range_become_the_nearest(void **state)
{
	(void)state;
	assert_int_equal(civil_from_unix(INT64_MAX, 840).year, 9999);
	assert_int_equal(civil_from_unix(INT64_MIN, -840).year, 1);
	struct civil leap = { 2016, 12, 31, 23, 59, 60, 0, 0 };

	assert_int_equal(civil_to_unix(&leap), 1483228800);
	assert_string_equal(civil_months[6], "Jul");
	assert_string_equal(civil_days[0], "Sun");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_virtual_clock_moves_only_when_told),
		cmocka_unit_test(the_real_clock_is_the_machines),
		cmocka_unit_test(dates_agree_with_the_c_library),
		cmocka_unit_test(known_moments),
		cmocka_unit_test(times_out_of_range_become_the_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
