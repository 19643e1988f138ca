/* pop3_cmd_retr.c — RETR msg.  RFC 1939 5. */
#include "pop3/pop3_session.h"

static enum step run(struct pop3_session *p, struct out *o)
{
	return pop3_send(p, false, o);
}

const struct pop3_cmd_def pop3_cmd_retr = {
	.name = "RETR",
	.states = POP3_TRANSACTION,
	.grammar = POP3_MSG,
	.where = FRAME_DB,
	.run = run,
	.rfc = "RFC 1939 5",
};
