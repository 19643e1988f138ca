#include "net/loop.h"
#include "base/alloc.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sys/socket.h>

enum { TIMERS = 500 };
struct ticker {
	struct timer t;
	int64_t due;
	int64_t *last, *clock_ms;
	int *fired;
};

static void on_tick(struct timer *t)
{
	struct ticker *k = LOOP_FROM(struct ticker, t, t);

	assert_true(k->due >= *k->last);
	assert_true(k->due <= *k->clock_ms);
	*k->last = k->due;
	(*k->fired)++;
}

static void timers_fire_in_order_and_not_early(void **state)
{
	struct clock clock;
	struct loop *l;
	struct ticker k[TIMERS];
	int64_t last = 0, now = 1000;
	int fired = 0, i, cleared = 0;
	unsigned r = 12345;

	(void)state;
	clock_init_virtual(&clock, now * 1000);
	l = loop_new_sim(&clock);
	memset(k, 0, sizeof(k));
	for (i = 0; i < TIMERS * 4; i++) { /* set, moved, cleared at random */
		struct ticker *x = &k[i % TIMERS];
		int64_t after;

		r = r * 1103515245 + 12345;
		after = r >> 8 & 1023;
		x->t.fn = on_tick;
		x->last = &last;
		x->clock_ms = &now;
		x->fired = &fired;
		x->due = now + after;
		timer_set(l, &x->t, after);
	}
	for (i = 0; i < TIMERS; i += 3, cleared++)
		timer_clear(l, &k[i].t);
	while (loop_next_timer_us(l) != INT64_MAX) {
		assert_true(loop_next_timer_us(l) >= now * 1000);
		now += 7;
		clock_advance(&clock, 7000);
		loop_step(l);
	}
	assert_int_equal(fired, TIMERS - cleared);
	loop_free(l);
}

struct noted {
	struct task t;
	struct loop *l;
	char **to, name;
	struct noted *end; /* asked for by this one */
};

static void on_note(struct task *t)
{
	struct noted *n = LOOP_FROM(struct noted, t, t);

	*(*n->to)++ = n->name;
	if (n->end)
		loop_at_end(n->l, &n->end->t);
}

static void the_end_of_a_turn_comes_after_its_posts(void **state)
{
	struct clock clock;
	struct loop *l;
	char order[8] = "", *to = order;

	(void)state;
	clock_init_virtual(&clock, 1000);
	l = loop_new_sim(&clock);
	struct noted e = { { on_note, NULL }, l, &to, 'e', NULL };
	struct noted a = { { on_note, NULL }, l, &to, 'a', &e };
	struct noted b = { { on_note, NULL }, l, &to, 'b', NULL };

	loop_post(l, &a.t);
	loop_post(l, &b.t);
	assert_true(loop_step(l));
	assert_string_equal(order, "abe");
	assert_false(loop_step(l)); /* once */
	loop_free(l);
}

enum { POSTERS = 4, POSTS = 20000 };
struct counted {
	struct task t;
	int n, poster;
	struct poster *p;
};
struct poster {
	struct loop *l;
	struct counted posts[POSTS];
	int next;
	_Atomic int *left;
	pthread_t id;
};

static void on_post(struct task *t)
{
	struct counted *c = LOOP_FROM(struct counted, t, t);

	assert_true(loop_is_mine(c->p->l));
	assert_int_equal(c->n, c->p->next); /* each thread's posts keep their order */
	c->p->next++;
	if (atomic_fetch_sub(c->p->left, 1) == 1)
		loop_stop(c->p->l);
}

static void *poster(void *arg)
{
	struct poster *p = arg;
	int i;

	for (i = 0; i < POSTS; i++) {
		p->posts[i].t.fn = on_post;
		p->posts[i].n = i;
		p->posts[i].p = p;
		loop_post(p->l, &p->posts[i].t);
	}
	return NULL;
}

static void posts_from_many_threads_all_arrive_in_order(void **state)
{
	struct clock clock;
	struct loop *l;
	struct poster *p = mem_array(POSTERS, sizeof(*p));
	_Atomic int left = POSTERS * POSTS;
	int i;

	(void)state;
	clock_init_real(&clock);
	l = loop_new(&clock);
	for (i = 0; i < POSTERS; i++) {
		p[i].l = l;
		p[i].left = &left;
		assert_int_equal(pthread_create(&p[i].id, NULL, poster, &p[i]), 0);
	}
	loop_run(l);
	for (i = 0; i < POSTERS; i++)
		pthread_join(p[i].id, NULL);
	assert_int_equal(left, 0);
	loop_free(l);
	mem_free(p);
}

