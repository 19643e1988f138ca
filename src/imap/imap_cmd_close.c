/* imap_cmd_close.c — CLOSE and UNSELECT.  RFC 3501 6.4.2 (expunges silently), RFC 3691
 * (does not). */
#include "imap/imap_cmds.h"
#include "imap/imap_expunge.h"

static enum step leave(struct imap *im, struct imap_cmd *c, const char *text)
{
	imap_box_close(im);
	im->state = IMAP_AUTH;
	return imap_ok(im, c, text);
}

static enum step run_close(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct err e;

	(void)o;
	if (!im->box->read_only) {
		enum step st = imap_expunge(im, c, NULL, &e);

		if (st == STEP_WAIT || st == STEP_MORE)
			return st;
		if (st ==
		    STEP_CLOSE) /* what could not be expunged stays (RFC 3501 6.4.2 knows no NO) */
			return leave(
				im, c,
				"Closed; some messages marked as deleted are still there");
	}
	return leave(im, c, "Close completed");
}

static enum step run_unselect(struct imap *im, struct imap_cmd *c, struct out *o)
{
	(void)o;
	return leave(im, c, "Unselect completed");
}

const struct imap_cmd_def imap_cmd_close = {
	.name = S("CLOSE"),
	.states = IMAP_SELECTED,
	.run = run_close,
	.rfc = "RFC 3501 6.4.2",
};
const struct imap_cmd_def imap_cmd_unselect = {
	.name = S("UNSELECT"),
	.states = IMAP_SELECTED,
	.run = run_unselect,
	.rfc = "RFC 3691 2",
};
