/* imap_cmd_idle.c — IDLE.  RFC 2177. Holds no worker: the store's publication wakes the
 * session (imap.c, run_wake). */
#include "imap/imap_cmds.h"

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	enum step st = STEP_DONE;

	if (im->box) {
		/* First asked to be woken, then looked: nothing falls between. */
		atomic_store(&im->box->idling, true);
		atomic_store(&im->box->dirty, true);
		st = imap_box_sync(im, c, true, o);
		if (st == STEP_MORE)
			return st;
	}
	if (st == STEP_CLOSE) {
		imap_box_close(im);
		im->state = IMAP_AUTH;
		return STEP_CLOSE;
	}
	im->is_idling = true;
	imap_keep(&im->idle_tag, c->tag);
	session_timeout(&im->s, LIMIT_IMAP_IDLE_NOTE);
	out_adds(o, "+ idling\r\n");
	c->result = SL(""); /* the tagged line comes after DONE */
	c->def = NULL;
	return STEP_DONE;
}

/* The line that ends it: DONE, or anything else, which is BAD (RFC 2177 3). */
enum step imap_idle_line(struct imap *im, struct imap_cmd *c, struct out *o)
{
	(void)o;
	c->tag = arena_dup(&im->s.arena, im->idle_tag);
	imap_keep(&im->idle_tag, SL(""));
	im->is_idling = false;
	if (im->box)
		atomic_store(&im->box->idling, false);
	session_timeout(&im->s, LIMIT_IMAP_TIMEOUT);
	if (slice_ieq(im->input, SL("DONE")))
		return imap_ok(im, c, "Idle completed");
	return imap_bad(im, c, "DONE expected");
}

const struct imap_cmd_def imap_cmd_idle = {
	.name = S("IDLE"),
	.states = IMAP_INSIDE,
	.run = run,
	.rfc = "RFC 2177 3",
};
