#include "work/pool.h"
#include "base/alloc.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* One key with jobs queued or running. */
struct lane {
	uint32_t key;
	unsigned running;
	bool in_turn; /* it is in the ring */
	struct job *head, *tail;
	struct lane *chain;	  /* of the table */
	struct lane *prev, *next; /* of the ring */
};

enum { BUCKETS = 1024 };

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t more;
	unsigned threads, started, cap; /* cap: workers one key may have */
	unsigned idle, waking; /* asleep; of those: told to wake up, and not yet here */
	int nice;
	bool ending;
	char name[12];
	struct lane *ring; /* the one whose turn it is: lanes with jobs that may run now */
	struct lane *unused; /* kept for the next key, by chain */
	pthread_t *ids;
	struct lane *bucket[BUCKETS];
};

/* --- lanes; all under the lock ---------------------------------------------------- */

static struct lane **lane_slot(struct pool *p, uint32_t key)
{
	struct lane **s = &p->bucket[(key * 2654435761u) >> 22];

	while (*s && (*s)->key != key)
		s = &(*s)->chain;
	return s;
}

static struct lane *lane_get(struct pool *p, uint32_t key)
{
	struct lane **s = lane_slot(p, key), *l = *s;

	if (l)
		return l;
	l = p->unused;
	if (l) {
		p->unused = l->chain;
		memset(l, 0, sizeof(*l));
	} else {
		l = mem_new(sizeof(*l));
	}
	l->key = key;
	*s = l;
	return l;
}

static void ring_add(struct pool *p, struct lane *l) /* at the end of the turn */
{
	if (!p->ring) {
		p->ring = l->prev = l->next = l;
	} else {
		l->next = p->ring;
		l->prev = p->ring->prev;
		l->prev->next = l;
		p->ring->prev = l;
	}
	l->in_turn = true;
}

static void ring_drop(struct pool *p, struct lane *l)
{
	if (l->next == l) {
		p->ring = NULL;
	} else {
		l->prev->next = l->next;
		l->next->prev = l->prev;
		if (p->ring == l)
			p->ring = l->next;
	}
	l->in_turn = false;
}

/* Brings a lane to where its numbers say it belongs. */
static void lane_settle(struct pool *p, struct lane *l)
{
	bool may_run = l->head && (l->key == 0 || l->running < p->cap);

	if (may_run && !l->in_turn)
		ring_add(p, l);
	else if (!may_run && l->in_turn)
		ring_drop(p, l);
	if (!l->head && !l->running) {
		struct lane **s = lane_slot(p, l->key);

		*s = l->chain;
		l->chain = p->unused;
		p->unused = l;
	}
}

static struct job *take(struct pool *p, struct lane **out)
{
	struct lane *l = p->ring;
	struct job *j;

	if (!l)
		return NULL;
	ring_drop(p, l); /* settle puts it at the end again */
	j = l->head;
	l->head = j->next;
	if (!l->head)
		l->tail = NULL;
	j->next = NULL;
	l->running++;
	lane_settle(p, l);
	*out = l;
	return j;
}

/* Wake-ups cost more than small jobs, so there is one at a time: whoever comes and finds
 * more than its own job wakes the next before it runs it. While a job may run and a worker
 * sleeps, one is always on its way. True: signal `more` when the lock is given back (the
 * one that wakes up would only find it taken). */
static bool must_wake(struct pool *p)
{
	if (!p->ring || !p->idle || p->waking)
		return false;
	p->waking = 1;
	return true;
}

static void unlock_and_wake(struct pool *p)
{
	bool wake = must_wake(p);

	pthread_mutex_unlock(&p->lock);
	if (wake)
		pthread_cond_signal(&p->more);
}

static void run_one(struct pool *p, struct job *j, struct lane *l)
{
	unlock_and_wake(p);
	j->run(j); /* j may be gone afterwards */
	pthread_mutex_lock(&p->lock);
	l->running--;
	lane_settle(p, l);
}

/* --- threads ---------------------------------------------------------------------- */

static void *worker(void *arg)
{
	struct pool *p = arg;
	struct lane *l;
	struct job *j;
	char name[16];

	pthread_mutex_lock(&p->lock);
	snprintf(name, sizeof(name), "%.10s-%u", p->name, ++p->started);
	pthread_setname_np(pthread_self(), name);
	if (p->nice) /* on Linux a thread has a nice value of its own */
		setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), p->nice);
	for (;;) {
		while ((j = take(p, &l)))
			run_one(p, j, l);
		if (p->ending && !p->ring)
			break;
		p->idle++;
		pthread_cond_wait(&p->more, &p->lock);
		p->idle--;
		p->waking = 0;
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct pool *pool_new_nice(const char *name, unsigned threads, size_t stack_bytes,
			   int nice)
{
	struct pool *p = mem_new(sizeof(*p));
	sigset_t all, old;
	pthread_attr_t attr;
	unsigned i;

	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->threads = threads;
	p->cap = threads > 2 ? threads - 1 : 1;
	p->nice = nice;
	p->ids = mem_array(threads ? threads : 1, sizeof(*p->ids));
	pthread_attr_init(&attr);
	if (stack_bytes)
		pthread_attr_setstacksize(&attr, stack_bytes);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (i = 0; i < threads; i++) {
		if (pthread_create(&p->ids[i], &attr, worker, p) != 0)
			abort(); /* at start: without workers nothing can be served */
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return p;
}

struct pool *pool_new(const char *name, unsigned threads, size_t stack_bytes)
{
	return pool_new_nice(name, threads, stack_bytes, 0);
}

static void lane_add(struct pool *p, struct job *j)
{
	struct lane *l = lane_get(p, j->key);

	j->next = NULL;
	if (l->tail)
		l->tail->next = j;
	else
		l->head = j;
	l->tail = j;
	lane_settle(p, l);
}

void pool_submit_list(struct pool *p, struct job *first)
{
	struct job *next;

	pthread_mutex_lock(&p->lock);
	for (; first; first = next) {
		next = first->next;
		lane_add(p, first);
	}
	unlock_and_wake(p);
}

void pool_submit(struct pool *p, struct job *j)
{
	j->next = NULL;
	pool_submit_list(p, j);
}

bool pool_step(struct pool *p)
{
	struct lane *l;
	struct job *j;

	pthread_mutex_lock(&p->lock);
	j = take(p, &l);
	if (j)
		run_one(p, j, l);
	pthread_mutex_unlock(&p->lock);
	return j != NULL;
}

void pool_free(struct pool *p)
{
	struct lane *l, *next;
	unsigned i;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->ending = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (i = 0; i < p->threads; i++)
		pthread_join(p->ids[i], NULL);
	while (pool_step(p)) /* sim, and jobs that jobs submitted at the end */
		;
	for (l = p->unused; l; l = next) {
		next = l->chain;
		mem_free(l);
	}
	mem_free(p->ids);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	mem_free(p);
}
