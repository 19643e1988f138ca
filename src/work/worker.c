/* Wiring: loops with their threads, the pools, what listeners serve, start and stop. */
#include "work/driver.h"
#include "base/alloc.h"
#include "base/hash.h"
#include <assert.h>
#include <errno.h>
#include <signal.h>

enum {
	DB_STACK = 1 << 20,
	CRYPTO_STACK = 256 << 10,
	CRYPTO_NICE = 5, /* handshakes and passwords give way to loops and db work */
	ABORT_WAIT =
		5000 /* ms for what is out to come back when a stop has run out of time */
};

struct worker_ctx *worker_new(const struct worker_options *opt)
{
	struct worker_ctx *w = mem_new(sizeof(*w));
	pthread_condattr_t ca;
	uint16_t boot;
	size_t i;

	w->sim = opt->loops == 0;
	w->n = w->sim ? 1 : opt->loops;
	w->clock = opt->clock;
	w->limit_loopback = opt->limit_loopback;
	random_bytes(&boot, sizeof(boot));
	w->boot = w->sim ? 0 : boot;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&ca);
	pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
	pthread_cond_init(&w->empty, &ca);
	pthread_condattr_destroy(&ca);
	w->wl = mem_array(w->n, sizeof(*w->wl));
	w->loops = mem_array(w->n, sizeof(struct loop *));
	for (i = 0; i < w->n; i++) {
		w->wl[i].ctx = w;
		w->wl[i].loop = w->sim ? loop_new_sim(opt->clock) : loop_new(opt->clock);
		w->loops[i] = w->wl[i].loop;
	}
	w->db = pool_new("db", w->sim ? 0 : opt->db_threads, DB_STACK);
	w->crypto = pool_new_nice("crypto", w->sim ? 0 : opt->crypto_threads,
				  CRYPTO_STACK, CRYPTO_NICE);
	w->background = pool_new("background", w->sim ? 0 : 1, DB_STACK);
	w->hs = handshakes_new(w->crypto, opt->crypto_threads * 2 + 1);
	w->nets = net_table_new();
	return w;
}

static void *loop_thread(void *arg)
{
	struct worker_loop *wl = arg;

	loop_run(wl->loop);
	return NULL;
}

void worker_start(struct worker_ctx *w)
{
	sigset_t all, old;
	size_t i;

	if (w->sim)
		return;
	sigfillset(&all); /* signals are the main thread's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (i = 0; i < w->n; i++) {
		char name[16];

		if (pthread_create(&w->wl[i].thread, NULL, loop_thread, &w->wl[i]) != 0)
			abort(); /* at start: nothing could be served */
		snprintf(name, sizeof(name), "loop-%u", (unsigned)i);
		pthread_setname_np(w->wl[i].thread, name);
		w->wl[i].running = true;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

bool worker_step(struct worker_ctx *w)
{
	bool any = false, some;

	assert(w->sim);
	do {
		some = loop_step(w->loops[0]);
		some |= pool_step(w->db);
		some |= pool_step(w->crypto);
		some |= pool_step(w->background);
		any |= some;
	} while (some);
	return any;
}

/* --- stopping --------------------------------------------------------------------- */

static void post_all(struct worker_ctx *w, unsigned bits)
{
	struct driver *d;

	pthread_mutex_lock(&w->lock);
	for (d = w->first; d; d = d->reg_next)
		driver_post(d, bits);
	pthread_mutex_unlock(&w->lock);
}

static bool wait_empty(struct worker_ctx *w, int64_t ms)
{
	struct timespec ts;
	bool empty;

	if (w->sim) {
		worker_step(w);
		return w->live == 0;
	}
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&w->lock);
	while (w->live && pthread_cond_timedwait(&w->empty, &w->lock, &ts) != ETIMEDOUT)
		;
	empty = w->live == 0;
	pthread_mutex_unlock(&w->lock);
	return empty;
}

static void join_loops(struct worker_ctx *w)
{
	size_t i;

	for (i = 0; i < w->n; i++) {
		if (!w->wl[i].running)
			continue;
		loop_stop(w->loops[i]);
		pthread_join(w->wl[i].thread, NULL);
		w->wl[i].running = false;
	}
}

void worker_stop(struct worker_ctx *w, int64_t ms)
{
	atomic_store(&w->stopping, true);
	post_all(w, MAIL_SHUTDOWN);
	if (!wait_empty(w, ms)) {
		post_all(w, MAIL_ABORT);
		wait_empty(w, ABORT_WAIT);
	}
	join_loops(w);
}

void worker_free(struct worker_ctx *w)
{
	struct bound *b, *next;
	size_t i;

	if (!w)
		return;
	worker_stop(w, 0);
	pool_free(w->background);
	pool_free(w->crypto);
	pool_free(w->db);
	w->dead = true;
	for (i = 0; i < w->n; i++) {
		loop_free(w->loops[i]);
		mem_free(w->wl[i].by_slot);
	}
	handshakes_free(w->hs);
	net_table_free(w->nets);
	for (b = w->bound; b; b = next) {
		next = b->next;
		mem_free(b);
	}
	pthread_cond_destroy(&w->empty);
	pthread_mutex_destroy(&w->lock);
	mem_free(w->loops);
	mem_free(w->wl);
	mem_free(w);
}

/* --- serving ---------------------------------------------------------------------- */

static struct bound *bind_service(struct worker_ctx *w, const struct service *svc,
				  void *svc_ctx, struct tls_store *tls, bool implicit_tls)
{
	struct bound *b;

	for (b = w->bound; b; b = b->next) {
		if (b->svc == svc && b->svc_ctx == svc_ctx && b->tls == tls &&
		    b->implicit_tls == implicit_tls)
			return b;
	}
	b = mem_new(sizeof(*b));
	b->ctx = w;
	b->svc = svc;
	b->svc_ctx = svc_ctx;
	b->tls = tls;
	b->implicit_tls = implicit_tls;
	b->next = w->bound;
	w->bound = b;
	return b;
}

enum status worker_listen(struct worker_ctx *w, const struct service *svc, void *svc_ctx,
			  const char *addr, uint16_t port, struct tls_store *tls,
			  bool implicit_tls, struct listener **out, struct err *e)
{
	if (implicit_tls && !tls)
		return err_set(e, ERR_CANNOT, "%s on port %u needs a certificate",
			       svc->name, port);
	return listener_open(w->loops, w->n, addr, port, driver_accept,
			     bind_service(w, svc, svc_ctx, tls, implicit_tls), out, e);
}

struct conn *worker_connect_sim(struct worker_ctx *w, const struct service *svc,
				void *svc_ctx, bool implicit_tls,
				const struct conn_peer *peer)
{
	static const struct conn_peer documentation = {
		.addr = "192.0.2.1",
		.port = 40000,
		.local_addr = "192.0.2.25",
		.local_port = 25,
		.net = { [10] = 0xff, 0xff, 192, 0, 2, 1 },
	};

	return conn_new_sim(w->loops[0], peer ? peer : &documentation, driver_accept,
			    bind_service(w, svc, svc_ctx, NULL, implicit_tls));
}

struct loop **worker_loops(struct worker_ctx *w, size_t *n)
{
	*n = w->n;
	return w->loops;
}

struct pool *worker_pool_background(struct worker_ctx *w)
{
	return w->background;
}
