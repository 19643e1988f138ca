/* Dates.  RFC 5322 3.3 and 4.3, RFC 9051 9 (date-time). */
#include "base/clock.h"
#include "mime/mime_header.h"

struct date_scan {
	slice s;
	size_t at;
};

static char peek(const struct date_scan *d)
{
	return d->at < d->s.n ? d->s.p[d->at] : '\0';
}

static bool take(struct date_scan *d, char c)
{
	if (peek(d) != c)
		return false;
	d->at++;
	return true;
}

static slice word(struct date_scan *d)
{
	size_t from;

	mime_skip_cfws(d->s, &d->at);
	from = d->at;
	while (is_alpha(peek(d)))
		d->at++;
	return slice_sub(d->s, from, d->at - from);
}

/* Up to max digits; the count of digits, 0 when there is none. */
static int number(struct date_scan *d, int max, int *out)
{
	int n = 0, v = 0;

	for (; n < max && is_digit(peek(d)); n++, d->at++)
		v = v * 10 + (peek(d) - '0');
	if (n)
		*out = v;
	return n;
}

static int month_of(slice w)
{
	for (int i = 0; i < 12 && w.n >= 3; i++)
		if (slice_ieq(slice_sub(w, 0, 3), (slice){ civil_months[i], 3 }))
			return i + 1;
	return 0;
}

static bool is_day_name(slice w)
{
	for (int i = 0; i < 7 && w.n >= 3; i++)
		if (slice_ieq(slice_sub(w, 0, 3), (slice){ civil_days[i], 3 }))
			return true;
	return false;
}

/* RFC 5322 4.3: two digits are 1950 to 2049, three are added to 1900. */
static bool year(struct date_scan *d, int *out)
{
	int n = number(d, 4, out);

	if (is_digit(peek(d)) || n < 2)
		return false;
	if (n == 2)
		*out += *out < 50 ? 2000 : 1900;
	else if (n == 3)
		*out += 1900;
	return *out >= 1;
}

static bool is_in_range(const struct civil *c)
{
	static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return c->month >= 1 && c->day >= 1 && c->day <= days[c->month - 1] &&
	       c->hour <= 23 && c->minute <= 59 && c->second <= 60;
}

/* "+0100"; false leaves *out alone. */
static bool numeric_zone(struct date_scan *d, int *out)
{
	size_t from = d->at;
	bool west = peek(d) == '-';
	int v;

	if (!take(d, '+') && !take(d, '-'))
		return false;
	if (number(d, 4, &v) != 4 || v / 100 > 23 || v % 100 > 59) {
		d->at = from;
		return false;
	}
	v = v / 100 * 60 + v % 100;
	*out = west ? -v : v;
	return true;
}

/* RFC 5322 4.3 obs-zone. Military letters and unknown names count as -0000, as it
 * asks. */
static int named_zone(slice w)
{
	static const struct {
		slice name;
		int hours;
	} zones[] = { { S("EST"), -5 }, { S("EDT"), -4 }, { S("CST"), -6 },
		      { S("CDT"), -5 }, { S("MST"), -7 }, { S("MDT"), -6 },
		      { S("PST"), -8 }, { S("PDT"), -7 } };

	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
		if (slice_ieq(w, zones[i].name))
			return zones[i].hours * 60;
	return 0;
}

/* hour ":" minute [":" second]; a date without time is midnight (RFC 5256 2.2). */
static bool time_of_day(struct date_scan *d, struct civil *c)
{
	mime_skip_cfws(d->s, &d->at);
	if (!number(d, 2, &c->hour))
		return true;
	mime_skip_cfws(d->s, &d->at);
	if (!take(d, ':'))
		return false;
	mime_skip_cfws(d->s, &d->at);
	if (!number(d, 2, &c->minute))
		return false;
	mime_skip_cfws(d->s, &d->at);
	if (!take(d, ':'))
		return true;
	mime_skip_cfws(d->s, &d->at);
	return number(d, 2, &c->second) > 0;
}

/* Day, month and year up to the time; also "Nov 22 19:54:30 2026" as asctime() writes
 * it: *out_year_last. */
static bool calendar_day(struct date_scan *d, struct civil *c, bool *out_year_last)
{
	slice w = word(d);

	if (is_day_name(w)) {
		mime_skip_cfws(d->s, &d->at);
		take(d, ',');
		w = word(d);
	}
	c->month = month_of(w);
	*out_year_last = c->month != 0;
	if (w.n && !c->month)
		return false;
	mime_skip_cfws(d->s, &d->at);
	if (!number(d, 2, &c->day))
		return false;
	if (*out_year_last)
		return true;
	mime_skip_cfws(d->s, &d->at);
	take(d, '-');
	c->month = month_of(word(d));
	mime_skip_cfws(d->s, &d->at);
	take(d, '-');
	return c->month && year(d, &c->year);
}

bool mime_date_parse(slice s, struct mime_date *out)
{
	struct date_scan d = { s, 0 };
	struct civil c = { 0 };
	bool year_last;

	if (!calendar_day(&d, &c, &year_last) || !time_of_day(&d, &c))
		return false;
	mime_skip_cfws(s, &d.at);
	if (!numeric_zone(&d, &c.zone))
		c.zone = named_zone(word(&d));
	if (year_last) {
		mime_skip_cfws(s, &d.at);
		if (!year(&d, &c.year))
			return false;
	}
	if (!is_in_range(&c))
		return false;
	out->unix_s = civil_to_unix(&c);
	out->zone = c.zone;
	return true;
}

static void write_zone(struct buf *b, int zone)
{
	unsigned z = (unsigned)(zone < 0 ? -zone : zone);

	buf_addf(b, "%c%02u%02u", zone < 0 ? '-' : '+', z / 60, z % 60);
}

void mime_date_write(struct buf *b, const struct mime_date *d)
{
	struct civil c = civil_from_unix(d->unix_s, d->zone);

	buf_addf(b, "%s, %d %s %04d %02d:%02d:%02d ", civil_days[c.weekday], c.day,
		 civil_months[c.month - 1], c.year, c.hour, c.minute, c.second);
	write_zone(b, d->zone);
}

bool mime_internaldate_parse(slice s, struct mime_date *out)
{
	struct date_scan d = { s, 0 };
	struct civil c = { 0 };
	slice month;
	bool one_digit = take(&d, ' ');

	if (number(&d, 2, &c.day) != (one_digit ? 1 : 2) || !take(&d, '-'))
		return false;
	month = slice_sub(s, d.at, 3);
	c.month = month.n == 3 ? month_of(month) : 0;
	d.at += month.n;
	if (!take(&d, '-') || number(&d, 4, &c.year) != 4 || !take(&d, ' ') ||
	    number(&d, 2, &c.hour) != 2 || !take(&d, ':') ||
	    number(&d, 2, &c.minute) != 2 || !take(&d, ':') ||
	    number(&d, 2, &c.second) != 2 || !take(&d, ' ') ||
	    !numeric_zone(&d, &c.zone) || d.at != s.n || c.year < 1 || !is_in_range(&c))
		return false;
	out->unix_s = civil_to_unix(&c);
	out->zone = c.zone;
	return true;
}

void mime_internaldate_write(struct buf *b, const struct mime_date *d)
{
	struct civil c = civil_from_unix(d->unix_s, d->zone);

	buf_addf(b, "%2d-%s-%04d %02d:%02d:%02d ", c.day, civil_months[c.month - 1],
		 c.year, c.hour, c.minute, c.second);
	write_zone(b, d->zone);
}
