/* cli_progress.c — how far a long command is: a bar on a terminal, now and then a line
 * elsewhere. */
#include "cli/cli.h"

#define BAR_EVERY_MS  150
#define LINE_EVERY_MS 10000
#define BAR_CELLS     24
#define RATE_AFTER_MS 500

static int64_t since_ms(const struct timespec *from, const struct timespec *to)
{
	return (to->tv_sec - from->tv_sec) * 1000 +
	       (to->tv_nsec - from->tv_nsec) / 1000000;
}

void cli_progress_init(struct cli_progress *p, const struct cli *c, const char *unit)
{
	*p = (struct cli_progress){ .on = !c->json && !c->quiet, .unit = unit };
	p->bar = p->on && isatty(STDERR_FILENO);
	clock_gettime(CLOCK_MONOTONIC, &p->start);
	p->last = p->start;
}

static void put_bar(uint64_t done, uint64_t all)
{
	unsigned full = (unsigned)(done >= all ? BAR_CELLS : done * BAR_CELLS / all);
	fputc('[', stderr);
	for (unsigned i = 0; i < BAR_CELLS; i++)
		fputc(i < full ? '#' : '.', stderr);
	fprintf(stderr, "] %3u %%  ", (unsigned)(done >= all ? 100 : done * 100 / all));
}

static void put_left(uint64_t s)
{
	if (s >= 3600)
		fprintf(stderr, ", %llu h %02llu min left", (unsigned long long)s / 3600,
			(unsigned long long)s % 3600 / 60);
	else if (s >= 60)
		fprintf(stderr, ", %llu min %02llu s left", (unsigned long long)s / 60,
			(unsigned long long)s % 60);
	else
		fprintf(stderr, ", %llu s left", (unsigned long long)s);
}

void cli_progress_set(struct cli_progress *p, uint64_t done, uint64_t all, uint64_t bytes)
{
	struct timespec now;
	if (!p->on)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (since_ms(&p->last, &now) < (p->bar ? BAR_EVERY_MS : LINE_EVERY_MS))
		return;
	p->last = now;
	uint64_t ms = (uint64_t)since_ms(&p->start, &now);
	if (p->bar)
		fputs("\r\033[K", stderr);
	if (p->bar && all > 0)
		put_bar(done, all);
	fprintf(stderr, "%llu", (unsigned long long)done);
	if (all > 0)
		fprintf(stderr, " of %llu", (unsigned long long)all);
	fprintf(stderr, " %s", p->unit);
	if (ms >= RATE_AFTER_MS) {
		fprintf(stderr, ", %llu/s", (unsigned long long)(done * 1000 / ms));
		if (bytes > 0)
			fprintf(stderr, ", %llu MB/s",
				(unsigned long long)(bytes / 1000 / ms));
		if (all > done && done > 0)
			put_left((uint64_t)((double)(all - done) * (double)ms /
					    (double)done / 1000));
	}
	if (!p->bar)
		fputc('\n', stderr);
	fflush(stderr);
	p->shown = p->bar;
}

void cli_progress_clear(struct cli_progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
