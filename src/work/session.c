/* The driver: moves one session through its states. Everything here runs on the session's
 * loop, but for the few functions that run() may call. */
#include "work/driver.h"
#include "base/alloc.h"
#include "base/limits.h"
#include "base/log.h"
#include <assert.h>

enum {
	UNITS_A_TURN =
		64 /* of one session, then the others of the loop have their turn */
};

static void log_session(struct driver *d, enum log_level level, const char *event,
			const char *why)
{
	struct log_line l;

	if (!log_on(level))
		return;
	log_begin(&l, level, event);
	log_cstr(&l, "session", d->sid);
	log_cstr(&l, "service", d->svc->name);
	log_cstr(&l, "peer", d->peer.addr);
	log_cstr(&l, "reason", why);
	log_end(&l);
}

void driver_abort(struct driver *d, const char *why)
{
	if (d->state == D_CLOSED || d->is_gone)
		return;
	log_session(d, LOG_LEVEL_INFO, "session.aborted", why);
	/* What is out, or must still run, comes to its end first. */
	if (d->state != D_JOB && d->state != D_WAIT && d->state != D_DELAY && !d->again)
		d->state = D_CLOSED;
	conn_abort(d->conn);
}

/* --- running ---------------------------------------------------------------------- */

static bool start_run(struct driver *d)
{
	uint64_t have;

	if (d->ctx->dead) {
		d->state = D_CLOSED;
		return false;
	}
	have = driver_unwritten(d);
	d->ahead = have < LIMIT_OUT_STEP ? LIMIT_OUT_STEP - have : 0;
	d->again = false;
	if (!d->pinned && d->conn) {
		conn_hold(d->conn);
		d->pinned = d->conn;
	}
	if ((d->mode & ~FRAME_PIPE) == FRAME_HERE) {
		d->runner = pthread_self();
		d->io_status = ST_OK;
		d->step = (uint8_t)d->svc->run(d->s, &d->out);
		driver_ran(d);
		return true;
	}
	d->state = D_JOB;
	d->is_last = !d->conn || conn_input(d->conn).n == d->used;
	driver_run_job(d);
	return false;
}

static void unpin(struct driver *d)
{
	struct conn *c = d->pinned;

	d->pinned = NULL;
	if (c)
		conn_unhold(c);
}

static void unit_done(struct driver *d, enum driver_state next)
{
	unpin(d);
	if (d->conn)
		conn_consume(d->conn, d->used);
	d->used = 0;
	d->cmd++;
	d->active_ms = loop_mono_ms(d->loop);
	arena_reset(&d->s->arena);
	d->state = (uint8_t)next;
	if (d->close_after)
		d->state = D_CLOSING;
}

/* What run() wants next. */
static void apply_step(struct driver *d)
{
	enum step step = (enum step)d->step;

	if (step == STEP_COMMIT || step == STEP_COMMIT_MORE) {
		answers_hold(d);
	} else {
		answers_drop_ticket(d);
		answers_emit(d, &d->out);
	}
	switch (step) {
	case STEP_DONE:
	case STEP_COMMIT:
		unit_done(d, D_IDLE);
		break;
	case STEP_MORE:
		d->state = D_MORE;
		break;
	case STEP_COMMIT_MORE:
		d->again = true;
		d->state = D_READY;
		break;
	case STEP_DB:
		d->mode = (uint8_t)((d->mode & FRAME_PIPE) | FRAME_DB);
		d->again = true;
		d->state = D_READY;
		break;
	case STEP_TLS:
		unit_done(d, D_TLS);
		break;
	case STEP_CLOSE:
		unit_done(d, D_CLOSING);
		break;
	case STEP_WAIT:
	default:
		break;
	}
	if (d->io_status != ST_OK)
		driver_abort(d, "stored bytes cannot be read");
}

