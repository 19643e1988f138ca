/* imap_cmd_noop.c — NOOP and CHECK: nothing but news.  RFC 3501 6.1.2, 6.4.1 (all is
 * durable already). */
#include "imap/imap_cmds.h"

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	(void)o;
	return imap_ok(im, c, "Completed");
}

const struct imap_cmd_def imap_cmd_noop = {
	.name = S("NOOP"),
	.states = IMAP_ANY,
	.flags = CMD_CLEAN,
	.run = run,
	.rfc = "RFC 3501 6.1.2",
};
const struct imap_cmd_def imap_cmd_check = {
	.name = S("CHECK"),
	.states = IMAP_SELECTED,
	.flags = CMD_CLEAN,
	.run = run,
	.rfc = "RFC 3501 6.4.1",
};
