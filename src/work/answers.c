/* Answers leave in the order of their commands: held for their commits, then read from
 * the store as far as they are references, then given to the connection. On the loop. */
#include "work/driver.h"
#include "base/limits.h"
#include "base/log.h"

enum {
	FLUSH_WAIT = 5, /* ms that a pipelined answer may wait for the next ones */
	FLUSH_SMALL = 4096
};

/* --- answers, in order ------------------------------------------------------------ */

uint64_t driver_unwritten(const struct driver *d)
{
	return (d->conn ? conn_unwritten(d->conn) : 0) + d->tail.bytes + d->held_bytes +
	       (d->is_filling ? d->filling_bytes : 0);
}

static void held_append(struct driver *d, struct held *h)
{
	h->cmd = d->cmd;
	h->is_queued = true;
	if (d->held_tail)
		d->held_tail->next = h;
	else
		d->held_head = h;
	d->held_tail = h;
	d->n_held++;
	d->held_bytes += h->ok.bytes;
}

/* An answer that waits for nothing of its own: out at once, or behind those that wait. */
void answers_emit(struct driver *d, struct out *o)
{
	struct held *h = d->held_tail;

	if (!o->head)
		return;
	if (d->is_gone || d->failed_cmd == d->cmd) {
		out_done(o);
	} else if (!h) {
		out_move(&d->tail, o);
	} else if (!h->is_ticket && h->cmd == d->cmd) {
		d->held_bytes += o->bytes;
		out_move(&h->ok, o);
	} else {
		h = driver_held_new(d);
		out_move(&h->ok, o);
		held_append(d, h);
	}
}

static void answers_emit_failed(struct driver *d, struct held *h)
{
	struct log_line l;

	log_begin(&l, LOG_LEVEL_ERROR, "session.commit.failed");
	log_cstr(&l, "session", d->sid);
	if (h->why)
		log_err(&l, h->why);
	log_end(&l);
	d->failed_cmd = h->cmd;
	if (h->fail.head)
		out_move(&d->tail, &h->fail);
	else if (!d->is_gone)
		driver_abort(d, "commit failed");
}

void answers_release(struct driver *d)
{
	struct held *h;

	while ((h = d->held_head) && (!h->is_ticket || h->is_back)) {
		d->held_head = h->next;
		if (!h->next)
			d->held_tail = NULL;
		d->n_held--;
		d->held_bytes -= h->ok.bytes;
		if (h->cmd != d->failed_cmd) {
			if (h->is_ticket && h->is_failed)
				answers_emit_failed(d, h);
			else
				out_move(&d->tail, &h->ok);
		}
		driver_held_free(h);
	}
	if (d->is_gone)
		out_done(&d->tail);
}

void driver_ticket_back(struct held *h)
{
	struct driver *d = h->d;

	h->is_back = true;
	if (!h->is_queued) /* the run() that made it is not back yet */
		return;
	d->tickets_out--;
	answers_release(d);
	driver_drive(d);
}

/* STEP_COMMIT: the answer goes into the line with its ticket. */
void answers_hold(struct driver *d)
{
	struct held *h = d->ticket;

	d->ticket = NULL;
	if (!h) { /* nothing was committed */
		answers_emit(d, &d->out);
		out_done(&d->s->fail);
		return;
	}
	out_move(&h->ok, &d->out);
	out_move(&h->fail, &d->s->fail);
	held_append(d, h);
	if (!h->is_back)
		d->tickets_out++;
	answers_release(d);
}

/* run() made a ticket and then had no use for it. */
void answers_drop_ticket(struct driver *d)
{
	struct held *h = d->ticket;

	if (!h)
		return;
	d->ticket = NULL;
	if (atomic_load_explicit(&h->called, memory_order_relaxed) && !h->is_back) {
		h->is_queued =
			true; /* it is on its way: leaves through the line, empty */
		held_append(d, h);
		h->is_failed = false;
		d->tickets_out++;
	} else {
		driver_held_free(h);
	}
	out_done(&d->s->fail);
}

/* --- output to the connection ----------------------------------------------------- */

void answers_fill(struct driver *d)
{
	if (d->is_filling || !out_needs_fill(&d->tail) ||
	    conn_unwritten(d->conn) >= LIMIT_OUT_STEP / 2)
		return;
	d->is_filling = true;
	d->filling_bytes = d->tail.bytes;
	out_move(&d->filling, &d->tail);
	driver_fill_job(d);
}

void answers_push(struct driver *d, bool now)
{
	struct out ready = { 0 };

	if (d->is_gone || d->state == D_CLOSED) {
		out_done(&d->tail);
		return;
	}
	if (d->is_filling || !d->tail.head)
		return;
	/* Answers to pipelined commands leave together (RFC 2920 3.2), if that does not
	 * take long. */
	if (!now && !d->ctx->sim && (d->state == D_JOB || d->tickets_out) &&
	    d->tail.bytes < FLUSH_SMALL && d->state != D_DELAY) {
		if (!d->soon.at_ms)
			timer_set(d->loop, &d->soon, FLUSH_WAIT);
		return;
	}
	out_take_ready(&d->tail, &ready);
	if (ready.head)
		conn_write(d->conn, &ready);
	answers_fill(d);
}

void driver_filled(struct driver *d)
{
	struct out rest = { 0 };

	d->is_filling = false;
	d->filling_bytes = 0;
	if (d->fill_status != ST_OK || d->is_gone) {
		out_done(&d->filling);
		if (!d->is_gone)
			driver_abort(d, "stored bytes cannot be read");
	} else {
		out_move(&rest, &d->filling);
		out_move(&rest, &d->tail);
		d->tail = rest;
		answers_push(d, true);
	}
	driver_drive(d);
}
