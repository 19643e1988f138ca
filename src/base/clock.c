#include "base/clock.h"

const char civil_months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
				   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
const char civil_days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

void clock_init_real(struct clock *c)
{
	c->is_virtual = false;
	atomic_init(&c->us, 0);
}

void clock_init_virtual(struct clock *c, int64_t start_us)
{
	c->is_virtual = true;
	atomic_init(&c->us, start_us);
}

void clock_advance(struct clock *c, int64_t us)
{
	if (c->is_virtual && us > 0)
		atomic_fetch_add(&c->us, us);
}

static int64_t read_us(const struct clock *c, clockid_t id)
{
	struct timespec t;

	if (c->is_virtual)
		return atomic_load(&c->us);
	if (clock_gettime(id, &t) != 0)
		abort(); /* only a wrong id can fail */
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_now_us(const struct clock *c)
{
	return read_us(c, CLOCK_REALTIME);
}

int64_t clock_mono_us(const struct clock *c)
{
	return read_us(c, CLOCK_MONOTONIC);
}

/* Days and years are counted from March, so that the leap day is the last of its year; an era is the 400 years
 * (146,097 days) after which the Gregorian calendar repeats. */
#define DAYS_PER_ERA 146097
#define DAYS_TO_1970 719468 /* from 0000-03-01 */

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

struct civil civil_from_unix(int64_t s, int zone_minutes)
{
	struct civil c = { .zone = zone_minutes };
	int64_t local, day;

	/* Times beyond the years 1 to 9999 become the nearest that can be written. */
	if (s < -62135596800 + 86400)
		s = -62135596800 + 86400;
	if (s > 253402300799 - 86400)
		s = 253402300799 - 86400;
	local = s + (int64_t)zone_minutes * 60;
	day = floor_div(local, 86400);
	int64_t rest = local - day * 86400;

	c.hour = (int)(rest / 3600);
	c.minute = (int)(rest / 60 % 60);
	c.second = (int)(rest % 60);
	c.weekday = (int)(((day + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */

	int64_t z = day + DAYS_TO_1970;
	int64_t era = floor_div(z, DAYS_PER_ERA);
	int64_t doe = z - era * DAYS_PER_ERA;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / (DAYS_PER_ERA - 1)) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153; /* 0 = March */

	c.day = (int)(doy - (153 * mp + 2) / 5 + 1);
	c.month = (int)(mp < 10 ? mp + 3 : mp - 9);
	c.year = (int)(yoe + era * 400 + (c.month <= 2));
	return c;
}

int64_t civil_to_unix(const struct civil *c)
{
	int64_t y = c->year - (c->month <= 2);
	int64_t era = floor_div(y, 400);
	int64_t yoe = y - era * 400;
	int64_t mp = c->month > 2 ? c->month - 3 : c->month + 9;
	int64_t doy = (153 * mp + 2) / 5 + c->day - 1;
	int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	int64_t day = era * DAYS_PER_ERA + doe - DAYS_TO_1970;

	return day * 86400 + (int64_t)c->hour * 3600 + (int64_t)c->minute * 60 +
	       c->second - (int64_t)c->zone * 60;
}