/* run() is back, and the session is the loop's again. */
static void ran(struct driver *d)
{
	d->key = d->s->key;
	d->timeout_ms = d->s->timeout_ms;
	if (d->step == STEP_WAIT) {
		answers_emit(d, &d->out);
		d->state = D_WAIT;
		if (d->woken) {
			d->woken = false;
			d->again = true;
			d->state = D_READY;
		}
		return;
	}
	if (d->s->delay_ms > 0 && !d->is_gone && !d->ctx->dead) {
		answers_push(d, true);
		timer_set(d->loop, &d->soon, d->s->delay_ms);
		d->s->delay_ms = 0;
		d->state = D_DELAY;
		return;
	}
	apply_step(d);
}

void driver_ran(struct driver *d)
{
	bool was_job = d->state == D_JOB;

	ran(d);
	if (was_job)
		driver_drive(d);
}

static void on_soon(struct timer *t)
{
	struct driver *d = LOOP_FROM(struct driver, soon, t);

	if (d->state == D_DELAY)
		apply_step(d);
	answers_push(d, true);
	driver_drive(d);
}

static void on_wake(struct task *t)
{
	struct driver *d = LOOP_FROM(struct driver, wake, t);

	if (d->state == D_WAIT) {
		d->again = true;
		d->state = D_READY;
		driver_drive(d);
	} else {
		d->woken = true; /* the run() that parked is not back yet */
	}
}

static void parked_wake(struct parked *p)
{
	struct driver *d = LOOP_FROM(struct driver, parked, p);

	loop_post(d->loop, &d->wake);
}

/* --- the next unit ---------------------------------------------------------------- */

static bool may_run(struct driver *d)
{
	if (d->n_held >= LIMIT_HELD_ANSWERS)
		return false;
	if (d->again) /* a further part of a command that runs already */
		return true;
	if (driver_unwritten(d) >= LIMIT_OUT_STEP)
		return false;
	return (d->mode & FRAME_PIPE) || !d->tickets_out;
}

static bool next_event(struct driver *d, enum event *out)
{
	static const enum event order[] = { EVENT_SECURED, EVENT_SHUTDOWN, EVENT_TIMEOUT,
					    EVENT_WAKE };
	size_t i;

	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (d->events & (1u << order[i])) {
			d->events &= (uint8_t) ~(1u << order[i]);
			*out = order[i];
			return true;
		}
	}
	return false;
}

static void run_event(struct driver *d, enum event ev)
{
	d->runner = pthread_self();
	d->mode = d->svc->event ? (uint8_t)d->svc->event(d->s, ev, &d->out) : FRAME_MORE;
	d->timeout_ms = d->s->timeout_ms;
	answers_emit(d, &d->out);
	d->used = 0;
	if (d->mode != FRAME_MORE) {
		d->close_after = ev == EVENT_SHUTDOWN;
		d->state = D_READY;
		return;
	}
	d->cmd++; /* what it wrote belongs to no command */
	if (ev == EVENT_SHUTDOWN || ev == EVENT_TIMEOUT) {
		if (ev == EVENT_TIMEOUT)
			log_session(d, LOG_LEVEL_INFO, "session.timeout", NULL);
		d->state = D_CLOSING;
	}
}

/* False: nothing to do until something happens. */
static bool next_unit(struct driver *d)
{
	enum event ev;
	slice in;

	if (next_event(d, &ev)) {
		run_event(d, ev);
		return true;
	}
	in = conn_input(d->conn);
	d->used = 0;
	d->mode = FRAME_MORE;
	if (in.n) {
		d->runner = pthread_self();
		d->mode = (uint8_t)d->svc->frame(d->s, in, &d->used);
		d->timeout_ms = d->s->timeout_ms;
		assert(d->used <= in.n);
	}
	if (d->mode != FRAME_MORE) {
		d->state = D_READY;
		return true;
	}
	if (d->used) {
		conn_consume(d->conn, d->used);
		d->active_ms = loop_mono_ms(d->loop);
	} else if (in.n >= d->svc->input_max) {
		driver_abort(d, "unit of input too long");
		return false;
	}
	if (conn_input_eof(d->conn)) {
		d->state = D_CLOSING;
		return true;
	}
	return false;
}

/* --- TLS -------------------------------------------------------------------------- */

