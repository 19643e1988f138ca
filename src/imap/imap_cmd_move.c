/* imap_cmd_move.c — MOVE and UID MOVE.  RFC 6851 3.3, 4.3: "* OK [COPYUID …]", then
 * EXPUNGEs, then the tagged line.
 *
 * In chunks of LIMIT_STORE_CHUNK: each is moved as a whole, durably, before the next
 * begins. */
#include "imap/imap_cmds.h"
#include "imap/imap_copy.h"

enum { PREPARE, BEGIN, DURABLE };

static enum step move_chunk(struct imap *im, struct imap_cmd *c)
{
	struct imap_copy *x = c->arg;
	size_t n = x->uids.n - x->at < LIMIT_STORE_CHUNK ? x->uids.n - x->at
							 : LIMIT_STORE_CHUNK;
	struct store_uids part = { x->uids.uid + x->at, n }, from, to;
	struct store_txn *t;
	struct err e = { .code = ERR_NONE };
	enum status st = imap_begin(im, &t, &e);

	if (st == ST_WAIT)
		return STEP_WAIT;
	if (st != ST_OK)
		return imap_no(im, c, &e);
	st = store_move(t, im->account, im->box->mbox, &part, x->to.id, &from, &to, &e);
	if (st != ST_OK) {
		store_abort(t);
		return imap_no_try_create(im, c, &e);
	}
	imap_box_take_recent(im, t);
	x->at += n;
	x->copyuid = imap_copyuid(&im->s.arena, x->to.uidvalidity, &from, &to);
	c->phase = DURABLE;
	return imap_commit(im, c, t) ? STEP_MORE : STEP_WAIT;
}

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct imap_copy *x = c->arg;
	enum step st = STEP_MORE;

	if (c->phase == PREPARE) {
		if (im->box->read_only)
			return imap_no_text(
				im, c, "[READ-ONLY] The mailbox was opened with EXAMINE");
		st = imap_copy_prepare(im, c);
		if (st != STEP_MORE)
			return st;
		c->phase = BEGIN;
	}
	if (c->phase == BEGIN && x->at < x->uids.n) {
		st = move_chunk(im, c);
		if (st != STEP_MORE)
			return st;
	}
	if (c->phase == DURABLE) {
		atomic_store(&im->box->dirty, true);
		if (c->wait.st != ST_OK)
			return imap_no_try_create(im, c, &c->wait.e);
		if (x->copyuid.n) {
			out_adds(o, "* OK ");
			out_add(o, x->copyuid);
			out_adds(o, "Moved\r\n");
		}
		c->phase = BEGIN;
		if (x->at < x->uids.n)
			return STEP_MORE; /* nothing may be unwritten when the next chunk has to wait */
	}
	return imap_ok(im, c, "Move completed");
}

const struct imap_cmd_def imap_cmd_move = {
	.name = S("MOVE"),
	.states = IMAP_SELECTED,
	.flags = CMD_PIPE | CMD_UID,
	.parse = imap_copy_parse,
	.run = run,
	.rfc = "RFC 6851 3",
};
