/* imap_cmd_namespace.c — NAMESPACE.  RFC 2342 5: personal names alone, separator "/". */
#include "imap/imap_cmds.h"

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	out_adds(o, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
	return imap_ok(im, c, "Namespace completed");
}

const struct imap_cmd_def imap_cmd_namespace = {
	.name = S("NAMESPACE"),
	.states = IMAP_INSIDE,
	.flags = CMD_HERE,
	.run = run,
	.rfc = "RFC 2342 5",
};
