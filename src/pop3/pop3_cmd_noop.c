/* pop3_cmd_noop.c — NOOP.  RFC 1939 5. */
#include "pop3/pop3_session.h"

static enum step run(struct pop3_session *p, struct out *o)
{
	(void)p;
	out_adds(o, "+OK\r\n");
	return STEP_DONE;
}

const struct pop3_cmd_def pop3_cmd_noop = {
	.name = "NOOP",
	.states = POP3_TRANSACTION,
	.grammar = POP3_NO_ARGS,
	.where = FRAME_HERE,
	.run = run,
	.rfc = "RFC 1939 5",
};
