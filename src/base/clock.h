#pragma once
/* clock.h — where time comes from. Real, or virtual for `sim`.
 *
 * now_us: microseconds since 1970 UTC (may jump); mono_us: never goes back. A virtual
 * clock stands still until it is moved. Any thread may read. Library folders below
 * net take times as parameters instead. */
#include "base/slice.h"
#include <stdatomic.h>
#include <time.h>

struct clock {
	bool is_virtual;
	_Atomic int64_t us; /* virtual only: both clocks */
};
void clock_init_real(struct clock *c);
void clock_init_virtual(struct clock *c, int64_t start_us);
void clock_advance(struct clock *c, int64_t us); /* virtual only */
int64_t clock_now_us(const struct clock *c);
int64_t clock_mono_us(const struct clock *c);
static inline int64_t clock_now_s(const struct clock *c)
{
	return clock_now_us(c) / 1000000;
}

/* Civil time without the locale or the machine's zone. Valid for years 1 to 9999. */
struct civil {
	int year, month, day;      /* month 1–12 */
	int hour, minute, second;  /* second 0–60 */
	int zone;                  /* minutes east of UTC */
	int weekday;               /* 0 = Sunday; civil_to_unix ignores it */
};
struct civil civil_from_unix(int64_t s, int zone_minutes);
int64_t civil_to_unix(const struct civil *c);
extern const char civil_months[12][4]; /* "Jan"… */
extern const char civil_days[7][4];    /* "Sun"… */