static void start_tls(struct driver *d)
{
	if (!d->tls && !d->ctx->sim) {
		driver_abort(d, "no certificate");
		return;
	}
	/* RFC 3207 6, HAZARDS 5: what came in the clear behind STARTTLS must not be read
	 * as if it were protected. */
	if (conn_input(d->conn).n) {
		driver_abort(d, "plaintext behind STARTTLS");
		return;
	}
	if (driver_unwritten(d) || d->tickets_out)
		return; /* the answer goes out first */
	d->state = D_HANDSHAKE;
	timer_set(d->loop, &d->timer, LIMIT_TLS_HANDSHAKE_TIME);
	conn_start_tls(d->conn, d->tls, slice_str(d->svc->name), d->svc->alpn);
}

static void on_handshake(struct conn *c)
{
	struct driver *d = conn_owner(c);

	d->shaking = true;
	d->pinned = c;
	if (!handshake_submit(d)) {
		d->shaking = false;
		d->pinned = NULL;
		log_session(d, LOG_LEVEL_WARN, "session.refused", "too many handshakes");
		conn_abort(c);
		conn_handshake_done(c, 0);
	}
}

void driver_handshake_back(struct task *t)
{
	struct driver *d = LOOP_FROM(struct driver, back, t);
	struct conn *c = d->pinned;

	d->pinned = NULL;
	d->shaking = false;
	d->hs_begun = true;
	conn_handshake_done(c, d->hs_result); /* may call on_secured */
	if (d->is_gone)
		driver_drive(d);
}

static void open_session(struct driver *d)
{
	struct session *s = d->svc->open(d->svc_ctx, &d->out);

	d->s = s;
	s->svc = d->svc;
	s->drv = d;
	s->peer = &d->peer;
	s->is_tls = d->is_tls;
	memcpy(s->id, d->sid, sizeof(s->id));
	d->runner = pthread_self();
	d->state = D_IDLE;
	d->cmd = 1;
	if (d->svc->greet)
		d->svc->greet(s, &d->out);
	d->timeout_ms = s->timeout_ms;
	answers_emit(d, &d->out);
	d->active_ms = loop_mono_ms(d->loop);
}

static void on_secured(struct conn *c)
{
	struct driver *d = conn_owner(c);
	slice text = conn_tls_text(c);

	timer_clear(d->loop, &d->timer);
	d->tls_text = mem_new(text.n + 1);
	memcpy(d->tls_text, text.p, text.n);
	pthread_mutex_lock(&d->ctx->lock);
	d->is_tls = true;
	pthread_mutex_unlock(&d->ctx->lock);
	if (d->s) {
		d->s->is_tls = true;
		d->events |= 1u << EVENT_SECURED;
		d->state = D_IDLE;
		d->active_ms = loop_mono_ms(d->loop);
	} else {
		open_session(d);
	}
	driver_drive(d);
}

/* --- the end ---------------------------------------------------------------------- */

static void close_when_written(struct driver *d)
{
	if (d->held_head || d->tail.head || d->is_filling)
		return;
	d->state = D_CLOSED;
	conn_close(d->conn);
}

/* The connection has gone: frees the driver when nothing is out any more. */
static void finish(struct driver *d)
{
	if (d->state == D_JOB || d->state == D_WAIT || d->shaking || d->is_filling ||
	    d->tickets_out)
		return;
	if (d->pinned)
		unpin(d);
	registry_drop(d);
	if (atomic_load(&d->mail_bits))
		return; /* comes back here */
	answers_release(d);
	out_done(&d->out);
	out_done(&d->tail);
	driver_held_free(d->ticket);
	if (d->s) {
		out_done(&d->s->fail);
		arena_release(&d->s->arena);
		d->svc->close(d->s);
	}
	mem_free(d->user);
	mem_free(d->tls_text);
	mem_free(d);
}

static void drive_gone(struct driver *d)
{
	/* A parked command has been given its locks, and a command in parts is half done:
	 * both run on. */
	while (d->state == D_READY && d->again && !d->ctx->dead)
		start_run(d);
	finish(d);
}

