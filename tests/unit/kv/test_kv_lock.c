/* Locks: order of grants, hand-off, giving back, and what happens to those who wait when the store stops. */
#include "kv_test.h"
#include <pthread.h>

static char order[64]; /* who was woken, in turn */

struct who {
	struct parked p;
	char name;
	uint32_t ids[4];
	size_t n;
	struct kv_txn *t;
};
static void woken(struct parked *p)
{
	struct who *w = (struct who *)p;
	size_t n = strlen(order);
	order[n] = w->name;
	order[n + 1] = 0;
}
#define WHO(letter, ...)                                                        \
	{                                                                       \
		.p = { .wake = woken }, .name = letter, .ids = { __VA_ARGS__ }, \
		.n = sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t)     \
	}

static enum status ask(struct kv *kv, struct who *w)
{
	struct err e;
	return kv_begin(kv, w->ids, w->n, &w->p, &w->t, &e);
}

static struct kv *fresh(void)
{
	order[0] = 0;
	return open_kv(KV_MEMORY, KV_COMMIT_MANUAL, NULL);
}

static void one_lock_is_granted_in_the_order_of_asking(void **state)
{
	(void)state;
	struct kv *kv = fresh();
	struct who a = WHO('a', 1), b = WHO('b', 1), c = WHO('c', 1), d = WHO('d', 2);
	assert_int_equal(ask(kv, &a), ST_OK);
	assert_int_equal(ask(kv, &b), ST_WAIT);
	assert_int_equal(ask(kv, &c), ST_WAIT);
	assert_int_equal(ask(kv, &d), ST_OK);
	assert_string_equal(order, "");
	kv_abort(a.t);
	assert_string_equal(order, "b");
	/* Woken means granted: a newcomer comes behind c. */
	assert_int_equal(ask(kv, &a), ST_WAIT);
	assert_int_equal(ask(kv, &b), ST_OK);
	struct result r = RESULT;
	kv_commit(b.t, &r.d); /* the lock goes on before the commit is durable */
	assert_int_equal(r.calls, 0);
	assert_string_equal(order, "bc");
	assert_int_equal(ask(kv, &c), ST_OK);
	kv_abort(c.t);
	assert_string_equal(order, "bca");
	assert_int_equal(ask(kv, &a), ST_OK);
	kv_abort(a.t);
	kv_abort(d.t);
	kv_close(kv);
	assert_int_equal(r.st, ST_OK);
}

static void several_locks_come_together_and_never_deadlock(void **state)
{
	(void)state;
	struct kv *kv = fresh();
	struct who a = WHO('a', 2), b = WHO('b', 1, 2, 3), c = WHO('c', 3),
		   d = WHO('d', 1, 3), x = WHO('x', 3);
	assert_int_equal(ask(kv, &a), ST_OK);
	assert_int_equal(ask(kv, &b), ST_WAIT); /* has 1, waits for 2 */
	assert_int_equal(ask(kv, &c), ST_OK);	/* 3 is still free */
	assert_int_equal(ask(kv, &d), ST_WAIT); /* behind b on 1 */
	assert_int_equal(ask(kv, &x), ST_WAIT);
	kv_abort(a.t); /* b goes on to 3, behind x */
	assert_string_equal(order, "");
	kv_abort(c.t);
	assert_string_equal(order, "x");
	assert_int_equal(ask(kv, &x), ST_OK);
	kv_abort(x.t);
	assert_string_equal(order, "xb");
	assert_int_equal(ask(kv, &b), ST_OK);
	kv_abort(b.t);
	assert_string_equal(order, "xbd");
	assert_int_equal(ask(kv, &d), ST_OK);
	kv_abort(d.t);
	kv_close(kv);
}

