/* kv_keeper.c — the thread that tidies up behind the committer: it collects (kv_collect.c) in small steps.
 *
 * Its pace is a share of a processor: after each step it sleeps several times the processor time that the step has
 * cost, its own and what its requests cost the committer, while others commit, and a short while when nobody does;
 * and at least until the octets it read and wrote fit its rate. A step commits at most one transaction. Between two
 * steps it makes the log's next segment ready (kv_spare.c). */
#include "kv/kv_internal.h"
#include <errno.h>

#define FIRST_PASS_US (3 * 1000000)  /* after opening: what was left by the last run */
#define PASS_EVERY_US (10 * 1000000) /* while references are deleted */
#define LOOK_EVERY_US (1 * 1000000)
#define FAILED_US     (60 * 1000000) /* no disk, say */
#define RATE_BUSY     16u	     /* octets a microsecond is MB/s */
#define RATE_IDLE     128u
#define SHARE_BUSY    4 /* sleeps so many times what a step has cost */
#define SHARE_IDLE    0.5
#define REQUEST_US    30 /* what one costs the committer */
#define SLEEP_MIN_US  500
#define SLEEP_MAX_US  500000

/* False when the store closes. *out_woken: kv_keeper_wake ended it. */
static bool nap(struct kv *kv, int64_t us, bool *out_woken)
{
	struct kv_keeper *k = &kv->keeper;
	int64_t until = clock_mono_us(&kv->clock) + us;
	struct timespec ts = { .tv_sec = until / 1000000,
			       .tv_nsec = until % 1000000 * 1000 };

	pthread_mutex_lock(&k->mu);
	for (int r = 0; !k->closing && !(out_woken && k->woken) && r != ETIMEDOUT;) {
		if (kv->spare.wanted) {
			pthread_mutex_unlock(&k->mu);
			kv_spare_tend(kv);
			pthread_mutex_lock(&k->mu);
			continue;
		}
		r = pthread_cond_timedwait(&k->cond, &k->mu, &ts);
	}
	bool go_on = !k->closing;
	if (out_woken) {
		*out_woken = k->woken;
		k->woken = false;
	}
	pthread_mutex_unlock(&k->mu);
	return go_on;
}

static int64_t cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* How long to sleep behind a step of so much time, processor time, octets and requests. */
static int64_t pause_of(int64_t took, int64_t cpu, uint64_t bytes, uint64_t asked,
			bool busy)
{
	double cost = (double)cpu + (double)asked * REQUEST_US;
	int64_t us = (int64_t)(cost * (busy ? SHARE_BUSY : SHARE_IDLE));
	int64_t due = (int64_t)(bytes / (busy ? RATE_BUSY : RATE_IDLE));

	if (us < due)
		us = due;
	if (busy &&
	    us < took) /* every other batch is free of us, however slow they are */
		us = took;
	if (us < SLEEP_MIN_US)
		us = SLEEP_MIN_US;
	return us < SLEEP_MAX_US ? us : SLEEP_MAX_US;
}

/* One pass, step by step; false when the store closes. */
static bool collect(struct kv *kv)
{
	struct kv_pass p;
	bool more = true, go_on = true;
	struct err e;

	kv_pass_init(&p, kv, false);
	while (more && go_on && !kv->gc.paused) {
		uint64_t bytes = p.bytes, asked = p.asked, txns = kv->stats.txns;
		int64_t cpu = cpu_us(), began = clock_mono_us(&kv->clock);
		if (kv_pass_step(&p, &more, &e) != ST_OK) {
			go_on = nap(kv, FAILED_US, NULL);
			break;
		}
		/* One of the transactions may be the step's own. */
		bool busy = kv->stats.txns > txns + 1;
		if (more)
			go_on = nap(kv,
				    pause_of(clock_mono_us(&kv->clock) - began,
					     cpu_us() - cpu, p.bytes - bytes,
					     p.asked - asked, busy),
				    NULL);
	}
	kv_pass_done(&p);
	return go_on;
}

static void *keep(void *arg)
{
	struct kv *kv = arg;
	int64_t next = clock_mono_us(&kv->clock) + FIRST_PASS_US;
	bool woken;
	uint64_t seen = UINT64_MAX; /* unrefs; the first pass comes in any case */

	while (nap(kv, LOOK_EVERY_US, &woken)) {
		if (kv->disk_low && kv->spare.ready)
			kv_spare_tend(kv);
		if ((!woken && clock_mono_us(&kv->clock) < next) ||
		    kv->gc.unrefs == seen || kv->gc.paused || kv->stopped)
			continue;
		seen = kv->gc.unrefs;
		if (!collect(kv))
			break;
		next = clock_mono_us(&kv->clock) + kv->keeper.every_us;
	}
	return NULL;
}

enum status kv_keeper_start(struct kv *kv, struct err *e)
{
	struct kv_keeper *k = &kv->keeper;
	pthread_condattr_t monotonic;

	k->every_us = PASS_EVERY_US;
	pthread_mutex_init(&k->mu, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&k->cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
	k->started = true; /* the thread asks, too */
	if (pthread_create(&k->thread, NULL, keep, kv) != 0) {
		k->started = false;
		pthread_cond_destroy(&k->cond);
		pthread_mutex_destroy(&k->mu);
		return err_set(e, ERR_IO, "the keeper's thread cannot be started");
	}
	return ST_OK;
}

void kv_keeper_wake(struct kv *kv)
{
	struct kv_keeper *k = &kv->keeper;

	if (!k->started)
		return;
	pthread_mutex_lock(&k->mu);
	k->woken = true;
	pthread_cond_signal(&k->cond);
	pthread_mutex_unlock(&k->mu);
}

void kv_keeper_stop(struct kv *kv)
{
	struct kv_keeper *k = &kv->keeper;

	if (!k->started)
		return;
	pthread_mutex_lock(&k->mu);
	k->closing = true;
	pthread_cond_signal(&k->cond);
	pthread_mutex_unlock(&k->mu);
	pthread_join(k->thread, NULL);
	pthread_cond_destroy(&k->cond);
	pthread_mutex_destroy(&k->mu);
	k->started = false;
}
