#include "net/loop.h"
#include "base/alloc.h"
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

struct loop {
	const struct clock *clock;
	struct event_base *base; /* NULL in sim */
	int wake_fd;
	struct event wake_ev, time_ev;
	int64_t time_set_ms;	      /* what time_ev is armed for; 0: not armed */
	_Atomic(struct task *) posts; /* newest first */
	_Atomic bool asleep;	      /* or about to be: whoever posts must wake it */
	_Atomic unsigned n_unwanted;  /* watches with bytes that nobody reads now */
	_Atomic uint64_t n_loud;      /* posts that wake, begun */
	_Atomic bool stop;
	struct task *ends; /* of this turn, newest first */
	_Atomic bool has_thread;
	_Atomic pthread_t thread;
	int64_t now_ms;	     /* of this turn; 0: to be asked for */
	struct timer **heap; /* heap[1] is due first */
	size_t timers, heap_cap;
	void *attached;
	void (*attached_done)(void *p);
};

/* What watch.ev points at. READ stays registered when nobody wants it until bytes really
 * come: a connection that stops reading for the length of one job costs no epoll_ctl. */
struct watch_ev {
	struct event ev;
	struct loop *l;
	int registered;
	bool is_unwanted; /* bytes have come that were not wanted */
};

bool loop_is_mine(const struct loop *l)
{
	if (!atomic_load_explicit(&l->has_thread, memory_order_acquire))
		return true;
	return pthread_equal(atomic_load_explicit(&l->thread, memory_order_relaxed),
			     pthread_self());
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg; /* edge-triggered: the count in it is of no use, and never read */
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)what;
	l->time_set_ms = 0;
}

static struct loop *loop_make(const struct clock *clock)
{
	struct loop *l = mem_new(sizeof(*l));

	l->clock = clock;
	l->wake_fd = -1;
	l->heap_cap = 64;
	l->heap = mem_array(l->heap_cap, sizeof(*l->heap));
	return l;
}

struct loop *loop_new(const struct clock *clock)
{
	struct loop *l = loop_make(clock);
	struct event_config *cfg = event_config_new();

	/* Only the loop's thread touches the base: no locks. No changelist either: it
	 * would speak of a descriptor after it was closed, when another loop may have it
	 * already. */
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
	l->base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!l->base || l->wake_fd < 0)
		abort(); /* no descriptors at start: nothing could be served */
	event_assign(&l->wake_ev, l->base, l->wake_fd, EV_READ | EV_PERSIST | EV_ET,
		     on_wake, l);
	event_add(&l->wake_ev, NULL);
	event_assign(&l->time_ev, l->base, -1, 0, on_time, l);
	return l;
}

struct loop *loop_new_sim(struct clock *virtual_clock)
{
	return loop_make(virtual_clock);
}

static bool run_posts(struct loop *l)
{
	struct task *t = atomic_exchange_explicit(&l->posts, NULL, memory_order_acquire),
		    *fifo = NULL, *next;
	bool any = t != NULL;

	for (; t; t = next) {
		next = t->next;
		t->next = fifo;
		fifo = t;
	}
	for (; fifo; fifo = next) {
		next = fifo->next; /* fn may post it again, or free it */
		fifo->fn(fifo);
	}
	return any;
}

static bool run_ends(struct loop *l)
{
	struct task *t = l->ends, *next;
	bool any = t != NULL;

	l->ends = NULL;
	for (; t; t = next) {
		next = t->next;
		t->fn(t);
	}
	return any;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	while (run_posts(l) || run_ends(l))
		;
	if (l->attached_done)
		l->attached_done(l->attached);
	while (run_posts(l) || run_ends(l))
		;
	if (l->base) {
		event_del(&l->wake_ev);
		event_del(&l->time_ev);
		event_base_free(l->base);
		close(l->wake_fd);
	}
	mem_free(l->heap);
	mem_free(l);
}

void loop_attach(struct loop *l, void *p, void (*done)(void *p))
{
	l->attached = p;
	l->attached_done = done;
}

void *loop_attached(const struct loop *l)
{
	return l->attached;
}

const struct clock *loop_clock(const struct loop *l)
{
	return l->clock;
}

