#include "work/pool.h"
#include "base/alloc.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool open;
	int inside, most, done;
};
struct item {
	struct job j;
	struct gate *g;
	char **order; /* where the next name goes */
	int n;
};
static const struct gate closed_gate = { .lock = PTHREAD_MUTEX_INITIALIZER,
					 .moved = PTHREAD_COND_INITIALIZER };

static void write_name(struct job *j)
{
	struct item *i = (struct item *)j;
	char **p = i->order;

	*(*p)++ = (char)('a' + j->key);
	*(*p)++ = (char)('0' + i->n);
}

static void keys_take_turns_and_keep_their_order(void **state)
{
	static const uint32_t keys[] = { 1, 1, 1, 1, 2, 2, 0, 1 };
	struct pool *p = pool_new("sim", 0, 0);
	char order[64] = "", *end = order;
	struct item items[8];
	int i;

	(void)state;
	for (i = 0; i < 8; i++) {
		items[i] = (struct item){ .j = { write_name, keys[i], NULL },
					  .order = &end,
					  .n = i };
		pool_submit(p, &items[i].j);
	}
	while (pool_step(p))
		;
	assert_string_equal(order, "b0c4a6b1c5b2b3b7");
	pool_free(p);
}

static void wait_at_gate(struct job *j)
{
	struct item *i = (struct item *)j;
	struct gate *g = i->g;

	pthread_mutex_lock(&g->lock);
	if (++g->inside > g->most)
		g->most = g->inside;
	pthread_cond_broadcast(&g->moved);
	while (!g->open)
		pthread_cond_wait(&g->moved, &g->lock);
	g->inside--;
	g->done++;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

static void wait_until(struct gate *g, const int *what, int n)
{
	pthread_mutex_lock(&g->lock);
	while (*what < n)
		pthread_cond_wait(&g->moved, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static void open_gate(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

static void a_busy_key_leaves_a_worker_to_others(void **state)
{
	struct gate busy = closed_gate, other = closed_gate;
	struct pool *p = pool_new("test", 4, 64 << 10);
	struct item items[20], x;
	int i;

	(void)state;
	other.open = true;
	for (i = 0; i < 20; i++) {
		items[i] = (struct item){ .j = { wait_at_gate, 7, NULL }, .g = &busy };
		pool_submit(p, &items[i].j);
	}
	wait_until(&busy, &busy.inside, 3);
	for (i = 0; i < 50; i++) { /* each finds the fourth worker free */
		x = (struct item){ .j = { wait_at_gate, (uint32_t)(i % 2 ? 8 : 0), NULL },
				   .g = &other };
		pool_submit(p, &x.j);
		wait_until(&other, &other.done, i + 1);
	}
	assert_int_equal(busy.most, 3);
	open_gate(&busy);
	pool_free(p); /* runs what is queued */
	assert_int_equal(busy.done, 20);
	assert_int_equal(busy.most, 3);
}

/* One wake-up is on its way at a time; still nobody sleeps while a job waits. */
static void a_list_of_jobs_wakes_as_many_as_it_needs(void **state)
{
	struct pool *p = pool_new("test", 4, 64 << 10);
	struct gate g;
	struct item items[4];
	int i, round;

	(void)state;
	for (round = 0; round < 200; round++) {
		g = closed_gate;
		for (i = 0; i < 4; i++)
			items[i] = (struct item){
				.j = { wait_at_gate, (uint32_t)i,
				       i < 3 ? &items[i + 1].j : NULL },
				.g = &g,
			};
		pool_submit_list(p, &items[0].j);
		wait_until(&g, &g.inside, 4); /* hangs when one is left asleep */
		open_gate(&g);
		wait_until(&g, &g.done, 4);
	}
	pool_free(p);
}

static void a_pool_of_one_serves_every_key(void **state)
{
	struct gate g = closed_gate;
	struct pool *p = pool_new_nice("test", 1, 0, 5);
	struct item items[10];
	int i;

	(void)state;
	g.open = true;
	for (i = 0; i < 10; i++) {
		items[i] = (struct item){ .j = { wait_at_gate, (uint32_t)i % 3, NULL },
					  .g = &g };
		pool_submit(p, &items[i].j);
	}
	pool_free(p);
	assert_int_equal(g.done, 10);
	assert_int_equal(g.most, 1);
}

enum { SUBMITTERS = 4, JOBS = 5000 };
struct submitter {
	struct pool *p;
	struct item *items;
	uint32_t key;
	pthread_t id;
};
static _Atomic int ran;

static void count(struct job *j)
{
	(void)j;
	atomic_fetch_add(&ran, 1);
}

static void *submit(void *arg)
{
	struct submitter *s = arg;
	int i;

	for (i = 0; i < JOBS; i++) {
		s->items[i].j =
			(struct job){ count, s->key + (uint32_t)(i % 1500), NULL };
		pool_submit(s->p, &s->items[i].j);
	}
	return NULL;
}

static void many_threads_may_submit(void **state)
{
	struct pool *p = pool_new("test", 3, 0);
	struct submitter s[SUBMITTERS];
	int i;

	(void)state;
	for (i = 0; i < SUBMITTERS; i++) {
		s[i] = (struct submitter){ .p = p,
					   .items = mem_array(JOBS, sizeof(struct item)),
					   .key = (uint32_t)i };
		assert_int_equal(pthread_create(&s[i].id, NULL, submit, &s[i]), 0);
	}
	for (i = 0; i < SUBMITTERS; i++)
		pthread_join(s[i].id, NULL);
	pool_free(p);
	assert_int_equal(ran, SUBMITTERS * JOBS);
	for (i = 0; i < SUBMITTERS; i++)
		mem_free(s[i].items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_take_turns_and_keep_their_order),
		cmocka_unit_test(a_busy_key_leaves_a_worker_to_others),
		cmocka_unit_test(a_list_of_jobs_wakes_as_many_as_it_needs),
		cmocka_unit_test(a_pool_of_one_serves_every_key),
		cmocka_unit_test(many_threads_may_submit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
