/* imap_cmd_starttls.c — STARTTLS.  RFC 3501 6.2.1. What came in the clear behind it
 * closes the connection (the driver). */
#include "imap/imap_cmds.h"

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	(void)o;
	if (im->s.is_tls)
		return imap_bad(im, c, "TLS is there already");
	if (im->ctx->no_starttls)
		return imap_no_text(im, c, "[UNAVAILABLE] TLS is not available");
	imap_ok(im, c, "Begin TLS negotiation now");
	return STEP_TLS;
}

const struct imap_cmd_def imap_cmd_starttls = {
	.name = S("STARTTLS"),
	.states = IMAP_NOT_AUTH,
	.flags = CMD_HERE,
	.run = run,
	.rfc = "RFC 3501 6.2.1",
};
