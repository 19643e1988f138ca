/* bench_check.c — facteur check over a store of MESSAGES messages of 10 KB in 20 accounts: how many
 * a second, with all bodies read and with rows alone, and how much memory that takes.
 *
 *	bench_check MESSAGES DIR        DIR is made when it is not there, and left behind */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "kv/kv.h"
#include "store/store_check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { ACCOUNTS = 20, BATCH = 250, SIZE = 10240 };

static void must(enum status st, const struct err *e)
{
	if (st == ST_OK)
		return;
	fprintf(stderr, "bench_check: %s\n", e->text);
	exit(1);
}

static void fill(struct store *s, uint32_t account, unsigned from, unsigned n)
{
	struct err e;
	struct store_txn *t;
	char *text = mem_new(SIZE);

	must(store_begin(s, &account, 1, NULL, &t, &e), &e);
	for (unsigned i = from; i < from + n; i++) {
		struct intake *in = intake_new(s, 0, LIMIT_MESSAGE);
		struct store_place place = { .account = account,
					     .prefix = SL(
						     "Return-Path: <x@example.net>\r\n"),
					     .internal_date = 1700000000 };
		int head = snprintf(
			text, SIZE,
			"From: a@example.net\r\nSubject: %u\r\nMessage-ID: <%u.%u@bench>"
			"\r\nReferences: <%u.%u@bench>\r\n\r\n",
			i, i, account, i / 4 * 4, account);

		for (size_t k = (size_t)head; k < SIZE; k++)
			text[k] = k % 72 == 70	 ? '\r'
				  : k % 72 == 71 ? '\n'
						 : (char)('a' + rand() % 26); /* NOLINT */
		must(intake_write(in, slice_make(text, SIZE), &e), &e);
		must(intake_end(in, &e), &e);
		must(store_add(t, in, &place, NULL, &e), &e);
		intake_free(in);
	}
	must(store_commit_wait(t, &e), &e);
	mem_free(text);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(struct store *s, bool quick)
{
	struct store_check_options o = { .quick = quick };
	struct store_check_result r;
	struct rusage u0, u1;
	struct err e;

	getrusage(RUSAGE_SELF, &u0);
	double t = seconds();

	must(store_check(s, &o, &r, &e), &e);
	t = seconds() - t;
	getrusage(RUSAGE_SELF, &u1);
	double cpu = (double)(u1.ru_utime.tv_sec - u0.ru_utime.tv_sec) +
		     (double)(u1.ru_utime.tv_usec - u0.ru_utime.tv_usec) / 1e6 +
		     (double)(u1.ru_stime.tv_sec - u0.ru_stime.tv_sec) +
		     (double)(u1.ru_stime.tv_usec - u0.ru_stime.tv_usec) / 1e6;

	printf("{\"check\": \"%s\", \"messages\": %llu, \"found\": %llu, \"per_second\": %.0f, "
	       "\"cpu_us_each\": %.1f, \"peak_mb\": %ld}\n",
	       quick ? "quick" : "all", (unsigned long long)r.messages,
	       (unsigned long long)r.found, (double)r.messages / t,
	       cpu * 1e6 / (double)r.messages, u1.ru_maxrss / 1024);
	fflush(stdout);
	if (r.found)
		exit(1);
}

static struct kv *open_kv(const char *dir)
{
	struct kv_options opt = { .engine = KV_ROCKSDB,
				  .mode = KV_COMMIT_INLINE,
				  .dir = dir,
				  .cache_bytes = 8u << 20 };
	struct kv *kv;
	struct err e;

	must(kv_open(&opt, &kv, &e), &e);
	return kv;
}

static void make(const char *dir, unsigned messages)
{
	struct kv *kv = open_kv(dir);
	struct clock clock;
	struct store *s;
	struct err e;

	clock_init_real(&clock);
	must(store_open(kv, &clock, &s, &e), &e);
	must(store_domain_add(s, SL("bench.example"), &e), &e);
	for (unsigned a = 0; a < ACCOUNTS; a++) {
		char name[64];
		uint32_t id;

		snprintf(name, sizeof(name), "user%u@bench.example", a);
		must(store_account_add(s, slice_str(name), SL("{X}"), &id, &e), &e);
		for (unsigned i = 0; i < messages / ACCOUNTS; i += BATCH)
			fill(s, id, i, BATCH);
	}
	store_close(s);
	kv_close(kv);
}

int main(int argc, char **argv)
{
	struct clock clock;
	struct store *s;
	struct err e;

	if (argc != 3) {
		fprintf(stderr, "usage: bench_check MESSAGES DIR\n");
		return 64;
	}
	if (access(argv[2], F_OK) != 0)
		make(argv[2], (unsigned)strtoul(argv[1], NULL, 10));
	struct kv *kv = open_kv(argv[2]);

	clock_init_real(&clock);
	must(store_open(kv, &clock, &s, &e), &e);
	check(s, true);
	check(s, false);
	store_close(s);
	kv_close(kv);
	return 0;
}