static void on_closed(struct conn *c, const char *why)
{
	struct driver *d = conn_owner(c);

	log_session(d, LOG_LEVEL_DEBUG, "session.closed", why);
	d->conn = NULL;
	d->is_gone = true;
	timer_clear(d->loop, &d->timer);
	timer_clear(d->loop, &d->soon);
	out_done(&d->tail);
	if (d->shaking && handshake_forget(d)) {
		d->shaking = false;
		d->pinned = NULL;
		conn_handshake_done(c, 0);
	}
	if (d->state == D_DELAY)
		apply_step(d);
	driver_drive(d);
}

/* --- the heart -------------------------------------------------------------------- */

/* One move; false when the session waits for something. */
static bool move(struct driver *d)
{
	switch ((enum driver_state)d->state) {
	case D_IDLE:
		return next_unit(d);
	case D_READY:
		if (driver_unwritten(d) >= LIMIT_OUT_STEP)
			answers_push(d, true);
		return may_run(d) && start_run(d);
	case D_MORE:
		answers_push(d, true);
		return driver_unwritten(d) < LIMIT_OUT_STEP && start_run(d);
	case D_TLS:
		answers_push(d, true);
		start_tls(d);
		return false;
	case D_CLOSING:
		answers_push(d, true);
		close_when_written(d);
		return false;
	case D_HANDSHAKE:
	case D_JOB:
	case D_WAIT:
	case D_DELAY:
	case D_CLOSED:
	default:
		return false;
	}
}

static void arm_timeout(struct driver *d)
{
	int64_t at;

	if (d->timeout_ms <= 0)
		return;
	at = d->active_ms + d->timeout_ms;
	/* Set once and looked at when it fires; only a shorter time-out moves it. */
	if (!d->timer.at_ms || d->timer.at_ms > at)
		timer_set(d->loop, &d->timer, at - loop_mono_ms(d->loop));
}

void driver_drive(struct driver *d)
{
	int units = 0;

	assert(loop_is_mine(d->loop));
	if (d->is_gone) {
		drive_gone(d);
		return;
	}
	while (move(d)) {
		if (++units >= UNITS_A_TURN && !d->is_gone) {
			driver_post(d, MAIL_GO);
			break;
		}
	}
	answers_push(d, false);
	if (d->state == D_IDLE && d->s->arena.head && !conn_input(d->conn).n)
		arena_release(&d->s->arena);
	if (d->state == D_HANDSHAKE || d->state == D_CLOSED)
		return;
	conn_want_input(d->conn, d->state == D_IDLE, d->svc->input_max);
	arm_timeout(d);
}

static void on_readable(struct conn *c)
{
	driver_drive(conn_owner(c));
}

static void on_drained(struct conn *c)
{
	struct driver *d = conn_owner(c);

	d->active_ms = loop_mono_ms(d->loop);
	answers_push(d, true);
	if (d->state != D_CLOSED)
		answers_fill(d);
	driver_drive(d);
}

static void on_timer(struct timer *t)
{
	struct driver *d = LOOP_FROM(struct driver, timer, t);
	int64_t now = loop_mono_ms(d->loop);

	if (d->state == D_HANDSHAKE) {
		driver_abort(d, "handshake took too long");
		return;
	}
	if (d->state == D_CLOSED || d->timeout_ms <= 0)
		return;
	if (d->state == D_JOB || d->state == D_WAIT || d->state == D_DELAY ||
	    d->tickets_out)
		d->active_ms = now; /* our own time, not the client's */
	if (now - d->active_ms < d->timeout_ms) {
		arm_timeout(d);
		return;
	}
	/* on_drained counts as activity: nothing has been taken for so long. */
	if (driver_unwritten(d)) {
		driver_abort(d, "peer does not read");
		return;
	}
	d->active_ms = now;
	d->events |= 1u << EVENT_TIMEOUT;
	driver_drive(d);
}

/* --- messages from other threads -------------------------------------------------- */

