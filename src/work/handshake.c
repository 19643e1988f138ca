/* The gate in front of the crypto pool: few handshakes at once, a bounded line behind
 * them (DESIGN 3.7). A flood fills the line and is then refused; passwords wait for no
 * more than the handshakes that run. */
#include "work/driver.h"
#include "base/alloc.h"
#include "base/limits.h"

struct handshakes {
	pthread_mutex_t lock;
	struct pool *crypto;
	unsigned running, at_once, waiting;
	struct driver *head, *tail;
};

struct handshakes *handshakes_new(struct pool *crypto, unsigned at_once)
{
	struct handshakes *h = mem_new(sizeof(*h));

	pthread_mutex_init(&h->lock, NULL);
	h->crypto = crypto;
	h->at_once = at_once;
	return h;
}

void handshakes_free(struct handshakes *h)
{
	if (!h)
		return;
	pthread_mutex_destroy(&h->lock);
	mem_free(h);
}

static void line_drop(struct handshakes *h, struct driver *d)
{
	if (d->hs_prev)
		d->hs_prev->hs_next = d->hs_next;
	else
		h->head = d->hs_next;
	if (d->hs_next)
		d->hs_next->hs_prev = d->hs_prev;
	else
		h->tail = d->hs_prev;
	d->hs_prev = d->hs_next = NULL;
	d->hs_waiting = false;
	h->waiting--;
}

/* Those whose handshake has begun go first: they hold memory, and their second half is
 * cheap. */
static void line_add(struct handshakes *h, struct driver *d)
{
	d->hs_waiting = true;
	h->waiting++;
	if (d->hs_begun) {
		d->hs_next = h->head;
		h->head = d;
		if (d->hs_next)
			d->hs_next->hs_prev = d;
		else
			h->tail = d;
	} else {
		d->hs_prev = h->tail;
		h->tail = d;
		if (d->hs_prev)
			d->hs_prev->hs_next = d;
		else
			h->head = d;
	}
}

static void step_job(struct job *j)
{
	struct driver *d = LOOP_FROM(struct driver, job, j), *next;
	struct handshakes *h = d->ctx->hs;

	d->hs_result = conn_handshake_step(d->pinned);
	pthread_mutex_lock(&h->lock);
	next = h->head;
	if (next) {
		line_drop(h, next);
		pool_submit(h->crypto, &next->job);
	} else {
		h->running--;
	}
	pthread_mutex_unlock(&h->lock);
	loop_post(d->loop, &d->back);
}

bool handshake_submit(struct driver *d)
{
	struct handshakes *h = d->ctx->hs;
	bool ok = true;

	d->job.run = step_job;
	d->job.key = UINT32_MAX; /* a key of its own: never all of the pool's workers */
	d->back.fn = driver_handshake_back;
	pthread_mutex_lock(&h->lock);
	if (h->running < h->at_once) {
		h->running++;
		pool_submit(h->crypto, &d->job);
	} else if (d->hs_begun || h->waiting < LIMIT_TLS_HANDSHAKES) {
		line_add(h, d);
	} else {
		ok = false;
	}
	pthread_mutex_unlock(&h->lock);
	return ok;
}

bool handshake_forget(struct driver *d)
{
	struct handshakes *h = d->ctx->hs;
	bool waited;

	pthread_mutex_lock(&h->lock);
	waited = d->hs_waiting;
	if (waited)
		line_drop(h, d);
	pthread_mutex_unlock(&h->lock);
	return waited;
}