static void a_waiter_can_leave_at_any_time(void **state)
{
	(void)state;
	struct kv *kv = fresh();
	struct who a = WHO('a', 2), b = WHO('b', 1, 2), c = WHO('c', 2), d = WHO('d', 1),
		   m = WHO('m', 2);
	assert_int_equal(ask(kv, &a), ST_OK);
	assert_int_equal(ask(kv, &b), ST_WAIT);
	assert_int_equal(ask(kv, &m), ST_WAIT);
	assert_int_equal(ask(kv, &c), ST_WAIT);
	assert_int_equal(ask(kv, &d), ST_WAIT);
	kv_unpark(kv, &m.p); /* from the middle of the line */
	kv_unpark(kv, &b.p); /* from its head, with lock 1 in hand */
	assert_string_equal(order, "d");
	kv_unpark(kv, &d.p); /* granted, not wanted any more */
	kv_abort(a.t);
	assert_string_equal(order, "dc");
	/* m comes again, at the end of the line, and leaves it as its last. */
	assert_int_equal(ask(kv, &m), ST_WAIT);
	kv_unpark(kv, &m.p);
	assert_int_equal(ask(kv, &b), ST_WAIT);
	assert_int_equal(ask(kv, &c), ST_OK);
	kv_abort(c.t);
	assert_string_equal(order, "dcb");
	assert_int_equal(ask(kv, &b), ST_OK);
	kv_abort(b.t);
	kv_unpark(kv, &b.p); /* nothing is its own any more */
	kv_close(kv);
}

static void a_stopped_store_lets_nobody_begin(void **state)
{
	(void)state;
	struct kv *kv = fresh();
	struct who a = WHO('a', 1), b = WHO('b', 1), c = WHO('c', 1);
	struct result r = RESULT;
	struct err e;
	struct kv_stat s;
	assert_int_equal(ask(kv, &a), ST_OK);
	assert_int_equal(ask(kv, &b), ST_WAIT);
	put(a.t, "k", "v");
	kv_memory_fail(kv->en, 1, ERR_STOPPED);
	kv_commit(a.t, &r.d);
	assert_string_equal(order, "b");
	kv_pump(kv);
	assert_int_equal(r.calls, 1);
	assert_int_equal(r.why.code, ERR_STOPPED);
	assert_int_equal(kv_begin(kv, b.ids, 1, &b.p, &b.t, &e), ST_IO);
	assert_int_equal(e.code, ERR_STOPPED);
	assert_int_equal(kv_begin(kv, c.ids, 1, &c.p, &c.t, &e), ST_IO);
	kv_stat(kv, &s);
	assert_true(s.stopped);
	kv_close(kv); /* asserts that no lock is left behind */
}

/* Threads that take random sets of locks and count under them: a lost wake-up hangs, a doubled grant miscounts. */
enum { THREADS = 8, ROUNDS = 400, LOCKS = 5 };
static struct kv *shared;
static unsigned counts[LOCKS]; /* each under its lock */

static void *hammer(void *arg)
{
	uint32_t seed = *(uint32_t *)arg;
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t ids[LOCKS];
		size_t n = 0;
		struct kv_txn *t;
		struct err e;
		seed = seed * 1664525u + 1013904223u;
		for (uint32_t id = 0; id < LOCKS; id++)
			if (seed >> (8 + 2 * id) & 1)
				ids[n++] = id;
		assert_int_equal(kv_begin(shared, ids, n, NULL, &t, &e), ST_OK);
		for (size_t k = 0; k < n; k++) {
			char key[2] = { (char)('0' + ids[k]), 0 };
			const char *old = get(shared, t, kv_txn_arena(t), key);
			counts[ids[k]]++;
			slice now = arena_fmt(kv_txn_arena(t), "%d",
					      (old ? (int)strtol(old, NULL, 10) : 0) + 1);
			kv_put(t, slice_str(key), now);
		}
		if (i % 16 == 0)
			assert_int_equal(kv_commit_wait(t, &e), ST_OK);
		else
			kv_commit(t, NULL);
	}
	return NULL;
}

