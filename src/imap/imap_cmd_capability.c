/* imap_cmd_capability.c — CAPABILITY.  RFC 3501 6.1.1, 7.2.1. */
#include "imap/imap_cmds.h"

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	out_adds(o, "* CAPABILITY ");
	out_add(o, imap_capabilities(im));
	out_adds(o, "\r\n");
	return imap_ok(im, c, "Capability completed");
}

const struct imap_cmd_def imap_cmd_capability = {
	.name = S("CAPABILITY"),
	.states = IMAP_ANY,
	.flags = CMD_HERE,
	.run = run,
	.rfc = "RFC 3501 6.1.1",
};