struct pair {
	struct watch w;
	struct timer t;
	struct loop *l;
	int reads, ticks, spurious;
	int64_t began;
};

static void on_pair(struct watch *w, int what)
{
	struct pair *p = LOOP_FROM(struct pair, w, w);
	char b[8];

	assert_int_equal(what, LOOP_READ);
	if (p->reads == 1) { /* stop wanting: bytes wait until they are wanted again */
		watch_want(p->l, w, 0);
		p->reads++;
		timer_set(p->l, &p->t, 20);
		return;
	}
	assert_int_equal(read(w->fd, b, 1), 1);
	if (++p->reads == 4)
		loop_stop(p->l);
}

static void on_pair_timer(struct timer *t)
{
	struct pair *p = LOOP_FROM(struct pair, t, t);

	p->ticks++;
	assert_int_equal(p->reads, 2); /* nothing came while it was not wanted */
	assert_true(loop_mono_ms(p->l) - p->began >= 20);
	watch_want(p->l, &p->w, LOOP_READ);
}

static void a_watch_is_quiet_while_unwanted(void **state)
{
	struct pair p = { 0 };
	struct clock clock;
	int sv[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
				    0, sv),
			 0);
	clock_init_real(&clock);
	p.l = loop_new(&clock);
	p.began = loop_mono_ms(p.l);
	p.t.fn = on_pair_timer;
	watch_init(p.l, &p.w, sv[0], on_pair);
	watch_want(p.l, &p.w, LOOP_READ);
	assert_int_equal(write(sv[1], "abcd", 4), 4);
	loop_run(p.l);
	assert_int_equal(p.reads, 4);
	assert_int_equal(p.ticks, 1);
	watch_done(p.l, &p.w);
	loop_free(p.l);
	close(sv[0]);
	close(sv[1]);
}

struct late {
	struct task t;
	_Atomic int runs;
};

static void on_late(struct task *t)
{
	LOOP_FROM(struct late, t, t)->runs++;
}

static bool ran(const struct late *x, int runs, int ms)
{
	const struct timespec one = { .tv_nsec = 1000000 };

	for (; x->runs < runs && ms > 0; ms--)
		nanosleep(&one, NULL);
	return x->runs >= runs;
}

static void on_nothing(struct watch *w, int what)
{
	(void)w;
	(void)what;
	fail(); /* nobody wants it */
}

static void *run_it(void *l)
{
	loop_run(l);
	return NULL;
}

enum { DEADLINE = 10000 };
static void a_quiet_post_waits_unless_input_does(void **state)
{
	struct late quiet = { .t.fn = on_late }, loud = { .t.fn = on_late };
	_Atomic bool over = false;
	struct clock clock;
	struct watch w;
	struct loop *l;
	pthread_t id;
	int sv[2], i;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	clock_init_real(&clock);
	l = loop_new(&clock);
	watch_init(l, &w, sv[0], on_nothing);
	watch_want(l, &w, LOOP_READ);
	watch_want(l, &w, 0);
	assert_int_equal(pthread_create(&id, NULL, run_it, l), 0);
	for (i = 1; i < 100; i++) { /* a loop that is awake takes it at once */
		loop_post_quietly(l, &quiet.t, &over);
		if (!ran(&quiet, i, 20))
			break;
	}
	assert_true(i < 100);
	loop_post(l, &loud.t); /* brings it along */
	assert_true(ran(&loud, 1, DEADLINE));
	assert_true(ran(&quiet, i, DEADLINE));
	over = true; /* what it waits for has been: nobody else will wake the loop */
	for (i++; i < 20; i++) {
		loop_post_quietly(l, &quiet.t, &over);
		assert_true(ran(&quiet, i, DEADLINE));
	}
	over = false;
	assert_int_equal(write(sv[1], "a", 1), 1);
	for (i++; i < 100; i++) {
		const int before = quiet.runs;

		loop_post_quietly(l, &quiet.t, &over);
		assert_true(ran(&quiet, before + 1, DEADLINE));
	}
	loop_stop(l);
	pthread_join(id, NULL);
	watch_done(l, &w);
	loop_free(l);
	close(sv[0]);
	close(sv[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_in_order_and_not_early),
		cmocka_unit_test(the_end_of_a_turn_comes_after_its_posts),
		cmocka_unit_test(posts_from_many_threads_all_arrive_in_order),
		cmocka_unit_test(a_watch_is_quiet_while_unwanted),
		cmocka_unit_test(a_quiet_post_waits_unless_input_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