static void threads_count_under_locks_without_losing_one(void **state)
{
	(void)state;
	AUTO_ARENA a = { 0 };
	pthread_t th[THREADS];
	uint32_t seeds[THREADS];
	shared = open_kv(KV_MEMORY, KV_COMMIT_THREAD, NULL);
	memset(counts, 0, sizeof(counts));
	for (uint32_t i = 0; i < THREADS; i++) {
		seeds[i] = i * 77 + 1;
		assert_int_equal(pthread_create(&th[i], NULL, hammer, &seeds[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(th[i], NULL);
	struct kv_txn *t = begin(shared, 0);
	commit_ok(t);
	for (int i = 0; i < LOCKS; i++) {
		char key[2] = { (char)('0' + i), 0 };
		assert_true(counts[i] > 0);
		assert_int_equal(strtol(get(shared, NULL, &a, key), NULL, 10), counts[i]);
	}
	kv_close(shared);
}

/* The same with parked callers that change their mind at any moment: after kv_unpark nobody wakes them. */
struct guest {
	struct parked p;
	pthread_mutex_t mu;
	pthread_cond_t cond;
	bool awake, gone;
	uint32_t seed;
	unsigned taken, left;
};
static unsigned inside[LOCKS]; /* each under its lock */

static void rouse(struct parked *p)
{
	struct guest *g = (struct guest *)p;
	pthread_mutex_lock(&g->mu);
	if (g->gone || g->awake)
		abort(); /* woken twice, or after it has left */
	g->awake = true;
	pthread_cond_signal(&g->cond);
	pthread_mutex_unlock(&g->mu);
}

static void leave(struct guest *g)
{
	kv_unpark(shared, &g->p);
	pthread_mutex_lock(&g->mu);
	g->gone = true;
	pthread_mutex_unlock(&g->mu);
	g->left++;
}

static void *visit(void *arg)
{
	struct guest *g = arg;
	for (int i = 0; i < ROUNDS * 2; i++) {
		uint32_t ids[LOCKS];
		size_t n = 0;
		struct kv_txn *t;
		struct err e;
		g->seed = g->seed * 1664525u + 1013904223u;
		for (uint32_t id = 0; id < LOCKS; id++)
			if (g->seed >> (8 + 2 * id) & 1)
				ids[n++] = id;
		pthread_mutex_lock(&g->mu);
		g->gone = g->awake = false;
		pthread_mutex_unlock(&g->mu);
		if (kv_begin(shared, ids, n, &g->p, &t, &e) == ST_WAIT) {
			if (g->seed >> 28 < 4) {
				leave(g);
				continue;
			}
			pthread_mutex_lock(&g->mu);
			while (!g->awake)
				pthread_cond_wait(&g->cond, &g->mu);
			pthread_mutex_unlock(&g->mu);
			if (g->seed >> 28 < 6) {
				leave(g);
				continue;
			}
			if (kv_begin(shared, ids, n, &g->p, &t, &e) != ST_OK)
				abort(); /* woken means granted */
		}
		for (size_t k = 0; k < n; k++)
			if (inside[ids[k]]++ != 0)
				abort();
		for (size_t k = 0; k < n; k++)
			inside[ids[k]]--;
		g->taken++;
		kv_abort(t);
	}
	return NULL;
}

static void parked_callers_come_and_go_without_a_lost_wake_up(void **state)
{
	(void)state;
	static struct guest g[THREADS];
	pthread_t th[THREADS];
	unsigned taken = 0, left = 0;
	shared = open_kv(KV_MEMORY, KV_COMMIT_MANUAL, NULL);
	for (uint32_t i = 0; i < THREADS; i++) {
		g[i] = (struct guest){ .p = { .wake = rouse }, .seed = i * 99 + 5 };
		pthread_mutex_init(&g[i].mu, NULL);
		pthread_cond_init(&g[i].cond, NULL);
		assert_int_equal(pthread_create(&th[i], NULL, visit, &g[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(th[i], NULL);
		taken += g[i].taken;
		left += g[i].left;
	}
	assert_int_equal(taken + left, THREADS * ROUNDS * 2);
	assert_true(taken > 0);
	kv_close(shared); /* asserts that no lock is left behind */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_lock_is_granted_in_the_order_of_asking),
		cmocka_unit_test(several_locks_come_together_and_never_deadlock),
		cmocka_unit_test(a_waiter_can_leave_at_any_time),
		cmocka_unit_test(a_stopped_store_lets_nobody_begin),
		cmocka_unit_test(threads_count_under_locks_without_losing_one),
		cmocka_unit_test(parked_callers_come_and_go_without_a_lost_wake_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
