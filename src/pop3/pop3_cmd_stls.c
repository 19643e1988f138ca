/* pop3_cmd_stls.c — STLS. RFC 2595 4. What the client sends in the clear behind it closes
 * the connection. */
#include "pop3/pop3_session.h"

static enum step run(struct pop3_session *p, struct out *o)
{
	if (p->s.is_tls)
		return pop3_bad(p, o, "TLS is active already");
	if (p->ctx->no_starttls)
		return pop3_bad(p, o, "TLS is not available");
	out_adds(o, "+OK begin TLS\r\n");
	return STEP_TLS;
}

const struct pop3_cmd_def pop3_cmd_stls = {
	.name = "STLS",
	.states = POP3_AUTHORIZATION,
	.grammar = POP3_NO_ARGS,
	.where = FRAME_HERE,
	.run = run,
	.rfc = "RFC 2595 4",
};