static void on_mail(struct task *t)
{
	struct driver *d = LOOP_FROM(struct driver, mail, t);
	unsigned bits = atomic_exchange(&d->mail_bits, 0);
	bool idle = (d->state == D_IDLE || d->state == D_READY) && d->s &&
		    !driver_unwritten(d);

	if (d->is_gone) {
		driver_drive(d);
		return;
	}
	if ((bits & MAIL_ABORT) || ((bits & MAIL_KICK) && !idle) ||
	    ((bits & MAIL_SHUTDOWN) && !d->s)) {
		driver_abort(d, bits & MAIL_KICK ? "kicked" : "shutdown");
		return;
	}
	if (bits & (MAIL_KICK | MAIL_SHUTDOWN))
		d->events |= 1u << EVENT_SHUTDOWN;
	if (bits & MAIL_WAKE)
		d->events |= 1u << EVENT_WAKE;
	driver_drive(d);
}

void driver_post(struct driver *d, unsigned bits)
{
	if (atomic_fetch_or(&d->mail_bits, bits) == 0)
		loop_post(d->loop, &d->mail);
}

/* --- beginning -------------------------------------------------------------------- */

static const struct conn_ops driver_ops = {
	.readable = on_readable,
	.drained = on_drained,
	.handshake = on_handshake,
	.secured = on_secured,
	.closed = on_closed,
};

static struct driver *driver_new(struct bound *b, struct conn *c)
{
	struct driver *d = mem_new(sizeof(*d));

	d->ctx = b->ctx;
	d->svc = b->svc;
	d->svc_ctx = b->svc_ctx;
	d->tls = b->tls;
	d->implicit_tls = b->implicit_tls;
	d->conn = c;
	d->loop = conn_loop(c);
	d->id = conn_get_id(c);
	d->peer = *conn_get_peer(c);
	d->mail.fn = on_mail;
	d->wake.fn = on_wake;
	d->parked.wake = parked_wake;
	d->timer.fn = on_timer;
	d->soon.fn = on_soon;
	d->preauth = true;
	d->since_us = clock_now_us(d->ctx->clock);
	snprintf(d->sid, sizeof(d->sid), "%04x-%x", d->ctx->boot,
		 atomic_fetch_add(&d->ctx->serial, 1) + 1);
	conn_set_owner(c, d);
	return d;
}

const struct conn_ops *driver_accept(void *bound, struct conn *c)
{
	struct bound *b = bound;
	struct driver *d = driver_new(b, c);

	if (!registry_add(d)) {
		struct out o = { 0 };

		log_session(d, LOG_LEVEL_WARN, "session.refused", "too many connections");
		if (!d->implicit_tls && d->svc->busy.n) {
			out_static(&o, d->svc->busy);
			conn_write(c, &o);
		}
		mem_free(d);
		return NULL;
	}
	log_session(d, LOG_LEVEL_DEBUG, "session.opened", NULL);
	if (d->implicit_tls) {
		d->state = D_HANDSHAKE;
		timer_set(d->loop, &d->timer, LIMIT_TLS_HANDSHAKE_TIME);
		conn_start_tls(c, d->tls, slice_str(d->svc->name), d->svc->alpn);
	} else {
		open_session(d);
		driver_post(d, MAIL_GO);
	}
	return &driver_ops;
}

/* --- what protocols call ---------------------------------------------------------- */

int64_t session_now_us(const struct session *s)
{
	return clock_now_us(s->drv->ctx->clock);
}

int64_t session_mono_us(const struct session *s)
{
	return clock_mono_us(s->drv->ctx->clock);
}

slice session_tls_text(const struct session *s)
{
	return slice_str(s->drv->tls_text);
}

void session_timeout(struct session *s, int64_t ms)
{
	s->timeout_ms = ms;
}

struct parked *session_park(struct session *s)
{
	assert(pthread_equal(s->drv->runner, pthread_self()));
	return &s->drv->parked;
}

struct session_ref session_get_ref(const struct session *s)
{
	return (struct session_ref){ s->drv->id, s->drv->loop, s->drv->ctx };
}
