/* imap_cmd_enable.c — ENABLE.  RFC 5161: what is not known is ignored; nothing announced
 * needs enabling yet. */
#include "imap/imap_cmds.h"

/* enable = "ENABLE" 1*(SP capability) */
static bool parse(struct imap_parse *p, struct imap_cmd *c)
{
	slice capability;

	(void)c;
	if (!imap_parse_sp(p) || !imap_parse_atom(p, &capability))
		return false;
	while (imap_parse_accept(p, ' '))
		if (!imap_parse_atom(p, &capability))
			return false;
	return true;
}

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	out_adds(o, "* ENABLED\r\n");
	return imap_ok(im, c, "Enable completed");
}

const struct imap_cmd_def imap_cmd_enable = {
	.name = S("ENABLE"),
	.states = IMAP_AUTH,
	.flags = CMD_HERE,
	.parse = parse,
	.run = run,
	.rfc = "RFC 5161 3.1",
};
