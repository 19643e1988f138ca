/* test_store_threads.c — many threads on shared accounts with the committer in its own:
 * nothing lost, all counts right. Meant for the thread sanitizer. */
#include "store_test.h"
#include <pthread.h>

#define TEXT "Message-ID: <%u@x>\r\nSubject: x\r\n\r\nbody\r\n"

enum { THREADS = 6, EACH = 60, ACCOUNTS = 3 };

struct waiter { /* what a worker and its session are in the server, in small */
	struct parked p;
	struct done d;
	pthread_mutex_t mu;
	pthread_cond_t cond;
	bool awake, done;
	enum status st;
};
struct worker {
	pthread_t thread;
	struct bench *b;
	unsigned no;
	uint32_t acct[ACCOUNTS];
	unsigned added, expunged;
	bool bad;
};

static void on_wake(struct parked *p)
{
	struct waiter *w = (struct waiter *)p;

	pthread_mutex_lock(&w->mu);
	w->awake = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mu);
}

static void on_done(struct done *d, enum status st, const struct err *why)
{
	struct waiter *w = (struct waiter *)((char *)d - offsetof(struct waiter, d));

	(void)why;
	pthread_mutex_lock(&w->mu);
	w->done = true;
	w->st = st;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mu);
}

static void wait_for(struct waiter *w, bool *what)
{
	pthread_mutex_lock(&w->mu);
	while (!*what)
		pthread_cond_wait(&w->cond, &w->mu);
	*what = false;
	pthread_mutex_unlock(&w->mu);
}

static struct store_txn *begin_parked(struct worker *x, struct waiter *w,
				      const uint32_t *ids, size_t n)
{
	struct store_txn *t = NULL;
	struct err e;
	enum status st;

	while ((st = store_begin(x->b->s, ids, n, &w->p, &t, &e)) == ST_WAIT)
		wait_for(w, &w->awake);
	x->bad = x->bad || st != ST_OK;
	return t;
}

static void one_delivery(struct worker *x, struct waiter *w, unsigned i)
{
	AUTO_ARENA a;
	struct err e;
	uint32_t ids[] = { x->acct[i % ACCOUNTS], x->acct[(i + 1) % ACCOUNTS] };
	size_t n = ids[0] < ids[1] ? 2 : 1;
	struct intake *in = intake_new(x->b->s, INTAKE_STRIP_TRACE, LIMIT_MESSAGE);

	arena_init(&a);
	x->bad = x->bad ||
		 intake_write(in, arena_fmt(&a, TEXT, x->no * EACH + i), &e) != ST_OK ||
		 intake_end(in, &e) != ST_OK;
	struct store_txn *t = begin_parked(x, w, ids, n);

	for (size_t k = 0; k < n; k++) {
		struct store_place place = { .account = ids[k] };

		x->bad = x->bad || store_add(t, in, &place, NULL, &e) != ST_OK;
		x->added++;
	}
	store_commit(t, &w->d);
	intake_free(in);
	wait_for(w, &w->done);
	x->bad = x->bad || w->st != ST_OK;
}

static void one_look(struct worker *x, struct waiter *w, uint32_t account)
{
	AUTO_ARENA a;
	struct err e;
	struct store_mailbox m;
	const struct store_view *v;

	arena_init(&a);
	x->bad = x->bad ||
		 store_mailbox_find(x->b->s, account, SL("inbox"), &a, &m, &e) != ST_OK ||
		 store_view_open(x->b->s, account, m.id, &v, &e) != ST_OK;
	if (x->bad)
		return;
	for (size_t i = 1; i < v->n; i++)
		x->bad = x->bad || v->uid[i - 1] >= v->uid[i];
	if (v->n > 10) {
		struct store_uids u = { (uint32_t *)v->uid, 1 }, gone;
		struct store_flags f = { FLAG_SEEN, 0 };
		struct store_row row;
		struct store_txn *t = begin_parked(x, w, &account, 1);

		x->bad = x->bad ||
			 store_flags_change(t, account, m.id, &u, FLAG_ADD, f, NULL, NULL,
					    &e) ||
			 store_expunge(t, account, m.id, &u, false, &gone, &e) != ST_OK;
		x->expunged += (unsigned)gone.n;
		store_commit(t, &w->d);
		wait_for(w, &w->done);
		x->bad = x->bad || store_row_shown(x->b->s, account, m.id, v->uid[0],
						   &row, &e) != ST_OK;
	}
	store_view_unref(x->b->s, v);
}

static void *work(void *arg)
{
	struct worker *x = arg;
	struct waiter w = { .p = { .wake = on_wake }, .d = { on_done } };
	struct err e;
	size_t done;

	pthread_mutex_init(&w.mu, NULL);
	pthread_cond_init(&w.cond, NULL);
	for (unsigned i = 0; i < EACH && !x->bad; i++) {
		one_delivery(x, &w, i);
		if (i % 3 == 0)
			one_look(x, &w, x->acct[i % ACCOUNTS]);
		if (i % 20 == x->no)
			x->bad = x->bad || store_sweep(x->b->s, 1000, &done, &e) != ST_OK;
	}
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.mu);
	return NULL;
}

static void count(struct store_watch *w)
{
	(void)w;
}

static void test_threads_that_deliver_look_and_expunge_lose_nothing(void **state)
{
	struct bench b;
	struct worker x[THREADS];
	uint32_t acct[ACCOUNTS];
	uint64_t want = 0, got = 0;
	struct store_watch watch = { .fn = count };
	size_t done;

	(void)state;
	bench_open(&b, KV_COMMIT_THREAD);
	acct[0] = b.alice;
	acct[1] = b.bob;
	OK(store_account_add(b.s, SL("carol@example.org"), SL("c"), &acct[2], &e));
	watch.account = b.alice;
	store_watch_add(b.s, &watch);
	for (unsigned i = 0; i < THREADS; i++) {
		x[i] = (struct worker){ .b = &b, .no = i };
		memcpy(x[i].acct, acct, sizeof(acct));
		pthread_create(&x[i].thread, NULL, work, &x[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(x[i].thread, NULL);
		assert_false(x[i].bad);
		want += x[i].added - x[i].expunged;
	}
	store_watch_remove(b.s, &watch);
	for (int i = 0; i < ACCOUNTS; i++) {
		struct store_account a;
		const struct store_view *v;

		OK(store_account_by_id(b.s, acct[i], &b.a, &a, &e));
		OK(store_view_open(b.s, acct[i], mbox_id(&b, acct[i], "INBOX"), &v, &e));
		assert_int_equal(v->n, a.messages);
		store_view_unref(b.s, v);
		got += a.messages;
	}
	assert_int_equal(got, want);
	OK(store_sweep(b.s, SIZE_MAX, &done, &e));
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_that_deliver_look_and_expunge_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
