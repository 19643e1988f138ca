/* What workers run for a driver, and how results and commits come back to its loop. */
#include "work/driver.h"
#include "base/alloc.h"
#include "base/limits.h"
#include "base/log.h"
#include <assert.h>

static void log_read_failed(struct driver *d, const struct err *e)
{
	struct log_line l;

	log_begin(&l, LOG_LEVEL_ERROR, "session.blob.failed");
	log_cstr(&l, "session", d->sid);
	log_err(&l, e);
	log_end(&l);
}

static void run_job(struct job *j)
{
	struct driver *d = LOOP_FROM(struct driver, job, j);
	struct err e = { 0 };

	d->runner = pthread_self();
	d->io_status = ST_OK;
	d->step = (uint8_t)d->svc->run(d->s, &d->out);
	/* The bytes that the socket can take next are read while a worker is at hand. */
	if (d->ahead && d->step != STEP_WAIT) {
		d->io_status = out_fill(&d->out, d->ahead, &e);
		if (d->io_status != ST_OK)
			log_read_failed(d, &e);
	}
	/* An answer that waits for its commit needs the loop only then, unless that is over
	 * already; a command behind it needs it now. */
	if (d->is_last && d->step == STEP_COMMIT && d->ticket)
		loop_post_quietly(d->loop, &d->back, &d->ticket->called);
	else
		loop_post(d->loop, &d->back);
}

static void run_back(struct task *t)
{
	struct driver *d = LOOP_FROM(struct driver, back, t);

	d->runner = pthread_self();
	driver_ran(d);
}

/* --- submitting ------------------------------------------------------------------- */

static void submit_jobs(struct task *t)
{
	struct worker_loop *wl = LOOP_FROM(struct worker_loop, submit, t);
	struct job *first = wl->jobs;

	wl->jobs = NULL;
	pool_submit_list(wl->ctx->db, first);
}

/* All jobs of a turn go to the pool together when it ends: one lock, one wake-up, and
 * the worker that wakes does not push the loop aside in the middle of its turn. */
static void submit_db(struct driver *d, struct job *j)
{
	struct worker_loop *wl = d->wl;

	j->next = NULL;
	if (!wl->jobs) {
		wl->jobs_end = &wl->jobs;
		wl->submit.fn = submit_jobs;
		loop_at_end(wl->loop, &wl->submit);
	}
	*wl->jobs_end = j;
	wl->jobs_end = &j->next;
}

void driver_run_job(struct driver *d)
{
	d->job.run = run_job;
	d->job.key = d->s->key;
	d->back.fn = run_back;
	if ((d->mode & ~FRAME_PIPE) == FRAME_CRYPTO)
		pool_submit(d->ctx->crypto, &d->job);
	else
		submit_db(d, &d->job);
}

static void fill_job(struct job *j)
{
	struct driver *d = LOOP_FROM(struct driver, fill, j);
	struct err e = { 0 };

	d->fill_status = out_fill(&d->filling, LIMIT_OUT_STEP, &e);
	if (d->fill_status != ST_OK)
		log_read_failed(d, &e);
	loop_post(d->loop, &d->fill_back);
}

static void fill_back(struct task *t)
{
	driver_filled(LOOP_FROM(struct driver, fill_back, t));
}

void driver_fill_job(struct driver *d)
{
	d->fill.run = fill_job;
	d->fill.key = d->key;
	d->fill_back.fn = fill_back;
	submit_db(d, &d->fill);
}

/* --- tickets ---------------------------------------------------------------------- */

static void ticket_task(struct task *t)
{
	driver_ticket_back(LOOP_FROM(struct held, task, t));
}

/* On the committer's thread: only a note, and one wake-up of the loop for a whole batch. */
static void ticket_done(struct done *dn, enum status st, const struct err *why)
{
	struct held *h = LOOP_FROM(struct held, done, dn);
	struct loop *l = h->d->loop;

	h->is_failed = st != ST_OK;
	if (h->is_failed && why) {
		h->why = mem_new(sizeof(*why));
		*h->why = *why;
	}
	atomic_store(&h->called, true);
	loop_post(l, &h->task);
}

struct held *driver_held_new(struct driver *d)
{
	struct held *h = mem_new(sizeof(*h));

	h->d = d;
	h->done.fn = ticket_done;
	h->task.fn = ticket_task;
	return h;
}

void driver_held_free(struct held *h)
{
	if (!h)
		return;
	out_done(&h->ok);
	out_done(&h->fail);
	mem_free(h->why);
	mem_free(h);
}

struct done *session_ticket(struct session *s)
{
	struct driver *d = s->drv;

	assert(pthread_equal(d->runner, pthread_self()));
	if (!d->ticket) {
		d->ticket = driver_held_new(d);
		d->ticket->is_ticket = true;
	}
	return &d->ticket->done;
}
