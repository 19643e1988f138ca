/* pop3_cmd_capa.c — CAPA. RFC 2449 5 and 6: the same in both states but for STLS (RFC
 * 2595 4); USER and SASL only where passwords are taken, so that a client does not send
 * one in the clear. */
#include "pop3/pop3_session.h"

static enum step run(struct pop3_session *p, struct out *o)
{
	out_adds(o, "+OK capability list follows\r\n");
	if (!p->s.is_tls && !p->ctx->no_starttls)
		out_adds(o, "STLS\r\n");
	if (p->s.is_tls)
		out_adds(o, "USER\r\nSASL PLAIN LOGIN\r\n");
	out_adds(
		o,
		"TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n"
		"IMPLEMENTATION Facteur\r\n.\r\n");
	return STEP_DONE;
}

const struct pop3_cmd_def pop3_cmd_capa = {
	.name = "CAPA",
	.states = POP3_AUTHORIZATION | POP3_TRANSACTION,
	.grammar = POP3_NO_ARGS,
	.where = FRAME_HERE,
	.run = run,
	.rfc = "RFC 2449 5",
};
