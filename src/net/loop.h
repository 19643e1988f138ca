#pragma once
/* loop.h — one event loop, one thread: descriptors, timers, posts. The only place that knows libevent.
 *
 * loop_post and loop_stop are for any thread; everything else for the loop's own, or for whoever has the loop while no
 * thread runs it. loop_free runs the posts that are left. A sim loop has no thread and no descriptors: time
 * is a virtual clock and loop_step runs what is due (tests/transcript, fuzzers). */
#include "base/clock.h"

/* The structure around an embedded task, timer or watch. */
#define LOOP_FROM(type, member, p) ((type *)(void *)((char *)(p) - offsetof(type, member)))

struct loop;
struct loop *loop_new(const struct clock *clock);      /* real, epoll */
struct loop *loop_new_sim(struct clock *virtual_clock);
void loop_free(struct loop *l);
void loop_run(struct loop *l);                         /* until loop_stop */
void loop_stop(struct loop *l);                        /* any thread */
bool loop_step(struct loop *l);                        /* sim: runs posts and due timers; true if anything ran */
int64_t loop_next_timer_us(struct loop *l);            /* sim: mono time of the next timer, INT64_MAX without */
const struct clock *loop_clock(const struct loop *l);
int64_t loop_mono_ms(const struct loop *l);            /* cached at each turn */
bool loop_is_mine(const struct loop *l);               /* the caller is the loop's thread (or none runs it) */
/* One thing that lives and dies with the loop (conn's tables). done runs in loop_free. */
void loop_attach(struct loop *l, void *p, void (*done)(void *p));
void *loop_attached(const struct loop *l);

struct task { /* embedded by the poster; may be posted again once it has run */
	void (*fn)(struct task *t);
	struct task *next;
};
void loop_post(struct loop *l, struct task *t); /* one wake-up of the loop for many posts */
/* The same without a wake-up, for what leads to nothing before a post that does wake: it runs then, or earlier. *is_over is
 * set by that poster before it posts; it is not looked at once t may run. It wakes all the same when that has been, or
 * while bytes wait on a descriptor that nobody wants to read (it may end that). */
void loop_post_quietly(struct loop *l, struct task *t, const _Atomic bool *is_over);
/* The loop's own thread: once, at the end of this turn, when everything that was ready has been served. For what many
 * callbacks of a turn do together. */
void loop_at_end(struct loop *l, struct task *t);

struct timer { /* embedded; zero it before first use */
	void (*fn)(struct timer *t);
	int64_t at_ms;   /* 0: not set */
	size_t heap_pos; /* the loop's */
};
void timer_set(struct loop *l, struct timer *t, int64_t after_ms); /* moves it when it is set already */
void timer_clear(struct loop *l, struct timer *t);

enum { LOOP_READ = 1, LOOP_WRITE = 2 };
struct watch { /* embedded */
	void (*fn)(struct watch *w, int what);
	int fd;
	void *ev; /* the loop's */
	int want;
};
void watch_init(struct loop *l, struct watch *w, int fd, void (*fn)(struct watch *, int));
void watch_want(struct loop *l, struct watch *w, int what); /* 0: nothing; keeps it registered cheaply */
void watch_done(struct loop *l, struct watch *w);
