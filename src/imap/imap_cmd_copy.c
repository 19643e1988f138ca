/* imap_cmd_copy.c — COPY and UID COPY.  RFC 3501 6.4.7 (all or nothing), RFC 4315 3
 * (COPYUID). */
#include "imap/imap_cmds.h"
#include "imap/imap_copy.h"

enum { PREPARE, BEGIN, DURABLE };

static enum step done(struct imap *im, struct imap_cmd *c)
{
	struct imap_copy *x = c->arg;
	slice line = arena_join(&im->s.arena, SL("OK "), x->copyuid);

	return imap_ok_slice(c, arena_join(&im->s.arena, line, SL("Copy completed")));
}

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct imap_copy *x = c->arg;
	struct store_uids from, to;
	struct store_txn *t;
	struct err e = { .code = ERR_NONE };
	enum status st;

	if (c->phase == PREPARE) {
		enum step step = imap_copy_prepare(im, c);

		if (step != STEP_MORE)
			return step;
		if (x->uids.n > LIMIT_COPY_MESSAGES)
			return imap_no_text(
				im, c, "[LIMIT] At most 200000 messages in one command");
		if (x->uids.n == 0)
			return done(im, c);
		c->phase = BEGIN;
	}
	if (c->phase == DURABLE) {
		atomic_store(&im->box->dirty, true);
		return c->wait.st == ST_OK ? done(im, c)
					   : imap_no_try_create(im, c, &c->wait.e);
	}
	st = imap_begin(im, &t, &e);
	if (st == ST_WAIT)
		return STEP_WAIT;
	if (st != ST_OK)
		return imap_no(im, c, &e);
	st = store_copy(t, im->account, im->box->mbox, &x->uids, x->to.id, &from, &to,
			&e);
	if (st != ST_OK) {
		store_abort(t);
		return imap_no_try_create(im, c, &e);
	}
	x->copyuid = imap_copyuid(&im->s.arena, x->to.uidvalidity, &from, &to);
	if (x->to.id ==
	    im->box->mbox) { /* the copies are to be seen before the tagged line */
		c->phase = DURABLE;
		return imap_commit(im, c, t) ? run(im, c, o) : STEP_WAIT;
	}
	imap_box_take_recent(im, t);
	store_commit(t, session_ticket(&im->s));
	done(im, c);
	return STEP_COMMIT;
}

const struct imap_cmd_def imap_cmd_copy = {
	.name = S("COPY"),
	.states = IMAP_SELECTED,
	.flags = CMD_PIPE | CMD_UID,
	.parse = imap_copy_parse,
	.run = run,
	.rfc = "RFC 3501 6.4.7",
};
