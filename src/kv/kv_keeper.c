/* kv_keeper.c — the thread that tidies up behind the committer: it collects (kv_collect.c) in small steps.
 *
 * Its pace is a share of its own time: after each step it sleeps, for as long as the step took when nobody commits,
 * for several times that while somebody does, and at least until the octets it moved fit its rate. A step takes a
 * few milliseconds and commits one transaction. */
#include "kv/kv_internal.h"
#include <errno.h>

#define FIRST_PASS_US (3 * 1000000)  /* after opening: what was left by the last run */
#define PASS_EVERY_US (10 * 1000000) /* while references are deleted */
#define LOOK_EVERY_US (1 * 1000000)
#define FAILED_US     (60 * 1000000) /* no disk, say */
#define RATE_BUSY     16u	     /* octets a microsecond is MB/s */
#define RATE_IDLE     128u
#define SHARE_BUSY    5 /* sleeps so many times the length of a step */
#define SHARE_IDLE    1
#define SLEEP_MAX_US  500000

/* False when the store closes. */
static bool nap(struct kv *kv, int64_t us)
{
	struct kv_keeper *k = &kv->keeper;
	int64_t until = clock_mono_us(&kv->clock) + us;
	struct timespec ts = { .tv_sec = until / 1000000,
			       .tv_nsec = until % 1000000 * 1000 };

	pthread_mutex_lock(&k->mu);
	while (!k->closing && pthread_cond_timedwait(&k->cond, &k->mu, &ts) != ETIMEDOUT)
		;
	bool go_on = !k->closing;
	pthread_mutex_unlock(&k->mu);
	return go_on;
}

/* One pass, step by step; false when the store closes. */
static bool collect(struct kv *kv)
{
	struct kv_pass p;
	bool more = true, go_on = true;
	struct err e;

	kv_pass_init(&p, kv, false);
	while (more && go_on) {
		uint64_t bytes = p.bytes, txns = kv->stats.txns;
		int64_t began = clock_mono_us(&kv->clock);
		enum status st = kv_pass_step(&p, &more, &e);
		int64_t took = clock_mono_us(&kv->clock) - began;
		if (st != ST_OK) {
			go_on = nap(kv, FAILED_US);
			break;
		}
		if (!more)
			break;
		/* One of the transactions may be the step's own. */
		bool busy = kv->stats.txns > txns + 1;
		int64_t us = took * (busy ? SHARE_BUSY : SHARE_IDLE);
		int64_t due =
			(int64_t)((p.bytes - bytes) / (busy ? RATE_BUSY : RATE_IDLE));
		if (us < due)
			us = due;
		go_on = nap(kv, us < SLEEP_MAX_US ? us : SLEEP_MAX_US);
	}
	kv_pass_done(&p);
	return go_on;
}

static void *keep(void *arg)
{
	struct kv *kv = arg;
	int64_t next = clock_mono_us(&kv->clock) + FIRST_PASS_US;
	uint64_t seen = UINT64_MAX; /* unrefs; the first pass comes in any case */

	while (nap(kv, LOOK_EVERY_US)) {
		if (clock_mono_us(&kv->clock) < next || kv->gc.unrefs == seen ||
		    kv->stopped)
			continue;
		seen = kv->gc.unrefs;
		if (!collect(kv))
			break;
		next = clock_mono_us(&kv->clock) + PASS_EVERY_US;
	}
	return NULL;
}

enum status kv_keeper_start(struct kv *kv, struct err *e)
{
	struct kv_keeper *k = &kv->keeper;
	pthread_condattr_t monotonic;

	pthread_mutex_init(&k->mu, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&k->cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (pthread_create(&k->thread, NULL, keep, kv) != 0) {
		pthread_cond_destroy(&k->cond);
		pthread_mutex_destroy(&k->mu);
		return err_set(e, ERR_IO, "the keeper's thread cannot be started");
	}
	k->started = true;
	return ST_OK;
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
