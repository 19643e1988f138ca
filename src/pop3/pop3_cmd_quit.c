/* pop3_cmd_quit.c — QUIT and the UPDATE state. RFC 1939 6.
 *
 * All that is marked goes in one transaction (above LIMIT_COPY_MESSAGES in as few as that
 * makes); +OK leaves when it is durable, -ERR when it could not be. What another session
 * has expunged already is gone as was asked for. */
#include "pop3/pop3_session.h"

static const slice not_removed =
	S("-ERR [SYS/TEMP] some deleted messages not removed\r\n");

static enum step bye(struct pop3_session *p, struct out *o)
{
	if (p->state == POP3_AUTHORIZATION)
		out_addf(o, "+OK %.*s signing off\r\n", FMT(p->ctx->hostname));
	else
		out_addf(o, "+OK %.*s signing off (%zu messages left)\r\n",
			 FMT(p->ctx->hostname), p->drop.n - p->drop.n_deleted);
	return STEP_CLOSE;
}

static void log_quit(struct pop3_session *p, const struct err *e)
{
	struct log_line l;

	pop3_log(p, &l, e ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "pop3.quit");
	log_int(&l, "deleted", (int64_t)p->removed);
	log_int(&l, "left", (int64_t)(p->drop.n - p->drop.n_deleted));
	if (e)
		log_err(&l, e);
	log_end(&l);
}

/* The next LIMIT_STORE_CHUNK marked messages, expunged in t. */
static enum status expunge_chunk(struct pop3_session *p, struct store_txn *t,
				 struct err *e)
{
	struct pop3_drop *d = &p->drop;
	struct store_uids uids = { .uid = arena_array(&p->s.arena, LIMIT_STORE_CHUNK,
						      sizeof(uint32_t)) };
	struct store_uids gone = { 0 };
	enum status st;

	for (; p->at < d->n && uids.n < LIMIT_STORE_CHUNK; p->at++)
		if (d->msg[p->at].deleted)
			uids.uid[uids.n++] = d->msg[p->at].uid;
	if (uids.n == 0)
		return ST_OK;
	st = store_expunge(t, d->account, d->view->mbox, &uids, false, &gone, e);
	if (st == ST_OK)
		p->removed += gone.n;
	return st;
}

static enum step failed(struct pop3_session *p, const struct err *e, struct out *o)
{
	log_quit(p, e);
	out_static(o, not_removed);
	return STEP_CLOSE;
}

static enum step run(struct pop3_session *p, struct out *o)
{
	struct pop3_drop *d = &p->drop;
	struct store_txn *t;
	struct err e;
	size_t chunks = 0;
	enum status st;

	if (p->state == POP3_AUTHORIZATION)
		return bye(p, o);
	if (d->n_deleted == 0 ||
	    p->at == d->n) { /* nothing to do, or done and on its way to the disk */
		log_quit(p, NULL);
		return d->n_deleted == 0 ? bye(p, o) : STEP_CLOSE;
	}
	st = store_begin(p->ctx->store, &p->lock_id, 1, session_park(&p->s), &t, &e);
	if (st == ST_WAIT)
		return STEP_WAIT;
	if (st != ST_OK)
		return failed(p, &e, o);
	while (st == ST_OK && p->at < d->n &&
	       chunks++ < LIMIT_COPY_MESSAGES / LIMIT_STORE_CHUNK)
		st = expunge_chunk(p, t, &e);
	if (st != ST_OK) {
		store_abort(t);
		return failed(p, &e, o);
	}
	if (p->at == d->n)
		(void)bye(p, o);
	out_static(&p->s.fail, not_removed);
	store_commit(t, session_ticket(&p->s));
	return STEP_COMMIT_MORE; /* and then STEP_CLOSE, behind the answer */
}

const struct pop3_cmd_def pop3_cmd_quit = {
	.name = "QUIT",
	.states = POP3_AUTHORIZATION | POP3_TRANSACTION,
	.grammar = POP3_NO_ARGS,
	.where = FRAME_DB,
	.run = run,
	.rfc = "RFC 1939 6",
};
