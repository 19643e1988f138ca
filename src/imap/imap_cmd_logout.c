/* imap_cmd_logout.c — LOGOUT.  RFC 3501 6.1.3. */
#include "imap/imap_cmds.h"

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	out_adds(o, "* BYE Logging out\r\n");
	imap_ok(im, c, "Logout completed");
	return STEP_CLOSE;
}

const struct imap_cmd_def imap_cmd_logout = {
	.name = S("LOGOUT"),
	.states = IMAP_ANY,
	.flags = CMD_HERE,
	.run = run,
	.rfc = "RFC 3501 6.1.3",
};