int64_t loop_mono_ms(const struct loop *cl)
{
	struct loop *l = (struct loop *)cl;

	if (!l->base)
		return clock_mono_us(l->clock) / 1000;
	if (!l->now_ms)
		l->now_ms = clock_mono_us(l->clock) / 1000;
	return l->now_ms;
}

/* --- posts ------------------------------------------------------------------------ */

static void wake(struct loop *l)
{
	const uint64_t one = 1;

	while (write(l->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void push(struct loop *l, struct task *t)
{
	struct task *old = atomic_load_explicit(&l->posts, memory_order_relaxed);

	do
		t->next = old;
	while (!atomic_compare_exchange_weak_explicit(
		&l->posts, &old, t, memory_order_seq_cst, memory_order_relaxed));
}

/* The loop says that it is asleep before it looks at the list for the last time: either
 * it sees the post, or the poster sees that it sleeps. One poster wakes. */
static void wake_if_asleep(struct loop *l)
{
	if (l->base && atomic_load(&l->asleep) && !loop_is_mine(l) &&
	    atomic_exchange(&l->asleep, false))
		wake(l);
}

void loop_post(struct loop *l, struct task *t)
{
	atomic_fetch_add(&l->n_loud, 1);
	push(l, t);
	wake_if_asleep(l);
}

/* In the same way either the poster sees that input waits, or the loop, which looks at
 * the list behind it, sees the post. And the post that was to bring t along may have come
 * first, and the loop have gone to sleep again: *is_over says so, or n_loud, when it came
 * between that question and the push. Behind the push nothing of t's owner is touched. */
void loop_post_quietly(struct loop *l, struct task *t, const _Atomic bool *is_over)
{
	const uint64_t n = atomic_load(&l->n_loud);
	const bool over = atomic_load(is_over);

	push(l, t);
	if (over || atomic_load(&l->n_unwanted) || atomic_load(&l->n_loud) != n)
		wake_if_asleep(l);
}

void loop_at_end(struct loop *l, struct task *t)
{
	assert(loop_is_mine(l));
	t->next = l->ends;
	l->ends = t;
}

/* --- timers: a binary heap -------------------------------------------------------- */

static void heap_put(struct loop *l, size_t pos, struct timer *t)
{
	l->heap[pos] = t;
	t->heap_pos = pos;
}

static void heap_up(struct loop *l, size_t pos, struct timer *t)
{
	for (; pos > 1 && l->heap[pos / 2]->at_ms > t->at_ms; pos /= 2)
		heap_put(l, pos, l->heap[pos / 2]);
	heap_put(l, pos, t);
}

static void heap_down(struct loop *l, size_t pos, struct timer *t)
{
	size_t kid;

	for (; (kid = pos * 2) <= l->timers; pos = kid) {
		if (kid < l->timers && l->heap[kid + 1]->at_ms < l->heap[kid]->at_ms)
			kid++;
		if (l->heap[kid]->at_ms >= t->at_ms)
			break;
		heap_put(l, pos, l->heap[kid]);
	}
	heap_put(l, pos, t);
}

void timer_clear(struct loop *l, struct timer *t)
{
	struct timer *last;
	size_t pos = t->heap_pos;

	assert(loop_is_mine(l));
	if (!t->at_ms)
		return;
	last = l->heap[l->timers--];
	t->at_ms = 0;
	if (last == t)
		return;
	if (pos > 1 && l->heap[pos / 2]->at_ms > last->at_ms)
		heap_up(l, pos, last);
	else
		heap_down(l, pos, last);
}

void timer_set(struct loop *l, struct timer *t, int64_t after_ms)
{
	timer_clear(l, t);
	t->at_ms = loop_mono_ms(l) + (after_ms > 0 ? after_ms : 0);
	if (t->at_ms < 1)
		t->at_ms = 1; /* 0 means not set */
	if (++l->timers >= l->heap_cap) {
		l->heap_cap *= 2;
		l->heap = mem_grow(l->heap, l->heap_cap, sizeof(*l->heap));
	}
	heap_up(l, l->timers, t);
}

static bool run_timers(struct loop *l)
{
	int64_t now = loop_mono_ms(l);
	bool any = false;

	while (l->timers && l->heap[1]->at_ms <= now) {
		struct timer *t = l->heap[1];

		timer_clear(l, t);
		t->fn(t);
		any = true;
	}
	return any;
}

/* --- running ---------------------------------------------------------------------- */

static void arm_time(struct loop *l)
{
	struct timeval tv;
	int64_t ms;

	/* Armed too early costs one empty turn, so a timer that moved away changes
	 * nothing. */
	if (!l->timers || (l->time_set_ms && l->time_set_ms <= l->heap[1]->at_ms))
		return;
	ms = l->heap[1]->at_ms - loop_mono_ms(l);
	if (ms < 0)
		ms = 0;
	tv.tv_sec = ms / 1000;
	tv.tv_usec = ms % 1000 * 1000;
	event_add(&l->time_ev, &tv);
	l->time_set_ms = l->heap[1]->at_ms;
}

void loop_run(struct loop *l)
{
	assert(l->base);
	atomic_store(&l->thread, pthread_self());
	atomic_store(&l->has_thread, true);
	while (!atomic_load_explicit(&l->stop, memory_order_acquire)) {
		bool busy;

		arm_time(l);
		l->now_ms = 0; /* asked for again by the first callback that wants it */
		atomic_store(&l->asleep, true);
		busy = atomic_load(&l->posts) != NULL;
		if (busy)
			atomic_store(&l->asleep, false);
		event_base_loop(l->base,
				busy ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE);
		atomic_store(&l->asleep, false);
		run_posts(l);
		run_timers(l);
		run_ends(l);
	}
	l->now_ms = 0;
	atomic_store(&l->has_thread, false);
}

void loop_stop(struct loop *l)
{
	atomic_store_explicit(&l->stop, true, memory_order_release);
	if (l->base)
		wake(l);
}

bool loop_step(struct loop *l)
{
	bool any = run_posts(l);

	any |= run_timers(l);
	return run_ends(l) || any;
}

int64_t loop_next_timer_us(struct loop *l)
{
	return l->timers ? l->heap[1]->at_ms * 1000 : INT64_MAX;
}

/* --- descriptors ------------------------------------------------------------------ */

static void on_event(evutil_socket_t fd, short what, void *arg);

static void watch_register(struct watch *w, int what)
{
	struct watch_ev *e = w->ev;
	short flags = EV_PERSIST;

	if (e->registered == what)
		return;
	if (e->registered)
		event_del(&e->ev);
	e->registered = what;
	if (!what)
		return;
	if (what & LOOP_READ)
		flags |= EV_READ;
	if (what & LOOP_WRITE)
		flags |= EV_WRITE;
	event_assign(&e->ev, e->l->base, w->fd, flags, on_event, w);
	event_add(&e->ev, NULL);
}

static void set_unwanted(struct watch_ev *e, bool is)
{
	if (e->is_unwanted == is)
		return;
	e->is_unwanted = is;
	if (is)
		atomic_fetch_add(&e->l->n_unwanted, 1);
	else
		atomic_fetch_sub(&e->l->n_unwanted, 1);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;
	struct watch_ev *e = w->ev;
	int got = (what & EV_READ ? LOOP_READ : 0) | (what & EV_WRITE ? LOOP_WRITE : 0);

	(void)fd;
	/* Awake: what is posted from here on is found at the end of the turn. */
	atomic_store_explicit(&e->l->asleep, false, memory_order_relaxed);
	if (got & ~w->want) {
		set_unwanted(e, true);
		watch_register(w, w->want);
	}
	if (got & w->want)
		w->fn(w, got & w->want);
}

void watch_init(struct loop *l, struct watch *w, int fd, void (*fn)(struct watch *, int))
{
	struct watch_ev *e = mem_new(sizeof(*e));

	assert(loop_is_mine(l) && l->base);
	e->l = l;
	*w = (struct watch){ .fn = fn, .fd = fd, .ev = e };
}

void watch_want(struct loop *l, struct watch *w, int what)
{
	struct watch_ev *e = w->ev;

	assert(loop_is_mine(l));
	w->want = what;
	if (what & LOOP_READ)
		set_unwanted(e, false);
	if ((what & ~e->registered) || (e->registered & ~what & LOOP_WRITE))
		watch_register(w, what);
}

void watch_done(struct loop *l, struct watch *w)
{
	struct watch_ev *e = w->ev;

	assert(loop_is_mine(l));
	if (!e)
		return;
	if (e->registered)
		event_del(&e->ev);
	set_unwanted(e, false);
	mem_free(e);
	w->ev = NULL;
	w->want = 0;
}
